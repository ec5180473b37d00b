#!/bin/sh
# Builds everything that `run.sh` needs on a machine with a GPU into bench/gpu/out: copy that folder there.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root"
cargo build --release -p ilsvrc-gpu-bench
mkdir -p "$here/out"
target=$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
cp "$target/release/gpu" "$here/run.sh" "$here/step.py" "$here/report.py" "$root/bench/peers/pytorch/net.py" "$here/out/"

# What the binary asks of that machine: the driver is loaded when it runs, everything else must be on any glibc of 2021.
binary="$here/out/gpu"
size=$(wc -c <"$binary")
[ "$size" -lt 60000000 ] || { echo "the binary has $size bytes; 60 MB is the most" >&2; exit 1; }
if command -v objdump >/dev/null; then
  others=$(objdump -p "$binary" | awk '$1 == "NEEDED" { print $2 }' | grep -vE '^(libc\.so\.6|libm\.so\.6|libgcc_s\.so\.1|ld-linux-x86-64\.so\.2)$' || true)
  [ -z "$others" ] || { echo "the binary needs $others" >&2; exit 1; }
  newest=$(objdump -T "$binary" | grep -oE 'GLIBC_[0-9.]+' | sort -uV | tail -n 1)
  [ "$(printf '%s\nGLIBC_2.34\n' "$newest" | sort -V | tail -n 1)" = GLIBC_2.34 ] || { echo "the binary needs $newest" >&2; exit 1; }
fi
echo "bench/gpu/out is ready ($((size / 1000000)) MB): copy it to a machine with a GPU and start run.sh there"
