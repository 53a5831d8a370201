"""Photo against picture: the scene drawn from cameras of the capture, as episodes draw it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.assets.scene import Scene
from phone2sim.augment.lighting import sample_lighting
from phone2sim.augment.recipe import load_recipe
from phone2sim.augment.spec import CameraSpec, PoseSpec, SensorSpec
from phone2sim.images import write_rgb
from phone2sim.keys import Key
from phone2sim.poses import Pose
from phone2sim.reconstruct.cameras import load_views
from phone2sim.reconstruct.splat.judge import psnr, ssim


@dataclass(frozen=True, kw_only=True)
class Look:
    """One camera of the capture."""

    name: str
    psnr: float
    """[dB] over the picture, under one gain and offset a channel: exposure changes while filming."""
    ssim: float
    objects: dict[str, float]
    """Asset → PSNR [dB] over the pixels that show it, same correction; only where it covers 100 pixels."""


def compare(scene: Scene, scene_dir: Path, folder: Path, *, views: int, max_side: int) -> list[Look]:
    """Draw the scene at `views` captured cameras spread over the capture, held-out ones first choice.

    Writes `<frame>_photo.png` and `<frame>_twin.png` into `folder`.
    """
    from phone2sim.sim_export.render import EpisodeRenderer, RenderPart

    held = {p.stem.removesuffix("_photo") for p in (scene_dir / "splat" / "heldout").glob("*_photo.png")}
    all_names = [Path(n).stem for n in scene.cameras.names]
    candidates = [i for i, n in enumerate(all_names) if n in held] or list(range(len(all_names)))
    chosen = [candidates[i] for i in np.unique(np.linspace(0, len(candidates) - 1, min(views, len(candidates))).astype(int))]
    photos, cameras = load_views(scene.cameras.take(chosen), scene_dir / "capture" / "frames", max_side=max_side)
    lights = sample_lighting(scene.light, load_recipe("none").lighting, Key(0), up=np.array([0.0, 0.0, 1.0]))
    specs = []
    for i in range(len(cameras)):
        pose = Pose.from_matrix(cameras.T_world_camera[i])
        specs.append(
            CameraSpec(
                name=all_names[chosen[i]], K=_rows(cameras.K[i]), width=int(cameras.size_wh[i, 0]),
                height=int(cameras.size_wh[i, 1]),
                pose=PoseSpec(translation=tuple(pose.translation), quat_wxyz=tuple(pose.quat_wxyz)),
            )
        )  # fmt: skip
    renderer = EpisodeRenderer(
        background=scene.background, lights=lights, cameras=specs, sensor=SensorSpec(), key=Key(0), threads=0,
        parts=[RenderPart(name=a.name, mesh=a.visual, double_sided=False) for a in scene.assets],
        support_height_m=scene.supports[0].height_m if scene.supports else 0.0,
    )  # fmt: skip
    poses = np.stack([a.T_world_asset.matrix for a in scene.assets]) if scene.assets else np.zeros((0, 4, 4))
    pictures, truth = renderer.frame(poses, 0), renderer.masks_depth(poses)
    folder.mkdir(parents=True, exist_ok=True)
    looks = []
    for spec, photo in zip(specs, photos, strict=True):
        drawn = pictures[spec.name]
        write_rgb(folder / f"{spec.name}_photo.png", photo)
        write_rgb(folder / f"{spec.name}_twin.png", drawn)
        a, b = (np.ascontiguousarray(x.transpose(2, 0, 1), np.float32) / 255 for x in (drawn, photo))
        a = exposed_like(a, b)
        part = truth[spec.name].part
        shown = {n: part == k for k, n in enumerate(renderer.names)}
        looks.append(
            Look(
                name=spec.name, psnr=round(psnr(a, b), 3), ssim=round(ssim(a, b), 4),
                objects={n: round(psnr(a[:, m], b[:, m]), 3) for n, m in shown.items() if m.sum() >= 100},
            )
        )  # fmt: skip
    return looks


def _rows(K: np.ndarray) -> Any:
    return tuple(tuple(float(x) for x in row) for row in K)


def exposed_like(picture: np.ndarray, target: np.ndarray) -> np.ndarray:
    """`picture` (3, h, w) in 0–1 under the gain and offset of each channel that bring it nearest `target`."""
    out = np.empty_like(picture)
    for c in range(3):
        x, y = picture[c].astype(np.float64), target[c].astype(np.float64)
        gain = ((x - x.mean()) * (y - y.mean())).mean() / max(x.var(), 1e-9)
        gain = float(np.clip(gain, 0.5, 2.0))
        out[c] = np.clip(gain * (x - x.mean()) + y.mean(), 0, 1)
    return out
