#!/bin/sh
# Opens a scene folder, and the dataset that the nerfstudio backend makes of it, with the data parser of the real nerfstudio
# in an environment of its own (environments.sh nerfstudio), and compares poses,
# intrinsics, distortion and points with what phone2sim reads. Also lets the real `ns-train` read the backend's arguments.
# Training itself needs a CUDA GPU and is not done.
# usage: tests/side/nerfstudio_check.sh SCENE       (PHONE2SIM_PYTHON: a Python that has phone2sim)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
scene=${1:?usage: nerfstudio_check.sh SCENE}
python=$(sh "$here/environments.sh" nerfstudio)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PHONE2SIM_PYTHON:-python3}" "$here/nerfstudio_dump.py" "$scene" "$work"
"$python" "$here/nerfstudio_check.py" "$work"
