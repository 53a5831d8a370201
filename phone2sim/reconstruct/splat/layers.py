"""Masks and depth that come with the pictures a splat is trained on, brought to the same pinhole views."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from phone2sim.errors import InputError
from phone2sim.libraries import load_pycolmap
from phone2sim.reconstruct.cameras import Cameras, undistort
from phone2sim.reconstruct.capture.layers import depth_scale
from phone2sim.reconstruct.capture.record import Capture


def load_masks(cameras: Cameras, capture: Capture | None, *, max_side: int) -> list[np.ndarray | None] | None:
    """(h, w) bool per camera, true where its picture of `load_views` counts; None for a picture that counts all over.

    What counts not: where the capture's mask says so, and what undistortion had to make up. None when all counts.
    """
    import cv2

    frames = {f.file: f for f in capture.frames} if capture else {}
    small = cameras.resized(max_side)
    masks: list[np.ndarray | None] = []
    for i, name in enumerate(cameras.names):
        own = frames[name].mask if name in frames else None
        width, height = (int(v) for v in cameras.size_wh[i])
        if own is None and not np.any(cameras.distortion[i]):
            masks.append(None)
            continue
        grey = np.full((height, width), 255, np.uint8)
        if own is not None and capture is not None:
            grey = _grey(capture.folder / "masks" / own, width, height)
        grey = undistort(grey, cameras.K[i], cameras.distortion[i], outside=0)
        w, h = (int(v) for v in small.size_wh[i])
        mask = cv2.resize(grey, (w, h), interpolation=cv2.INTER_AREA) > 127
        masks.append(None if mask.all() else mask)
    return masks if any(m is not None for m in masks) else None


def load_depths(cameras: Cameras, capture: Capture | None) -> list[np.ndarray | None] | None:
    """(h', w') float32 depth [m of the cameras' world] per camera, 0 where unknown, undistorted; None without any."""
    if capture is None or not any(f.depth for f in capture.frames):
        return None
    frames, scale = {f.file: f for f in capture.frames}, depth_scale(capture, cameras)
    depths: list[np.ndarray | None] = []
    for i, name in enumerate(cameras.names):
        depth = capture.depth(frames[name]) if name in frames else None
        if depth is not None:
            K = cameras.K[i].copy()
            K[0] *= depth.shape[1] / cameras.size_wh[i, 0]
            K[1] *= depth.shape[0] / cameras.size_wh[i, 1]
            depth = undistort(np.float32(scale) * depth.astype(np.float32), K, cameras.distortion[i], outside=0)
        depths.append(depth)
    return depths if any(d is not None for d in depths) else None


def load_tracks(sparse: Path, cameras: Cameras, points: np.ndarray) -> list[np.ndarray] | None:
    """Per camera the indices of the `points` (p, 3) that its picture saw, from a COLMAP model whose points they are.

    None when there is no such model beside the cameras, or it holds other points.
    """
    pycolmap = load_pycolmap()

    if not (sparse / "points3D.bin").exists():
        return None
    model = pycolmap.Reconstruction(sparse)
    ids = sorted(model.points3D)
    if len(ids) != len(points) or not ids:
        return None
    if not np.allclose([model.points3D[i].xyz for i in ids], points, atol=1e-3 * float(np.ptp(points, axis=0).max())):
        return None
    row = {i: k for k, i in enumerate(ids)}
    seen: dict[str, list[int]] = {name: [] for name in cameras.names}
    for image in model.images.values():
        if image.name in seen:
            seen[image.name] = [row[p.point3D_id] for p in image.points2D if p.has_point3D()]
    return [np.unique(np.array(seen[name], dtype=np.intp)) for name in cameras.names]


def _grey(path: Path, width: int, height: int) -> np.ndarray:
    try:
        with Image.open(path) as im:
            grey = np.asarray(im.convert("L"))
    except (OSError, SyntaxError) as e:
        raise InputError(f"{path} cannot be read as a mask: {e}.") from None
    if grey.shape != (height, width):
        raise InputError(f"{path} is {grey.shape[1]}x{grey.shape[0]}, its picture {width}x{height}.")
    return grey
