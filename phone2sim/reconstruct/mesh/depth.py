"""Depth of a splat at its cameras, without what cannot be trusted: faint, grazing, at an edge, or contradicted by others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from phone2sim.progress import track
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.mesh.view import View
from phone2sim.reconstruct.splat.cloud import SplatCloud

MIN_ALPHA = 0.7
MIN_COSINE = 0.12
"""Least cosine between a surface's normal and the direction to the camera (83 degrees)."""
JUMP = 0.05
"""Relative difference of depth between neighbouring pixels that is an edge."""
AGREE = 0.012
"""Relative difference of depth within which two views see the same surface."""


def depth_views(cloud: SplatCloud, cameras: Cameras, *, max_side: int) -> list[View]:
    """Render every one of the pinhole `cameras`, `max_side` [px] the longer side; `photo` is the splat's own picture."""
    from phone2sim.reconstruct.splat.rasterize import rasterize

    small = cameras.resized(max_side)
    views = []
    for i in track(range(len(small)), "Rendering depth"):
        w, h = (int(x) for x in small.size_wh[i])
        K, T = small.K[i], small.T_camera_world[i]
        out = rasterize(cloud, K=K, T_camera_world=T, width=w, height=h)
        depth = np.where((out.alpha >= MIN_ALPHA) & np.isfinite(out.depth_mode), out.depth_mode, 0).astype(np.float32)
        depth[~upright(depth, K)] = 0
        photo = (np.clip(out.rgb, 0, 1) * 255 + 0.5).astype(np.uint8)
        views.append(View(name=small.names[i], photo=photo, depth=depth, K=K, T_camera_world=T))
    return views


def upright(depth: np.ndarray, K: np.ndarray) -> np.ndarray:
    """(h, w) bool: pixels of a depth picture [m] on a surface that is neither at an edge nor seen at a grazing angle."""
    h, w = depth.shape
    z = np.pad(depth.astype(np.float64), 1, mode="edge")
    left, right, above, below = z[1:-1, :-2], z[1:-1, 2:], z[:-2, 1:-1], z[2:, 1:-1]
    near = np.minimum.reduce([left, right, above, below, depth])
    far = np.maximum.reduce([left, right, above, below, depth])
    x, y = (np.arange(w) + 0.5 - K[0, 2]) / K[0, 0], (np.arange(h) + 0.5 - K[1, 2]) / K[1, 1]
    ray = np.stack([*np.broadcast_arrays(x[None, :], y[:, None]), np.ones((h, w))], axis=-1)
    # Tangents along u and v of the surface z(u, v) · ray(u, v).
    d = depth[..., None]
    tu = (right - left)[..., None] / 2 * ray + d * np.array([1 / K[0, 0], 0, 0])
    tv = (below - above)[..., None] / 2 * ray + d * np.array([0, 1 / K[1, 1], 0])
    normal = np.cross(tu, tv)
    length = np.linalg.norm(normal, axis=-1) * np.linalg.norm(ray, axis=-1)
    cosine = np.abs((normal * ray).sum(axis=-1)) / np.maximum(length, 1e-12)
    return (near > 0) & (far < (1 + JUMP) * near) & (cosine > MIN_COSINE)


def agreeing(views: list[View], *, neighbours: int = 6) -> Iterator[View]:
    """The views without the pixels whose surface more of the nearest other views look through than see."""
    centres = np.array([v.centre for v in views])
    forward = np.array([v.T_camera_world[2, :3] for v in views])
    for i, view in enumerate(track(views, "Comparing depth")):
        nearest = np.argsort(np.linalg.norm(centres - centres[i], axis=1) + (forward @ forward[i] < 0.3) * 1e9, kind="stable")
        points = view.unproject().astype(np.float32)
        same, through = np.zeros(len(points), np.int32), np.zeros(len(points), np.int32)
        for k in nearest[1 : neighbours + 1]:
            index, z, inside = views[k].pixels(points)
            d = views[k].depth.ravel()[index]
            seen = inside & (d > 0)
            same += seen & (np.abs(d - z) < AGREE * z)
            through += seen & (d > (1 + 2 * AGREE) * z)
        keep = (same > through) & (same > 0)
        depth = view.depth.copy()
        depth[depth > 0] = np.where(keep, depth[depth > 0], 0)
        yield View(name=view.name, photo=view.photo, depth=depth, K=view.K, T_camera_world=view.T_camera_world)
