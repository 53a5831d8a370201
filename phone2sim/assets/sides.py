"""Flat sides of a body: each is moved as one, and nothing around it stands out of its plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

POINTS, TRIES = 6000, 150
"""Points of the surface that are looked at, and planes tried for each side (RANSAC, Fischler and Bolles 1981)."""
SHARE = 0.04
"""Least share of the body's surface that is a side."""
FLAT = 0.75
"""Least share of what faces as a side does, and lies near it, that lies in its plane: of a can's wall about half does."""
IN_VOXELS, AROUND_VOXELS = 0.4, 3.0
"""How far from its plane a side may lie, and how far around it voxels round its edges off."""
ALONG, ABOUT = float(np.cos(np.radians(12.0))), float(np.cos(np.radians(30.0)))
"""Of the normals of a side's points, and of those about it."""
UNDER = -0.5
"""What faces further down than this lies on the support, or was never seen."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """A flat part of a mesh's surface: `normal · x = offset` [m], outwards."""

    normal: np.ndarray
    offset: float
    own: np.ndarray
    """(n,) bool: the vertices in it; of no other side."""
    around: np.ndarray
    """(n,) bool: vertices in it, and close to it behind its plane."""

    def beyond(self, points: np.ndarray) -> np.ndarray:
        """(n,) [m] outside (+) of the plane."""
        return np.asarray(points @ self.normal - self.offset)


def flat_sides(mesh: Any, *, voxel: float) -> list[Side]:
    """The flat parts of a `trimesh.Trimesh`, the largest first, without its underside."""
    import trimesh
    from scipy.spatial import cKDTree

    points, face = trimesh.sample.sample_surface(mesh, POINTS, seed=0)
    normals = np.asarray(mesh.face_normals)[face]
    vertices, directions = np.asarray(mesh.vertices), np.asarray(mesh.vertex_normals)
    taken = np.zeros(len(vertices), bool)
    sides: list[Side] = []
    for normal, offset in _planes(points, normals, IN_VOXELS * voxel):
        if normal[2] < UNDER:
            continue
        beyond = vertices @ normal - offset
        own = ~taken & (np.abs(beyond) < IN_VOXELS * voxel) & (directions @ normal > ABOUT)
        if not own.any():
            continue
        on = (np.abs(points @ normal - offset) < IN_VOXELS * voxel) & (normals @ normal > ABOUT)
        near = cKDTree(points[on]).query(vertices)[0] < AROUND_VOXELS * voxel
        sides.append(Side(normal=normal, offset=offset, own=own, around=near & (beyond < IN_VOXELS * voxel)))
        taken |= own
    return sides


def _planes(points: np.ndarray, normals: np.ndarray, near: float) -> list[tuple[np.ndarray, float]]:
    """Normal and offset [m] of the planes that surface points (n, 3) with unit normals lie in, within `near` [m]."""
    rng = np.random.default_rng(0)
    left = np.ones(len(points), bool)
    found = []
    while left.sum() > SHARE * len(points):
        best = np.zeros(len(points), bool)
        for k in rng.choice(np.flatnonzero(left), min(TRIES, int(left.sum())), replace=False):
            on = left & (normals @ normals[k] > ALONG) & (np.abs((points - points[k]) @ normals[k]) < near)
            if on.sum() > best.sum():
                best = on
        if best.sum() < SHARE * len(points):
            break
        middle = points[best].mean(axis=0)
        normal = np.linalg.svd(points[best] - middle, full_matrices=False)[2][2]
        normal *= np.sign(normal @ normals[best].sum(axis=0))
        offset = float(np.median(points[best] @ normal))  # round edges lie lower
        off = np.abs(points @ normal - offset)
        about = (normals @ normal > ABOUT) & (off < 8 * near)
        on = about & (off < near)
        if on.sum() >= FLAT * about.sum():
            found.append((normal, offset))
        left &= ~(best | on)
    return found
