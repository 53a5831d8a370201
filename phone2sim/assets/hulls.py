"""Convex parts for collision: one hull when that is as good, else the fewest parts CoACD needs (Wei et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from phone2sim.assets.mesh import TexturedMesh


@dataclass(frozen=True, kw_only=True)
class Hulls:
    parts: tuple[TexturedMesh, ...]
    """Convex, in the mesh's own frame."""
    excess: float
    """Volume of the union's parts over the mesh's, minus 1: how much the collision shape overfills."""
    concavity: float | None
    """The concavity CoACD aimed at (more parts than the limit are merged again), None for a single hull."""


def decompose(mesh: Any, *, single_excess: float = 0.08, concavity: float = 0.06, max_parts: int = 12, faces: int = 400) -> Hulls:
    """Convex parts of a closed `trimesh.Trimesh`. The lowest point of the parts is the mesh's lowest point."""
    from phone2sim.assets.solid import simplify

    floor = float(mesh.vertices[:, 2].min())
    whole = _convex(mesh)
    excess = float(whole.volume / mesh.volume - 1)
    if excess <= single_excess:
        return Hulls(parts=(_part(whole, floor),), excess=excess, concavity=None)
    import coacd

    coacd.set_log_level("error")
    small = simplify(mesh, faces=faces, tolerance=2e-4 * float(np.max(mesh.extents)))
    parts = coacd.run_coacd(
        coacd.Mesh(np.asarray(small.vertices, np.float64), np.asarray(small.faces, np.int32)),
        threshold=concavity, max_convex_hull=max_parts, preprocess_mode="off", resolution=1000, mcts_nodes=12,
        mcts_iterations=60, mcts_max_depth=2, pca=False, merge=True, decimate=True, max_ch_vertex=48, extrude=False, seed=0,
    )  # fmt: skip
    import trimesh

    bodies = [trimesh.Trimesh(v, f, process=False).convex_hull for v, f in parts]
    bodies = [b for b in bodies if b.volume > 1e-3 * mesh.volume] or [whole]
    low = min(float(b.vertices[:, 2].min()) for b in bodies)
    total = sum(b.volume for b in bodies)
    return Hulls(
        parts=tuple(_part(b, floor if b.vertices[:, 2].min() < low + 1e-3 else None) for b in bodies),
        excess=float(total / mesh.volume - 1), concavity=concavity,
    )  # fmt: skip


def _convex(mesh: Any, *, vertices: int = 64) -> Any:
    """Convex hull with at most about `vertices` corners (PhysX and MuJoCo both like few)."""
    from phone2sim.assets.solid import simplify

    hull = mesh.convex_hull
    tolerance = 1e-3 * float(np.max(hull.extents))
    while len(hull.vertices) > vertices:
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
