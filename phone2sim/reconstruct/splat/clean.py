"""What is removed at the end of training: Gaussians that explain single pictures rather than the scene."""

from __future__ import annotations

import numpy as np

from phone2sim.reconstruct.splat.backend import NEAR, Engine
from phone2sim.reconstruct.splat.gaussians import sigmoid
from phone2sim.reconstruct.splat.views import TrainingView


def clean(engine: Engine, views: list[TrainingView], *, points: np.ndarray) -> None:
    """Drop faint Gaussians, those that hang right in front of a camera, those huge in a view, and those that help
    fewer than three views. Everything is in the normalised world; `points` are the sparse points in it.
    """
    n, p = len(engine), engine.read()
    helped = np.zeros(n, int)
    for view in views:
        helped += engine.contributions(view) > 0.02
    means = p["means"].astype(np.float64)
    nearest, wide = np.full(n, np.inf), np.zeros(n)
    size = np.exp(p["log_scales"].astype(np.float64)).max(axis=1)
    for view in views:
        T = view.T_camera_world.astype(np.float64)
        z = means @ T[2, :3] + T[2, 3]
        q = (means @ T[:3, :3].T + T[:3, 3]) / np.maximum(z, 1e-9)[:, None]
        K, (h, w) = view.levels[0].K, view.levels[0].target.shape[1:]
        u, v = K[0, 0] * q[:, 0] + K[0, 2], K[1, 1] * q[:, 1] + K[1, 2]
        inside = (z > NEAR) & (u > -0.1 * w) & (u < 1.1 * w) & (v > -0.1 * h) & (v < 1.1 * h)
        nearest = np.where(inside, np.minimum(nearest, z), nearest)
        wide = np.where(inside, np.maximum(wide, size / np.maximum(z, NEAR) * K[0, 0] / max(w, h)), wide)
    depth = np.concatenate([(points @ v.T_camera_world[2, :3] + v.T_camera_world[2, 3]) for v in views])
    closest = 0.5 * np.percentile(depth[depth > NEAR], 1) if (depth > NEAR).any() else 0.0
    keep = (sigmoid(p["logits"]) > 0.02) & (helped >= min(3, len(views))) & (nearest > closest) & (wide < 0.4)
    engine.replace({k: v[keep] for k, v in p.items()}, np.flatnonzero(keep))
