"""What a single picture hides: where it is on the support, and a plain guess of what lies behind the objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.assets.inpaint import fill_by_pieces
from phone2sim.assets.lift import Found
from phone2sim.assets.views import View
from phone2sim.config import write_json
from phone2sim.reconstruct.splat.cloud import SplatCloud


def hidden_support(found: Found, view: View) -> np.ndarray:
    """(nx, ny) bool on the support's raster: cells inside its outline that the picture does not show."""
    inside = found.support.inside
    ij = np.argwhere(inside)
    points = np.column_stack([found.origin + found.cell * ij, np.full(len(ij), found.support.surface.height_m)])
    index, z, seen = view.pixels(points)
    d = view.depth.ravel()[index]
    out = np.zeros(inside.shape, bool)
    out[ij[:, 0], ij[:, 1]] = ~seen | ((d > 0) & (d < z - max(2 * found.cell, 0.01 * found.scales.distance)))
    return out


def write_hidden(folder: Path, found: Found, view: View) -> dict[str, Any]:
    """`support.png` (255: nobody saw this part of the support) and `hidden.json`, which places its cells in the world.

    Row i, column j of the picture is the cell at origin + cell · (j, i).
    """
    from PIL import Image

    hidden = hidden_support(found, view)
    ij = np.argwhere(found.support.inside)
    low, high = ij.min(axis=0), ij.max(axis=0) + 1
    part = hidden[low[0] : high[0], low[1] : high[1]]
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(part.T * np.uint8(255))).save(folder / "support.png")
    about = {
        "origin": (found.origin + found.cell * low).tolist(), "cell_m": found.cell, "height_m": found.support.surface.height_m,
        "share": round(float(hidden.sum() / max(1, found.support.inside.sum())), 4),
    }  # fmt: skip
    write_json(folder / "hidden.json", about)
    return about


def behind(found: Found, view: View, objects: np.ndarray) -> SplatCloud:
    """Gaussians for what the pixels `objects` (h, w) bool hide beyond the support: the depth of the nearest background
    beside them, and its colours."""
    import cv2
    from scipy import ndimage

    from phone2sim.reconstruct.photo.plane import rays
    from phone2sim.reconstruct.photo.surface import cloud_of, patches

    h, w = view.depth.shape
    T_world_camera = np.linalg.inv(view.T_camera_world)
    hole = ndimage.binary_dilation(objects, iterations=3)
    ray = rays(view.K, (h, w)) @ T_world_camera[:3, :3].T
    down = np.where(ray[..., 2] < -1e-3, ray[..., 2], -1e-3)
    far = (found.support.surface.height_m - view.centre[2]) / down
    ij = np.round(((view.centre + ray * far[..., None])[..., :2] - found.origin) / found.cell).astype(int)
    inside = found.support.inside
    ok = ((ij >= 0) & (ij < inside.shape)).all(axis=-1)
    ok[ok] = inside[ij[ok][:, 0], ij[ok][:, 1]]
    rest = hole & ~(ok & (ray[..., 2] < -1e-3))
    known = ~hole & (view.depth > 0)
    if not rest.any() or not known.any():
        return SplatCloud(
            means=np.zeros((0, 3)), quats_wxyz=np.zeros((0, 4)), scales=np.zeros((0, 3)), opacities=np.zeros(0), sh=np.zeros((0, 1, 3))
        )  # fmt: skip
    # Beyond the support only what lies farther than its edge can be behind an object.
    farther = known & (view.depth > np.where(ok, 0, far * 0.98 * (ray[..., 2] < -1e-3))) & ~ok
    source = farther if farther.sum() > 50 else known
    i, j = ndimage.distance_transform_edt(~source, return_distances=False, return_indices=True)
    inverse = np.where(rest, 1 / np.maximum(view.depth[i, j], 1e-3), 0)
    photo = cv2.resize(view.photo, (w, h), interpolation=cv2.INTER_AREA)
    color = fill_by_pieces(photo, known, rest)
    depth = np.where(rest, 1 / np.maximum(inverse, 1e-6), 0).astype(np.float32)
    return cloud_of(patches(color.astype(np.float32) / 255, depth, plain=0.12), view.K, T_world_camera)
