"""`Sky`: what is seen where the scene ends, for captures outdoors. A colour per direction, learned with the splat."""

from __future__ import annotations

import numpy as np

from phone2sim.reconstruct.splat.cloud import SH_C0
from phone2sim.reconstruct.splat.views import Level, TrainingView

SH_C1 = 0.4886025119029199
SPHERE = 3000


class Sky:
    """Spherical harmonics of degree 1 by direction: `value` (4, 3), colour = 0.5 + basis @ value, held above 0. The unit
    of length does not matter; axes are the world's."""

    def __init__(self) -> None:
        self.value = np.zeros((4, 3))
        self._m, self._v, self._steps = np.zeros((4, 3)), np.zeros((4, 3)), 0

    @staticmethod
    def basis(directions: np.ndarray) -> np.ndarray:
        """(..., 4) at unit directions (..., 3), in the order and signs of 3DGS."""
        d = directions
        return np.stack([np.full(d.shape[:-1], SH_C0, d.dtype), -SH_C1 * d[..., 1], SH_C1 * d[..., 2], -SH_C1 * d[..., 0]], axis=-1)

    def colors(self, directions: np.ndarray) -> np.ndarray:
        """(..., 3) at unit directions (..., 3)."""
        return np.asarray(np.maximum(self.basis(directions) @ self.value.astype(directions.dtype) + 0.5, 0))

    def picture(self, view: TrainingView, level: Level) -> np.ndarray:
        """(3, h, w) float32: the background of a view."""
        return np.ascontiguousarray(self.colors(_directions(view, level)).transpose(2, 0, 1), np.float32)

    def step(self, view: TrainingView, level: Level, g_background: np.ndarray, t: float) -> None:
        """One Adam step from the derivative (3, h, w) by the background; `t` is the share of training done."""
        b = self.basis(_directions(view, level)).reshape(-1, 4)
        lit = self.picture(view, level) > 0
        g = (b.T @ (g_background * lit).reshape(3, -1).T).astype(np.float64)
        self._steps += 1
        self._m = 0.9 * self._m + 0.1 * g
        self._v = 0.99 * self._v + 0.01 * g * g
        m, v = self._m / (1 - 0.9**self._steps), self._v / (1 - 0.99**self._steps)
        self.value -= 0.03 * 0.05**t * m / (np.sqrt(v) + 1e-15)

    def likeness(self, view: TrainingView, level: Level) -> np.ndarray:
        """(h, w) float32: 1 where the photo shows just the sky's colour, falling to 0 some twelve grey levels off."""
        off = np.abs(level.picture - self.picture(view, level)).max(axis=0)
        return np.exp(-((off * np.float32(255 / 12)) ** 2))

    def sphere(self, seen: list[tuple[np.ndarray, np.ndarray]], *, radius: float, k: int) -> dict[str, np.ndarray]:
        """The sky as large opaque Gaussians `radius` away from the origin, so that a cloud can carry it: raw parameters with
        `k` SH coefficients. Only where it shows: `seen` holds unit directions (m, 3) and the share (m,) they show of it."""
        i = np.arange(SPHERE) + 0.5  # Fibonacci's sphere
        z, angle = 1 - 2 * i / SPHERE, np.pi * (1 + 5**0.5) * i
        d = np.stack([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z], axis=1)
        from scipy.spatial import cKDTree

        tree, shows = cKDTree(d), np.zeros(SPHERE)
        for directions, share in seen:
            np.maximum.at(shows, tree.query(directions)[1], share)
        near = tree.query_ball_point(d, 2.5 * np.sqrt(4 * np.pi / SPHERE))
        d = d[[max(shows[j] for j in ring) > 0.5 for ring in near]]
        sh = np.zeros((len(d), k, 3))
        sh[:, 0] = (self.colors(d) - 0.5) / SH_C0
        size = 1.2 * radius * np.sqrt(4 * np.pi / SPHERE)
        return {
            "means": (radius * d).astype(np.float32), "quats": np.tile(np.array([1, 0, 0, 0], np.float32), (len(d), 1)),
            "log_scales": np.full((len(d), 3), np.log(size), np.float32), "logits": np.full(len(d), 4.0, np.float32),
            "sh": sh.astype(np.float32),
        }  # fmt: skip


def _directions(view: TrainingView, level: Level) -> np.ndarray:
    """(h, w, 3) float32 unit directions of the pixels in the world."""
    _, h, w = level.target.shape
    x, y = (np.arange(w) + 0.5 - level.K[0, 2]) / level.K[0, 0], (np.arange(h) + 0.5 - level.K[1, 2]) / level.K[1, 1]
    rays = np.empty((h, w, 3), np.float32)
    rays[..., 0], rays[..., 1], rays[..., 2] = x[None], y[:, None], 1
    rays /= np.sqrt((rays * rays).sum(axis=-1, keepdims=True))
    return np.asarray(rays @ view.T_camera_world[:3, :3])


def directions_seen(view: TrainingView, level: Level, transmittance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directions of every 16th pixel and the share of the background that shows there, for `Sky.sphere`."""
    return _directions(view, level)[::4, ::4].reshape(-1, 3), transmittance[::4, ::4].ravel()
