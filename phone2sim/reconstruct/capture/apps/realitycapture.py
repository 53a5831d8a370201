"""RealityCapture's "Internal/External camera parameters": a CSV of poses and lenses, with the pictures it names.

Columns `#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2`; those after `f` may be absent. Position and world
are x east, y north, alt up. The OpenGL camera-to-world rotation is Rz(−heading) Rx(pitch) Ry(roll), degrees. `f`, `px`
and `py` refer to 36 mm film: times the longer side over 36 is pixels; `px py` are offsets from the middle. `k1 … k4`
are Brown's radial terms, `t1 t2` his tangential ones.
"""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np

from phone2sim.errors import CaptureError
from phone2sim.reconstruct.capture.apps.lenses import brown_map
from phone2sim.reconstruct.capture.apps.reading import (
    GL_TO_CV,
    Reading,
    Shot,
    files_of,
    number,
    picture_size,
    short_names,
    table,
)  # fmt: skip
from phone2sim.reconstruct.capture.apps.tree import Tree

NAME = "realitycapture"
_NEEDED = {"name", "x", "y", "alt", "heading", "pitch", "roll", "f"}
_PICTURES = (".jpg", ".jpeg", ".png", ".heic", ".heif", ".hif")


def entry_of(tree: Tree, given: str | None) -> str | None:
    """The CSV file, or None."""
    names = [given] if given is not None else [n for n in tree.files() if n.lower().endswith(".csv")]
    return next((n for n in names if _NEEDED <= _head(tree, n)), None)


def _head(tree: Tree, name: str) -> set[str]:
    return {w.strip().lstrip("#") for w in tree.text(name)[:2000].split("\n", 1)[0].split(",")}


def read(tree: Tree, entry: str) -> Reading:
    """Rows whose picture is not there, or with a bad number, are refused by name."""
    rows = table(tree.text(entry), f"{tree.title}: {entry}")
    pictures = [n for n in tree.names if n.lower().endswith(_PICTURES)]
    whole = {PurePosixPath(n).name.lower(): n for n in reversed(pictures)}
    stems = {PurePosixPath(n).stem.lower(): n for n in reversed(pictures)}
    shots, kept, refused = [], [], []
    for row in rows:
        listed = PurePosixPath(row.get("name", "").replace("\\", "/"))
        name = whole.get(listed.name.lower()) or stems.get(listed.stem.lower()) or stems.get(listed.name.lower())
        if name is None:
            refused.append({"file": listed.name, "why": f"listed in {entry}, but not there"})
            continue
        try:
            shots.append(_shot(tree, row, name))
            kept.append(name)
        except CaptureError as e:
            refused.append({"file": listed.name, "why": e.message})
    if not shots:
        raise CaptureError(
            f"{tree.title}: {entry} lists {len(rows)} pictures, and not one can be used. {refused[0]['why']}",
            hint="Keep the CSV beside the pictures it lists.",
        )
    from dataclasses import replace

    shots = [replace(s, name=n) for s, n in zip(shots, short_names(kept))]
    return Reading(
        app=NAME, shots=tuple(shots), ordered=False, metric=False, refused=tuple(refused),
        pictures=files_of(tree, kept, [s.size_wh for s in shots]),
    )  # fmt: skip


def _shot(tree: Tree, row: dict[str, str], name: str) -> Shot:
    def value(key: str, default: float | None = None) -> float:
        v = row.get(key) or default
        return number(v, f"{name}: {key}")

    w, h = picture_size(tree, name)
    unit = max(w, h) / 36.0
    f = value("f") * unit
    lens = (f, f, w / 2 + value("px", 0.0) * unit, h / 2 + value("py", 0.0) * unit)
    k = [value(f"k{i}", 0.0) for i in (1, 2, 3, 4)]
    t = [value(f"t{i}", 0.0) for i in (1, 2)]
    simple = not k[2] and not k[3]
    T = np.eye(4)
    T[:3, :3] = rotation(value("heading"), value("pitch"), value("roll"))
    T[:3, 3] = value("x"), value("y"), value("alt")
    return Shot(
        name=name, T_world_camera=T @ GL_TO_CV, lens=lens, size_wh=(w, h), group=(w, h, round(value("f"), 1)),
        distortion=(k[0], k[1], t[0], t[1]) if simple else (0.0, 0.0, 0.0, 0.0),
        rectify=None if simple else brown_map(lens, (w, h), k, t),
    )  # fmt: skip


def rotation(heading_deg: float, pitch_deg: float, roll_deg: float) -> np.ndarray:
    """(3, 3) camera-to-world of an OpenGL camera."""
    a, b, c = np.deg2rad([-heading_deg, pitch_deg, roll_deg])
    rz = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    rx = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    ry = np.array([[np.cos(c), 0, np.sin(c)], [0, 1, 0], [-np.sin(c), 0, np.cos(c)]])
    return rz @ rx @ ry
