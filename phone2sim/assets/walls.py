"""How thick a vessel's wall is: the photos agree on the pattern of its inside only where it is drawn at its place.

The depth of a splat errs by as much as a wall is thick, and differently on its two sides. So the wall's outside is taken from the
outlines, and its inside is laid behind it, all around, at the one distance at which the photos agree best.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from phone2sim.assets.cavity import FOOT
from phone2sim.assets.mesh import TexturedMesh
from phone2sim.assets.profile import AROUND, Profile, profile_of
from phone2sim.assets.solid import Solid
from phone2sim.assets.views import View

STEP = 0.25
"""Tried thicknesses differ by so many voxels."""
THINNEST, THICKEST = 1.0, 1.5
"""From so many voxels to so many more than the wall has now, but no more than a quarter of the hollow's radius more."""
FACING = 0.3
"""Least cosine between a surface's normal and the line of sight of a view that counts."""
TELLS = 1.5
"""The photos tell a place where their variance there is so many times less than `BESIDE` voxels to either side,"""
BESIDE = 1.0
PAIRS = 200
"""with so many pairs of a point and a view that sees it,"""
ROUND = 0.7
"""and in this share of all directions: where only one side is seen, the wall's thickness and its outside's error are the same thing."""
BETTER = 1.05
"""An inside that was seen stays, unless their variance on it is so many times more."""
FILLET = 0.15
"""Share of the hollow's depth over its floor in which floor and wall may be rounded into each other."""
MIDDLE = 0.6
"""Share of the hollow's radius in which its floor is looked at."""
WAY = np.linspace(0, 1, 17)[1:]
"""Where on the way from a point of the inside up to the rim it is asked whether the wall stands before it."""


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What the photos show at points that are tried at several places each."""

    spread: np.ndarray
    """(n, tried) sum of squared differences from the mean over views [grey²]."""
    pairs: np.ndarray
    """(n,) views that count, those that look at a slant less."""


def walled(mesh: Any, solid: Solid, views: list[View], masks: list[np.ndarray], *, voxel: float) -> Any:
    """The watertight `trimesh.Trimesh` of a vessel (world frame) with the inside of its wall where the photos agree on it, and its
    floor, or, where they do not show that, a floor of as many walls as `solid` was given where it saw none.

    `masks` are (h, w) bool per view. Anything else, and what the photos do not tell, is returned as it is.
    """
    import trimesh

    profile = profile_of(mesh)
    if profile is None:
        return mesh
    wall = _wall(profile, views, masks, voxel)
    if wall is None:
        return mesh
    inside = _laid(profile, wall, voxel)
    vertices = _warped(np.asarray(mesh.vertices, float), profile, inside)
    now = float(profile.floor)
    floor = _floor(replace(profile, inner=inside), views, masks, level=solid.level, voxel=voxel)
    if floor is None and _floor_inferred(solid, profile):
        floor = solid.level + FOOT * wall
    if floor is not None:
        vertices[:, 2] = _sunk(vertices, replace(profile, inner=inside), now, floor, solid.level)
    out = trimesh.Trimesh(vertices, mesh.faces, process=False)
    return out if TexturedMesh(vertices=out.vertices, faces=out.faces).welded().is_volume else mesh


def _wall(profile: Profile, views: list[View], masks: list[np.ndarray], voxel: float) -> float | None:
    """The wall's thickness [m] at which the photos agree best on its inside; None where they do not tell."""
    rows = np.flatnonzero((profile.z > profile.floor + FILLET * profile.depth) & (profile.z < profile.z[-1] - 2 * voxel))
    now = np.median(profile.outer - profile.inner, axis=1) / np.median(profile.slant, axis=1)
    most = float(np.median(now[rows])) + min(THICKEST * voxel, 0.25 * float(np.median(profile.inner)))
    tried = np.arange(THINNEST * voxel, most + STEP * voxel, STEP * voxel)
    if len(rows) < 3 or len(tried) < 5:
        return None
    tables = [profile.outer - w * profile.slant for w in tried]
    at = np.stack([profile.points(t)[rows] for t in (*tables, profile.inner)], axis=2).reshape(-1, len(tried) + 1, 3)
    seen = _look(at, profile.normals[rows].reshape(-1, 3), len(tried) - 1, tables[-1], profile, views, masks)
    if np.mean(seen.pairs.reshape(len(rows), -1).sum(axis=0) > 0) < ROUND:
        return None
    cost = seen.spread.sum(axis=0)
    best = _lowest(cost[:-1], float(seen.pairs.sum()))
    if best is None or cost[-1] < BETTER * cost[:-1].min():
        return None
    return float(tried[0] + STEP * voxel * best)


def _lowest(cost: np.ndarray, pairs: float) -> float | None:
    """Where along its entries a cost is least, between them; None where that is not told."""
    k, aside = int(cost.argmin()), round(BESIDE / STEP)
    if pairs < PAIRS or k == 0 or k == len(cost) - 1:
        return None
    if min(cost[max(k - aside, 0)], cost[min(k + aside, len(cost) - 1)]) < TELLS * cost[k]:
        return None
    a, b, c = cost[k - 1 : k + 2]
    return k + float(0.5 * (a - c) / max(a - 2 * b + c, 1e-9))


def _look(
    at: np.ndarray, normals: np.ndarray, deepest: int, inner: np.ndarray, profile: Profile, views: list[View], masks: list[np.ndarray]
) -> _Seen:
    """What the photos show at points (n, tried, 3) with normals (n, 3), in the views that see the `deepest` place of each over the rim
    of a hollow as wide as `inner` (HEIGHTS, AROUND)."""
    import cv2

    n, tried = at.shape[:2]
    total, first, second = np.zeros(n), np.zeros((n, tried)), np.zeros((n, tried))
    three, top = np.ones((3, 3), np.uint8), float(profile.z[-1])
    for view, mask in zip(views, masks, strict=True):
        core = cv2.erode(mask.astype(np.uint8), three).ravel() > 0
        way = view.centre - at[:, deepest]
        cosine = (way * normals).sum(axis=1) / np.linalg.norm(way, axis=1)
        rows = np.flatnonzero((cosine > FACING) & (view.centre[2] > top))
        index, _, inside = view.pixels(at[rows].reshape(-1, 3))
        rows = rows[(inside & core[index]).reshape(len(rows), tried).all(axis=1)]
        if not len(rows):
            continue
        rise = (top - at[rows, deepest, 2]) / way[rows, 2]
        q = at[rows, deepest][:, None] + (rise[:, None] * WAY)[..., None] * way[rows][:, None]
        rho, angle = profile.polar(q)
        rows = rows[(rho < profile.at(inner, q[..., 2], angle) + 1e-6).all(axis=1)]
        if not len(rows):
            continue
        value = view.colors(at[rows].reshape(-1, 3)).mean(axis=1).reshape(len(rows), tried).astype(float)
        w = cosine[rows, None]
        total[rows] += w[:, 0]
        first[rows] += w * value
        second[rows] += w * value**2
    ok = total > 1.5
    spread = second - first**2 / np.maximum(total, 1e-9)[:, None]
    return _Seen(spread=np.where(ok[:, None], spread, 0), pairs=np.where(ok, total, 0))


def _laid(profile: Profile, wall: float, voxel: float) -> np.ndarray:
    """(HEIGHTS, AROUND) [m] where the inside of a wall so thick begins; its rim and its foot are rounded as now."""
    inside = profile.even - wall * profile.slant
    rim = profile.z > profile.z[-1] - wall - voxel
    now = (profile.outer - profile.inner) * max(1.0, wall / float(np.median(((profile.outer - profile.inner) / profile.slant)[~rim])))
    inside[rim] = np.maximum(inside, profile.outer - now)[rim]
    foot = int(np.searchsorted(profile.z, profile.floor + FILLET * profile.depth))
    grown = inside[foot] / profile.inner[foot]
    inside[:foot] = np.minimum(profile.inner[:foot] * grown, inside[:foot])
    return np.maximum(inside, 0.1 * profile.inner)


def _warped(vertices: np.ndarray, profile: Profile, inside: np.ndarray) -> np.ndarray:
    """Vertices (n, 3) moved towards or away from the middle line so that what was at `profile.inner` is `inside`; what is
    outside of the wall stays."""
    rho, angle = profile.polar(vertices)
    outer, inner, wanted = (profile.at(t, vertices[:, 2], angle) for t in (profile.outer, profile.inner, inside))
    wanted = np.minimum(wanted, outer - 1e-4)
    within = outer - (outer - rho) * (outer - wanted) / np.maximum(outer - inner, 1e-4)
    to = np.where(rho >= outer, rho, np.where(rho > inner, within, rho * wanted / np.maximum(inner, 1e-4)))
    out = vertices.copy()
    out[:, :2] = profile.middle + (vertices[:, :2] - profile.middle) * (to / np.maximum(rho, 1e-9))[:, None]
    return out


def _floor(profile: Profile, views: list[View], masks: list[np.ndarray], *, level: float, voxel: float) -> float | None:
    """Height [m] at which the photos agree best on the floor; None where they do not tell."""
    tried = np.arange(level + 0.5 * voxel, profile.floor + 3 * voxel, STEP * voxel)
    xy = _disc(profile)
    shape = (len(xy), len(tried))
    at = np.concatenate([np.broadcast_to(xy[:, None], (*shape, 2)), np.broadcast_to(tried[:, None], (*shape, 1))], axis=2)
    seen = _look(at, np.broadcast_to([0.0, 0, 1], (len(xy), 3)), 0, profile.inner, profile, views, masks)
    best = _lowest(seen.spread.sum(axis=0), float(seen.pairs.sum()))
    return None if best is None else float(tried[0] + STEP * voxel * best)


def _disc(profile: Profile) -> np.ndarray:
    """(n, 2) [m] places spread evenly over the middle of the floor."""
    angle, share = np.meshgrid(2 * np.pi * np.arange(0, AROUND, 4) / AROUND, MIDDLE * np.sqrt((np.arange(8) + 0.5) / 8))
    foot = int(np.searchsorted(profile.z, profile.floor + FILLET * profile.depth))
    radius = share * profile.at(profile.inner, np.full(angle.shape, profile.z[foot]), angle)
    return np.asarray(profile.middle + np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).reshape(-1, 2))


def _floor_inferred(solid: Solid, profile: Profile) -> bool:
    """Whether most of what lies just above the floor was not seen to be empty."""
    if solid.emptied is None:
        return False
    above = [profile.floor + k * solid.grid.voxel for k in (1, 2)]
    xy = _disc(profile)
    flat, ok = solid.grid.index(np.concatenate([np.column_stack([xy, np.full(len(xy), z)]) for z in above]))
    return bool((ok & solid.emptied.ravel()[flat]).mean() > 0.5)


def _sunk(vertices: np.ndarray, profile: Profile, now: float, floor: float, level: float) -> np.ndarray:
    """(n,) heights of vertices (n, 3) with the floor at another height, the rim and what is outside of the wall where they are."""
    z, top = vertices[:, 2], float(profile.z[-1])
    to = np.interp(z, [level, now, top], [level, floor, top])
    to = np.where((z > level) & (z < top), to, z)
    rho, angle = profile.polar(vertices)
    outer, inner = (profile.at(t, z, angle) for t in (profile.outer, profile.inner))
    return np.asarray(z + np.clip((outer - rho) / np.maximum(outer - inner, 1e-4), 0, 1) * (to - z))
