"""Depth and instances of a spec's parts by MuJoCo's ray caster, on the meshes that pictures are made of."""

import mujoco
import numpy as np

from phone2sim.augment.spec import CameraSpec
from phone2sim.poses import Pose, matrix_to_quat
from phone2sim.sim_export.pictures import PartPoses, spec_parts


def ray_cast(scene, spec, object_poses, robot_poses, bodies, camera: CameraSpec) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(h, w) camera z [m]; 0 for none, 1 … n the objects, n + 1 the robot; and the geom, where a ray through the pixel's
    centre hits."""
    world = mujoco.MjSpec()
    parts = spec_parts(scene, spec)
    T = PartPoses(spec, bodies).of(object_poses, robot_poses)
    for i, (p, pose) in enumerate(zip(parts, T)):
        world.add_mesh(name=str(i), uservert=p.mesh.vertices.ravel(), userface=p.mesh.faces.ravel(), inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL)
        body = world.worldbody.add_body(pos=pose[:3, 3], quat=matrix_to_quat(pose[:3, :3]))
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=str(i), name=str(i))
    z = scene.supports[0].height_m
    world.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.5, 0.35, 0.05], pos=[0, 0, z - 0.05], name="table")
    model = world.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    pose = Pose(np.array(camera.pose.translation), np.array(camera.pose.quat_wxyz)).matrix
    y, x = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
    rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(np.array(camera.K)).T
    directions = (rays @ pose[:3, :3].T).reshape(-1, 3)
    n = len(directions)
    geom, distance = np.full(n, -1, np.int32), np.zeros(n)
    for i in range(n):
        hit = np.full(1, -1, np.int32)
        distance[i] = mujoco.mj_ray(model, data, pose[:3, 3], directions[i], None, 1, -1, hit)
        geom[i] = hit[0]
    names = np.array([model.geom(g).name for g in range(model.ngeom)])
    number = np.array([0 if n == "table" else min(int(n), len(spec.objects)) + 1 for n in names])
    mask = np.where(geom >= 0, number[geom], 0).reshape(camera.height, camera.width)
    return np.where(distance >= 0, distance, np.inf).reshape(mask.shape), mask, geom.reshape(mask.shape)
