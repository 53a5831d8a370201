"""Zero level set of a grid by marching tetrahedra (Doi & Koide 1991): closed and manifold wherever the field is bounded."""

from __future__ import annotations

import numpy as np

# Six tetrahedra around the diagonal 0–7 of a cube whose corner c has offsets (c>>2 & 1, c>>1 & 1, c & 1).
_TETS = np.array([[0, 4, 6, 7], [0, 6, 2, 7], [0, 2, 3, 7], [0, 3, 1, 7], [0, 1, 5, 7], [0, 5, 4, 7]])


def isosurface(values: np.ndarray, valid: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Surface between negative (inside) and non-negative values (nx, ny, nz).

    Returns vertices (v, 3) in node units and faces (f, 3), counter-clockwise from outside. Cells with a corner that
    is not `valid` are left out, which opens the surface there.
    """
    shape = values.shape
    inside = values < 0
    corners = [np.s_[i : shape[0] - 1 + i, j : shape[1] - 1 + j, k : shape[2] - 1 + k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    some, every = inside[corners[0]].copy(), inside[corners[0]].copy()
    for c in corners[1:]:
        some |= inside[c]
        every &= inside[c]
    cross = some & ~every
    if valid is not None:
        for c in corners:
            cross &= valid[c]
    cells = np.stack(np.nonzero(cross), axis=1)
    if not len(cells):
        return np.zeros((0, 3)), np.zeros((0, 3), int)
    offsets = np.array([[c >> 2 & 1, c >> 1 & 1, c & 1] for c in range(8)])
    ids = np.ravel_multi_index(np.moveaxis(cells[:, None] + offsets, -1, 0), shape)  # (n, 8)

    unique, t, faces = _march(values.ravel(), ids)
    pa, pb = (np.stack(np.unravel_index(x, shape), axis=1).astype(np.float64) for x in unique)
    return pa + t * (pb - pa), faces


def sparse_isosurface(ijk: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same for values (n,) known at integer nodes ijk (n, 3) only, sorted by i, then j, then k and unique.

    Cells with a corner that is not among the nodes are left out.
    """
    low = ijk.min(axis=0)
    size = np.ptp(ijk, axis=0).astype(np.int64) + 2  # one spare layer: a step beyond the end of a row is no other row's node
    key = np.ravel_multi_index((ijk - low).T, tuple(size))
    ids, ok = np.empty((len(key), 8), np.int64), np.ones(len(key), bool)
    for c in range(8):
        wanted = key + ((c >> 2 & 1) * size[1] + (c >> 1 & 1)) * size[2] + (c & 1)
        at = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
        ok &= key[at] == wanted
        ids[:, c] = at
    inside = (values < 0)[ids]
    ids = ids[ok & inside.any(axis=1) & ~inside.all(axis=1)]
    if not len(ids):
        return np.zeros((0, 3)), np.zeros((0, 3), int)
    (a, b), t, faces = _march(values, ids)
    pa, pb = ijk[a].astype(np.float64), ijk[b].astype(np.float64)
    return pa + t * (pb - pa), faces


def _march(values: np.ndarray, ids: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray, np.ndarray]:
    """Vertices as (node, node) pairs with the share of the way between them (v, 1), and faces, of cells ids (n, 8)."""
    edges_a: list[np.ndarray] = []
    edges_b: list[np.ndarray] = []
    flat_inside = values < 0
    for tet in _TETS:
        t = ids[:, tet]
        s = flat_inside[t]
        n = s.sum(axis=1)
        # Order the corners inside first while keeping the tetrahedron's orientation (an even permutation).
        for k, rows in ((1, n == 1), (3, n == 3), (2, n == 2)):
            if not rows.any():
                continue
            q = _oriented(t[rows], s[rows])
            a, b, c, d = q.T
            if k == 1:
                _add(edges_a, edges_b, (a, a, a), (b, c, d))
            elif k == 3:
                _add(edges_a, edges_b, (a, b, c), (d, d, d))
            else:
                _add(edges_a, edges_b, (a, a, b), (c, d, d))
                _add(edges_a, edges_b, (a, b, b), (c, d, c))
    lo, hi = np.concatenate(edges_a), np.concatenate(edges_b)
    swap = lo > hi
    lo, hi = np.where(swap, hi, lo), np.where(swap, lo, hi)
    key = lo.astype(np.int64) * values.size + hi
    unique, faces = np.unique(key.ravel(), return_inverse=True)
    a, b = unique // values.size, unique % values.size
    va, vb = values[a].astype(np.float64), values[b].astype(np.float64)
    t = np.clip(va / np.where(va == vb, 1, va - vb), 1e-3, 1 - 1e-3)[:, None]
    return (a, b), t, faces.reshape(-1, 3)


def _oriented(t: np.ndarray, s: np.ndarray) -> np.ndarray:
    order = np.argsort(~s, axis=1, kind="stable")
    odd = _parities(order)
    q = np.take_along_axis(t, order, axis=1)
    n = s.sum(axis=1)
    # An odd permutation is made even by exchanging two corners on the same side of the surface.
    first = odd & (n >= 2)
    q[first] = q[first][:, [1, 0, 2, 3]]
    last = odd & (n == 1)
    q[last] = q[last][:, [0, 1, 3, 2]]
    return q


def _parities(order: np.ndarray) -> np.ndarray:
    inversions = np.zeros(len(order), int)
    for i in range(4):
        for j in range(i + 1, 4):
            inversions += order[:, i] > order[:, j]
    return inversions % 2 == 1


def _add(edges_a: list, edges_b: list, a: tuple, b: tuple) -> None:
    edges_a.append(np.stack(a, axis=1))
    edges_b.append(np.stack(b, axis=1))
