"""Every surface of the captured place and what stands on it: the support that was filmed, others at any height, walls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phone2sim.assets.lift import Bodies, Found, Scales, Seen, on_support, see_support
from phone2sim.assets.planes import Patch, flat_patches, surfels_of, upright_patches
from phone2sim.assets.scene import SupportSurface, Upright, Wall
from phone2sim.assets.statics import BOARD, FAR_WALL, WALL, boards_of, walls_of
from phone2sim.assets.support import find_support
from phone2sim.assets.uprights import upright_of
from phone2sim.assets.views import View
from phone2sim.reconstruct.mesh.fusion import fuse

CELL = 1 / 60
"""Edge of the cells that vote for planes, in filming distances."""
NODES = 12_000_000
"""Voxels around another support at most: it is filmed from farther away, and needs no finer ones."""
LOOKING = 0.1
"""A picture looks at a patch when it shows this share of it."""


@dataclass(frozen=True, kw_only=True)
class Everywhere:
    """What stands where."""

    founds: tuple[Found, ...]
    """One for each support, the main one first."""
    walls: tuple[Wall, ...] = ()
    uprights: tuple[Upright, ...] = ()
    """What carries the supports."""

    @property
    def supports(self) -> tuple[SupportSurface, ...]:
        return tuple(f.support.surface for f in self.founds)


def find_everywhere(views: list[View], *, min_size: float = 0.02, max_share: float = 0.35) -> Everywhere | None:
    """All surfaces, and the objects on each; None where the cameras look at no plane. Sizes as in `find_objects`."""
    main = see_support(views)
    if main is None:
        return None
    distance, surface = main.scales.distance, main.support.surface
    surfels = surfels_of(views, middle=surface.T_world_surface.translation, reach=FAR_WALL * distance, cell=CELL * distance)
    near = float(surfels.distance.min()) if len(surfels.points) else distance
    patches = flat_patches(surfels, least_m2=(BOARD[0] * near) ** 2)
    seen = [(main, views)]
    for patch in boards_of(patches, surface, views, distance=distance, max_share=max_share):
        looking = [v for v in views if _shown(patch, v) >= LOOKING]
        board = see_board(patch, looking, name=f"support_{len(seen) + 1}")
        if board is not None:
            seen.append((board, looking))
    supports = [s.support.surface for s, _ in seen]
    walls = walls_of(upright_patches(surfels, least_m2=(WALL[0] * near) ** 2), supports, distance=distance)
    founds = []
    for s, looking in seen:
        higher = [o for o in supports if o.height_m > s.support.surface.height_m + 2 * s.field.grid.voxel]
        founds.append(on_support(s, looking, min_size=min_size, max_share=max_share, others=[*higher, *walls]))
    return Everywhere(founds=tuple(founds), walls=walls, uprights=carriers(founds, views))


def carriers(founds: Sequence[Found], views: list[View]) -> tuple[Upright, ...]:
    """The sides, legs and posts among what was refused as an object, as `upright_1`…"""
    supports = [f.support.surface for f in founds]
    out: list[Upright] = []
    for f in founds:
        for part in f.refused:
            upright = upright_of(part, f.support.surface, supports, views, cell=f.cell, name=f"upright_{len(out) + 1}")
            if upright is not None:
                out.append(upright)
    return tuple(out)


def see_board(patch: Patch, views: list[View], *, name: str) -> Seen | None:
    """The fused surface around a horizontal patch and its plane; None when a closer look shows none."""
    if len(views) < 3:
        return None
    distance = patch.distance
    scales = Scales.of(views, distance)
    flat = patch.flat
    middle, half, pad = np.median(flat, axis=0), 0.85 * distance, 0.1 * distance
    low = np.array([*np.maximum(flat.min(axis=0) - pad, middle - half), patch.offset - 0.06 * distance])
    high = np.array([*np.minimum(flat.max(axis=0) + pad, middle + half), patch.offset + 0.5 * distance])
    voxel = max(scales.scene_voxel, float(np.cbrt(np.prod(high - low) / NODES)))
    field = fuse(views, low, high, voxel=voxel)
    support = find_support(field, middle, name=name, search_m=0.03 * distance, near_m=patch.offset)
    return None if support is None else Seen(field=field, support=support, scales=scales)


def _shown(patch: Patch, view: View) -> float:
    """Share of the patch on the visible surface of a picture."""
    index, z, inside = view.pixels(patch.surfels.points)
    d = view.depth.ravel()[index]
    return float((inside & (d > 0) & (np.abs(d - z) < 2 * patch.surfels.cell)).mean())


def joined(parts: list[Bodies]) -> Bodies:
    """The bodies of several supports as one, in their order; who comes first keeps what two of them claim."""
    first = parts[0]
    labels, masks, solids, notes = first.labels.copy(), first.masks.copy(), list(first.solids), first.notes
    for part in parts[1:]:
        for into, own in ((labels, part.labels), (masks, part.masks)):
            free = (into == 0) & (own > 0)
            into[free] = own[free] + len(solids)
        solids += part.solids
        notes += part.notes
    return Bodies(solids=solids, labels=labels, masks=masks, notes=notes)
