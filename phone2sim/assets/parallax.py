"""How far a surface must move for the photos to agree on its colours: what lies too deep or too high slides between views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from phone2sim.assets.views import View

STEPS = np.linspace(-1.25, 1.25, 11)
"""Tried moves along the normal [voxels]."""
FACING = 0.35
"""Least cosine between a surface's normal and the line of sight of a view that counts."""
POINTS = 5000
"""Points of the surface that are looked at."""
NOISE = 4.0
"""1 sigma of a photo's grey [0–255]: what views differ by even where the surface is right."""


@dataclass(frozen=True, kw_only=True)
class Slide:
    """Per vertex of a mesh."""

    move: np.ndarray
    """(n,) [m] along the normal, where the photos agree best."""
    weight: np.ndarray
    """(n,) 1/m²: how surely; 0 where there is no pattern to tell."""


def slide(
    mesh: Any, views: list[View], masks: list[np.ndarray], *, voxel: float, tolerance_m: float, together: Sequence[np.ndarray] = ()
) -> Slide:
    """Where the vertices of a `trimesh.Trimesh` (world frame) would have to be for the photos to agree. `masks` ((h, w) bool per
    view) show the object; the vertices of each of `together` ((n,) bool) move as one."""
    import cv2
    import trimesh

    points, face = trimesh.sample.sample_surface(mesh, POINTS, seed=0)
    corners = np.asarray(mesh.faces)[face]
    bary = trimesh.triangles.points_to_barycentric(np.asarray(mesh.triangles)[face], points)
    normal = np.einsum("nk,nkc->nc", bary, np.asarray(mesh.vertex_normals)[corners])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    steps = (STEPS * voxel).astype(np.float32)
    total, first, second = (np.zeros((len(points), len(steps)), np.float32) for _ in range(3))
    for view, mask in zip(views, masks, strict=True):
        if not mask.any():
            continue
        core = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8)).ravel() > 0
        index, z, inside = view.pixels(points)
        ray = view.centre - points
        facing = (ray * normal).sum(axis=1) / np.linalg.norm(ray, axis=1)
        rows = np.flatnonzero(inside & core[index] & (facing > FACING) & (np.abs(view.depth.ravel()[index] - z) < tolerance_m))
        if not len(rows):
            continue
        grey = cv2.cvtColor(view.photo, cv2.COLOR_RGB2GRAY).astype(np.float32)
        P = view.K @ view.T_camera_world[:3]
        at, along = points[rows] @ P[:, :3].T + P[:, 3], normal[rows] @ P[:, :3].T
        q = (at[:, None] + steps[None, :, None] * along[:, None]).astype(np.float32)
        s = grey.shape[1] / view.depth.shape[1]
        value = cv2.remap(grey, s * q[..., 0] / q[..., 2] - 0.5, s * q[..., 1] / q[..., 2] - 0.5, cv2.INTER_LINEAR)
        w = facing[rows, None].astype(np.float32)
        total[rows] += w
        first[rows] += w * value
        second[rows] += w * value**2
    seen = np.flatnonzero(total[:, 0] > 1.5)
    spread = second[seen] / total[seen] - (first[seen] / total[seen]) ** 2
    spread *= total[seen]
    cost = np.zeros((len(mesh.vertices), len(steps)))
    for k in range(3):
        np.add.at(cost, corners[seen, k], bary[seen, k, None] * spread)
    shared = _shared(cost, mesh)
    for group in together:
        shared[group] = cost[group].sum(axis=0)
    return _lowest(shared, steps)


def _shared(cost: np.ndarray, mesh: Any, rounds: int = 3) -> np.ndarray:
    """Costs (n, k) of vertices with those of their neighbours added, so that small triangles decide together."""
    from scipy import sparse

    e = np.asarray(mesh.edges_unique)
    n = len(cost)
    length = np.linalg.norm(np.asarray(mesh.vertices)[e[:, 0]] - np.asarray(mesh.vertices)[e[:, 1]], axis=1)
    normals = np.asarray(mesh.vertex_normals)
    alike = np.clip((normals[e[:, 0]] * normals[e[:, 1]]).sum(axis=1), 0, 1) ** 4 * np.exp(-length / 0.01)
    A = sparse.csr_matrix((np.concatenate([alike, alike]), (np.concatenate([e[:, 0], e[:, 1]]), np.concatenate([e[:, 1], e[:, 0]]))), shape=(n, n))
    degree = np.maximum(np.asarray(A.sum(axis=1)).ravel(), 1)
    for _ in range(rounds):
        cost = cost + sparse.diags(1 / degree) @ A @ cost
    return cost


def _lowest(cost: np.ndarray, steps: np.ndarray) -> Slide:
    """The lowest point of each row's parabola around its least entry."""
    k = np.clip(cost.argmin(axis=1), 1, cost.shape[1] - 2)
    rows = np.arange(len(cost))
    a, b, c = (cost[rows, k + d] for d in (-1, 0, 1))
    bend = np.maximum(a - 2 * b + c, 1e-9)
    h = float(steps[1] - steps[0])
    move = steps[k] + h * np.clip(0.5 * (a - c) / bend, -1, 1)
    inner = (cost.argmin(axis=1) > 0) & (cost.argmin(axis=1) < cost.shape[1] - 1)
    return Slide(move=move, weight=np.where(inner, bend / h**2 / (2 * NOISE**2), 0.0))
