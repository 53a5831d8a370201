#!/bin/sh
# The C++ kernels against gsplat's own reference code, and the engine tests with torch, in an environment of its own
# (ENVIRONMENT, default .side/gsplat; about 3.5 GB, made once). Needs no GPU: where there is a CUDA GPU and its torch is
# installed in ENVIRONMENT, the engine tests run on gsplat's CUDA kernels as well.
# usage: tests/side/gsplat_check.sh [ENVIRONMENT]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
environment=${1:-"$root/.side/gsplat"}
python=${PYTHON:-python3}

if [ ! -e "$environment/ready" ]; then
    "$python" -m venv "$environment"
    pip="$environment/bin/pip install --quiet --disable-pip-version-check"
    $pip torch==2.13.0
    $pip --no-deps gsplat==1.5.3
    $pip jaxtyping rich plyfile gsply pytest hypothesis
    $pip --editable "$root" --config-settings=build-dir="$environment/build"
    touch "$environment/ready"
fi
cd "$root"
"$environment/bin/python" "$here/gsplat_check.py"
exec "$environment/bin/python" -m pytest -q -p no:cacheprovider tests/reconstruct/backends tests/reconstruct/splat/test_spz.py
