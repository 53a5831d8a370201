"""Flat parts of what the cameras saw, at any height and in any upright direction, by votes of small surface elements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim.assets.views import View

GRID = 220
"""Pixels along the longer side of a picture that become surface elements."""
LEVEL = 0.94
"""Least vertical part of a normal on a horizontal patch (20°),"""
UPRIGHT = 0.26
"""and most on an upright one (15°)."""


@dataclass(frozen=True, kw_only=True)
class Surfels:
    """One element of surface for each cell of space that several views agree on."""

    points: np.ndarray
    """(n, 3) world [m]."""
    normals: np.ndarray
    """(n, 3) unit, towards the cameras."""
    weights: np.ndarray
    """(n,) number of pixels."""
    distance: np.ndarray
    """(n,) mean distance from the cameras [m]."""
    cell: float
    """Edge of the cells [m]."""

    def take(self, rows: np.ndarray) -> Surfels:
        return Surfels(
            points=self.points[rows], normals=self.normals[rows], weights=self.weights[rows], distance=self.distance[rows], cell=self.cell
        )


@dataclass(frozen=True, kw_only=True)
class Patch:
    """A connected flat part."""

    normal: np.ndarray
    """(3,) unit, towards the cameras."""
    offset: float
    """`normal · x` on it [m]."""
    axes: np.ndarray
    """(2, 3) unit vectors in it, right-handed with the normal: along x and y for a horizontal one; horizontal and up for a wall."""
    surfels: Surfels
    noise_m: float
    """Robust standard deviation of its elements around it [m]."""

    @property
    def flat(self) -> np.ndarray:
        """(n, 2) its elements in its axes [m]."""
        return self.surfels.points @ self.axes.T

    @property
    def area(self) -> float:
        """What was seen of it [m²]."""
        cells = np.floor(self.flat / self.surfels.cell).astype(np.int64)
        return len(np.unique(cells, axis=0)) * self.surfels.cell**2

    @property
    def distance(self) -> float:
        """Median distance from the cameras [m]."""
        return float(np.median(self.surfels.distance))

    def outline(self) -> np.ndarray:
        """(k, 2) convex, counter-clockwise, in its axes, around its cells [m]."""
        import cv2

        half = self.surfels.cell / 2
        cells = np.floor(self.flat / self.surfels.cell) * self.surfels.cell + half
        corners = np.concatenate([cells + [sx * half, sy * half] for sx in (-1, 1) for sy in (-1, 1)])
        hull = cv2.convexHull(corners.astype(np.float32))[:, 0].astype(float)
        return hull if signed_area(hull) > 0 else hull[::-1]

    def sides(self) -> tuple[float, float]:
        """Shorter and longer side of the smallest rectangle around it [m]."""
        import cv2

        _, (w, h), _ = cv2.minAreaRect(self.outline().astype(np.float32))
        return min(w, h), max(w, h)


def signed_area(polygon: np.ndarray) -> float:
    """Of (k, 2) points, positive when counter-clockwise."""
    x, y = polygon.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def surfels_of(views: list[View], *, middle: np.ndarray, reach: float, cell: float, min_views: int = 3) -> Surfels:
    """What at least `min_views` views saw within `reach` [m] of `middle` (3,), an element for each cell."""
    rows, keys, seen = [], [], []
    span = 1 << 20
    for view in views:
        points, normals = _oriented(view)
        ok = np.linalg.norm(points - middle, axis=1) < reach
        points, normals = points[ok], normals[ok]
        ijk = np.floor((points - middle) / cell).astype(np.int64) + span // 2
        key = (ijk[:, 0] * span + ijk[:, 1]) * span + ijk[:, 2]
        rows.append(np.column_stack([points, normals, np.linalg.norm(points - view.centre, axis=1)]))
        keys.append(key)
        seen.append(np.unique(key))
    every, key = np.concatenate(rows), np.concatenate(keys)
    cells, inverse, count = np.unique(key, return_inverse=True, return_counts=True)
    mean = np.stack([np.bincount(inverse, every[:, k], len(cells)) for k in range(7)], axis=1) / np.maximum(count, 1)[:, None]
    known, by = np.unique(np.concatenate(seen), return_counts=True)
    length = np.linalg.norm(mean[:, 3:6], axis=1)
    ok = (by[np.searchsorted(known, cells)] >= min_views) & (length > 0.85)
    normals = mean[ok, 3:6] / length[ok, None]
    return Surfels(points=mean[ok, :3], normals=normals, weights=count[ok].astype(float), distance=mean[ok, 6], cell=cell)


def _oriented(view: View) -> tuple[np.ndarray, np.ndarray]:
    """World points (n, 3) [m] and unit normals (n, 3) towards the camera, on a coarse grid of pixels away from depth steps."""
    import cv2

    depth = cv2.GaussianBlur(cv2.medianBlur(view.depth, 5), (5, 5), 1.2)
    s = max(1, round(max(depth.shape) / GRID))
    d = depth[s // 2 :: s, s // 2 :: s]
    v, u = (s // 2 + s * np.indices(d.shape)).astype(np.float32) + np.float32(0.5)
    p = np.stack([(u - view.K[0, 2]) / view.K[0, 0] * d, (v - view.K[1, 2]) / view.K[1, 1] * d, d], axis=-1)
    normal = np.cross(p[2:, 1:-1] - p[:-2, 1:-1], p[1:-1, 2:] - p[1:-1, :-2])
    middle, n = p[1:-1, 1:-1], np.linalg.norm(normal, axis=-1)
    around = (d[2:, 1:-1], d[:-2, 1:-1], d[1:-1, 2:], d[1:-1, :-2])
    ok = (d[1:-1, 1:-1] > 0) & (np.min(around, axis=0) > 0) & (n > 0)
    for a, b in (around[:2], around[2:]):
        ok &= np.abs(a + b - 2 * d[1:-1, 1:-1]) < 0.01 * d[1:-1, 1:-1]
    normal, middle = normal[ok] / n[ok, None], middle[ok]
    normal *= -np.sign((normal * middle).sum(axis=1, keepdims=True))
    R = view.T_camera_world[:3, :3]
    return (middle - view.T_camera_world[:3, 3]) @ R, normal @ R


def flat_patches(surfels: Surfels, *, least_m2: float) -> list[Patch]:
    """Horizontal patches facing up of at least `least_m2`, largest first: every height that enough elements share."""
    left = surfels.take(surfels.normals[:, 2] > LEVEL)
    axes, up = np.eye(3)[:2], np.array([0.0, 0, 1])
    out: list[Patch] = []
    while len(left.points) * surfels.cell**2 >= least_m2:
        z, step = left.points[:, 2], surfels.cell / 2
        low = z.min() - 3 * step
        votes = np.bincount(((z - low) / step).astype(int), minlength=8)
        level = low + step * (int(np.argmax(np.convolve(votes, [1, 2, 3, 2, 1], "same"))) + 0.5)
        near = np.abs(z - level) < 2.5 * surfels.cell
        if near.sum() * surfels.cell**2 < least_m2:
            break
        for rows in _parts(left.points[:, :2], np.abs(z - _median(z[near], left.weights[near])) < 1.5 * surfels.cell, surfels.cell):
            part = left.take(rows)
            offset = _median(part.points[:, 2], part.weights)
            patch = Patch(normal=up, offset=offset, axes=axes, surfels=part, noise_m=_spread(part.points[:, 2] - offset))
            if patch.area >= least_m2:
                out.append(patch)
        left = left.take(~near)
    return sorted(out, key=lambda p: -p.area)


def upright_patches(surfels: Surfels, *, least_m2: float, most: int = 24) -> list[Patch]:
    """Upright patches of at least `least_m2`, largest first: every direction and distance that enough elements share."""
    from scipy import ndimage

    left = surfels.take(np.abs(surfels.normals[:, 2]) < UPRIGHT)
    middle = surfels.points.mean(axis=0)
    turns, step = 90, 1.5 * surfels.cell
    out: list[Patch] = []
    for _ in range(most):
        if len(left.points) * surfels.cell**2 < least_m2:
            break
        n = left.normals[:, :2] / np.linalg.norm(left.normals[:, :2], axis=1, keepdims=True)
        turn = np.floor((np.arctan2(n[:, 1], n[:, 0]) % (2 * np.pi)) / (2 * np.pi) * turns).astype(int) % turns
        off = ((left.points - middle)[:, :2] * n).sum(axis=1)
        k = np.floor((off - off.min()) / step).astype(int)
        votes = np.bincount(turn * (k.max() + 1) + k, minlength=turns * (k.max() + 1)).reshape(turns, -1).astype(float)
        smooth = ndimage.gaussian_filter(votes, 1.0, mode=["wrap", "constant"])
        a, r = np.unravel_index(int(np.argmax(smooth)), smooth.shape)
        angle = 2 * np.pi * (a + 0.5) / turns
        normal = np.array([np.cos(angle), np.sin(angle), 0.0])
        offset = float(normal @ middle + off.min() + step * (r + 0.5))
        patch, used = _fitted(left, normal, offset)
        used |= (turn == a) & (np.abs(k - r) <= 1)
        if patch is not None and patch.area >= least_m2 and abs(patch.normal[2]) < UPRIGHT:
            out.append(patch)
        left = left.take(~used)
    return sorted(out, key=lambda p: -p.area)


def _fitted(left: Surfels, normal: np.ndarray, offset: float) -> tuple[Patch | None, np.ndarray]:
    """The largest connected patch near a plane, fitted to it by trimmed least squares, and which elements are used up."""
    rows = np.zeros(len(left.points), bool)
    axes = np.eye(3)[:2]
    for width in (5.0, 4.0, 3.0, 2.0, 1.5, 1.5):
        near = (np.abs(left.points @ normal - offset) < width * left.cell) & (left.normals @ normal > 0.9)
        across = np.cross([0.0, 0, 1], normal)
        axes = np.stack([across / np.linalg.norm(across), np.cross(normal, across / np.linalg.norm(across))])
        parts = _parts(left.points @ axes.T, near, left.cell)
        if not parts:
            return None, rows | near
        rows = near & False
        rows[max(parts, key=len)] = True
        p, w = left.points[rows], left.weights[rows]
        centre = np.average(p, axis=0, weights=w)
        _, _, Vt = np.linalg.svd((p - centre) * np.sqrt(w)[:, None], full_matrices=False)
        if len(p) < 12:
            return None, rows | near
        normal = Vt[2] * np.sign(Vt[2] @ normal)
        offset = float(normal @ centre)
    used = np.abs(left.points @ normal - offset) < 2.5 * left.cell
    part = left.take(rows)
    return Patch(normal=normal, offset=offset, axes=axes, surfels=part, noise_m=_spread(part.points @ normal - offset)), used


def _parts(flat: np.ndarray, on: np.ndarray, cell: float) -> list[np.ndarray]:
    """Rows of the points (n, 2) with `on` (n,) that hang together, gaps of two cells allowed; one array for each part."""
    from scipy import ndimage

    rows = np.flatnonzero(on)
    if not len(rows):
        return []
    ij = np.floor(flat[rows] / cell).astype(int)
    ij -= ij.min(axis=0) - 2
    raster = np.zeros(ij.max(axis=0) + 3, bool)
    raster[tuple(ij.T)] = True
    labels, count = ndimage.label(ndimage.binary_dilation(raster), np.ones((3, 3)))
    own = labels[tuple(ij.T)]
    return [rows[own == k] for k in range(1, count + 1)]


def _median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def _spread(values: np.ndarray) -> float:
    return 1.4826 * float(np.median(np.abs(values)))
