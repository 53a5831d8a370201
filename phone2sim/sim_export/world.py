"""`World`: one episode run in closed loop. Whoever decides the actions, observes and commands here."""

from __future__ import annotations

import copy
from typing import Any, Literal

import numpy as np

from phone2sim.assets.scene import Scene
from phone2sim.augment.spec import EpisodeSpec
from phone2sim.errors import InputError, ShapeError
from phone2sim.sim_export.experts.ik import ArmIK
from phone2sim.sim_export.judge import Judge, Moment, unsettled
from phone2sim.sim_export.robots import get_robot
from phone2sim.sim_export.robots.base import Robot
from phone2sim.sim_export.simulators import SIMULATORS

Control = Literal["joints", "ee_delta"]
CONTROLS: tuple[Control, ...] = ("joints", "ee_delta")
STEP_M, STEP_RAD = 0.05, 0.3
"""Longest move and turn that one `ee_delta` action can ask for."""


class World:
    """A scene with a robot, at the episode's frame rate. Keeps compiled models and backgrounds between episodes.

    `control`: an action is either `joints`, (j + 1,) arm joints to go to [rad] and gripper opening 0–1, or `ee_delta`,
    (7,) move [m] and rotation vector [rad] of the pinch point in the robot's base frame, and opening.
    """

    def __init__(
        self, scene: Scene, *, control: Control = "joints", pictures: bool = True, simulator: str = "mujoco"
    ) -> None:
        if control not in CONTROLS:
            raise InputError(f"No control {control!r}; have {', '.join(CONTROLS)}.")
        self.scene, self.control, self.pictures = scene, control, pictures
        self.simulator = SIMULATORS[simulator]()(scene)
        self._ik: dict[str, ArmIK] = {}
        self.backgrounds: Any = None

    def reset(self, spec: EpisodeSpec) -> dict[str, Any]:
        """Set the spec up, let it settle, and observe. `self.reason` is `unsettled:…` where objects did not stay."""
        self.spec = spec.physical()
        self.simulator.load(self.spec)
        self.step_index = 0
        self._before: tuple[np.ndarray, np.ndarray] | None = None
        self.robot = get_robot(spec.robot.model)
        self.bodies = tuple(dict.fromkeys(p.body for p in self.robot.render_parts()))
        self._command = np.array(spec.robot.qpos)
        self._target: tuple[np.ndarray, np.ndarray] | None = None
        start = self.simulator.object_poses()
        self.judge = Judge(self.spec, start)
        self.moment: Moment = self.judge.look(self.simulator)
        self._unsettled = unsettled(self.spec, start)
        if self.pictures:
            from phone2sim.sim_export.pictures import SpecPictures
            from phone2sim.sim_export.render.background import BackgroundCache

            self.backgrounds = self.backgrounds or BackgroundCache()
            self._drawn = SpecPictures(self.scene, self.spec, self.bodies, cache=self.backgrounds)
        return self.observe()

    def observe(self) -> dict[str, Any]:
        """`images` by camera, (h, w, 3) uint8 (none without pictures); `state`, (j + 1,) float32; `prompt`."""
        images = {}
        if self.pictures:
            now = self.simulator.object_poses(), self.simulator.robot_poses(self.bodies)
            images = self._drawn.draw(*now, self.step_index, before=self._before or now)
        return {
            "images": images,
            "state": self.simulator.joints().astype(np.float32),
            "prompt": self.spec.task.language,
        }

    def step(self, action: np.ndarray) -> None:
        """Advance one frame; an action beyond the bounds is clipped. Raises `ShapeError` for one of a wrong shape."""
        low, high = self.bounds_of(self.robot)
        a = np.asarray(action, float)
        if a.shape != low.shape or not np.isfinite(a).all():
            raise ShapeError(f"Action for {self.control}: expected {low.shape} finite numbers, got {a.shape}.")
        a = np.clip(a, low, high)
        self._command = a[:-1] if self.control == "joints" else self._reach(a[:-1])
        if self.pictures:
            self._before = self.simulator.object_poses(), self.simulator.robot_poses(self.bodies)
        self.simulator.step(self._command, float(a[-1]))
        self.step_index += 1
        self.moment = self.judge.look(self.simulator)

    @property
    def steps(self) -> int:
        """Length of the episode."""
        return round(self.spec.fps * self.spec.duration_s)

    @property
    def over(self) -> bool:
        """Whether time is up."""
        return self.step_index >= self.steps

    @property
    def progress(self) -> float:
        """How far the task is done, 0–1."""
        return self.judge.progress(self.moment)

    @property
    def reason(self) -> str:
        """Empty when the task is done now, else what is wrong."""
        return self._unsettled or self.judge.failure(self.moment)

    def state(self) -> tuple[Any, ...]:
        """Everything the future depends on; for `set_state` of the same spec."""
        return (
            self.simulator.state(), self.step_index, self._command.copy(), self._target, copy.copy(self.judge), self.moment,
        )  # fmt: skip

    def set_state(self, state: tuple[Any, ...]) -> None:
        """Return to a saved state, exactly."""
        physics, self.step_index, command, self._target, judge, self.moment = state
        self._before = None
        self._command, self.judge = command.copy(), copy.copy(judge)
        self.simulator.set_state(physics)

    def pinch(self) -> tuple[np.ndarray, np.ndarray]:
        """Pinch point (3,) [m] and rotation (3, 3) in the base frame, of the measured joints."""
        return self._arm_ik().pose(self.simulator.joints()[: len(self.robot.joints)])

    def _reach(self, delta: np.ndarray) -> np.ndarray:
        """Joints for the commanded pinch pose moved by (6,); the command adds up, so that sagging does not."""
        from scipy.spatial.transform import Rotation

        ik = self._arm_ik()
        p, R = self._target or ik.pose(self._command)
        p, R = p + delta[:3], Rotation.from_rotvec(delta[3:]).as_matrix() @ R
        q, error = ik.solve(self._command, p, R, iterations=4)
        # What the arm cannot reach is not remembered, or the command would wind up.
        self._target = (p, R) if error < 0.03 else ik.pose(q)
        return q

    def _arm_ik(self) -> ArmIK:
        if self.robot.name not in self._ik:
            self._ik[self.robot.name] = ArmIK(self.robot)
        return self._ik[self.robot.name]

    def action_to(self, command: np.ndarray) -> np.ndarray:
        """The action that brings the command to joints and gripper (j + 1,), as near as one action gets."""
        if self.control == "joints":
            return np.asarray(command, float)
        from scipy.spatial.transform import Rotation

        ik = self._arm_ik()
        (p0, R0), (p, R) = self._target or ik.pose(self._command), ik.pose(np.asarray(command[:-1], float))
        return np.r_[p - p0, Rotation.from_matrix(R @ R0.T).as_rotvec(), command[-1]]

    def bounds_of(self, robot: Robot) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest action, (a,) each."""
        if self.control == "ee_delta":
            high = np.array([STEP_M] * 3 + [STEP_RAD] * 3)
            return np.r_[-high, 0.0], np.r_[high, 1.0]
        limits = np.array(robot.limits_rad)
        return np.r_[limits[:, 0], 0.0], np.r_[limits[:, 1], 1.0]
