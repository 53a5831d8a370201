"""Settings of the capture stage, and what every kind of capture does with its pictures."""

from __future__ import annotations

import numpy as np

from phone2sim.config import Config


class CaptureConfig(Config):
    """How frames are taken from a clip or a folder."""

    max_frames: int = 80
    """Most frames kept of a clip; every readable photo of a folder is kept."""
    min_photos: int = 3
    """Fewer usable pictures are refused."""
    blur_below: float = 0.5
    """A frame below this part of the local median sharpness counts as blurred."""
    min_step: float = 0.002
    """A clip frame that moved less than this part of the diagonal since the last kept one is dropped."""
    max_side: int = 4096
    """Longer pictures are area-resized to this [px] when they are stored."""
    jpeg_quality: int = 95
    """Quality of the stored frames."""


MORE_PHOTOS = "Walk round the scene and take 20 to 60 overlapping photos, or film it."


def too_few(count: int, needed: int, where: str) -> str:
    """The text of the refusal of `count` usable pictures."""
    words = {0: "no photo", 1: "one photo", 2: "two photos"}
    return f"{where}: {words.get(count, f'{count} photos')} can be used; at least {needed} are needed."


def fit(rgb: np.ndarray, max_side: int) -> tuple[np.ndarray, float]:
    """The picture area-resized to at most `max_side` [px], and the factor."""
    import cv2

    h, w = rgb.shape[:2]
    s = min(1.0, max_side / max(h, w))
    if s == 1.0:
        return rgb, 1.0
    return cv2.resize(rgb, (round(w * s), round(h * s)), interpolation=cv2.INTER_AREA), s
