"""How the robot is bolted and how it starts."""

from __future__ import annotations

import numpy as np

from phone2sim.augment.objects import pose_spec
from phone2sim.augment.recipe import RobotStartRecipe
from phone2sim.augment.spec import RobotSpec
from phone2sim.augment.workspace import Workspace
from phone2sim.keys import Key


def sample_robot_start(ws: Workspace, recipe: RobotStartRecipe, key: Key) -> RobotSpec:
    """Base pose on the support, joints around home, gripper opening."""
    home = np.array(ws.reach.home_rad)
    q = home + np.asarray(recipe.joint_noise_rad(key.child("joint_noise_rad").rng(), len(home)), dtype=float)
    shift = np.asarray(recipe.base_shift_m(key.child("base_shift_m").rng(), 2), dtype=float)
    yaw = np.deg2rad(float(recipe.base_yaw_deg(key.child("base_yaw_deg").rng())))
    return RobotSpec(
        model=ws.reach.model, base=pose_spec(ws.base_pose(shift, float(yaw))), qpos=tuple(round(float(x), 9) for x in q),
        gripper=round(float(recipe.gripper(key.child("gripper").rng())), 9),
    )  # fmt: skip
