#!/bin/sh
# Opens a dataset with the real LeRobot loader, in an environment of its own (ENVIRONMENT, default .side/lerobot).
# Not part of continuous integration: the environment is 1.5 GB, takes two minutes, and needs a system package.
# Needs FFmpeg's shared libraries (Debian: apt-get install ffmpeg).
# usage: tests/side/lerobot_check.sh DATASET [ENVIRONMENT]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dataset=${1:?usage: lerobot_check.sh DATASET [ENVIRONMENT]}
environment=${2:-"$here/../../.side/lerobot"}
python=${PYTHON:-python3}

if [ ! -e "$environment/ready" ]; then
    "$python" -m venv "$environment"
    pip="$environment/bin/pip install --quiet --disable-pip-version-check"
    $pip torch==2.13.0 || { echo "lerobot_check: torch 2.13.0 could not be installed" >&2; exit 3; }
    # The loader alone: its own list of requirements would bring simulators and a GPU stack.
    $pip --no-deps lerobot==0.4.4 torchvision==0.28.0 torchcodec==0.13.0
    $pip psutil 'datasets<5' 'huggingface-hub<0.36' 'av<16' jsonlines einops draccus==0.10.0 deepdiff termcolor imageio \
        accelerate safetensors packaging
    touch "$environment/ready"
    du -sm "$environment" | awk '{print "lerobot_check: environment of " $1 " MB"}'
fi
exec "$environment/bin/python" "$here/lerobot_check.py" "$dataset"
