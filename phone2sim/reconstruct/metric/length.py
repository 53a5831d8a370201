"""Lengths a user knows: between two points picked in pictures, or a dimension of an object."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from phone2sim.errors import InputError, ReconstructionError, did_you_mean
from phone2sim.intervals import Interval
from phone2sim.reconstruct.capture.record import Capture, Frame
from phone2sim.reconstruct.metric.plane import Plane
from phone2sim.reconstruct.metric.tags import triangulate
from phone2sim.reconstruct.metric.votes import ScaleVote
from phone2sim.reconstruct.sfm.model import SparseModel, normalised, project

DIMENSIONS = ("height", "length", "width", "depth")
"""Of an object as it stands: `height` upright, `length` the longer and `width` (or `depth`) the shorter side of the
rectangle around its footprint."""
PICK_PX = 2.0
"""How exactly people point, at 1000 px of the longer side."""
FLOOR = 0.003
"""How exactly people measure."""
OBJECT_FLOOR = 0.015
"""How exactly a reconstructed object's size is known, relative to itself,"""
OBJECT_BLUR = 0.005
"""and to the distance it was filmed from: a few millimetres of surface at arm's length."""
_UNITS = {"": 1.0, "m": 1.0, "cm": 0.01, "mm": 0.001}
POINTS_SYNTAX = 'FRAME:x,y to FRAME:x,y = METRES, a point seen twice as FRAME:x,y+FRAME:x,y'
OBJECT_SYNTAX = "NAME DIMENSION=METRES, for example mug height=0.095"


@dataclass(frozen=True, kw_only=True)
class Pick:
    """A pixel of a picture."""

    frame: str
    x: float
    y: float


@dataclass(frozen=True, kw_only=True)
class PickedLength:
    """The distance [m] between two points, each picked in one or two pictures."""

    text: str
    a: tuple[Pick, ...]
    b: tuple[Pick, ...]
    metres: float


@dataclass(frozen=True, kw_only=True)
class ObjectLength:
    """A dimension [m] of a named object."""

    text: str
    name: str
    dimension: str
    metres: float


def parse_object_length(text: str) -> ObjectLength:
    """`mug height=0.095`, also with a unit: `mug height = 9.5 cm`."""
    found = re.fullmatch(r"\s*(\w+)[\s.]+(\w+)\s*=\s*(.+)", text)
    if found is None:
        raise InputError(f"--length {text!r} is not a length.", hint=f"Write {OBJECT_SYNTAX}.")
    dimension = found[2].lower()
    if dimension not in DIMENSIONS:
        raise InputError(f"--length {text!r}: no dimension {found[2]!r};", hint=did_you_mean(dimension, DIMENSIONS))
    return ObjectLength(
        text=" ".join(text.split()), name=found[1], dimension=dimension, metres=_metres(found[3], f"--length {text!r}")
    )


def parse_picked_length(text: str) -> PickedLength:
    """`0003.jpg:812,455+0011.jpg:640,470 to 0003.jpg:1200,460 = 0.30`, also with a unit: `= 30 cm`.

    A frame is named as in the scene's `capture/frames`, with or without its suffix, or as the original photo; x, y are
    pixels of the stored upright picture, from its top left.
    """
    where = f"--length-points {text!r}"
    sides = text.rsplit("=", 1)
    points = re.split(r"\s+to\s+", sides[0].strip()) if len(sides) == 2 else []
    if len(points) == 1 and len(points[0].split()) == 2:
        points = points[0].split()  # "A B = 0.3"
    if len(points) != 2:
        raise InputError(f"{where} is not a length between two points.", hint=f"Write {POINTS_SYNTAX}.")
    a, b = (_picks(p, where) for p in points)
    return PickedLength(text=" ".join(text.split()), a=a, b=b, metres=_metres(sides[1], where))


def _picks(text: str, where: str) -> tuple[Pick, ...]:
    picks = []
    for one in text.split("+"):
        found = re.fullmatch(r"\s*(.+):\s*(-?[\d.]+)\s*,\s*(-?[\d.]+)\s*", one)
        try:
            if found is None:
                raise ValueError
            picks.append(Pick(frame=found[1], x=float(found[2]), y=float(found[3])))
        except ValueError:
            raise InputError(f"{where}: {one.strip()!r} is not a point in a picture.", hint="Write FRAME:x,y.") from None
    if len({p.frame for p in picks}) != len(picks) or len(picks) > 2:
        raise InputError(f"{where}: pick a point once, or in two different pictures.")
    return tuple(picks)


def _metres(text: str, where: str) -> float:
    found = re.fullmatch(r"\s*([\d.]+)\s*(m|cm|mm)?\s*", text)
    try:
        value = float(found[1]) * _UNITS[found[2] or ""] if found else 0.0
    except ValueError:
        value = 0.0
    if value <= 0:
        raise InputError(f"{where}: {text.strip()!r} is not a length.", hint="Metres, or a number with m, cm or mm.")
    if not 0.002 <= value <= 100:
        raise InputError(f"{where}: {value:g} m is not a length in a room.", hint="Lengths are in metres; write 9.5 cm as 0.095.")
    return value


def find_frame(name: str, capture: Capture) -> Frame:
    """The frame that a user means: `0003.jpg`, `0003`, or the name of the original photo."""
    for match in (lambda f: f.file == name, lambda f: f.file.rsplit(".", 1)[0] == name, lambda f: f.source == name,
                  lambda f: f.source.rsplit(".", 1)[0] == name):  # fmt: skip
        if found := [f for f in capture.frames if match(f)]:
            return found[0]
    names = [f.file for f in capture.frames]
    short = names if len(names) <= 8 else [*names[:3], "…", names[-1]]
    raise InputError(f"--length-points: no picture {name!r};", hint=f"have {', '.join(short)}.")


def check_picks(length: PickedLength, capture: Capture) -> None:
    """Raise `InputError` for picks of pictures that do not exist, or beside them; before hours are spent."""
    for p in (*length.a, *length.b):
        f = find_frame(p.frame, capture)
        if not (0 <= p.x <= f.width and 0 <= p.y <= f.height):
            raise InputError(
                f"--length-points: {p.x:g},{p.y:g} lies outside {f.file}, which is {f.width}x{f.height}.",
                hint="Pixels of the picture in SCENE/capture/frames, from its top left.",
            )


def picked_vote(
    length: PickedLength, model: SparseModel, capture: Capture, *, plane: Plane | None = None
) -> ScaleVote:
    """Metres per unit from two picked points.

    A point picked twice is triangulated. One picked once is where its ray meets the surface of the SfM points around it,
    or the support plane. The interval follows from picks moved by `PICK_PX`. Raises `InputError` for unknown pictures and
    `ReconstructionError` when a picture has no camera or a ray meets nothing.
    """
    check_picks(length, capture)
    index = {name: i for i, name in enumerate(model.cameras.names)}
    ends: list[list[np.ndarray]] = []
    for picks in (length.a, length.b):
        which, px = [], []
        for p in picks:
            frame = find_frame(p.frame, capture)
            if frame.file not in index:
                raise ReconstructionError(
                    f"--length-points: picture {frame.file} has no camera.", hint="Pick the point in another picture."
                )
            which.append(index[frame.file])
            px.append([p.x, p.y])
        error = PICK_PX * float(model.cameras.size_wh[which[0]].max()) / 1000
        ends.append(_places(np.array(which), np.array(px), error, model, plane))
    d = float(np.linalg.norm(ends[0][0] - ends[1][0]))
    if d < 1e-9:
        raise ReconstructionError("--length-points: both points are at the same place.", hint="Pick points farther apart.")
    changed = [abs(np.linalg.norm(p - ends[1 - k][0]) - d) for k in (0, 1) for p in ends[k][1:]]
    half = max(FLOOR, float(np.sqrt(np.sum(np.square(changed)))) / d)
    s = length.metres / d
    what = f"{1000 * length.metres:g} mm between two picked points"
    half = min(half, 3.0)
    return ScaleVote(
        source="length points", interval=Interval(value=s, low=s / (1 + half), high=s * (1 + half), why=what), floor=FLOOR
    )


def _places(which: np.ndarray, px: np.ndarray, error: float, model: SparseModel, plane: Plane | None) -> list[np.ndarray]:
    """The picked point, then the places it would move to: each pick moved by `error` [px] along x and y, or along the ray."""
    if len(which) == 2:
        axes = [model.cameras.centres[c] for c in which]
        if np.linalg.norm(axes[0] - axes[1]) < 1e-9:
            raise ReconstructionError("--length-points: a point is picked twice from the same place.", hint="Use another picture.")
        first, off = triangulate(model.cameras, which, px)
        if off.max() > 8 * error:
            raise ReconstructionError(
                f"--length-points: two picks of one point miss each other by {off.max():.0f} px.", hint="Pick the same point in both."
            )
        moved = [px + error * np.eye(4)[k].reshape(2, 2) for k in range(4)]
        return [first, *(triangulate(model.cameras, which, m)[0] for m in moved)]
    i, p = int(which[0]), px[0]
    point, along = _surface(i, p, model, plane)
    side = [_ray_at(model, i, p + d, float(_depth(model, i, point))) for d in (np.array([error, 0]), np.array([0, error]))]
    return [point, *side, point + along]


def _depth(model: SparseModel, i: int, point: np.ndarray) -> float:
    return float(project(model.cameras, i, point[None])[1][0])


def _ray_at(model: SparseModel, i: int, px: np.ndarray, z: float) -> np.ndarray:
    T = model.cameras.T_world_camera[i]
    return T[:3, :3] @ (np.append(normalised(model.cameras, i, px[None])[0], 1.0) * z) + T[:3, 3]


def _surface(i: int, px: np.ndarray, model: SparseModel, plane: Plane | None) -> tuple[np.ndarray, np.ndarray]:
    """Where the ray of a pixel meets the scene, and how far along the ray that may be off."""
    seen = model.obs_point[model.obs_camera == i]
    at, z = project(model.cameras, i, model.xyz[seen])
    off = np.linalg.norm(at - px, axis=1)
    near = np.argsort(off, kind="stable")[:12]
    near = near[(off[near] < 0.06 * model.cameras.size_wh[i].max()) & (z[near] > 0)]
    on_plane = np.inf
    ray = _ray_at(model, i, px, 1.0) - model.cameras.centres[i]
    if plane is not None and abs(ray @ plane.normal) > 0.05 * np.linalg.norm(ray):
        t = (plane.height - model.cameras.centres[i] @ plane.normal) / (ray @ plane.normal)
        on_plane = t if t > 0 else np.inf
    if len(near) < 4 and not np.isfinite(on_plane):
        raise ReconstructionError(
            f"--length-points: nothing was reconstructed at {px[0]:g},{px[1]:g} of {model.cameras.names[i]}.",
            hint="Pick that point in two pictures: FRAME:x,y+FRAME:x,y.",
        )
    if len(near) >= 4:
        depth = float(np.median(z[near]))
        scatter = 1.4826 * float(np.median(np.abs(z[near] - depth)))
        # points around it lie on the support: so does it, and more exactly
        if np.isfinite(on_plane) and plane is not None:
            over = model.xyz[seen[near]] @ plane.normal - plane.height
            if np.median(np.abs(over)) < max(4 * plane.residual, 0.01 * depth):
                return _ray_at(model, i, px, on_plane), ray * max(2 * plane.residual, 0.003 * on_plane)
        slope = _local_depth(at[near] - px, 1 / z[near])
        if 0.8 * z[near].min() < slope < 1.2 * z[near].max():
            depth = slope
        return _ray_at(model, i, px, depth), ray * max(scatter, 0.02 * depth)
    return _ray_at(model, i, px, on_plane), ray * 0.03 * on_plane


def _local_depth(at: np.ndarray, inverse: np.ndarray) -> float:
    """Depth at the origin of a plane through neighbours: 1/z is linear in the picture (robust, reweighted)."""
    A = np.column_stack([np.ones(len(at)), at / 50])
    w = np.ones(len(at))
    x: np.ndarray = np.zeros(3)
    for _ in range(8):
        x = np.linalg.lstsq(A * w[:, None], inverse * w, rcond=None)[0]
        r = np.abs(A @ x - inverse)
        w = 1 / np.sqrt(1 + (r / max(1.5 * float(np.median(r)), 1e-12)) ** 2)
    return 1 / float(x[0]) if x[0] > 0 else -1.0


def object_vote(length: ObjectLength, units: float, *, distance_units: float = 0.0) -> ScaleVote:
    """Metres per unit from an object whose dimension is `units` in the model, filmed from `distance_units` away."""
    s = length.metres / units
    half = min(1.0, max(OBJECT_FLOOR, OBJECT_BLUR * distance_units / units))
    why = f"{length.name} is {1000 * length.metres:g} mm in {length.dimension}"
    interval = Interval(value=s, low=s / (1 + half), high=s * (1 + half), why=why)
    return ScaleVote(source="length", interval=interval, floor=OBJECT_FLOOR)
