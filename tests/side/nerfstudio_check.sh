#!/bin/sh
# Opens a scene folder, and the dataset that the nerfstudio backend makes of it, with the data parser of the real nerfstudio
# in an environment of its own (ENVIRONMENT, default .side/nerfstudio; about 3 GB, made once), and compares poses,
# intrinsics, distortion and points with what phone2sim reads. Also lets the real `ns-train` read the backend's arguments.
# Training itself needs a CUDA GPU and is not done.
# usage: tests/side/nerfstudio_check.sh SCENE [ENVIRONMENT]       (PHONE2SIM_PYTHON: a Python that has phone2sim)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
scene=${1:?usage: nerfstudio_check.sh SCENE [ENVIRONMENT]}
environment=${2:-"$here/../../.side/nerfstudio"}
python=${PYTHON:-python3}

if [ ! -e "$environment/ready" ]; then
    "$python" -m venv "$environment"
    pip="$environment/bin/pip install --quiet --disable-pip-version-check"
    $pip torch==2.13.0 torchvision==0.28.0
    $pip nerfstudio==1.1.5
    touch "$environment/ready"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PHONE2SIM_PYTHON:-python3}" "$here/nerfstudio_dump.py" "$scene" "$work"
"$environment/bin/python" "$here/nerfstudio_check.py" "$work"
