"""Convex parts of a vessel on purpose: its wall in sectors, its bottom, and what is left, such as a handle.

A general decomposition cuts a mug with planes that leave slanted chunks in its hollow; sectors around the hollow leave it free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

LEVELS = 24
"""Heights at which a body is cut to look for its hollow."""
DEEP, WIDE = 0.2, 0.1
"""Least depth of a hollow relative to the body's height, and least area at its widest relative to the body's outline."""
AROUND = 96
"""Directions around the hollow's middle in which sectors may meet."""
MOST = 95
"""Percentile of the wall's thickness beyond which it is no wall."""
MIDDLE = 0.2
"""How far from a wall, relative to the hollow's width, what stands in the hollow is not taken for a part of the wall."""
OVERLAP_M = 3e-4
"""How far sectors reach into each other, so that nothing is caught between them [m]."""
BUMP = 3.0
"""What reaches out of the wall by no more than so many errors is a bump of it, not a handle."""
SLACK = 0.25
"""Share of the error that the wall may be cut off at its inside."""


@dataclass(frozen=True, kw_only=True)
class Hollow:
    """What a body holds when it stands upright."""

    sections: tuple[Any, ...]
    """`manifold3d.CrossSection` of the hollow from the lowest level to the highest."""
    z: np.ndarray
    """(n,) heights of the sections [m]."""
    step: float
    """[m] from one level to the next."""

    @property
    def volume_m3(self) -> float:
        return self.step * sum(float(s.area()) for s in self.sections)

    @property
    def corners(self) -> np.ndarray:
        """(n, 3) the sections' corners [m]."""
        return np.concatenate([np.column_stack([p, np.full(len(p), h)]) for s, h in zip(self.sections, self.z) for p in s.to_polygons()])


def hollow_of(body: Any) -> Hollow | None:
    """The largest hollow of a `manifold3d.Manifold` that is open at its top: what its level sections enclose, connected upwards.

    A ring's counts, which has no floor. None where there is no deep and wide one.
    """
    import manifold3d

    low, high = body.bounding_box()[2], body.bounding_box()[5]
    step = (high - low) / LEVELS
    z = low + step * (np.arange(LEVELS) + 0.5)
    inside = [_enclosed(body.slice(float(h))) for h in z]
    best: Hollow | None = None
    for top in range(LEVELS - 1, 0, -1):
        lid = body.trim_by_plane((0.0, 0.0, 1.0), float(z[top])).project()
        for mouth in inside[top]:
            if (mouth ^ lid).area() > 0.3 * mouth.area():
                continue
            chain = [mouth]
            for k in range(top - 1, -1, -1):
                met = [s for s in inside[k] if not (s ^ chain[-1]).is_empty()]
                if not met:
                    break
                chain.append(manifold3d.CrossSection.batch_boolean(met, manifold3d.OpType.Add))
            found = Hollow(sections=tuple(chain[::-1]), z=z[top + 1 - len(chain) : top + 1], step=step)
            if best is None or found.volume_m3 > best.volume_m3:
                best = found
    outline = float(body.project().hull().area())
    if best is None or len(best.z) < DEEP * LEVELS or max(s.area() for s in best.sections) < WIDE * outline:
        return None
    return best


def _enclosed(section: Any) -> list[Any]:
    """What a `manifold3d.CrossSection` encloses without covering it."""
    import manifold3d

    holes = [p[::-1] for p in section.to_polygons() if _area(p) < 0]
    return [c for p in holes for c in (manifold3d.CrossSection([p]) - section).decompose()]


def _area(p: np.ndarray) -> float:
    x, y = p[:, 0], p[:, 1]
    return float(0.5 * (x * np.roll(y, -1) - y * np.roll(x, -1)).sum())


def vessel_parts(body: Any, hollow: Hollow, rest: Callable[[Any, int], list[Any]], *, error_m: float, most: int) -> list[Any]:
    """Manifolds, each to be replaced by its convex hull, that cover a `manifold3d.Manifold` to `error_m` [m] around its `hollow`.

    As few sectors of the wall as leave no more than `error_m` of the hollow behind their flat insides. What reaches no farther than
    that into the hollow, such as a fillet, is left out: it would tilt a sector's inside. `rest(part, n)` splits what is neither
    wall nor bottom into n at most: a handle, and what stands in the middle of the hollow. With `most` parts, or one for each of these.
    """
    import manifold3d

    corners = hollow.corners
    low, high = body.bounding_box()[2] - 0.01, body.bounding_box()[5] + 0.01
    beyond = _thickness(body, hollow)
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = beyond / np.cos(np.pi / 24) * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    top = corners[corners[:, 2] == hollow.z[-1]] * [1, 1, 0] + [0, 0, high]
    foot = corners[corners[:, 2] == hollow.z[0]] * [1, 1, 0] + [0, 0, low]
    around = np.concatenate([corners, top, foot])
    shell = manifold3d.Manifold.hull_points((around[:, None] + ring).reshape(-1, 3))
    inner = _shrunk(around, SLACK * error_m)
    planes = _planes(shell)
    beside = [(_depth(p, planes), p) for p in (body - shell).decompose()]
    vessel = manifold3d.Manifold.batch_boolean([body ^ shell, *(p for d, p in beside if error_m < d <= BUMP * error_m)], manifold3d.OpType.Add)

    floor = _floor(vessel, inner, hollow)
    above = vessel.trim_by_plane((0.0, 0.0, 1.0), floor)
    lumps = above ^ _shrunk(around, error_m).trim_by_plane((0.0, 0.0, 1.0), floor + error_m)
    middle = _shrunk(around, max(error_m, MIDDLE * float(np.ptp(corners[:, :2], axis=0).min())))
    wall = (above - inner) + (lumps - middle)
    outline = manifold3d.CrossSection.hull_points(corners[:, :2])
    parts = [vessel.trim_by_plane((0.0, 0.0, -1.0), -floor), *(wall ^ w for w in _wedges(outline, error_m, low, high))]
    parts = [p for p in parts if p.volume() > 1e-6 * body.volume()]
    others = [p for d, p in beside if d > BUMP * error_m] + (lumps ^ middle).decompose()
    others = sorted((p for p in others if p.volume() > 1e-4 * body.volume()), key=lambda p: -p.volume())
    for k, p in enumerate(others):
        parts += rest(p, max(1, most - len(parts) - (len(others) - k - 1)))
    return parts


def _shrunk(points: np.ndarray, by: float) -> Any:
    """The convex hull of points (n, 3) with its sides moved inwards [m], as a `manifold3d.Manifold`: empty where nothing is left."""
    import manifold3d
    from scipy.optimize import linprog
    from scipy.spatial import ConvexHull, HalfspaceIntersection

    planes = ConvexHull(points).equations
    planes[:, 3] += by * np.hypot(planes[:, 0], planes[:, 1])  # a lid and a floor stay where they are
    deepest = linprog([0, 0, 0, -1], A_ub=np.column_stack([planes[:, :3], np.ones(len(planes))]), b_ub=-planes[:, 3], bounds=[(None, None)] * 4)
    if not deepest.success or deepest.x[3] < 1e-6:
        return manifold3d.Manifold()
    return manifold3d.Manifold.hull_points(HalfspaceIntersection(planes, deepest.x[:3]).intersections)


def _depth(part: Any, planes: np.ndarray) -> float:
    """How far [m] a manifold reaches outside of `planes` (n, 4)."""
    v = np.asarray(part.to_mesh().vert_properties[:, :3], float)
    return float((v @ planes[:, :3].T + planes[:, 3]).max())


def _thickness(body: Any, hollow: Hollow) -> float:
    """How far [m] the body's wall reaches beyond the convex outline of its `hollow`, in most directions and at most levels."""
    at = 2 * np.pi * np.arange(AROUND) / AROUND
    ray = np.stack([np.cos(at), np.sin(at)], axis=1)
    found = []
    for section, h in zip(hollow.sections, hollow.z):
        p = section.hull().to_polygons()[0]
        middle = _centroid(p)
        reach, least = _reach(p - middle, ray), np.full(AROUND, np.inf)
        for q in body.slice(float(h)).to_polygons():
            a, side = q - middle, np.roll(q, -1, axis=0) - q
            leaves = ray[:, :1] * side[:, 1] - ray[:, 1:] * side[:, 0]
            leaves = np.where(np.abs(leaves) < 1e-15, 1e-15, leaves)
            r, t = (a[:, 0] * side[:, 1] - a[:, 1] * side[:, 0]) / leaves, (a[:, 0] * ray[:, 1:] - a[:, 1] * ray[:, :1]) / leaves
            crosses = (leaves > 0) & (t >= 0) & (t <= 1) & (r > reach[:, None])
            least = np.minimum(least, np.where(crosses, r, np.inf).min(axis=1))
        found.append(least - reach)
    return float(np.percentile(np.concatenate(found), MOST))


def _floor(vessel: Any, inner: Any, hollow: Hollow) -> float:
    """Height [m] up to which half of what is `inner` is filled; the vessel's lowest point where nothing closes it."""
    low = float(vessel.bounding_box()[2])
    for h in low + hollow.step / 8 * np.arange(8 * LEVELS):
        core = inner.slice(float(h))
        if (vessel.slice(float(h)) ^ core).area() < 0.5 * core.area():
            return float(h)
    return low


def _wedges(outline: Any, error_m: float, low: float, high: float) -> list[Any]:
    """Upright wedges from the middle of a convex outline, as few as there can be with chords `error_m` from it at most, and these as equal as can be."""
    import manifold3d

    p = outline.to_polygons()[0]
    middle = p.mean(axis=0) if len(p) < 3 else _centroid(p)
    at = 2 * np.pi * np.arange(AROUND) / AROUND
    ray = np.stack([np.cos(at), np.sin(at)], axis=1)
    on = middle + ray * _reach(p - middle, ray)[:, None]
    sag = np.full((AROUND, AROUND // 2), np.inf)  # of the arc that begins at i and takes n steps
    sag[:, :2] = 0
    for n in range(2, AROUND // 2):
        chord = np.roll(on, -n, axis=0) - on
        between = np.stack([np.roll(on, -m, axis=0) for m in range(1, n)]) - on
        off = np.abs(chord[:, 0] * between[..., 1] - chord[:, 1] * between[..., 0])
        sag[:, n] = off.max(axis=0) / np.maximum(np.linalg.norm(chord, axis=1), 1e-12)
    few = min((_around(sag, error_m, i) for i in range(AROUND)), key=len)
    limits = np.unique(sag[sag <= error_m])
    a, b = 0, len(limits) - 1
    while a < b:
        some = [_around(sag, float(limits[(a + b) // 2]), i) for i in range(AROUND)]
        better = [s for s in some if len(s) <= len(few)]
        if better:
            few, b = better[0], (a + b) // 2
        else:
            a = (a + b) // 2 + 1
    far = 2 * float(np.linalg.norm(p - middle, axis=1).max()) + (high - low)
    wedges = []
    for i, j in zip(few, [*few[1:], few[0] + AROUND]):
        between = at[np.arange(i, j + 1) % AROUND]
        corner = np.vstack([middle, middle + far * np.stack([np.cos(between), np.sin(between)], axis=1)])
        wedges.append(manifold3d.Manifold.extrude(manifold3d.CrossSection([corner]).offset(OVERLAP_M), high - low).translate((0, 0, low)))
    return wedges


def _around(sag: np.ndarray, limit: float, start: int) -> list[int]:
    """Where arcs begin that go around from `start`, each as far as its chord stays within `limit`; what is longer is the last one's."""
    steps = np.maximum(1, (sag <= limit).cumprod(axis=1).sum(axis=1) - 1)
    out = [start]
    while out[-1] + steps[out[-1] % AROUND] < start + AROUND:
        out.append(int(out[-1] + steps[out[-1] % AROUND]))
    return out


def _centroid(p: np.ndarray) -> np.ndarray:
    q = np.roll(p, -1, axis=0)
    w = p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]
    return np.asarray(((p + q) * w[:, None]).sum(axis=0) / (3 * w.sum()))


def _reach(p: np.ndarray, ray: np.ndarray) -> np.ndarray:
    """(k,) how far rays (k, 2) from the origin go in the convex polygon (n, 2) around it, counter-clockwise."""
    side = np.roll(p, -1, axis=0) - p
    out = np.stack([side[:, 1], -side[:, 0]], axis=1)
    gain = ray @ out.T
    return np.asarray(np.where(gain > 1e-12, (p * out).sum(axis=1) / np.maximum(gain, 1e-12), np.inf).min(axis=1))


def _planes(convex: Any) -> np.ndarray:
    """(n, 4) outward unit normal and offset of a convex manifold's faces: positive outside."""
    from scipy.spatial import ConvexHull

    return np.asarray(ConvexHull(np.asarray(convex.to_mesh().vert_properties[:, :3], float)).equations)
