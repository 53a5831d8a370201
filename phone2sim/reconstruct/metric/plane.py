"""Where the cameras look, which way is up, and the plane that things stand on. All in the scale of the model given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim.keys import Key
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.metric.votes import angle_deg


@dataclass(frozen=True, kw_only=True)
class View:
    """What a set of cameras looks at."""

    focus: np.ndarray
    """(3,) the point nearest to all optical axes, held at the usual depth of the points."""
    reach: float
    """Median distance from a camera to the points it sees."""


@dataclass(frozen=True, kw_only=True)
class CameraUp:
    """Up as the photographer held the phone."""

    up: np.ndarray
    """(3,) unit."""
    uncertain_deg: float
    """5 when the cameras turned about a vertical axis, which pins it down; 20 otherwise; up to 3 when gravity is known."""


@dataclass(frozen=True, kw_only=True)
class Plane:
    """A support plane: normal · x = height, normal towards the cameras."""

    normal: np.ndarray
    height: float
    inliers: int
    part: float
    """Inliers as a part of the points near the focus."""
    residual: float
    """Standard deviation of the inliers."""
    uncertain_deg: float
    """Twice the standard error of the normal, at least half a degree."""


def where_cameras_look(cameras: Cameras, xyz: np.ndarray, obs_point: np.ndarray, obs_camera: np.ndarray) -> View:
    centres = cameras.centres
    reach = float(np.median(np.linalg.norm(xyz[obs_point] - centres[obs_camera], axis=1)))
    axes = cameras.T_world_camera[:, :3, 2]
    A, b = np.zeros((3, 3)), np.zeros(3)
    for c, z in zip(centres, axes, strict=True):
        across, along = np.eye(3) - np.outer(z, z), 0.05 * np.outer(z, z)
        A += across + along
        b += across @ c + along @ (c + reach * z)
    return View(focus=np.linalg.solve(A, b), reach=reach)


def camera_up(cameras: Cameras) -> CameraUp:
    """Hands keep a phone's horizontal edge level: up is what is most orthogonal to all x axes, signed by −y."""
    x, y = cameras.T_world_camera[:, :3, 0], cameras.T_world_camera[:, :3, 1]
    mean = -y.mean(axis=0)
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    # the smallest eigenvalue is the unevenness of the hand, the middle one how far the cameras turned
    if values[1] > 0.03 and values[1] > 4 * values[0]:
        up = vectors[:, 0] * (1.0 if vectors[:, 0] @ mean >= 0 else -1.0)
        if up @ mean > 0.2:
            return CameraUp(up=up, uncertain_deg=5.0)
    length = np.linalg.norm(mean)
    return CameraUp(up=mean / length if length > 1e-9 else np.array([0.0, 0.0, 1.0]), uncertain_deg=20.0)


def thinned(xyz: np.ndarray, cell: float) -> np.ndarray:
    """Indices of one point per cubic cell, so that a dense texture does not outvote a plain table."""
    cells = np.floor(xyz / cell).astype(np.int64)
    return np.sort(np.unique(cells, axis=0, return_index=True)[1])


def find_support(
    xyz: np.ndarray, cameras: Cameras, view: View, up: CameraUp, key: Key, *, extra: np.ndarray | None = None
) -> Plane | None:
    """The support plane among points (m, 3), or None when no plane deserves the name.

    It must face the cameras, agree with their up, pass near what they look at, hold a good part of the points there
    and have next to nothing below it. `extra` (3,) is a normal known to lie on it (a printed sheet), tried as well.
    """
    near = xyz[np.linalg.norm(xyz - view.focus, axis=1) < 0.8 * view.reach]
    if len(near) < 50:
        return None
    points = near[thinned(near - view.focus, 0.01 * view.reach)]
    tolerance = 0.008 * view.reach
    most_deg = 12.0 if up.uncertain_deg <= 3 else 25.0 if up.uncertain_deg <= 5 else 60.0
    rng = key.rng()
    triples = rng.integers(0, len(points), (4000, 3))
    a, b, c = (points[triples[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    lengths = np.linalg.norm(normals, axis=1)
    good = lengths > (0.05 * view.reach) ** 2
    normals = normals[good] / lengths[good, None]
    origins = a[good]
    facing = cameras.centres.mean(axis=0) - view.focus
    normals *= np.where(normals @ facing < 0, -1.0, 1.0)[:, None]
    heights = (normals * origins).sum(axis=1)
    if extra is not None:
        by_extra = points @ extra
        normals = np.concatenate([normals, np.repeat(extra[None], 60, axis=0)])
        heights = np.concatenate([heights, by_extra[rng.integers(0, len(points), 60)]])
    level = normals @ up.up > np.cos(np.radians(most_deg))
    normals, heights = normals[level], heights[level]
    counts = np.array([np.count_nonzero(np.abs(points @ n - h) < tolerance) for n, h in zip(normals, heights)])
    for k in np.argsort(-counts, kind="stable"):
        if _supports(normals[k], heights[k], points, cameras, view, tolerance):
            normal, height = normals[k], float(heights[k])
            break
    else:
        return None
    for narrow in (1.5, 1.0, 1.0):
        inside = np.abs(points @ normal - height) < narrow * tolerance
        normal, height = _fit(points[inside], normal)
    if angle_deg(normal, up.up) > most_deg + 5 or not _supports(normal, height, points, cameras, view, tolerance):
        return None
    inside = np.abs(points @ normal - height) < tolerance
    held = points[inside]
    residual = float((held @ normal - height).std())
    spread = np.sqrt(np.linalg.eigvalsh(np.cov((held - held.mean(axis=0)).T)))[1]
    tilt = float(np.degrees(2 * residual / (spread * np.sqrt(len(held)))))
    return Plane(
        normal=normal, height=float(height), inliers=int(inside.sum()), part=float(inside.mean()), residual=residual,
        uncertain_deg=max(0.5, tilt),
    )  # fmt: skip


def _supports(n: np.ndarray, h: float, points: np.ndarray, cameras: Cameras, view: View, tolerance: float) -> bool:
    """Whether things could stand on a candidate plane."""
    over = points @ n - h
    inside = np.abs(over) < tolerance
    count = int(inside.sum())
    if count < max(40, 0.12 * len(points)):
        return False
    if abs(view.focus @ n - h) > 0.4 * view.reach:
        return False
    if (cameras.centres @ n - h < 0.1 * view.reach).mean() > 0.05:
        return False
    held = points[inside]
    middle = np.median(held, axis=0)
    radius = np.quantile(np.linalg.norm(held - middle, axis=1), 0.8)
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov((held - middle).T)), 0))
    if spread[1] < 0.06 * view.reach:
        return False
    flat = points - middle
    flat = flat - np.outer(flat @ n, n)
    beneath = (np.linalg.norm(flat, axis=1) < radius) & (over < -3 * tolerance)
    above = (np.linalg.norm(flat, axis=1) < radius) & (over > -3 * tolerance)
    return bool(beneath.sum() <= 0.12 * above.sum())


def _fit(points: np.ndarray, towards: np.ndarray) -> tuple[np.ndarray, float]:
    """Least squares plane of (k, 3) points, its normal on the side of `towards`."""
    middle = points.mean(axis=0)
    n = np.linalg.svd(points - middle, full_matrices=False)[2][2]
    n = n if n @ towards > 0 else -n
    return n, float(n @ middle)
