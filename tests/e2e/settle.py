"""An asset dropped 1 mm above a plane in MuJoCo, as a user would. Plain function, no test."""

from __future__ import annotations

import mujoco
import numpy as np

from phone2sim.assets.scene import Asset


def drop(asset: Asset, *, height_m: float = 0.001, seconds: float = 2.0) -> tuple[float, float]:
    """How far the centre of mass moved [m] (the drop itself left out) and the speed left [m/s] after `seconds`."""
    spec = mujoco.MjSpec()
    spec.option.timestep = 0.002
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.worldbody.add_geom(
        type=mujoco.mjtGeom.mjGEOM_PLANE, size=[2, 2, 0.1], friction=[asset.friction.value, 0.005, 0.0001]
    )
    body = spec.worldbody.add_body(name=asset.name, pos=[0, 0, height_m], quat=asset.T_world_asset.quat_wxyz)
    body.add_freejoint()
    body.explicitinertial = True
    body.mass = asset.mass_kg.value
    body.ipos = asset.inertia.center_of_mass
    I = asset.inertia.moments
    body.fullinertia = [I[0, 0], I[1, 1], I[2, 2], I[0, 1], I[0, 2], I[1, 2]]
    for i, hull in enumerate(asset.hulls):
        spec.add_mesh(name=f"h{i}", uservert=hull.vertices.ravel(), userface=hull.faces.ravel())
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_MESH, meshname=f"h{i}", condim=6, friction=[asset.friction.value, 0.005, 0.0005]
        )
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    start = data.subtree_com[1].copy() - [0, 0, height_m]
    mujoco.mj_step(model, data, int(seconds / model.opt.timestep))
    return float(np.linalg.norm(data.subtree_com[1] - start)), float(np.abs(data.qvel[:3]).max())
