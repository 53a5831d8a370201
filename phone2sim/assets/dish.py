"""The underside of plates, saucers and trays: no camera looks under them, but they are no thicker under the rim than in the middle.

The middle stands on the support and its upper side is seen, so the thing is no thicker there; and the rim is seen to overhang. What is
hidden between the two is the upper side moved down to the support.
"""

from __future__ import annotations

import numpy as np

from phone2sim.assets.carving import BEHIND, seen_at
from phone2sim.assets.views import View
from phone2sim.reconstruct.mesh.fusion import Grid

SHALLOW = 0.25
"""Largest depth of a dish relative to its width: of what is deeper the outside is seen."""
RISES = 1.5
"""Least height [voxels] of the rim over the middle, and of the free space under the rim."""
OVERHANGS = 0.7
"""Least share of the outline under which there is free space."""
MIDDLE = 0.6
"""Depth inside the outline, relative to the deepest place, from which on a column is the middle's."""
EDGE = 1.5, 3.5
"""So near the outline [voxels] lie the columns under which free space is looked for, and the rim's."""
VOUCHED = 3
"""So many views with a surface there have seen an underside."""
STANDS = 0.5
"""What would hang so little [voxels] over the support stands on it."""


def undercut(field: np.ndarray, grid: Grid, views: list[View], *, level: float) -> np.ndarray:
    """The signed distances (nx, ny, nz) [m] of a body on z = `level` without what is hidden under the overhanging rim of a dish;
    those of anything else as they are."""
    from scipy import ndimage

    voxel = grid.voxel
    z = grid.origin[2] + voxel * np.arange(grid.shape[2])
    matter = field < 0
    matter[:, :, z < level] = False
    some = np.any(matter, axis=2)
    column = np.asarray(ndimage.binary_fill_holes(some))
    inwards = np.asarray(ndimage.distance_transform_edt(column))
    middle, near = inwards > MIDDLE * float(inwards.max()), column & (inwards <= EDGE[0])
    if not column.any() or (column & ~some).any():
        return field
    top, low = _heights(field, matter, z)
    rim = column & (inwards > EDGE[0]) & (inwards <= EDGE[1])
    thick = float(np.median(top[middle])) - level
    depth = float(np.median(top[rim])) - level - thick
    if thick < voxel or depth < RISES * voxel or depth > SHALLOW * voxel * 2 * inwards.max():
        return field
    if np.mean(low[near] > level + RISES * voxel) < OVERHANGS:
        return field
    even = ndimage.gaussian_filter(np.where(column, top, 0), 1.0) / np.maximum(ndimage.gaussian_filter(column.astype(float), 1.0), 1e-3)
    under = even - thick
    i, j = np.nonzero(column)
    bottom = np.column_stack([grid.origin[:2] + voxel * np.column_stack([i, j]), low[i, j]])
    hidden = column.copy()
    hidden[i, j] = (seen_at(bottom, views, voxel) < VOUCHED) | (low[i, j] < level + 2 * BEHIND[0] * voxel)  # lower it may be the support that they see
    share = ndimage.gaussian_filter(hidden.astype(float), 1.0)
    under = share * under + (1 - share) * np.minimum(low, under)
    under = np.where(under > level + STANDS * voxel, under, z[0] - 4 * voxel)
    air = np.clip(under[..., None] - z, -4 * voxel, 4 * voxel)
    return np.where(column[..., None], np.maximum(field, air), field).astype(np.float32)


def _heights(field: np.ndarray, matter: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(nx, ny) [m] of the highest and lowest surface of each column, between nodes; 0 where there is no matter."""
    k = len(z)
    top, low = k - 1 - np.argmax(matter[:, :, ::-1], axis=2), np.argmax(matter, axis=2)

    def crossing(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
        a, b = (np.take_along_axis(field, n[..., None], axis=2)[..., 0] for n in (inside, outside))
        return np.asarray(z[inside] + np.where(b > 0, -a / np.where(b > a, b - a, 1), 0) * (z[outside] - z[inside]))

    some = matter.any(axis=2)
    return np.where(some, crossing(top, np.minimum(top + 1, k - 1)), 0), np.where(some, crossing(low, np.maximum(low - 1, 0)), 0)
