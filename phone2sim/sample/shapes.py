"""Procedural closed surfaces with texture coordinates. Metres, z up, origin at the centre of the contact footprint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Triangles with smooth normals and UV (origin at the picture's bottom left)."""

    vertices: np.ndarray
    """(v, 3) [m]."""
    faces: np.ndarray
    """(f, 3) counter-clockwise from outside."""
    normals: np.ndarray
    """(v, 3)."""
    uv: np.ndarray
    """(v, 2)."""


def join(shapes: Sequence[Shape]) -> Shape:
    """Several shapes as one, sharing a picture."""
    offsets = np.cumsum([0, *(len(s.vertices) for s in shapes[:-1])])
    return Shape(
        vertices=np.concatenate([s.vertices for s in shapes]),
        faces=np.concatenate([s.faces + o for s, o in zip(shapes, offsets)]),
        normals=np.concatenate([s.normals for s in shapes]),
        uv=np.concatenate([s.uv for s in shapes]),
    )


def _grid_faces(rows: int, columns: int) -> np.ndarray:
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    a = (i * columns + j).ravel()
    b, c, d = a + 1, a + columns + 1, a + columns
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def lathe(profile: Sequence[np.ndarray], *, around: int = 72, v_range: tuple[float, float] = (0.0, 1.0)) -> Shape:
    """Turn `profile` about z: smooth pieces (k, 2) of (radius, z), from the bottom's centre outwards and up.

    u runs around, v along the profile's length within `v_range`. Pieces meet in a crease.
    """
    total = sum(np.linalg.norm(np.diff(p, axis=0), axis=1).sum() for p in profile)
    angle = np.linspace(0, 2 * np.pi, around + 1)
    c, s = np.cos(angle), np.sin(angle)
    c[-1], s[-1] = c[0], s[0]
    pieces, done = [], 0.0
    for p in profile:
        step = np.linalg.norm(np.diff(p, axis=0), axis=1)
        length = done + np.concatenate([[0], np.cumsum(step)])
        done = length[-1]
        tangent = np.gradient(p, axis=0)
        n = np.stack([tangent[:, 1], -tangent[:, 0]], 1)
        n /= np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-12)
        k = len(p)
        vertices = np.stack([p[:, :1] * c, p[:, :1] * s, np.repeat(p[:, 1:], around + 1, 1)], -1).reshape(-1, 3)
        normals = np.stack([n[:, :1] * c, n[:, :1] * s, np.repeat(n[:, 1:], around + 1, 1)], -1).reshape(-1, 3)
        v = v_range[0] + (v_range[1] - v_range[0]) * length / total
        uv = np.stack(np.broadcast_arrays(np.linspace(0, 1, around + 1)[None], v[:, None]), -1).reshape(-1, 2)
        faces = _grid_faces(k, around + 1)
        axis = np.repeat(p[:, 0] < 1e-9, around + 1)
        degenerate = (axis[faces].sum(1)) >= 2
        pieces.append(Shape(vertices=vertices, faces=faces[~degenerate], normals=normals, uv=uv))
    return join(pieces)


def arc(center: tuple[float, float], radius: float, start_deg: float, end_deg: float, n: int = 8) -> np.ndarray:
    """(n, 2) points of a circle in the (radius, z) plane, angles from +radius towards +z."""
    a = np.deg2rad(np.linspace(start_deg, end_deg, n))
    return np.stack([center[0] + radius * np.cos(a), center[1] + radius * np.sin(a)], 1)


def tube(path: np.ndarray, up: np.ndarray, *, width: float, height: float, around: int = 20, uv_box: Sequence[float]) -> Shape:
    """Sweep an ellipse along `path` (k, 3), its `width` along `up` × tangent; flat caps. `uv_box` is u0, v0, u1, v1."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    side = np.broadcast_to(up / np.linalg.norm(up), path.shape)
    outward = np.cross(side, tangent)
    a = np.linspace(0, 2 * np.pi, around + 1)
    ca, sa = np.cos(a), np.sin(a)
    ca[-1], sa[-1] = ca[0], sa[0]
    n = outward[:, None] * (ca / height)[None, :, None] + side[:, None] * (sa / width)[None, :, None]
    n /= np.linalg.norm(n, axis=2, keepdims=True)
    p = path[:, None] + 0.5 * (outward[:, None] * (ca * height)[None, :, None] + side[:, None] * (sa * width)[None, :, None])
    u0, v0, u1, v1 = uv_box
    u = u0 + (u1 - u0) * np.linspace(0, 1, len(path))
    v = v0 + (v1 - v0) * np.linspace(0, 1, around + 1)
    uv = np.stack(np.broadcast_arrays(u[:, None], v[None]), -1).reshape(-1, 2)
    body = Shape(vertices=p.reshape(-1, 3), faces=_grid_faces(len(path), around + 1), normals=n.reshape(-1, 3), uv=uv)
    caps = []
    for end, sign in ((0, -1.0), (len(path) - 1, 1.0)):
        ring = np.concatenate([path[end : end + 1], p[end, :-1]])
        i = 1 + np.arange(around)
        j = 1 + (np.arange(around) + 1) % around
        f = np.stack([np.zeros(around, int), i, j], 1)
        caps.append((ring, f if sign < 0 else f[:, ::-1], sign * tangent[end]))
    shapes = [body]
    for ring, f, n_end in caps:
        face_n = np.cross(ring[f[0, 1]] - ring[f[0, 0]], ring[f[0, 2]] - ring[f[0, 0]])
        f = f if face_n @ n_end > 0 else f[:, ::-1]
        uv = np.tile([[u0, v0]], (len(ring), 1))
        shapes.append(Shape(vertices=ring, faces=f, normals=np.tile(n_end, (len(ring), 1)), uv=uv))
    q = body.vertices[body.faces[0]]
    if np.cross(q[1] - q[0], q[2] - q[0]) @ body.normals[body.faces[0, 0]] < 0:
        shapes[0] = Shape(vertices=body.vertices, faces=body.faces[:, ::-1], normals=body.normals, uv=body.uv)
    return join(shapes)


SIDES = ("+x", "+y", "-x", "-y", "+z", "-z")


def box_layout(size: tuple[float, float, float]) -> tuple[dict[str, tuple[float, float, float, float]], tuple[float, float]]:
    """Where each side's picture lies on a box's sheet: x, y (from the top left), w, h [m], and the sheet's size [m]."""
    sx, sy, sz = size
    rows: dict[str, tuple[float, float, float, float]] = {}
    x = 0.0
    for side, w in zip(SIDES[:4], (sy, sx, sy, sx)):
        rows[side] = (x, 0.0, w, sz)
        x += w
    rows["+z"] = (0.0, sz, sx, sy)
    rows["-z"] = (sx, sz, sx, sy)
    return rows, (2 * (sx + sy), sz + sy)


def box(size: tuple[float, float, float], *, bevel: float = 0.0) -> Shape:
    """A box standing on z = 0 with bevelled edges; UV after `box_layout`."""
    half = np.asarray(size) / 2
    layout, (width, height) = box_layout(size)
    shapes = []
    corners: dict[tuple[str, tuple[float, ...]], tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    for side in SIDES:
        axis, sign = "xyz".index(side[1]), 1.0 if side[0] == "+" else -1.0
        n = np.eye(3)[axis] * sign
        up = np.array([0, 1.0, 0]) if axis == 2 else np.array([0, 0, 1.0])
        right = np.cross(up, n)
        x, y, w, h = layout[side]
        quad, uv = [], []
        for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            octant = n + a * right + b * up
            p = octant * (half - bevel) + n * bevel
            t = np.array([(x + w / 2 + a * (w / 2 - bevel)) / width, 1 - (y + h / 2 - b * (h / 2 - bevel)) / height])
            quad.append(p)
            uv.append(t)
            corners[side, tuple(octant)] = (p, n, t)
        shapes.append(
            Shape(vertices=np.array(quad), faces=np.array([[0, 1, 2], [0, 2, 3]]), normals=np.tile(n, (4, 1)), uv=np.array(uv))
        )
    if bevel > 0:
        shapes += _bevels(corners)
    s = join(shapes)
    return Shape(vertices=s.vertices + [0, 0, half[2]], faces=s.faces, normals=s.normals, uv=s.uv)


def _bevels(corners: dict) -> list[Shape]:
    """Edge strips and corner triangles between the sides of a bevelled box, coloured like one of their sides."""
    sides = {(s, o) for s, o in corners}
    octants = sorted({o for _, o in sides})
    polygons = []
    for o in octants:
        polygons.append([k for k in sorted(sides) if k[1] == o])
        for axis in range(3):
            if o[axis] < 0:
                other = tuple(-v if i == axis else v for i, v in enumerate(o))
                touching = [s for s in SIDES if (s, o) in sides and (s, other) in sides]
                a, b = touching
                polygons.append([(a, o), (a, other), (b, other), (b, o)])
    out = []
    for keys in polygons:
        p = np.array([corners[k][0] for k in keys])
        n = np.array([corners[k][1] for k in keys])
        first = keys[0][0]
        uv = np.array([corners[first, k[1]][2] for k in keys])
        f = np.array([[0, 1, 2], [0, 2, 3]][: len(keys) - 2])
        if np.cross(p[1] - p[0], p[2] - p[0]) @ n.sum(0) < 0:
            f = f[:, ::-1]
        out.append(Shape(vertices=p, faces=f, normals=n, uv=uv))
    return out


def quad(corner: Sequence[float] | np.ndarray, right: Sequence[float] | np.ndarray, up: Sequence[float] | np.ndarray) -> Shape:
    """A rectangle from its lower left corner; faces right × up; UV 0–1."""
    o, a, b = (np.asarray(v, float) for v in (corner, right, up))
    n = np.cross(a, b)
    n /= np.linalg.norm(n)
    v = np.stack([o, o + a, o + a + b, o + b])
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]])
    return Shape(vertices=v, faces=np.array([[0, 1, 2], [0, 2, 3]]), normals=np.tile(n, (4, 1)), uv=uv)


def sweep(path: np.ndarray, half_width: np.ndarray, half_height: np.ndarray, *, flat: float, around: int = 28, power: float = 2.0) -> Shape:
    """Lay a superellipse of changing size along the level line `path` (k, 2): it lies on z = 0, pressed flat by `flat` [m].

    The half sizes (k,) fall to 0 at both ends. u runs along, v around from the bottom.
    """
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    side = np.stack([tangent[:, 1], -tangent[:, 0]], 1)
    a = np.linspace(0, 2 * np.pi, around + 1) - np.pi / 2
    c, s = (np.sign(f(a)) * np.abs(f(a)) ** (2 / power) for f in (np.cos, np.sin))
    c[-1], s[-1] = c[0], s[0]
    xy = path[:, None] + side[:, None] * (c[None, :, None] * half_width[:, None, None])
    rise = 2 * flat * (1 - half_height / half_height.max()) ** 4  # the tips lift off: no sheet without thickness
    z = np.maximum(half_height[:, None] * (1 + s[None]) + rise[:, None] - flat, 0.0)
    vertices = np.concatenate([xy, z[..., None]], 2).reshape(-1, 3)
    faces = _grid_faces(len(path), around + 1)
    at_end = np.isin(faces // (around + 1), (0, len(path) - 1)).sum(1) >= 2
    faces = faces[~at_end]
    corner = vertices[faces]
    n = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    if (n * (corner.mean(1) - vertices.mean(0))).sum() < 0:
        faces, n = faces[:, ::-1], -n
    # the seam and the two tips are single points with one normal
    row, column = np.divmod(np.arange(len(vertices)), around + 1)
    one = np.where(np.isin(row, (0, len(path) - 1)), row * (around + 1), row * (around + 1) + column % around)
    total = np.zeros_like(vertices)
    np.add.at(total, one[faces].ravel(), np.repeat(n, 3, axis=0))
    normals = total[one]
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    uv = np.stack([row / (len(path) - 1), column / around], 1)
    low, high = vertices[z.ravel() < 1e-6, :2].min(0), vertices[z.ravel() < 1e-6, :2].max(0)
    return Shape(vertices=vertices - [*(low + high) / 2, 0], faces=faces, normals=normals, uv=uv)


def placed(shape: Shape, at: Sequence[float], uv_box: Sequence[float]) -> Shape:
    """Shifted by `at`, its picture squeezed into `uv_box` (u0, v0, u1, v1)."""
    u0, v0, u1, v1 = uv_box
    return Shape(vertices=shape.vertices + at, faces=shape.faces, normals=shape.normals, uv=[u0, v0] + shape.uv * [u1 - u0, v1 - v0])
