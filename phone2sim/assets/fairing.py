"""Bumps that come from noise taken off a surface, its edges kept: normals of neighbours are averaged where they are alike, and the
vertices follow them (Zheng et al. 2011, bilateral normal filtering)."""

from __future__ import annotations

from typing import Any

import numpy as np

EDGE_RAD = 0.35
"""Normals that differ by much more than this meet in an edge; bumps a third of a voxel high and a voxel wide tilt them by as much."""
FLAT_M = 1e-5
"""Vertices so near the support lie on it."""


def faired(mesh: Any, *, radius_m: float, most_m: float, rounds: int, level: float | None = None) -> Any:
    """The closed `trimesh.Trimesh` with the same triangles, whose normals are averaged `rounds` times over about `radius_m` [m], and
    whose vertices move no farther than `most_m` [m]. With `level` [m] those on that plane stay, and none goes below it."""
    import trimesh
    from scipy import sparse

    start, faces = np.asarray(mesh.vertices, float), np.asarray(mesh.faces)
    n = len(faces)
    corner = sparse.csr_matrix((np.ones(3 * n), faces.ravel(), np.arange(0, 3 * n + 1, 3)), shape=(n, len(start)))
    normals = _averaged(start, faces, corner, radius_m, rounds)
    gather = corner.T.tocsr()
    share = 1 / np.maximum(np.bincount(faces.ravel(), minlength=len(start)), 1)[:, None]
    pull = (gather @ (normals[:, :, None] * normals[:, None]).reshape(n, 9)).reshape(-1, 3, 3)
    held = np.zeros(len(start), bool) if level is None else start[:, 2] < level + FLAT_M
    v = start
    for _ in range(2 * rounds):
        # Each vertex by the mean over its faces of n (n · (middle − v)).
        towards = gather @ (normals * (normals * (corner @ v) / 3).sum(axis=1)[:, None])
        move = v + share * (towards - (pull @ v[..., None])[..., 0]) - start
        move *= np.minimum(1, most_m / np.maximum(np.linalg.norm(move, axis=1, keepdims=True), 1e-12))
        move[held] = 0
        v = start + move
    if level is not None:
        v[:, 2] = np.maximum(v[:, 2], level)
    return trimesh.Trimesh(v, faces, process=False)


def _averaged(v: np.ndarray, faces: np.ndarray, corner: Any, radius_m: float, rounds: int) -> np.ndarray:
    """(f, 3) unit normals of the faces (f, 3) of vertices v, each with those of faces up to two corners away; `corner` (f, v) sparse."""
    from scipy import sparse

    touch = corner @ corner.T
    pairs = touch @ touch
    i, j = np.repeat(np.arange(len(faces), dtype=np.int32), np.diff(pairs.indptr)), pairs.indices
    middle = v[faces].mean(axis=1).astype(np.float32)
    normals = np.cross(v[faces[:, 1]] - v[faces[:, 0]], v[faces[:, 2]] - v[faces[:, 0]]).astype(np.float32)
    area = np.linalg.norm(normals, axis=1)
    normals /= np.maximum(area, 1e-20)[:, None]
    near = area[j] * np.exp(-_squares(middle, i, j) / (2 * radius_m**2))
    for _ in range(rounds):
        alike = np.exp(-_squares(normals, i, j) / (2 * EDGE_RAD**2))
        normals = sparse.csr_matrix((near * alike, j, pairs.indptr), shape=pairs.shape) @ normals
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return np.asarray(normals, float)


def _squares(x: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """(k,) squared distance between rows of x (n, 3)."""
    return np.asarray(sum((x[i, c] - x[j, c]) ** 2 for c in range(3)))
