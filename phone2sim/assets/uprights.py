"""What stands somewhere for good, as boxes and prisms that things bump into: what carries a shelf, and objects that are not to move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from phone2sim.assets.planes import signed_area
from phone2sim.assets.scene import SupportSurface, Upright
from phone2sim.assets.segment import CARRIES, Rejected
from phone2sim.assets.views import View
from phone2sim.poses import Pose, matrix_to_quat

THROUGH = 0.2
"""Largest share of the middle of a box that cameras may look through: more, and its points are no box."""
EDGES = 8, 92
"""Percentiles of the points across a box between which it lies."""
TOUCHING_M = 0.001
"""Outlines that overlap by no more only touch."""
INTO_M = 0.002
"""How far below the front of the surface that it carries a box ends."""


def upright_of(
    part: Rejected, below: SupportSurface, supports: Sequence[SupportSurface], views: list[View], *, cell: float, name: str
) -> Upright | None:
    """The upright box around the surface points of what carries another support; None where cameras look through it.

    It reaches from the support `below` to the lowest one over it. `cell` is the points' spacing [m].
    """
    import cv2

    if part.reason != CARRIES or part.points is None:
        return None
    points = part.points
    over = [s.height_m for s in supports if s.height_m > below.height_m + 2 * cell and s.beside(part.centre[None])[1][0] > -3 * cell]
    top = min(over, default=float(points[:, 2].max())) - INTO_M
    _, _, turn = cv2.minAreaRect(points[:, :2].astype(np.float32))
    axes = np.array([[np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))], [-np.sin(np.deg2rad(turn)), np.cos(np.deg2rad(turn))]])
    low, high = np.percentile(points[:, :2] @ axes.T, [3, 97], axis=0)
    thin = int(np.argmin(high - low))
    low[thin], high[thin] = np.percentile(points[:, :2] @ axes[thin], EDGES)  # its outline in the pictures frays
    eye = np.mean([v.centre for v in views], axis=0)[:2] - part.centre[:2]
    n = axes[thin] * (1.0 if axes[thin] @ eye > 0 else -1.0)
    normal, up = np.array([*n, 0.0]), np.array([0.0, 0.0, 1.0])
    across = np.cross(up, normal)
    middle = (low + high) / 2 @ axes
    half, thickness = (high - low)[1 - thin] / 2, float((high - low)[thin])
    height = top - below.height_m
    if height <= 0 or _looked_through(middle, across[:2] * half, n * thickness / 2, below.height_m, top, views, cell):
        return None
    at = np.array([*(middle + n * thickness / 2), below.height_m + height / 2])
    outline = np.array([[-half, -height / 2], [half, -height / 2], [half, height / 2], [-half, height / 2]])
    pose = Pose(at, matrix_to_quat(np.stack([across, up, normal], axis=1)))
    return Upright(name=name, T_world_surface=pose, outline=outline, thickness_m=thickness)


def staying(mesh: Any, bodies: Sequence[np.ndarray], *, name: str) -> Upright | None:
    """The prism over the convex outline of a closed `trimesh.Trimesh` in the world: an object that is left in the background.

    It is as high as that, or as what stands on it or in it: `bodies` are the world points (n, 3) of everything else's hulls. None where
    something stands within its outline on the same ground.
    """
    import cv2

    def outline(points: np.ndarray) -> np.ndarray:
        o = cv2.convexHull(points[:, :2].astype(np.float32))[:, 0].astype(float)
        return o if signed_area(o) > 0 else o[::-1]

    own = outline(np.asarray(mesh.vertices))
    low, top = float(mesh.bounds[0, 2]), float(mesh.bounds[1, 2])
    within = [b[:, 2] for b in bodies if _apart(own, outline(b)) < -TOUCHING_M]
    top = min([top, *(float(z.min()) for z in within if z.max() > low + TOUCHING_M)])
    if top - low < TOUCHING_M:
        return None
    middle = (own.min(axis=0) + own.max(axis=0)) / 2
    pose = Pose(np.array([*middle, top]), np.array([1.0, 0, 0, 0]))
    return Upright(name=name, T_world_surface=pose, outline=own - middle, thickness_m=top - low)


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    """Widest strip along an edge that separates two convex counter-clockwise outlines (k, 2) [m]; negative when they overlap."""

    def best(p: np.ndarray, q: np.ndarray) -> float:
        e = np.roll(p, -1, axis=0) - p
        n = np.stack([e[:, 1], -e[:, 0]], axis=1) / np.maximum(np.linalg.norm(e, axis=1, keepdims=True), 1e-12)
        return float(((q @ n.T).min(axis=0) - (p * n).sum(axis=1)).max())

    return max(best(a, b), best(b, a))


def _looked_through(
    middle: np.ndarray, across: np.ndarray, along: np.ndarray, low: float, top: float, views: list[View], cell: float
) -> bool:
    """Whether two pictures each look through more than `THROUGH` of an upright box."""
    s, t, z = np.meshgrid(np.linspace(-0.6, 0.6, 9), np.linspace(-0.6, 0.6, 9), np.linspace(0.1, 0.9, 9), indexing="ij")
    xy = middle + s.reshape(-1, 1) * across + t.reshape(-1, 1) * along
    points = np.column_stack([xy, low + z.ravel() * (top - low)])
    count = np.zeros(len(points), int)
    for view in views:
        index, depth, inside = view.pixels(points)
        count += inside & (view.depth.ravel()[index] > depth + 2 * cell)
    return bool((count >= 2).mean() > THROUGH)
