#!/bin/sh
# NVIDIA's asset validator, every rule, and USD's own validators, over an exported scene.
#   tests/side/usd_check.sh EXPORT_FOLDER
# In the environment usd-validator (environments.sh). Exit 1 when anything is an error or a failure.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:?usage: usd_check.sh EXPORT_FOLDER}
python=$(sh "$here/environments.sh" usd-validator)
set -- "$folder/scene.usda"
[ -e "$folder/scene.usdz" ] && set -- "$@" "$folder/scene.usdz"
for f in "$folder"/assets/*/usd/*.usd "$folder"/assets/*/usd/splat/*.usd "$folder"/supports/*.usd "$folder"/background/*.usd; do
    [ -e "$f" ] && set -- "$@" "$f"
done
exec "$python" "$here/usd_validate.py" "$@"
