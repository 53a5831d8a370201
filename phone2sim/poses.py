"""Rigid transforms SE(3). Quaternions are wxyz, unit length, w >= 0; matrices are row-major 4×4.

`T_world_camera @ p_camera = p_world`: the name of a pose says which frame it maps from (right) and to (left).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim.errors import ShapeError


@dataclass(frozen=True, eq=False)
class Pose:
    """One pose or a batch of them: translation `[m]` (..., 3) and unit quaternion wxyz (..., 4)."""

    translation: np.ndarray
    quat_wxyz: np.ndarray

    def __post_init__(self) -> None:
        t = np.asarray(self.translation, dtype=np.float64)
        q = np.asarray(self.quat_wxyz, dtype=np.float64)
        if t.shape[-1:] != (3,) or q.shape[-1:] != (4,) or t.shape[:-1] != q.shape[:-1]:
            raise ShapeError(f"Pose: expected translation (..., 3) and quat_wxyz (..., 4), got {t.shape} and {q.shape}.")
        norm = np.linalg.norm(q, axis=-1, keepdims=True)
        if not np.isfinite(t).all() or not np.isfinite(norm).all() or (norm < 1e-9).any():
            raise ShapeError("Pose: translation must be finite and the quaternion non-zero.")
        q = q / norm
        q = np.where(q[..., :1] < 0, -q, q)
        t.setflags(write=False)
        q.setflags(write=False)
        object.__setattr__(self, "translation", t)
        object.__setattr__(self, "quat_wxyz", q)

    @classmethod
    def identity(cls, *batch: int) -> Pose:
        return cls(np.zeros((*batch, 3)), np.broadcast_to([1.0, 0, 0, 0], (*batch, 4)))

    @classmethod
    def from_matrix(cls, matrix: np.ndarray) -> Pose:
        """From homogeneous matrices (..., 4, 4) or (..., 3, 4)."""
        m = np.asarray(matrix, dtype=np.float64)
        if m.shape[-2:] not in ((4, 4), (3, 4)):
            raise ShapeError(f"Pose.from_matrix: expected (..., 4, 4) or (..., 3, 4), got {m.shape}.")
        return cls(m[..., :3, 3].copy(), matrix_to_quat(m[..., :3, :3]))

    @classmethod
    def from_xyz_yaw(cls, xyz: np.ndarray, yaw_rad: float) -> Pose:
        return cls(np.asarray(xyz, dtype=np.float64), np.array([np.cos(yaw_rad / 2), 0, 0, np.sin(yaw_rad / 2)]))

    @property
    def rotation(self) -> np.ndarray:
        """Rotation matrices (..., 3, 3)."""
        return quat_to_matrix(self.quat_wxyz)

    @property
    def matrix(self) -> np.ndarray:
        """Homogeneous matrices (..., 4, 4)."""
        m = np.zeros((*self.translation.shape[:-1], 4, 4))
        m[..., :3, :3] = self.rotation
        m[..., :3, 3] = self.translation
        m[..., 3, 3] = 1.0
        return m

    def inverse(self) -> Pose:
        q = self.quat_wxyz * np.array([1.0, -1, -1, -1])
        return Pose(-np.einsum("...ij,...j->...i", quat_to_matrix(q), self.translation), q)

    def __matmul__(self, other: Pose) -> Pose:
        if not isinstance(other, Pose):
            raise TypeError("Pose @ Pose composes; use pose.apply(points) for points.")
        t = np.einsum("...ij,...j->...i", self.rotation, other.translation) + self.translation
        return Pose(t, quat_multiply(self.quat_wxyz, other.quat_wxyz))

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Map points (n, 3) [m] by a single pose."""
        if self.translation.ndim != 1:
            raise ShapeError("Pose.apply: expected a single pose.")
        return np.asarray(points) @ self.rotation.T + self.translation

    def to_json(self) -> dict[str, list[float]]:
        return {"translation": self.translation.tolist(), "quat_wxyz": self.quat_wxyz.tolist()}

    @classmethod
    def from_json(cls, data: dict) -> Pose:
        return cls(np.array(data["translation"]), np.array(data["quat_wxyz"]))


def quat_multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton product of wxyz quaternions (..., 4)."""
    aw, ax, ay, az = np.moveaxis(np.asarray(a, dtype=np.float64), -1, 0)
    bw, bx, by, bz = np.moveaxis(np.asarray(b, dtype=np.float64), -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def quat_to_matrix(q: np.ndarray) -> np.ndarray:
    """Unit quaternions wxyz (..., 4) → rotation matrices (..., 3, 3)."""
    w, x, y, z = np.moveaxis(np.asarray(q, dtype=np.float64), -1, 0)
    m = np.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ],
        axis=-1,
    )  # fmt: skip
    return m.reshape(*m.shape[:-1], 3, 3)


def matrix_to_quat(m: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) → unit quaternions wxyz (..., 4), stable for every angle (Bar-Itzhack 2000)."""
    m = np.asarray(m, dtype=np.float64)
    k = np.zeros((*m.shape[:-2], 4, 4))
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    k[..., 0, 0] = xx + yy + zz
    k[..., 0, 1] = m[..., 2, 1] - m[..., 1, 2]
    k[..., 0, 2] = m[..., 0, 2] - m[..., 2, 0]
    k[..., 0, 3] = m[..., 1, 0] - m[..., 0, 1]
    k[..., 1, 1] = xx - yy - zz
    k[..., 1, 2] = m[..., 0, 1] + m[..., 1, 0]
    k[..., 1, 3] = m[..., 0, 2] + m[..., 2, 0]
    k[..., 2, 2] = yy - xx - zz
    k[..., 2, 3] = m[..., 1, 2] + m[..., 2, 1]
    k[..., 3, 3] = zz - xx - yy
    return np.linalg.eigh(k, UPLO="U")[1][..., :, -1]


def look_at(eye: np.ndarray, target: np.ndarray, up: tuple[float, float, float] = (0.0, 0.0, 1.0)) -> Pose:
    """T_world_camera in OpenCV axes (x right, y down, z forward) for a camera at `eye` [m] looking at `target` [m]."""
    eye, target = np.asarray(eye, float), np.asarray(target, float)
    z = target - eye
    z = z / np.linalg.norm(z)
    x = np.cross(z, np.asarray(up))
    if np.linalg.norm(x) < 1e-6:
        x = np.cross(z, [0.0, 1.0, 0.0])
    x = x / np.linalg.norm(x)
    m = np.eye(4)
    m[:3, :3] = np.stack([x, np.cross(z, x), z], axis=1)
    m[:3, 3] = eye
    return Pose.from_matrix(m)
