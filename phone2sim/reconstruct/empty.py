"""The empty clip: the same place filmed again without the objects, its frames posed among the scene's own cameras."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.config import Config
from phone2sim.errors import InputError
from phone2sim.progress import message
from phone2sim.reconstruct.cameras import Cameras, evenly
from phone2sim.reconstruct.capture.config import CaptureConfig
from phone2sim.reconstruct.capture.ingest import ingest, source_inputs
from phone2sim.reconstruct.capture.record import Capture, Frame
from phone2sim.reconstruct.sfm.child import run_worker
from phone2sim.reconstruct.sfm.config import SfmConfig
from phone2sim.reconstruct.sfm.job import Group, Job, Posed
from phone2sim.reconstruct.sfm.model import read_model
from phone2sim.reconstruct.sfm.solve import clear, scratch
from phone2sim.stage import StageResult, identity, read_manifest, run_stage

VERSION = 1
AGAIN = "Film the same place again in the same light, with only the objects taken away."
PLACED = 1 / 3
"""Least share of the frames that must fit the scene."""


class EmptyConfig(Config):
    """How the frames of an empty clip are chosen and matched."""

    max_frames: int = 32
    """Most frames kept of the clip."""
    cameras: int = 32
    """The scene's own frames that they are matched with, spread evenly over the capture."""
    neighbours: int = 6
    """Of these, the most similar ones to each frame."""
    seed: int = 0
    """Seed of every random choice."""


def empty_stage(source: Path, scene: Path, config: EmptyConfig | None = None, *, force: bool = False) -> StageResult:
    """A clip or photos of the place without its objects → `scene/empty`: frames, `transforms.json` in the scene's world.

    The scene's own cameras stay as they are. Raises `InputError` for a scene of a single photo and for pictures that do not fit the
    scene, `CaptureError` for a source that cannot be used.
    """
    config = config or EmptyConfig()
    solved = read_manifest(scene / "cameras")
    if solved is None:
        raise InputError(f"{scene} has no finished cameras/ stage.", hint="Run: phone2sim build CAPTURE -o SCENE")
    frames = CaptureConfig(max_frames=config.max_frames, min_photos=1)
    inputs = {**source_inputs(source, frames), "cameras": identity(solved)}

    def compute(folder: Path) -> dict[str, Any]:
        own = Cameras.load(scene / "cameras" / "transforms.json")
        if len(own) < 3:
            raise InputError("The scene is of a single photo: an empty clip has nothing to fit.", hint="Film the scene, too.")
        capture = ingest(source, folder, frames)
        placed = place(own, scene / "capture" / "frames", capture, config)
        n, total = len(placed), len(capture.frames)
        if n < max(min(3, total), PLACED * total):
            some = f"only {n} of its {total} frames fit" if n else f"none of its {total} frames fits"
            raise InputError(f"{source.name} does not show this scene: {some}.", hint=AGAIN)
        if n < total:
            message(f"Empty clip: {n} of {total} frames fit the scene.")
        placed.save(folder / "transforms.json", frames="frames", ply="../cameras/points.ply")
        return {"frames": total, "placed": n}

    return run_stage(scene / "empty", version=VERSION, config=config, inputs=inputs, compute=compute, force=force)


def place(own: Cameras, pictures: Path, capture: Capture, config: EmptyConfig) -> Cameras:
    """The frames of `capture` that fit the world of the cameras `own`, whose `pictures` are in that folder, posed in it.

    They take the lens of the cameras with pictures of their size, else its focal length is estimated.
    """
    some = own.take(evenly(len(own), config.cameras))
    there = {f"own/{n}": T for n, T in zip(some.names, some.T_world_camera)}
    new = {f"new/{f.file}": f for f in capture.frames}
    work = scratch()
    try:
        (work / "frames").mkdir()
        (work / "frames" / "own").symlink_to(pictures.absolute(), target_is_directory=True)
        (work / "frames" / "new").symlink_to(capture.pictures.absolute(), target_is_directory=True)
        sfm = SfmConfig()
        job = Job(
            frames=str(work / "frames"), work=str(work), names=(*there, *new), ordered=False, method="placed", seed=config.seed,
            groups=(*_lenses(some), *_expected(own, list(capture.frames))), max_side=sfm.max_side, max_features=sfm.max_features,
            first_octave=0, all_pairs=False, overlap=0, loops=0, neighbours=config.neighbours, threads=os.cpu_count() or 1,
            posed=tuple(Posed(name=n, T_world_camera=tuple(map(tuple, T.tolist()))) for n, T in there.items()),
        )  # fmt: skip
        run_worker(job, work, time_limit_s=sfm.time_limit_s)
        found = read_model(work / "model.npz", {**{n: n for n in there}, **{n: f.source for n, f in new.items()}}).cameras
    finally:
        clear(work)
    fit = found.take([i for i, n in enumerate(found.names) if n in new])
    return Cameras(
        T_world_camera=fit.T_world_camera, K=fit.K, size_wh=fit.size_wh, distortion=fit.distortion,
        names=tuple(n.removeprefix("new/") for n in fit.names), sources=fit.sources,
    )  # fmt: skip


def _lenses(cameras: Cameras) -> list[Group]:
    """The lenses as they were solved, each with its frames."""
    rows = np.column_stack([cameras.size_wh, cameras.K[:, 0, 0], cameras.K[:, 1, 1], cameras.K[:, :2, 2], cameras.distortion])
    out = []
    for lens in np.unique(rows, axis=0):
        names = [f"own/{n}" for n, row in zip(cameras.names, rows) if (row == lens).all()]
        out.append(_group(names, lens))
    return out


def _expected(own: Cameras, frames: list[Frame]) -> list[Group]:
    """Lenses of new pictures: the median one of the scene's pictures of the same size, else the same field of view."""
    out = []
    for w, h in sorted({(f.width, f.height) for f in frames}):
        same = (own.size_wh == [w, h]).all(axis=1)
        k = same if same.any() else np.ones(len(own), bool)
        scale = 1.0 if same.any() else max(w, h) / float(np.median(own.size_wh.max(axis=1)))
        focal = scale * np.median(own.K[k][:, [0, 1], [0, 1]], axis=0)
        centre = np.median(own.K[k][:, :2, 2], axis=0) if same.any() else np.array([w / 2, h / 2])
        names = [f"new/{f.file}" for f in frames if (f.width, f.height) == (w, h)]
        out.append(_group(names, np.array([w, h, *focal, *centre, *np.median(own.distortion[k], axis=0)])))
    return out


def _group(names: list[str], lens: np.ndarray) -> Group:
    """`lens` is w h fx fy cx cy k1 k2 p1 p2."""
    w, h, fx, fy, cx, cy, k1, k2, p1, p2 = (float(v) for v in lens)
    return Group(
        names=tuple(names), width=int(w), height=int(h), focal_px=fx, prior=True, lens=(fx, fy, cx, cy), distortion=(k1, k2, p1, p2)
    )
