"""What the splat says each camera sees: photo, median depth and coverage side by side, the input of everything lifted."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from phone2sim.progress import abreast
from phone2sim.reconstruct.cameras import Cameras, load_views
from phone2sim.reconstruct.mesh.view import View as View
from phone2sim.reconstruct.splat.cloud import SH_C0, SplatCloud


def spread(n: int, limit: int) -> np.ndarray:
    """At most `limit` indices spread evenly over `range(n)`."""
    return np.unique(np.round(np.linspace(0, n - 1, min(n, limit))).astype(int))


def render_views(cloud: SplatCloud, cameras: Cameras, frames: Path, *, max_side: int, photo_side: int = 960) -> list[View]:
    """Render the splat at every camera, and read, undistort and exposure-normalise the photos to match.

    `max_side` [px] is the depth's longer side, `photo_side` the photos'.
    """
    return [view for view, _ in render_drawn(cloud, cameras, frames, max_side=max_side, photo_side=photo_side)]


def render_drawn(
    cloud: SplatCloud, cameras: Cameras, frames: Path, *, max_side: int, photo_side: int = 960
) -> list[tuple[View, np.ndarray]]:
    """As `render_views`, each with the picture of the splat, (h, w, 3) uint8 of the depth's size."""
    from phone2sim.reconstruct.splat.rasterize import rasterize

    photos, sharp = load_views(cameras, frames, max_side=max(max_side, photo_side))
    small = sharp.resized(max_side)

    def view(i: int) -> tuple[View, np.ndarray]:
        w, h = (int(x) for x in small.size_wh[i])
        out = rasterize(cloud, K=small.K[i], T_camera_world=small.T_camera_world[i], width=w, height=h, threads=1)
        depth = np.where(np.isfinite(out.depth_mode), out.depth_mode, 0).astype(np.float32)
        photo = normalise_exposure(photos[i], out.rgb, out.alpha)
        shown = View(name=small.names[i], photo=photo, depth=depth, K=small.K[i], T_camera_world=small.T_camera_world[i])
        return shown, np.clip(np.asarray(out.rgb) * 255 + 0.5, 0, 255).astype(np.uint8)

    return list(abreast(view, range(len(small)), "Rendering depth"))


def normalise_exposure(photo: np.ndarray, rendered: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Scale each channel of `photo` (h, w, 3) uint8 so that its median ratio to the render (0–1) is one."""
    import cv2

    h, w = alpha.shape
    p = cv2.resize(photo, (w // 4, h // 4), interpolation=cv2.INTER_AREA).reshape(-1, 3) / 255.0
    r = cv2.resize(np.asarray(rendered), (w // 4, h // 4), interpolation=cv2.INTER_AREA).reshape(-1, 3)
    alpha = cv2.resize(alpha, (w // 4, h // 4), interpolation=cv2.INTER_AREA)
    ok = (alpha.ravel() > 0.8) & (p.min(1) > 0.05) & (p.max(1) < 0.95) & (r.min(1) > 0.02)
    if ok.sum() < 200:
        return photo
    gain = np.clip(np.median(r[ok] / p[ok], axis=0), 0.6, 1.6)
    return np.clip(photo * gain + 0.5, 0, 255).astype(np.uint8)


def render_share(cloud: SplatCloud, channels: np.ndarray, view: View) -> np.ndarray:
    """Share of every pixel's colour that comes from each group of Gaussians: (h, w, 3) float32 in 0–1.

    `channels` is (n, 3) bool: which Gaussians count for R, G and B.
    """
    from phone2sim.reconstruct.splat.rasterize import rasterize

    h, w = view.depth.shape
    flat = SplatCloud(
        means=cloud.means, quats_wxyz=cloud.quats_wxyz, scales=cloud.scales, opacities=cloud.opacities,
        sh=((channels.astype(np.float32) - 0.5) / SH_C0)[:, None],
    )  # fmt: skip
    image = rasterize(flat, K=view.K, T_camera_world=view.T_camera_world, width=w, height=h, mode=False, threads=1)
    return np.asarray(image.rgb)
