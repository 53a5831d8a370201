"""The scene's validity: the map of supported views as plain data, with the shell that holds it."""

from __future__ import annotations

from typing import Any

import numpy as np

from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.reconstruct.validity import ValidityMap, build_validity, shell_of


def scene_validity(
    cloud: SplatCloud, cameras: Cameras, points: np.ndarray, metrics: dict[str, Any], *, center: np.ndarray
) -> dict[str, Any]:
    """`Scene.validity` around `center` (3,) [m]; see `build_validity` for the rest."""
    found = build_validity(cloud, cameras, points, metrics, center=center)
    return shell_of(found) | {"map": found.to_json()}


def validity_of(validity: dict[str, Any]) -> ValidityMap | None:
    """The map in a scene's `validity`; None where it only has ranges, or nothing."""
    return ValidityMap.from_json(validity["map"]) if validity.get("map") else None


def looked_at(T_world_camera: np.ndarray) -> np.ndarray:
    """(3,) the point nearest to all optical axes (least squares) of cameras (n, 4, 4)."""
    c, f = T_world_camera[:, :3, 3], T_world_camera[:, :3, 2]
    P = np.eye(3) - f[:, :, None] * f[:, None, :]
    A = P.sum(axis=0) + 1e-6 * np.eye(3)
    return np.linalg.solve(A, np.einsum("nij,nj->i", P, c) + 1e-6 * c.mean(axis=0))
