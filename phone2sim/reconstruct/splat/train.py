"""`train`: posed pictures and sparse points → `SplatCloud`, on the CPU, coarse to fine.

Gradients come from the C++ kernels; Gaussians are split where the picture pulls hardest (Kerbl et al. 2023, with the
draw of Kheradmand et al. 2024 instead of thresholds) or moved by MCMC; each training frame has its own gain and offset.
What runs on the processor or a GPU is behind `backend.Engine`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from phone2sim.errors import ReconstructionError, ShapeError
from phone2sim.keys import Key
from phone2sim.progress import progress
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.splat.backend import NEAR, Engine, Shot
from phone2sim.reconstruct.splat.clean import clean
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.reconstruct.splat.config import SplatConfig
from phone2sim.reconstruct.splat.cpu import CpuEngine
from phone2sim.reconstruct.splat.densify import densify, relocate
from phone2sim.reconstruct.splat.exposure import Exposure
from phone2sim.reconstruct.splat.gaussians import from_points, to_cloud
from phone2sim.reconstruct.splat.judge import judge
from phone2sim.reconstruct.splat.sky import Sky, directions_seen
from phone2sim.reconstruct.splat.views import DepthSamples, TrainingView, make_view, samples_of_depth, samples_of_points

DENSIFY_EVERY = 100
MEANS_RATE = 6.4e-4
NOISE = 80.0  # of MCMC, per learning rate of the means at its start

MakeEngine = Callable[[dict[str, np.ndarray], SplatConfig], Engine]


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
    masks: list[np.ndarray | None] | None = None,
    depths: list[np.ndarray | None] | None = None,
    observed: list[np.ndarray] | None = None,
    judge_every: float = 0,
    make_engine: MakeEngine = CpuEngine,
) -> TrainResult:
    """Fit a cloud to undistorted pictures (h, w, 3) uint8 of pinhole `cameras`, from points (p, 3) [m] and their RGB.

    `masks`: (h, w) per picture, true where it counts, or None for all. `depths`: (h', w') per picture, along the camera's z
    in the unit of `points`, 0 where unknown; `observed`: indices of the points each picture saw; both serve
    `config.depth_weight`. `judge_every` [s]: also record the held-out PSNR while training (the time it takes is left out of
    `seconds`). `make_engine`: the backend. The unit of length does not matter: the world is scaled by the spread
    of the cameras. The result depends on the inputs and `config.seed` only, not on the number of threads.
    Raises ReconstructionError when there are too few views or points.
    """
    _check(images, cameras, points, colors, config)
    origin, scale = _normalisation(cameras)
    T = cameras.T_world_camera.copy()
    T[:, :3, 3] = (T[:, :3, 3] - origin) / scale
    T = np.linalg.inv(T)
    points = (np.asarray(points, np.float64) - origin) / scale
    views = []
    for i, name in enumerate(cameras.names):
        samples = None
        if config.depth_weight > 0:
            samples = _known_depth(images[i], cameras.K[i], T[i], points, depths[i] if depths else None, observed[i] if observed else None, scale)
        views.append(make_view(name, images[i], cameras.K[i], T[i], None if masks is None else masks[i], samples))
    every = config.held_out_every
    held = [i for i in range(len(views)) if every and i % every == 0]
    kept = [i for i in range(len(views)) if not every or i % every]
    trainer = Trainer(views, kept, held, points, np.asarray(colors), config, make_engine)
    history = trainer.run(judge_every)
    if config.prune:
        clean(trainer.engine, [views[i] for i in kept], points=points)
    if trainer.sky is not None:
        trainer.hang_sky(points)
    metrics, renders = judge(trainer, held, kept)
    metrics |= {
        "gaussians": len(trainer.engine), "iterations": config.iterations, "seconds": round(trainer.clock.seconds, 2),
        "cpu_seconds": round(trainer.clock.cpu_seconds, 2), "history": history,
    }  # fmt: skip
    return TrainResult(cloud=to_cloud(trainer.engine.read(), scale=scale, origin=origin), metrics=metrics, renders=renders)


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
        self, views: list[TrainingView], kept: list[int], held: list[int], points: np.ndarray, colors: np.ndarray,
        config: SplatConfig, make_engine: MakeEngine = CpuEngine,
    ) -> None:  # fmt: skip
        self.views, self.kept, self.held, self.config = views, kept, held, config
        self.key = Key(config.seed).child("splat")
        self.clock = Clock()
        self.exposure = Exposure(len(views), threads=config.threads)
        self.sky = Sky() if config.background == "sky" else None
        if len(points) > config.cap:
            points, colors = (a[self.key.child("thin").rng().permutation(len(points))[: config.cap]] for a in (points, colors))
        start = from_points(points, colors, sh_degree=config.sh_degree, rng=self.key.child("init").rng())
        self.engine = make_engine(start, config)

    def render(self, view: TrainingView, level: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Picture (3, h, w) before exposure and transmittance (h, w), over black or the sky."""
        l = view.levels[level]
        background = np.zeros(3, np.float32) if self.sky is None else self.sky.picture(view, l)
        out = self.engine.render(view, level, degree=self.config.sh_degree, background=background)
        return out.rgb, out.transmittance

    def hang_sky(self, points: np.ndarray) -> None:
        """Append the sky to the cloud, as a sphere three times as far as anything, where training views saw it."""
        assert self.sky is not None
        p = self.engine.read()
        reach = np.linalg.norm(np.concatenate([p["means"], points]), axis=1) if len(p["means"]) else np.ones(1)
        seen = [directions_seen(v, v.levels[1], self.render(v, 1)[1]) for v in (self.views[i] for i in self.kept)]
        sphere = self.sky.sphere(seen, radius=3 * max(1.0, float(reach.max())), k=p["sh"].shape[1])
        source = np.concatenate([np.arange(len(p["means"])), np.full(len(sphere["means"]), -1)])
        self.engine.replace({k: np.concatenate([p[k], sphere[k]]) for k in p}, source)

    def _check_guesses(self) -> None:
        """Drop guessed depths that disagree with what has formed: points behind something that has none of its own."""
        background = np.zeros(3, np.float32)
        for i in self.kept:
            view = self.views[i]
            for k, level in enumerate(view.levels):
                if level.depth is not None and level.depth.guessed:
                    depth = self.engine.render(view, k, degree=0, background=background, geometry=True).depth_expected
                    view = view.with_depth(k, None if depth is None else level.depth.agreeing(depth))
            self.views[i] = view

    def run(self, judge_every: float) -> list[dict[str, float]]:
        c, next_judge = self.config, judge_every
        order: list[int] = []
        history: list[dict[str, float]] = []
        shuffle = self.key.child("order").rng()
        with progress("Training splat", total=c.iterations, unit="it") as bar:
            for it in range(c.iterations):
                t = it / c.iterations
                if not order:
                    order = list(shuffle.permutation(self.kept))
                index = int(order.pop())
                loss = self._iterate(index, t, it + 1)
                if (it + 1) % DENSIFY_EVERY == 0 and 0.04 < t < 0.75:
                    self._densify(self.key.child("densify", it).rng())
                bar.advance(1, note=f"loss {loss:.3f}, {len(self.engine)} Gaussians" if it % 20 == 0 else "")
                if judge_every and self.clock.seconds > next_judge:
                    psnr = self.clock.leave_out(lambda: judge(self, self.held, [])[0]["psnr"])
                    history.append(
                        {"seconds": round(self.clock.seconds, 1), "cpu_seconds": round(self.clock.cpu_seconds, 1), "iteration": it + 1,
                         "gaussians": len(self.engine), "psnr": psnr}
                    )  # fmt: skip
                    next_judge += judge_every
        return history

    def _densify(self, rng: np.random.Generator) -> None:
        if self.config.densify == "mcmc":
            change = relocate(self.engine.read(), grow=0.15, cap=self.config.cap, rng=rng)
        else:
            pull, seen = self.engine.pulls()
            score = np.where(seen > 2, pull / np.maximum(seen, 1), 0)
            change = densify(self.engine.read(), score, grow=0.15, cap=self.config.cap, largest=1.0, rng=rng)
        self.engine.replace(*change)

    def _iterate(self, index: int, t: float, step: int) -> float:
        c, view = self.config, self.views[index]
        level = 2 if t < c.quarter_until else 1 if t < c.half_until else 0
        l = view.levels[level]
        gain, bias = self.exposure.of(index)
        clear = None
        if self.sky is None:
            # A background that is never the same twice: nothing may stay transparent and borrow its colour from it.
            background = self.key.child("background", step).rng().random(3, dtype=np.float32)
        else:
            background = self.sky.picture(view, l)
            if c.sky_weight > 0:
                clear = self.sky.likeness(view, l) * np.float32(c.sky_weight)
        surface = t >= c.geometry_from
        if surface and c.depth_weight > 0 and view.guesses_depth:
            self._check_guesses()
            view = self.views[index]
        outcome = self.engine.backward(
            Shot(
                view=view, level=level, degree=0 if t < 0.15 else c.sh_degree, background=background, gain=gain, bias=bias,
                ssim_share=c.ssim_share, opacity_weight=c.opacity_weight, scale_weight=c.scale_weight, flat_weight=c.flat_weight,
                depth_weight=c.depth_weight if surface else 0, normal_weight=c.normal_weight if surface else 0, clear=clear,
            )
        )  # fmt: skip
        rates = self._rates(t)
        self.engine.step(rates, step)
        if c.densify == "mcmc":
            self.engine.jitter(NOISE * float(rates["means"][0]) / MEANS_RATE, int(self.key.child("noise", step).rng().integers(2**63)))
        if self.sky is not None and outcome.g_background is not None:
            self.sky.step(view, l, outcome.g_background, t)
        if c.exposure and t > 0.05:
            self.exposure.step(index, outcome.g_gain, outcome.g_bias, t)
            if step % 50 == 0:
                self.exposure.centre(self.kept)
        return outcome.loss

    def _rates(self, t: float) -> dict[str, np.ndarray]:
        settle = 1.0 if t < 0.8 else 0.1 + 0.9 * (1 - t) / 0.2
        k = (self.config.sh_degree + 1) ** 2
        sh = np.full((k, 3), 5e-3 / 10)
        sh[0] = 5e-3
        rates = {
            "means": np.full(3, MEANS_RATE * 0.01**t), "quats": np.full(4, 2e-3 * settle), "log_scales": np.full(3, 1e-2 * settle),
            "logits": np.full(1, 0.1 * settle), "sh": sh.ravel() * settle,
        }  # fmt: skip
        return {name: r.astype(np.float32) for name, r in rates.items()}


def _known_depth(
    image: np.ndarray, K: np.ndarray, T_camera_world: np.ndarray, points: np.ndarray,
    depth: np.ndarray | None, observed: np.ndarray | None, scale: float,
) -> DepthSamples:  # fmt: skip
    """What is known of a picture's depth, in the normalised world: measured, else the sparse points it saw or may have seen."""
    h, w = image.shape[:2]
    if depth is not None:
        return samples_of_depth(depth / scale, w, h)
    if observed is not None:
        return samples_of_points(points[observed], K, T_camera_world, w, h, near=NEAR, cell=None)
    return samples_of_points(points, K, T_camera_world, w, h, near=NEAR)


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
