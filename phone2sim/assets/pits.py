"""Pits that a splat bores into a surface: it may show a letter by Gaussians deep inside the body, and then its depth and its masks have
a hole there. What the photos do not confirm is filled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim.assets.views import View
from phone2sim.reconstruct.mesh.fusion import Grid

RADIUS = 4
"""What a ball of this radius [voxels] does not enter may be a pit."""
DEEP = 1.0
"""Least depth [voxels] of a pit below the surface around it."""
LONG = 16
"""Longest side [voxels] of a pit; what goes on farther is a groove, or the inside edge of a floor."""
THROUGH = 3
"""So many views that see the world behind through most of it make a gap."""
REAL = 0.6
"""A pit is real where colours scatter between the photos by so much less on its own surface than on one over it."""
FACING = 0.35
"""Least cosine between a surface's normal and the line of sight of a view that counts."""
NOISE = 4.0
"""1 sigma of a photo's colour [0–255]: what views differ by even where the surface is right."""
RIM = 2
"""How far [voxels] around a pit the surface is laid anew."""


@dataclass(frozen=True, kw_only=True)
class _Closed:
    """The body without anything that a ball of `RADIUS` cannot enter."""

    inside: np.ndarray
    """(shape) bool."""
    depth: np.ndarray
    """(shape) [voxels] below its surface."""


def filled(field: np.ndarray, grid: Grid, views: list[View], masks: list[np.ndarray]) -> np.ndarray:
    """The signed distances (nx, ny, nz) [m] of a body without its narrow pits, but for those that photos or outlines confirm.

    `masks` are (h, w) bool per view: where the body is seen. Over a pit the surface is the harmonic continuation of what is around it.
    """
    from scipy import ndimage

    closed = _closed(field < 0)
    parts, _ = ndimage.label(closed.inside & (field >= 0) & (closed.depth >= DEEP))
    out = field
    for k, box in enumerate(ndimage.find_objects(parts), start=1):
        core = parts == k
        if max(s.stop - s.start for s in box) > LONG or _through(core, closed, grid, views, masks) or _real(core, field, closed, grid, views):
            continue
        out = _laid(out, ndimage.binary_dilation(core, iterations=RIM + 1), -grid.voxel * closed.depth)
    return out


def _closed(matter: np.ndarray) -> _Closed:
    """Dilated and eroded by a ball; the body goes on below the grid."""
    from scipy import ndimage

    pad = RADIUS + 2
    around = np.pad(np.pad(matter, ((0, 0), (0, 0), (pad, 0)), mode="edge"), ((pad, pad), (pad, pad), (0, pad)))
    grown = ndimage.distance_transform_edt(~around) <= RADIUS
    depth = (ndimage.distance_transform_edt(grown) - RADIUS)[pad:-pad, pad:-pad, pad:-pad]
    return _Closed(inside=depth > 0, depth=depth)


def _through(core: np.ndarray, closed: _Closed, grid: Grid, views: list[View], masks: list[np.ndarray]) -> bool:
    """Whether most of `core` (shape) bool is where `THROUGH` views show, beside the mask, what lies behind the body."""
    from scipy import ndimage

    points = grid.points(np.flatnonzero(core))
    own = ndimage.binary_dilation(closed.inside, iterations=2).ravel()
    count = np.zeros(len(points), int)
    for view, mask in zip(views, masks, strict=True):
        index, z, inside = view.pixels(points)
        d = view.depth.ravel()[index]
        rows = np.flatnonzero(inside & ~mask.ravel()[index] & (d > z + 0.5 * grid.voxel))
        seen = view.centre + (points[rows] - view.centre) * (d[rows] / z[rows])[:, None]
        flat, ok = grid.index(seen)
        count[rows] += ~(ok & own[flat])
    return bool((count >= THROUGH).mean() > 0.5)


def _real(core: np.ndarray, field: np.ndarray, closed: _Closed, grid: Grid, views: list[View]) -> bool:
    """Whether the photos say so, or do not show the place where its lid would be."""
    from scipy import ndimage

    near = ndimage.binary_dilation(core, iterations=RIM)
    lid = near & closed.inside & (closed.depth <= 1)
    over = _scatter(lid, -closed.depth.astype(np.float32), grid, views, least=0.5)
    if over is None:
        return True
    wall = ndimage.binary_dilation(core) & (field < 0)
    own = _scatter(wall, field / grid.voxel, grid, views, least=0.1)
    return own is not None and own + NOISE < REAL * (over + NOISE)


def _scatter(cells: np.ndarray, distance: np.ndarray, grid: Grid, views: list[View], *, least: float) -> float | None:
    """By how much (1 sigma, 0–255) the photos' colours differ at the surface next to `cells` (shape) bool of a body with signed
    `distance` (shape) [voxels]; None where three views see less than the share `least` of it."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(distance, 1.0)
    at = np.argwhere(cells).astype(float)
    slope = np.stack([ndimage.map_coordinates(g, at.T, order=1) for g in np.gradient(smooth)], axis=1)
    normal = slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-6)
    at -= distance[cells][:, None] * normal
    points = grid.origin + grid.voxel * at
    total, first, second = np.zeros(len(at)), np.zeros((len(at), 3)), np.zeros((len(at), 3))
    count = np.zeros(len(at), int)
    for view in views:
        index, z, inside = view.pixels(points)
        ray = view.centre - points
        far = np.linalg.norm(ray, axis=1)
        facing = (ray * normal).sum(axis=1) / far
        rows = np.flatnonzero(inside & (facing > FACING) & (view.depth.ravel()[index] > z - 2 * grid.voxel))
        steps = np.arange(1.5, 3 * RADIUS, 0.75)
        way = at[rows, None] + steps[:, None] * (ray[rows] / far[rows, None])[:, None]
        rows = rows[(ndimage.map_coordinates(distance, way.reshape(-1, 3).T, order=1, cval=1.0).reshape(len(rows), len(steps)) > 0).all(axis=1)]
        colour, w = view.colors(points[rows]), facing[rows]
        count[rows] += 1
        total[rows] += w
        first[rows] += w[:, None] * colour
        second[rows] += w[:, None] * colour**2
    seen = count >= 3
    if seen.mean() < least:
        return None
    variance = second[seen] / total[seen, None] - (first[seen] / total[seen, None]) ** 2
    return float(np.sqrt(np.clip(variance, 0, None).mean()))


def _laid(field: np.ndarray, cells: np.ndarray, least: np.ndarray) -> np.ndarray:
    """The field (shape) [m] with what solves Laplace's equation in `cells` (shape) bool in place of what is there, where that adds
    matter, but no less than `least` (shape) [m]."""
    from scipy import sparse
    from scipy.sparse.linalg import spsolve

    border = np.zeros_like(cells)
    border[1:-1, 1:-1, 1:-1] = True
    cells &= border
    number = np.full(cells.shape, -1)
    number[cells] = np.arange(cells.sum())
    at = np.argwhere(cells)
    rows, columns, known = [], [], np.zeros(len(at))
    for step in np.concatenate([np.eye(3, dtype=int), -np.eye(3, dtype=int)]):
        beside = tuple((at + step).T)
        n = number[beside]
        rows.append(np.flatnonzero(n >= 0))
        columns.append(n[n >= 0])
        known += np.where(n < 0, field[beside], 0)
    i, j = np.concatenate(rows), np.concatenate(columns)
    A = 6 * sparse.eye(len(at)) - sparse.csr_matrix((np.ones(len(i)), (i, j)), shape=(len(at),) * 2)
    out = field.copy()
    out[cells] = np.minimum(field[cells], np.maximum(spsolve(A.tocsc(), known), least[cells]))
    return out
