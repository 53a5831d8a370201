"""`Robot`: what the expert, the simulator and the renderer need to know of an arm with a parallel gripper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from phone2sim.assets.mesh import TexturedMesh
from phone2sim.poses import Pose


@dataclass(frozen=True, kw_only=True)
class RobotPart:
    """One visible shell of a robot."""

    name: str
    mesh: TexturedMesh
    rgb: tuple[float, float, float]
    """Linear albedo."""
    body: str
    """Name of the body it is fixed to, without the episode's `robot/` prefix."""
    T_body_part: Pose


@dataclass(frozen=True, kw_only=True)
class Robot:
    """A robot that can be built into a MuJoCo spec. Its joints and actuators share their names."""

    name: str
    joints: tuple[str, ...]
    """Arm joints, base to tip."""
    fingers: tuple[str, ...]
    """Finger joints; each travels 0 … `finger_travel_m`."""
    home_rad: tuple[float, ...]
    limits_rad: tuple[tuple[float, float], ...]
    finger_travel_m: float
    tip_below_pinch_m: float
    """How far the finger tips reach beyond the site `pinch`."""
    palm_above_pinch_m: float
    """Free depth between the fingers above the site `pinch`."""
    pad_half_m: tuple[float, float]
    """Half width and half height of a finger pad."""
    reach_m: tuple[float, float]
    """Radii around the base, at table height, in which the gripper can work pointing down."""
    build: Callable[..., Any]
    """`build(*, visual, collision) -> MjSpec` with root body `base`, actuator `gripper` and site `pinch`."""
    render_parts: Callable[[], tuple[RobotPart, ...]]

    @property
    def opening_m(self) -> float:
        """Largest gap between the fingers."""
        return 2 * self.finger_travel_m
