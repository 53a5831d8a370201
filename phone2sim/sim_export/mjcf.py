"""`Scene` → MuJoCo: a spec in memory, and a folder with `scene.xml` and `assets/` that stock MuJoCo loads."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.assets.fewer import with_few_corners
from phone2sim.assets.mesh import TexturedMesh
from phone2sim.assets.scene import Asset, PlanarSurface, Scene, SupportSurface
from phone2sim.errors import InputError, did_you_mean
from phone2sim.poses import Pose
from phone2sim.reconstruct.cameras import Cameras, evenly
from phone2sim.sim_export.contact import SOLIMP, SUPPORT_FRICTION

TIMESTEP_S = 0.002
SLAB_M = 0.06
"""Thickness of a slab behind its surface."""


def base_spec(name: str) -> Any:
    """An empty `MjSpec` with the solver settings every model of this package uses."""
    import mujoco

    spec = mujoco.MjSpec()
    spec.modelname = name
    spec.compiler.degree = False
    spec.compiler.balanceinertia = True
    spec.option.timestep = TIMESTEP_S
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10
    spec.default.geom.solimp = spec.default.pair.solimp = SOLIMP
    if hasattr(mujoco.mjtEnableBit, "mjENBL_MULTICCD"):
        spec.option.enableflags |= int(mujoco.mjtEnableBit.mjENBL_MULTICCD)
    return spec


ROLLING = (0.005, 0.0005)
"""Torsional and rolling friction [m] of every object."""


def build_mjcf(scene: Scene, *, cameras: int = 0) -> Any:
    """A `mujoco.MjSpec` of the captured arrangement: supports and walls as slabs, each asset a free body with its own inertia.

    Each pair of an object's hull and a support has the object's friction written down, so that nothing added later can
    change it. `cameras`: at most this many of the capture's, as `frame_00012`. Meshes and pictures are in `spec.assets` under `assets/…`, so that the spec compiles in memory and its XML loads
    beside an `assets` folder. Geom groups: 2 visual, 3 collision.
    """
    import mujoco

    spec = base_spec("phone2sim_scene")
    files: dict[str, bytes] = {}
    d = scene.light.direction
    spec.worldbody.add_light(
        name="key", type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, dir=d, pos=[-2 * x for x in d], castshadow=True,
        diffuse=np.clip(scene.light.key_rgb, 0, 1), specular=[0.1] * 3,
    )  # fmt: skip
    spec.visual.headlight.ambient = np.clip(scene.light.ambient_sh[0] * 0.28, 0.1, 0.9)
    spec.visual.headlight.diffuse = [0.15] * 3
    spec.visual.headlight.specular = [0.0] * 3
    for surface in scene.surfaces:
        add_surface(spec, surface, files)
    if scene.background_mesh is not None:
        _add_visual(spec, files, spec.worldbody, "background", scene.background_mesh)
    for asset in scene.assets:
        body = add_object(spec, asset, asset.name, files)
        body.pos, body.quat = asset.T_world_asset.translation, asset.T_world_asset.quat_wxyz
        _add_visual(spec, files, body, asset.name, asset.visual)
        for support in scene.supports:
            _add_pairs(spec, asset, support)
    _add_cameras(spec, scene.cameras, most=cameras)
    spec.assets = files
    return spec


def write_mjcf(scene: Scene, folder: Path, *, cameras: int = 24) -> Path:
    """Write `scene.xml` and `assets/` below `folder`; returns the XML's path. The file is compiled once as a check."""
    import mujoco

    spec = build_mjcf(scene, cameras=cameras)
    files = dict(spec.assets)
    spec.compile()
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    path = folder / "scene.xml"
    path.write_text(spec.to_xml())
    mujoco.MjModel.from_xml_path(str(path))
    return path


def find_support(scene: Scene, name: str) -> SupportSurface:
    """The support surface of that name; `InputError` lists the known ones."""
    for s in scene.supports:
        if s.name == name:
            return s
    raise InputError(
        f"No support surface {name!r} in the scene;", hint=did_you_mean(name, [s.name for s in scene.supports])
    )


def add_surface(spec: Any, surface: PlanarSurface, files: dict[str, bytes]) -> None:
    """A fixed slab whose front is the surface and whose outline is where it was seen."""
    import mujoco
    import trimesh

    o = with_few_corners(np.asarray(surface.outline, float))
    slab = np.concatenate([np.c_[o, np.zeros(len(o))], np.c_[o, np.full(len(o), -(surface.thickness_m or SLAB_M))]])
    hull = trimesh.convex.convex_hull(slab)
    name = f"assets/{surface.name}_slab.obj"
    files[name] = obj_bytes(TexturedMesh(vertices=hull.vertices, faces=hull.faces))
    spec.add_mesh(name=f"{surface.name}_slab", file=name)
    spec.worldbody.add_geom(
        name=surface.name, type=mujoco.mjtGeom.mjGEOM_MESH, meshname=f"{surface.name}_slab",
        pos=surface.T_world_surface.translation, quat=surface.T_world_surface.quat_wxyz, group=3,
        condim=4, friction=[SUPPORT_FRICTION, 0.001, 0.0001], rgba=[0.6, 0.5, 0.4, 1],
    )  # fmt: skip


def add_object(spec: Any, asset: Asset, name: str, files: dict[str, bytes]) -> Any:
    """A free body `name` with the asset's hulls, mass and inertia at its own frame; returns the body."""
    import mujoco

    body = spec.worldbody.add_body(name=name)
    body.add_freejoint(name=name)
    body.mass = asset.mass_kg.value
    body.ipos = asset.inertia.center_of_mass
    m = asset.inertia.moments
    body.fullinertia = [m[0, 0], m[1, 1], m[2, 2], m[0, 1], m[0, 2], m[1, 2]]
    body.explicitinertial = True
    have = {x.name for x in spec.meshes}
    for i, hull in enumerate(asset.hulls):
        contact = dict(mass=0.0, group=3, condim=6, friction=[asset.friction.value, *ROLLING], rgba=[0.3, 0.6, 0.9, 0.4])
        if (p := hull.primitive) is not None:
            T = p.T_asset_primitive
            body.add_geom(
                name=f"{name}_hull_{i:03d}", type=getattr(mujoco.mjtGeom, f"mjGEOM_{p.kind.upper()}"), size=[*p.size_m, 0, 0][:3],
                pos=T.translation, quat=T.quat_wxyz, **contact,
            )  # fmt: skip
            continue
        mesh = f"{asset.name}_hull_{i:03d}"
        if mesh not in have:
            files[f"assets/{mesh}.obj"] = obj_bytes(hull)
            spec.add_mesh(name=mesh, file=f"assets/{mesh}.obj", inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX)
        body.add_geom(
            name=f"{name}_hull_{i:03d}", type=mujoco.mjtGeom.mjGEOM_MESH, meshname=mesh, **contact
        )  # fmt: skip
    return body


def _add_pairs(spec: Any, asset: Asset, support: SupportSurface) -> None:
    mu, (torsional, rolling) = asset.friction.value, ROLLING
    for i in range(len(asset.hulls)):
        hull = f"{asset.name}_hull_{i:03d}"
        spec.add_pair(
            name=f"{hull}_{support.name}", geomname1=hull, geomname2=support.name, condim=6,
            friction=[mu, mu, torsional, rolling, rolling],
        )  # fmt: skip


def _add_cameras(spec: Any, cameras: Cameras, *, most: int) -> None:
    """Pinhole cameras of the capture with their pictures' size, evenly chosen; lens distortion is left out."""
    for i in evenly(len(cameras), most):
        T = cameras.T_world_camera[i] @ np.diag([1.0, -1.0, -1.0, 1.0])  # MuJoCo looks along -z with y up
        w, h = (int(x) for x in cameras.size_wh[i])
        fx, fy, cx, cy = cameras.K[i][[0, 1, 0, 1], [0, 1, 2, 2]].tolist()
        pose = Pose.from_matrix(T)
        spec.worldbody.add_camera(
            name=f"frame_{i:05d}", pos=pose.translation, quat=pose.quat_wxyz, resolution=[w, h], focal_pixel=[fx, fy],
            principal_pixel=[w / 2 - cx, h / 2 - cy], sensor_size=[0.036, 0.036 * h / w * fx / fy],
        )  # fmt: skip


def obj_bytes(mesh: TexturedMesh) -> bytes:
    """Wavefront OBJ with UVs and normals where the mesh has a texture, plain otherwise."""
    lines = [f"v {x:.7g} {y:.7g} {z:.7g}" for x, y, z in mesh.vertices.tolist()]
    if mesh.uv is not None and mesh.texture is not None:
        lines += [f"vt {u:.6g} {v:.6g}" for u, v in mesh.uv.tolist()]
        lines += [f"vn {x:.4f} {y:.4f} {z:.4f}" for x, y, z in mesh.vertex_normals.tolist()]
        lines += ["f " + " ".join(f"{i + 1}/{i + 1}/{i + 1}" for i in face) for face in mesh.faces.tolist()]
    else:
        lines += [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in mesh.faces.tolist()]
    return ("\n".join(lines) + "\n").encode()


def _add_visual(spec: Any, files: dict[str, bytes], body: Any, name: str, mesh: TexturedMesh) -> None:
    import mujoco
    from PIL import Image

    files[f"assets/{name}.obj"] = obj_bytes(mesh)
    spec.add_mesh(name=f"{name}_visual", file=f"assets/{name}.obj", inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL)
    geom = body.add_geom(
        name=f"{name}_visual", type=mujoco.mjtGeom.mjGEOM_MESH, meshname=f"{name}_visual", contype=0, conaffinity=0,
        group=2, mass=0.0,
    )  # fmt: skip
    if mesh.texture is not None and mesh.uv is not None:
        png = io.BytesIO()
        Image.fromarray(mesh.texture).save(png, "PNG", compress_level=3)
        files[f"assets/{name}.png"] = png.getvalue()
        spec.add_texture(name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, file=f"assets/{name}.png")
        material = spec.add_material(name=name, specular=0.2, shininess=0.3)
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
        geom.material = name
    else:
        geom.rgba = [0.7, 0.7, 0.7, 1]


def settle_drift(
    model: Any, names: list[str], *, drop_m: float = 0.001, seconds: float = 2.0
) -> dict[str, dict[str, float]]:
    """Drop every named body by `drop_m` and report where it rests, against where it was captured.

    Per name: `moved_m`, the larger of what its origin and its centre of mass moved; `speed` [m/s] at the end;
    `turned_rad`; `tilted_rad`, how far its z axis leaned over.
    """
    import mujoco

    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    before = {
        n: (data.body(n).xpos.copy(), data.body(n).xipos.copy(), data.body(n).xmat.reshape(3, 3).copy()) for n in names
    }
    for n in names:
        data.joint(n).qpos[2] += drop_m
    mujoco.mj_step(model, data, int(round(seconds / model.opt.timestep)))
    out = {}
    for n in names:
        origin, com, R = before[n]
        body = data.body(n)
        turn = body.xmat.reshape(3, 3) @ R.T
        out[n] = {
            "moved_m": float(max(np.linalg.norm(body.xpos - origin), np.linalg.norm(body.xipos - com))),
            "speed": float(np.linalg.norm(data.joint(n).qvel[:3])),
            "turned_rad": float(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))),
            "tilted_rad": float(np.arccos(np.clip(turn[2, 2], -1, 1))),
        }
    return out
