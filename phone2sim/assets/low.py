"""What is too low for the clearance above the support, such as the blade of a knife or the floor of a plate, but belongs to
something that is not, or is a thing of its own. Its cells are found on the fused surface and by the photos' relief, and told from
bumps of the ground by their colour."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from phone2sim.assets.appearance import coloured_as_ground, stands_out
from phone2sim.assets.edges import outlined
from phone2sim.assets.relief import Relief
from phone2sim.assets.segment import Cluster, sees
from phone2sim.assets.support import Support, surface_heights
from phone2sim.assets.views import View
from phone2sim.reconstruct.mesh.fusion import Field, dilate


def least_height(support: Support, cell: float) -> float:
    """Height above the plane [m] from which the fused surface itself is known to be higher."""
    return max(4 * support.noise_m, 0.4 * cell)


def with_low_parts(
    clusters: list[Cluster], relief: Relief, field: Field, support: Support, views: list[View], *, clear_m: float, min_size_m: float
) -> list[Cluster]:
    """The clusters with the low parts that border on them, or that their outline encloses, as `Cluster.low`, and a new one for
    each low thing that stands alone."""
    from scipy import ndimage

    grid, level = field.grid, support.surface.height_m
    heights = surface_heights(field, above=level - clear_m) - level
    owner = np.zeros(grid.shape[:2], int)
    for k, c in enumerate(clusters, start=1):
        if c.base_m is None:
            ij = np.floor((c.points[:, :2] - grid.origin[:2]) / grid.voxel).astype(int)
            owner[ij[:, 0], ij[:, 1]] = k
    fused = support.inside & (heights > least_height(support, grid.voxel)) & (heights < clear_m + grid.voxel) & (owner == 0)
    fused = ndimage.binary_opening(fused)
    cells = [np.floor((o + relief.cell * np.arange(n) - g) / grid.voxel + 0.5).astype(int)
             for o, n, g in zip(relief.origin, relief.height_m.shape, grid.origin)]  # fmt: skip
    at = np.ix_(*(np.clip(c, 0, n - 1) for c, n in zip(cells, grid.shape)))
    heights, owner, fused = heights[at], owner[at], fused[at]
    fused &= (ndimage.distance_transform_edt(fused | (owner > 0)) * relief.cell > 0.5 * grid.voxel) & ~relief.flat
    known = np.abs(heights) < clear_m + grid.voxel
    denied = (relief.height_m > 2 * least_height(support, grid.voxel)) & (heights < 0.25 * relief.height_m)  # depth would show it
    shown = _shown(relief, relief.flat | denied, known, owner > 0, clear_m=clear_m, width_m=0.5 * min_size_m)
    z = level + ndimage.median_filter(np.where(relief.raised | ~known, relief.height_m, heights), 3)

    low = (fused | shown) & (owner == 0)
    parts, count = ndimage.label(low, np.ones((3, 3)))
    i, j = ndimage.distance_transform_edt(owner == 0, return_distances=False, return_indices=True) if owner.any() else np.indices(owner.shape)
    near = round(2 * grid.voxel / relief.cell)
    nearest, border = owner[i, j], dilate(owner > 0, near)
    enclosed = [ndimage.binary_fill_holes(owner == k) for k in range(1, len(clusters) + 1)]
    mine: list[list[np.ndarray]] = [[] for _ in clusters]
    least, more = 0.5 * (min_size_m / relief.cell) ** 2, []
    for n, box in enumerate(ndimage.find_objects(parts), start=1):
        part = np.zeros_like(low)
        part[box] = parts[box] == n
        if part.sum() < least / 4:
            continue
        if not (part & border).any():
            if part.sum() >= 6 * least:
                more.append(part)
            continue
        for k in np.unique(nearest[part]):
            own = part & (nearest == k)
            points = relief.points(own, z)
            if enclosed[k - 1][own].mean() > 0.6 or (own.sum() >= least and not coloured_as_ground(points, views, level)):
                mine[k - 1].append(points)
    found = [replace(c, low=np.concatenate(m)) if m else c for c, m in zip(clusters, mine)]
    for part in more:
        points = relief.points(part, z)
        seen = sum(sees(view, points) for view in views)
        tall = np.percentile(points[:, 2], 90) - level >= 0.4 * clear_m
        if tall and seen >= 0.5 * len(views) and stands_out(points, views, level):
            found.append(Cluster(points=points, views=seen, low=points))
    return found


def _shown(relief: Relief, flat: np.ndarray, known: np.ndarray, owned: np.ndarray, *, clear_m: float, width_m: float) -> np.ndarray:
    """(nx, ny) bool: cells that the photos show raised, in parts that are somewhere `width_m` wide and not just the foot of
    something taller, whose lower end photos see beside it. `flat` are cells of the ground, `known` those where it was fused."""
    from scipy import ndimage

    free = known & ~flat & ~owned
    raised = ndimage.binary_opening(relief.raised & free, np.ones((3, 3)))
    joined = ndimage.binary_closing(raised | owned, np.ones((5, 5))) & free
    foot = dilate(owned, round(clear_m / relief.cell))
    core = ndimage.distance_transform_edt(joined) * relief.cell >= 0.5 * width_m
    found = ndimage.binary_propagation(core & ~foot, mask=joined, structure=np.ones((3, 3)))
    return ndimage.binary_fill_holes(outlined(relief, found, flat, owned | ~known, reach_m=3 * width_m)) & known & ~owned


def on_low(points: np.ndarray, low: np.ndarray, *, cell: float, level: float, depth_m: float) -> np.ndarray:
    """(n,) bool: points over the cells `low` (k, 3), from `depth_m` below z = `level` to as much above their surface.

    A splat has what lies flat about as deep as the ground itself: what is seen there is the low part.
    """
    from scipy.spatial import cKDTree

    out = np.zeros(len(points), bool)
    if len(low):
        distance, index = cKDTree(low[:, :2]).query(points[:, :2], distance_upper_bound=0.75 * cell)
        near = np.flatnonzero(np.isfinite(distance))
        z = points[near, 2]
        out[near] = (z > level - depth_m) & (z < low[index[near], 2] + depth_m)
    return out


def low_field(nodes_xy: np.ndarray, z: np.ndarray, low: np.ndarray, beside: np.ndarray, *, cell: float, outside: float) -> np.ndarray:
    """(nx, ny, nz) [m] distance to the low parts (k, 3), which reach down from their surface; `outside` away from them.

    `nodes_xy` (nx, ny, 2) and `z` (nz,) are the grid's, `beside` (nx, ny) the distance from the outline that silhouettes show.
    """
    from scipy.spatial import cKDTree

    distance, index = cKDTree(low[:, :2]).query(nodes_xy.reshape(-1, 2), k=4, distance_upper_bound=1.6 * cell)
    known = np.isfinite(distance)
    weight = np.where(known, 1 / (np.where(known, distance, 1) + 0.2 * cell), 0)
    height = (weight * low[np.where(known, index, 0), 2]).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-9)
    height, over = height.reshape(beside.shape), known.any(axis=1).reshape(beside.shape)
    field = np.maximum(z - height[..., None], beside[..., None])
    return np.asarray(np.where(over[..., None], np.clip(field, -outside, outside), outside), np.float32)
