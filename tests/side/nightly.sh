#!/bin/sh
# The judges that are too large or too slow for every change: every engine on a scene, and Isaac Lab.
#   tests/side/nightly.sh [SCENE]      default: makes the demo's scene in ./demo first (minutes)
# Newton compiles for minutes on a new machine, Isaac Lab is 7.8 GB and wants Python 3.12; PhysX and MuJoCo's own USD reader
# are in every run of .ci/run already. Exit 1 when any of them fails.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
scene=${1:-}
if [ -z "$scene" ]; then
    make --no-print-directory -C "$here/../.." demo
    scene="$here/../../demo/scene"
fi
failed=0
"$here/engines_check.sh" "$scene" || failed=1
"$here/isaaclab_check.sh" "$scene" || failed=1
exit $failed
