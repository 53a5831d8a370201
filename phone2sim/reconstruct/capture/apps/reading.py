"""What a reader of an app's format hands over: posed shots, in the app's world but in our camera axes."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from phone2sim.errors import CaptureError
from phone2sim.reconstruct.capture.apps.tree import Tree
from phone2sim.reconstruct.capture.blur import grey
from phone2sim.reconstruct.capture.photos import read_photo

GL_TO_CV = np.diag([1.0, -1.0, -1.0, 1.0])
"""Camera axes of OpenGL and ARKit (x right, y up, z backward) ↔ OpenCV."""

Maps = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One picture as the app stored it, not yet turned upright."""

    name: str
    """Of the picture in the capture; what a user is told."""
    time_s: float | None = None
    """Since the first shot [s]."""
    T_world_camera: np.ndarray | None = None
    """(4, 4) camera-to-world, OpenCV camera axes."""
    lens: tuple[float, float, float, float] | None = None
    """fx fy cx cy [px] of a picture of `size_wh`."""
    size_wh: tuple[int, int] | None = None
    """The size that `lens` belongs to; None for the picture's own."""
    distortion: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """k1 k2 p1 p2 (OpenCV)."""
    rectify: Callable[[int, int], Maps] | None = None
    """`rectify(w, h)` for lenses that k1 k2 p1 p2 cannot describe: where each pixel centre of the pinhole picture with
    the same `lens` lies in the stored one, (h, w) float32 x and y [px]."""
    depth: Callable[[], np.ndarray] | None = None
    """(h', w') float32 along z, 0 where unknown; any resolution, same field of view."""
    mask: Callable[[], np.ndarray] | None = None
    """(h, w) bool: True counts."""
    up_camera: np.ndarray | None = None
    """(3,) unit, against gravity, from an IMU."""
    group: tuple = ()
    """Shots of one group share a lens."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A capture of an app."""

    app: str
    shots: tuple[Shot, ...]
    ordered: bool
    """In the order of time: a clip."""
    video: bool = False
    """Every frame of a film is there, so most can be left out."""
    metric: bool
    up_world: tuple[float, float, float] | None = None
    pictures: Callable[[Sequence[int]], Iterator[tuple[int, np.ndarray, int]]]
    """`(index, rgb (h, w, 3) as stored, quarter turns that its own orientation tag asks for)` of the asked shots,
    ascending. A picture that cannot be read is a `CaptureError` in place of the array's tuple: see `files_of`."""
    previews: Callable[[], Iterator[np.ndarray]] | None = None
    """Grey pictures of all shots for the choice of frames, at least 640 px long."""
    refused: tuple[dict[str, str], ...] = ()
    points: tuple[np.ndarray, np.ndarray] | None = None
    """(n, 3) float32 in the app's world and (n, 3) uint8."""
    notes: tuple[str, ...] = field(default=())
    """What the user should know."""


def picture(tree: Tree, name: str, size_wh: tuple[int, int] | None) -> tuple[np.ndarray, int]:
    """A stored picture and the quarter turns (counter-clockwise) that make it upright.

    Calibrations belong to the stored pixels, so the orientation tag is only reported; but when the calibrated size is
    that of the upright picture, the picture is turned here and no turn is left.
    """
    with tree.file(name) as path:
        photo = read_photo(path, upright=False)
    h, w = photo.rgb.shape[:2]
    if photo.turns % 2 and size_wh is not None and h != w:
        stored, turned = (abs(a * size_wh[1] / size_wh[0] / b - 1) for a, b in ((w, h), (h, w)))
        if turned < stored:
            return np.ascontiguousarray(np.rot90(photo.rgb, photo.turns)), 0
    return photo.rgb, photo.turns


def files_of(tree: Tree, names: Sequence[str], sizes: Sequence[tuple[int, int] | None]):
    """`Reading.pictures` of a capture that has one picture file per shot."""

    def pictures(wanted: Sequence[int]) -> Iterator[tuple[int, np.ndarray, int]]:
        for i in wanted:
            yield i, *picture(tree, names[i], sizes[i])

    return pictures


def previews_of(tree: Tree, names: Iterable[str]):
    """`Reading.previews` of a capture that has one picture file per shot; an unreadable one is black."""

    def previews() -> Iterator[np.ndarray]:
        for name in names:
            try:
                with Image.open(io.BytesIO(tree.read(name))) as im:
                    im.draft("RGB", (640, 640))
                    yield grey(np.asarray(im.convert("RGB")), 640)
            except (OSError, SyntaxError, ValueError):
                yield np.zeros((480, 640), np.uint8)

    return previews


def png16(data: bytes, name: str) -> np.ndarray:
    """(h, w) of a complete single-channel 8- or 16-bit PNG."""
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as im:
            if im.mode not in ("L", "I", "I;16", "I;16B"):
                raise CaptureError(f"{name} is not a single-channel picture.", hint="Export the capture again.")
            return np.asarray(im)
    except (OSError, SyntaxError, ValueError) as e:
        raise CaptureError(f"{name} is cut or damaged ({e}).", hint="Export the capture again.") from None


def read_mask(tree: Tree, name: str) -> np.ndarray:
    """(h, w) bool of a picture: True where it is not black."""
    try:
        with Image.open(io.BytesIO(tree.read(name))) as im:
            return np.asarray(im.convert("L")) > 0
    except (OSError, SyntaxError, ValueError):
        raise CaptureError(f"{name} cannot be read as a mask.", hint="Copy it again.") from None


def picture_size(tree: Tree, name: str) -> tuple[int, int]:
    """Width and height [px] of a picture as stored."""
    head = tree.read(name)
    try:
        with Image.open(io.BytesIO(head)) as im:
            return im.size
    except (OSError, SyntaxError, ValueError):
        with tree.file(name) as path:
            rgb = read_photo(path, upright=False).rgb
        return rgb.shape[1], rgb.shape[0]


def table(text: str, where: str) -> list[dict[str, str]]:
    """The rows of a CSV file by column name, blanks around names and values removed."""
    rows = csv.reader(io.StringIO(text), skipinitialspace=True)
    head = [c.strip().lstrip("#") for c in next(rows, [])]
    out = [{k: v.strip() for k, v in zip(head, row)} for row in rows if any(c.strip() for c in row)]
    if not out:
        raise CaptureError(f"{where} holds no rows.", hint="Export the capture again.")
    return out


def number(value: object, where: str) -> float:
    try:
        v = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        v = float("nan")
    if not np.isfinite(v):
        raise CaptureError(f"{where} is {value!r}, not a number.", hint="Export the capture again.")
    return v


def pose(matrix: object, where: str) -> np.ndarray:
    """(4, 4) rigid camera-to-world from a 3×4 or 4×4 list; a tiny deviation from a rotation is removed."""
    try:
        m = np.asarray(matrix, dtype=np.float64)
    except (TypeError, ValueError):
        m = np.zeros(0)
    if m.shape not in ((3, 4), (4, 4)) or not (np.abs(m) < 1e9).all():
        raise CaptureError(f"{where} has no 4×4 pose.", hint="Export the capture again.")
    u, s, vt = np.linalg.svd(m[:3, :3])
    if np.linalg.det(m[:3, :3]) <= 0 or s.max() > 1.02 * s.min() or not 0.9 < s.mean() < 1.1:
        raise CaptureError(f"{where} has a pose that is not a rotation and a translation.", hint="Export it again.")
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = (m[:3, :3] if abs(s - 1).max() < 1e-9 else u @ vt), m[:3, 3]
    return T


def short_names(names: Sequence[str]) -> list[str]:
    """File names, with their folders where names alone would not tell them apart."""
    bare = [PurePosixPath(n).name for n in names]
    return [b if bare.count(b) == 1 else n for b, n in zip(bare, names)] if len(set(bare)) < len(bare) else bare
