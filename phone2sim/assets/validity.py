"""Where novel views are supported: the shell of directions and distances from which the capture looked."""

from __future__ import annotations

from typing import Any

import numpy as np


def validity_map(centres: np.ndarray, middle: np.ndarray) -> dict[str, Any]:
    """Ranges of radius [m], elevation and azimuth [rad] of camera centres (n, 3) around `middle` (3,), slightly widened.

    Azimuth runs from low to high counter-clockwise and may pass π; a capture without a gap over 60° has the full circle.
    """
    d = np.asarray(centres) - middle
    radius = np.linalg.norm(d, axis=1)
    elevation = np.arcsin(np.clip(d[:, 2] / np.maximum(radius, 1e-9), -1, 1))
    azimuth = np.sort(np.arctan2(d[:, 1], d[:, 0]))
    gaps = np.diff(np.append(azimuth, azimuth[0] + 2 * np.pi))
    widest = int(np.argmax(gaps))
    if gaps[widest] < np.deg2rad(60):
        around = [-np.pi, np.pi]
    else:
        low = float(azimuth[(widest + 1) % len(azimuth)])
        around = [low - 0.1, low + 2 * np.pi - float(gaps[widest]) + 0.1]
    lo, hi = np.percentile(radius, [2, 98])
    e = np.percentile(elevation, [2, 98])
    return {
        "center": [float(x) for x in middle],
        "radius_m": [float(0.9 * lo), float(1.1 * hi)],
        "elevation_rad": [float(max(e[0] - 0.09, -np.pi / 2)), float(min(e[1] + 0.09, np.pi / 2))],
        "azimuth_rad": [float(a) for a in around],
    }


def looked_at(T_world_camera: np.ndarray) -> np.ndarray:
    """(3,) the point nearest to all optical axes (least squares) of cameras (n, 4, 4)."""
    c, f = T_world_camera[:, :3, 3], T_world_camera[:, :3, 2]
    P = np.eye(3) - f[:, :, None] * f[:, None, :]
    A = P.sum(axis=0) + 1e-6 * np.eye(3)
    return np.linalg.solve(A, np.einsum("nij,nj->i", P, c) + 1e-6 * c.mean(axis=0))
