"""What no camera of a clip saw of a body: closed by the symmetry that its seen sides show, by a smooth cap where they show none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from phone2sim.assets.cap import smooth_cap
from phone2sim.assets.carving import seen_distance, silhouette_distance
from phone2sim.assets.mirrors import find_evident
from phone2sim.assets.solid import Solid
from phone2sim.assets.symmetry import Field
from phone2sim.assets.views import View
from phone2sim.reconstruct.mesh.fusion import Grid

BACK = 0.02
"""Least share of a body's sides that faces where no camera looked from: from there on its back is closed by other means."""
FACED = 0.2
"""Least cosine between a surface and the line of sight for it to be seen."""
KINDS = {"axis": "a body of revolution", "box": "two planes of symmetry", "mirror": "a plane of symmetry"}


@dataclass(frozen=True, kw_only=True)
class Closing:
    """How the hidden part of a body is closed."""

    field: Callable[[np.ndarray], np.ndarray]
    """World points (n, 3) that no camera saw → (n,) [m], positive outside of the body."""
    bounds: np.ndarray
    """(2, 3) of the closed body, world [m]."""
    why: str


@dataclass(frozen=True, kw_only=True)
class Sides:
    """The seen surface of a body: what a symmetry is tested on."""

    points: np.ndarray
    """(n, 3) world [m]."""
    normals: np.ndarray
    """(n, 3) unit, outwards."""
    back: float
    """Share of the sides, by area, that face where fewer than a tenth of them was seen."""


def seen_sides(mesh: Any, views: Sequence[View], *, low_m: float, tolerance_m: float) -> Sides:
    """The vertices of a fine closed mesh higher than z = `low_m` that two views see, and how large its unseen back is."""
    points, normals = np.asarray(mesh.vertices), np.asarray(mesh.vertex_normals)
    count = np.zeros(len(points), int)
    for view in views:
        index, z, inside = view.pixels(points)
        d = view.depth.ravel()[index]
        ray = view.centre - points
        facing = (ray * normals).sum(axis=1) > FACED * np.linalg.norm(ray, axis=1)
        count += inside & facing & (d > 0) & (np.abs(d - z) < tolerance_m + 0.005 * z)
    seen, above = count >= 2, points[:, 2] > low_m
    side = above & (np.abs(normals[:, 2]) < 0.7)
    turn = np.floor((np.arctan2(normals[:, 1], normals[:, 0]) / (2 * np.pi) % 1) * 36).astype(int) % 36
    every, shown = (np.bincount(turn[rows], minlength=36) for rows in (side, side & seen))
    dark = shown < 0.1 * every
    back = float(every[dark].sum() / max(every.sum(), 1))
    return Sides(points=points[seen & above], normals=normals[seen & above], back=back)


def close_back(
    first: Solid, views: list[View], slants: list[np.ndarray], masks: list[np.ndarray], *, voxel: float, low_m: float
) -> Closing | None:
    """How to close the back of the body that the views alone leave; None where they saw it from all around.

    Arguments as of `build_solid`; below z = `low_m` [m] nothing is asked of the surface.
    """
    sides = seen_sides(first.mesh, views, low_m=low_m, tolerance_m=2.5 * voxel)
    if sides.back < BACK or len(sides.points) < 60:
        return None
    low, high = first.mesh.bounds
    grow = 0.5 * float(max(high[:2] - low[:2])) + 6 * voxel
    grid = Grid.around(low - [grow, grow, 0], high + [grow, grow, 4 * voxel], voxel, limit=3_000_000)
    empty = sampled(grid, emptiness(grid, views, slants, masks), beyond=-4 * grid.voxel)
    symmetry = find_evident(sides.points, sides.normals, empty, voxel=grid.voxel)
    if symmetry is not None and symmetry.kind != "mirror":
        return Closing(
            field=symmetry.field, bounds=_bounds(symmetry.images(sides.points)), why=f"the rest is closed as {KINDS[symmetry.kind]}"
        )
    cap = smooth_cap(sides.points, sides.normals, grid, level=first.level)
    capped = sampled(grid, cap, beyond=4 * grid.voxel)
    bounds = _bounds(np.concatenate([sides.points, grid.origin + grid.voxel * np.argwhere(cap < 0)]))
    if symmetry is None:
        return Closing(field=capped, bounds=bounds, why="the rest is closed by a smooth cap: no symmetry shows it")
    mirror = symmetry.field
    return Closing(
        field=lambda nodes: np.maximum(capped(nodes), mirror(nodes)), bounds=bounds, why=f"the rest is closed by {KINDS['mirror']} and a smooth cap"
    )


def emptiness(grid: Grid, views: list[View], slants: list[np.ndarray], masks: list[np.ndarray]) -> np.ndarray:
    """(shape) float32 [m] on the grid: positive where two views look through or three past the object, as negative as can be where
    nobody knows."""
    nodes, far = grid.points(), 4 * grid.voxel
    fused, count, doubted, _ = seen_distance(nodes, views, slants, voxel=grid.voxel)
    beside = silhouette_distance(nodes, views, masks, truncation=far)
    return np.maximum(np.where((count >= 2) & ~doubted, fused, -far), beside).astype(np.float32).reshape(grid.shape)


def sampled(grid: Grid, field: np.ndarray, *, beyond: float) -> Field:
    """World points (n, 3) → (n,) of a field on the grid, between its nodes; `beyond` outside of it."""
    from scipy import ndimage

    def at(points: np.ndarray) -> np.ndarray:
        return np.asarray(ndimage.map_coordinates(field, ((points - grid.origin) / grid.voxel).T, order=1, cval=beyond))

    return at


def _bounds(points: np.ndarray) -> np.ndarray:
    return np.percentile(points, [0.2, 99.8], axis=0)
