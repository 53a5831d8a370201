"""One cluster that is several objects: side by side they meet at a neck, stacked ones at a flat ledge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

NECK = 0.65
"""Widest neck, relative to the narrower of the two bodies it joins."""
LOOSE_NECK = 0.88
"""The same between two bodies of different colours."""
LEDGE_ROUND = 0.35
"""Least share of an upper body's outline that must stand on a visible ledge."""
LEDGE_AREA = 0.2
"""Least area of that ledge, relative to the upper body's outline."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Surface voxels of one object."""

    ijk: np.ndarray
    """(n, 3) voxels."""
    base: float | None = None
    """Height [voxels] of the ledge it stands on; None for the support."""
    top: float | None = None
    """Height [voxels] of its own ledge that another piece stands on."""


Differ = Callable[[np.ndarray, np.ndarray], bool]
"""Surface voxels of two parts (n, 3), (m, 3) → whether they are of clearly different colours."""


def split(ijk: np.ndarray, *, least: float, differ: Differ | None = None) -> list[Piece]:
    """The objects among connected surface voxels (n, 3); `least` is their smallest height and width [voxels]."""
    out: list[Piece] = []
    for part in necks(ijk, least=least, differ=differ):
        out += ledge(part, least=least)
    return out


def _heights(ijk: np.ndarray, pad: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """(nx, ny) highest voxel of every column, -1 where none, and the column of its first cell."""
    low = ijk[:, :2].min(axis=0) - pad
    shape = ijk[:, :2].max(axis=0) - low + 1 + pad
    top = np.full(shape, -1, int)
    np.maximum.at(top, tuple((ijk[:, :2] - low).T), ijk[:, 2])
    return top, low


def necks(ijk: np.ndarray, *, least: float, differ: Differ | None = None) -> list[np.ndarray]:
    """Voxels parted where their outline from above is much narrower than on either side, less narrow where colours change too."""
    from scipy import ndimage

    top, low = _heights(ijk)
    outline = ndimage.binary_fill_holes(top >= 0)
    width = ndimage.distance_transform_edt(outline)
    at = tuple((ijk[:, :2] - low).T)
    for depth in (NECK, LOOSE_NECK):
        labels = _basins(width, depth=depth, least=max(3.0, 0.7 * least))
        if labels.max() < 2:
            continue
        own = _tall_to_tall(labels, top)[at]
        parts = [p for p in (ijk[own == k] for k in range(1, labels.max() + 1)) if len(p) >= 12]
        if depth == NECK:
            return [p for part in parts for p in necks(part, least=least, differ=differ)] if len(parts) > 1 else parts
        if len(parts) == 2 and differ is not None and differ(*parts):
            return parts
    return [ijk]


def _tall_to_tall(labels: np.ndarray, top: np.ndarray) -> np.ndarray:
    """The regions (nx, ny) with cells beside a cut given to the other side when they are higher than all the rest of their own."""
    from scipy import ndimage

    out = labels.copy()
    for k in range(1, labels.max() + 1):
        i, j = ndimage.distance_transform_edt((labels == k) | (labels == 0), return_distances=False, return_indices=True)
        beside = (labels == k) & ndimage.binary_dilation((labels > 0) & (labels != k), np.ones((3, 3)), iterations=3)
        rest = top[(labels == k) & ~beside]
        if len(rest) and beside.any():
            high = beside & (top > np.percentile(rest, 98) + 2)
            out[high] = labels[i, j][high]
    return out


def _basins(width: np.ndarray, *, depth: float, least: float) -> np.ndarray:
    """(nx, ny) int: 1… the region of every peak of `width` higher than `least` whose saddle to a higher one is below `depth` of it.

    Peaks join from the widest cells down (persistence, Edelsbrunner et al. 2002).
    """
    from scipy import ndimage

    cells = np.argwhere(width > 0)
    order = np.lexsort((cells[:, 1], cells[:, 0], -width[tuple(cells.T)]))
    parent = np.full(width.shape, -1, int)
    up: list[int] = []
    peak: list[float] = []

    def root(k: int) -> int:
        while up[k] != k:
            k = up[k]
        return k

    for i, j in cells[order]:
        w = float(width[i, j])
        window = np.s_[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
        around = parent[window].ravel()
        near = sorted({root(k) for k in around[around >= 0].tolist()}, key=lambda k: -peak[k])
        if not near:
            up.append(len(up))
            peak.append(w)
            parent[i, j] = len(up) - 1
            continue
        parent[i, j] = around[int(np.argmax(np.where(around >= 0, width[window].ravel(), -1)))]  # uphill
        for k in near[1:]:
            if w >= depth * peak[k] or peak[k] < least:
                up[k] = near[0]
    labels = np.zeros(width.shape, int)
    known: dict[int, int] = {}
    for i, j in cells[order]:
        k = root(int(parent[i, j]))
        if peak[k] >= least:
            labels[i, j] = known.setdefault(k, len(known) + 1)
    if known:  # specks belong to what is nearest
        near_i, near_j = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
        labels = np.where(width > 0, labels[near_i, near_j], 0)
    return labels


def ledge(ijk: np.ndarray, *, least: float) -> list[Piece]:
    """Lower and upper piece when something stands on a flat top that is seen around its foot, else the whole."""
    from scipy import ndimage

    top, low = _heights(ijk)
    on = top >= 0
    spread = ndimage.maximum_filter(top, 3) - ndimage.minimum_filter(np.where(on, top, 10**6), 3)
    flat = on & (spread <= 1) & (ndimage.minimum_filter(top, 3) >= 0)
    if not flat.any():
        return [Piece(ijk=ijk)]
    best: tuple[float, float, np.ndarray] | None = None
    for h in np.unique(top[flat]):
        plateau = ndimage.binary_opening(on & (np.abs(top - h) <= 1))
        if plateau.sum() < least**2 / 4:
            continue
        higher, count = ndimage.label(ndimage.binary_fill_holes(top > h + max(3, 0.8 * least)))
        for k in range(1, count + 1):
            foot = higher == k
            if foot.sum() < 0.6 * least**2 or (plateau & foot).sum() > 0.15 * plateau.sum():
                continue
            ring = ndimage.binary_dilation(foot, iterations=2) & ~ndimage.binary_dilation(foot)
            around = float((plateau & ring).sum() / ring.sum())
            beside = float((plateau & ~foot).sum() / foot.sum())
            if around > LEDGE_ROUND and beside > LEDGE_AREA and (best is None or around > best[0]):
                best = around, float(np.median(top[plateau & ~foot])), foot
    if best is None:
        return [Piece(ijk=ijk)]
    _, height, foot = best
    at = tuple((ijk[:, :2] - low).T)
    upper = ndimage.binary_dilation(foot, iterations=2)[at] & (ijk[:, 2] > height + 1)
    if upper.sum() < 12 or (~upper).sum() < 12:
        return [Piece(ijk=ijk)]
    return [Piece(ijk=ijk[~upper & (ijk[:, 2] <= height + 1)], top=height), Piece(ijk=ijk[upper], base=height)]
