"""From one mask in one picture to an object in space: the mask's surface is looked for in the other pictures, and grows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from phone2sim.assets.segment import Cluster
from phone2sim.assets.segmenters.base import Surroundings
from phone2sim.assets.segmenters.votes import read_ids, visible
from phone2sim.assets.views import View

COVERED = 0.75
"""Share of the known part that a mask in another picture must hold."""
LEAST = 30
"""Least number of pixels of a known part."""

Continued = Callable[[View, np.ndarray], list[tuple[float, np.ndarray]]]
"""View and the known part in it (h, w) bool → masks with scores."""


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two masks; 0 of two empty ones."""
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 0.0


def lifted(view: View, mask: np.ndarray, place: Surroundings) -> np.ndarray:
    """(k, 3) world points [m] of a mask's pixels (h, w) that are higher than the support."""
    known = view.depth > 0
    points = view.unproject()[mask[known]]
    return points[points[:, 2] > place.level + place.clear_m]


def thinned(points: np.ndarray, cell: float) -> np.ndarray:
    """One point for each cube of edge `cell` that holds any, in a fixed order."""
    _, first = np.unique(np.floor(points / cell).astype(np.int64), axis=0, return_index=True)
    return points[first]


def cluster_silhouettes(view: View, clusters: list[Cluster], place: Surroundings) -> np.ndarray:
    """(h, w) int: 1 + index of the cluster whose points a pixel's surface is among, 0 for none."""
    from scipy.spatial import cKDTree

    ids = np.zeros(view.depth.shape, int)
    if not clusters:
        return ids
    owner = np.repeat(np.arange(1, len(clusters) + 1), [len(c.points) for c in clusters])
    points = view.unproject()
    above = points[:, 2] > place.level + 0.5 * place.clear_m
    distance, index = cKDTree(np.concatenate([c.points for c in clusters])).query(
        points[above], distance_upper_bound=2 * place.cell + 0.5 * place.clear_m
    )
    near = np.isfinite(distance)
    found = np.zeros(len(points), int)
    found[np.flatnonzero(above)[near]] = owner[index[near]]
    ids[view.depth > 0] = found
    return ids


def grow(
    first: int, mask: np.ndarray, views: list[View], some: list[int], place: Surroundings, continued: Continued
) -> Cluster | None:
    """The object that `mask` shows in view `first`, as a cluster; None when fewer than three pictures agree on one.

    Pictures are asked from the nearest viewing direction on; each is prompted with what is known of the surface so far.
    In the end a point stays when 60% of the masks of the pictures that see it hold it.
    """
    seed = thinned(lifted(views[first], mask, place), place.cell / 2)
    if len(seed) < LEAST / 4:
        return None
    accepted = {first: mask}
    to = _directions(views, seed.mean(axis=0))
    for i in sorted((i for i in some if i != first), key=lambda i: -float(to[i] @ to[first])):
        view = views[i]
        part = _known(view, seed)
        if part.sum() < LEAST:
            continue
        room = np.ptp(seed, axis=0).max() + place.clear_m
        low, high = seed.min(axis=0) - room, seed.max(axis=0) + room
        best: tuple[float, np.ndarray, np.ndarray] | None = None
        for score, candidate in continued(view, part):
            if (candidate & part).sum() < COVERED * part.sum() or candidate.sum() < LEAST:
                continue
            points = lifted(view, candidate, place)
            if len(points) < 0.5 * candidate.sum():
                continue  # mostly support
            if ((points < low) | (points > high)).any(axis=1).mean() > 0.05:
                continue
            if best is None or score > best[0]:
                best = score, candidate, points
        if best is None:
            continue
        accepted[i] = best[1]
        seed = thinned(np.concatenate([seed, best[2]]), place.cell / 2)
    if len(accepted) < 3:
        return None
    seen, held = np.zeros(len(seed), int), np.zeros(len(seed), int)
    for i, m in accepted.items():
        rows = np.flatnonzero(visible(views[i], seed))
        seen[rows] += 1
        held[rows] += read_ids(views[i], m, seed[rows])
    points = thinned(seed[(seen > 0) & (held >= 0.6 * seen)], place.cell)
    return Cluster(points=points, views=len(accepted)) if len(points) >= 12 else None


def without(clusters: list[Cluster], taken: Cluster, place: Surroundings) -> list[Cluster]:
    """Clusters without the points near `taken`; one that loses most of them is gone."""
    from scipy.spatial import cKDTree

    tree = cKDTree(taken.points)
    out = []
    for c in clusters:
        away = ~np.isfinite(tree.query(c.points, distance_upper_bound=1.8 * place.cell)[0])
        if away.all():
            out.append(c)
        elif away.sum() >= max(12, 0.15 * len(c.points)):
            out.append(replace(c, points=c.points[away]))
    return out


def _known(view: View, seed: np.ndarray) -> np.ndarray:
    """(h, w) bool: pixels around the visible points of a surface."""
    import cv2

    index, _, _ = view.pixels(seed)
    part = np.zeros(view.depth.shape, np.uint8)
    part.ravel()[index[visible(view, seed)]] = 1
    part = cv2.morphologyEx(part, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    return np.asarray(cv2.erode(part, np.ones((3, 3), np.uint8)) > 0)


def _directions(views: list[View], point: np.ndarray) -> np.ndarray:
    d = np.array([v.centre for v in views]) - point
    return d / np.linalg.norm(d, axis=1, keepdims=True)
