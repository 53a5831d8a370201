#!/bin/sh
# The twin certificate with every engine's opinion on the exported USD, each engine in an environment of its own.
#   tests/side/engines_check.sh SCENE [ENGINE ...]       default: physx newton mujoco-usd
# The environments are made once (environments.sh); Newton's first run compiles for a minute. PhysX is under NVIDIA's own
# licence. PHONE2SIM names the program (default: this repository's .venv). Exit code of `phone2sim check`: 1 when a gate fails.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
scene=${1:?usage: engines_check.sh SCENE [ENGINE ...]}
shift
[ $# -gt 0 ] || set -- physx newton mujoco-usd
list=mujoco
for engine in "$@"; do
    name=$(echo "$engine" | tr 'a-z-' 'A-Z_')
    export "PHONE2SIM_${name}_PYTHON=$(sh "$here/environments.sh" "$engine")"
    list="$list,$engine"
done
exec "${PHONE2SIM:-"$here/../../.venv/bin/phone2sim"}" check "$scene" --engines "$list"
