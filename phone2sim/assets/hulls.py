"""Convex parts for collision: one hull where that is as good, else the few parts whose hulls overfill the body least.

The body is cut by planes, greedily: each step takes the part whose hull overfills most and, among planes through it
in thirteen directions, the cut that leaves the least hull volume. Exact mesh booleans (manifold3d) make every part
closed and the result the same everywhere; a mug takes about a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from phone2sim.assets.mesh import TexturedMesh

_DIRECTIONS = np.array(
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, -1, 0], [2, 1, 0], [1, 2, 0], [2, -1, 0], [1, -2, 0], [1, 0, 1], [1, 0, -1], [0, 1, 1], [0, 1, -1]],
    dtype=float,
)  # fmt: skip
_DIRECTIONS /= np.linalg.norm(_DIRECTIONS, axis=1, keepdims=True)


@dataclass(frozen=True, kw_only=True)
class Hulls:
    parts: tuple[TexturedMesh, ...]
    """Convex, in the mesh's own frame."""
    excess: float
    """Volume of the parts over the mesh's, minus 1: how much the collision shape overfills."""


def decompose(mesh: Any, *, single_excess: float = 0.08, excess: float = 0.12, max_parts: int = 16, faces: int = 800) -> Hulls:
    """Convex parts of a closed `trimesh.Trimesh` that stands on its lowest point.

    One hull when it overfills by at most `single_excess`; else cuts until the parts overfill by at most `excess` or
    there are `max_parts`. Parts that reach the mesh's lowest point are laid flat onto it.
    """
    floor = float(mesh.vertices[:, 2].min())
    whole = _convex(mesh)
    if whole.volume <= (1 + single_excess) * mesh.volume:
        return Hulls(parts=(_part(whole, floor),), excess=float(whole.volume / mesh.volume - 1))
    from phone2sim.assets.solid import as_trimesh, simplify

    small = simplify(mesh, faces=faces, tolerance=2e-3 * float(np.max(mesh.extents)))
    parts = merge(cut(_manifold(small), excess=excess, max_parts=max_parts), allowance=0.01)
    hulls = [_convex(as_trimesh(p)) for p in parts]
    hulls = [h for h in hulls if h.volume > 2e-3 * mesh.volume] or [whole]
    reach = floor + 0.02 * float(mesh.extents[2])
    return Hulls(
        parts=tuple(_part(h, floor if h.vertices[:, 2].min() < reach else None) for h in hulls),
        excess=float(sum(h.volume for h in hulls) / mesh.volume - 1),
    )  # fmt: skip


def cut(body: Any, *, excess: float, max_parts: int) -> list[Any]:
    """Parts of a `manifold3d.Manifold` whose hulls together overfill it by at most the share `excess`."""
    parts = [p for p in body.decompose() if p.volume() > 0]
    waste = [p.hull().volume() - p.volume() for p in parts]
    whole = body.volume()
    while len(parts) < max_parts and sum(waste) > excess * whole:
        k = int(np.argmax(waste))
        pieces = _best_cut(parts[k])
        if pieces is None:
            break
        parts[k : k + 1] = pieces
        waste[k : k + 1] = [p.hull().volume() - p.volume() for p in pieces]
    return parts


def merge(parts: list[Any], *, allowance: float) -> list[Any]:
    """Join the hulls of parts pairwise while the joint hull adds at most `allowance` of the total volume."""
    import manifold3d

    hulls = [p.hull() for p in parts]
    total = sum(h.volume() for h in hulls)
    while len(hulls) > 1:
        best, pair, joined = allowance * total, None, None
        for i in range(len(hulls)):
            for j in range(i + 1, len(hulls)):
                both = manifold3d.Manifold.batch_hull([hulls[i], hulls[j]])
                grown = both.volume() - hulls[i].volume() - hulls[j].volume()
                if grown < best:
                    best, pair, joined = grown, (i, j), both
        if pair is None:
            break
        hulls = [h for n, h in enumerate(hulls) if n not in pair] + [joined]
    return hulls


def _best_cut(body: Any, *, positions: int = 5) -> list[Any] | None:
    v = np.asarray(body.to_mesh().vert_properties[:, :3], float)
    # A ring gains nothing from its first cut, only from the next: even halves are preferred and no gain is allowed.
    best, pieces = body.hull().volume() * (1 + 1e-6), None
    for direction in _DIRECTIONS:
        s = v @ direction
        for share in (np.arange(positions) + 1) / (positions + 1):
            offset = float(s.min() + share * np.ptp(s))
            sides = [c for half in body.split_by_plane(tuple(direction), offset) for c in half.decompose()]
            sides = [c for c in sides if c.volume() > 1e-4 * body.volume()]
            if len(sides) < 2:
                continue
            balance = min(c.volume() for c in sides) / body.volume()
            cost = sum(c.hull().volume() for c in sides) * (1 - 0.04 * balance)
            if cost < best:
                best, pieces = cost, sides
    return pieces


def _manifold(mesh: Any) -> Any:
    import manifold3d

    return manifold3d.Manifold(manifold3d.Mesh(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.uint32)))


def _convex(mesh: Any, *, vertices: int = 64) -> Any:
    """Convex hull with at most about `vertices` corners (PhysX and MuJoCo both like few)."""
    from phone2sim.assets.solid import simplify

    hull = mesh.convex_hull
    tolerance = 1e-3 * float(np.max(hull.extents))
    for _ in range(12):
        if len(hull.vertices) <= vertices:
            break
        hull = simplify(hull, faces=2 * vertices - 4, tolerance=tolerance).convex_hull
        tolerance *= 1.5
    return hull


def _part(body: Any, floor: float | None) -> TexturedMesh:
    """The hull as a mesh; corners within 1 mm of its own bottom are laid onto `floor`, so that it stands flat."""
    v = np.asarray(body.vertices, np.float64).copy()
    if floor is not None:
        low = v[:, 2] < max(v[:, 2].min(), floor) + 1e-3
        v[low, 2] = floor
    import trimesh

    flat = trimesh.Trimesh(v, body.faces, process=False).convex_hull
    return TexturedMesh(vertices=flat.vertices, faces=flat.faces)
