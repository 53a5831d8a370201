#!/bin/sh
# An exported scene in Isaac Lab 3, without Kit, on its Newton backend and the CPU: masses, rest, randomisation.
#   tests/side/isaaclab_check.sh SCENE
# Exports the package first. Its environment is made once (environments.sh isaaclab: Python 3.12, 7.8 GB, ten minutes); a run
# takes about 80 s of processor time, most of it compiling. PHONE2SIM names the program (default: this repository's .venv).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
scene=${1:?usage: isaaclab_check.sh SCENE}
python=$(sh "$here/environments.sh" isaaclab)
package=$("${PHONE2SIM:-"$here/../../.venv/bin/phone2sim"}" export "$scene" --to isaaclab --json |
    "$python" -c 'import json, sys; print(json.load(sys.stdin)["isaaclab"])')
exec "$python" "$here/isaaclab_check.py" "$package" "$scene/scene"
