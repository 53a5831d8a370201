#!/bin/sh
# NVIDIA's asset validator, every rule, and USD's own validators, over an exported scene, or over episodes (DATASET/usd).
#   tests/side/usd_check.sh EXPORT_FOLDER
# In the environment usd-validator (environments.sh). Exit 1 when anything is an error or a failure.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:?usage: usd_check.sh EXPORT_FOLDER}
python=$(sh "$here/environments.sh" usd-validator)
set --
for f in "$folder"/scene.usd[az] "$folder"/episode_*.usd[ac] "$folder"/robot/*.usd \
    "$folder"/assets/*/usd/*.usd "$folder"/assets/*/usd/splat/*.usd "$folder"/supports/*.usd "$folder"/background/*.usd; do
    [ -e "$f" ] && set -- "$@" "$f"
done
exec "$python" "$here/usd_validate.py" "$@"
