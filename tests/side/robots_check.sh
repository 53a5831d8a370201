#!/bin/sh
# Real arms: unpacks the robot files of the robosuite package (157 MB, not installed, nothing kept in the repository) and
# measures how many attempts two of them complete in a scene. Not part of continuous integration: the download, and minutes.
# usage: tests/side/robots_check.sh SCENE [EPISODES]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
scene=${1:?usage: robots_check.sh SCENE [EPISODES]}
episodes=${2:-20}
python=${PYTHON:-$root/.venv/bin/python}
work=${WORK:-${TMPDIR:-/tmp}/phone2sim-robots}
mkdir -p "$work"
[ -e "$work"/robosuite-*.whl ] || "$python" -m pip download -q --no-deps -d "$work" robosuite==1.5.2
models=$work/robosuite/models/assets
[ -d "$models" ] || "$python" -m zipfile -e "$work"/robosuite-*.whl "$work"
for pair in panda+panda_gripper sawyer+rethink_gripper; do
    robot=$models/robots/${pair%+*}/robot.xml+$models/grippers/${pair#*+}.xml
    for task in place stack; do
        echo "== $pair: $task"
        "$python" "$root/benchmarks/yield.py" "$scene" --episodes "$episodes" --robot "$robot" --task "$task"
    done
done
