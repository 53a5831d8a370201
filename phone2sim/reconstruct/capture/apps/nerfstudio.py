"""nerfstudio datasets: `transforms.json` with OpenGL camera-to-world poses, pictures, masks and depth."""

from __future__ import annotations

import io
import posixpath
from typing import Any

import numpy as np

from phone2sim.errors import CaptureError, Phone2SimError
from phone2sim.reconstruct.capture.apps.lenses import brown_map, colmap_map
from phone2sim.reconstruct.capture.apps.reading import (
    GL_TO_CV,
    Reading,
    Shot,
    files_of,
    number,
    picture_size,
    png16,
    pose,
    read_mask,
    short_names,
)  # fmt: skip
from phone2sim.reconstruct.capture.apps.tree import Tree
from phone2sim.reconstruct.points import read_points_ply

NAME = "nerfstudio"
_PERSPECTIVE = {"", "OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE"}
_USUAL = ("transforms.json", "transforms_train.json")


def entry_of(tree: Tree, given: str | None) -> str | None:
    """The JSON file that lists posed frames, or None."""
    if given is not None:
        return given if _is_dataset(tree, given) else None
    names = [n for n in tree.files() if n.endswith(".json")]
    names.sort(key=lambda n: _USUAL.index(n) if n in _USUAL else len(_USUAL))
    return next((n for n in names if _is_dataset(tree, n)), None)


def _is_dataset(tree: Tree, name: str) -> bool:
    try:
        data = tree.json(name)
    except CaptureError:
        if posixpath.basename(name) in _USUAL:
            raise
        return False
    frames = data.get("frames") if isinstance(data, dict) else None
    return isinstance(frames, list) and bool(frames) and isinstance(frames[0], dict) and "transform_matrix" in frames[0]


def read(tree: Tree, entry: str) -> Reading:
    """Frames whose picture is missing, unreadable or without a pose are refused by name."""
    data = tree.json(entry)
    rows = [r for r in data["frames"] if isinstance(r, dict)]
    base = posixpath.dirname(entry)
    refused: list[dict[str, str]] = []
    found: list[tuple[dict[str, Any], str]] = []
    for i, row in enumerate(rows):
        listed = str(row.get("file_path", f"frame {i}"))
        name = _picture_file(tree, base, listed)
        if name is None:
            refused.append({"file": posixpath.basename(listed), "why": f"listed in {entry}, but not there"})
        else:
            found.append((row, name))
    if not found:
        raise CaptureError(
            f"{tree.title}: {entry} lists {len(rows)} frames, and not one picture is there.",
            hint="Keep transforms.json beside the pictures it lists.",
        )
    shots: list[Shot] = []
    kept: list[str] = []
    titles = short_names([name for _, name in found])
    for (row, name), title in zip(found, titles):
        try:
            shots.append(_shot(tree, entry, base, data, row, title))
            kept.append(name)
        except CaptureError as e:
            refused.append({"file": title, "why": e.message})
    notes: list[str] = []
    for key, what in (("mask_path", "masks"), ("depth_file_path", "depth files")):
        absent = sum(bool(row.get(key)) and _beside(tree, base, row[key]) is None for row, _ in found)
        if absent:
            notes.append(f"{absent} of the {what} that {entry} lists are not there.")
    points = _points(tree, base, data, notes)
    return Reading(
        app=NAME, shots=tuple(shots), ordered=False, metric=False, refused=tuple(refused),
        pictures=files_of(tree, kept, [s.size_wh for s in shots]), points=points,
        notes=tuple(notes),
    )  # fmt: skip


def _picture_file(tree: Tree, base: str, listed: str) -> str | None:
    name = posixpath.join(base, listed.replace("\\", "/"))
    name = name[2:] if name.startswith("./") else name
    tries = [name] if posixpath.splitext(name)[1] else [name + s for s in (".png", ".jpg", ".jpeg", ".JPG", ".PNG")]
    return next((t for t in tries if tree.has(t)), None)


def _shot(tree: Tree, entry: str, base: str, data: dict[str, Any], row: dict[str, Any], title: str) -> Shot:
    def value(key: str) -> float | None:
        v = row.get(key, data.get(key))
        return None if v is None else number(v, f"{title}: {key}")

    model = str(row.get("camera_model", data.get("camera_model", ""))).upper()
    fisheye = model == "OPENCV_FISHEYE" or bool(row.get("is_fisheye", data.get("is_fisheye", False)))
    if model not in _PERSPECTIVE and not fisheye:
        raise CaptureError(f"{title}: the camera model {model} is not a perspective picture.", hint="Use OPENCV.")
    w, h, fx, fy = value("w"), value("h"), value("fl_x"), value("fl_y")
    if w is None or h is None:
        w, h = picture_size(tree, _picture_file(tree, base, str(row.get("file_path"))) or "")
    if fx is None and (angle := value("camera_angle_x")) is not None:
        fx = 0.5 * w / float(np.tan(0.5 * angle))
    if fy is None and (angle := value("camera_angle_y")) is not None and fx is None:
        fy = 0.5 * h / float(np.tan(0.5 * angle))
    lens = None
    if fx or fy:
        cx, cy = value("cx"), value("cy")
        lens = (fx or fy or 0.0, fy or fx or 0.0, w / 2 if cx is None else cx, h / 2 if cy is None else cy)
    k1, k2, k3, k4, p1, p2 = (value(k) or 0.0 for k in ("k1", "k2", "k3", "k4", "p1", "p2"))
    size, rectify, distortion = (int(w), int(h)), None, (k1, k2, p1, p2)
    if lens is not None and fisheye:
        rectify, distortion = colmap_map("OPENCV_FISHEYE", (*lens, k1, k2, k3, k4), size, lens), (0.0,) * 4
    elif lens is not None and (k3 or k4):
        rectify, distortion = brown_map(lens, size, (k1, k2, k3, k4), (p1, p2)), (0.0,) * 4
    depth, mask = (_beside(tree, base, row.get(k)) for k in ("depth_file_path", "mask_path"))
    unit = number(row.get("depth_unit_scale_factor", data.get("depth_unit_scale_factor", 1e-3)), f"{title}: depth unit")
    return Shot(
        name=title, T_world_camera=pose(row["transform_matrix"], f"{title} in {entry}") @ GL_TO_CV, lens=lens,
        size_wh=size, distortion=distortion, rectify=rectify, group=(size, round(lens[0], 1) if lens else 0),
        depth=None if depth is None else lambda: _depth(tree, depth, unit),
        mask=None if mask is None else lambda: read_mask(tree, mask),
    )  # fmt: skip


def _beside(tree: Tree, base: str, listed: object) -> str | None:
    name = posixpath.normpath(posixpath.join(base, str(listed).replace("\\", "/"))) if listed else ""
    return name if name and tree.has(name) else None


def _depth(tree: Tree, name: str, unit: float) -> np.ndarray:
    """nerfstudio multiplies PNG and NPY alike by its unit, a millimetre; NPY of floats below 100 is metres already."""
    data = tree.read(name)
    if not name.endswith(".npy"):
        return png16(data, name).astype(np.float32) * np.float32(unit)
    try:
        a = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        raise CaptureError(f"{name} is no array of depths.", hint="Copy it again.") from None
    a = a[..., 0] if a.ndim == 3 and a.shape[2] == 1 else a
    if a.ndim != 2 or not a.size:
        raise CaptureError(f"{name} is no array of depths.", hint="Copy it again.")
    plain = a.dtype.kind == "f" and float(np.nanmax(np.where(np.isfinite(a), a, 0))) < 100
    return a.astype(np.float32) * np.float32(1 if plain else unit)


def _points(tree: Tree, base: str, data: dict[str, Any], notes: list[str]) -> tuple[np.ndarray, np.ndarray] | None:
    listed = data.get("ply_file_path")
    name = posixpath.normpath(posixpath.join(base, str(listed))) if listed else ""
    if not listed or not tree.has(name):
        return None
    try:
        with tree.file(name) as path:
            xyz, rgb = read_points_ply(path)
    except Phone2SimError as e:
        notes.append(f"The points of this data set are left out: {e.message.replace(str(path), name)}")
        return None
    good = np.isfinite(xyz).all(axis=1)
    return xyz[good], rgb[good]
