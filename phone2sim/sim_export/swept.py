"""Whether something put beside a finished trajectory would have been touched by what moved in it."""

from __future__ import annotations

import numpy as np

from phone2sim.assets.scene import Scene
from phone2sim.augment.spec import EpisodeSpec
from phone2sim.sim_export.episode import Episode
from phone2sim.sim_export.robots import get_robot
from phone2sim.sim_export.simulators.mujoco import PREFIX, compile_world

MARGIN_M = 0.008
"""Coming this near counts as touching."""
SUBSTEPS = 4
"""Poses looked at per recorded step, interpolated."""


def touched(scene: Scene, episode: Episode, spec: EpisodeSpec) -> str:
    """Empty, or the name of the first object of `spec` that is only drawn and that the robot or an object of `episode`
    comes within `MARGIN_M` of, at any time. Collision hulls and the robot's collision shapes are what is compared."""
    import mujoco

    robot = get_robot(spec.robot.model)
    m = compile_world(scene, spec, robot)
    base = m.body(PREFIX + "base").id
    m.body_pos[base], m.body_quat[base] = spec.robot.base.translation, spec.robot.base.quat_wxyz
    added = {m.body(o.name).id: o.name for o in spec.objects if not o.physical}
    is_added = np.isin(m.geom_bodyid, list(added))
    # Added things against all that was there; neither is compared with itself, and none with the support.
    solid = (m.geom_contype | m.geom_conaffinity) > 0
    m.geom_contype[:] = np.where(is_added & solid, 1, 0)
    m.geom_conaffinity[:] = np.where(~is_added & solid & (m.geom_bodyid > 0), 1, 0)
    m.geom_margin[:] = np.where(is_added, MARGIN_M, 0.0)
    d = mujoco.MjData(m)
    arm = [m.joint(PREFIX + j).qposadr[0] for j in robot.joints]
    fingers = [m.joint(PREFIX + j).qposadr[0] for j in robot.fingers]
    free = {o.name: m.joint(o.name).qposadr[0] for o in spec.objects}
    for o in spec.objects:
        d.qpos[free[o.name] : free[o.name] + 7] = [*o.pose.translation, *o.pose.quat_wxyz]
    moving = np.array([free[o.name] for o in episode.spec.objects], int)[:, None] + np.arange(7)
    for state, poses in zip(_between(episode.states), _between(episode.object_poses), strict=True):
        d.qpos[arm] = state[: len(arm)]
        d.qpos[fingers] = robot.finger_positions(state[-1])
        d.qpos[moving] = poses
        mujoco.mj_kinematics(m, d)
        mujoco.mj_comPos(m, d)
        mujoco.mj_collision(m, d)
        for pair in m.geom_bodyid[d.contact.geom[: d.ncon]]:
            if hit := [added[b] for b in pair.tolist() if b in added]:
                return hit[0]
    return ""


def _between(a: np.ndarray) -> np.ndarray:
    """(t, …) → about (4 t, …): linear between rows, quaternions too (MuJoCo normalises them)."""
    a = a.astype(float)
    i = np.arange(0, len(a) - 1 + 1e-9, 1 / SUBSTEPS)
    low = np.minimum(i.astype(int), max(len(a) - 2, 0))
    w = (i - low).reshape(-1, *[1] * (a.ndim - 1))
    return (1 - w) * a[low] + w * a[np.minimum(low + 1, len(a) - 1)]
