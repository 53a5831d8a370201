"""Better shaped triangles of the same surface: simplified meshes are full of needles, whose wild normals spoil textures and shading."""

from __future__ import annotations

from typing import Any

import numpy as np

ROUNDS = 30
"""Passes over all edges at most; a few of them do most of the work."""
GAIN_RAD = float(np.radians(0.5))
"""An edge is turned when the smallest angle beside it grows by so much."""
FLAT = float(np.cos(np.radians(40.0)))
"""Least cosine between a new triangle and what it replaces."""


def flipped(mesh: Any, *, off_m: float) -> Any:
    """A closed `trimesh.Trimesh` with the same vertices whose edges are turned where that makes the smallest angle larger and moves
    the surface by no more than `off_m` [m] (Lawson 1977)."""
    import trimesh

    v, f = np.asarray(mesh.vertices, float), np.array(mesh.faces)
    for _ in range(ROUNDS):
        edge, side, apex = _pairs(f)
        a, b, c, d = v[edge[:, 0]], v[edge[:, 1]], v[apex[:, 0]], v[apex[:, 1]]  # a b c and b a d are the triangles
        before = np.minimum(_least_angle(a, b, c), _least_angle(b, a, d))
        gain = np.minimum(_least_angle(c, a, d), _least_angle(d, b, c)) - before
        old, new = (_normal(a, b, c), _normal(b, a, d)), (_normal(c, a, d), _normal(d, b, c))
        both = _unit(old[0] + old[1])
        ok = (gain > GAIN_RAD) & _flat(new, both) & (_apart(a, b, c, d) < off_m)
        ok &= ~np.isin(_key(apex, len(v)), _key(edge, len(v)))
        chosen = _independent(np.flatnonzero(ok)[np.argsort(-gain[ok], kind="stable")], side, apex, len(f), len(v))
        if not len(chosen):
            break
        f[side[chosen, 0]] = np.column_stack([apex[chosen, 0], edge[chosen, 0], apex[chosen, 1]])
        f[side[chosen, 1]] = np.column_stack([apex[chosen, 1], edge[chosen, 1], apex[chosen, 0]])
    return trimesh.Trimesh(v, f, process=False)


def _pairs(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every edge between two faces: its ends (k, 2) as the first face runs through them, the faces (k, 2), their other corners (k, 2)."""
    half = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    across = faces[:, [2, 0, 1]].ravel()
    key = _key(half, int(faces.max()) + 1)
    order = np.argsort(key, kind="stable")
    first = np.flatnonzero(key[order][:-1] == key[order][1:])
    i, j = order[first], order[first + 1]
    ok = (half[i] == half[j][:, ::-1]).all(axis=1)
    i, j = i[ok], j[ok]
    return half[i], np.column_stack([i // 3, j // 3]), np.column_stack([across[i], across[j]])


def _key(pairs: np.ndarray, n: int) -> np.ndarray:
    low, high = np.sort(pairs, axis=1).T.astype(np.int64)
    return np.asarray(low * n + high)


def _normal(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """(k, 3) of the length of twice the area."""
    return np.cross(b - a, c - a)


def _unit(x: np.ndarray) -> np.ndarray:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-20))


def _flat(new: tuple[np.ndarray, np.ndarray], both: np.ndarray) -> np.ndarray:
    return np.asarray(np.all([(_unit(n) * both).sum(axis=1) > FLAT for n in new], axis=0))


def _least_angle(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """(k,) [rad]"""
    angles = []
    for p, q, r in ((a, b, c), (b, c, a), (c, a, b)):
        x, y = q - p, r - p
        angles.append(np.arctan2(np.linalg.norm(np.cross(x, y), axis=1), (x * y).sum(axis=1)))
    return np.asarray(np.min(angles, axis=0))


def _apart(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """(k,) distance [m] between the lines a b and c d: how far turning the edge moves the surface."""
    n = np.cross(b - a, d - c)
    return np.abs(((c - a) * _unit(n)).sum(axis=1))


def _independent(order: np.ndarray, side: np.ndarray, apex: np.ndarray, faces: int, vertices: int) -> np.ndarray:
    """Of edges in `order`, those that share no face with an earlier one; no two of them are turned into the same edge."""
    used, made, out = np.zeros(faces, bool), set(), []
    for k, name in zip(order.tolist(), _key(apex[order], vertices).tolist(), strict=True):
        i, j = side[k]
        if used[i] or used[j] or name in made:
            continue
        used[[i, j]] = True
        made.add(name)
        out.append(k)
    return np.array(out, int)
