"""Inside and outside of a vessel's wall by height and direction around an upright line, without its handle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from phone2sim.assets.vessel import hollow_of

AROUND, HEIGHTS = 96, 32
"""Directions and heights."""
HANDLE = 1.5
"""What is so many times thicker than most of the wall at its height has a handle behind it."""
EVEN = 0.75, 1.5
"""How far [heights, directions] roughness of the outside is evened out, so that it is not printed on the inside."""
MISSED = 0.1
"""Largest share of the wall that may be missing: a crack, a spout."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A vessel's wall. Tables are (HEIGHTS, AROUND), from the floor to the rim."""

    middle: np.ndarray
    """(2,) [m] where the upright line stands."""
    z: np.ndarray
    """(HEIGHTS,) [m]."""
    floor: float
    """Height of the hollow's floor [m]."""
    inner: np.ndarray
    """[m] from the middle line where the wall begins,"""
    outer: np.ndarray
    """where it ends,"""
    even: np.ndarray
    """and where it would end if it were smooth."""
    slant: np.ndarray
    """How much longer the level way through the wall is than the shortest one."""

    @property
    def depth(self) -> float:
        return float(self.z[-1]) - self.floor

    @property
    def rays(self) -> np.ndarray:
        """(AROUND, 2) the unit directions."""
        angle = 2 * np.pi * np.arange(AROUND) / AROUND
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)

    @property
    def normals(self) -> np.ndarray:
        """(HEIGHTS, AROUND, 3) unit, of the inside, towards the hollow."""
        climb = np.gradient(self.even, self.z, axis=0)
        n = np.concatenate([np.broadcast_to(-self.rays, (HEIGHTS, AROUND, 2)), climb[..., None]], axis=2)
        return np.asarray(n / np.linalg.norm(n, axis=2, keepdims=True))

    def points(self, radius: np.ndarray) -> np.ndarray:
        """(HEIGHTS, AROUND, 3) world points so far [m] from the middle line."""
        xy = self.middle + radius[..., None] * self.rays
        return np.concatenate([xy, np.broadcast_to(self.z[:, None, None], (HEIGHTS, AROUND, 1))], axis=2)

    def polar(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distance from the middle line [m] and direction [rad] of points (…, 3)."""
        d = points[..., :2] - self.middle
        return np.hypot(d[..., 0], d[..., 1]), np.arctan2(d[..., 1], d[..., 0])

    def at(self, table: np.ndarray, z: np.ndarray, angle: np.ndarray) -> np.ndarray:
        """A table at heights [m] and directions [rad] of one shape; its first and last row go on below and above."""
        from scipy import ndimage

        row = np.clip((z - self.z[0]) / (self.z[1] - self.z[0]), 0, HEIGHTS - 1)
        column = angle / (2 * np.pi) % 1 * AROUND
        closed = np.concatenate([table, table[:, :1]], axis=1)
        return np.asarray(ndimage.map_coordinates(closed, [row.ravel(), column.ravel()], order=1, mode="nearest").reshape(np.shape(z)))


def profile_of(mesh: Any) -> Profile | None:
    """The profile of a watertight `trimesh.Trimesh` that is hollow; None where none is, or its wall does not go round an upright line."""
    import manifold3d
    from scipy import ndimage

    body = manifold3d.Manifold(manifold3d.Mesh(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.uint32)))
    hollow = hollow_of(body)
    if hollow is None:
        return None
    area = np.array([float(s.area()) for s in hollow.sections])
    outlines = [s.hull().to_polygons()[0] for s in hollow.sections]
    middle = (area[:, None] * np.array([(p.max(axis=0) + p.min(axis=0)) / 2 for p in outlines])).sum(axis=0) / area.sum()
    top = float(body.bounding_box()[5])
    z = np.linspace(hollow.z[0], min(hollow.z[-1] + hollow.step, top - 0.25 * hollow.step), HEIGHTS)
    angle = 2 * np.pi * np.arange(AROUND) / AROUND
    ray = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    inner, outer = np.array([_wall(body.slice(float(h)).to_polygons(), middle, ray) for h in z]).transpose(1, 0, 2)
    if np.isnan(inner).mean() > MISSED:
        return None
    thick = _filled(outer - inner)
    handle = thick > HANDLE * np.median(thick, axis=1, keepdims=True)
    outer = _filled(np.where(handle | np.roll(handle, 1, axis=1) | np.roll(handle, -1, axis=1), np.nan, outer))
    inner = np.minimum(_filled(inner), outer - 1e-4)
    even = ndimage.gaussian_filter(outer, EVEN, mode=("nearest", "wrap"))
    climb = np.gradient(even, z, axis=0)
    turn = (np.roll(even, -1, axis=1) - np.roll(even, 1, axis=1)) / (4 * np.pi / AROUND) / even
    rho = np.hypot(*(np.asarray(mesh.vertices)[:, :2] - middle).T)
    under = (rho < 0.5 * np.median(inner)) & (np.asarray(mesh.vertex_normals)[:, 2] > 0.5) & (np.asarray(mesh.vertices)[:, 2] < z[0] + 0.25 * (z[-1] - z[0]))
    floor = float(np.median(np.asarray(mesh.vertices)[under, 2])) if under.any() else float(hollow.z[0] - 0.5 * hollow.step)
    return Profile(middle=middle, z=z, floor=floor, inner=inner, outer=outer, even=even, slant=np.sqrt(1 + climb**2 + turn**2))


def _wall(polygons: Sequence[np.ndarray], middle: np.ndarray, ray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far rays (n, 2) go from the middle of a section until they enter it, and then until they leave it: (n,) [m] each, NaN
    where they begin inside of it or never meet it."""
    hits: list[list[tuple[float, bool]]] = [[] for _ in ray]
    for p in polygons:
        a, side = p - middle, np.roll(p, -1, axis=0) - p
        leaves = ray[:, :1] * side[:, 1] - ray[:, 1:] * side[:, 0]
        leaves = np.where(np.abs(leaves) < 1e-15, 1e-15, leaves)
        r, t = (a[:, 0] * side[:, 1] - a[:, 1] * side[:, 0]) / leaves, (a[:, 0] * ray[:, 1:] - a[:, 1] * ray[:, :1]) / leaves
        for i, j in np.argwhere((r > 0) & (t >= 0) & (t < 1)):
            hits[i].append((float(r[i, j]), bool(leaves[i, j] > 0)))
    out = np.full((2, len(ray)), np.nan)
    for i, found in enumerate(hits):
        found.sort()
        if len(found) >= 2 and not found[0][1] and found[1][1]:
            out[:, i] = found[0][0], found[1][0]
    return out[0], out[1]


def _filled(table: np.ndarray) -> np.ndarray:
    """(HEIGHTS, AROUND) with the nearest known entry where it is NaN, rather from beside than from above."""
    from scipy import ndimage

    around = np.concatenate([table] * 3, axis=1)
    near = ndimage.distance_transform_edt(np.isnan(around), sampling=(4, 1), return_distances=False, return_indices=True)
    return np.asarray(around[tuple(near)][:, AROUND : 2 * AROUND])
