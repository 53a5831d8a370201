"""The support plane: its height refined on the fused surface, and the outline where it was actually seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim.assets.scene import SupportSurface
from phone2sim.assets.views import View
from phone2sim.poses import Pose
from phone2sim.reconstruct.mesh.fusion import Field, dilate


@dataclass(frozen=True, kw_only=True)
class Support:
    """A horizontal plane seen in the fused field, on the field's own xy cells."""

    surface: SupportSurface
    noise_m: float
    """Robust standard deviation of the fused surface around the plane [m]."""
    seen: np.ndarray
    """(nx, ny) bool: cells of the field whose surface lies on the plane."""
    inside: np.ndarray
    """(nx, ny) bool: cells within the outline."""
    tilt_rad: float
    """Slope of the fused surface against the horizontal: how far the up direction is off."""


def region(views: list[View], points: np.ndarray | None = None) -> tuple[np.ndarray, float]:
    """Middle of what the cameras look at on z = 0, (2,) [m], and the median distance from the cameras to it [m]."""
    centres = np.array([v.centre for v in views])
    forward = np.array([v.T_camera_world[2, :3] for v in views])
    down = (forward[:, 2] < -0.1) & (centres[:, 2] > 0)
    if down.sum() >= 3:
        hits = centres[down] - forward[down] * (centres[down, 2] / forward[down, 2])[:, None]
        middle = np.median(hits[:, :2], axis=0)
    else:
        middle = np.median(centres[:, :2], axis=0)
    distance = np.linalg.norm(centres - [*middle, 0.0], axis=1)
    return middle, float(np.median(distance))


def surface_heights(field: Field, *, above: float) -> np.ndarray:
    """(nx, ny) height [m] of the lowest upward-facing zero crossing higher than `above`, NaN where none was seen."""
    grid = field.grid
    v = field.dense(unseen=np.nan, min_weight=3)
    lower, upper = v[:, :, :-1], v[:, :, 1:]
    cross = (lower < 0) & (upper >= 0)
    z = grid.origin[2] + grid.voxel * np.arange(grid.shape[2] - 1)
    cross &= (z > above)[None, None]
    k = np.argmax(cross, axis=2)
    found = cross.any(axis=2)
    i, j = np.nonzero(found)
    kk = k[i, j]
    a, b = lower[i, j, kk], upper[i, j, kk]
    out = np.full(grid.shape[:2], np.nan)
    out[i, j] = z[kk] + grid.voxel * a / (a - b)
    return out


def find_support(field: Field, middle: np.ndarray, *, name: str = "table", search_m: float, near_m: float = 0.0) -> Support | None:
    """The plane near z = `near_m` with its outline, or None when the fused surface shows none.

    The height is the mode of the surface heights within `search_m`; the outline is the convex hull of the connected
    cells on it nearest to `middle`.
    """
    import cv2
    from scipy import ndimage

    grid = field.grid
    heights = surface_heights(field, above=near_m - search_m)
    near = np.isfinite(heights) & (np.abs(heights - near_m) < search_m)
    if near.sum() < 100:
        return None
    z = heights[near]
    bins = np.histogram(z, bins=max(8, int(2 * search_m / (grid.voxel / 2))), range=(near_m - search_m, near_m + search_m))
    smooth = np.convolve(bins[0], [1, 2, 3, 2, 1], "same")
    level = float(bins[1][np.argmax(smooth)] + (bins[1][1] - bins[1][0]) / 2)
    spread = 2 * grid.voxel
    for _ in range(5):
        inlier = z[np.abs(z - level) < 3 * spread]
        if len(inlier) < 100:
            return None
        level = float(np.median(inlier))
        spread = max(0.1 * grid.voxel, 1.4826 * float(np.median(np.abs(inlier - level))))
    tolerance = max(3.5 * spread, 1.5 * grid.voxel)
    on = near & (np.abs(heights - level) < tolerance)

    seen = ndimage.binary_opening(on, iterations=1)
    joined = dilate(seen, max(1, round(0.02 / grid.voxel)))
    labels, count = ndimage.label(joined)
    if count == 0:
        return None
    at = np.round((middle - grid.origin[:2]) / grid.voxel).astype(int)
    ii, jj = np.nonzero(seen)
    areas = np.bincount(labels[ii, jj], minlength=count + 1)[1:]
    gap = ndimage.minimum(np.hypot(*(np.indices(labels.shape) - at[:, None, None])), labels, np.arange(1, count + 1))
    score = areas * np.exp(-gap * grid.voxel / 0.2)
    seen &= labels == int(np.argmax(score)) + 1
    if seen.sum() * grid.voxel**2 < 0.01 * (min(grid.shape[:2]) * grid.voxel) ** 2:
        return None

    cells = np.stack(np.nonzero(seen), axis=1)
    hull = cv2.convexHull(cells.astype(np.int32))[:, 0]
    inside = np.zeros(seen.shape, np.uint8)
    cv2.fillConvexPoly(inside, np.ascontiguousarray(hull[:, ::-1]), 1)
    xy = grid.origin[:2] + grid.voxel * hull.astype(float)
    area2 = np.sum(xy[:, 0] * np.roll(xy[:, 1], -1) - np.roll(xy[:, 0], -1) * xy[:, 1])
    xy = xy if area2 > 0 else xy[::-1]
    origin = np.array([*xy.mean(axis=0), level])
    A = np.column_stack([cells * grid.voxel, np.ones(len(cells))])
    slope = np.linalg.lstsq(A, heights[seen], rcond=None)[0][:2]
    return Support(
        surface=SupportSurface(name=name, T_world_surface=Pose(origin, np.array([1.0, 0, 0, 0])), outline=xy - origin[:2]),
        noise_m=spread, seen=seen, inside=inside.astype(bool), tilt_rad=float(np.arctan(np.linalg.norm(slope))),
    )  # fmt: skip
