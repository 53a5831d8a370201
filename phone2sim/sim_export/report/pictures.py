"""Pictures and video frames as `data:` addresses, small enough that the report stays one light file."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image


def embed(picture: Path | np.ndarray, *, max_side: int = 480, quality: int = 80) -> str:
    """`data:image/jpeg;base64,…` of a file or an (h, w, 3) uint8 array, shrunk to `max_side` [px]; "" if unreadable."""
    try:
        im = Image.fromarray(picture) if isinstance(picture, np.ndarray) else Image.open(picture)
        if isinstance(picture, Path):
            im.draft("RGB", (max_side, max_side))
        if im.mode in ("RGBA", "LA", "P"):
            im = im.convert("RGBA")
            flat = Image.new("RGB", im.size, (236, 236, 233))
            flat.paste(im, mask=im.getchannel("A"))
            im = flat
        im = im.convert("RGB")
        im.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    except (OSError, SyntaxError, ValueError):
        return ""
    buffer = io.BytesIO()
    im.save(buffer, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def video_frames(path: Path, count: int) -> list[np.ndarray]:
    """`count` frames (h, w, 3) uint8 spread evenly over a clip, first and last included; [] if unreadable."""
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            n = stream.frames or sum(1 for _ in container.decode(stream))
        if n == 0:
            return []
        wanted = set(np.linspace(0, n - 1, min(count, n)).round().astype(int).tolist())
        with av.open(str(path)) as container:
            return [f.to_ndarray(format="rgb24") for i, f in enumerate(container.decode(video=0)) if i in wanted]
    except (FFmpegError, OSError, IndexError):
        return []


def spread(items: list, count: int) -> list:
    """At most `count` of `items`, evenly spread, first and last included."""
    if len(items) <= count:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, count).round().astype(int)]
