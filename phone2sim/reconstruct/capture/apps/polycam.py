"""Polycam's raw export: `keyframes/{corrected_,}{images,cameras}`, `keyframes/{depth,confidence}`, as folder or zip.

Camera files hold `fx fy cx cy width height` and `t_00 … t_23`, row-major camera-to-world in ARKit's axes (camera: y
up, z backward; world: y up, metres). Depth is 16-bit millimetres; confidence 0, 127, 255. The corrected folders, there
when Polycam optimised the poses, are undistorted and preferred.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath

import numpy as np

from phone2sim.errors import CaptureError
from phone2sim.reconstruct.capture.apps.reading import (
    GL_TO_CV,
    Reading,
    Shot,
    files_of,
    number,
    png16,
    pose,
    previews_of,
)  # fmt: skip
from phone2sim.reconstruct.capture.apps.tree import Tree

NAME = "polycam"
_SETS = (
    ("keyframes/corrected_cameras", "keyframes/corrected_images"),
    ("keyframes/cameras", "keyframes/images"),
    ("keyframes/corrected_cameras", "keyframes/images"),
    ("keyframes/cameras", "keyframes/corrected_images"),
)


def entry_of(tree: Tree, given: str | None) -> str | None:
    """The folder of camera files, or None."""
    if given is not None:
        return None
    for cameras, _ in _SETS[:2]:
        for name in [n for n in tree.files(cameras) if n.endswith(".json")][:3]:
            try:
                data = tree.json(name)
            except CaptureError:
                continue
            if isinstance(data, dict) and {"t_00", "t_23", "fx"} <= set(data):
                return cameras
    return None


def read(tree: Tree, entry: str) -> Reading:
    """Keyframes in the order of time; one without a picture or with a bad camera file is refused by name."""
    cameras, pictures = _chosen(tree)
    by_stem = {PurePosixPath(n).stem: n for n in tree.files(pictures)}
    files = sorted(
        (n for n in tree.files(cameras) if n.endswith(".json")),
        key=lambda n: (int(PurePosixPath(n).stem) if PurePosixPath(n).stem.isdigit() else 0, n),
    )
    shots, kept, refused = [], [], []
    start = None
    for name in files:
        stem = PurePosixPath(name).stem
        if stem not in by_stem:
            refused.append({"file": f"{stem}.jpg", "why": f"{name} is there, its picture is not"})
            continue
        try:
            c = tree.json(name)
            if not isinstance(c, dict):
                raise CaptureError(f"{name} is no camera file.", hint="Export the capture again.")
            rows = [[number(c.get(f"t_{i}{j}"), f"{name}: t_{i}{j}") for j in range(4)] for i in range(3)]
            fx, fy, cx, cy, w, h = (
                number(c.get(k), f"{name}: {k}") for k in ("fx", "fy", "cx", "cy", "width", "height")
            )
            T = pose(rows, name) @ GL_TO_CV
        except CaptureError as e:
            refused.append({"file": f"{stem}.jpg", "why": e.message})
            continue
        stamp = int(stem) / 1e6 if stem.isdigit() else None
        start = stamp if start is None else start
        shots.append(
            Shot(
                name=PurePosixPath(by_stem[stem]).name, time_s=None if stamp is None or start is None else stamp - start,
                T_world_camera=T, lens=(fx, fy, cx, cy), size_wh=(int(w), int(h)), depth=_depth(tree, stem),
            )
        )  # fmt: skip
        kept.append(by_stem[stem])
    notes = () if "corrected" in cameras else ("Polycam did not optimise the poses of this capture.",)
    return Reading(
        app=NAME, shots=tuple(shots), ordered=all(s.time_s is not None for s in shots), metric=True,
        up_world=(0.0, 1.0, 0.0), pictures=files_of(tree, kept, [s.size_wh for s in shots]),
        previews=previews_of(tree, kept), refused=tuple(refused), notes=notes,
    )  # fmt: skip


def _chosen(tree: Tree) -> tuple[str, str]:
    for cameras, pictures in _SETS:
        if any(n.endswith(".json") for n in tree.files(cameras)) and tree.files(pictures):
            return cameras, pictures
    raise CaptureError(f"{tree.title}: the Polycam export holds no pictures.", hint="Export the raw data again.")


def _depth(tree: Tree, stem: str) -> Callable[[], np.ndarray] | None:
    name, sure = f"keyframes/depth/{stem}.png", f"keyframes/confidence/{stem}.png"
    if not tree.has(name):
        return None

    def depth() -> np.ndarray:
        a = png16(tree.read(name), name).astype(np.float32) / 1000
        if tree.has(sure) and (c := png16(tree.read(sure), sure)).shape == a.shape:
            a = np.where(c >= 64, a, 0)
        return a

    return depth
