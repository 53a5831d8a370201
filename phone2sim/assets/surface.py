"""`Surface`: points and normals on an object's collision hulls, the same for the same asset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim.assets.scene import Asset


@dataclass(frozen=True, kw_only=True)
class Surface:
    """Points on an object's collision hulls."""

    points: np.ndarray
    """(n, 3) [m]."""
    normals: np.ndarray
    """(n, 3) outward."""

    def moved(self, rotation: np.ndarray, translation: np.ndarray) -> Surface:
        return Surface(points=self.points @ rotation.T + translation, normals=self.normals @ rotation.T)


def surface_of(asset: Asset, n: int = 4000) -> Surface:
    """About n points spread evenly over the hulls, asset frame; the same for the same asset."""
    v = np.concatenate([h.vertices[h.faces] for h in asset.hulls]).astype(float)
    cross = np.cross(v[:, 1] - v[:, 0], v[:, 2] - v[:, 0])
    area = np.linalg.norm(cross, axis=1)
    keep = area > 1e-12
    v, cross, area = v[keep], cross[keep], area[keep]
    total = np.cumsum(area)
    face = np.minimum(np.searchsorted(total, (np.arange(n) + 0.5) / n * total[-1]), len(v) - 1)
    a, b = np.mod(
        np.arange(1, n + 1)[:, None] * [0.7548776662466927, 0.5698402909980532], 1.0
    ).T  # Roberts' R2 sequence
    flip = a + b > 1
    a, b = np.where(flip, 1 - a, a), np.where(flip, 1 - b, b)
    t = v[face]
    points = t[:, 0] + a[:, None] * (t[:, 1] - t[:, 0]) + b[:, None] * (t[:, 2] - t[:, 0])
    return Surface(points=points, normals=cross[face] / area[face][:, None])
