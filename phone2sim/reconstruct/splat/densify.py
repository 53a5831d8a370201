"""Where Gaussians are added and removed while training."""

from __future__ import annotations

import numpy as np

from phone2sim.poses import quat_to_matrix
from phone2sim.reconstruct.splat.gaussians import Gaussians, logit, sigmoid

MIN_OPACITY = 0.01


def densify(g: Gaussians, score: np.ndarray, *, grow: float, cap: int, largest: float, rng: np.random.Generator) -> None:
    """Drop the faint and the huge, then split up to `grow · n` drawn by `score` (n,), never beyond `cap`.

    A split Gaussian becomes two, moved apart along a draw from itself, smaller, and each as opaque as keeps the
    pair's opacity at its centre: 1 - (1 - o')² = o.
    """
    n = len(g)
    opacity = sigmoid(g.p["logits"].astype(np.float64))
    size = np.exp(g.p["log_scales"].max(axis=1))
    keep = (opacity > MIN_OPACITY) & (size < largest)
    weight = np.where(keep & np.isfinite(score), score, 0).astype(np.float64)
    count = int(min(cap - keep.sum(), grow * n, (weight > 0).sum()))
    if count <= 0:
        g.edit(keep, np.zeros(0, np.intp))
        return
    split = np.sort(rng.choice(n, count, replace=False, p=weight / weight.sum()))
    q = g.p["quats"][split].astype(np.float64)
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    draw = np.exp(g.p["log_scales"][split].astype(np.float64)) * rng.normal(size=(count, 3))
    offset = (0.35 * np.einsum("nij,nj->ni", quat_to_matrix(q), draw)).astype(np.float32)
    g.p["log_scales"][split] -= np.float32(np.log(1.4))
    g.p["logits"][split] = logit(1 - np.sqrt(1 - np.clip(opacity[split], MIN_OPACITY, 0.98)))
    g.p["means"][split] -= offset
    for k in g.p:
        g.m[k][split] = 0
        g.v[k][split] = 0
    first = int(keep.sum())
    g.edit(keep, split)
    g.p["means"][first:] += 2 * offset
