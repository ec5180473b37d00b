#!/bin/bash
# Checks and times the CUDA engine on this machine's GPU, beside PyTorch. Needs Linux on x86-64, NVIDIA's driver and python3;
# uses PyTorch and the CUDA toolkit where they are. The program `gpu` lies beside this script (build.sh makes the folder).
#
#   run.sh [OUTPUT FOLDER]       default: $OUT, else the repository's bench/results, else results beside this script
#
# Writes gpu-NAME.json and gpu-NAME.md, and the parts' own outputs into gpu-NAME.parts. A part that fails is reported and the
# others run all the same. Takes less than 9 minutes. Exit status: 0 if all checks passed, 1 if one failed or could not run.
# For rehearsals: REHEARSAL=1 does little of everything; PYTHON names another Python.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
gpu=$here/gpu
[ -x "$gpu" ] || gpu=$here/out/gpu
if ! [ -x "$gpu" ]; then
  echo "no program $here/gpu: make it with build.sh on a machine with Rust" >&2
  exit 1
fi
default=$here/results
[ -d "$here/../results" ] && default=$here/../results
out=${1:-${OUT:-$default}}
python=${PYTHON:-python3}
mkdir -p "$out" || exit 1

name=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1)
name=$(tr -cs 'A-Za-z0-9' '-' <<<"${name:-unknown}" | sed 's/^-//; s/-$//')
parts=$out/gpu-$name.parts
rm -rf "$parts"
mkdir -p "$parts" || exit 1

deadline=$((SECONDS + 510))
# part NAME SECONDS COMMAND...: its stdout and stderr into files, its exit status and seconds into a third.
part() {
  local part=$1 limit=$2 begin=$SECONDS left=$((deadline - SECONDS)) status
  shift 2
  [ "$limit" -lt "$left" ] || limit=$left
  echo "== $part" >&2
  if [ "$limit" -lt 5 ]; then
    echo "no time left" | tee "$parts/$part.err" >&2
    status=124
  else
    timeout -k 5 "$limit" "$@" >"$parts/$part.out" 2> >(tee "$parts/$part.err" >&2)
    status=$?
  fi
  echo "$status $((SECONDS - begin))" >"$parts/$part.status"
  [ "$status" -eq 0 ] || echo "== $part failed with $status" >&2
  return "$status"
}
# skip NAME REASON
skip() {
  echo "== $1 left out: $2" >&2
  echo "$2" >"$parts/$1.skipped"
}

quick=() train=() sums=() time=() side=() seconds=150
if [ -n "${REHEARSAL:-}" ]; then
  quick=(--quick --areas "wrappers,dense,loss,exchanges,miniature" --precisions bf16)
  train=(--steps 3 --batch 4 --precisions bf16)
  sums=(--mebibytes 1 --repeats 2)
  time=(--rehearse --batch 2 --repeats 1 --steps 1 --precisions bf16 --product 128 --copy-mib 8)
  side=(--side 128 --mebibytes 8) seconds=20
fi

{
  [ -z "${REHEARSAL:-}" ] || echo "rehearsal=yes"
  echo "date=$(date -u +%F)"
  echo "system=$(uname -sr)"
  echo "cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
  echo "cores=$(nproc)"
  echo "gpu=$(nvidia-smi --query-gpu=name,driver_version,power.limit,clocks.max.sm --format=csv,noheader 2>/dev/null | paste -sd ';')"
  echo "links=$(nvidia-smi topo -p2p r 2>/dev/null | tr -s '\n\t ' ' ' | cut -c 1-200)"
} >"$parts/machine.txt"

# The toolkit: for its version, and for compute-sanitizer.
nvcc=$(command -v nvcc || find /usr/local -maxdepth 3 -path '*cuda*/bin/nvcc' 2>/dev/null | sort -V | tail -n 1)
[ -z "$nvcc" ] || echo "nvcc=$("$nvcc" --version | sed -n 's/.*release //p')" >>"$parts/machine.txt"
sanitizer=$(command -v compute-sanitizer || { [ -z "$nvcc" ] || echo "$(dirname "$nvcc")/compute-sanitizer"; })

part check 150 "$gpu" check "${quick[@]}"

if [ -n "$sanitizer" ] && [ -x "$sanitizer" ]; then
  subset=(check --in-process --quick --precisions bf16)
  part memcheck 60 "$sanitizer" --tool memcheck --error-exitcode 9 "$gpu" "${subset[@]}" \
    --areas wrappers,convolutions,dense,pools,elementwise,loss,exchanges,miniature
  part racecheck 60 "$sanitizer" --tool racecheck --error-exitcode 9 "$gpu" "${subset[@]}" \
    --areas wrappers,dense,pools,loss,exchanges,miniature
else
  skip memcheck "compute-sanitizer, a tool of the CUDA toolkit, is not on this machine"
  skip racecheck "compute-sanitizer, a tool of the CUDA toolkit, is not on this machine"
fi

part train 60 "$gpu" train "${train[@]}"

# NCCL, where the machine has one: PyTorch brings its own along.
if [ -z "${REHEARSAL:-}${ILSVRC_NCCL:-}" ] && ! ldconfig -p 2>/dev/null | grep -q 'libnccl\.so\.2'; then
  found=$("$python" -c 'import nvidia.nccl as n, os; print(os.path.join(list(n.__path__)[0], "lib", "libnccl.so.2"))' 2>/dev/null)
  [ ! -e "$found" ] || export ILSVRC_NCCL=$found
fi
part sums 60 "$gpu" sums "${sums[@]}"

ceilings=()
torch=$("$python" -c 'import torch; print(torch.__version__)' 2>/dev/null)
if [ -n "$torch" ]; then
  if part ceilings 60 "$python" "$here/step.py" --ceilings "${side[@]}"; then
    mapfile -t ceilings < <("$python" "$here/report.py" --ceilings "$parts/ceilings.out")
  fi
else
  skip ceilings "PyTorch is not on this machine ($python): only our own kernels tell how fast the GPU is"
  skip step "PyTorch is not on this machine ($python): nothing to compare with"
fi
part time 120 "$gpu" time "${time[@]}" "${ceilings[@]}"
if [ -n "$torch" ]; then
  "$gpu" net >"$parts/net.json"
  left=$((deadline - SECONDS - 10))
  [ "$seconds" -lt "$left" ] || seconds=$left
  part step $((seconds + 10)) "$python" "$here/step.py" --net "$parts/net.json" --seconds "$seconds"
fi

if ! command -v python3 >/dev/null; then
  echo "no python3: the parts' outputs are in $parts, nobody puts them together" >&2
  exit 1
fi
python3 "$here/report.py" "$parts" "$out/gpu-$name"
