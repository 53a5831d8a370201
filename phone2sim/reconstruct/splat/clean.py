"""What is removed at the end of training: Gaussians that explain single pictures rather than the scene."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from phone2sim.reconstruct.splat.cloud import SH_C0
from phone2sim.reconstruct.splat.gaussians import GROUPS, Gaussians, sigmoid
from phone2sim.reconstruct.splat.views import TrainingView


def contributions(g: Gaussians, view: TrainingView, rasterizer: Callable, *, near: float) -> np.ndarray:
    """(n,) summed blending weight [px] of each Gaussian in a view: the derivative of the picture's sum by its colour."""
    l = view.levels[1]
    h, w = l.target.shape[1:]
    raster = rasterizer(w, h)
    grey = np.zeros((len(g), 1, 3), np.float32)
    arrays = (*g.arrays[:4], grey)
    rgb = raster.forward(*arrays, K=l.K, T_camera_world=view.T_camera_world, background=np.zeros(3, np.float32), degree=0, near=near)[0]
    grads = {f"g_{k}": np.empty_like(a) for k, a in zip(GROUPS, arrays)}
    raster.backward(rgb, np.ones_like(rgb), *arrays, **grads, g_screen=np.empty(len(g), np.float32))
    return grads["g_sh"][:, 0, 0] / np.float32(SH_C0)


def clean(g: Gaussians, views: list[TrainingView], *, points: np.ndarray, rasterizer: Callable) -> None:
    """Drop faint Gaussians, those that hang right in front of a camera, those huge in a view, and those that help
    fewer than three views. Everything is in the normalised world; `points` are the sparse points in it.
    """
    from phone2sim.reconstruct.splat.train import NEAR

    n = len(g)
    helped = np.zeros(n, int)
    for view in views:
        weight = contributions(g, view, rasterizer, near=NEAR)
        helped += weight > 0.02
    means = g.p["means"].astype(np.float64)
    nearest, wide = np.full(n, np.inf), np.zeros(n)
    size = np.exp(g.p["log_scales"].astype(np.float64)).max(axis=1)
    for view in views:
        T = view.T_camera_world.astype(np.float64)
        z = means @ T[2, :3] + T[2, 3]
        p = (means @ T[:3, :3].T + T[:3, 3]) / np.maximum(z, 1e-9)[:, None]
        K, (h, w) = view.levels[0].K, view.levels[0].target.shape[1:]
        u, v = K[0, 0] * p[:, 0] + K[0, 2], K[1, 1] * p[:, 1] + K[1, 2]
        inside = (z > NEAR) & (u > -0.1 * w) & (u < 1.1 * w) & (v > -0.1 * h) & (v < 1.1 * h)
        nearest = np.where(inside, np.minimum(nearest, z), nearest)
        wide = np.where(inside, np.maximum(wide, size / np.maximum(z, NEAR) * K[0, 0] / max(w, h)), wide)
    depth = np.concatenate([(points @ v.T_camera_world[2, :3] + v.T_camera_world[2, 3]) for v in views])
    closest = 0.5 * np.percentile(depth[depth > NEAR], 1) if (depth > NEAR).any() else 0.0
    keep = (sigmoid(g.p["logits"]) > 0.02) & (helped >= min(3, len(views))) & (nearest > closest) & (wide < 0.4)
    g.edit(keep, np.zeros(0, np.intp))
