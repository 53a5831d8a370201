"""Mass, centre of mass and inertia as posteriors: many bodies that the evidence allows, each integrated over the mesh.

A draw takes a density, a way of being made and an error of the shape, and weighs the body so made. The interval of every
quantity is the middle 95% of the draws; the value of inertia and centre of mass is that of the mean body, so that all
values belong to one body that can exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from phone2sim.assets.materials import Material
from phone2sim.assets.scene import Inertia
from phone2sim.intervals import Interval
from phone2sim.keys import Key

DRAWS = 256
CENTRAL = 0.95
"""Share of the draws that an interval holds."""
SAMPLES = 30_000
"""Points of the grid that fills a body's box."""
SHAPE = 0.04
"""Relative error (1 sigma) of a volume that was seen all around; what was not seen adds `UNSEEN` times its share."""
UNSEEN = 0.15
RESTING_M = 5e-4
"""Height above the lowest point up to which a face that looks down lies on the support."""
WALLS = 0.12
"""Relative error (1 sigma) of the area of a vessel's wall, taken from the convex hull without its lid."""


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """A body's mass properties, in the frame of its mesh."""

    mass_kg: Interval
    inertia: Inertia


@dataclass(frozen=True, kw_only=True)
class Body:
    """A closed mesh, ready to be weighed in many ways."""

    mesh: Any
    """`trimesh.Trimesh`, closed [m]."""
    volume: float
    """[m³]."""
    area: float
    """[m²]."""
    free_area: float
    """Without what lies on the support [m²]: as high as that is, the body begins."""
    depth: np.ndarray
    """(n,) below the surface [m] of points spread evenly inside, from the lowest to the highest."""
    sorted_depth: np.ndarray
    """(n,) the same, ascending."""
    depth_open: np.ndarray
    """(n,) below the surface without its lid, the faces that look up near the top [m]."""
    features: np.ndarray
    """(n, 10) of each point p about `center`: 1, p, and its squares xx, yy, zz, xy, xz, yz."""
    center: np.ndarray
    """(3,) centre of mass when filled evenly [m]."""
    moments: np.ndarray
    """(3, 3) inertia about it per kilogram [m²]."""
    wall_area: float
    """Of the sides and the bottom of an open vessel with this outline [m²]."""

    @classmethod
    def of(cls, mesh: Any, *, samples: int = SAMPLES) -> Body:
        """Sample a closed `trimesh.Trimesh` in its own frame, z up."""
        from phone2sim.libraries import load_open3d

        o3d = load_open3d()
        tensor: Any = o3d.core.Tensor
        v, f = np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.uint32)

        def scene(faces: np.ndarray) -> Any:
            s = o3d.t.geometry.RaycastingScene()
            s.add_triangles(tensor(v), tensor(np.ascontiguousarray(faces)))
            return s

        low, high = v.min(axis=0).astype(float), v.max(axis=0).astype(float)
        step = float(np.prod(high - low) / samples) ** (1 / 3)
        counts = np.maximum(np.ceil((high - low) / step).astype(int), 4)
        cells = np.stack(np.unravel_index(np.arange(int(np.prod(counts))), counts), axis=1)
        grid = low + (high - low) * (cells + Key(0).child("body").rng().uniform(size=cells.shape)) / counts
        closed = scene(f)
        query = tensor(grid.astype(np.float32))
        inside = closed.compute_occupancy(query).numpy() > 0.5
        points = grid[inside]
        depth = closed.compute_distance(tensor(points.astype(np.float32))).numpy().astype(float)
        middle, normal = np.asarray(mesh.triangles).mean(axis=1), np.asarray(mesh.face_normals)
        lid = (normal[:, 2] > 0.7) & (middle[:, 2] > high[2] - 0.15 * (high[2] - low[2]))
        depth_open = depth if lid.all() else scene(f[~lid]).compute_distance(tensor(points.astype(np.float32))).numpy().astype(float)
        hull = mesh.convex_hull
        wall = float(hull.area_faces[np.asarray(hull.face_normals)[:, 2] <= 0.7].sum())
        even = inertia(mesh, 1.0)
        resting = (normal[:, 2] < -0.9) & (np.asarray(mesh.triangles)[:, :, 2].max(axis=1) < low[2] + RESTING_M)
        rows = np.argsort(points[:, 2])  # from the lowest up, for contents
        points, depth, depth_open = points[rows], depth[rows], depth_open[rows]
        x, y, z = (points - even.center_of_mass).T
        features = np.stack([np.ones(len(points)), x, y, z, x * x, y * y, z * z, x * y, x * z, y * z], axis=1)
        return cls(
            mesh=mesh, volume=float(mesh.volume), area=float(mesh.area), free_area=float(mesh.area_faces[~resting].sum()), depth=depth,
            depth_open=depth_open, features=features, center=even.center_of_mass, moments=even.moments, wall_area=wall, sorted_depth=np.sort(depth),
        )  # fmt: skip

    @property
    def thickness_m(self) -> float:
        """Twice the volume over the area: the wall of a thin thing, about two thirds of the radius of a ball."""
        return 2 * self.volume / self.area

    def outermost(self, share: float) -> np.ndarray:
        """(n,) bool: the points nearest to the surface that make up `share` of the volume."""
        return np.asarray(self.depth <= self.sorted_depth[min(int(share * len(self.depth)), len(self.depth) - 1)])


@dataclass(frozen=True, kw_only=True)
class Belief:
    """Materials that the evidence allows, each with its weight, and what it rests on."""

    materials: tuple[tuple[Material, float], ...]
    why: str = ""

    @classmethod
    def sure(cls, kind: Material, why: str = "") -> Belief:
        return cls(materials=((kind, 1.0),), why=why)

    @property
    def best(self) -> Material:
        return max(self.materials, key=lambda m: m[1])[0]


def weigh(
    body: Body, belief: Belief, *, surface_m: float, seen: float = 1.0, scale: tuple[float, float] = (1.0, 1.0), known: Interval | None = None,
    draws: int = DRAWS,
) -> Weighed:  # fmt: skip
    """Mass, centre of mass and inertia of `body` under what is believed of its material and make.

    `surface_m`: how far off its surface is [m] (1 sigma, the same everywhere but where it lies on the support); `seen`: share of it that some camera saw;
    `scale`: factors (low, high) between which true lengths lie, relative to reported ones; `known`: a mass [kg] that was
    measured, to which every draw's distribution of mass is scaled.
    """
    u = _hypercube(draws, 9)
    kinds, weights = [m for m, _ in belief.materials], np.array([w for _, w in belief.materials])
    which = np.searchsorted(np.cumsum(weights / weights.sum()), u[:, 0], side="right").clip(0, len(kinds) - 1)
    volume = body.volume
    spread = np.hypot(SHAPE + UNSEEN * (1 - seen), surface_m * body.free_area / volume)
    true_volume = volume * np.exp(spread * _normal(u[:, 1]))
    size = scale[0] * (scale[1] / scale[0]) ** u[:, 2]
    most = volume * float(np.exp(2 * spread))
    parts = [_made(body, kinds[k], float(v), most, x) for k, v, x in zip(which, true_volume, u[:, 3:8])]
    mass = np.array([p.mass for p in parts]) * size**3
    centre = np.array([p.centre for p in parts])
    moments = np.array([p.moments for p in parts]) * size[:, None, None] ** 5
    tail = (1 - CENTRAL) / 2
    if known is None:
        low, value, high = (float(x) for x in np.quantile(mass, [tail, 0.5, 1 - tail]))
        said = Interval(value=value, low=low, high=high, why=f"{belief.why}: {_what(volume, belief)}" if belief.why else _what(volume, belief))
    else:
        moments *= ((known.low + (known.high - known.low) * u[:, 8]) / mass)[:, None, None]
        mass, said = known.low + (known.high - known.low) * u[:, 8], known
    centre_of_all, moments_of_all = _mean(mass, centre, moments)
    moments_of_all *= said.value / float(mass.mean())
    ends = [np.quantile(x, [tail, 1 - tail], axis=0) for x in (centre, moments)]
    found = Inertia(
        center_of_mass=centre_of_all, moments=moments_of_all,
        center_low=np.minimum(ends[0][0], centre_of_all), center_high=np.maximum(ends[0][1], centre_of_all),
        moments_low=np.minimum(ends[1][0], moments_of_all), moments_high=np.maximum(ends[1][1], moments_of_all),
        why=f"{CENTRAL:.0%} of {draws} bodies of {_how(belief.best)}",
    )  # fmt: skip
    return Weighed(mass_kg=said, inertia=found)


def inertia(mesh: Any, mass_kg: float) -> Inertia:
    """Of a closed `trimesh.Trimesh` filled evenly, scaled to `mass_kg`; about its centre of mass, in its own frame."""
    m = mesh.copy()
    m.density = 1.0
    moments = np.asarray(m.moment_inertia, np.float64) * (mass_kg / m.volume)
    return Inertia(center_of_mass=np.asarray(m.center_mass, np.float64), moments=(moments + moments.T) / 2)


@dataclass(frozen=True)
class _Part:
    mass: float
    centre: np.ndarray
    moments: np.ndarray


def _made(body: Body, kind: Material, volume: float, most: float, u: np.ndarray) -> _Part:
    """One body of `volume` and at the very `most` [m³] as such things are made; `u` (5,) uniform draws."""
    density = _between(kind.density, u[0], kind.typical)
    if kind.build == "anyhow":
        return _anyhow(body, density * volume, u)
    if kind.build == "fill":
        fill = _between(kind.fill, u[1])
        # Material that fills a part lies even throughout (foam, a stack) or outermost (a housing).
        if fill > 0.98 or u[2] < 0.5:
            return _even(body, density * fill * volume)
        return _of_points(body, body.outermost(fill), density * fill * volume)
    wall = _between(kind.wall_m, u[1])
    near = max(wall, _step(body))
    if kind.build == "vessel":
        # A wall as thick as such things have it, but never more material than there was seen to be.
        area = body.wall_area * np.exp(WALLS * float(_normal(u[2])))
        return _of_points(body, body.depth_open <= near, density * min(wall * area, most))
    inside = body.depth > near
    shell = volume * float(1 - inside.mean()) * min(1.0, wall / near)
    weights = np.where(inside, 0.0, density * shell / max(int((~inside).sum()), 1))
    rows = np.flatnonzero(inside)
    if len(rows):
        level = kind.level[0] + (kind.level[1] - kind.level[0]) * u[4]
        filled = rows[: max(1, int(level * len(rows)))]
        weights[filled] += _between(kind.content, u[3]) * (volume - shell) * level / len(filled)
    return _of_points(body, weights, float(weights.sum()))


def _anyhow(body: Body, mass: float, u: np.ndarray) -> _Part:
    """Nothing is known of the inside: filled evenly, hollow with a wall, or filled up to some height."""
    if u[2] < 1 / 3:
        return _even(body, mass)
    if u[2] < 2 / 3:
        return _of_points(body, body.outermost(0.05 + 0.95 * u[3]), mass)
    return _of_points(body, np.arange(len(body.depth)) < (0.3 + 0.7 * u[3]) * len(body.depth), mass)


def _even(body: Body, mass: float) -> _Part:
    return _Part(mass, body.center, mass * body.moments)


def _of_points(body: Body, weights: np.ndarray, mass: float) -> _Part:
    """A body of `mass` spread over the sampled points in proportion to `weights` (n,)."""
    total, *f = np.asarray(weights, float) @ body.features
    c = np.array(f[:3]) / total
    xx, yy, zz, xy, xz, yz = np.array(f[3:]) / total
    second = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) - np.outer(c, c)
    return _Part(mass, body.center + c, mass * (np.trace(second) * np.eye(3) - second))


def _step(body: Body) -> float:
    """Depth [m] above which the sampled points say how much of the body lies outside of it."""
    return 1.2 * float(body.volume / max(len(body.depth), 1)) ** (1 / 3)


def _mean(mass: np.ndarray, centre: np.ndarray, moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre of mass, and inertia about it, of the average of all draws' mass distributions; also a body that can exist."""
    c = mass @ centre / mass.sum()
    d = centre - c
    shift = np.einsum("n,nk,nk->n", mass, d, d)[:, None, None] * np.eye(3) - mass[:, None, None] * d[:, :, None] * d[:, None, :]
    return c, (moments + shift).mean(axis=0)


def _between(ends: Sequence[float], u: float, middle: float | None = None) -> float:
    """A draw even in the logarithm between the ends; with `middle`, half of the draws below it and half above."""
    low, high = ends
    if middle is not None:
        low, high, u = (low, middle, 2 * u) if u < 0.5 else (middle, high, 2 * u - 1)
    return float(low * (high / low) ** u)


def _normal(u: Any) -> Any:
    from scipy.special import ndtri

    return ndtri(np.clip(u, 1e-6, 1 - 1e-6))


def _hypercube(n: int, dims: int) -> np.ndarray:
    """(n, dims) draws in 0–1, each dimension stratified (McKay et al. 1979): the same every time."""
    rng = Key(0).child("posterior").rng()
    return np.stack([(rng.permutation(n) + rng.uniform(size=n)) / n for _ in range(dims)], axis=1)


def _what(volume: float, belief: Belief) -> str:
    best = belief.best
    others = sorted({m.label for m, _ in belief.materials} - {best.label})
    end = f" or {', '.join(others)}" if others else f" ({best.source})"
    return f"{volume * 1e6:.0f} cm3 of {best.label}, {_how(best)}{end}"


def _how(kind: Material) -> str:
    """`2200-2500 kg/m3, an open wall of 2.5-5.5 mm`."""
    density = f"{kind.density[0]:.0f}-{kind.density[1]:.0f} kg/m3"
    wall = f"{1000 * kind.wall_m[0]:.3g}-{1000 * kind.wall_m[1]:.3g} mm"
    if kind.build == "vessel":
        return f"{density}, an open wall of {wall}"
    if kind.build == "container":
        return f"{density}, a wall of {wall}, {kind.level[0]:.0%}-{kind.level[1]:.0%} filled with {kind.content[0]:.0f}-{kind.content[1]:.0f} kg/m3"
    if kind.build == "anyhow":
        return f"{density} of its volume, typically {kind.typical:.0f}"
    return density if kind.fill[0] >= 1 else f"{density}, {kind.fill[0]:.0%}-{kind.fill[1]:.0%} of the volume"
