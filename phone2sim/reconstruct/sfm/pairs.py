"""Which frames to match with which: neighbours in time, and pairs that look alike."""

from __future__ import annotations

import numpy as np


def similarity(described: list[np.ndarray], *, ratio: float = 0.85) -> np.ndarray:
    """(n, n) counts of matches between small sets of unit descriptors by the ratio test (Lowe 2004), both ways."""
    n = len(described)
    score = np.zeros((n, n))
    most = max((len(d) for d in described), default=0)
    if most < 2:
        return score
    padded = np.zeros((n, most, 128), np.float32)
    for i, d in enumerate(described):
        padded[i, : len(d)] = d
    everything = padded.reshape(n * most, 128).T
    for i, d in enumerate(described):
        if len(d) == 0:
            continue
        cosine = (d @ everything).reshape(len(d), n, most)
        best = cosine.argmax(axis=2)[..., None]
        first = np.take_along_axis(cosine, best, axis=2)[..., 0]
        np.put_along_axis(cosine, best, -1.0, axis=2)
        second = cosine.max(axis=2)
        near, next_near = (np.sqrt(np.maximum(0.0, 2 - 2 * c)) for c in (first, second))
        score[i] = np.count_nonzero((near < ratio * next_near) & (first > 0.5), axis=0)
    np.fill_diagonal(score, 0)
    return score + score.T


def choose_pairs(
    described: list[np.ndarray], *, ordered: bool, all_pairs: bool, overlap: int, loops: int, neighbours: int
) -> list[tuple[int, int]]:
    """Sorted index pairs (i < j).

    A clip: the next `overlap` frames, then doubling gaps, then for each frame the `loops` most similar frames
    further away. Photos: the `neighbours` most similar ones. Everything when that is asked or cheap anyway.
    """
    n = len(described)
    if all_pairs or n <= (overlap if ordered else neighbours) + 1:
        return [(i, j) for i in range(n) for j in range(i + 1, n)]
    score = similarity(described)
    pairs: set[tuple[int, int]] = set()
    if ordered:
        gaps = [*range(1, overlap + 1)]
        while gaps[-1] * 2 < n and gaps[-1] < 4 * overlap:
            gaps.append(gaps[-1] * 2)
        pairs |= {(i, i + g) for g in gaps for i in range(n - g)}
        far = np.abs(np.subtract.outer(np.arange(n), np.arange(n))) > overlap
        wanted = loops
    else:
        far = ~np.eye(n, dtype=bool)
        wanted = neighbours
    ranked = np.where(far, score, -1.0)
    for i in range(n):
        best = np.argsort(-ranked[i], kind="stable")[:wanted]
        pairs |= {(min(i, int(j)), max(i, int(j))) for j in best if ranked[i, j] > 0}
    return sorted(pairs)


def likest_pairs(described: list[np.ndarray], known: list[int], *, neighbours: int) -> list[tuple[int, int]]:
    """Sorted index pairs (i < j) of each frame that is not `known` with the `neighbours` known ones most similar to it."""
    score = similarity(described)
    score[:, [j for j in range(len(described)) if j not in set(known)]] = 0
    pairs: set[tuple[int, int]] = set()
    for i in sorted(set(range(len(described))) - set(known)):
        best = np.argsort(-score[i], kind="stable")[:neighbours]
        pairs |= {(min(i, int(j)), max(i, int(j))) for j in best if score[i, j] > 0}
    return sorted(pairs)


def posed_pairs(T_world_camera: np.ndarray, *, near: int = 5, wide: int = 3) -> list[tuple[int, int]]:
    """Sorted index pairs (i < j) for cameras (n, 4, 4) whose poses are roughly known.

    For each its `near` nearest ones, in place and in direction, and the `wide` ones that come closest to the baseline
    at which points are best measured, still looking the same way: about 15° or a quarter of the cameras' spread.
    """
    n = len(T_world_camera)
    c, z = T_world_camera[:, :3, 3], T_world_camera[:, :3, 2]
    spread = max(float(np.median(np.linalg.norm(c - np.median(c, axis=0), axis=1))), 1e-9)
    apart = np.linalg.norm(c[:, None] - c[None], axis=2) / spread
    turned = np.degrees(np.arccos(np.clip(z @ z.T, -1, 1)))
    score = apart / 0.25 + turned / 15.0
    np.fill_diagonal(score, np.inf)
    score[turned > 75] = np.inf
    pairs: set[tuple[int, int]] = set()
    for i in range(n):
        nearest = np.argsort(score[i], kind="stable")[:near]
        best = np.argsort(np.abs(score[i] - 2.0), kind="stable")[:wide]
        pairs |= {(min(i, int(j)), max(i, int(j))) for j in (*nearest, *best) if np.isfinite(score[i, j])}
    return sorted(pairs)
