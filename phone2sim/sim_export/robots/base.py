"""`Robot`: what the expert, the simulator and the renderer need to know of an arm with a parallel gripper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from phone2sim.assets.mesh import TexturedMesh
from phone2sim.augment.workspace import RobotReach
from phone2sim.poses import Pose

SLACK_M = 0.003
"""Least room on each side between an object and the open finger."""


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


WRIST_EYE_M = (0.085, 0.0, -0.075)
WRIST_TARGET_M = (0.0, 0.0, 0.06)
"""A wrist camera and what it looks at, from the site `pinch` [m]."""


@dataclass(frozen=True, kw_only=True)
class Robot:
    """A robot that can be built into a MuJoCo spec. Its arm's joints and actuators share their names."""

    name: str
    joints: tuple[str, ...]
    """Arm joints, base to tip."""
    fingers: tuple[str, ...]
    """Finger joints; empty for a robot without a gripper."""
    finger_closed: tuple[float, ...]
    """Their positions with the gripper closed [m or rad]."""
    finger_open: tuple[float, ...]
    grip_actuators: tuple[str, ...]
    """What drives the fingers."""
    grip_closed: tuple[float, ...]
    """Their controls to close."""
    grip_open: tuple[float, ...]
    opening_m: float
    """Largest gap between the fingers."""
    home_rad: tuple[float, ...]
    limits_rad: tuple[tuple[float, float], ...]
    tip_below_pinch_m: float
    """How far the finger tips reach beyond the site `pinch`."""
    palm_above_pinch_m: float
    """Free depth between the fingers above the site `pinch`."""
    pad_half_m: tuple[float, float]
    """Half width and half height of a finger pad."""
    finger_m: tuple[float, float] = (0.023, 0.014)
    """Depth of a finger along the closing direction and its half width across, with a little room."""
    palm_half_m: tuple[float, float] = (0.04, 0.11)
    """Half size of the palm across and along the closing direction."""
    reach_m: tuple[float, float]
    """Radii around the base, at table height, in which the gripper can work pointing down."""
    half_angle_rad: float = 1.2
    """It works to both sides of straight ahead."""
    base_radius_m: float = 0.12
    """Footprint of the base, kept free."""
    build: Callable[..., Any]
    """`build(*, visual, collision) -> MjSpec` with root body `base` and site `pinch` (z along the approach, y the closing
    direction)."""
    render_parts: Callable[[], tuple[RobotPart, ...]]

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the numbers in a state or an action. A robot without a gripper has the last one too, always 0."""
        return (*(f"{j}.pos" for j in self.joints), "gripper.pos")

    def finger_positions(self, opening: float) -> np.ndarray:
        """(f,) joint positions at an opening 0–1."""
        a, b = np.array(self.finger_closed), np.array(self.finger_open)
        return a + np.clip(opening, 0, 1) * (b - a)

    def grip_controls(self, opening: np.ndarray | float) -> np.ndarray:
        """(..., a) actuator controls for openings (...,) 0–1."""
        a, b = np.array(self.grip_closed), np.array(self.grip_open)
        return a + np.clip(np.asarray(opening)[..., None], 0, 1) * (b - a)

    def opening(self, finger_positions: np.ndarray) -> float:
        """0–1 at measured joint positions (f,); 0 without fingers."""
        if not self.fingers:
            return 0.0
        a, b = np.array(self.finger_closed), np.array(self.finger_open)
        return float(np.mean((finger_positions - a) / (b - a)))

    def _wrist(self) -> tuple[str, tuple[float, float, float], tuple[float, float, float]]:
        """Body that carries the site `pinch`, and in its frame where a wrist camera sits, beside the palm, and looks."""
        from phone2sim.poses import quat_to_matrix

        model = self.build(visual=False).compile()
        site = model.site("pinch")
        R = quat_to_matrix(model.site_quat[site.id])
        eye, target = (model.site_pos[site.id] + R @ np.array(p) for p in (WRIST_EYE_M, WRIST_TARGET_M))
        a, b = (tuple(round(float(x), 6) for x in p) for p in (eye, target))
        return model.body(int(model.site_bodyid[site.id])).name, a, b  # type: ignore[return-value]

    def reach(self) -> RobotReach:
        """What the sampler must know of it."""
        mount, eye, target = self._wrist()
        return RobotReach(
            wrist_mount=mount, wrist_eye_m=eye, wrist_target_m=target, model=self.name, home_rad=self.home_rad, near_m=self.reach_m[0], far_m=self.reach_m[1],
            half_angle_rad=self.half_angle_rad, gripper_m=self.opening_m - 0.005, base_radius_m=self.base_radius_m,
        )  # fmt: skip
