"""Poses of the small synthetic captures of these tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from phone2sim.poses import Pose, look_at
from phone2sim.reconstruct.capture import Capture

SIZE = (480, 640)
FOCAL = 512.0
Told = Sequence[np.ndarray | None] | np.ndarray
Film = Callable[..., Capture]


def orbit(n: int = 12) -> np.ndarray:
    """(n, 4, 4) true poses a quarter way round the table."""
    angles = np.radians(np.linspace(0, 85, n))
    eyes = [np.array([0.7 * np.cos(a), 0.7 * np.sin(a), 0.45 + 0.06 * np.sin(3 * a)]) for a in angles]
    return np.array([look_at(e, np.array([0, 0, 0.03])).matrix for e in eyes])


def turn(n: int = 8) -> np.ndarray:
    """(n, 4, 4) poses that look round from one spot."""
    eye = np.array([0.2, -0.75, 0.5])
    angles = np.radians(np.linspace(-25, 25, n))
    return np.array([look_at(eye, eye + [np.sin(a), np.cos(a), -0.5 + 0.1 * np.sin(3 * a)]).matrix for a in angles])


def shaken(T: np.ndarray, position_m: float, angle_deg: float, seed: int = 0) -> np.ndarray:
    """Poses (n, 4, 4) off by about `position_m` and `angle_deg`."""
    rng = np.random.default_rng(seed)
    off = Pose(
        rng.normal(0, position_m / np.sqrt(3), (len(T), 3)),
        np.column_stack([np.ones(len(T)), rng.normal(0, np.radians(angle_deg) / np.sqrt(12), (len(T), 3))]),
    )
    out = T @ Pose(np.zeros((len(T), 3)), off.quat_wxyz).matrix
    out[:, :3, 3] += off.translation
    return out
