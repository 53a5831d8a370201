"""Clips: upright frames with their true presentation times, and the choice of the frames worth keeping."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from phone2sim.errors import CaptureError
from phone2sim.progress import message, progress
from phone2sim.reconstruct.capture.blur import grey, local_part, motion, sharpness
from phone2sim.reconstruct.capture.tone import is_hdr, to_srgb8

if TYPE_CHECKING:
    from av import VideoFrame


@dataclass(frozen=True, kw_only=True)
class ClipSurvey:
    """What one pass over a clip found, one entry per decoded frame."""

    time_s: np.ndarray
    sharpness: np.ndarray
    motion: np.ndarray
    """Displacement since the frame before, as a part of the diagonal; the first is 0."""


def decode(
    path: Path, *, upright: bool = True, wanted: Container[int] | None = None, tones: bool = True
) -> Iterator[tuple[int, float, np.ndarray]]:
    """`(index, time [s], upright RGB (h, w, 3))` of every frame, in presentation order; as stored if not `upright`.

    With `wanted`, only these indices are converted and given. HLG and PQ films become sRGB (`tone`), unless `tones` is
    false, which is faster and good enough to judge sharpness and motion.

    Times are the container's, so they are right for variable frame rates. A file that is no clip, or that ends before
    its header says, is a `CaptureError` raised at the end of what decodes.
    """
    import av

    name = path.name
    try:
        container = av.open(str(path))
    except (av.FFmpegError, ValueError, OSError):
        raise CaptureError(f"{name} cannot be opened as a clip.", hint="Copy it again from the phone.") from None
    with container:
        if not container.streams.video:
            raise CaptureError(f"{name} holds no video.", hint="Give a clip that a phone recorded.")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        declared = int(stream.frames)
        length_s = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        count, last, failed = 0, 0.0, False
        try:
            for frame in container.decode(stream):
                last = float(frame.time) if frame.time is not None else count / float(stream.average_rate or 30)
                if wanted is None or count in wanted:
                    rgb = _rgb(frame, tones)
                    yield count, last, np.ascontiguousarray(np.rot90(rgb, int(frame.rotation) // 90)) if upright else rgb
                count += 1
        except av.FFmpegError:
            failed = True
        if count == 0:
            raise CaptureError(f"{name} holds no frame that can be decoded.", hint="Copy it again from the phone.")
        start = float(stream.start_time * stream.time_base) if stream.start_time and stream.time_base else 0.0
        short = length_s > 1.0 and last - start < 0.9 * length_s - 0.5
        if (failed and declared and count < declared - 2) or (short and (not declared or count < 0.9 * declared)):
            said = f"{count} of {declared} frames" if declared else f"{last:.1f} of {length_s:.1f} s"
            raise CaptureError(f"{name} is cut: only {said} can be decoded.", hint="Copy it again from the phone.")
        if failed:
            message(f"{name}: the end of the clip is damaged; its first {count} frames are used.")


def _rgb(frame: VideoFrame, tones: bool) -> np.ndarray:
    if tones and is_hdr(int(frame.color_trc)):
        signal = frame.to_ndarray(format="rgb48le")
        return to_srgb8(signal, transfer=int(frame.color_trc), primaries=int(frame.color_primaries))
    return frame.to_ndarray(format="rgb24")


def survey(path: Path) -> ClipSurvey:
    """Decode the whole clip once and measure time, sharpness and motion of every frame."""
    import av

    times, sharp, moved = [], [], []
    before: np.ndarray | None = None
    total: int | None = None
    try:
        with av.open(str(path)) as container:
            total = int(container.streams.video[0].frames) or None
    except (av.FFmpegError, ValueError, OSError, IndexError):
        total = None
    with progress("Reading the clip", total=total, unit="frames") as bar:
        for _, t, rgb in decode(path, tones=False):
            sharp.append(sharpness(grey(rgb, 640)))
            small = grey(rgb, 320)
            moved.append(0.0 if before is None else motion(before, small))
            before = small
            times.append(t)
            bar.advance(1)
    return ClipSurvey(time_s=np.array(times), sharpness=np.array(sharp), motion=np.array(moved))


def choose_frames(seen: ClipSurvey, *, count: int, blur_below: float, min_step: float) -> np.ndarray:
    """Indices of the frames to keep, ascending.

    Time and motion are cut into `count` windows of equal progress (half time, half motion), and each gives its
    sharpest frame. Blurred frames (`blur_below` of the local median) are left out unless their window has no better
    one within reach; a frame that moved less than `min_step` of the diagonal since the last kept one is dropped.
    """
    n = len(seen.time_s)
    if n == 0:
        return np.zeros(0, dtype=int)
    rank = local_part(seen.sharpness)
    steps = np.minimum(seen.motion, 0.1)
    along_time = np.linspace(0, 1, n) if n > 1 else np.zeros(1)
    span = steps.sum()
    along_motion = np.cumsum(steps) / span if span > 1e-9 else along_time
    place = 0.5 * along_time + 0.5 * along_motion
    window = np.minimum((place * count).astype(int), count - 1)
    travelled = np.cumsum(steps)
    kept: list[int] = []
    for w in np.unique(window):
        inside = np.flatnonzero(window == w)
        best = int(inside[np.argmax(rank[inside])])
        if rank[best] < blur_below:
            continue
        if kept and travelled[best] - travelled[kept[-1]] < min_step:
            continue
        kept.append(best)
    return np.array(kept, dtype=int)
