"""Convex parts for collision: a primitive or one hull when that is as good, else few parts within a bound, of CoACD's
(Wei et al. 2022), or a vessel's wall in sectors where that overfills it less."""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import numpy as np

from phone2sim.assets.fewer import PHYSX_FACES, with_few_faces
from phone2sim.assets.joined import Outside, joined
from phone2sim.assets.mesh import TexturedMesh
from phone2sim.assets.primitives import fit_primitive
from phone2sim.assets.vessel import Hollow, hollow_of, vessel_parts
from phone2sim.libraries import load_coacd


@dataclass(frozen=True, kw_only=True)
class Hulls:
    parts: tuple[TexturedMesh, ...]
    """Convex, in the mesh's own frame."""
    excess: float
    """Volume of the parts' union over the mesh's, minus 1: how much the collision shape overfills."""
    concavity: float | None
    """The concavity aimed at, relative to half the body's longest side (more parts than the limit are joined all the same); None for a
    single hull."""
    holds: float | None = None
    """Share of a vessel's hollow that the parts leave free; None for what is not cut up as one."""
    bound_m: float = 0.0
    """What `concavity` is of this body [m]."""
    stray_m: float = 0.0
    """How far the parts are from the body where they are outside of it, at most [m]: measured on them as they are; 0 for a single hull."""

    @property
    def said(self) -> str:
        """How many they are and how good, in a sentence; empty for a single hull."""
        if len(self.parts) < 2:
            return ""
        free = "" if self.holds is None else f"; of its hollow they leave {min(self.holds, 1):.0%} free"
        return (
            f"{len(self.parts)} {OVERFILL} {self.excess:.0%} and stray from it by {1000 * self.stray_m:.1f} mm at most, "
            f"where {1000 * self.bound_m:.1f} mm were aimed at{free}"
        )


FINER, FINEST = 0.9, 4
"""CoACD is asked for parts of so much of the bound on concavity, and so many times more of them, before they are joined again."""
KEPT = 0.8
"""Parts around a hollow that leave so much of it free are not compared with CoACD's."""
OVERFILL = "hulls overfill the body by"
"""Part of what is said of several hulls."""
_ONE = Lock()
"""CoACD draws from one random sequence for the whole process."""


def decompose(
    mesh: Any, *, single_excess: float = 0.08, concavity: float = 0.06, max_parts: int = 12, faces: int = 400, hull_faces: int = PHYSX_FACES,
    rolling: bool = False,
) -> Hulls:  # fmt: skip
    """Convex parts of a closed `trimesh.Trimesh`. The lowest point of the parts is the mesh's lowest point.

    `faces` are the triangles that CoACD decomposes, `hull_faces` those of one convex part at most. What stood still
    while it was filmed keeps a hull with facets rather than becoming a ball or a lying cylinder or capsule, unless `rolling`.
    """
    floor = float(mesh.vertices[:, 2].min())
    whole = with_few_faces(mesh.convex_hull, hull_faces)
    excess, bound = float(whole.volume / mesh.volume - 1), 0.5 * concavity * float(np.max(mesh.extents))
    if excess <= single_excess:
        primitive = fit_primitive(mesh)
        if primitive is not None and (rolling or not primitive.rolls):
            from phone2sim.assets.solid import as_trimesh

            solid = as_trimesh(primitive.body())
            part = TexturedMesh(vertices=solid.vertices, faces=solid.faces, primitive=primitive)
            return Hulls(parts=(part,), excess=float(solid.volume / mesh.volume - 1), concavity=None)
        return Hulls(parts=(_part(whole, floor),), excess=excess, concavity=None)
    body = _solid(mesh)
    hollow = hollow_of(body)
    best = None if hollow is None else _vessel(body, hollow, floor, concavity, max_parts, hull_faces=hull_faces, faces=faces)
    if best is None or (best.holds or 0) < KEPT:
        found = _hulls(body, _concave(mesh, concavity, max_parts, hull_faces=hull_faces, faces=faces) or [whole], floor, concavity)
        best = found if best is None or found.excess <= best.excess else best
    return replace(best, bound_m=bound, stray_m=Outside.of(mesh).most(best.parts))


def _vessel(body: Any, hollow: Hollow, floor: float, concavity: float, most: int, *, hull_faces: int, faces: int) -> Hulls | None:
    """The parts of a manifold around its `hollow`; None where it takes more than `most`."""
    from phone2sim.assets.solid import as_trimesh

    box = np.array(body.bounding_box())
    reach = float((box[3:] - box[:3]).max())

    def rest(part: Any, most: int) -> list[Any]:
        loose = as_trimesh(part)
        bound = min(1.0, concavity * reach / float(np.max(loose.extents)))
        return [_solid(p) for p in _concave(loose, bound, most, hull_faces=hull_faces, faces=faces)] or [part]

    pieces = vessel_parts(body, hollow, rest, error_m=0.5 * concavity * reach, most=most)
    if len(pieces) > most:
        return None
    return _hulls(body, [with_few_faces(as_trimesh(p).convex_hull, hull_faces) for p in pieces], floor, concavity, hollow)


def _concave(mesh: Any, concavity: float, most: int, *, hull_faces: int, faces: int) -> list[Any]:
    """Convex `trimesh.Trimesh`, at most `most`: CoACD cuts finer than asked, whose bound on `concavity` is relative to half the longest
    side, and what can be one hull within the bound is joined again. Without crumbs."""
    import trimesh

    from phone2sim.assets.solid import simplify

    coacd = load_coacd()
    coacd.set_log_level("error")
    small = simplify(mesh, faces=faces, tolerance=2e-4 * float(np.max(mesh.extents)))
    with _ONE:
        parts = coacd.run_coacd(
            coacd.Mesh(np.asarray(small.vertices, np.float64), np.asarray(small.faces, np.int32)),
            threshold=max(FINER * concavity, 0.01), max_convex_hull=FINEST * most, preprocess_mode="off", resolution=500, mcts_nodes=12,
            mcts_iterations=30, mcts_max_depth=2, pca=False, merge=True, decimate=True, max_ch_vertex=48, extrude=False, seed=0,
        )  # fmt: skip
    bodies = [b for v, f in parts if (b := trimesh.Trimesh(v, f, process=False).convex_hull).volume > 1e-3 * mesh.volume]
    bound = 0.5 * concavity * float(np.max(mesh.extents))
    return [with_few_faces(b, hull_faces) for b in joined(bodies, Outside.of(mesh), bound_m=bound, most=most)]


def _hulls(body: Any, bodies: list[Any], floor: float, concavity: float, hollow: Hollow | None = None) -> Hulls:
    """Convex `trimesh.Trimesh` as the parts of a manifold whose lowest point is at `floor`, and which holds `hollow`."""
    import manifold3d

    low = min(float(b.vertices[:, 2].min()) for b in bodies)
    parts = tuple(_part(b, floor if b.vertices[:, 2].min() < low + 1e-3 else None) for b in bodies)
    union = manifold3d.Manifold.batch_boolean([manifold3d.Manifold.hull_points(p.vertices) for p in parts], manifold3d.OpType.Add)
    holds = None
    if hollow is not None:
        free = hollow_of(union)
        holds = 0.0 if free is None else free.volume_m3 / hollow.volume_m3
    return Hulls(parts=parts, excess=float(union.volume() / body.volume() - 1), concavity=concavity, holds=holds)


def _solid(mesh: Any) -> Any:
    """A closed mesh as `manifold3d.Manifold`."""
    import manifold3d

    return manifold3d.Manifold(manifold3d.Mesh(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.uint32)))


def _part(body: Any, floor: float | None) -> TexturedMesh:
    """The hull as a mesh; corners within 1 mm of its own bottom are laid onto `floor`, so that it stands flat."""
    v = np.asarray(body.vertices, np.float64).copy()
    if floor is not None:
        low = v[:, 2] < max(v[:, 2].min(), floor) + 1e-3
        v[low, 2] = floor
    import trimesh

    flat = trimesh.Trimesh(v, body.faces, process=False).convex_hull
    return TexturedMesh(vertices=flat.vertices, faces=flat.faces)


STOOD_RAD = float(np.radians(3.0))
"""An object that stood still while it was filmed tips at no less than this."""
FOOT_REACH_M = 0.01
"""A foot is not widened further than this to reach under the centre of mass."""


def footed(
    parts: tuple[TexturedMesh, ...], center_of_mass: np.ndarray, *, layer_m: float = 3e-4, hull_faces: int = PHYSX_FACES
) -> tuple[tuple[TexturedMesh, ...], bool]:
    """The convex parts (asset frame, support at z = 0) with a foot under `center_of_mass` (3,) [m], and whether one was missing.

    The object stood still while it was filmed, so its centre of mass is over what it stands on; the few corners of a hull
    may say otherwise, above all of a ball's. The lowest part gets a small ring of corners on the ground then, and loses
    others where it would have more than `hull_faces`.
    """
    import cv2

    points = np.concatenate([p.vertices for p in parts]).astype(np.float64)
    low = float(points[:, 2].min())
    feet = points[points[:, 2] < low + layer_m][:, :2].astype(np.float32)
    at = center_of_mass[:2]
    radius = float((center_of_mass[2] - low) * np.tan(STOOD_RAD))
    inside = cv2.pointPolygonTest(cv2.convexHull(feet), (float(at[0]), float(at[1])), True) if len(feet) > 2 else -1.0
    if inside >= radius or (inside < 0 and np.linalg.norm(feet - at, axis=1).min() > FOOT_REACH_M):
        return parts, False
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    ring = np.column_stack([at + 1.01 * radius / np.cos(np.pi / 8) * np.stack([np.cos(angle), np.sin(angle)], 1), np.full(8, low)])
    k = int(np.argmin([p.vertices[:, 2].min() for p in parts]))
    import trimesh

    body = trimesh.convex.convex_hull(np.concatenate([parts[k].vertices.astype(np.float64), ring]))
    body = with_few_faces(body, hull_faces, foot_worth=1e6)
    widened = TexturedMesh(vertices=body.vertices, faces=body.faces)
    return (*parts[:k], widened, *parts[k + 1 :]), True
