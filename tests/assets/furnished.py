"""A table with a shelf over its back, a lower table beside it and a wall behind, and something on each."""

from __future__ import annotations

import numpy as np
import trimesh
from synthetic import Truth, looked_at

from phone2sim.poses import look_at
from phone2sim.reconstruct.cameras import Cameras

SHELF_M = 0.25
LOW_M = -0.22
WALL_Y = 0.36


def box(size: tuple[float, float, float], at: tuple[float, float, float], yaw: float = 0.0) -> trimesh.Trimesh:
    """An upright box; `at` is the middle of its bottom."""
    m = trimesh.creation.box(size)
    m.apply_transform(trimesh.transformations.rotation_matrix(yaw, [0, 0, 1]))
    m.apply_translation(np.array(at) + [0, 0, size[2] / 2])
    return m


def furniture(*, wall: bool = True) -> dict[str, trimesh.Trimesh]:
    """Table, shelf board with its two sides, lower table, wall."""
    out = {
        "table": box((0.8, 0.6, 0.02), (0, 0, -0.02)),
        "board": box((0.56, 0.24, 0.018), (-0.08, 0.18, SHELF_M - 0.018)),
        "left": box((0.016, 0.24, SHELF_M - 0.018), (-0.35, 0.18, 0)),
        "right": box((0.016, 0.24, SHELF_M - 0.018), (0.19, 0.18, 0)),
        "low": box((0.44, 0.5, 0.02), (0.66, -0.05, LOW_M - 0.02)),
    }
    return out | ({"wall": box((1.5, 0.02, 1.1), (0.15, WALL_Y + 0.01, -0.35))} if wall else {})


def things() -> dict[str, trimesh.Trimesh]:
    """Two things on the table, one of them on a flat box; one on the shelf, one on the lower table."""
    can = trimesh.creation.cylinder(0.035, 0.11, sections=48)
    can.apply_translation([-0.2, -0.12, 0.055])
    return {
        "can": can,
        "on_board": box((0.09, 0.06, 0.08), (-0.12, 0.2, SHELF_M), 0.3),
        "on_low": box((0.1, 0.07, 0.09), (0.64, -0.06, LOW_M), -0.5),
    }


def cameras(n: int = 28, width: int = 300, height: int = 300) -> Cameras:
    """From the front, in three rows, looking at the table's middle."""
    T = []
    for i in range(n):
        a = np.deg2rad(-155 + 130 * i / (n - 1))
        e = (0.42, 0.7, 1.0)[i % 3]
        eye = 0.85 * np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])
        T.append(look_at(eye + [0.08, 0, 0], [0.08, 0.02, 0.03]).matrix)
    K = np.array([[230.0, 0, width / 2], [0, 230.0, height / 2], [0, 0, 1]])
    return Cameras(
        T_world_camera=np.array(T), K=np.repeat(K[None], n, 0), size_wh=np.repeat([[width, height]], n, 0),
        distortion=np.zeros((n, 4)), names=tuple(f"{i:03d}.png" for i in range(n)),
    )  # fmt: skip


def room(*, wall: bool = True) -> Truth:
    return looked_at(cameras(), furniture(wall=wall), things())
