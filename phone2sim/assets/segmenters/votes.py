"""Masks of single pictures fused into one answer: every Gaussian asks the pictures that see it."""

from __future__ import annotations

import numpy as np

from phone2sim.assets.segmenters.base import Proposals
from phone2sim.assets.views import View

ABSTAIN = 255
"""Id of pixels where a picture has no say."""
LEAST_VIEWS = 3
"""Pictures that must see a Gaussian before they may overrule geometry,"""
LEAST_SHARE = 0.6
"""and the share of them that must agree."""


def visible(view: View, points: np.ndarray) -> np.ndarray:
    """(n,) bool: points (n, 3) on the surface that the picture sees."""
    index, z, inside = view.pixels(points)
    d = view.depth.ravel()[index]
    return inside & (d > 0) & (np.abs(d - z) < 0.01 * z + 0.004)


def read_ids(view: View, ids: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(n,) id of an id map of any size at world points inside the picture."""
    h, w = view.depth.shape
    u, v, _ = view.project(points)
    x = np.clip((u * (ids.shape[1] / w)).astype(int), 0, ids.shape[1] - 1)
    y = np.clip((v * (ids.shape[0] / h)).astype(int), 0, ids.shape[0] - 1)
    return np.asarray(ids[y, x])


def fuse(proposals: Proposals, views: list[View], ids: list[np.ndarray]) -> np.ndarray:
    """(n Gaussians,) labels: that of the geometry, except where the pictures that see a Gaussian agree on another.

    `ids` are the pictures' own id maps, of any size, `ABSTAIN` where they do not know. A Gaussian becomes an object's only
    inside the object's box and above the support.
    """
    p = proposals
    means, count = p.cloud.means, len(p.boxes)
    inside = [((means > b[0]) & (means < b[1])).all(axis=1) & (means[:, 2] > p.floor_z) for b in p.boxes]
    rows = np.flatnonzero((p.labels > 0) | np.any(inside, axis=0)) if count else np.zeros(0, int)
    points = means[rows]
    votes = np.zeros((len(rows), count + 1), np.uint16)
    for view, picture in zip(views, ids):
        seen = np.flatnonzero(visible(view, points))
        say = read_ids(view, picture, points[seen])
        known = say != ABSTAIN
        votes[seen[known], say[known]] += 1
    total, top = votes.sum(axis=1), votes.argmax(axis=1)
    sure = (total >= min(LEAST_VIEWS, len(views))) & (total > 0) & (votes.max(axis=1, initial=0) >= LEAST_SHARE * total)
    allowed = np.concatenate([np.ones((1, len(rows)), bool), [i[rows] for i in inside]]) if count else np.zeros((1, 0), bool)
    sure &= allowed[top, np.arange(len(rows))]
    labels = p.labels.copy()
    labels[rows[sure]] = top[sure]
    return labels
