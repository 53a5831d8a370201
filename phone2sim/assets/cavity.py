"""The inside of vessels: where cameras looked deep into an opening, what they could not see below is hollow as well.

Cameras look into a mug at an angle: its far wall is seen, its floor is not. Without this the unseen rest would be solid."""

from __future__ import annotations

import numpy as np

from phone2sim.assets.carving import BEHIND
from phone2sim.assets.views import View
from phone2sim.reconstruct.mesh.fusion import Grid

DEEP = 0.3, 0.4
"""Least depth seen into the opening, relative to the body's height and to the opening's width."""
VOUCHED = 3
"""So many views with a surface there make a floor or a content of what lies in the opening."""


def hollowed(field: np.ndarray, grid: Grid, views: list[View], *, level: float, base_m: float) -> np.ndarray:
    """The signed distances (nx, ny, nz) [m] with an opening at the top continued down, no lower than `base_m` above z = `level`.

    It goes on straight below what was seen to be empty, until a surface was seen, or the outside is as near as the wall is
    thick at the rim. A body without a deep opening is returned as it is.
    """
    from scipy import ndimage

    voxel = grid.voxel
    z = grid.origin[2] + voxel * np.arange(grid.shape[2])
    solid = field < 0
    solid[:, :, z < level + voxel] = False
    layers = [int(k) for k in np.flatnonzero(solid.any(axis=(0, 1)))]
    if len(layers) < 8:
        return field
    enclosed = np.zeros_like(solid)
    for k in layers:
        enclosed[:, :, k] = ndimage.binary_fill_holes(solid[:, :, k]) & ~solid[:, :, k]
    rims = [k for k in layers if enclosed[:, :, k].sum() >= 36]
    if not rims:
        return field
    rim = max(rims)
    parts, _ = ndimage.label(enclosed[:, :, rim])
    mouth = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    if solid[:, :, rim + 1 :][mouth].any():
        return field
    empty = enclosed & mouth[:, :, None]
    for k in range(rim - 1, layers[0] - 1, -1):  # an opening may widen below its mouth
        parts, _ = ndimage.label(enclosed[:, :, k])
        met = np.unique(parts[empty[:, :, k + 1]])
        empty[:, :, k] = np.isin(parts, met[met > 0])
    areas = empty.sum(axis=(0, 1))
    floor = int(np.flatnonzero(areas >= 0.1 * areas.max())[0])
    depth, width = voxel * (rim - floor), voxel * float(np.sqrt(areas.max()))
    if depth < max(DEEP[0] * voxel * len(layers), DEEP[1] * width):
        return field
    outside = ~solid & ~empty
    outside[:, :, z < level + voxel] = False
    away = voxel * ndimage.distance_transform_edt(~outside)
    edge = empty & ndimage.binary_dilation(solid)
    edge[:, :, : (rim + floor) // 2] = edge[:, :, rim - 1 :] = False
    wall = float(np.clip(np.median(away[edge]), 2 * voxel, 0.25 * width)) if edge.any() else 3 * voxel
    below = np.cumsum(empty[:, :, ::-1], axis=2)[:, :, ::-1] > 0  # under something seen empty
    asked = below & solid & (away >= wall) & (z >= level + max(base_m, wall))
    asked[asked] = ~_surface_at(grid.points(np.flatnonzero(asked)), views, voxel)
    hollow = empty.copy()
    for k in range(rim - 1, layers[0] - 1, -1):
        hollow[:, :, k] |= hollow[:, :, k + 1] & asked[:, :, k]
    new = hollow & ~empty
    if not new.any():
        return field
    free = hollow | ~solid
    inside = voxel * (ndimage.distance_transform_edt(free) - 0.5)
    within = -voxel * (ndimage.distance_transform_edt(~free) - 0.5)
    near = ndimage.binary_dilation(new, iterations=3)
    return np.where(near, np.maximum(field, np.clip(np.where(free, inside, within), -4 * voxel, 4 * voxel)), field).astype(np.float32)


def _surface_at(points: np.ndarray, views: list[View], voxel: float) -> np.ndarray:
    """(n,) bool: points (n, 3) at which enough views have their visible surface."""
    count = np.zeros(len(points), int)
    for view in views:
        index, depth, inside = view.pixels(points)
        d = view.depth.ravel()[index]
        count += inside & (d > 0) & (np.abs(d - depth) < BEHIND[0] * voxel)
    return count >= VOUCHED
