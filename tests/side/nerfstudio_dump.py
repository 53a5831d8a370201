"""What phone2sim reads from a scene folder, for `nerfstudio_check.py`: python nerfstudio_dump.py SCENE WORK."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from phone2sim.config import write_json
from phone2sim.poses import Pose
from phone2sim.reconstruct.backends.nerfstudio import Nerfstudio, train_command, write_dataset
from phone2sim.reconstruct.cameras import Cameras, load_views
from phone2sim.reconstruct.points import read_points_ply
from phone2sim.reconstruct.splat.config import SplatConfig


def entry(data: Path, cameras: Cameras, points, colors, what: str, split: list[int] | None = None) -> dict:
    return {
        "data": str(data), "what": what, "split": split, "names": list(cameras.names), "points": points.tolist(), "colors": colors.tolist(),
        "T_world_camera": cameras.T_world_camera.tolist(), "K": cameras.K.tolist(), "size_wh": cameras.size_wh.tolist(),
        "distortion": cameras.distortion.tolist(),
    }  # fmt: skip


def main(scene: Path, work: Path) -> None:
    cameras = Cameras.load(scene / "cameras" / "transforms.json")
    points, colors = read_points_ply(scene / "cameras" / "points.ply")
    datasets = [entry(scene / "cameras", cameras, points, colors, "the scene folder itself")]
    images, pinhole = load_views(cameras, scene / "capture" / "frames", max_side=320)
    origin, held = pinhole.centres.mean(axis=0), list(range(0, len(pinhole), 8))
    unit = pinhole.transformed(0.5, Pose(-0.5 * origin, [1.0, 0, 0, 0]).matrix)
    masks: list = [None] * len(images)
    masks[1] = np.ones(images[1].shape[:2], bool)
    masks[1][:, :40] = False
    data = work / "dataset"
    write_dataset(data, images, unit, (points - origin) * 0.5, colors, held=held, masks=masks)
    written = Cameras.load(data / "transforms.json")
    split = [len(pinhole) - len(held), len(held)]
    datasets.append(entry(data, written, (points - origin) * 0.5, colors, "the backend's dataset", split))
    ns = Nerfstudio(train=Path("ns-train"), export=Path("ns-export"))
    command = train_command(ns, data, work / "out", SplatConfig(iterations=777))
    write_json(work / "expected.json", {"datasets": datasets, "command": command})


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]))
