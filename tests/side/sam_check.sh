#!/bin/sh
# The Segment Anything tests with the real packages, `segment-anything` and `sam2`, in an environment of its own
# (environments.sh sam). Needs no GPU and no weights: a small untrained model is saved and loaded through the
# package. torchvision is installed without its dependencies, so that a CPU torch stays; the tests replace its missing operator.
# usage: tests/side/sam_check.sh        (BASE: a site-packages folder with phone2sim, torch and pytest to share)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
python=$(sh "$here/environments.sh" sam)
cd "$root"
exec "$python" -m pytest -q --durations=5 -p no:cacheprovider tests/assets/segmenters
