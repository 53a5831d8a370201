"""Convex hulls of few faces, so that every engine has the same body."""

from __future__ import annotations

from typing import Any

import numpy as np

PHYSX_FACES = 64
"""Triangles of a convex hull that PhysX takes as it is, 34 corners: of more, it leaves corners out, by millimetres. (PhysX 5,
`PxConvexMeshDesc`: hulls fit for a GPU have 64 polygons; measured, triangles of one plane count as well.)"""
FOOT_M = 0.001
"""Corners this near to the lowest one carry the object."""
FOOT_WORTH = 3.0
"""Volume at such a corner counts so much more: the foot says when it tips."""


def with_few_faces(hull: Any, faces: int = PHYSX_FACES, *, foot_worth: float = FOOT_WORTH) -> Any:
    """A convex `trimesh.Trimesh` of at most `faces` triangles inside `hull`.

    Corners are left out one by one, always the one that takes the least volume with it; volume at the foot counts
    `foot_worth` times.
    """
    import trimesh
    from scipy.spatial import ConvexHull

    from phone2sim.assets.solid import simplify

    if len(hull.vertices) > 2 * faces:  # most of them stand for roughness
        hull = simplify(hull, faces=4 * faces, tolerance=1e-4 * float(np.max(hull.extents))).convex_hull
    if len(hull.faces) <= faces:
        return hull
    points = np.asarray(hull.vertices, np.float64)
    worth = np.where(points[:, 2] < points[:, 2].min() + FOOT_M, foot_worth, 1.0)
    kept = np.arange(len(points))
    stale, loss = set(kept.tolist()), np.full(len(points), np.inf)
    while True:
        triangles = kept[ConvexHull(points[kept]).simplices]
        if len(triangles) <= faces:
            return trimesh.convex.convex_hull(points[kept])
        for i in stale:
            loss[i] = worth[i] * _lost(points, i, _beside(triangles, i))
        drop = int(kept[np.argmin(loss[kept])])
        stale = set(_beside(triangles, drop).tolist())
        kept = kept[kept != drop]


def with_few_corners(outline: np.ndarray, corners: int = PHYSX_FACES // 4) -> np.ndarray:
    """The convex hull (m, 2) of outline points (n, 2) without the corners that take the least area with them; a prism over it has
    no more than 4 (m − 1) triangles."""
    from scipy.spatial import ConvexHull

    p = outline[ConvexHull(outline).vertices]
    while len(p) > corners:
        a, b = np.roll(p, 1, axis=0) - p, np.roll(p, -1, axis=0) - p
        p = np.delete(p, np.argmin(np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])), axis=0)
    return p


def _beside(triangles: np.ndarray, corner: int) -> np.ndarray:
    """Corners (k,) that share an edge with `corner`."""
    around = np.unique(triangles[(triangles == corner).any(axis=1)])
    return around[around != corner]


def _lost(points: np.ndarray, corner: int, beside: np.ndarray) -> float:
    """Volume [m³] between a corner and the hull of those beside it."""
    return _volume(points[[corner, *beside]]) - _volume(points[beside])


def _volume(points: np.ndarray) -> float:
    from scipy.spatial import ConvexHull, QhullError

    try:
        return float(ConvexHull(points).volume)
    except (QhullError, ValueError):  # in one plane
        return 0.0
