"""Where the sample's objects stand: apart, some side by side in contact, or one on another's flat top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from phone2sim import sheet
from phone2sim.errors import InputError
from phone2sim.keys import Key
from phone2sim.poses import Pose
from phone2sim.sample.objects import SampleObject
from phone2sim.sample.shapes import Shape

Layout = Literal["apart", "touching", "stacked"]

GAP_M = 0.062
REGION_M = (0.235, 0.20)
"""Half axes of the ellipse that objects stand in."""
CROWDED = ((0.040, (0.29, 0.235)), (0.024, (0.33, 0.255)))
"""Gap [m] and region [m] to try, in turn, when they do not fit."""
CONTACT_M = 0.0002
"""Gap that counts as contact: small, so that nothing interpenetrates."""


@dataclass(frozen=True, kw_only=True)
class Contact:
    """Two objects in contact."""

    kind: Literal["touches", "stands_on"]
    first: str
    second: str
    """The lower one of `stands_on`."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Poses of the objects and the sheet."""

    T_world_object: Pose
    T_world_sheet: Pose | None
    contacts: tuple[Contact, ...]
    spread: float
    """Size of the region relative to `REGION_M`; 1 unless it is crowded."""


@dataclass(frozen=True, kw_only=True)
class _Unit:
    """Objects placed as one: indices, and where each stands in the unit's frame."""

    members: tuple[int, ...]
    at: np.ndarray
    """(k, 3) [m]."""
    yaw: np.ndarray
    """(k,) [rad]."""
    radius: float


def arrange(objects: tuple[SampleObject, ...], layout: Layout, with_sheet: bool, key: Key) -> Placement:
    """Place everything with at least `GAP_M` between the circles around objects, closer only where they would not fit.

    Every unit of objects in contact keeps that distance from all others. Raises `InputError` when nothing fits, or when
    no object can stand on another one of a stacked layout.
    """
    units, contacts = _units(objects, layout, key.child("contacts"))
    for k, (gap, region) in enumerate(((GAP_M, REGION_M), *CROWDED)):
        found = _arrange(units, len(objects), with_sheet, key if k == 0 else key.child("crowded", k), gap, region)
        if found is not None:
            return Placement(T_world_object=found[0], T_world_sheet=found[1], contacts=contacts, spread=region[0] / REGION_M[0])
    raise InputError(f"{len(objects)} objects do not fit on the sample's table.", hint="Name fewer objects.")


def _arrange(
    units: Sequence[_Unit], n: int, with_sheet: bool, key: Key, gap: float, region: tuple[float, float]
) -> tuple[Pose, Pose | None] | None:
    sheet_r = float(np.hypot(*sheet.PAGE_M) / 2)
    order = np.argsort([-u.radius for u in units], kind="stable")
    for attempt in range(400 if gap == GAP_M and len(units) < 10 else 60):
        rng = key.child("attempt", attempt).rng()
        placed: list[tuple[float, float, float]] = []
        sheet_yaw = float(rng.uniform(0, 2 * np.pi))
        sheet_at = np.zeros(2)
        if with_sheet:
            a = rng.uniform(0, 2 * np.pi)
            sheet_at = np.array([np.cos(a), np.sin(a)]) * (0.17, 0.14)
            placed.append((*sheet_at, sheet_r - gap + 0.008))
        xy = np.zeros((len(units), 2))
        for k in order:
            r = units[k].radius
            for _ in range(200):
                a, q = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform())
                p = q * np.cos(a) * region[0], q * np.sin(a) * region[1]
                if all(np.hypot(p[0] - x, p[1] - y) >= r + s + gap for x, y, s in placed):
                    placed.append((*p, r))
                    xy[k] = p
                    break
            else:
                break
        else:
            yaw = rng.uniform(0, 2 * np.pi, len(units))
            at, turned = np.zeros((n, 3)), np.zeros(n)
            for k, u in enumerate(units):
                c, s = np.cos(yaw[k]), np.sin(yaw[k])
                local = u.at @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]).T
                at[list(u.members)] = local + [*xy[k], 0.0]
                turned[list(u.members)] = u.yaw + yaw[k]
            q_wxyz = np.stack([np.cos(turned / 2), 0 * turned, 0 * turned, np.sin(turned / 2)], 1)
            page = np.array([*sheet_at, 0.0004])
            return Pose(at, q_wxyz), Pose.from_xyz_yaw(page, sheet_yaw) if with_sheet else None
    return None


def _single(objects: Sequence[SampleObject], k: int) -> _Unit:
    return _Unit(members=(k,), at=np.zeros((1, 3)), yaw=np.zeros(1), radius=objects[k].footprint_m)


def _units(objects: tuple[SampleObject, ...], layout: Layout, key: Key) -> tuple[list[_Unit], tuple[Contact, ...]]:
    pairs: list[_Unit] = []
    contacts: list[Contact] = []
    if layout == "touching":
        order = key.child("order").rng().permutation(len(objects))
        for i in range(max(1, len(objects) // 3)):
            if 2 * i + 1 < len(order):
                a, b = int(order[2 * i]), int(order[2 * i + 1])
                pairs.append(_side_by_side(objects, a, b, key.child("pair", i)))
                contacts.append(Contact(kind="touches", first=objects[a].name, second=objects[b].name))
    if layout == "stacked":
        for i in range(max(1, len(objects) // 7)):
            unit = _on_top(objects, {m for u in pairs for m in u.members}, key.child("stack", i))
            if unit is None:
                break
            pairs.append(unit)
            contacts.append(Contact(kind="stands_on", first=objects[unit.members[1]].name, second=objects[unit.members[0]].name))
    if layout != "apart" and not pairs:
        raise InputError(f"No two of the {len(objects)} sample objects make a {layout} layout.", hint="Name book and can, too.")
    used = {m for u in pairs for m in u.members}
    units = [*pairs, *(_single(objects, k) for k in range(len(objects)) if k not in used)]
    return sorted(units, key=lambda u: min(u.members)), tuple(contacts)


def _on_top(objects: Sequence[SampleObject], used: set[int], key: Key) -> _Unit | None:
    """The widest free flat top, and the object with the widest foot that fits on it."""
    best: tuple[float, float, int, int] | None = None
    for base, o in enumerate(objects):
        if o.flat_top_m is None or base in used:
            continue
        for top, p in enumerate(objects):
            if top == base or top in used:
                continue
            on_table = p.shape.vertices[p.shape.vertices[:, 2] < 1e-6, :2]
            foot = np.ptp(on_table, axis=0)
            wide = np.ptp(p.shape.vertices[:, :2], axis=0)
            if (foot <= o.flat_top_m).all() and (wide <= 1.1 * np.asarray(o.flat_top_m)).all():  # the lower one stays in sight
                score = (float(np.prod(o.flat_top_m)), float(foot.min()), -base, -top)
                best = score if best is None else max(best, score)
    if best is None:
        return None
    base, top = -best[2], -best[3]
    room = (np.asarray(objects[base].flat_top_m) - np.ptp(objects[top].shape.vertices[objects[top].shape.vertices[:, 2] < 1e-6, :2], axis=0)) / 2
    shift = key.rng().uniform(-0.6, 0.6, 2) * room
    at = np.array([[0, 0, 0], [*shift, objects[base].extents_m[2]]])
    radius = max(objects[base].footprint_m, objects[top].footprint_m + float(np.hypot(*shift)))
    return _Unit(members=(base, top), at=at, yaw=np.zeros(2), radius=radius)


def _side_by_side(objects: Sequence[SampleObject], a: int, b: int, key: Key) -> _Unit:
    """`b` slid along a random direction until it touches `a`, and both turned at random."""
    rng = key.rng()
    yaw = rng.uniform(0, 2 * np.pi, 2)
    first, second = (_manifold(_turned(objects[k].shape, y)) for k, y in zip((a, b), yaw))
    away = objects[a].footprint_m + objects[b].footprint_m + 0.005
    # slid by the gap until there is none: never through
    while True:
        left = away
        for _ in range(400):
            gap = float(first.min_gap(second.translate((left, 0, 0)), 0.5))
            if gap < 2 * CONTACT_M or left <= 0:
                break
            left -= max(gap - CONTACT_M, 0.0)
        if left > 0.005:
            break
        away += 0.01
    middle = 0.5 * (left + objects[b].footprint_m - objects[a].footprint_m)
    radius = 0.5 * (left + objects[b].footprint_m + objects[a].footprint_m)
    at = np.array([[-middle, 0, 0], [left - middle, 0, 0]])
    return _Unit(members=(a, b), at=at, yaw=yaw, radius=radius)


def _turned(shape: Shape, yaw: float) -> Shape:
    c, s = np.cos(yaw), np.sin(yaw)
    R = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    return Shape(vertices=shape.vertices @ R.T, faces=shape.faces, normals=shape.normals @ R.T, uv=shape.uv)


def _manifold(shape: Shape) -> Any:
    import manifold3d
    import trimesh

    m = trimesh.Trimesh(shape.vertices, shape.faces, process=False)
    m.merge_vertices(merge_tex=True, merge_norm=True, digits_vertex=7)
    return manifold3d.Manifold(manifold3d.Mesh(np.asarray(m.vertices, np.float32), np.asarray(m.faces, np.uint32)))
