"""The splat stage: `cameras/` and `capture/frames` of a scene folder → `splat/`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.config import write_json
from phone2sim.images import write_rgb
from phone2sim.reconstruct.cameras import Cameras, load_views
from phone2sim.reconstruct.points import read_points_ply
from phone2sim.reconstruct.splat.config import SplatConfig
from phone2sim.reconstruct.splat.train import train
from phone2sim.stage import StageResult, run_stage

VERSION = 1


def train_splat_stage(scene_dir: Path, config: SplatConfig, *, cameras_fingerprint: str, force: bool = False) -> StageResult:
    """Train on `scene_dir`'s cameras, points and frames; write `splat/{splat.ply, metrics.json, heldout/}`.

    The manifest's result has psnr, ssim, gaussians and seconds. Raises InputError when a file is missing and
    ReconstructionError when there are too few views or points.
    """

    def compute(folder: Path) -> dict[str, Any]:
        cameras = Cameras.load(scene_dir / "cameras" / "transforms.json")
        points, colors = read_points_ply(scene_dir / "cameras" / "points.ply")
        images, pinhole = load_views(cameras, scene_dir / "capture" / "frames", max_side=config.max_side)
        result = train(images, pinhole, points, colors, config=config)
        result.cloud.save_ply(folder / "splat.ply")
        write_json(folder / "metrics.json", result.metrics)
        photos = dict(zip(pinhole.names, images))
        for name, render in result.renders.items():
            write_rgb(folder / "heldout" / f"{Path(name).stem}_photo.png", photos[name])
            write_rgb(folder / "heldout" / f"{Path(name).stem}_render.png", np.clip(render, 0, 1))
        return {k: result.metrics[k] for k in ("psnr", "ssim", "gaussians", "seconds")}

    settings = config.model_dump(mode="json", exclude={"threads"})
    inputs = {"cameras": cameras_fingerprint}
    return run_stage(scene_dir / "splat", version=VERSION, config=settings, inputs=inputs, compute=compute, force=force)
