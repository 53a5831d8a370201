"""A body as a camera of the capture would see it alone: what of its own surface hides behind the rest of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from phone2sim._native.mesh import MeshLight, MeshPart, MeshWorld, render
from phone2sim.assets.views import View

MARGIN_PX = 6
_DARK = MeshLight(direction=np.array([0.0, 0, -1]), key_rgb=np.zeros(3), ambient_sh=np.zeros((9, 3)))


def world_of(mesh: Any) -> MeshWorld:
    """The one-part world of a `trimesh.Trimesh`, to be drawn with `depth_of`."""
    return MeshWorld([MeshPart(vertices=np.asarray(mesh.vertices), faces=np.asarray(mesh.faces), normals=np.asarray(mesh.vertex_normals))])


def depth_of(world: MeshWorld, view: View, mask: np.ndarray) -> np.ndarray:
    """(h, w) float32 depth [m] of the world's part in a view, around where `mask` (h, w) bool shows it; inf beside it."""
    out = np.full(mask.shape, np.inf, np.float32)
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return out
    top, left = max(rows[0] - MARGIN_PX, 0), max(cols[0] - MARGIN_PX, 0)
    height, width = (min(int(a[-1]) + 1 + MARGIN_PX, n) - int(b) for a, n, b in ((rows, mask.shape[0], top), (cols, mask.shape[1], left)))
    K = view.K.copy()
    K[:2, 2] -= left, top
    image = render(
        world, np.eye(4)[None], K=K, T_world_camera=np.linalg.inv(view.T_camera_world), width=width, height=height, light=_DARK, threads=1
    )
    out[top : top + height, left : left + width] = image.depth
    return out
