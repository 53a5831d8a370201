"""Robots by name: `get_robot("p2s_arm")`."""

from __future__ import annotations

from phone2sim.errors import InputError, did_you_mean
from phone2sim.sim_export.robots.arm import ARM
from phone2sim.sim_export.robots.base import Robot, RobotPart

ROBOTS = {ARM.name: ARM}

__all__ = ["ROBOTS", "Robot", "RobotPart", "get_robot"]


def get_robot(name: str) -> Robot:
    """The robot of that name; `InputError` lists the known ones."""
    if name not in ROBOTS:
        raise InputError(f"No robot {name!r};", hint=did_you_mean(name, ROBOTS))
    return ROBOTS[name]
