"""Smooth shells for robot links, made in code: lofts along a spine, turned profiles, rounded boxes. Metres."""

from __future__ import annotations

import numpy as np

from phone2sim.assets.mesh import TexturedMesh


def merge(meshes: list[TexturedMesh]) -> TexturedMesh:
    """Several untextured meshes as one."""
    offset = np.cumsum([0, *(len(m.vertices) for m in meshes[:-1])])
    return TexturedMesh(
        vertices=np.concatenate([m.vertices for m in meshes]),
        faces=np.concatenate([m.faces + o for m, o in zip(meshes, offset, strict=True)]),
    )


def turned(
    profile: list[tuple[float, float]], *, center: tuple[float, float, float] = (0, 0, 0),
    axis: tuple[float, float, float] = (0, 0, 1), sides: int = 22, fillet: float = 0.004,
) -> TexturedMesh:  # fmt: skip
    """A closed solid of revolution: (radius, height) points from bottom to top along `axis`, corners rounded."""
    p = _rounded(np.array([(0.0, profile[0][1]), *profile, (0.0, profile[-1][1])]), fillet)
    x, y, z = _frame(np.array(axis, float))
    turn = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    circle = np.cos(turn)[:, None] * x + np.sin(turn)[:, None] * y
    rings = [np.array(center) + r * circle + h * z for r, h in p[1:-1]]
    return _closed(rings, np.array(center) + p[0, 1] * z, np.array(center) + p[-1, 1] * z)


def loft(
    spine: list[tuple[float, float, float]], radii: list[float] | list[tuple[float, float]], *,
    across: tuple[float, float, float] = (0, 1, 0), sides: int = 22, samples: int = 12, square: float = 2.0,
    dome: float = 0.35,
) -> TexturedMesh:  # fmt: skip
    """A tube along a smooth curve through `spine`; `radii` are half widths in the bend's plane and along `across`.

    `square` is the exponent of the cross-section's superellipse (2 round, 4 boxy); the ends are domes whose height is
    `dome` times the smaller radius.
    """
    path = np.array(spine, float)
    half = np.array([np.broadcast_to(r, 2) for r in radii], float)
    t = np.linspace(0, len(path) - 1, samples)
    path, half = _catmull(path, t), _catmull(half, t)
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    turn = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    c, s = np.cos(turn), np.sin(turn)
    c, s = np.sign(c) * np.abs(c) ** (2 / square), np.sign(s) * np.abs(s) ** (2 / square)
    rings = []
    angles = np.deg2rad([60, 35, 12] if dome > 0.15 else [35])  # a flat end needs one ring
    ends = np.sin(angles), np.cos(angles)
    for i in range(len(path)):
        b = np.array(across) - tangent[i] * (tangent[i] @ np.array(across))
        b /= np.linalg.norm(b)
        a = np.cross(b, tangent[i])
        ring = half[i, 0] * c[:, None] * a + half[i, 1] * s[:, None] * b
        height = dome * half[i].min()
        if i == 0:
            rings += [path[0] - height * up * tangent[0] + flat * ring for up, flat in zip(*ends, strict=True)]
        rings.append(path[i] + ring)
        if i == len(path) - 1:
            pairs = list(zip(*ends, strict=True))[::-1]
            rings += [path[i] + height * up * tangent[i] + flat * ring for up, flat in pairs]
    first, last = dome * half[0].min(), dome * half[-1].min()
    return _closed(rings, path[0] - first * tangent[0], path[-1] + last * tangent[-1])


def rounded_box(
    size: tuple[float, float, float], *, center: tuple[float, float, float] = (0, 0, 0), radius: float = 0.004
) -> TexturedMesh:
    """A box whose twelve edges are bevelled by `radius`, 44 faces, flat-shaded sides."""
    h = np.array(size) / 2
    points = []
    for axis in range(3):
        keep = h - radius
        keep[axis] = h[axis]
        corners = np.stack(np.meshgrid(*([-k, k] for k in keep), indexing="ij"), axis=-1).reshape(-1, 3)
        points.append(corners)
    import trimesh

    hull = trimesh.convex.convex_hull(np.concatenate(points))
    return TexturedMesh(vertices=hull.vertices + np.array(center), faces=hull.faces)


def _closed(rings: list[np.ndarray], first: np.ndarray, last: np.ndarray) -> TexturedMesh:
    n, k = len(rings[0]), len(rings)
    i = np.arange(n)
    j = (i + 1) % n
    f = []
    for r in range(k - 1):
        a, b = r * n, (r + 1) * n
        f += [np.stack([a + i, a + j, b + j], 1), np.stack([a + i, b + j, b + i], 1)]
    f += [
        np.stack([np.full(n, k * n), j, i], 1),
        np.stack([np.full(n, k * n + 1), (k - 1) * n + i, (k - 1) * n + j], 1),
    ]
    return TexturedMesh(vertices=np.concatenate([*rings, [first], [last]]), faces=np.concatenate(f))


def _rounded(p: np.ndarray, fillet: float) -> np.ndarray:
    out = [p[0]]
    for a, b, c in zip(p[:-2], p[1:-1], p[2:], strict=True):
        u, v = a - b, c - b
        lu, lv = float(np.linalg.norm(u)), float(np.linalg.norm(v))
        cut = float(min(fillet, 0.45 * lu, 0.45 * lv))
        if cut < 1e-6:
            out.append(b)
            continue
        s, e = b + u / lu * cut, b + v / lv * cut
        out += [s, 0.25 * s + 0.5 * b + 0.25 * e, e]
    return np.array([*out, p[-1]])


def _frame(axis: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    z = axis / np.linalg.norm(axis)
    x = np.cross([0.0, 0, 1] if abs(z[2]) < 0.9 else [0.0, 1, 0], z)
    x /= np.linalg.norm(x)
    return x, np.cross(z, x), z


def _catmull(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Catmull-Rom spline through rows of p at parameters t in [0, len(p) - 1]."""
    q = np.concatenate([[2 * p[0] - p[1]], p, [2 * p[-1] - p[-2]]])
    i = np.minimum(t.astype(int), len(p) - 2)
    u = (t - i)[:, None]
    a, b, c, d = q[i], q[i + 1], q[i + 2], q[i + 3]
    return 0.5 * (2 * b + (c - a) * u + (2 * a - 5 * b + 4 * c - d) * u**2 + (3 * b - a - 3 * c + d) * u**3)
