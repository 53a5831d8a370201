"""Robots of an episode: our own as an articulation beside the scene, anybody else's by reference. None is copied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from phone2sim.poses import Pose
from phone2sim.sim_export.robots.base import Robot

DESCRIPTIONS = (".urdf", ".xml", ".mjcf")
"""Robot files that USD cannot compose."""


@dataclass(frozen=True, kw_only=True)
class RobotReference:
    """A robot's file. USD is referred to (its default prim is a robot standing at its base); a URDF or an MJCF is named in
    the attribute `phone2sim:description`, for whoever imports it."""

    path: str
    """Asset path as the episode layer writes it: relative to that layer, absolute, or a URL."""
    own: bool = False
    """Whether it is `articulation.write_articulation`'s file of the episode's robot, whose links and drives the episode
    layer sets."""

    @property
    def composes(self) -> bool:
        return not self.path.lower().endswith(DESCRIPTIONS)


def link_poses(robot: Robot, joints_rad: Sequence[float], gripper: float) -> dict[str, Pose]:
    """T_base_link of every link, in the order of the MuJoCo model, at arm joints and a gripper opening 0–1."""
    import mujoco

    model = _compiled(robot)
    data = mujoco.MjData(model)
    for name, q in zip(robot.joints, joints_rad, strict=True):
        data.joint(name).qpos[0] = q
    for name, position in zip(robot.fingers, robot.finger_positions(gripper)):
        data.joint(name).qpos[0] = position
    mujoco.mj_kinematics(model, data)
    return {model.body(b).name: Pose(data.xpos[b].copy(), data.xquat[b].copy()) for b in range(1, model.nbody)}


@lru_cache(maxsize=8)
def _compiled(robot: Robot) -> Any:
    return robot.build(visual=False, collision=False).compile()
