"""Posed pinhole cameras with lens distortion: the value every later stage reads, stored as a nerfstudio dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.config import read_json, write_json
from phone2sim.errors import InputError, ShapeError
from phone2sim.images import read_rgb
from phone2sim.progress import abreast

_GL = np.diag([1.0, -1.0, -1.0, 1.0])  # OpenCV camera axes ↔ OpenGL camera axes


@dataclass(frozen=True, kw_only=True)
class Cameras:
    """n posed pictures. World: metres, z up. Camera axes: OpenCV (x right, y down, z forward), pixel centre at +0.5."""

    T_world_camera: np.ndarray
    """(n, 4, 4) camera-to-world."""
    K: np.ndarray
    """(n, 3, 3) intrinsics [px]."""
    size_wh: np.ndarray
    """(n, 2) int: width, height [px]."""
    distortion: np.ndarray
    """(n, 4) k1 k2 p1 p2 (OpenCV); zeros for a pinhole."""
    names: tuple[str, ...]
    """n file names below the frames folder, in capture order."""
    sources: tuple[str, ...] = ()
    """n origins: the original file name, or `clip.mp4@1.234s`."""

    def __post_init__(self) -> None:
        n = len(self.names)
        for field, shape in (("T_world_camera", (n, 4, 4)), ("K", (n, 3, 3)), ("size_wh", (n, 2)), ("distortion", (n, 4))):
            a = np.asarray(getattr(self, field), dtype=np.int64 if field == "size_wh" else np.float64)
            if a.shape != shape:
                raise ShapeError(f"Cameras.{field}: expected {shape}, got {a.shape}.")
            if not np.isfinite(a).all():
                raise ShapeError(f"Cameras.{field}: has values that are not finite.")
            object.__setattr__(self, field, a)
        if not self.sources:
            object.__setattr__(self, "sources", self.names)
        if len(self.sources) != n:
            raise ShapeError(f"Cameras.sources: expected {n} names, got {len(self.sources)}.")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def T_camera_world(self) -> np.ndarray:
        """(n, 4, 4) world-to-camera."""
        return np.linalg.inv(self.T_world_camera)

    @property
    def centres(self) -> np.ndarray:
        """(n, 3) camera centres in the world [m]."""
        return self.T_world_camera[:, :3, 3]

    def take(self, indices: np.ndarray | list[int]) -> Cameras:
        i = np.asarray(indices, dtype=int)
        return Cameras(
            T_world_camera=self.T_world_camera[i], K=self.K[i], size_wh=self.size_wh[i], distortion=self.distortion[i],
            names=tuple(self.names[k] for k in i), sources=tuple(self.sources[k] for k in i),
        )  # fmt: skip

    def transformed(self, scale: float, T_new_old: np.ndarray) -> Cameras:
        """The same cameras in a world mapped by p_new = T_new_old · (scale · p_old)."""
        T = self.T_world_camera.copy()
        T[:, :3, 3] *= scale
        return replace(self, T_world_camera=np.asarray(T_new_old) @ T)

    def resized(self, max_side: int) -> Cameras:
        """Pinhole intrinsics for pictures area-resized so that the longer side is at most `max_side` [px]."""
        s = np.minimum(1.0, max_side / self.size_wh.max(axis=1))
        new = np.maximum(1, np.round(self.size_wh * s[:, None])).astype(np.int64)
        K = self.K.copy()
        K[:, 0] *= (new[:, 0] / self.size_wh[:, 0])[:, None]
        K[:, 1] *= (new[:, 1] / self.size_wh[:, 1])[:, None]
        return replace(self, K=K, size_wh=new)

    def save(
        self, path: Path, *, frames: str = "../capture/frames", ply: str = "points.ply",
        masks: Mapping[str, str] | None = None, depths: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Write nerfstudio `transforms.json` (OpenGL camera axes, intrinsics per frame). `frames` is relative to it.

        `masks` and `depths` map names of frames to files relative to it: grey PNG, and 16-bit PNG in millimetres.
        """
        rows: list[dict[str, Any]] = []
        for i, name in enumerate(self.names):
            k1, k2, p1, p2 = self.distortion[i].tolist()
            rows.append(
                {
                    "file_path": f"{frames}/{name}",
                    "source": self.sources[i],
                    "transform_matrix": (self.T_world_camera[i] @ _GL).tolist(),
                    "fl_x": self.K[i, 0, 0], "fl_y": self.K[i, 1, 1], "cx": self.K[i, 0, 2], "cy": self.K[i, 1, 2],
                    "w": int(self.size_wh[i, 0]), "h": int(self.size_wh[i, 1]), "k1": k1, "k2": k2, "p1": p1, "p2": p2,
                }  # fmt: skip
            )
            for key, files in (("mask_path", masks), ("depth_file_path", depths)):
                if files and name in files:
                    rows[-1][key] = files[name]
        write_json(path, {"camera_model": "OPENCV", "ply_file_path": ply, "frames": rows})

    @classmethod
    def load(cls, path: Path) -> Cameras:
        """Read a nerfstudio `transforms.json` (ours or anyone's; shared intrinsics allowed)."""
        data = read_json(path)
        rows = data.get("frames", [])
        if not rows:
            raise InputError(f"{path} lists no frames.")

        def value(row: dict, key: str, default: float | None = None) -> float:
            v = row.get(key, data.get(key, default))
            if v is None:
                raise InputError(f"{path}: no {key!r} for {row.get('file_path')}.")
            return float(v)

        K = np.zeros((len(rows), 3, 3))
        for i, r in enumerate(rows):
            K[i, 0, 0], K[i, 1, 1], K[i, 2, 2] = value(r, "fl_x"), value(r, "fl_y"), 1
            K[i, 0, 2], K[i, 1, 2] = value(r, "cx"), value(r, "cy")
        T = np.array([r["transform_matrix"] for r in rows], dtype=float)
        return cls(
            T_world_camera=T @ _GL,
            K=K,
            size_wh=np.array([[value(r, "w"), value(r, "h")] for r in rows]),
            distortion=np.array([[value(r, k, 0.0) for k in ("k1", "k2", "p1", "p2")] for r in rows]),
            names=tuple(Path(r["file_path"]).name for r in rows),
            sources=tuple(str(r.get("source", r["file_path"])) for r in rows),
        )


def evenly(n: int, most: int) -> list[int]:
    """At most `most` of n indices, the first and the last among them."""
    return sorted(set(np.linspace(0, n - 1, min(n, most)).round().astype(int).tolist())) if n else []


def load_views(cameras: Cameras, frames: Path, *, max_side: int) -> tuple[list[np.ndarray], Cameras]:
    """Pictures (h, w, 3) uint8, undistorted and area-resized to `max_side`, and the matching pinhole cameras.

    Undistortion keeps K; what falls outside the original picture is mirrored at the border.
    """
    import cv2

    small = cameras.resized(max_side)

    def picture(i: int) -> np.ndarray:
        im = undistort(read_rgb(frames / cameras.names[i]), cameras.K[i], cameras.distortion[i])
        w, h = (int(v) for v in small.size_wh[i])
        if im.shape[:2] != (h, w):
            im = cv2.resize(im, (w, h), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(im)

    images = list(abreast(picture, range(len(cameras)), "Reading pictures"))
    return images, replace(small, distortion=np.zeros_like(small.distortion))


def undistort(image: np.ndarray, K: np.ndarray, distortion: np.ndarray, *, outside: float | None = None) -> np.ndarray:
    """`image` (h, w) or (h, w, 3) as a pinhole camera with the same `K` [px] would have seen it; k1 k2 p1 p2.

    What falls outside the original is mirrored at the border; with `outside`, it is that value and the nearest pixel is
    taken instead of a mean of several, as suits masks and depth.
    """
    import cv2

    if not np.any(distortion):
        return image
    K = np.array(K, np.float64)
    K[:2, 2] -= 0.5  # cv2 puts the centre of the first pixel at 0
    m1, m2 = cv2.initUndistortRectifyMap(K, distortion, None, K, image.shape[1::-1], cv2.CV_32FC1)
    if outside is None:
        return cv2.remap(image, m1, m2, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return cv2.remap(image, m1, m2, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=outside)
