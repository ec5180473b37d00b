#!/bin/sh
# Builds the libjpeg-turbo that crates.io's turbojpeg-sys brings along, for fuzzing: its C code checked by AddressSanitizer
# and seen by libFuzzer's coverage (coverage.c). Writes libturbojpeg.a into the folder OUT. GCC 12 or newer.
#
#   fuzz/libjpeg.sh OUT
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
manifest=$(cargo metadata --format-version 1 --manifest-path "$here/Cargo.toml" |
  grep -o '"[^"]*turbojpeg-sys[^"]*/Cargo.toml"' | head -n 1 | tr -d '"')
# An empty function for the programs that cmake links to try the compiler; nothing of them is kept.
echo 'void __sanitizer_cov_trace_pc(void) {}' | gcc -c -x c - -o "$out/none.o"
cmake -S "$(dirname "$manifest")/libjpeg-turbo" -B "$out/build" -DENABLE_SHARED=OFF -DREQUIRE_SIMD=ON \
  -DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=RelWithDebInfo \
  -DCMAKE_C_FLAGS='-fsanitize=address -fsanitize-coverage=trace-pc' -DCMAKE_EXE_LINKER_FLAGS="$out/none.o"
cmake --build "$out/build" --target turbojpeg-static
gcc -O2 -c "$here/coverage.c" -o "$out/coverage.o"
# libFuzzer has a function of that name, which does nothing.
objcopy --redefine-sym __sanitizer_cov_trace_pc=libjpeg_reached "$out/build/libturbojpeg.a" "$out/libturbojpeg.a"
ar r "$out/libturbojpeg.a" "$out/coverage.o"
