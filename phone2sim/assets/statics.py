"""What of the flat patches is furniture and building: horizontal boards that things may stand on, and walls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from phone2sim.assets.planes import Patch, signed_area
from phone2sim.assets.scene import PlanarSurface, SupportSurface, Wall
from phone2sim.assets.views import View
from phone2sim.poses import Pose, matrix_to_quat

S = TypeVar("S", bound=PlanarSurface)
FAR = 2.0
"""Distance from the cameras, in filming distances, from which a surface to stand on is only surroundings;"""
FAR_WALL = 3.0
"""the same for a wall."""
BOARD = 0.25, 0.12
"""Least side of a square as large as a board, and least width of it, in distances from the cameras;"""
WALL = 0.5, 0.2
"""the same for a wall."""
STEP = 0.08
"""Least height of a board over the surface below it, in filming distances: what is lower lies on it."""
FILLED = 0.45
"""Least share of a patch's outline that was seen flat."""
OPEN = 0.25
"""Least share of a board's rim that pictures look under: what is closed all around is a box, and its top a lid."""
BOARD_THICK = 5.0
"""How thick a board may be, in clearances."""
INSIDE_M = 0.03
"""What rises this far inside a support's outline stands on it, and is no wall."""


def boards_of(
    patches: Sequence[Patch], main: SupportSurface, views: list[View], *, distance: float, max_share: float
) -> list[Patch]:
    """The horizontal patches, lowest first, that are surfaces of their own beside or above `main`.

    A lid is none: a patch over another surface must be open below, or too large for anything that stands there
    (`max_share` of that surface's area).
    """
    taken: list[tuple[float, PlanarSurface]] = [(main.height_m, main)]
    out: list[Patch] = []
    for patch in sorted(patches, key=lambda p: p.offset):
        if not _fits(patch, BOARD, FAR * distance):
            continue
        points = patch.surfels.points
        over = [(level, s) for level, s in taken if (s.beside(points)[1] > -patch.surfels.cell).mean() > 0.5]
        if any(abs(level - patch.offset) < STEP * distance for level, _ in over):
            continue
        below = [(level, s) for level, s in over if level < patch.offset]
        if below:
            level, lower = max(below, key=lambda x: x[0])
            large = patch.area > max_share * abs(signed_area(lower.outline))
            if not large and open_below(patch, level, views) < OPEN:
                continue
        taken.append((patch.offset, surface(SupportSurface, "", patch)))
        out.append(patch)
    return out


def walls_of(patches: Sequence[Patch], supports: Sequence[SupportSurface], *, distance: float) -> tuple[Wall, ...]:
    """The upright patches that do not stand on one of the supports, largest first, as `wall_1`…"""
    out: list[Wall] = []
    for patch in patches:
        points = patch.surfels.points
        stands = [((s.beside(points)[1] > INSIDE_M) & (s.beside(points)[0] > 0)).mean() > 0.3 for s in supports]
        if _fits(patch, WALL, FAR_WALL * distance) and not any(stands):
            out.append(surface(Wall, f"wall_{len(out) + 1}", patch))
    return tuple(out)


def surface(kind: type[S], name: str, patch: Patch) -> S:
    """The patch as a surface, its frame in the middle of its outline."""
    outline = patch.outline()
    middle = outline.mean(axis=0)
    at = middle @ patch.axes + patch.offset * patch.normal
    q = matrix_to_quat(np.stack([*patch.axes, patch.normal], axis=1))
    return kind(name=name, T_world_surface=Pose(at, q), outline=outline - middle)


def _fits(patch: Patch, least: tuple[float, float], farthest: float) -> bool:
    d, outline = patch.distance, patch.outline()
    large = patch.area >= (least[0] * d) ** 2 and patch.sides()[0] >= least[1] * d
    return large and d <= farthest and patch.noise_m < 0.01 * d and patch.area >= FILLED * abs(signed_area(outline))


def on_others(points: np.ndarray, others: Sequence[PlanarSurface], *, near_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Which points (n, 3) are of other surfaces or stand on them, and which are of walls: two (n,) bool.

    A support's are what lies over its outline, down to `BOARD_THICK` times `near_m` below it; a wall's what is less than `near_m` before it.
    """
    boards, walls = np.zeros((2, len(points)), bool)
    for s in others:
        before, inside = s.beside(points)
        if isinstance(s, Wall):
            walls |= (inside > -near_m) & (before < near_m)
        else:
            boards |= (inside > -near_m) & (before > -BOARD_THICK * near_m)
    return boards, walls


def open_below(patch: Patch, level: float, views: list[View], *, heights: int = 6) -> float:
    """Share of the places along a board's rim where at least two pictures look through most of the gap down to `level`."""
    from scipy import ndimage

    cell = patch.surfels.cell
    ij = np.floor(patch.flat / cell).astype(int)
    low = ij.min(axis=0) - 1
    raster = np.zeros(ij.max(axis=0) - low + 2, bool)
    raster[tuple((ij - low).T)] = True
    deep = ndimage.distance_transform_edt(ndimage.binary_closing(np.pad(raster, 3), iterations=2)[3:-3, 3:-3])
    rim = np.argwhere((deep > 2) & (deep <= 4.5))
    if not len(rim):
        return 0.0
    xy = (rim + low + 0.5) * cell
    gap = patch.offset - level
    z = level + gap * np.linspace(0.15, 0.75, heights)
    points = np.column_stack([np.repeat(xy, heights, axis=0), np.tile(z, len(xy))])
    through = np.zeros(len(points), int)
    for view in views:
        index, depth, inside = view.pixels(points)
        d = view.depth.ravel()[index]
        through += inside & (d > depth + 2 * cell)
    free = (through >= 2).reshape(len(xy), heights).mean(axis=1)
    return float((free >= 0.5).mean())
