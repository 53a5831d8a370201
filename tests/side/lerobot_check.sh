#!/bin/sh
# Opens a dataset with the real LeRobot loader, in an environment of its own (environments.sh lerobot).
# Not part of continuous integration: the environment is 1.5 GB, takes two minutes, and needs a system package.
# Needs FFmpeg's shared libraries (Debian: apt-get install ffmpeg).
# usage: tests/side/lerobot_check.sh DATASET
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dataset=${1:?usage: lerobot_check.sh DATASET}
python=$(sh "$here/environments.sh" lerobot)
exec "$python" "$here/lerobot_check.py" "$dataset"
