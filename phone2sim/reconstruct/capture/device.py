"""Captures of apps: chosen frames, upright, with poses, lenses, depth and masks in our conventions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from phone2sim.errors import CaptureError
from phone2sim.images import write_rgb
from phone2sim.progress import message, progress
from phone2sim.reconstruct.capture.apps import Reading, Shot, read_app
from phone2sim.reconstruct.capture.apps.lenses import scaled
from phone2sim.reconstruct.capture.blur import grey, local_part, motion, sharpness
from phone2sim.reconstruct.capture.clip import ClipSurvey, choose_frames
from phone2sim.reconstruct.capture.config import CaptureConfig, fit, too_few
from phone2sim.reconstruct.capture.record import Capture, Device, Frame
from phone2sim.reconstruct.capture.turn import turn_distortion, turn_lens, turn_pose, turn_vector, upright_turns
from phone2sim.reconstruct.points import write_points_ply

_FEW = "Record again, walking round the scene."


def from_app(source: Path, folder: Path, config: CaptureConfig) -> Capture:
    """Write the frames of an app's capture into `folder`. Raises `CaptureError`."""
    reading, tree = read_app(source)
    with tree:
        for text in reading.notes:
            message(text)
        for why in dict.fromkeys(r["why"] for r in reading.refused):
            files = [r["file"] for r in reading.refused if r["why"] == why]
            said = f"{', '.join(files[:20])}{' …' if len(files) > 20 else ''}"
            message(f"Left out, {why}: {said}." if len(files) > 1 else f"Left out: {said}: {why.rstrip('.')}.")
        if len(reading.shots) < config.min_photos:
            raise CaptureError(too_few(len(reading.shots), config.min_photos, source.name), hint=_FEW)
        still = _stands_still(reading)
        if still:
            message("The poses of this capture do not move, so they are not used.")
            reading = replace(reading, shots=tuple(replace(s, T_world_camera=None) for s in reading.shots))
        writer = _Writer(folder, reading, config)
        chosen = _choose(reading, config)
        with progress("Reading the capture", total=len(chosen), unit="frames") as bar:
            for i in writer.write_all(chosen):
                bar.advance(1, note=reading.shots[i].name)
        if len(writer.frames) < config.min_photos:
            first = f" {writer.refused[-1]['why']}" if writer.refused else ""
            raise CaptureError(too_few(len(writer.frames), config.min_photos, source.name) + first, hint=_FEW)
        points = None
        if reading.points is not None and len(reading.points[0]):
            points = "points.ply"
            write_points_ply(folder / points, *reading.points)
        return Capture(
            folder=folder, kind="clip" if reading.ordered else "photos", source=source.name,
            frames=tuple(writer.frames), refused=(*reading.refused, *writer.refused), advice=writer.advice(),
            device=Device(
                app=reading.app, metric=reading.metric, points=points,
                up_world=reading.up_world if any(f.T_world_camera for f in writer.frames) else None,
            ),
        )  # fmt: skip


def _stands_still(reading: Reading) -> bool:
    T = [s.T_world_camera for s in reading.shots if s.T_world_camera is not None]
    return len(T) > 1 and float(np.ptp([t[:3, 3] for t in T], axis=0).max()) < 1e-6


def _choose(reading: Reading, config: CaptureConfig) -> list[int]:
    """Films give their sharpest frames, spread over time and motion; key frames and photos are all kept if few."""
    n = len(reading.shots)
    if not reading.ordered or reading.previews is None or (n <= config.max_frames and not reading.video):
        return list(range(n))
    sharp, moved = [], []
    before = None
    with progress("Looking through the capture", total=n, unit="frames") as bar:
        for picture in reading.previews():
            small = grey_smaller(picture)
            sharp.append(sharpness(picture))
            same = before is not None and before.shape == small.shape
            moved.append(motion(before, small) if same and before is not None else 0.1 * (before is not None))
            before = small
            bar.advance(1)
    times = np.array([s.time_s or 0.0 for s in reading.shots[: len(sharp)]])
    seen = ClipSurvey(time_s=times, sharpness=np.array(sharp), motion=np.array(moved))
    return choose_frames(
        seen, count=config.max_frames, blur_below=config.blur_below, min_step=config.min_step
    ).tolist()  # fmt: skip


def grey_smaller(picture: np.ndarray, max_side: int = 320) -> np.ndarray:
    """A grey picture area-resized to `max_side` [px]."""
    import cv2

    h, w = picture.shape
    s = min(1.0, max_side / max(h, w))
    return cv2.resize(picture, (max(1, round(w * s)), max(1, round(h * s))), interpolation=cv2.INTER_AREA)


class _Writer:
    """Writes the pictures, depth and masks of chosen shots, one after the other."""

    def __init__(self, folder: Path, reading: Reading, config: CaptureConfig) -> None:
        self.folder, self.reading, self.config = folder, reading, config
        self.frames: list[Frame] = []
        self.refused: list[dict[str, str]] = []
        self.groups: dict[tuple, int] = {}
        self.lost: list[str] = []
        posed = [s.T_world_camera[:3, :3] for s in reading.shots if s.T_world_camera is not None]
        up = [R.T @ reading.up_world for R in posed] if reading.up_world else []
        self.turns = upright_turns(np.array(up)) if up else None

    def write_all(self, chosen: list[int]) -> Iterator[int]:
        left = list(chosen)
        while left:
            try:
                for i, rgb, asked in self.reading.pictures(left):
                    self._write(self.reading.shots[i], rgb, asked if self.turns is None else self.turns)
                    left = [j for j in left if j > i]
                    yield i
                break
            except CaptureError as e:
                if self.reading.video and not self.frames:
                    raise
                self.refused.append({"file": self.reading.shots[left[0]].name, "why": e.message})
                message(f"Left out: {e.message}")
                left = left[1:]
        if self.lost:
            message(f"Left out: {len(self.lost)} depth maps or masks. {self.lost[0]}")

    def _write(self, shot: Shot, rgb: np.ndarray, turns: int) -> None:
        index = len(self.frames)
        h, w = rgb.shape[:2]
        lens, mask = shot.lens, self._layer(shot.mask)
        if lens is not None and shot.size_wh is not None:
            if abs(w * shot.size_wh[1] / (h * shot.size_wh[0]) - 1) > 0.02:
                raise CaptureError(
                    f"{shot.name} is {w}×{h} px, but its lens is told for {shot.size_wh[0]}×{shot.size_wh[1]}.",
                    hint="Keep the pictures that were calibrated.",
                )
            lens = scaled(lens, shot.size_wh, w, h)
        if lens is not None and not _plausible(lens, w, h):
            raise CaptureError(f"{shot.name} has a lens that cannot be.", hint="Export the capture again.")
        if mask is not None:
            mask = _resized(mask, w, h)
        if shot.rectify is not None:
            rgb, mask = _rectified(rgb, mask, shot.rectify(w, h))
        rgb, s = fit(np.ascontiguousarray(np.rot90(rgb, turns)), self.config.max_side)
        new_h, new_w = rgb.shape[:2]
        if lens is not None:
            turned = turn_lens(lens, (w, h), turns)
            lens = scaled(turned, (h, w) if turns % 2 else (w, h), new_w, new_h)
        stem = f"{index:04d}"
        write_rgb(self.folder / "frames" / f"{stem}.jpg", rgb, quality=self.config.jpeg_quality)
        if mask is not None:
            mask = _resized(np.rot90(mask, turns), new_w, new_h)
            (self.folder / "masks").mkdir(exist_ok=True)
            Image.fromarray(mask.astype(np.uint8) * 255).save(self.folder / "masks" / f"{stem}.png")
        depth = self._layer(shot.depth)
        if depth is not None:
            if shot.rectify is not None:
                depth = _rectified_depth(depth, shot, w, h)
            good = np.isfinite(depth) & (depth > 0)
            (self.folder / "depth").mkdir(exist_ok=True)
            np.save(
                self.folder / "depth" / f"{stem}.npy",
                np.ascontiguousarray(np.rot90(np.where(good, depth, 0).astype(np.float32), turns)),
            )
        T = None if shot.T_world_camera is None else turn_pose(shot.T_world_camera, turns)
        up = None if shot.up_camera is None else turn_vector(shot.up_camera, turns)
        key = (*shot.group, new_w, new_h)
        self.frames.append(
            Frame(
                file=f"{stem}.jpg", source=shot.name, time_s=None if shot.time_s is None else round(shot.time_s, 6),
                width=new_w, height=new_h, sharpness=round(sharpness(grey(rgb, 640)), 3), focal_px=None,
                group=self.groups.setdefault(key, len(self.groups)),
                T_world_camera=None if T is None else tuple(tuple(row) for row in T.tolist()),
                lens=None if lens is None else (lens[0], lens[1], lens[2], lens[3]),
                distortion=None if lens is None else turn_distortion(shot.distortion, turns),
                depth=None if depth is None else f"{stem}.npy", mask=None if mask is None else f"{stem}.png",
                up_camera=None if up is None else (float(up[0]), float(up[1]), float(up[2])),
            )
        )  # fmt: skip

    def _layer(self, load) -> np.ndarray | None:
        """A depth map or mask; one that cannot be read costs only itself."""
        if load is None:
            return None
        try:
            return load()
        except (CaptureError, ValueError, TypeError, KeyError, MemoryError) as e:
            self.lost.append(str(e))
            return None

    def advice(self) -> tuple[str, ...]:
        parts = local_part(np.array([f.sharpness for f in self.frames]), half=len(self.frames))
        blurred = int((parts < 0.3).sum())
        if not blurred:
            return ()
        return (f"{blurred} of {len(self.frames)} frames look blurred: move more slowly, or add light.",)


def _plausible(lens: tuple[float, float, float, float], w: int, h: int) -> bool:
    """Focal lengths of 0.1–50 long sides, and a principal point in or near the picture."""
    fx, fy, cx, cy = lens
    side = max(w, h)
    return 0.1 < fx / side < 50 and 0.1 < fy / side < 50 and -0.5 < cx / w < 1.5 and -0.5 < cy / h < 1.5


def _resized(mask: np.ndarray, w: int, h: int) -> np.ndarray:
    import cv2

    if mask.shape == (h, w):
        return mask
    return cv2.resize(mask.astype(np.uint8), (w, h), interpolation=cv2.INTER_NEAREST) > 0


def _rectified(rgb: np.ndarray, mask: np.ndarray | None, maps: tuple[np.ndarray, np.ndarray]):
    """The pinhole picture, and a mask without what the stored picture does not show, if there is any such."""
    import cv2

    h, w = rgb.shape[:2]
    x, y = _near(maps, w, h)
    out = cv2.remap(rgb, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    seen = (x > -0.5) & (x < w - 0.5) & (y > -0.5) & (y < h - 0.5)
    if mask is not None:
        seen &= cv2.remap(mask.astype(np.uint8), x, y, cv2.INTER_NEAREST) > 0
    return out, (None if mask is None and seen.all() else seen)


def _near(maps: tuple[np.ndarray, np.ndarray], w: int, h: int) -> tuple[np.ndarray, np.ndarray]:
    """The maps as OpenCV counts pixels, without places far outside the picture, where mirroring would not end."""
    x, y = (np.nan_to_num(m - np.float32(0.5), nan=-3.0 * s, posinf=3.0 * s) for m, s in zip(maps, (w, h)))
    return np.clip(x, -w, 2 * w), np.clip(y, -h, 2 * h)


def _rectified_depth(depth: np.ndarray, shot: Shot, w: int, h: int) -> np.ndarray:
    import cv2

    assert shot.rectify is not None
    dh, dw = depth.shape
    x, y = _near(shot.rectify(dw, dh), dw, dh)
    return cv2.remap(depth.astype(np.float32), x, y, cv2.INTER_NEAREST)
