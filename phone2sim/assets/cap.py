"""The smoothest continuation of a surface into what nobody saw: a triharmonic spline through its points (Carr et al. 2001)."""

from __future__ import annotations

import numpy as np

from phone2sim.assets.solid import beside_outline
from phone2sim.reconstruct.mesh.fusion import Grid

MOST = 350
"""Points of the surface that hold the spline."""
BULGE = 0.05
"""How far beyond the outline of what was seen from above, in its widths, the cap may reach: a phone mostly looks down on things."""


def smooth_cap(points: np.ndarray, normals: np.ndarray, grid: Grid, *, level: float) -> np.ndarray:
    """(shape) float32 [m] on the grid, positive outside of the body: it goes through points (n, 3) with unit normals, and below
    the plane z = `level` as it does above, so that its sides meet the support upright."""
    from scipy import ndimage
    from scipy.interpolate import RBFInterpolator

    far = 4 * grid.voxel
    p, n = _spread(points, normals)
    off = 2 * grid.voxel
    p, n = np.concatenate([p, p * [1, 1, -1] + [0, 0, 2 * level]]), np.concatenate([n, n * [1, 1, -1]])
    at = np.concatenate([p, p + off * n, p - off * n])
    value = np.repeat([0.0, off, -off], len(p))
    spline = RBFInterpolator(at, value, kernel="cubic", degree=1, smoothing=1e-3 * grid.voxel**3)
    shape = tuple(-(-k // 2) + 1 for k in grid.shape)
    coarse = grid.origin + 2 * grid.voxel * np.indices(shape).reshape(3, -1).T
    field = np.clip(spline(coarse), -far, far).reshape(shape)
    index = np.indices(grid.shape) / 2
    fine = ndimage.map_coordinates(field, index, order=1)
    width = float(np.min(np.ptp(points[:, :2], axis=0)))
    beside = beside_outline(grid, points[:, :2]) - BULGE * width
    return np.maximum(fine, np.clip(beside, -far, far)[..., None]).astype(np.float32)


def _spread(points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most `MOST` of the points with their normals, one for each cell of the finest raster that leaves no more."""
    low = points.min(axis=0)
    cell = float(np.ptp(points, axis=0).max()) / 40
    while True:
        key = np.floor((points - low) / cell).astype(np.int64) @ np.array([1 << 40, 1 << 20, 1])
        _, first = np.unique(key, return_index=True)
        if len(first) <= MOST:
            return points[first], normals[first]
        cell *= 1.15
