#!/bin/sh
# The exported USD in real PhysX on the CPU: masses, rest, and the certificate's sliding trials, against MuJoCo.
#   tests/side/usd_physx.sh SCENE
# In the environment physx (environments.sh), whose packages are under NVIDIA's own licences. PYTHON_PHONE2SIM names
# the Python that has phone2sim (default: this repository's .venv). Exit 1 when the engines disagree.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
scene=${1:?usage: usd_physx.sh SCENE}
phone2sim=${PYTHON_PHONE2SIM:-"$here/../../.venv/bin/python"}
python=$(sh "$here/environments.sh" physx)
trials=$(mktemp)
trap 'rm -f "$trials"' EXIT
"$phone2sim" "$here/engine_trials.py" "$scene" > "$trials"
"$python" "$here/usd_physx.py" "$scene/export" "$trials"
