"""What stands on a support plane, by geometry alone: clusters of fused surface above it, inside its outline."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phone2sim.assets.appearance import coloured_apart, explained_by_ground, is_ground, stands_out
from phone2sim.assets.scene import PlanarSurface
from phone2sim.assets.split import split
from phone2sim.assets.statics import on_others
from phone2sim.assets.support import Support
from phone2sim.assets.views import View
from phone2sim.reconstruct.mesh.fusion import Field, dilate

CARRIES = "carries another surface"
"""Why the sides and legs of a shelf are no objects."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Surface points of one object candidate."""

    points: np.ndarray
    """(n, 3) world [m], above the support by at least the clearance."""
    views: int
    """Number of views that see a good part of it."""
    base_m: float | None = None
    """Height [m] of the ledge of another cluster that it stands on; None for the support."""
    top_m: float | None = None
    """Height [m] of its own ledge that another one stands on."""
    low: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 3)))
    """(k, 3) surface of its parts lower than the clearance, one point a cell of the support's raster, world [m]."""

    @property
    def bounds(self) -> np.ndarray:
        """(2, 3) robust low and high corner, world [m]."""
        return np.percentile(np.concatenate([self.points, self.low]), [0.2, 99.8], axis=0)


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A cluster that is not an object, and why."""

    reason: str
    centre: np.ndarray
    extents: np.ndarray
    points: np.ndarray | None = None
    """(n, 3) its surface, world [m], where it was known."""


def clearance(support: Support, voxel: float, minimum: float) -> float:
    """Height above the plane [m] from which a surface is something standing on it: above the plane's own noise."""
    return max(minimum, 4 * support.noise_m, 2 * voxel)


def find_clusters(
    field: Field, support: Support, views: list[View], *, clear_m: float, min_size_m: float, max_share: float, min_views: int = 3,
    min_share: float = 0.3, others: Sequence[PlanarSurface] = (),
) -> tuple[list[Cluster], list[Rejected]]:
    """Connected parts of the surface above the support, largest first, and the parts refused with the reason.

    `min_size_m` is the least height and diagonal; `max_share` the largest footprint relative to the support's.
    Fewer than `min_views` views, or than the share `min_share` of all, are not enough: badly seen ground grows bumps.
    What is of `others`, higher supports and walls, or stands on them, is left out.
    """
    from scipy import ndimage

    grid = field.grid
    level = support.surface.height_m
    v = field.dense(unseen=np.nan, min_weight=3)
    surface = np.zeros(grid.shape, bool)
    for axis in range(3):
        a = np.moveaxis(v, axis, 0)
        cross = (a[:-1] < 0) != (a[1:] < 0)
        cross &= np.isfinite(a[:-1]) & np.isfinite(a[1:])
        s = np.moveaxis(surface, axis, 0)
        s[:-1] |= cross
    z = grid.origin[2] + grid.voxel * np.arange(grid.shape[2])
    surface[:, :, z < level + clear_m] = False
    carried = _without_others(surface, field, others, near_m=clear_m)

    labels, count = ndimage.label(surface, np.ones((3, 3, 3)))
    if count == 0:
        return [], []
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    least = max(12, int(0.3 * (min_size_m / grid.voxel) ** 2))
    support_area = support.inside.sum() * grid.voxel**2
    clusters: list[Cluster] = []
    refused: list[Rejected] = []
    boxes = ndimage.find_objects(labels)
    parts = []
    for k in np.argsort(-sizes[1:], kind="stable") + 1:
        if sizes[k] < max(4, least // 4):
            break
        box = boxes[k - 1]
        parts.append(np.stack(np.nonzero(labels[box] == k), axis=1) + [s.start for s in box])
    whole = [ijk for ijk in join_stacked(parts) if len(ijk) >= least]

    def differ(a: np.ndarray, b: np.ndarray) -> bool:
        return coloured_apart(grid.origin + grid.voxel * (a + 0.5), grid.origin + grid.voxel * (b + 0.5), views)

    for piece in (p for ijk in whole for p in split(ijk, least=min_size_m / grid.voxel, differ=differ)):
        ijk = piece.ijk
        base_m, top_m = (None if k is None else float(grid.origin[2] + grid.voxel * (k + 0.5)) for k in (piece.base, piece.top))
        points = grid.origin + grid.voxel * (ijk + 0.5)
        extents = np.ptp(points, axis=0)
        columns = np.zeros(grid.shape[:2], bool)
        columns[ijk[:, 0], ijk[:, 1]] = True
        border = (ijk[:, :2] <= 1).any() or (ijk[:, :2] >= np.array(grid.shape[:2]) - 2).any()
        within = support.inside[columns].mean()
        base = points[:, 2].min() - (level + clear_m if base_m is None else base_m)
        seen = int(sum(sees(view, points) for view in views))
        reason = ""
        if border:
            reason = "reaches the border of the region"
        elif carried is not None and carried[tuple(ijk[ijk[:, 2] >= ijk[:, 2].max() - 1].T)].mean() > 0.5:
            reason = CARRIES
        elif within < 0.9:
            reason = "not on the support"
        elif base > 3 * grid.voxel + 0.25 * extents[2]:
            reason = "floats above the support"
        elif top_m is None and np.linalg.norm(extents) < 1.5 * min_size_m:
            reason = "too small"
        elif np.prod(extents[:2]) > max_share * support_area:
            reason = "too large for the support"
        elif seen < max(min_views, min_share * len(views)):
            reason = f"seen in {seen} views"
        elif seen < 0.5 * len(views) and explained_by_ground(points, views, level):
            reason = "the photos show flat ground there"
        elif top_m is not None:
            reason = ""  # low as it may be, something stands on it
        elif extents[2] + clear_m < min_size_m and not stands_out(points, views, level):
            reason = "too small"
        elif extents[2] < 2 * clear_m and is_ground(points, views, level):
            reason = "a bump of the ground itself"
        if reason:
            refused.append(Rejected(reason=reason, centre=points.mean(axis=0), extents=extents, points=points))
        else:
            clusters.append(Cluster(points=points, views=seen, base_m=base_m, top_m=top_m))
    return clusters, refused


def _without_others(surface: np.ndarray, field: Field, others: Sequence[PlanarSurface], *, near_m: float) -> np.ndarray | None:
    """Take the voxels of other surfaces out of `surface` (nx, ny, nz); returns the ones close to a board, where what carries it ends."""
    if not others:
        return None
    ijk = np.argwhere(surface)
    boards, walls = on_others(field.grid.origin + field.grid.voxel * (ijk + 0.5), others, near_m=near_m)
    surface[tuple(ijk[boards | walls].T)] = False
    carried = np.zeros(surface.shape, bool)
    carried[tuple(ijk[boards].T)] = True
    return dilate(carried, 2)


def join_stacked(parts: list[np.ndarray]) -> list[np.ndarray]:
    """Merge voxel sets (n, 3), largest first, with a larger one whose outline from above covers most of them.

    The inside of a mug and its wall, or a lid seen apart from its box, are one object.
    """
    import cv2

    groups: list[list[np.ndarray]] = []
    outlines: list[np.ndarray] = []
    for ijk in parts:
        for group, outline in zip(groups, outlines):
            some = ijk[:: max(1, len(ijk) // 200), :2].astype(float)
            if np.mean([cv2.pointPolygonTest(outline, (float(x), float(y)), True) > -1.0 for x, y in some]) > 0.6:
                group.append(ijk)
                break
        else:
            groups.append([ijk])
            outlines.append(cv2.convexHull(ijk[:, :2].astype(np.float32)))
    return [np.concatenate(g) for g in groups]


def sees(view: View, points: np.ndarray) -> bool:
    """Whether at least 15% of a cluster's points are on the visible surface of the picture."""
    some = points[:: max(1, len(points) // 400)]
    index, z, inside = view.pixels(some)
    d = view.depth.ravel()[index]
    return bool((inside & (d > 0) & (np.abs(d - z) < 0.01 * z + 0.004)).mean() > 0.15)
