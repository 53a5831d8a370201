#!/bin/sh
# The Segment Anything tests with the real `segment-anything` package, in an environment of its own (ENVIRONMENT, default
# .side/sam; about 1.5 GB, made once). Needs no GPU and no weights: a small untrained model is saved and loaded through the
# package. torchvision is installed without its dependencies, so that a CPU torch stays; the tests replace its missing operator.
# usage: tests/side/sam_check.sh [ENVIRONMENT]        (BASE: a site-packages folder with phone2sim, torch and pytest to share)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
environment=${1:-"$root/.side/sam"}
python=${PYTHON:-python3}

if [ ! -e "$environment/ready" ]; then
    "$python" -m venv "$environment"
    pip="$environment/bin/pip install --quiet --disable-pip-version-check"
    if [ -n "${BASE:-}" ]; then
        echo "import site; site.addsitedir('$BASE')" > "$("$environment/bin/python" -c 'import site; print(site.getsitepackages()[0])')/base.pth"
    else
        $pip torch==2.13.0 pytest hypothesis
        $pip --editable "$root" --config-settings=build-dir="$environment/build"
    fi
    $pip --no-deps segment-anything==1.0 torchvision==0.28.0
    touch "$environment/ready"
fi
cd "$root"
exec "$environment/bin/python" -m pytest -q --durations=5 -p no:cacheprovider tests/assets/segmenters
