"""Small versions of the frames, and what one picture alone tells: detail, burnt and black parts, texture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from phone2sim.errors import InputError
from phone2sim.reconstruct.capture.record import Capture, Frame

SIDE = 640
"""Longer side of the grey pictures everything is measured on [px]."""
THUMB = 224
"""Longer side of the thumbnails [px]."""
NOISE = 9.0
"""Gradient energy of a quarter-resolution tile that counts as content [grey levels per pixel, squared]."""
BURNT, BLACK = 252, 6
"""A pixel is burnt when all its channels reach the one, black when none exceeds the other."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One frame, small."""

    grey: np.ndarray
    """(h, w) uint8, at most `SIDE` long."""
    thumb: np.ndarray
    """(h', w', 3) uint8, at most `THUMB` long."""
    mask: np.ndarray | None
    """(h, w) uint8, 255 where the picture counts; None for everywhere."""
    detail: float
    """How much of the gradient survives from a quarter of the resolution to the full one, 0 to 1; low means blur. NaN
    where there is nothing to judge by."""
    burnt: float
    """Part of the pixels without highlights left."""
    black: float
    """Part of the pixels without shadows left."""

    @property
    def diagonal(self) -> float:
        return float(np.hypot(*self.grey.shape))


def read_picture(capture: Capture, frame: Frame, side: int = SIDE) -> Picture:
    """Read one frame at up to `side` pixels; JPEG is decoded at a reduced size where that is enough."""
    import cv2

    path = capture.pictures / frame.file
    try:
        with Image.open(path) as im:
            im.draft("RGB", (side, side) if max(im.size) >= 2 * side else im.size)
            rgb = np.asarray(im.convert("RGB"))
    except (OSError, SyntaxError) as e:
        raise InputError(f"{path} cannot be read as a picture: {e}.") from None
    rgb = _fit(rgb, side)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    mask = None
    if frame.mask is not None:
        with Image.open(capture.folder / "masks" / frame.mask) as im:
            whole = np.asarray(im.convert("L"))
        mask = cv2.resize(whole, (grey.shape[1], grey.shape[0]), interpolation=cv2.INTER_NEAREST)
    brightest, darkest = rgb.max(axis=2), rgb.min(axis=2)
    return Picture(
        grey=grey, thumb=_fit(rgb, THUMB), mask=mask, detail=detail(grey), burnt=float((darkest >= BURNT).mean()),
        black=float((brightest <= BLACK).mean()),
    )  # fmt: skip


def detail(grey: np.ndarray, *, tiles: int = 8) -> float:
    """Sharpness that does not depend on what is in the picture.

    Per tile, the energy of the gradient at full resolution relative to that at a quarter of it, in the direction where
    least is left (the smallest eigenvalue of one structure tensor against the other), as motion blurs one direction
    only. The upper quartile of the tiles counts, as a background out of focus is no fault.
    """
    import cv2

    fine = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 0.7)
    coarse = cv2.resize(fine, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    (a, b, c), (p, q, r) = (_tensors(picture, tiles) for picture in (fine, coarse))
    trace, det = p + r, p * r - q * q
    shown = trace - np.sqrt(np.maximum(trace**2 - 4 * det, 0)) > 2 * NOISE  # something in every direction
    if shown.sum() < 4:
        return float("nan")
    a, b, c, p, q, r, det = (v[shown] for v in (a, b, c, p, q, r, det))
    half = (a * r + c * p - 2 * b * q) / (2 * det)
    least = half - np.sqrt(np.maximum(half**2 - (a * c - b * b) / det, 0))
    return 4 * float(np.quantile(least, 0.75))


def _tensors(picture: np.ndarray, tiles: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean of dx², dx·dy and dy² of each tile, grey levels per pixel squared."""
    import cv2

    dx, dy = cv2.Sobel(picture, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(picture, cv2.CV_32F, 0, 1) / 8
    xx, xy, yy = (
        cv2.resize(v, (tiles, tiles), interpolation=cv2.INTER_AREA).ravel() for v in (dx * dx, dx * dy, dy * dy)
    )
    return xx, xy, yy


def _fit(rgb: np.ndarray, side: int) -> np.ndarray:
    import cv2

    h, w = rgb.shape[:2]
    s = min(1.0, side / max(h, w))
    if s == 1.0:
        return rgb
    return cv2.resize(rgb, (max(1, round(w * s)), max(1, round(h * s))), interpolation=cv2.INTER_AREA)
