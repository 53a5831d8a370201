"""`visible_parts`: what is seen of a robot file, as a few light meshes per body."""

from __future__ import annotations

from typing import Any

import numpy as np

from phone2sim.assets.mesh import TexturedMesh
from phone2sim.poses import Pose, quat_to_matrix
from phone2sim.sim_export.robots.base import RobotPart

FACES = 12_000
"""Of the whole robot: triangles are what pictures cost."""


def visible_parts(spec: Any) -> tuple[RobotPart, ...]:
    """The visual geoms, or the solid ones where a body has no others; of one body and colour together."""
    import trimesh

    model = spec.compile()
    groups: dict[tuple[int, tuple[float, ...]], list[Any]] = {}
    shown = {int(model.geom_bodyid[g]) for g in range(model.ngeom) if model.geom_contype[g] == model.geom_conaffinity[g] == 0}
    for g in range(model.ngeom):
        body = int(model.geom_bodyid[g])
        ghost = model.geom_contype[g] == model.geom_conaffinity[g] == 0
        if (body in shown) != ghost or model.geom_rgba[g, 3] < 0.1:
            continue
        mesh = _mesh(model, g)
        if mesh is not None:
            color = tuple(round(float(c) ** 2.2, 4) for c in model.geom_rgba[g, :3])
            groups.setdefault((body, color), []).append(mesh)
    merged = {k: trimesh.util.concatenate(v) for k, v in groups.items()}
    total = sum(len(m.faces) for m in merged.values())
    out = []
    for i, ((body, color), mesh) in enumerate(merged.items()):
        mesh = _lighter(mesh, max(60, round(FACES * len(mesh.faces) / total))) if total > FACES else mesh
        if len(mesh.faces):
            part = TexturedMesh(vertices=np.array(mesh.vertices), faces=np.array(mesh.faces))
            name = model.body(body).name
            out.append(RobotPart(name=f"{name}_{i}", mesh=part, rgb=color, body=name, T_body_part=Pose.identity()))  # type: ignore[arg-type]
    return tuple(out)


def _mesh(model: Any, g: int) -> Any:
    """A geom as a mesh in its body's frame; None for kinds that have no surface of their own."""
    import mujoco
    import trimesh

    kind, size = model.geom_type[g], model.geom_size[g]
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = quat_to_matrix(model.geom_quat[g]), model.geom_pos[g]
    t = mujoco.mjtGeom
    if kind == t.mjGEOM_MESH:
        i = model.geom_dataid[g]
        v = model.mesh_vert[model.mesh_vertadr[i] : model.mesh_vertadr[i] + model.mesh_vertnum[i]]
        f = model.mesh_face[model.mesh_faceadr[i] : model.mesh_faceadr[i] + model.mesh_facenum[i]]
        mesh = trimesh.Trimesh(v, f, process=False)
    elif kind == t.mjGEOM_BOX:
        mesh = trimesh.creation.box(2 * size)
    elif kind == t.mjGEOM_SPHERE:
        mesh = trimesh.creation.icosphere(subdivisions=2, radius=size[0])
    elif kind == t.mjGEOM_CAPSULE:
        mesh = trimesh.creation.capsule(height=2 * size[1], radius=size[0], count=(16, 16))
    elif kind == t.mjGEOM_CYLINDER:
        mesh = trimesh.creation.cylinder(radius=size[0], height=2 * size[1], sections=20)
    else:
        return None
    return mesh.apply_transform(T)


def _lighter(mesh: Any, faces: int) -> Any:
    import open3d as o3d
    import trimesh

    m = o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(np.array(mesh.vertices)), o3d.utility.Vector3iVector(np.array(mesh.faces))
    )
    m = m.merge_close_vertices(1e-6).simplify_quadric_decimation(faces)
    return trimesh.Trimesh(np.asarray(m.vertices), np.asarray(m.triangles), process=False)
