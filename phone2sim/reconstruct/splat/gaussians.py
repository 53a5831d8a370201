"""`Gaussians`: the cloud while it is optimised, as raw parameters with their Adam moments."""

from __future__ import annotations

from typing import Any

import numpy as np

from phone2sim._native import load
from phone2sim.reconstruct.splat.cloud import SH_C0, SplatCloud

GROUPS = ("means", "quats", "log_scales", "logits", "sh")


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def logit(p: Any) -> Any:
    return np.log(p / (1 - p))


class Gaussians:
    """n Gaussians: `means` (n, 3), `quats` (n, 4) wxyz, `log_scales` (n, 3), `logits` (n,), `sh` (n, k, 3), all float32."""

    def __init__(self, params: dict[str, np.ndarray], *, threads: int = 0) -> None:
        self.p = {k: np.ascontiguousarray(params[k], np.float32) for k in GROUPS}
        self.m = {k: np.zeros_like(v) for k, v in self.p.items()}
        self.v = {k: np.zeros_like(v) for k, v in self.p.items()}
        self.threads = threads
        self.kernels = load("splat")
        self._allocate()

    def _allocate(self) -> None:
        self.g = {k: np.zeros_like(v) for k, v in self.p.items()}
        self.screen = np.zeros(len(self), np.float32)
        self.visible = np.zeros(len(self), np.uint8)

    @classmethod
    def from_points(
        cls, points: np.ndarray, colors: np.ndarray, *, sh_degree: int, rng: np.random.Generator, threads: int = 0
    ) -> Gaussians:
        """One round Gaussian per point (p, 3) of colour (p, 3) uint8, as wide as the way to its neighbours."""
        from scipy.spatial import cKDTree

        n = len(points)
        distance = cKDTree(points).query(points, k=min(4, n))[0][:, 1:]
        size = np.sqrt((distance**2).mean(axis=1)) if n > 1 else np.full(n, 0.1)
        size = np.clip(size, 1e-4, np.percentile(size, 99))
        sh = np.zeros((n, (sh_degree + 1) ** 2, 3))
        sh[:, 0] = (colors / 255 - 0.5) / SH_C0
        return cls(
            {
                "means": points, "quats": rng.normal(size=(n, 4)), "log_scales": np.log(size)[:, None].repeat(3, axis=1),
                "logits": np.full(n, logit(np.float64(0.1))), "sh": sh,
            },
            threads=threads,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.p["means"])

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The five parameter arrays in the kernels' order."""
        return tuple(self.p[k] for k in GROUPS)

    def backward(self, raster, rgb: np.ndarray, grad_rgb: np.ndarray) -> None:
        """Fill `g`, `screen` and `visible` from the picture's gradient (3, h, w) after `raster.forward`."""
        raster.backward(rgb, grad_rgb, *self.arrays, **{f"g_{k}": self.g[k] for k in GROUPS}, g_screen=self.screen)
        raster.visible(self.visible)

    def step(self, rates: dict[str, np.ndarray], step: int) -> None:
        """One Adam step of the visible ones; `rates` has a learning rate per column of each group."""
        for k in GROUPS:
            self.kernels.adam(
                self.p[k], self.g[k], self.m[k], self.v[k], rates[k], self.visible, 0.9, 0.999, step, 1e-15, self.threads
            )

    def edit(self, keep: np.ndarray, copy: np.ndarray) -> None:
        """Keep by mask, then append copies (indices before the edit) with fresh moments."""
        for k in GROUPS:
            self.p[k] = np.concatenate([self.p[k][keep], self.p[k][copy]])
            for moments in (self.m, self.v):
                moments[k] = np.concatenate([moments[k][keep], np.zeros_like(self.p[k][: len(copy)])])
        self._allocate()

    def cloud(self, *, scale: float, origin: np.ndarray) -> SplatCloud:
        """The cloud in the world: p_world = origin + scale · p."""
        p = {k: v.astype(np.float64) for k, v in self.p.items()}
        return SplatCloud(
            means=origin + scale * p["means"],
            quats_wxyz=p["quats"] / np.maximum(np.linalg.norm(p["quats"], axis=1, keepdims=True), 1e-12),
            scales=scale * np.exp(p["log_scales"]), opacities=sigmoid(p["logits"]), sh=p["sh"],
        )  # fmt: skip
