#!/bin/sh
# The twin certificate with Newton's second opinion, Newton in an environment of its own.
#   tests/side/newton_check.sh SCENE
# Its environment is made once (environments.sh newton); Newton's first run compiles for a minute or two. PHONE2SIM names the
# program (default: this repository's .venv). Exit code of `phone2sim check`: 1 when a gate fails.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
scene=${1:?usage: newton_check.sh SCENE}
PHONE2SIM_NEWTON_PYTHON=$(sh "$here/environments.sh" newton)
export PHONE2SIM_NEWTON_PYTHON
exec "${PHONE2SIM:-"$here/../../.venv/bin/phone2sim"}" check "$scene" --newton
