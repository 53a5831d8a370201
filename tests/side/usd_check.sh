#!/bin/sh
# NVIDIA's asset validator, every rule, and USD's own validators, over an exported scene.
#   tests/side/usd_check.sh EXPORT_FOLDER [VENV]
# Makes VENV (default .side/usd-validator, about 0.5 GB) once. Exit 1 when anything is an error or a failure.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:?usage: usd_check.sh EXPORT_FOLDER [VENV]}
venv=${2:-"$here/../../.side/usd-validator"}
if ! [ -e "$venv/ready" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q omniverse-asset-validator==1.18.0 usd-core==26.11
    touch "$venv/ready"
fi
set -- "$folder/scene.usda"
[ -e "$folder/scene.usdz" ] && set -- "$@" "$folder/scene.usdz"
for f in "$folder"/assets/*/*.usd "$folder"/supports/*.usd "$folder"/background/*.usd; do
    [ -e "$f" ] && set -- "$@" "$f"
done
exec "$venv/bin/python" "$here/usd_validate.py" "$@"
