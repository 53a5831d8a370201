"""Where Gaussians are added, moved and removed while training. Both ways return new parameters, and of each new Gaussian
which old one it continues (-1: fresh moments), as `Engine.replace` takes them."""

from __future__ import annotations

import math

import numpy as np

from phone2sim.poses import quat_to_matrix
from phone2sim.reconstruct.splat.gaussians import logit, sigmoid

MIN_OPACITY = 0.01
DEAD = 0.005
MOST_COPIES = 51

Change = tuple[dict[str, np.ndarray], np.ndarray]


def densify(
    p: dict[str, np.ndarray], score: np.ndarray, *, grow: float, cap: int, largest: float, rng: np.random.Generator
) -> Change:
    """Drop the faint and the huge, then split up to `grow · n` drawn by `score` (n,), never beyond `cap`.

    A split Gaussian becomes two, moved apart along a draw from itself, smaller, and each as opaque as keeps the
    pair's opacity at its centre: 1 - (1 - o')² = o.
    """
    n = len(p["means"])
    p = {k: v.copy() for k, v in p.items()}
    source = np.arange(n)
    opacity = sigmoid(p["logits"].astype(np.float64))
    size = np.exp(p["log_scales"].max(axis=1))
    keep = (opacity > MIN_OPACITY) & (size < largest)
    weight = np.where(keep & np.isfinite(score), score, 0).astype(np.float64)
    count = int(min(cap - keep.sum(), grow * n, (weight > 0).sum()))
    if count <= 0:
        return {k: v[keep] for k, v in p.items()}, source[keep]
    split = np.sort(rng.choice(n, count, replace=False, p=weight / weight.sum()))
    q = p["quats"][split].astype(np.float64)
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    draw = np.exp(p["log_scales"][split].astype(np.float64)) * rng.normal(size=(count, 3))
    offset = (0.35 * np.einsum("nij,nj->ni", quat_to_matrix(q), draw)).astype(np.float32)
    p["log_scales"][split] -= np.float32(np.log(1.4))
    p["logits"][split] = logit(1 - np.sqrt(1 - np.clip(opacity[split], MIN_OPACITY, 0.98)))
    p["means"][split] -= offset
    source[split] = -1
    new = {k: np.concatenate([v[keep], v[split]]) for k, v in p.items()}
    new["means"][int(keep.sum()) :] += 2 * offset
    return new, np.concatenate([source[keep], np.full(count, -1)])


def shared(opacity: np.ndarray, scales: np.ndarray, copies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Opacity (n,) and scales (n, 3) of each of `copies` (n,) Gaussians in one place that look like the one they replace
    (Kheradmand et al. 2024, eq. 9)."""
    copies = np.clip(copies, 1, MOST_COPIES)
    new = 1 - (1 - opacity) ** (1 / copies)
    total = np.zeros(len(opacity))
    for i in range(1, int(copies.max(initial=1)) + 1):
        # The i-th of them, seen through those before it: sum_k C(i-1, k) (-1)^k o'^(k+1) / sqrt(k+1).
        term = sum(math.comb(i - 1, k) * (-1) ** k * new ** (k + 1) / math.sqrt(k + 1) for k in range(i))
        total += np.where(i <= copies, term, 0)
    return new, scales * (opacity / np.maximum(total, 1e-12))[:, None]


def relocate(p: dict[str, np.ndarray], *, grow: float, cap: int, rng: np.random.Generator) -> Change:
    """MCMC densification (Kheradmand et al. 2024): the dead move onto living ones drawn by opacity, then up to `grow · n`
    more are born the same way, never beyond `cap`. What a place shows stays the same."""
    n = len(p["means"])
    p = {k: v.copy() for k, v in p.items()}
    source = np.arange(n)
    opacity = sigmoid(p["logits"].astype(np.float64))
    dead = np.flatnonzero(~(opacity > DEAD))
    alive = np.flatnonzero(opacity > DEAD)
    born = int(min(max(cap - n, 0), grow * n))
    if not len(alive) or len(dead) + born == 0:
        return p, source
    chance = opacity[alive] / opacity[alive].sum()
    onto = alive[rng.choice(len(alive), len(dead) + born, p=chance)]
    copies = 1 + np.bincount(onto, minlength=n)
    hosts = np.flatnonzero(copies > 1)
    o, s = shared(opacity[hosts], np.exp(p["log_scales"][hosts].astype(np.float64)), copies[hosts])
    p["logits"][hosts] = logit(np.clip(o, DEAD, 1 - 1e-6))
    p["log_scales"][hosts] = np.log(s)
    source[hosts] = -1
    for k in p:
        p[k][dead] = p[k][onto[: len(dead)]]
    source[dead] = -1
    new = {k: np.concatenate([v, v[onto[len(dead) :]]]) for k, v in p.items()}
    return new, np.concatenate([source, np.full(born, -1)])
