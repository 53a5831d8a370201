#!/bin/sh
# Makes the environment of a third-party judge, once, and prints the path of its Python.
#   tests/side/environments.sh NAME
# Environments lie in $PHONE2SIM_SIDE (default .side/ of this repository). PYTHON names the Python they are made with; those
# that need 3.12 look for one themselves, PYTHON312 names it. A half-made environment is made again.
#
#   name           size    what it judges
#   usd-validator  0.5 GB  omniverse-asset-validator with every rule, and USD's own validators
#   simready       0.5 GB  SimReady profile Robotics-Prop (Python 3.12)
#   usd-gsplat     0.4 GB  NVIDIA's converter from PLY to particle fields
#   newton         1.1 GB  Newton's USD importer, solver and ray tracer
#   mujoco-usd     0.3 GB  MuJoCo's own USD reader
#   physx          1.3 GB  PhysX 5 on the CPU
#   isaaclab       7.8 GB  Isaac Lab 3 on its Newton backend (Python 3.12)
#   lerobot        1.5 GB  LeRobot's loader
#   nerfstudio     3.0 GB  nerfstudio's data parser
#   gsplat         3.5 GB  gsplat's reference code, with phone2sim
#   sam            1.5 GB  segment-anything and sam2, with phone2sim (BASE: a site-packages folder with phone2sim and torch to share)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
name=${1:?usage: environments.sh NAME}
side=${PHONE2SIM_SIDE:-"$root/.side"}
venv="$side/$name"
python=${PYTHON:-python3}

find312() {
    for p in "${PYTHON312:-}" "$python" python3.12 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.12.*/bin/python; do
        if [ -n "$p" ] && "$p" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' >/dev/null 2>&1; then
            echo "$p"
            return
        fi
    done
    echo "environments: $name needs Python 3.12; name one in PYTHON312" >&2
    exit 3
}

pip() {
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2
}

with_phone2sim() {
    pip --editable "$root" --config-settings=build-dir="$venv/build"
}

if ! [ -e "$venv/ready" ]; then
    case $name in
    simready | isaaclab) python=$(find312) ;;
    esac
    rm -rf "$venv"
    mkdir -p "$side"
    "$python" -m venv "$venv" >&2
    case $name in
    usd-validator) pip omniverse-asset-validator==1.18.0 usd-core==26.11 ;;
    simready) pip simready-validate==2026.8.0 simready-foundation-tier-core==2026.8.0 ;;
    usd-gsplat) pip usd-convert-gsplat==0.1.15 usd-core==26.11 numpy ;;
    newton) pip 'newton[sim]==1.8.0' usd-core==26.8 newton-usd-schemas==0.6.0 scipy trimesh requests ;;
    mujoco-usd) pip mujoco-usd==4.0.0 numpy ;;
    isaaclab) pip isaaclab==3.0.0 ;;
    physx) pip 'ovphysx==0.7.0.*' 'physx-usd-schemas==25.11.*' newton-usd-schemas==0.6.0 numpy ;;
    lerobot)
        pip torch==2.13.0
        # The loader alone: its own list of requirements would bring simulators and a GPU stack.
        pip --no-deps lerobot==0.4.4 torchvision==0.28.0 torchcodec==0.13.0
        pip psutil 'datasets<5' 'huggingface-hub<0.36' 'av<16' jsonlines einops draccus==0.10.0 deepdiff termcolor imageio \
            accelerate safetensors packaging
        ;;
    nerfstudio)
        pip torch==2.13.0 torchvision==0.28.0
        pip nerfstudio==1.1.5
        ;;
    gsplat)
        pip torch==2.13.0
        pip --no-deps gsplat==1.5.3
        pip jaxtyping rich plyfile gsply pytest hypothesis
        with_phone2sim
        ;;
    sam)
        if [ -n "${BASE:-}" ]; then
            echo "import site; site.addsitedir('$BASE')" > "$("$venv/bin/python" -c 'import site; print(site.getsitepackages()[0])')/base.pth"
        else
            pip torch==2.13.0 pytest hypothesis
            with_phone2sim
        fi
        pip --no-deps segment-anything==1.0 torchvision==0.28.0
        pip wheel hydra-core==1.3.2 iopath
        SAM2_BUILD_CUDA=0 pip --no-deps --no-build-isolation sam2==1.1.0
        ;;
    *)
        echo "environments: no environment '$name'; have usd-validator, simready, usd-gsplat, newton, mujoco-usd, physx, isaaclab, lerobot, nerfstudio, gsplat, sam" >&2
        rm -rf "$venv"
        exit 2
        ;;
    esac
    touch "$venv/ready"
fi
echo "$(cd "$venv" && pwd)/bin/python"
