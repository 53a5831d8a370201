"""The inside of vessels: where cameras looked deep into an opening, what they could not see below is hollow as well.

Cameras look into a mug at an angle: its far wall is seen, its floor is not. Without this the unseen rest would be solid."""

from __future__ import annotations

import numpy as np

from phone2sim.assets.carving import seen_at
from phone2sim.assets.views import View
from phone2sim.reconstruct.mesh.fusion import Grid

DEEP = 0.3, 0.4
"""Least depth seen into the opening, relative to the body's height and to the opening's width."""
LID = 0.1
"""An opening of which more than this is covered from above is closed; a ragged rim covers less."""
VOUCHED = 3
"""So many views with a surface there make a floor or a content of what lies in the opening."""
FLOOR, SURELY = 0.15, 0.4
"""Shares of the views that must show a floor for it to be one, and, where none was, what else lies below the opening."""
BALL = (np.mgrid[-2:3, -2:3, -2:3] ** 2).sum(axis=0) <= 5
"""What does not let this [voxels] in is a pit in a wall, not a place beside it."""
FOOT = 1.5
"""A floor that nobody saw is so many times as thick as the wall."""


def hollowed(field: np.ndarray, grid: Grid, views: list[View], *, level: float, base_m: float) -> np.ndarray:
    """The signed distances (nx, ny, nz) [m] of a body on z = `level` with an opening at its top continued down.

    Where the floor was seen, only what is hidden straight below what was seen empty, above any surface and `base_m` above the
    support, is emptied. Where it was not, everything below the opening is, except for a floor, and for a wall as thick as near
    the rim, whose pits are filled. A body without a deep opening is returned as it is.
    """
    from scipy import ndimage

    voxel = grid.voxel
    z = grid.origin[2] + voxel * np.arange(grid.shape[2])
    solid = field < 0
    solid[:, :, z < level + voxel] = False
    parts, n = ndimage.label(solid)
    stray = (parts > 0) & (parts != 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))) if n > 1 else np.zeros_like(solid)
    solid &= ~stray  # a clump that hangs in the opening is no lid
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
    if np.mean(solid[:, :, rim + 1 :].any(axis=2), where=mouth) > LID:
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
    around, _ = ndimage.label(~solid & ~empty)
    outside = around == around[0, 0, -1]  # not the pockets inside
    outside[:, :, z < level + voxel] = False
    open_air = outside
    outside = ndimage.binary_opening(outside, BALL)  # nor pits that fray a wall
    away = voxel * ndimage.distance_transform_edt(~outside)
    wall = _wall(away, empty & ndimage.binary_dilation(solid), voxel, floor, rim, width)
    below = np.cumsum(empty[:, :, ::-1], axis=2)[:, :, ::-1] > 0  # under something seen empty
    asked = below & solid & (away >= wall) & (z >= level + FOOT * (wall - voxel) + 0.5 * voxel)
    count = np.zeros(field.shape, int)
    count[asked] = seen_at(grid.points(np.flatnonzero(asked)), views, voxel)
    if _floor_seen(empty, count >= max(VOUCHED, FLOOR * len(views)), floor, rim):
        hollow = empty.copy()
        asked &= z >= level + base_m
        for k in range(rim - 1, layers[0] - 1, -1):  # straight down, where nothing was seen
            hollow[:, :, k] |= hollow[:, :, k + 1] & asked[:, :, k] & (count[:, :, k] < VOUCHED)
    else:  # the few views that see a wall below the opening see it badly
        hollow = empty | (asked & (count < max(VOUCHED, SURELY * len(views))))
    new = hollow & ~empty
    if not new.any():
        return field
    pits = open_air & ~outside & (voxel * ndimage.distance_transform_edt(~hollow) < wall)
    pits[:, :, rim - 1 :] = False
    free = (hollow | ~solid) & ~pits
    inside = voxel * (ndimage.distance_transform_edt(free) - 0.5)
    within = -voxel * (ndimage.distance_transform_edt(~free) - 0.5)
    near = ndimage.binary_dilation(new, iterations=3)
    out = np.where(near, np.maximum(field, np.clip(np.where(free, inside, within), -4 * voxel, 4 * voxel)), field)
    out = np.where(pits, np.minimum(field, within), out)
    return np.where(stray, np.maximum(out, 0.5 * voxel), out).astype(np.float32)


def _wall(away: np.ndarray, edge: np.ndarray, voxel: float, floor: int, rim: int, width: float) -> float:
    """How far [m] the empty cells at the inside of a wall, `edge` (nx, ny, nz) bool, are from the outside, `away` [m] of all cells.

    Depth errs into the hollow, and the more the deeper one looks: what counts is the thinner quarter of the layer where that is least,
    among the upper half's layers so far below the rim that the way over it is longer.
    """
    least = [3 * voxel]
    for k in range(rim, (rim + floor) // 2, -1):
        if edge[:, :, k].any():
            here = float(np.percentile(away[:, :, k][edge[:, :, k]], 25))
            if here < 0.8 * voxel * (rim + 1 - k):
                least.append(here)
    return float(np.clip(min(least[1:] or least), 2 * voxel, 0.25 * width))


def _floor_seen(empty: np.ndarray, surface: np.ndarray, floor: int, rim: int) -> bool:
    """Whether most columns that were seen empty nearly as deep as any, (nx, ny, nz) bool, end at a surface that was seen."""
    columns = empty.any(axis=2)
    lowest = np.where(columns, np.argmax(empty, axis=2), rim)
    i, j = np.nonzero(columns & (lowest <= floor + max(1, (rim - floor) // 4)))
    under = [surface[i, j, np.maximum(lowest[i, j] - k, 0)] for k in range(1, 4)]
    return bool(np.any(under, axis=0).mean() > 0.5)
