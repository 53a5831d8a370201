"""Dimensions of objects as they stand, for lengths that a user knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from phone2sim.assets.mesh import TexturedMesh
from phone2sim.config import read_json
from phone2sim.errors import InputError, did_you_mean
from phone2sim.reconstruct.metric.length import ObjectLength


def measure(scene_dir: Path, length: ObjectLength) -> float:
    """The dimension that `length` names, in the scene `scene_dir` as it stands [m].

    `height` is vertical; `length` is the longer, `width` or `depth` the shorter side of the smallest rectangle around the
    object seen from above. Raises `InputError` when the scene has no such object.
    """
    folder = scene_dir / "scene"
    if not (folder / "scene.json").exists():
        raise InputError(f"{scene_dir} has no objects yet.", hint=f"First: phone2sim assets {scene_dir}")
    names = [str(n) for n in read_json(folder / "scene.json")["assets"]]
    if length.name not in names:
        raise InputError(f"--length {length.text!r}: no object {length.name!r};", hint=did_you_mean(length.name, names))
    described = read_json(folder / length.name / "asset.json")
    vertices = TexturedMesh.load_glb(folder / length.name / described["visual"]).vertices
    if length.dimension == "height":
        return float(np.ptp(vertices[:, 2]))
    long, short = footprint_sides(vertices[:, :2])
    return long if length.dimension == "length" else short


def footprint_sides(xy: np.ndarray) -> tuple[float, float]:
    """Longer and shorter side of the smallest rectangle around points (k, 2)."""
    import cv2

    (_, sides, _) = cv2.minAreaRect(np.ascontiguousarray(xy, np.float32))
    return float(max(sides)), float(min(sides))
