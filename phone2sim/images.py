"""8-bit RGB pictures on disk, through Pillow. Arrays are (h, w, 3) uint8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from phone2sim.errors import InputError


def read_rgb(path: Path) -> np.ndarray:
    """(h, w, 3) uint8. The pixels as stored: orientation was baked in at ingest."""
    try:
        with Image.open(path) as im:
            return np.asarray(im.convert("RGB"))
    except (OSError, SyntaxError) as e:
        raise InputError(f"{path} cannot be read as a picture: {e}.") from None


def write_rgb(path: Path, rgb: np.ndarray, *, quality: int = 95) -> None:
    """Write (h, w, 3) uint8 or float in [0, 1]; JPEG or PNG by suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    a = np.asarray(rgb)
    if a.dtype != np.uint8:
        a = (np.clip(a, 0, 1) * 255 + 0.5).astype(np.uint8)
    im = Image.fromarray(a)
    if path.suffix.lower() in (".jpg", ".jpeg"):
        im.save(path, quality=quality, subsampling=0)
    else:
        im.save(path, compress_level=3)
