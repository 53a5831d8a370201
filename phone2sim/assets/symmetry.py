"""What a body seen from one side looks like from behind: the symmetry that its visible side shows (Thrun & Wegbreit 2005).

A symmetry is believed when hardly any visible point, moved by it, falls into space that the picture shows empty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Field = Callable[[np.ndarray], np.ndarray]
"""World points (n, 3) → (n,) [m]: positive in space seen empty, negative behind the visible surface."""

BROKEN = 0.10
"""Largest part of the visible points that may contradict a symmetry."""


@dataclass(frozen=True, kw_only=True)
class Symmetry:
    """A closing of what is behind."""

    kind: str
    """`axis` (a body of revolution), `box` (two upright planes of symmetry) or `mirror` (one)."""
    field: Field
    """Outside (+) and inside (−) of what the symmetry leaves [m]."""
    images: Callable[[np.ndarray], np.ndarray]
    """Points (n, 3) → all their images (m, 3)."""
    broken: float
    """Part of the visible points that contradict it."""
    tolerance: float
    """How far [m] outside of it a point must lie to count as contradicting."""


def find_symmetry(
    points: np.ndarray, normals: np.ndarray, rim: np.ndarray, empty: Field, eye: np.ndarray, *, voxel: float
) -> Symmetry:
    """The strongest symmetry about upright axes or planes that visible points (n, 3) with normals agree with.

    `rim` (m, 3) are points where the surface turns away from the camera at `eye` (3,), sideways. Where nothing fits,
    the body is mirrored at the upright plane through its rim, across the view.
    """
    some = slice(None, None, max(1, len(points) // 3000))
    p, n = points[some], normals[some]
    tolerance = max(2.5 * voxel, 0.03 * float(np.linalg.norm(np.ptp(p, axis=0))))
    found = []
    centre = axis_centre(p, n)
    if centre is not None:
        found.append(revolved(centre, p, empty, tolerance, voxel))
    yaw, clear = box_yaw(n)
    if clear > 0.5:
        found.append(_planes(yaw, p, empty, tolerance))
    for s in found:
        if s.broken < BROKEN:
            return s
    mirror = _mirror(p, rim, empty, eye, tolerance)
    return min([mirror, *(s for s in found if s.broken < 0.25)], key=lambda s: s.broken)


def axis_centre(points: np.ndarray, normals: np.ndarray) -> np.ndarray | None:
    """(2,) where the horizontal normals meet: the upright axis of a body of revolution (least squares, reweighted)."""
    flat = normals[:, :2]
    size = np.linalg.norm(flat, axis=1)
    rows = size > 0.3
    if rows.sum() < 30:
        return None
    a = np.column_stack([flat[rows, 1], -flat[rows, 0]]) / size[rows, None]
    b = (a * points[rows, :2]).sum(axis=1)
    weight = size[rows]
    c = points[:, :2].mean(axis=0)
    for _ in range(8):
        A = a * weight[:, None]
        M = A.T @ a
        if np.linalg.cond(M) > 80:
            return None
        c = np.linalg.solve(M, A.T @ b)
        off = np.abs(a @ c - b)
        weight = size[rows] / (1 + (off / max(1e-4, 1.5 * float(np.median(off)))) ** 2)
    return np.asarray(c)


def box_yaw(normals: np.ndarray) -> tuple[float, float]:
    """Yaw [rad] of upright faces at right angles, and how clearly (0–1) the horizontal normals show them."""
    flat = normals[np.hypot(normals[:, 0], normals[:, 1]) > 0.8]
    if len(flat) < 30:
        return 0.0, 0.0
    turned = np.exp(4j * np.arctan2(flat[:, 1], flat[:, 0]))
    for _ in range(4):  # the bulk of them, without rounded edges
        mean = turned.mean()
        keep = np.abs(np.angle(turned / (mean / max(abs(mean), 1e-9)))) < 1.2
        if keep.sum() < 20:
            break
        mean = turned[keep].mean()
    return float(np.angle(mean) / 4), float(abs(mean) * keep.mean())


def revolved(centre: np.ndarray, points: np.ndarray, empty: Field, tolerance: float, voxel: float) -> Symmetry:
    """Revolved about the upright axis through `centre`: a circle belongs to the body unless a fifth of it is empty."""
    from scipy import ndimage

    radius = np.linalg.norm(points[:, :2] - centre, axis=1)
    step = 0.5 * voxel
    low, top = points[:, 2].min() - 8 * voxel, points[:, 2].max() + 3 * voxel
    rho = step * (np.arange(int(1.3 * np.percentile(radius, 99.5) / step) + 4) + 0.5)
    z = np.arange(low, top, step)
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    R, Z, A = np.meshgrid(rho, z, angle, indexing="ij")
    circle = np.stack([centre[0] + R * np.cos(A), centre[1] + R * np.sin(A), Z], axis=-1).reshape(-1, 3)
    share = (empty(circle) > 0).reshape(R.shape).mean(axis=2)
    body = ndimage.gaussian_filter(share, 0.7) < 0.2
    body &= ndimage.binary_opening(np.pad(body, ((2, 0), (0, 0)), mode="symmetric"), iterations=1)[2:]
    field = step * np.where(body, 0.5 - ndimage.distance_transform_edt(np.pad(body, ((9, 0), (0, 0)), mode="symmetric"))[9:],
                            ndimage.distance_transform_edt(~body) - 0.5)  # fmt: skip

    def outside(q: np.ndarray) -> np.ndarray:
        r = np.linalg.norm(q[:, :2] - centre, axis=1)
        at = np.stack([r / step - 0.5, (q[:, 2] - low) / step])
        return np.asarray(ndimage.map_coordinates(field, at, order=1, mode="nearest"))

    def images(q: np.ndarray) -> np.ndarray:
        r = np.linalg.norm(q[:, :2] - centre, axis=1)
        a = np.linspace(0, 2 * np.pi, 36, endpoint=False)
        xy = centre + r[:, None, None] * np.stack([np.cos(a), np.sin(a)], axis=-1)
        return np.concatenate([xy.reshape(-1, 2), np.repeat(q[:, 2], 36)[:, None]], axis=1)

    broken = float((outside(points) > tolerance).mean()) if body.any() else 1.0
    return Symmetry(kind="axis", field=outside, images=images, broken=broken, tolerance=tolerance)


def _planes(yaw: float, points: np.ndarray, empty: Field, tolerance: float) -> Symmetry:
    """Two upright planes through the middle of what is visible, along the faces."""
    R = np.array([[np.cos(yaw), np.sin(yaw)], [-np.sin(yaw), np.cos(yaw)]])
    q = points[:, :2] @ R.T
    low, high = np.percentile(q, [0.3, 99.7], axis=0)
    centre = R.T @ ((low + high) / 2)
    moves = [R.T @ np.diag(d) @ R for d in ((1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0))]
    return mirrors("box", moves, centre, points, empty, tolerance)


def _mirror(points: np.ndarray, rim: np.ndarray, empty: Field, eye: np.ndarray, tolerance: float) -> Symmetry:
    """One upright plane across the view, through the sideways rim or the middle of what is visible, the farther one."""
    middle = points[:, :2].mean(axis=0)
    away = middle - eye[:2]
    away /= max(float(np.linalg.norm(away)), 1e-9)
    along = points[:, :2] @ away
    at = 0.5 * float(np.percentile(along, 0.5) + np.percentile(along, 99.5))
    if len(rim) >= 10:
        at = max(at, float(np.median(rim[:, :2] @ away)))
    centre = middle + (at - middle @ away) * away
    return mirrors("mirror", [np.eye(2) - 2 * np.outer(away, away)], centre, points, empty, tolerance)


def mirrors(
    kind: str, moves: list[np.ndarray], centre: np.ndarray, points: np.ndarray, empty: Field, tolerance: float
) -> Symmetry:
    def moved(q: np.ndarray, M: np.ndarray) -> np.ndarray:
        return np.concatenate([(q[:, :2] - centre) @ M.T + centre, q[:, 2:]], axis=1)

    def outside(q: np.ndarray) -> np.ndarray:
        return np.max([empty(moved(q, M)) for M in moves], axis=0)

    def images(q: np.ndarray) -> np.ndarray:
        return np.concatenate([q, *(moved(q, M) for M in moves)])

    broken = float((outside(points) > tolerance).mean())
    return Symmetry(kind=kind, field=outside, images=images, broken=broken, tolerance=tolerance)
