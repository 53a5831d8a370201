#!/bin/sh
# The twin certificate with Newton's second opinion, Newton in an environment of its own.
#   tests/side/newton_check.sh SCENE [VENV]
# Makes VENV (default .side/newton, about 1.1 GB) once; Newton's first run compiles for a minute or two. PHONE2SIM names the
# program (default: this repository's .venv). Exit code of `phone2sim check`: 1 when a gate fails.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
scene=${1:?usage: newton_check.sh SCENE [VENV]}
venv=${2:-"$here/../../.side/newton"}
if ! [ -e "$venv/ready" ]; then
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check 'newton[sim]==1.8.0' usd-core==26.8 newton-usd-schemas==0.6.0 \
        scipy trimesh requests
    touch "$venv/ready"
fi
venv=$(cd "$venv" && pwd)
PHONE2SIM_NEWTON_PYTHON="$venv/bin/python"
export PHONE2SIM_NEWTON_PYTHON
exec "${PHONE2SIM:-"$here/../../.venv/bin/phone2sim"}" check "$scene" --newton
