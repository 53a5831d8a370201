"""The plane that things stand on, in one depth map: a plane is affine in inverse depth, so it is found there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim.keys import Key

ROLL = 0.45
"""Largest sideways component of the plane's normal: hands hold a phone level to within 27 degrees."""
LEAST_UP = 0.34
"""Least upward component of the normal in the picture: less is a wall, or a picture taken nearly straight down."""


@dataclass(frozen=True, kw_only=True)
class PhotoPlane:
    """normal · p = −height for points p in camera axes (OpenCV), the camera `height` above it."""

    normal: np.ndarray
    """(3,) unit, towards the camera's side."""
    height: float
    """In units of the depth."""
    on: np.ndarray
    """(h, w) bool: pixels that lie on it."""
    residual: float
    """Robust standard deviation of those pixels' distance to it, in units of the depth."""

    @property
    def affine(self) -> np.ndarray:
        """(3,) a b c with 1/z = a x + b y + c on the ray (x, y, 1)."""
        return -self.normal / self.height


def rays(K: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) rays (x, y, 1) through the pixel centres of a picture with intrinsics K [px]."""
    v, u = np.mgrid[: shape[0], : shape[1]]
    x, y = (u + 0.5 - K[0, 2]) / K[0, 0], (v + 0.5 - K[1, 2]) / K[1, 1]
    return np.stack([x, y, np.ones_like(x)], axis=-1)


def find_plane(
    depth: np.ndarray, K: np.ndarray, key: Key, *, tolerance: float = 0.012, up_camera: np.ndarray | None = None,
    extra: np.ndarray | None = None, least_share: float = 0.04,
) -> PhotoPlane | None:  # fmt: skip
    """The largest plane facing up in a depth map (h, w), 0 where unknown; None when none deserves the name.

    Pixels in the middle of the picture count more. `tolerance` is relative to the depth. `up_camera` (3,) is up as an
    IMU or a sheet that lies there tells it; without it the phone is taken to be held about level. `extra` (3,) is a normal to be tried as well.
    """
    h, w = depth.shape
    r = rays(K, depth.shape).reshape(-1, 3)
    z = depth.ravel().astype(np.float64)
    known = np.flatnonzero(z > 0)
    if len(known) < 200:
        return None
    middle = np.exp(-((r[:, 0] / np.ptp(r[:, 0])) ** 2 + (r[:, 1] / np.ptp(r[:, 1])) ** 2) * 2)
    rng = key.rng()
    some = rng.choice(known, min(len(known), 6000), replace=False)
    R, q, weight = r[some], 1 / z[some], middle[some]

    def level(n: np.ndarray) -> np.ndarray:
        if up_camera is not None:
            return np.asarray(n @ up_camera > np.cos(np.radians(20)))
        return np.asarray((np.abs(n[..., 0]) < ROLL) & (n[..., 1] < -LEAST_UP))

    triples = rng.integers(0, len(some), (3000, 3))
    A = R[triples]
    good = np.abs(np.linalg.det(A)) > 1e-4
    planes = np.linalg.solve(A[good], q[triples[good]][..., None])[..., 0]
    if extra is not None:
        at = rng.integers(0, len(some), 100)
        planes = np.concatenate([planes, -extra * (q[at] / -(R[at] @ extra))[:, None]])
    size = np.linalg.norm(planes, axis=1)
    planes = planes[size > 1e-9]
    normals = -planes / size[size > 1e-9, None]
    planes = planes[level(normals)]
    if not len(planes):
        return None
    score = np.array([weight[np.abs(R @ p - q) < tolerance * q].sum() for p in planes])
    best = planes[np.argmax(score)]
    q_all = 1 / np.where(z > 0, z, 1)
    on = (z > 0) & (np.abs(r @ best - q_all) < tolerance * q_all)
    for narrow in (1.0, 0.7, 0.7):
        rows = np.flatnonzero(on)
        if len(rows) < 200:
            return None
        rows = rows[:: max(1, len(rows) // 60_000)]
        weights = z[rows]  # inverse depth errs in proportion to itself
        best = np.linalg.lstsq(r[rows] * weights[:, None], q_all[rows] * weights, rcond=None)[0]
        on = (z > 0) & (np.abs(r @ best - q_all) < narrow * tolerance * q_all)
    height = 1 / float(np.linalg.norm(best))
    normal = -best * height
    if not level(normal[None])[0] or on.sum() < least_share * h * w:
        return None
    over = (r[on] * z[on, None]) @ normal + height
    return PhotoPlane(
        normal=normal, height=height, on=on.reshape(h, w), residual=1.4826 * float(np.median(np.abs(over - np.median(over)))),
    )  # fmt: skip


def heights(depth: np.ndarray, K: np.ndarray, plane: PhotoPlane) -> np.ndarray:
    """(h, w) height of each pixel's point above the plane, NaN where there is no depth."""
    p = rays(K, depth.shape) * depth[..., None]
    return np.where(depth > 0, p @ plane.normal + plane.height, np.nan)


def world_of(plane: PhotoPlane, depth: np.ndarray, K: np.ndarray) -> np.ndarray:
    """T_world_camera (4, 4): z = 0 on the plane, the origin where the picture's middle meets it, x to the right."""
    z = plane.normal
    x = np.array([1.0, 0, 0]) - z[0] * z
    x /= np.linalg.norm(x)
    R = np.stack([x, np.cross(z, x), z])
    axis = np.array([0.0, 0, 1])
    down = -float(axis @ z)
    at = axis * plane.height / down if down > 0.05 else None
    reach = float(np.median(depth[plane.on]))
    if at is None or np.linalg.norm(at) > 3 * reach:
        p = (rays(K, depth.shape) * depth[..., None])[plane.on]
        at = np.median(p, axis=0)
    at = at - (at @ z + plane.height) * z
    T = np.eye(4)
    T[:3, :3] = R
    T[:3, 3] = -R @ at
    return T


def world_without_plane(depth: np.ndarray, K: np.ndarray, up_camera: np.ndarray | None) -> np.ndarray:
    """T_world_camera (4, 4) where no plane was found: up as the phone was held, z = 0 at the lowest points seen."""
    up = np.array([0.0, -1, 0]) if up_camera is None else np.asarray(up_camera, float)
    p = (rays(K, depth.shape) * depth[..., None])[depth > 0]
    low = -float(np.quantile(p @ up, 0.02))
    on = np.asarray(depth > 0)
    return world_of(PhotoPlane(normal=up, height=low, on=on, residual=0.0), depth, K)
