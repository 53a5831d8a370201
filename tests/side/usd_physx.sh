#!/bin/sh
# The exported USD in real PhysX on the CPU: masses, rest, and the certificate's sliding trials, against MuJoCo.
#   tests/side/usd_physx.sh SCENE [VENV]
# Makes VENV (default .side/physx, about 1.3 GB) once. Its packages are under NVIDIA's own licences. PYTHON_PHONE2SIM names
# the Python that has phone2sim (default: this repository's .venv). Exit 1 when the engines disagree.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
scene=${1:?usage: usd_physx.sh SCENE [VENV]}
venv=${2:-"$here/../../.side/physx"}
phone2sim=${PYTHON_PHONE2SIM:-"$here/../../.venv/bin/python"}
if ! [ -e "$venv/ready" ]; then
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check 'ovphysx==0.7.0.*' 'physx-usd-schemas==25.11.*' newton-usd-schemas==0.6.0 numpy
    touch "$venv/ready"
fi
trials=$(mktemp)
trap 'rm -f "$trials"' EXIT
"$phone2sim" "$here/engine_trials.py" "$scene" > "$trials"
"$venv/bin/python" "$here/usd_physx.py" "$scene/export" "$trials"
