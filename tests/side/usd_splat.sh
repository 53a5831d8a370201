#!/bin/sh
# The splats in an exported USD against two of NVIDIA's programs: its converter from PLY must give the same arrays, and
# Newton's ray tracer the same picture as our own renderer.
#   tests/side/usd_splat.sh SCENE
# In the environments usd-gsplat and newton (environments.sh). PYTHON_PHONE2SIM names the Python that has phone2sim (default:
# this repository's .venv). Exit 1 when an array differs by more than 1e-5 or a picture has less than 26 dB.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
scene=${1:?usage: usd_splat.sh SCENE}
phone2sim=${PYTHON_PHONE2SIM:-"$here/../../.venv/bin/python"}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
converter=$(sh "$here/environments.sh" usd-gsplat)
newton=$(sh "$here/environments.sh" newton)
for ply in "$scene"/scene/*/splat.ply; do
    name=$(basename "$(dirname "$ply")")
    case $name in
    background) ours="$scene/export/background/splat.usd" ;;
    *) ours="$scene/export/assets/$name/usd/splat/${name}_splat.usd" ;;
    esac
    "$(dirname "$converter")/usd-convert-gsplat" -i "$ply" -o "$work/$name.usdc" --up-axis Z > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    "$converter" "$here/usd_splat.py" arrays "$ours" "$work/$name.usdc"
    [ "$name" = background ] && continue
    "$phone2sim" "$here/usd_splat.py" draw "$ours" "$work/$name.npz"
    "$newton" "$here/usd_splat.py" trace "$ours" "$work/$name.npz"
done
