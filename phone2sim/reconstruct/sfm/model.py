"""`SparseModel`: posed frames and sparse points of one SfM run, in the arbitrary scale and frame SfM left them in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from phone2sim.poses import Pose
from phone2sim.reconstruct.cameras import Cameras


@dataclass(frozen=True, kw_only=True)
class SparseModel:
    """n cameras and m points with their observations."""

    cameras: Cameras
    xyz: np.ndarray
    """(m, 3) points."""
    rgb: np.ndarray
    """(m, 3) uint8."""
    error_px: np.ndarray
    """(m,) mean reprojection error [px]."""
    obs_point: np.ndarray
    """(k,) point of each observation."""
    obs_camera: np.ndarray
    """(k,) camera of each observation."""
    reprojection_px: float
    """Mean over all observations [px]."""
    pair_ij: np.ndarray
    """(p, 2) cameras of each verified pair."""
    pair_count: np.ndarray
    """(p,) verified matches of each pair."""
    pair_left: np.ndarray
    """(Σ pair_count, 2) matched pixels in the first camera, pair after pair."""
    pair_right: np.ndarray

    @property
    def points_per_camera(self) -> np.ndarray:
        """(n,) observed points."""
        return np.bincount(self.obs_camera, minlength=len(self.cameras))

    @property
    def track_length(self) -> np.ndarray:
        """(m,) cameras that see each point."""
        return np.bincount(self.obs_point, minlength=len(self.xyz))

    def transformed(self, scale: float, T_new_old: np.ndarray) -> SparseModel:
        """The same model in a world mapped by p_new = T_new_old · (scale · p_old)."""
        T = np.asarray(T_new_old)
        return replace(
            self, cameras=self.cameras.transformed(scale, T), xyz=(scale * self.xyz) @ T[:3, :3].T + T[:3, 3]
        )


def read_model(path: Path, sources: dict[str, str]) -> SparseModel:
    """From the arrays of one attempt (`worker.write_model`). `sources` maps a frame's name to its origin."""
    with np.load(path) as z:
        lens = z["lens"]  # fx fy cx cy k1 k2 p1 p2
        K = np.tile(np.eye(3), (len(lens), 1, 1))
        K[:, 0, 0], K[:, 1, 1] = lens[:, 0], lens[:, 1]
        K[:, :2, 2] = lens[:, 2:4]
        names = tuple(str(s) for s in z["names"])
        cameras = Cameras(
            T_world_camera=z["T_world_camera"], K=K, size_wh=z["size_wh"], distortion=lens[:, 4:], names=names,
            sources=tuple(sources[s] for s in names),
        )  # fmt: skip
        return SparseModel(
            cameras=cameras, xyz=z["xyz"], rgb=z["rgb"], error_px=z["error_px"], obs_point=z["obs_point"],
            obs_camera=z["obs_image"], reprojection_px=float(z["reprojection_px"]), pair_ij=z["pair_ij"],
            pair_count=z["pair_count"], pair_left=z["pair_left"], pair_right=z["pair_right"],
        )  # fmt: skip


def normalised(cameras: Cameras, index: int, pixels: np.ndarray) -> np.ndarray:
    """(k, 2) pixels → undistorted coordinates on the plane z = 1 of camera `index` (fixed-point iteration)."""
    K = cameras.K[index]
    seen = np.stack([(pixels[:, 0] - K[0, 2]) / K[0, 0], (pixels[:, 1] - K[1, 2]) / K[1, 1]], axis=1)
    k1, k2, p1, p2 = cameras.distortion[index]
    xy = seen.copy()
    for _ in range(10):
        r2 = (xy**2).sum(axis=1)
        radial = 1 + k1 * r2 + k2 * r2 * r2
        dx = 2 * p1 * xy[:, 0] * xy[:, 1] + p2 * (r2 + 2 * xy[:, 0] ** 2)
        dy = p1 * (r2 + 2 * xy[:, 1] ** 2) + 2 * p2 * xy[:, 0] * xy[:, 1]
        xy = (seen - np.stack([dx, dy], axis=1)) / radial[:, None]
    return xy


def project(cameras: Cameras, index: int, xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World points (k, 3) → distorted pixels (k, 2) and depths (k,) in camera `index`."""
    p = Pose.from_matrix(cameras.T_world_camera[index]).inverse().apply(xyz)
    z = np.where(np.abs(p[:, 2]) < 1e-12, 1e-12, p[:, 2])
    return pixels_of(p[:, :2] / z[:, None], cameras.K[index], cameras.distortion[index]), p[:, 2]


def pixels_of(xy: np.ndarray, K: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Coordinates (k, 2) on the plane z = 1 → distorted pixels (k, 2).

    One lens for all, `K` (3, 3) and `distortion` (4,), or one each, (k, 3, 3) and (k, 4).
    """
    x, y = xy[:, 0], xy[:, 1]
    k1, k2, p1, p2 = np.moveaxis(distortion, -1, 0)
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2 * r2
    xd = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    yd = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    return np.stack([K[..., 0, 0] * xd + K[..., 0, 2], K[..., 1, 1] * yd + K[..., 1, 2]], axis=1)
