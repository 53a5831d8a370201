"""Record3D: the `.r3d` zip, the same unpacked, and the EXR + JPG export (`metadata.json`, `rgb/`, `depth/*.exr`).

Poses are `qx qy qz qw tx ty tz`, camera-to-world in ARKit's axes (camera: y up, z backward; world: y up, metres).
`K` is column-major and belongs to a `w`×`h` picture; `perFrameIntrinsicCoeffs` are `fx fy cx cy` of each frame. Depth
is LZFSE-packed float32 in metres, confidence LZFSE-packed bytes 0–2.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from phone2sim.errors import CaptureError, MissingDependencyError
from phone2sim.poses import Pose
from phone2sim.reconstruct.capture.apps.exr import read_channel
from phone2sim.reconstruct.capture.apps.reading import GL_TO_CV, Reading, Shot, files_of, number, pose, previews_of
from phone2sim.reconstruct.capture.apps.tree import Tree

NAME = "record3d"
_PICTURES = (".jpg", ".jpeg", ".png")
_DEPTH_SIZES = {256 * 192: (192, 256), 640 * 480: (480, 640), 320 * 240: (240, 320)}


def entry_of(tree: Tree, given: str | None) -> str | None:
    """The metadata file, or None."""
    for name in ("metadata", "metadata.json") if given is None else (given,):
        if tree.has(name) and (_listed(tree, "rgbd") or _listed(tree, "rgb")):
            data = tree.json(name)
            if isinstance(data, dict) and "K" in data and "poses" in data:
                return name
    return None


def _listed(tree: Tree, folder: str) -> list[str]:
    names = [n for n in tree.files(folder) if n.lower().endswith(_PICTURES) and PurePosixPath(n).stem.isdigit()]
    return sorted(names, key=lambda n: int(PurePosixPath(n).stem))


def read(tree: Tree, entry: str) -> Reading:
    """Frames without a pose are left out; depth needs an LZFSE decoder and is left out with a note without one."""
    data = tree.json(entry)
    names = _listed(tree, "rgbd") or _listed(tree, "rgb")
    poses, refused = data["poses"], []
    w, h = (number(data.get(k), f"{tree.title}: {k}") for k in ("w", "h"))
    size = (int(w), int(h))
    times = data.get("frameTimestamps")
    fps = float(data.get("fps") or 60)
    coefficients = data.get("perFrameIntrinsicCoeffs")
    shots, kept, notes = [], [], []
    depth_of, note = _depth_reader(tree, data, size)
    if note:
        notes.append(note)
    for name in names:
        i = int(PurePosixPath(name).stem)
        if i >= len(poses):
            refused.append({"file": name, "why": f"{entry} has no pose for it"})
            continue
        timed = isinstance(times, list) and len(times) == len(poses)
        per_frame = isinstance(coefficients, list) and i < len(coefficients) and len(coefficients[i]) == 4
        fx, fy, cx, cy = (number(v, f"{name}: lens") for v in (coefficients[i] if per_frame else _k(data, tree)))
        shots.append(
            Shot(
                name=PurePosixPath(name).name, time_s=float(times[i]) if timed else i / fps,
                T_world_camera=_pose(poses[i], f"{tree.title}: frame {i}"), lens=(fx, fy, cx, cy), size_wh=size,
                depth=depth_of(name) if depth_of else None,
            )
        )  # fmt: skip
        kept.append(name)
    return Reading(
        app=NAME, shots=tuple(shots), ordered=True, video=True, metric=True, up_world=(0.0, 1.0, 0.0),
        pictures=files_of(tree, kept, [size] * len(kept)), previews=previews_of(tree, kept), refused=tuple(refused),
        notes=tuple(notes),
    )  # fmt: skip


def _k(data: dict[str, Any], tree: Tree) -> tuple[float, float, float, float]:
    k = data["K"]
    if not isinstance(k, list) or len(k) != 9:
        raise CaptureError(f"{tree.title}: K has not 9 numbers.", hint="Export the capture again.")
    return k[0], k[4], k[6], k[7]


def _pose(row: object, where: str) -> np.ndarray:
    v = np.asarray(row, dtype=np.float64) if isinstance(row, list) and len(row) == 7 else np.full(7, np.nan)
    if not np.isfinite(v).all() or np.linalg.norm(v[:4]) < 0.1:
        raise CaptureError(f"{where} has no pose.", hint="Export the capture again.")
    return pose(Pose(v[4:], v[[3, 0, 1, 2]]).matrix, where) @ GL_TO_CV


def _depth_reader(
    tree: Tree, data: dict[str, Any], size_wh: tuple[int, int]
) -> tuple[Callable[[str], Callable[[], np.ndarray] | None] | None, str]:
    if any(n.endswith(".exr") for n in tree.files("depth")):

        def from_exr(picture: str) -> Callable[[], np.ndarray] | None:
            name = f"depth/{PurePosixPath(picture).stem}.exr"
            return (lambda: read_channel(tree.read(name), name)) if tree.has(name) else None

        return from_exr, ""
    packed = [n for n in tree.files("rgbd") if n.endswith(".depth")]
    if not packed:
        return None, ""
    try:
        unpack = lzfse()
    except MissingDependencyError as e:
        return None, f"The depth of this capture is left out: {e.message} {e.hint}"

    def from_packed(picture: str) -> Callable[[], np.ndarray] | None:
        stem = picture.rsplit(".", 1)[0]
        if not tree.has(f"{stem}.depth"):
            return None

        def depth() -> np.ndarray:
            a = _unpacked(tree, f"{stem}.depth", np.dtype("<f4"), data, size_wh, unpack)
            if tree.has(f"{stem}.conf"):
                a = np.where(_unpacked(tree, f"{stem}.conf", np.dtype("u1"), data, size_wh, unpack) > 0, a, 0)
            return a

        return depth

    return from_packed, ""


def lzfse() -> Callable[[bytes], bytes]:
    """The decoder; `MissingDependencyError` when neither `lzfse` nor `pyliblzfse` is installed."""
    try:
        from lzfse import decompress
    except ImportError:
        try:
            from liblzfse import decompress  # the same library under its older name
        except ImportError:
            raise MissingDependencyError(
                "Record3D packs depth with LZFSE, and no decoder is installed.", hint="pip install lzfse"
            ) from None
    return decompress


def _unpacked(
    tree: Tree, name: str, kind: np.dtype, data: dict[str, Any], size_wh: tuple[int, int],
    unpack: Callable[[bytes], bytes],
) -> np.ndarray:  # fmt: skip
    raw = tree.read(name)
    w, h = (int(data.get(k) or 0) for k in ("dw", "dh"))
    if len(raw) != w * h * kind.itemsize or not raw:
        try:
            raw = unpack(raw)
        except Exception as e:  # the decoder's own error type
            raise CaptureError(f"{tree.title}: {name} cannot be unpacked ({e}).", hint="Export it again.") from None
    n = len(raw) // kind.itemsize
    if n != w * h and n in _DEPTH_SIZES:
        w, h = _DEPTH_SIZES[n] if size_wh[1] >= size_wh[0] else _DEPTH_SIZES[n][::-1]
    if n != w * h or not n:
        raise CaptureError(f"{tree.title}: {name} has {n} values, not {w}×{h}.", hint="Export the capture again.")
    return np.frombuffer(raw, kind).reshape(h, w)
