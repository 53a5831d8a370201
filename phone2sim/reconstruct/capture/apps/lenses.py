"""Lenses that k1 k2 p1 p2 cannot describe: maps that resample their pictures to a pinhole with the same focal lengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from phone2sim.libraries import load_pycolmap

Maps = tuple[np.ndarray, np.ndarray]
Lens = tuple[float, float, float, float]


def pixel_rays(lens: Lens, w: int, h: int) -> Maps:
    """x/z and y/z (h, w) of every pixel centre of a pinhole picture."""
    fx, fy, cx, cy = lens
    y, x = np.mgrid[:h, :w] + 0.5
    return (x - cx) / fx, (y - cy) / fy


def brown_map(
    lens: Lens, size_wh: tuple[int, int], k: Sequence[float], p: Sequence[float]
) -> Callable[[int, int], Maps]:
    """Brown (1966): radial 1 + k1 r² + k2 r⁴ + k3 r⁶ + k4 r⁸ and tangential p1 p2 in OpenCV's order."""

    def rectify(w: int, h: int) -> Maps:
        fx, fy, cx, cy = scaled(lens, size_wh, w, h)
        x, y = pixel_rays((fx, fy, cx, cy), w, h)
        r2 = x * x + y * y
        radial = 1 + r2 * (k[0] + r2 * (k[1] + r2 * (k[2] + r2 * k[3])))
        u = x * radial + 2 * p[0] * x * y + p[1] * (r2 + 2 * x * x)
        v = y * radial + p[0] * (r2 + 2 * y * y) + 2 * p[1] * x * y
        far = np.clip([u * fx + cx, v * fy + cy], -1e6, 1e6).astype(np.float32)
        return far[0], far[1]

    return rectify


def colmap_map(model: str, params: Sequence[float], size_wh: tuple[int, int], lens: Lens) -> Callable[[int, int], Maps]:
    """Any camera model of COLMAP, with its parameters for a picture of `size_wh`."""

    def rectify(w: int, h: int) -> Maps:
        pycolmap = load_pycolmap()

        camera = pycolmap.Camera(model=model, width=size_wh[0], height=size_wh[1], params=list(params))
        x, y = pixel_rays(scaled(lens, size_wh, w, h), w, h)
        rays = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3)
        uv = np.asarray(camera.img_from_cam(rays), dtype=np.float64).reshape(h, w, 2)
        uv = np.clip(np.where(np.isfinite(uv), uv, -1e6), -1e6, 1e6) * (w / size_wh[0], h / size_wh[1])
        return uv[..., 0].astype(np.float32), uv[..., 1].astype(np.float32)

    return rectify


def scaled(lens: Lens, size_wh: tuple[int, int], w: int, h: int) -> Lens:
    """The lens of the same picture at `w`×`h` pixels."""
    sx, sy = w / size_wh[0], h / size_wh[1]
    return lens[0] * sx, lens[1] * sy, lens[2] * sx, lens[3] * sy
