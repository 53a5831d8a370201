"""A scene folder, and the dataset the nerfstudio backend writes, opened by the real nerfstudio.

Run by `nerfstudio_check.sh` in its own environment. The expected values come from phone2sim's own reader, dumped before by
`nerfstudio_dump.py` in phone2sim's environment. Exit 1 when anything differs.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np
from torchvision_stub import prepare_torchvision

warnings.filterwarnings("ignore")


def check(data: Path, expected: dict, what: str, **options) -> bool:
    from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig

    config = NerfstudioDataParserConfig(
        data=data, orientation_method="none", center_method="none", auto_scale_poses=False, load_3D_points=True,
        downscale_factor=1, eval_mode="all", **options,
    )  # fmt: skip
    parser = config.setup()
    parts = [parser.get_dataparser_outputs(split=s) for s in (("train", "val") if expected["split"] else ("train",))]
    names = [p.name for part in parts for p in part.image_filenames]
    assert all(p.exists() for part in parts for p in part.image_filenames)
    order = [expected["names"].index(n) for n in names]
    ours = {k: np.array(expected[k])[order] for k in ("T_world_camera", "K", "size_wh", "distortion")}

    def joined(field: str) -> np.ndarray:
        return np.concatenate([np.asarray(getattr(part.cameras, field)) for part in parts])

    gl = np.diag([1.0, -1.0, -1.0, 1.0])
    poses = np.tile(np.eye(4), (len(names), 1, 1))
    poses[:, :3] = joined("camera_to_worlds")
    K = np.zeros((len(names), 3, 3))
    for field, (i, j) in {"fx": (0, 0), "fy": (1, 1), "cx": (0, 2), "cy": (1, 2)}.items():
        K[:, i, j] = joined(field)[:, 0]
    K[:, 2, 2] = 1
    theirs = joined("distortion_params")  # k1 k2 k3 k4 p1 p2
    size = np.concatenate([joined("width"), joined("height")], axis=1)
    points = parts[0].metadata["points3D_xyz"].numpy()
    figures = {
        "poses": np.abs(poses @ gl - ours["T_world_camera"]).max(),
        "intrinsics [px]": np.abs(K - ours["K"]).max(),
        "distortion": np.abs(theirs[:, [0, 1, 4, 5]] - ours["distortion"]).max() + np.abs(theirs[:, 2:4]).max(),
        "size [px]": float(np.abs(size - ours["size_wh"]).max()),
        "points": np.abs(points - np.array(expected["points"])).max(),
        "colours": float(np.abs(parts[0].metadata["points3D_rgb"].numpy().astype(int) - np.array(expected["colors"])).max()),
        "world": np.abs(np.asarray(parts[0].dataparser_transform) - np.eye(4)[:3]).max() + abs(parts[0].dataparser_scale - 1),
    }
    limit = {"poses": 1e-5, "intrinsics [px]": 1e-3, "distortion": 1e-6, "size [px]": 0, "points": 1e-5, "colours": 1, "world": 0}
    masks = [m for part in parts for m in (part.mask_filenames or [])]
    good = all(figures[k] <= limit[k] for k in limit) and len(masks) in (0, len(names)) and all(m.exists() for m in masks)
    good &= not expected["split"] or [len(p.image_filenames) for p in parts] == expected["split"]
    print(f"{what}: {len(names)} frames, {len(points)} points, {len(masks)} masks; largest differences:")
    print("  " + ", ".join(f"{k} {v:.1e}" for k, v in figures.items()), "" if good else "  DIFFERS")
    return good


def check_command(command: list[str]) -> bool:
    """The real `ns-train` understands the arguments the backend gives it."""
    import tyro
    from nerfstudio.configs.method_configs import AnnotatedBaseConfigUnion

    config = tyro.cli(AnnotatedBaseConfigUnion, args=command[1:])
    parser = config.pipeline.datamanager.dataparser
    good = parser.orientation_method == parser.center_method == "none" and not parser.auto_scale_poses
    good &= parser.load_3D_points and config.pipeline.model.camera_optimizer.mode == "off" and config.vis == "tensorboard"
    good &= config.max_num_iterations == 777 and config.get_base_dir().name == "run"
    print(f"ns-train {command[1]} with {len(command) - 2} arguments: {'understood' if good else 'NOT understood'}")
    return good


def main() -> int:
    prepare_torchvision()
    from importlib.metadata import version

    print(f"nerfstudio {version('nerfstudio')}, torch {version('torch')}")
    work = Path(sys.argv[1])
    expected = json.loads((work / "expected.json").read_text())
    good = all([check(Path(e["data"]), e, e["what"]) for e in expected["datasets"]])
    good &= check_command(expected["command"])
    print("nerfstudio_check: agree" if good else "nerfstudio_check: DIFFER")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
