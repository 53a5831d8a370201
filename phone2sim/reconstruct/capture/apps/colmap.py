"""COLMAP models: `cameras`, `images` and `points3D`, binary or text, with the pictures they name.

The files are parsed here, not by the SfM library, which ends the process on a damaged one.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from phone2sim.errors import CaptureError
from phone2sim.poses import Pose
from phone2sim.reconstruct.capture.apps.lenses import Lens, colmap_map
from phone2sim.reconstruct.capture.apps.reading import Reading, Shot, files_of, read_mask, short_names
from phone2sim.reconstruct.capture.apps.tree import Tree

NAME = "colmap"
_PLACES = ("", "sparse/0", "sparse", "colmap/sparse/0", "colmap/sparse", "model", "0", "distorted/sparse/0")
_MODELS = (
    ("SIMPLE_PINHOLE", 3), ("PINHOLE", 4), ("SIMPLE_RADIAL", 4), ("RADIAL", 5), ("OPENCV", 8), ("OPENCV_FISHEYE", 8),
    ("FULL_OPENCV", 12), ("FOV", 5), ("SIMPLE_RADIAL_FISHEYE", 4), ("RADIAL_FISHEYE", 5), ("THIN_PRISM_FISHEYE", 12),
    ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
)  # fmt: skip
_COUNT = dict(_MODELS)
_ONE_FOCAL = {"SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE"}


@dataclass(frozen=True)
class _Camera:
    model: str
    size_wh: tuple[int, int]
    params: tuple[float, ...]

    @property
    def lens(self) -> Lens:
        p = self.params
        return (p[0], p[0], p[1], p[2]) if self.model in _ONE_FOCAL else (p[0], p[1], p[2], p[3])

    @property
    def distortion(self) -> tuple[float, float, float, float] | None:
        """k1 k2 p1 p2, or None when they cannot describe the lens."""
        p = self.params
        if self.model in ("SIMPLE_PINHOLE", "PINHOLE"):
            return 0.0, 0.0, 0.0, 0.0
        if self.model == "SIMPLE_RADIAL":
            return p[3], 0.0, 0.0, 0.0
        if self.model == "RADIAL":
            return p[3], p[4], 0.0, 0.0
        return (p[4], p[5], p[6], p[7]) if self.model == "OPENCV" else None


@dataclass(frozen=True)
class _Image:
    name: str
    camera: int
    T_world_camera: np.ndarray


def entry_of(tree: Tree, given: str | None) -> str | None:
    """The folder of the model, or None."""
    if given is not None:
        return None
    for place in _PLACES:
        start = f"{place}/" if place else ""
        for suffix in (".bin", ".txt"):
            if all(tree.has(f"{start}{stem}{suffix}") for stem in ("cameras", "images")):
                try:
                    return place if _cameras(tree, start, suffix) else None
                except CaptureError:
                    return place if suffix == ".bin" else None
    return None


def read(tree: Tree, entry: str) -> Reading:
    """Pictures that the model names and that are not there are refused by name."""
    start = f"{entry}/" if entry else ""
    suffix = ".bin" if tree.has(f"{start}cameras.bin") else ".txt"
    cameras = _cameras(tree, start, suffix)
    images = sorted(_images(tree, start, suffix), key=lambda i: i.name)
    if not images:
        raise CaptureError(f"{tree.title}: the COLMAP model has no registered picture.", hint="Give another model.")
    folder = _picture_folder(tree, entry, images)
    if folder is None:
        raise CaptureError(
            f"{tree.title}: the COLMAP model names {len(images)} pictures, and not one is there.",
            hint="Put them into a folder 'images' beside 'sparse'.",
        )
    refused: list[dict[str, str]] = []
    there = []
    for im in images:
        if tree.has(folder + im.name):
            there.append(im)
        else:
            refused.append({"file": im.name, "why": "named by the COLMAP model, but not there"})
    shots = tuple(_shot(tree, im, cameras, title) for im, title in zip(there, short_names([i.name for i in there])))
    return Reading(
        app=NAME, shots=shots, ordered=False, metric=False, refused=tuple(refused), points=_points(tree, start, suffix),
        pictures=files_of(tree, [folder + im.name for im in there], [s.size_wh for s in shots]),
    )  # fmt: skip


def _shot(tree: Tree, im: _Image, cameras: dict[int, _Camera], title: str) -> Shot:
    if im.camera not in cameras:
        raise CaptureError(f"{im.name}: the COLMAP model has no camera {im.camera}.", hint="Export the model again.")
    camera = cameras[im.camera]
    distortion = camera.distortion
    rectify = None if distortion else colmap_map(camera.model, camera.params, camera.size_wh, camera.lens)
    stem = im.name.rsplit(".", 1)[0]
    mask = next((m for m in (f"masks/{im.name}.png", f"masks/{stem}.png", f"masks/{im.name}") if tree.has(m)), None)
    return Shot(
        name=title, T_world_camera=im.T_world_camera, lens=camera.lens, size_wh=camera.size_wh, rectify=rectify,
        distortion=distortion or (0.0, 0.0, 0.0, 0.0), group=(im.camera,),
        mask=None if mask is None else lambda: read_mask(tree, mask),
    )  # fmt: skip


def _picture_folder(tree: Tree, entry: str, images: list[_Image]) -> str | None:
    up = "../" * (entry.count("/") + 1 if entry else 0)
    places = ["images/", "image/", "input/", "", "../images/", "../../images/", "../../input/", "../../"]
    places += [f"{f}/" for f in tree.folders()] + ([f"{entry}/{up}images/"] if up else [])
    best = max(places, key=lambda p: sum(tree.has(p + im.name) for im in images[:50] + images[-5:]))
    return best if any(tree.has(best + im.name) for im in images) else None


class _Bytes:
    def __init__(self, data: bytes, where: str) -> None:
        self.data, self.at, self.where = data, 0, where

    def take(self, layout: str) -> tuple:
        try:
            values = struct.unpack_from("<" + layout, self.data, self.at)
        except struct.error:
            raise CaptureError(f"{self.where} is cut short.", hint="Export the model again.") from None
        self.at += struct.calcsize("<" + layout)
        return values

    def skip(self, n: int) -> None:
        self.at += n
        if self.at > len(self.data):
            raise CaptureError(f"{self.where} is cut short.", hint="Export the model again.")

    def word(self) -> str:
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise CaptureError(f"{self.where} is cut short.", hint="Export the model again.")
        text, self.at = self.data[self.at : end].decode("utf-8", "replace"), end + 1
        return text


def _where(tree: Tree, name: str) -> str:
    return f"{tree.title}: {name}"


def _lines(tree: Tree, name: str) -> list[list[str]]:
    return [s.split() for s in tree.text(name).splitlines() if s.strip() and not s.lstrip().startswith("#")]


def _cameras(tree: Tree, start: str, suffix: str) -> dict[int, _Camera]:
    name = f"{start}cameras{suffix}"
    out: dict[int, _Camera] = {}
    if suffix == ".txt":
        for words in _lines(tree, name):
            try:
                values = tuple(float(v) for v in words[4:])
                out[int(words[0])] = _known(words[1], (int(words[2]), int(words[3])), values, tree)
            except (ValueError, IndexError):
                raise CaptureError(f"{_where(tree, name)} is not a list of cameras.", hint="Export it again.") from None
        return out
    b = _Bytes(tree.read(name), _where(tree, name))
    for _ in range(b.take("Q")[0]):
        number, model, w, h = b.take("IiQQ")
        if not 0 <= model < len(_MODELS):
            raise CaptureError(f"{_where(tree, name)}: camera model {model} is not known.", hint=_CONVERT)
        title, count = _MODELS[model]
        out[number] = _known(title, (w, h), b.take(f"{count}d"), tree)
    return out


_CONVERT = "Undistort the pictures with COLMAP's image_undistorter, and give its result."


def _known(model: str, size_wh: tuple[int, int], params: tuple[float, ...], tree: Tree) -> _Camera:
    if model not in _COUNT:
        raise CaptureError(f"{tree.title}: the COLMAP camera model {model} is not known.", hint=_CONVERT)
    fine = len(params) == _COUNT[model] and np.isfinite(params).all() and params[0] > 0 and min(size_wh) > 0
    if not fine or max(size_wh) > 100_000:
        raise CaptureError(f"{tree.title}: a COLMAP camera has bad parameters.", hint="Export the model again.")
    return _Camera(model, size_wh, params)


def _world_camera(q_wxyz: tuple[float, ...], t: tuple[float, ...], where: str) -> np.ndarray:
    if not np.isfinite([*q_wxyz, *t]).all() or np.linalg.norm(q_wxyz) < 0.1:
        raise CaptureError(f"{where} has a pose that is no rotation.", hint="Export the model again.")
    return Pose(np.array(t), np.array(q_wxyz)).inverse().matrix


def _images(tree: Tree, start: str, suffix: str) -> list[_Image]:
    name = f"{start}images{suffix}"
    out = []
    if suffix == ".txt":
        lines = [s for s in tree.text(name).splitlines() if not s.lstrip().startswith("#")]
        while lines and not lines[0].strip():
            lines.pop(0)
        for line in lines[::2]:  # every other line lists the key points
            words = line.split(maxsplit=9)
            if not words:
                continue
            try:
                v = tuple(float(x) for x in words[1:8])
                out.append(_Image(words[9].strip(), int(words[8]), _world_camera(v[:4], v[4:], words[9])))
            except (ValueError, IndexError):
                raise CaptureError(
                    f"{_where(tree, name)} is not a list of pictures.", hint="Export it again."
                ) from None
        return out
    b = _Bytes(tree.read(name), _where(tree, name))
    for _ in range(b.take("Q")[0]):
        v = b.take("I7dI")
        title = b.word()
        b.skip(24 * b.take("Q")[0])
        out.append(_Image(title, int(v[8]), _world_camera(v[1:5], v[5:8], title)))
    return out


def _points(tree: Tree, start: str, suffix: str) -> tuple[np.ndarray, np.ndarray] | None:
    name = f"{start}points3D{suffix}"
    if not tree.has(name):
        return None
    rows: list[tuple] = []
    if suffix == ".txt":
        try:
            rows = [(*map(float, w[1:4]), *map(int, w[4:7])) for w in _lines(tree, name)]
        except ValueError:
            raise CaptureError(f"{_where(tree, name)} is not a list of points.", hint="Export it again.") from None
    else:
        b = _Bytes(tree.read(name), _where(tree, name))
        for _ in range(b.take("Q")[0]):
            v = b.take("Q3d3BdQ")
            b.skip(8 * v[8])
            rows.append(v[1:7])
    if not rows:
        return None
    a = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return a[:, :3].astype(np.float32), a[:, 3:].astype(np.uint8)
