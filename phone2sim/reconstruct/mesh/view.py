"""`View`: an undistorted picture of the capture with the depth the splat renders there. What every surface is fused from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class View:
    """One undistorted picture of the capture with the depth the splat renders there."""

    name: str
    photo: np.ndarray
    """(sh, sw, 3) uint8, the same picture at `s` times the depth's size, exposure-normalised to the splat's appearance."""
    depth: np.ndarray
    """(h, w) float32 depth along the optical axis [m]; 0 where nothing opaque is seen."""
    K: np.ndarray
    """(3, 3) [px]."""
    T_camera_world: np.ndarray
    """(4, 4)."""

    @property
    def centre(self) -> np.ndarray:
        """(3,) camera centre, world [m]."""
        return -self.T_camera_world[:3, :3].T @ self.T_camera_world[:3, 3]

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """World points (n, 3) [m] → u, v [px, pixel centre +0.5] and depth z [m]; u and v are negative behind the camera.

        Fastest for float32 points in column-major order (`Grid.points` gives them so).
        """
        P = (self.K @ self.T_camera_world[:3]).astype(np.float32)
        x, y, z = np.ascontiguousarray(np.asarray(points).T, dtype=np.float32)
        depth = P[2, 0] * x + P[2, 1] * y + P[2, 2] * z + P[2, 3]
        inverse = 1 / np.maximum(depth, np.float32(1e-4))
        u = (P[0, 0] * x + P[0, 1] * y + P[0, 2] * z + P[0, 3]) * inverse
        v = (P[1, 0] * x + P[1, 1] * y + P[1, 2] * z + P[1, 3]) * inverse
        if (depth <= 1e-4).any():
            u[depth <= 1e-4] = -1
        return u, v, depth

    def pixels(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """World points (n, 3) → flat pixel index, depth z [m], and whether the point falls into the picture."""
        u, v, z = self.project(points)
        h, w = self.depth.shape
        inside = (u >= 0) & (u < w) & (v >= 0) & (v < h)
        index = np.where(inside, v.astype(np.int32) * w + u.astype(np.int32), 0)
        return index, z, inside

    def colors(self, points: np.ndarray) -> np.ndarray:
        """Bilinear photo colour (n, 3) float32 0–255 at world points that fall into the picture."""
        u, v, _ = self.project(points)
        h, w = self.photo.shape[:2]
        u, v = u * np.float32(w / self.depth.shape[1]), v * np.float32(h / self.depth.shape[0])
        u, v = np.clip(u - 0.5, 0, w - 1.001), np.clip(v - 0.5, 0, h - 1.001)
        i, j = v.astype(np.int32), u.astype(np.int32)
        fv, fu = (v - i)[:, None].astype(np.float32), (u - j)[:, None].astype(np.float32)
        i1, j1 = np.minimum(i + 1, h - 1), np.minimum(j + 1, w - 1)
        p = self.photo
        return (p[i, j] * (1 - fu) + p[i, j1] * fu) * (1 - fv) + (p[i1, j] * (1 - fu) + p[i1, j1] * fu) * fv

    def unproject(self, stride: int = 1, *, where: np.ndarray | None = None) -> np.ndarray:
        """World points (k, 3) [m] of all pixels with depth, row by row; only of those in `where` (h, w) bool."""
        known = self.depth > 0 if where is None else where & (self.depth > 0)
        v, u = np.nonzero(known[::stride, ::stride])
        v, u = v * stride, u * stride
        z = self.depth[v, u].astype(np.float64)
        x = (u + 0.5 - self.K[0, 2]) / self.K[0, 0] * z
        y = (v + 0.5 - self.K[1, 2]) / self.K[1, 1] * z
        R = self.T_camera_world[:3, :3]
        return (np.stack([x, y, z], axis=1) - self.T_camera_world[:3, 3]) @ R
