#!/bin/sh
# NVIDIA's SimReady profile Robotics-Prop over every dynamic asset of an exported scene.
#   tests/side/usd_simready.sh EXPORT_FOLDER
# In the environment simready (environments.sh; Python 3.12). Exit 1 when an asset does not pass.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:?usage: usd_simready.sh EXPORT_FOLDER}
python=$(sh "$here/environments.sh" simready)
list=$(mktemp)
trap 'rm -f "$list"' EXIT
for f in "$folder"/assets/*/usd/*.usd; do echo "$f"; done > "$list"
"$(dirname "$python")/simready-validate" --profile Robotics-Prop --version 4.0.0 --asset_list "$list" 2>/dev/null | tee "$list.said" |
    grep -E "^Asset|PASSED|FAILED|failing"
failed=$(grep -c "\[FAILED\]" "$list.said" || true)
passed=$(grep -c "\[PASSED\]" "$list.said" || true)
rm -f "$list.said"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
