"""`TrainingView`: one frame at the resolutions training needs, in the normalised world of the optimiser."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Level:
    """A frame at one resolution."""

    target: np.ndarray
    """(3, h, w) uint8."""
    weight: np.ndarray | None
    """(h, w) float32 share of a pixel that counts, or None for all."""
    K: np.ndarray
    """(3, 3) float32 intrinsics [px]."""

    @property
    def picture(self) -> np.ndarray:
        """(3, h, w) float32 in 0–1."""
        return np.multiply(self.target, np.float32(1 / 255), dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class TrainingView:
    """A frame, its camera and its resolutions: full, half, quarter."""

    name: str
    T_camera_world: np.ndarray
    """(4, 4) float32, the world normalised."""
    levels: tuple[Level, ...]


def make_view(name: str, image: np.ndarray, K: np.ndarray, T_camera_world: np.ndarray, mask: np.ndarray | None) -> TrainingView:
    """From a picture (h, w, 3) uint8, intrinsics [px], pose, and a mask (h, w), true where the picture counts."""
    import cv2

    levels = []
    h, w = image.shape[:2]
    for factor in (1, 2, 4):
        lw, lh = max(8, round(w / factor)), max(8, round(h / factor))
        small = image if factor == 1 else cv2.resize(image, (lw, lh), interpolation=cv2.INTER_AREA)
        weight = None
        if mask is not None:
            weight = cv2.resize(np.asarray(mask, np.float32), (small.shape[1], small.shape[0]), interpolation=cv2.INTER_AREA)
        lh, lw = small.shape[:2]
        Kl = np.array(K, np.float64)
        Kl[0] *= lw / w
        Kl[1] *= lh / h
        levels.append(Level(target=np.ascontiguousarray(small.transpose(2, 0, 1)), weight=weight, K=Kl.astype(np.float32)))
    return TrainingView(name=name, T_camera_world=np.ascontiguousarray(T_camera_world, np.float32), levels=tuple(levels))
