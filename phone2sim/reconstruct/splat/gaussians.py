"""Raw parameters of Gaussians while they are optimised: dicts by the names in `backend.GROUPS`, all float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from phone2sim.reconstruct.splat.backend import GROUPS
from phone2sim.reconstruct.splat.cloud import SH_C0, SplatCloud

__all__ = ["GROUPS", "from_points", "logit", "sigmoid", "to_cloud"]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def logit(p: Any) -> Any:
    return np.log(p / (1 - p))


def from_points(
    points: np.ndarray, colors: np.ndarray, *, sh_degree: int, rng: np.random.Generator, opacity: float = 0.1
) -> dict[str, np.ndarray]:
    """One round Gaussian per point (p, 3) of colour (p, 3) uint8, as wide as the way to its neighbours."""
    from scipy.spatial import cKDTree

    n = len(points)
    distance = cKDTree(points).query(points, k=min(4, n))[0][:, 1:]
    size = np.sqrt((distance**2).mean(axis=1)) if n > 1 else np.full(n, 0.1)
    size = np.clip(size, 1e-4, np.percentile(size, 99))
    sh = np.zeros((n, (sh_degree + 1) ** 2, 3))
    sh[:, 0] = (colors / 255 - 0.5) / SH_C0
    params = {
        "means": points, "quats": rng.normal(size=(n, 4)), "log_scales": np.log(size)[:, None].repeat(3, axis=1),
        "logits": np.full(n, logit(np.float64(opacity))), "sh": sh,
    }  # fmt: skip
    return {k: np.ascontiguousarray(v, np.float32) for k, v in params.items()}


def to_cloud(params: dict[str, np.ndarray], *, scale: float, origin: np.ndarray) -> SplatCloud:
    """The cloud in the world: p_world = origin + scale · p."""
    p = {k: v.astype(np.float64) for k, v in params.items()}
    return SplatCloud(
        means=origin + scale * p["means"],
        quats_wxyz=p["quats"] / np.maximum(np.linalg.norm(p["quats"], axis=1, keepdims=True), 1e-12),
        scales=scale * np.exp(p["log_scales"]), opacities=sigmoid(p["logits"]), sh=p["sh"],
    )  # fmt: skip
