"""`CpuEngine`: the C++ kernels behind the trainer. The same bits at any thread count.

Memory in bytes, for n Gaussians with k spherical harmonics, E tile entries (each Gaussian once per tile of 32 × 16 px it
touches), P pixels of a picture and F training pictures (`memory` counts the first three of one engine):

    16 n (11 + 3 k)      parameters, gradients and Adam's two moments
    105 n + 55 E         what is known on screen; 117 n + 85 E with depth or normal terms
    40 P                 the pictures of one iteration; 100 P with those terms
    4 F P                the photos at three resolutions; 9.2 F P with masks
"""

from __future__ import annotations

from typing import Any

import numpy as np

from phone2sim._native import load
from phone2sim.reconstruct.splat.backend import GROUPS, NEAR, Outcome, Rendered, Shot
from phone2sim.reconstruct.splat.cloud import SH_C0
from phone2sim.reconstruct.splat.config import SplatConfig
from phone2sim.reconstruct.splat.views import Level, TrainingView


class CpuEngine:
    """See `backend.Engine`."""

    def __init__(self, params: dict[str, np.ndarray], config: SplatConfig) -> None:
        self.kernels: Any = load("splat")
        self.threads, self.antialiased = config.threads, config.antialiased
        self.p = {k: np.array(params[k], np.float32, order="C") for k in GROUPS}
        self.m = {k: np.zeros_like(v) for k, v in self.p.items()}
        self.v = {k: np.zeros_like(v) for k, v in self.p.items()}
        self._rasterizers: dict[tuple[int, int], Any] = {}
        self._allocate()

    def _allocate(self) -> None:
        self.g = {k: np.zeros_like(v) for k, v in self.p.items()}
        self.screen = np.zeros(len(self), np.float32)
        self.visible = np.zeros(len(self), np.uint8)
        self._pull, self._seen = np.zeros(len(self)), np.zeros(len(self), np.int32)

    def __len__(self) -> int:
        return len(self.p["means"])

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The five parameter arrays in the kernels' order."""
        return tuple(self.p[k] for k in GROUPS)

    def rasterizer(self, width: int, height: int) -> Any:
        """The kernel object for a picture size, made once."""
        if (width, height) not in self._rasterizers:
            self._rasterizers[width, height] = self.kernels.Rasterizer(width, height, self.threads)
        return self._rasterizers[width, height]

    def _forward(self, view: TrainingView, level: int, degree: int, background: np.ndarray, geometry: bool) -> tuple[Rendered, Any]:
        l = view.levels[level]
        raster = self.rasterizer(l.target.shape[2], l.target.shape[1])
        out = raster.forward(
            *self.arrays, K=l.K, T_camera_world=view.T_camera_world, background=np.ascontiguousarray(background, np.float32),
            degree=degree, antialiased=self.antialiased, near=NEAR, depth=geometry, normals=geometry,
        )  # fmt: skip
        return Rendered(rgb=out[0], transmittance=out[1], depth_median=out[2], depth_expected=out[3], normals=out[4]), raster

    def render(
        self, view: TrainingView, level: int = 0, *, degree: int, background: np.ndarray, geometry: bool = False
    ) -> Rendered:
        return self._forward(view, level, degree, background, geometry)[0]

    def backward(self, shot: Shot) -> Outcome:
        level = shot.view.levels[shot.level]
        depth_weight = shot.depth_weight if level.depth is not None else 0.0
        geometry = depth_weight > 0 or shot.normal_weight > 0
        image, raster = self._forward(shot.view, shot.level, shot.degree, shot.background, geometry)
        grad = np.empty_like(image.rgb)
        loss, _, _, g_gain, g_bias = self.kernels.photometric_loss(
            image.rgb, level.picture, level.weight, shot.gain, shot.bias, shot.ssim_share, grad, self.threads
        )
        extra: dict[str, np.ndarray | None] = {}
        if geometry:
            assert image.depth_expected is not None and image.normals is not None
            g_depth, g_normals = np.zeros_like(image.depth_expected), np.zeros_like(image.normals)
            if depth_weight > 0:
                _depth_loss(image, level, depth_weight, g_depth)
            if shot.normal_weight > 0:
                raster.normal_loss(image.depth_expected, image.transmittance, image.normals, shot.normal_weight, g_depth, g_normals)
                extra |= {"normals": image.normals, "grad_normals": g_normals}
            extra |= {"depth": image.depth_expected, "grad_depth": g_depth, "transmittance": image.transmittance}
        if shot.clear is not None:
            extra["grad_transmittance"] = np.ascontiguousarray(shot.clear * np.float32(-1 / shot.clear.size), np.float32)
            extra["transmittance"] = image.transmittance
        g = self.g
        raster.backward(image.rgb, grad, *self.arrays, **{f"g_{k}": g[k] for k in GROUPS}, g_screen=self.screen, **extra)
        raster.visible(self.visible)
        self._pull += self.screen
        self._seen += self.visible
        n = max(1, int(np.count_nonzero(self.visible)))
        self.kernels.regularise(
            self.p["log_scales"], self.p["logits"], g["log_scales"], g["logits"], self.visible,
            shot.opacity_weight / n, shot.scale_weight / n, shot.flat_weight / n, self.threads,
        )  # fmt: skip
        per_pixel = np.ndim(shot.background) == 3
        return Outcome(
            loss=loss, g_gain=np.array(g_gain), g_bias=np.array(g_bias),
            g_background=grad * image.transmittance if per_pixel else None,
        )  # fmt: skip

    def step(self, rates: dict[str, np.ndarray], step: int) -> None:
        for k in GROUPS:
            self.kernels.adam(
                self.p[k], self.g[k], self.m[k], self.v[k], rates[k], self.visible, 0.9, 0.999, step, 1e-15, self.threads
            )

    def jitter(self, size: float, seed: int) -> None:
        p = self.p
        self.kernels.jitter(p["means"], p["quats"], p["log_scales"], p["logits"], self.visible, size, seed, self.threads)

    @property
    def memory(self) -> int:
        """Bytes held, without the pictures."""
        arrays: list[np.ndarray] = [self.screen, self.visible, self._pull, self._seen]
        for group in (self.p, self.g, self.m, self.v):
            arrays += group.values()
        return sum(a.nbytes for a in arrays) + sum(int(r.bytes) for r in self._rasterizers.values())

    def pulls(self) -> tuple[np.ndarray, np.ndarray]:
        return self._pull, self._seen

    def contributions(self, view: TrainingView, level: int = 1) -> np.ndarray:
        """The derivative of a grey picture's sum by its Gaussians' colours."""
        l = view.levels[level]
        raster = self.rasterizer(l.target.shape[2], l.target.shape[1])
        arrays = (*self.arrays[:4], np.zeros((len(self), 1, 3), np.float32))
        black = np.zeros(3, np.float32)
        rgb = raster.forward(
            *arrays, K=l.K, T_camera_world=view.T_camera_world, background=black, degree=0, antialiased=self.antialiased, near=NEAR
        )[0]
        grads = {f"g_{k}": np.empty_like(a) for k, a in zip(GROUPS, arrays)}
        raster.backward(rgb, np.ones_like(rgb), *arrays, **grads, g_screen=np.empty(len(self), np.float32))
        return np.asarray(grads["g_sh"][:, 0, 0] / np.float32(SH_C0))

    def read(self) -> dict[str, np.ndarray]:
        return {k: v.copy() for k, v in self.p.items()}

    def replace(self, params: dict[str, np.ndarray], source: np.ndarray) -> None:
        old, fresh = np.maximum(source, 0), source < 0
        for k in GROUPS:
            self.p[k] = np.array(params[k], np.float32, order="C")
            for moments in (self.m, self.v):
                kept = moments[k][old] if len(moments[k]) else np.zeros_like(self.p[k])
                kept[fresh] = 0
                moments[k] = kept
        self._allocate()


def _depth_loss(image: Rendered, level: Level, weight: float, g_depth: np.ndarray) -> None:
    """Adds the derivative of the depth term of `Shot`."""
    assert level.depth is not None and image.depth_expected is not None
    s = level.depth
    on = image.transmittance.ravel()[s.pixels] < 0.5
    error = image.depth_expected.ravel()[s.pixels] - s.depth
    total = max(float(s.confidence.sum()), 1e-9)
    g_depth.ravel()[s.pixels] += np.where(on, np.sign(error) * s.confidence / s.depth * np.float32(weight / total), 0)
