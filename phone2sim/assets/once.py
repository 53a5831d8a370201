"""Objects in a single picture with depth: what stands on the plane, by height and by the steps of the depth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from phone2sim.assets.lift import Found, Scales
from phone2sim.assets.scene import SupportSurface
from phone2sim.assets.segment import Cluster, Rejected, join_stacked
from phone2sim.assets.support import Support
from phone2sim.assets.views import View
from phone2sim.poses import Pose
from phone2sim.reconstruct.mesh.fusion import dilate

STEP = 0.02
"""Relative step of the depth between neighbouring pixels of one surface at most."""


def with_depth(view: View, depth: np.ndarray) -> View:
    """The view with a measured depth (any size, same field of view) in place of the splat's."""
    from phone2sim.reconstruct.photo.surface import resized, settled

    h, w = view.depth.shape
    return replace(view, depth=settled(resized(depth, w, h)))


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """The picture in the world."""

    points: np.ndarray
    """(h, w, 3) world [m], NaN without depth."""
    normals: np.ndarray
    """(h, w, 3) unit, towards the camera; 0 where the surface is not known."""


def pixels_of(view: View) -> Pixels:
    """World points of all pixels, and normals from the nearer of the neighbours on each side."""
    h, w = view.depth.shape
    v, u = np.mgrid[:h, :w] + 0.5
    z = np.where(view.depth > 0, view.depth, np.nan).astype(np.float64)
    camera = np.stack([(u - view.K[0, 2]) / view.K[0, 0] * z, (v - view.K[1, 2]) / view.K[1, 1] * z, z], axis=-1)
    tangents = []
    for axis in (1, 0):
        step = np.diff(camera, axis=axis)
        last, first = np.take(step, [-1], axis=axis), np.take(step, [0], axis=axis)
        ahead, behind = np.concatenate([step, last], axis=axis), np.concatenate([first, step], axis=axis)
        nearer = np.abs(ahead[..., 2:]) < np.abs(behind[..., 2:])
        tangents.append(np.where(nearer, ahead, behind))
    n = np.cross(tangents[1], tangents[0])
    length = np.linalg.norm(n, axis=-1, keepdims=True)
    n = np.where(np.isfinite(length) & (length > 0), n / np.where(length > 0, length, 1), 0)
    n *= np.where((n * camera).sum(axis=-1, keepdims=True) > 0, -1.0, 1.0)
    R, t = view.T_camera_world[:3, :3], view.T_camera_world[:3, 3]
    return Pixels(points=(camera - t) @ R, normals=np.nan_to_num(n) @ R)


def find_objects_once(view: View, *, min_size: float = 0.02, max_share: float = 0.35) -> Found | None:
    """What stands on the plane z ≈ 0 of one picture; None when it shows no plane there. Sizes as in `find_objects`."""
    world = pixels_of(view)
    height = world.points[..., 2]
    distance = float(np.linalg.norm(view.centre))
    scales = Scales.of([view], distance)
    near = np.linalg.norm(world.points[..., :2], axis=-1) < 1.5 * distance
    flat = np.isfinite(height) & near & (np.abs(height) < 0.015 * distance) & (world.normals[..., 2] > 0.5)
    if flat.sum() < 300:
        return None
    level = float(np.median(height[flat]))
    noise = max(1e-4, 1.4826 * float(np.median(np.abs(height[flat] - level))))
    clear = max(0.011 * distance, 4 * noise)
    on = np.isfinite(height) & near & (np.abs(height - level) < max(0.4 * clear, 3 * noise))
    support, origin = _support(world, on, level, noise, scales.scene_voxel, distance)
    found = Found(
        support=support, origin=origin, cell=scales.scene_voxel, clear_m=clear, clusters=[], refused=[], scales=scales
    )
    return replace(found, once=_clusters(view, world, found, min_size_m=min_size * distance, max_share=max_share))


def _support(
    world: Pixels, on: np.ndarray, level: float, noise: float, cell: float, distance: float
) -> tuple[Support, np.ndarray]:
    import cv2
    from scipy import ndimage

    half = 1.5 * distance
    n = int(2 * half / cell) + 1
    origin = np.array([-half, -half])
    ij = np.round((world.points[on][:, :2] - origin) / cell).astype(int)
    ij = ij[((ij >= 0) & (ij < n)).all(axis=1)]
    seen = np.zeros((n, n), bool)
    seen[ij[:, 0], ij[:, 1]] = True
    seen = ndimage.binary_closing(np.pad(seen, 4), iterations=3)[4:-4, 4:-4]
    joined, _ = ndimage.label(dilate(seen, max(1, round(0.02 * distance / cell))))
    votes = np.bincount(joined[ij[:, 0], ij[:, 1]])
    seen &= joined == np.argmax(votes)
    cells = np.argwhere(seen)
    hull = cv2.convexHull(cells.astype(np.int32))[:, 0]
    inside = np.zeros(seen.shape, np.uint8)
    cv2.fillConvexPoly(inside, np.ascontiguousarray(hull[:, ::-1]), 1)
    xy = origin + cell * hull.astype(float)
    area2 = np.sum(xy[:, 0] * np.roll(xy[:, 1], -1) - np.roll(xy[:, 0], -1) * xy[:, 1])
    xy = xy if area2 > 0 else xy[::-1]
    middle = np.array([*xy.mean(axis=0), level])
    surface = SupportSurface(
        name="table", T_world_surface=Pose(middle, np.array([1.0, 0, 0, 0])), outline=xy - middle[:2]
    )
    return Support(surface=surface, noise_m=noise, seen=seen, inside=inside.astype(bool), tilt_rad=0.0), origin


def _clusters(view: View, world: Pixels, found: Found, *, min_size_m: float, max_share: float) -> np.ndarray:
    """Fill `found.clusters` and `found.refused`; returns the clusters' ids by pixel."""
    level, clear, support = found.support.surface.height_m, found.clear_m, found.support
    height = world.points[..., 2]
    near = np.linalg.norm(world.points[..., :2], axis=-1) < 1.5 * found.scales.distance
    above = np.isfinite(height) & near & (height > level + clear) & (height < level + 0.7 * found.scales.distance)
    parts = connected(view.depth, above)
    count = int(parts.max())
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    order = [int(k) + 1 for k in np.argsort(-sizes, kind="stable") if sizes[k] >= max(40, 2e-4 * parts.size)]
    voxel = found.scales.scene_voxel
    cells = [np.floor(world.points[parts == k] / voxel).astype(np.int64) for k in order]
    rows = [np.flatnonzero(parts.ravel() == k) for k in order]
    tagged = [np.column_stack([c, r]) for c, r in zip(cells, rows)]
    out = np.zeros(parts.shape, int)
    area = support.inside.sum() * found.cell**2
    for group in join_stacked(tagged):
        pixels = group[:, 3]
        points = world.points.reshape(-1, 3)[pixels]
        mask = np.zeros(parts.shape, bool)
        mask.ravel()[pixels] = True
        reason = _doubt(view, mask, points, found, min_size_m=min_size_m, most_area=max_share * area)
        if reason == "too small":
            continue
        if reason:
            found.refused.append(Rejected(reason=reason, centre=points.mean(axis=0), extents=np.ptp(points, axis=0)))
            continue
        found.clusters.append(Cluster(points=points, views=1))
        out[mask] = len(found.clusters)
    return out


def _doubt(
    view: View, mask: np.ndarray, points: np.ndarray, found: Found, *, min_size_m: float, most_area: float
) -> str:
    """Why a part of the picture is not an object; "" when it is."""
    from scipy import ndimage

    extents = np.ptp(np.percentile(points, [0.5, 99.5], axis=0), axis=0)
    ij = np.round((points[:, :2] - found.origin) / found.cell).astype(int)
    shape = found.support.inside.shape
    ok = ((ij >= 0) & (ij < shape)).all(axis=1)
    ok[ok] = found.support.inside[ij[ok, 0], ij[ok, 1]]
    top = points[:, 2].max() - found.support.surface.height_m
    rim = ndimage.binary_dilation(mask, iterations=3) & ~mask
    nearer = (view.depth > 0) & (view.depth < np.where(mask, view.depth, 0).max())
    own = ndimage.maximum_filter(np.where(mask, view.depth, 0), size=7)
    nearer &= view.depth < own * (1 - STEP)
    base = np.percentile(points[:, 2], 1) - found.support.surface.height_m - found.clear_m
    edge = mask.copy()
    edge[3:-3, 3:-3] = False
    if edge.sum() > 4:
        return "cut by the photo's edge"
    if ok.mean() < 0.8:
        return "not on the support"
    if base > 3 * found.cell + 0.3 * top and (rim & nearer).sum() < 0.2 * rim.sum():
        return "floats above the support"
    if top < min_size_m or np.linalg.norm([*extents[:2], top]) < 1.5 * min_size_m or len(points) < 80:
        return "too small"
    if np.prod(extents[:2]) > most_area:
        return "too large for the support"
    if (rim & nearer).sum() > 0.45 * rim.sum():
        return "mostly hidden behind something nearer"
    return ""


def connected(depth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(h, w) int: ids from 1 of the parts of `mask` that hang together without a step of the depth."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    h, w = depth.shape
    index = np.arange(h * w).reshape(h, w)
    a, b = [], []
    for one, two in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        near = np.abs(depth[one] - depth[two]) < STEP * np.minimum(depth[one], depth[two])
        joined = mask[one] & mask[two] & near
        a.append(index[one][joined])
        b.append(index[two][joined])
    rows, cols = np.concatenate(a), np.concatenate(b)
    graph = coo_matrix((np.ones(len(rows), bool), (rows, cols)), shape=(h * w, h * w))
    labels = connected_components(graph, directed=False)[1].reshape(h, w)
    out = np.zeros((h, w), int)
    out[mask] = np.unique(labels[mask], return_inverse=True)[1] + 1
    return out
