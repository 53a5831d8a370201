"""How sharp a picture is, and how far the picture moved since the one before."""

from __future__ import annotations

import numpy as np


def grey(rgb: np.ndarray, max_side: int) -> np.ndarray:
    """(h, w) uint8 grey version of (H, W, 3) uint8, area-resized to `max_side` [px]."""
    import cv2

    h, w = rgb.shape[:2]
    s = min(1.0, max_side / max(h, w))
    small = cv2.resize(rgb, (max(1, round(w * s)), max(1, round(h * s))), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)


def sharpness(grey_picture: np.ndarray) -> float:
    """Variance of the Laplacian (Pech-Pacheco et al. 2000)."""
    import cv2

    return float(cv2.Laplacian(grey_picture, cv2.CV_32F, ksize=3).var())


def local_part(values: np.ndarray, half: int = 15) -> np.ndarray:
    """Each value divided by the median of its neighbourhood; below 0.5 counts as blurred."""
    v = np.asarray(values, dtype=np.float64)
    medians = np.array([np.median(v[max(0, i - half) : i + half + 1]) for i in range(len(v))])
    return v / np.maximum(medians, 1e-9)


def motion(before: np.ndarray, after: np.ndarray) -> float:
    """Median displacement of tracked corners between two grey pictures, as a part of the diagonal.

    A picture with nothing to track, or a track that is lost everywhere, counts as a tenth of the diagonal.
    """
    import cv2

    corners = cv2.goodFeaturesToTrack(before, maxCorners=120, qualityLevel=0.01, minDistance=8)
    if corners is None or len(corners) < 8:
        return 0.0 if np.abs(before.astype(np.int16) - after).mean() < 2 else 0.1
    found, ok, _ = cv2.calcOpticalFlowPyrLK(
        before, after, corners, np.empty_like(corners), winSize=(15, 15), maxLevel=3
    )
    good = ok[:, 0] > 0
    if good.sum() < 8:
        return 0.1
    step = np.linalg.norm((found - corners)[good, 0], axis=1)
    return float(np.median(step)) / float(np.hypot(*before.shape))
