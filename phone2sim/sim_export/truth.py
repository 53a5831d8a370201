"""What pictures show, recorded beside them: depth, masks, normals, flow and cameras, losslessly and small.

    truth/<camera>.depth.mkv     16-bit FFV1, 0.1 mm a step, camera z; 0 where nothing is, 6.55 m and farther at the top
    truth/<camera>.mask.mkv      0 background, 1 … n the objects in the spec's order, n + 1 the robot
    truth/<camera>.normal.mkv    three planes below each other, x y z in the world: (value - 32768) / 32767; 0 unknown
    truth/<camera>.flow.mkv      two planes, columns and rows [px] to where the point is in the next picture, 1/32 a step
    truth/cameras.npz            <camera>.K (t, 3, 3) [px] and <camera>.T_world_camera (t, 4, 4), OpenCV axes

Poses of objects and robot bodies are in the episode's `arrays.npz`. `read_truth` gives back numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from phone2sim._native.mesh import Truth
from phone2sim.augment.spec import CameraSpec
from phone2sim.errors import InputError, did_you_mean
from phone2sim.keys import Key
from phone2sim.sim_export.render.optics import distorted, undistorted

CHANNELS = ("depth", "mask", "normal", "flow")
DEPTH_M = 1e-4
FLOW_PX = 1 / 32
_PLANES = {"depth": 1, "mask": 1, "normal": 3, "flow": 2}
_MIDDLE = 32768


def parse_record(text: str) -> tuple[str, ...]:
    """The channels of `rgb,depth,…` in a fixed order; `rgb` is always there. Raises `InputError`."""
    wanted = [w.strip() for w in text.split(",") if w.strip()]
    for w in wanted:
        if w not in ("rgb", *CHANNELS):
            raise InputError(f"No channel {w!r} to record;", hint=did_you_mean(w, ("rgb", *CHANNELS)))
    return tuple(c for c in CHANNELS if c in wanted)


def noisy_depth(depth: np.ndarray, deviation: float, key: Key) -> np.ndarray:
    """Depth (h, w) [m] as a sensor gives it: `deviation` [m] at 1 m, growing with the square (Khoshelham & Elberink 2012)."""
    if deviation <= 0:
        return depth
    z = np.where(np.isfinite(depth), depth, 0)
    return np.where(np.isfinite(depth), depth + deviation * z * z * key.rng().standard_normal(depth.shape), depth)


def flow_of(
    truth: Truth, T_world_part: np.ndarray, T_next: np.ndarray, *, camera: CameraSpec, T_world_camera: np.ndarray, T_camera_next: np.ndarray
) -> np.ndarray:
    """(h, w, 2) columns and rows [px] from each pixel to where its point is one step later, the lens included.

    Parts (n, 4, 4) move as given, the background stays; 0 where depth is unknown or the point passes behind the camera.
    """
    K, bend = np.array(camera.K), np.array(camera.distortion, float)
    h, w = truth.depth.shape
    y, x = np.mgrid[0:h, 0:w] + 0.5
    pixels = np.stack([x, y], -1)
    rays = undistorted((pixels - K[:2, 2]) / K[[0, 1], [0, 1]], bend)
    known = np.isfinite(truth.depth)
    z = np.where(known, truth.depth, 1.0)[..., None]
    p = np.concatenate([rays * z, z], axis=-1) @ T_world_camera[:3, :3].T + T_world_camera[:3, 3]
    moves = T_next @ np.linalg.inv(T_world_part)
    for i in np.unique(truth.part[truth.part >= 0]):
        on = truth.part == i
        p[on] = p[on] @ moves[i, :3, :3].T + moves[i, :3, 3]
    q = (p - T_camera_next[:3, 3]) @ T_camera_next[:3, :3]
    ahead = known & (q[..., 2] > 1e-3)
    to = distorted(q[..., :2] / np.where(ahead, q[..., 2], 1.0)[..., None], bend) * K[[0, 1], [0, 1]] + K[:2, 2]
    return np.where(ahead[..., None], to - pixels, 0.0)


class TruthWriter:
    """Channels of one episode into `folder/truth`; equal truths give equal bytes."""

    def __init__(self, folder: Path, channels: tuple[str, ...], cameras: tuple[CameraSpec, ...], *, fps: int) -> None:
        self.folder, self.channels = folder / "truth", channels
        self.folder.mkdir(parents=True, exist_ok=True)
        self._videos = {
            (c.name, name): _Video(self.folder / f"{c.name}.{name}.mkv", c.width, c.height * _PLANES[name], fps)
            for c in cameras for name in channels
        }  # fmt: skip
        self._cameras: dict[str, list[np.ndarray]] = {}

    def add(self, camera: str, values: dict[str, np.ndarray], *, K: np.ndarray, T_world_camera: np.ndarray) -> None:
        """One picture's channels: depth [m], mask (int), normal (h, w, 3), flow (h, w, 2) [px]."""
        for name in self.channels:
            self._videos[camera, name].add(_packed(name, values[name]))
        self._cameras.setdefault(f"{camera}.K", []).append(K)
        self._cameras.setdefault(f"{camera}.T_world_camera", []).append(T_world_camera)

    def close(self) -> None:
        from phone2sim.sim_export.episode import npz_bytes

        for video in self._videos.values():
            video.close()
        arrays = {k: np.stack(v) for k, v in self._cameras.items()}
        (self.folder / "cameras.npz").write_bytes(npz_bytes(arrays))


def read_truth(path: Path) -> np.ndarray:
    """A channel's video as numbers: depth (t, h, w) float32 [m], inf where nothing is; mask (t, h, w) uint16; normal
    (t, h, w, 3) and flow (t, h, w, 2) float32."""
    import av

    name = path.suffixes[-2].lstrip(".") if len(path.suffixes) > 1 else ""
    if name not in _PLANES or not path.is_file():
        raise InputError(f"{path} is not a recorded channel ({', '.join(CHANNELS)}).")
    with av.open(str(path)) as f:
        frames = np.stack([frame.to_ndarray() for frame in f.decode(video=0)])
    t, h, w = frames.shape
    planes = np.moveaxis(frames.reshape(t, _PLANES[name], h // _PLANES[name], w), 1, -1)
    if name == "mask":
        return planes[..., 0]
    if name == "depth":
        return np.where(planes[..., 0] > 0, planes[..., 0] * DEPTH_M, np.inf).astype(np.float32)
    values = (planes.astype(np.float32) - _MIDDLE) * (FLOW_PX if name == "flow" else 1 / 32767)
    return np.where((planes == 0).all(-1, keepdims=True), 0, values) if name == "normal" else values


def _packed(name: str, a: np.ndarray) -> np.ndarray:
    """(planes · h, w) uint16."""
    if name == "mask":
        return a.astype(np.uint16)
    if name == "depth":
        return np.where(np.isfinite(a), np.clip(np.rint(np.where(np.isfinite(a), a, 0) / DEPTH_M), 1, 65535), 0).astype(np.uint16)
    scaled = np.rint(a / FLOW_PX if name == "flow" else a * 32767) + _MIDDLE
    out = np.clip(scaled, 1, 65535)
    if name == "normal":
        out = np.where(np.linalg.norm(a, axis=-1, keepdims=True) > 0.5, out, 0)
    return np.concatenate(np.moveaxis(out, -1, 0)).astype(np.uint16)


class _Video:
    """Lossless 16-bit grey, one thread."""

    def __init__(self, path: Path, width: int, height: int, fps: int) -> None:
        import av

        self._av = av
        self._file = av.open(str(path), "w", format="matroska", options={"fflags": "+bitexact"})
        options = {"level": "3", "g": "1", "slices": "4", "flags": "+bitexact"}
        self._stream: Any = self._file.add_stream("ffv1", rate=fps, options=options)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "gray16le"
        self._stream.codec_context.thread_count = 1

    def add(self, a: np.ndarray) -> None:
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(a), format="gray16le")
        self._file.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._file.mux(self._stream.encode(None))
        self._file.close()
