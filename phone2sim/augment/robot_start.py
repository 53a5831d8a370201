"""How the robot is bolted and how it starts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from phone2sim.augment.objects import pose_spec
from phone2sim.augment.sections import PhysicsRecipe, RobotStartRecipe
from phone2sim.augment.spec import RobotSpec
from phone2sim.augment.workspace import Workspace
from phone2sim.keys import Key


def sample_robot_start(
    ws: Workspace, recipe: RobotStartRecipe, key: Key, *, physics: PhysicsRecipe, physics_key: Key, table_height_m: float = 0.0
) -> RobotSpec:
    """Base pose beside the support, joints around home, gripper opening; servos from `physics`."""

    def servo(name: str) -> float:
        return round(float(getattr(physics, name)(physics_key.child(name).rng())), 9)

    home = np.array(ws.reach.home_rad)
    q = home + np.asarray(recipe.joint_noise_rad(key.child("joint_noise_rad").rng(), len(home)), dtype=float)
    shift = np.asarray(recipe.base_shift_m(key.child("base_shift_m").rng(), 2), dtype=float)
    yaw = np.deg2rad(float(recipe.base_yaw_deg(key.child("base_yaw_deg").rng())))
    base = ws.base_pose(shift, float(yaw))
    base = replace(base, translation=base.translation - [0, 0, table_height_m])
    return RobotSpec(
        model=ws.reach.model, base=pose_spec(base), gain=servo("servo_gain"), damping=servo("servo_damping"),
        latency_s=servo("latency_s"), qpos=tuple(round(float(x), 9) for x in q),
        gripper=round(float(recipe.gripper(key.child("gripper").rng())), 9),
    )  # fmt: skip
