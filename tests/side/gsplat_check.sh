#!/bin/sh
# The C++ kernels against gsplat's own reference code, and the engine tests with torch, in an environment of its own
# (environments.sh gsplat). Needs no GPU: where there is a CUDA GPU and its torch is
# installed in it, the engine tests run on gsplat's CUDA kernels as well.
# usage: tests/side/gsplat_check.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
python=$(sh "$here/environments.sh" gsplat)
cd "$root"
"$python" "$here/gsplat_check.py"
exec "$python" -m pytest -q -p no:cacheprovider tests/reconstruct/backends tests/reconstruct/splat/test_spz.py
