"""`Episode`: the canonical record every dataset writer reads, and its folder on disk.

    episodes/000012/  spec.json  arrays.npz  <camera>.mp4  meta.json
                      variants/<axis>_<n>/  spec.json  <camera>.mp4     other renderings of the same arrays (a pair)

The number is the attempt's. A folder appears by rename, complete; equal episodes have equal bytes (but for the
processor times in `meta.json`).
"""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from phone2sim.augment.spec import EpisodeSpec
from phone2sim.config import parse_config, read_json, write_json
from phone2sim.errors import InputError, ShapeError

SCHEMA = 2


@dataclass(frozen=True, kw_only=True)
class Episode:
    """t steps at `spec.fps`: what was measured, what was commanded, where everything was."""

    spec: EpisodeSpec
    success: bool
    reason: str
    """Empty on success."""
    state_names: tuple[str, ...]
    states: np.ndarray
    """(t, s) float32: arm joints [rad], gripper opening 0–1, measured before the command."""
    action_names: tuple[str, ...]
    actions: np.ndarray
    """(t, a) float32: commanded joints [rad] and gripper opening 0–1."""
    object_poses: np.ndarray
    """(t, n, 7) float32: x y z [m], quaternion wxyz, in the spec's order of objects."""
    robot_bodies: tuple[str, ...]
    robot_poses: np.ndarray
    """(t, b, 7) float32, as `object_poses`."""
    progress: np.ndarray
    """(t,) float32, 0–1: how far the task was done before each command."""
    cpu_s: Mapping[str, float] = field(default_factory=dict)
    """Processor time by stage."""
    folder: Path | None = None
    """Where it was read from."""

    def __post_init__(self) -> None:
        t = len(self.states)
        shapes = {
            "states": (t, len(self.state_names)),
            "actions": (t, len(self.action_names)),
            "object_poses": (t, len(self.spec.objects), 7),
            "robot_poses": (t, len(self.robot_bodies), 7),
            "progress": (t,),
        }
        for name, shape in shapes.items():
            a = np.ascontiguousarray(getattr(self, name), dtype=np.float32)
            if a.shape != shape:
                raise ShapeError(f"Episode.{name}: expected {shape}, got {a.shape}.")
            object.__setattr__(self, name, a)

    def __len__(self) -> int:
        return len(self.states)

    @property
    def timestamps(self) -> np.ndarray:
        """(t,) float32 [s]."""
        return np.arange(len(self), dtype=np.float32) / np.float32(self.spec.fps)

    @property
    def videos(self) -> dict[str, Path]:
        """Camera name → file, for an episode that was read from disk; empty for one without pictures."""
        if self.folder is None:
            return {}
        paths = {c.name: self.folder / f"{c.name}.mp4" for c in self.spec.cameras}
        return {name: p for name, p in paths.items() if p.exists()}

    def arrays(self) -> dict[str, np.ndarray]:
        return {
            "states": self.states,
            "actions": self.actions,
            "object_poses": self.object_poses,
            "robot_poses": self.robot_poses,
            "progress": self.progress,
        }

    def seen_as(self, spec: EpisodeSpec) -> Episode:
        """The same trajectory under a rendering of its pair; objects that are only drawn stand still at their pose."""
        added = [[*o.pose.translation, *o.pose.quat_wxyz] for o in spec.objects if not o.physical]
        still = np.tile(np.array(added, np.float32).reshape(1, -1, 7), (len(self), 1, 1))
        simulated = self.object_poses[:, : len(spec.objects) - len(added)]
        return replace(self, spec=spec, object_poses=np.concatenate([simulated, still], axis=1), folder=None)

    def spec_bytes(self) -> bytes:
        return (self.spec.model_dump_json(indent=1) + "\n").encode()

    def write(self, folder: Path) -> None:
        """Write spec, arrays and meta into an existing folder (videos are put there by the renderer)."""
        (folder / "spec.json").write_bytes(self.spec_bytes())
        (folder / "arrays.npz").write_bytes(npz_bytes(self.arrays()))
        write_json(
            folder / "meta.json",
            {
                "schema": SCHEMA,
                "task": self.spec.task.kind,
                "success": self.success,
                "reason": self.reason,
                "frames": len(self),
                "fps": self.spec.fps,
                "state_names": self.state_names,
                "action_names": self.action_names,
                "robot_bodies": self.robot_bodies,
                "cameras": [c.name for c in self.spec.cameras if (folder / f"{c.name}.mp4").exists()],
                "cpu_s": {k: round(v, 4) for k, v in self.cpu_s.items()},
            },
        )

    @classmethod
    def read(cls, folder: Path) -> Episode:
        """Read a committed episode folder, or one of the renderings below its `variants`."""
        if not (folder / "meta.json").exists() and folder.parent.name == "variants":
            spec = parse_config(EpisodeSpec, read_json(folder / "spec.json"), where=f"{folder}/spec.json")
            return replace(cls.read(folder.parent.parent).seen_as(spec), folder=folder)
        meta = read_json(folder / "meta.json")
        if meta.get("schema") != SCHEMA:
            raise InputError(f"{folder} has schema {meta.get('schema')}, this version reads {SCHEMA}.")
        spec = parse_config(EpisodeSpec, read_json(folder / "spec.json"), where=f"{folder}/spec.json")
        try:
            with np.load(folder / "arrays.npz") as z:
                arrays = {k: z[k] for k in z.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as e:
            raise InputError(
                f"{folder / 'arrays.npz'} is missing or damaged ({e}).", hint=f"Delete {folder}, then `phone2sim generate` again makes it anew."
            ) from None
        return cls(
            spec=spec, success=meta["success"], reason=meta["reason"], state_names=tuple(meta["state_names"]),
            action_names=tuple(meta["action_names"]), robot_bodies=tuple(meta["robot_bodies"]), cpu_s=meta["cpu_s"],
            folder=folder, **arrays,
        )  # fmt: skip


def pair_folders(folder: Path) -> list[Path]:
    """The episode's own folder, then those of the other renderings of its pair by name."""
    return [folder, *sorted((folder / "variants").glob("[!.]*"))]


def read_pair(folder: Path) -> list[Episode]:
    """The episode in `folder`, then the other renderings of its pair by name."""
    return [Episode.read(f) for f in pair_folders(folder)]


class StoredEpisodes(Sequence[Episode]):
    """Committed episodes, read one at a time and each time they are asked for: a long data set takes no more memory than a short one."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(folders)

    def __len__(self) -> int:
        return len(self._folders)

    @overload
    def __getitem__(self, i: int) -> Episode: ...
    @overload
    def __getitem__(self, i: slice) -> StoredEpisodes: ...
    def __getitem__(self, i: int | slice) -> Episode | StoredEpisodes:
        return StoredEpisodes(self._folders[i]) if isinstance(i, slice) else Episode.read(self._folders[i])


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """An `.npz` whose bytes depend on the arrays alone (no timestamps)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as z:
        for name, a in arrays.items():
            body = io.BytesIO()
            np.lib.format.write_array(body, np.ascontiguousarray(a), version=(1, 0), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            z.writestr(info, body.getvalue())
    return out.getvalue()


def commit(partial: Path, folder: Path) -> None:
    """Flush every file of `partial` and rename it to `folder`."""
    for path in (p for p in partial.rglob("*") if p.is_file()):
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(partial, folder)


class VideoWriter:
    """H.264 in mp4, one thread, a key frame every second picture for random access; equal frames give equal bytes.

    Of a `moving` camera little is where it was: nothing is searched for, and the picture as good (within 0.1 dB) costs half the
    time and a third more bytes.
    """

    def __init__(self, path: Path, *, width: int, height: int, fps: int, crf: int = 20, moving: bool = False) -> None:
        import av

        if width % 2 or height % 2:
            raise InputError(
                f"Video size {width}×{height} must be even.", hint="Change the camera's size in the recipe."
            )
        self._av = av
        self._file = av.open(str(path), "w", options={"movflags": "faststart"})
        # Without arithmetic coding files are 4 % larger, and a third faster to write and to read.
        options = {
            "preset": "ultrafast" if moving else "veryfast", "crf": str(crf + 2 if moving else crf), "g": "2", "threads": "1",
            "bf": "0", "x264-params": "mbtree=0:cabac=0",
        }  # fmt: skip
        self._stream: Any = self._file.add_stream("libx264", rate=fps, options=options)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.codec_context.thread_count = 1
        self._to_yuv = av.video.reformatter.VideoReformatter()

    def add(self, rgb: np.ndarray) -> None:
        """Append (h, w, 3) uint8."""
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        self._file.mux(self._stream.encode(self._to_yuv.reformat(frame, format="yuv420p")))

    def close(self) -> None:
        self._file.mux(self._stream.encode(None))
        self._file.close()


def read_frames(path: Path, *, every: int = 1) -> Iterator[np.ndarray]:
    """Every so-manieth picture of a video that has no B frames, (h, w, 3) uint8. What lies in between is decoded only from a key frame on."""
    import av

    with av.open(str(path)) as f:
        stream = f.streams.video[0]
        stream.thread_count = 1
        to_rgb = av.video.reformatter.VideoReformatter()
        wanted: set[int | None] = set()
        since_key: list[Any] = []
        for i, packet in enumerate(f.demux(stream)):
            since_key = [packet] if packet.is_keyframe else [*since_key, packet]
            last = packet.pts is None  # empty: brings out what the decoder holds back
            if i % every and not last:
                continue
            wanted.add(packet.pts)
            for frame in (x for p in ([packet] if last else since_key) for x in p.decode()):
                if frame.pts in wanted:
                    yield to_rgb.reformat(frame, format="rgb24").to_ndarray()
            since_key = []
