"""Convex footprints of objects on a support: their gaps, widths, and whether one lies inside an outline. Metres."""

from __future__ import annotations

import numpy as np

from phone2sim.assets.scene import Asset
from phone2sim.errors import ShapeError


def convex_hull_2d(points: np.ndarray) -> np.ndarray:
    """(k, 2) counter-clockwise hull of points (n, 2) that are not all on one line."""
    from scipy.spatial import ConvexHull, QhullError

    try:
        return np.asarray(points, dtype=float)[ConvexHull(points).vertices]
    except (QhullError, ValueError):
        raise ShapeError(f"An outline of {len(points)} points has no area.") from None


def footprint(asset: Asset, R_surface_asset: np.ndarray) -> np.ndarray:
    """(k, 2) hull of the asset's shadow on the support, around its own origin, for a captured orientation (3, 3)."""
    v = np.concatenate([h.vertices for h in asset.hulls]) @ R_surface_asset.T
    return convex_hull_2d(v[:, :2])


def placed(outline: np.ndarray, xy: np.ndarray, yaw_rad: float) -> np.ndarray:
    """The outline (k, 2) turned by `yaw_rad` about its origin and moved to `xy`."""
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    return outline @ np.array([[c, s], [-s, c]]) + xy


def outward_normals(outline: np.ndarray) -> np.ndarray:
    """(k, 2) unit normals of the edges i → i+1 of a counter-clockwise outline."""
    e = np.roll(outline, -1, axis=0) - outline
    n = np.stack([e[:, 1], -e[:, 0]], axis=1)
    return n / np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-12)


def gap(a: np.ndarray, b: np.ndarray) -> float:
    """Width of the widest strip along an edge that separates two convex outlines [m]: never above their distance;
    negative when they overlap (separating axis theorem)."""

    def best(p: np.ndarray, q: np.ndarray) -> float:
        n = outward_normals(p)
        return float(((q @ n.T).min(axis=0) - (p * n).sum(axis=1)).max())

    return max(best(a, b), best(b, a))


def inset(outline: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(n,) depth of points (n, 2) inside a convex counter-clockwise outline [m]; negative outside."""
    n = outward_normals(outline)
    return ((outline * n).sum(axis=1)[None] - points @ n.T).min(axis=1)


def least_width(outline: np.ndarray) -> float:
    """Smallest distance between two parallel lines that hold the outline [m]: what a parallel gripper must span."""
    n = outward_normals(outline)
    p = outline @ n.T
    return float((p.max(axis=0) - p.min(axis=0)).min())


def area(outline: np.ndarray) -> float:
    """Area [m²] of a counter-clockwise outline (shoelace)."""
    x, y = outline.T
    return 0.5 * float(x @ np.roll(y, -1) - y @ np.roll(x, -1))


def centroid(outline: np.ndarray) -> np.ndarray:
    """(2,) centre of the area of a counter-clockwise outline."""
    x, y = outline.T
    c = x * np.roll(y, -1) - np.roll(x, -1) * y
    return ((outline + np.roll(outline, -1, axis=0)) * c[:, None]).sum(axis=0) / (3 * c.sum())
