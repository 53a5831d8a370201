"""What is too low for the clearance above the support, such as the blade of a knife or the floor of a plate, but belongs to
something that is not. Its cells are found on the support's raster and told from bumps of the ground by their colour."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from phone2sim.assets.appearance import coloured_as_ground
from phone2sim.assets.segment import Cluster
from phone2sim.assets.support import Support, surface_heights
from phone2sim.assets.views import View
from phone2sim.reconstruct.mesh.fusion import Field


def least_height(support: Support, cell: float) -> float:
    """Height above the plane [m] from which the fused surface itself is known to be higher."""
    return max(4 * support.noise_m, 0.4 * cell)


def with_low_parts(
    clusters: list[Cluster], field: Field, support: Support, views: list[View], *, clear_m: float, min_size_m: float
) -> list[Cluster]:
    """The clusters with the low cells that border on them, or that their outline encloses, as `Cluster.low`."""
    from scipy import ndimage

    if not clusters:
        return []
    grid, level = field.grid, support.surface.height_m
    heights = surface_heights(field, above=level - clear_m) - level
    owner = np.zeros(grid.shape[:2], int)
    for k, c in enumerate(clusters, start=1):
        if c.base_m is None:
            ij = np.floor((c.points[:, :2] - grid.origin[:2]) / grid.voxel).astype(int)
            owner[ij[:, 0], ij[:, 1]] = k
    low = support.inside & (heights > least_height(support, grid.voxel)) & (heights < clear_m + grid.voxel) & (owner == 0)
    low = ndimage.binary_opening(low)
    parts, count = ndimage.label(low, np.ones((3, 3)))
    i, j = ndimage.distance_transform_edt(owner == 0, return_distances=False, return_indices=True)
    nearest, border = owner[i, j], ndimage.binary_dilation(owner > 0, np.ones((3, 3)), iterations=2)
    mine: list[list[np.ndarray]] = [[] for _ in clusters]
    for n in range(1, count + 1):
        part = parts == n
        if not (part & border).any():
            continue
        for k in np.unique(nearest[part]):
            ij = np.argwhere(part & (nearest == k))
            points = np.column_stack([grid.origin[:2] + grid.voxel * ij, level + heights[ij[:, 0], ij[:, 1]]])
            inside = ndimage.binary_fill_holes(owner == k)[ij[:, 0], ij[:, 1]].mean() > 0.6
            if inside or (len(ij) >= 0.5 * (min_size_m / grid.voxel) ** 2 and not coloured_as_ground(points, views, level)):
                mine[k - 1].append(points)
    return [replace(c, low=np.concatenate(m)) if m else c for c, m in zip(clusters, mine)]


def on_low(points: np.ndarray, low: np.ndarray, *, cell: float, depth_m: float) -> np.ndarray:
    """(n,) bool: points over the cells `low` (k, 3), no deeper than `depth_m` below their surface and no higher than a cell."""
    from scipy.spatial import cKDTree

    out = np.zeros(len(points), bool)
    if len(low):
        distance, index = cKDTree(low[:, :2]).query(points[:, :2], distance_upper_bound=0.75 * cell)
        near = np.flatnonzero(np.isfinite(distance))
        above = points[near, 2] - low[index[near], 2]
        out[near] = (above > -depth_m) & (above < cell)
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
