#!/bin/sh
# Fuzzes each TARGET (all of them, if none is named) for SECONDS, from its seeds and regressions; needs cargo-fuzz.
#
#   fuzz/run.sh SECONDS [TARGET...]
set -eu
seconds=$1
shift
cd "$(dirname "$0")/.."
[ -f fuzz/libjpeg/libturbojpeg.a ] || fuzz/libjpeg.sh fuzz/libjpeg
# Sanitizers are not stable yet; a stable compiler has them all the same.
export RUSTC_BOOTSTRAP=1 TURBOJPEG_SOURCE=explicit TURBOJPEG_LIB_DIR="$PWD/fuzz/libjpeg"
targets=${*:-$(cargo fuzz list)}
for target in $targets; do
  mkdir -p "fuzz/corpus/$target" "fuzz/regressions/$target"
  cargo fuzz run --dev "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" "fuzz/regressions/$target" -- \
    -max_total_time="$seconds" -rss_limit_mb=1024 -malloc_limit_mb=300
done
