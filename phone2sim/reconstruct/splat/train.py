"""`train`: posed pictures and sparse points → `SplatCloud`, on the CPU, coarse to fine.

Gradients come from the C++ kernels; Gaussians are split where the picture pulls hardest (Kerbl et al. 2023, with the
draw of Kheradmand et al. 2024 instead of thresholds), and each training frame has its own gain and offset.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from phone2sim._native import load
from phone2sim.errors import ReconstructionError, ShapeError
from phone2sim.keys import Key
from phone2sim.progress import progress
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.splat.clean import clean
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.reconstruct.splat.config import SplatConfig
from phone2sim.reconstruct.splat.densify import densify
from phone2sim.reconstruct.splat.exposure import Exposure
from phone2sim.reconstruct.splat.gaussians import Gaussians
from phone2sim.reconstruct.splat.judge import judge
from phone2sim.reconstruct.splat.views import TrainingView, make_view

NEAR = 0.02  # camera extents
DENSIFY_EVERY = 100


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """A trained cloud in the cameras' world and what it was judged by."""

    cloud: SplatCloud
    metrics: dict[str, Any]
    """psnr, ssim, psnr_raw, psnr_corrected (means over held-out frames; see `judge`), train_psnr, gaussians, iterations,
    seconds, cpu_seconds, heldout [{name, psnr, ssim, psnr_raw, psnr_corrected}], history [{seconds, iteration, psnr …}]."""
    renders: dict[str, np.ndarray] = field(default_factory=dict)
    """Name of each held-out frame → its render (h, w, 3) float32, exposure interpolated."""


def train(
    images: list[np.ndarray],
    cameras: Cameras,
    points: np.ndarray,
    colors: np.ndarray,
    *,
    config: SplatConfig = SplatConfig(),  # noqa: B008
    masks: list[np.ndarray] | None = None,
    judge_every: float = 0,
) -> TrainResult:
    """Fit a cloud to undistorted pictures (h, w, 3) uint8 of pinhole `cameras`, from points (p, 3) [m] and their RGB.

    `masks`: (h, w) per picture, true where it counts. `judge_every` [s]: also record the held-out PSNR while training
    (the time it takes is left out of `seconds`). The unit of length does not matter: the world is scaled by the spread
    of the cameras. The result depends on the inputs and `config.seed` only, not on the number of threads.
    Raises ReconstructionError when there are too few views or points.
    """
    _check(images, cameras, points, colors, config)
    origin, scale = _normalisation(cameras)
    T = cameras.T_world_camera.copy()
    T[:, :3, 3] = (T[:, :3, 3] - origin) / scale
    T = np.linalg.inv(T)
    views = [
        make_view(name, images[i], cameras.K[i], T[i], None if masks is None else masks[i]) for i, name in enumerate(cameras.names)
    ]
    every = config.held_out_every
    held = [i for i in range(len(views)) if every and i % every == 0]
    kept = [i for i in range(len(views)) if not every or i % every]
    points = (np.asarray(points, np.float64) - origin) / scale
    trainer = Trainer(views, kept, held, points, np.asarray(colors), config)
    history = trainer.run(judge_every)
    gaussians = trainer.gaussians
    if config.prune:
        clean(gaussians, [views[i] for i in kept], points=points, rasterizer=trainer.rasterizer)
    metrics, renders = judge(trainer, held, kept)
    metrics |= {
        "gaussians": len(gaussians), "iterations": config.iterations, "seconds": round(trainer.clock.seconds, 2),
        "cpu_seconds": round(trainer.clock.cpu_seconds, 2), "history": history,
    }  # fmt: skip
    return TrainResult(cloud=gaussians.cloud(scale=scale, origin=origin), metrics=metrics, renders=renders)


class Clock:
    """Wall and processor time, with pauses."""

    def __init__(self) -> None:
        self._start, self._cpu, self._out, self._cpu_out = time.perf_counter(), time.process_time(), 0.0, 0.0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start - self._out

    @property
    def cpu_seconds(self) -> float:
        return time.process_time() - self._cpu - self._cpu_out

    def leave_out(self, work) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        self._out += time.perf_counter() - wall
        self._cpu_out += time.process_time() - cpu
        return result


class Trainer:
    """The state of one training run."""

    def __init__(
        self, views: list[TrainingView], kept: list[int], held: list[int], points: np.ndarray, colors: np.ndarray, config: SplatConfig
    ) -> None:
        self.views, self.kept, self.held, self.config = views, kept, held, config
        self.kernels = load("splat")
        self.key = Key(config.seed).child("splat")
        self.clock = Clock()
        self.exposure = Exposure(len(views), threads=config.threads)
        if len(points) > config.cap:
            points, colors = (a[self.key.child("thin").rng().permutation(len(points))[: config.cap]] for a in (points, colors))
        self.gaussians = Gaussians.from_points(
            points, colors, sh_degree=config.sh_degree, rng=self.key.child("init").rng(), threads=config.threads
        )
        self._rasterizers: dict[tuple[int, int], Any] = {}

    def rasterizer(self, width: int, height: int) -> Any:
        """The kernel object for a picture size, made once."""
        if (width, height) not in self._rasterizers:
            self._rasterizers[width, height] = self.kernels.Rasterizer(width, height, self.config.threads)
        return self._rasterizers[width, height]

    def render(self, view: TrainingView, level: int = 0, *, degree: int | None = None, background: np.ndarray | None = None) -> tuple:
        """Picture (3, h, w), and the rasterizer that made it."""
        l = view.levels[level]
        raster = self.rasterizer(l.target.shape[2], l.target.shape[1])
        rgb = raster.forward(
            *self.gaussians.arrays, K=l.K, T_camera_world=view.T_camera_world,
            background=np.zeros(3, np.float32) if background is None else background,
            degree=self.config.sh_degree if degree is None else degree, antialiased=self.config.antialiased, near=NEAR, depth=False,
        )[0]  # fmt: skip
        return rgb, raster

    def run(self, judge_every: float) -> list[dict[str, float]]:
        c, next_judge = self.config, judge_every
        order: list[int] = []
        history: list[dict[str, float]] = []
        shuffle = self.key.child("order").rng()
        pull, seen = np.zeros(len(self.gaussians)), np.zeros(len(self.gaussians))
        with progress("Training splat", total=c.iterations, unit="it") as bar:
            for it in range(c.iterations):
                t = it / c.iterations
                if not order:
                    order = list(shuffle.permutation(self.kept))
                index = int(order.pop())
                loss = self._iterate(index, t, it + 1)
                pull += self.gaussians.screen
                seen += self.gaussians.visible
                if (it + 1) % DENSIFY_EVERY == 0 and 0.04 < t < 0.75:
                    score = np.where(seen > 2, pull / np.maximum(seen, 1), 0)
                    rng = self.key.child("densify", it).rng()
                    densify(self.gaussians, score, grow=0.15, cap=c.cap, largest=1.0, rng=rng)
                    pull, seen = np.zeros(len(self.gaussians)), np.zeros(len(self.gaussians))
                bar.advance(1, note=f"loss {loss:.3f}, {len(self.gaussians)} Gaussians" if it % 20 == 0 else "")
                if judge_every and self.clock.seconds > next_judge:
                    psnr = self.clock.leave_out(lambda: judge(self, self.held, [])[0]["psnr"])
                    history.append(
                        {"seconds": round(self.clock.seconds, 1), "cpu_seconds": round(self.clock.cpu_seconds, 1), "iteration": it + 1,
                         "gaussians": len(self.gaussians), "psnr": psnr}
                    )  # fmt: skip
                    next_judge += judge_every
        return history

    def _iterate(self, index: int, t: float, step: int) -> float:
        c, g = self.config, self.gaussians
        level = 2 if t < c.quarter_until else 1 if t < c.half_until else 0
        view = self.views[index]
        l = view.levels[level]
        # A background that is never the same twice: nothing may stay transparent and borrow its colour from it.
        background = self.key.child("background", step).rng().random(3, dtype=np.float32)
        rgb, raster = self.render(view, level, degree=0 if t < 0.15 else c.sh_degree, background=background)
        grad = np.empty_like(rgb)
        gain, bias = self.exposure.of(index)
        loss, _, _, g_gain, g_bias = self.kernels.photometric_loss(
            rgb, l.picture, l.weight, gain, bias, c.ssim_share, grad, c.threads
        )
        g.backward(raster, rgb, grad)
        n = max(1, int(g.visible.sum()))
        self.kernels.regularise(
            g.p["log_scales"], g.p["logits"], g.g["log_scales"], g.g["logits"], g.visible, c.opacity_weight / n, c.flat_weight / n, c.threads
        )
        g.step(self._rates(t), step)
        if c.exposure and t > 0.05:
            self.exposure.step(index, np.array(g_gain), np.array(g_bias), t)
            if step % 50 == 0:
                self.exposure.centre(self.kept)
        return loss

    def _rates(self, t: float) -> dict[str, np.ndarray]:
        settle = 1.0 if t < 0.8 else 0.1 + 0.9 * (1 - t) / 0.2
        k = (self.config.sh_degree + 1) ** 2
        sh = np.full((k, 3), 5e-3 / 10)
        sh[0] = 5e-3
        rates = {
            "means": np.full(3, 6.4e-4 * 0.01**t), "quats": np.full(4, 2e-3 * settle), "log_scales": np.full(3, 1e-2 * settle),
            "logits": np.full(1, 0.1 * settle), "sh": sh.ravel() * settle,
        }  # fmt: skip
        return {name: r.astype(np.float32) for name, r in rates.items()}


def _normalisation(cameras: Cameras) -> tuple[np.ndarray, float]:
    centre = cameras.centres.mean(axis=0)
    spread = float(np.linalg.norm(cameras.centres - centre, axis=1).max()) * 1.1
    return centre, spread if spread > 0 else 1.0


def _check(images: list[np.ndarray], cameras: Cameras, points: np.ndarray, colors: np.ndarray, config: SplatConfig) -> None:
    if len(images) != len(cameras):
        raise ShapeError(f"train: {len(images)} pictures for {len(cameras)} cameras.")
    for im, (w, h), name in zip(images, cameras.size_wh, cameras.names):
        if im.shape != (h, w, 3) or im.dtype != np.uint8:
            raise ShapeError(f"train: {name} is {im.shape} {im.dtype}, its camera wants ({h}, {w}, 3) uint8.")
    if np.any(cameras.distortion):
        raise ShapeError("train: cameras must be pinhole; undistort with load_views.")
    if np.shape(points) != (len(points), 3) or np.shape(colors) != np.shape(points):
        raise ShapeError(f"train: expected points and colors (p, 3), got {np.shape(points)} and {np.shape(colors)}.")
    left = len(images) - (len(range(0, len(images), config.held_out_every)) if config.held_out_every else 0)
    if left < 2 or len(points) < 10:
        raise ReconstructionError(
            f"{left} training views and {len(points)} points are too few for a splat.", hint="Give at least 3 views and 10 points."
        )
