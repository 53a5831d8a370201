"""The splat stage: `cameras/` and `capture/` of a scene folder → `splat/`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.config import write_json
from phone2sim.images import write_rgb
from phone2sim.progress import message
from phone2sim.reconstruct.backends.choose import choose_backend, settled, train_with
from phone2sim.reconstruct.cameras import Cameras, load_views
from phone2sim.reconstruct.capture.record import Capture
from phone2sim.reconstruct.points import read_points_ply
from phone2sim.reconstruct.splat.config import SplatConfig
from phone2sim.reconstruct.splat.layers import load_depths, load_masks, load_tracks
from phone2sim.stage import StageResult, run_stage

VERSION = 3
WHITE_ERROR = 0.25
"""Difference of colour (0–1, mean over channels) that is white in the error pictures."""


def train_splat_stage(scene_dir: Path, config: SplatConfig, *, cameras_fingerprint: str, force: bool = False) -> StageResult:
    """Train on `scene_dir`'s cameras, points, frames, masks and depth; write `splat/{splat.ply, metrics.json, heldout/}`.

    `heldout/` has `<frame>_photo.png`, `_render.png` and `_error.png` of every held-out frame; what a mask hides is grey
    in the last. The manifest's result has psnr, ssim, gaussians, seconds and backend. Raises InputError when a file is
    missing, ReconstructionError when there are too few views or points, MissingDependencyError when the backend cannot run.
    """

    def compute(folder: Path) -> dict[str, Any]:
        choice = choose_backend(config)
        message(f"Splat training: {choice.name} ({choice.why}).")
        chosen = settled(config, choice)
        cameras = Cameras.load(scene_dir / "cameras" / "transforms.json")
        points, colors = read_points_ply(scene_dir / "cameras" / "points.ply")
        captured = scene_dir / "capture"
        capture = Capture.load(captured) if (captured / "capture.json").exists() else None
        images, pinhole = load_views(cameras, captured / "frames", max_side=chosen.max_side)
        masks = load_masks(cameras, capture, max_side=chosen.max_side)
        depths = load_depths(cameras, capture) if chosen.depth_weight > 0 else None
        tracks = load_tracks(scene_dir / "cameras" / "sparse" / "0", cameras, points) if chosen.depth_weight > 0 else None
        result = train_with(
            choice, images, pinhole, points, colors, config=chosen, masks=masks, depths=depths, observed=tracks
        )
        result.cloud.save_ply(folder / "splat.ply")
        write_json(folder / "metrics.json", result.metrics)
        for i, name in enumerate(pinhole.names):
            if name in result.renders:
                _write_heldout(folder / "heldout", Path(name).stem, images[i], result.renders[name], masks[i] if masks else None)
        return {**{k: result.metrics[k] for k in ("psnr", "ssim", "gaussians", "seconds")}, "backend": choice.name}

    settings = config.model_dump(mode="json", exclude={"threads", "nerfstudio_env"})
    inputs = {"cameras": cameras_fingerprint}
    return run_stage(scene_dir / "splat", version=VERSION, config=settings, inputs=inputs, compute=compute, force=force)


def _write_heldout(folder: Path, stem: str, photo: np.ndarray, render: np.ndarray, mask: np.ndarray | None) -> None:
    shown = np.clip(render, 0, 1)
    write_rgb(folder / f"{stem}_photo.png", photo)
    write_rgb(folder / f"{stem}_render.png", shown)
    error = heat(np.abs(shown - photo / np.float32(255)).mean(axis=2) / WHITE_ERROR)
    if mask is not None:
        error[np.asarray(mask) < 0.5] = 0.5
    write_rgb(folder / f"{stem}_error.png", error)


def heat(value: np.ndarray) -> np.ndarray:
    """(h, w, 3) colours from black over purple and orange to white for `value` (h, w) in 0–1, held to that range."""
    stops = np.array([[0, 0, 0], [0.35, 0.07, 0.43], [0.85, 0.27, 0.2], [0.99, 0.75, 0.25], [1, 1, 1]])
    x = np.clip(value, 0, 1) * (len(stops) - 1)
    return np.stack([np.interp(x, np.arange(len(stops)), stops[:, c]) for c in range(3)], axis=2).astype(np.float32)
