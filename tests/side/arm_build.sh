#!/usr/bin/env bash
# The splatting kernels under every compiler at hand: GCC for the baseline and for x86-64-v3, Clang, and AArch64 under
# qemu. Builds tests/side/kernels.cpp (no Python) and demands the same numbers of each, to 1 part in 1000.
#
#   tests/side/arm_build.sh [FOLDER]      what is built goes there; a temporary folder otherwise
#
# Debian packages: g++ clang libomp-dev g++-aarch64-linux-gnu qemu-user. What is not installed is named and skipped.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
src=$root/phone2sim/_native/src
out=${1:-$(mktemp -d)}
flags="-std=c++20 -O3 -fno-math-errno -fno-trapping-math -Wall -Wextra -Wno-psabi -fopenmp"
cores="$src/project.cpp $src/raster.cpp $src/loss.cpp $src/optimise.cpp"

build() { # name, command to run it with, compiler and flags
  local name=$1 with=$2
  shift 2
  if ! command -v "$1" >/dev/null || { [ -n "$with" ] && ! command -v "${with%% *}" >/dev/null; }; then
    echo "$name: skipped, needs $1 ${with%% *}"
    return
  fi
  "$@" $flags -I"$src" "$root/tests/side/kernels.cpp" $cores -o "$out/kernels_$name"
  $with "$out/kernels_$name" >"$out/$name.txt" || { echo "$name: failed"; cat "$out/$name.txt"; exit 1; }
  echo "$name: ran"
}

case $(uname -m) in
  x86_64)
    build gcc "" g++
    if grep -qw avx2 /proc/cpuinfo; then build gcc_v3 "" g++ -march=x86-64-v3; fi
    build clang "" clang++
    build arm "qemu-aarch64 -L /usr/aarch64-linux-gnu" aarch64-linux-gnu-g++
    ;;
  *)
    build gcc "" g++
    build clang "" clang++
    ;;
esac
python3 - "$out" <<'PY'
import pathlib, re, sys
runs = {p.stem: [re.findall(r"-?\d[\d.e+-]*", l) for l in p.read_text().splitlines() if " ms" not in l] for p in sorted(pathlib.Path(sys.argv[1]).glob("*.txt"))}
first, *others = runs
for name in others:
    worst = max(abs(float(a) - float(b)) / max(abs(float(b)), 1e-12) for x, y in zip(runs[name], runs[first], strict=True) for a, b in zip(x, y, strict=True))
    print(f"{name} against {first}: {worst:.1e}")
    assert worst < 1e-3, "the builds disagree"
PY
