"""Robots by name: `get_robot("p2s_arm")`, or a file: `get_robot("arm.xml")`, `get_robot("arm.xml+gripper.xml")`."""

from __future__ import annotations

from phone2sim.assets.scene import Scene
from phone2sim.augment.recipe import Recipe
from phone2sim.augment.sampler import workspace_of
from phone2sim.augment.workspace import Workspace
from phone2sim.errors import InputError, did_you_mean
from phone2sim.sim_export.robots.arm import ARM
from phone2sim.sim_export.robots.base import Robot, RobotPart

ROBOTS = {ARM.name: ARM}

__all__ = ["ROBOTS", "Robot", "RobotPart", "get_robot", "robot_workspace"]


def get_robot(name: str) -> Robot:
    """A built-in robot, one from an MJCF or URDF file, or a `robot_descriptions` model.

    Raises `InputError` for an unknown name or a file that is not an arm, `MissingDependencyError` when
    `robot_descriptions` is missing or cannot fetch its model.
    """
    if name in ROBOTS:
        return ROBOTS[name]
    arm = name.partition("+")[0]
    if arm.endswith(("_description", ".xml", ".mjcf", ".urdf")):
        from phone2sim.sim_export.robots.imported import load_robot

        return load_robot(name)
    raise InputError(f"No robot {name!r};", hint=did_you_mean(name, ROBOTS) + " Or give a file: arm.xml, arm.urdf.")


def robot_workspace(scene: Scene, recipe: Recipe) -> Workspace:
    """Where the recipe's robot is bolted and what it reaches, the same for all episodes of a scene."""
    return workspace_of(scene, recipe, get_robot(recipe.robot).reach())
