"""`ArmIK`: inverse kinematics of a robot alone (mink), gripper pointing down, in the base frame."""

from __future__ import annotations

from typing import Any

import numpy as np

from phone2sim.sim_export.robots.base import Robot


class ArmIK:
    """Differential IK from a warm start. Deterministic: nothing is kept between calls."""

    def __init__(self, robot: Robot) -> None:
        self._set(robot.build(visual=False, collision=False).compile(), len(robot.joints), np.array(robot.home_rad))

    @classmethod
    def of(cls, model: Any, joints: int, home_rad: np.ndarray) -> ArmIK:
        """From a compiled model with a site `pinch`, whose first `joints` joints are the arm's."""
        ik = cls.__new__(cls)
        ik._set(model, joints, home_rad)
        return ik

    def _set(self, model: Any, joints: int, home_rad: np.ndarray) -> None:
        import mink

        self._mink = mink
        self.model = model
        self._n = joints
        self._config = mink.Configuration(self.model)
        self._task = mink.FrameTask("pinch", "site", position_cost=1.0, orientation_cost=0.4)
        self._posture = mink.PostureTask(self.model, 2e-3)
        home = np.zeros(self.model.nq)
        home[: self._n] = home_rad
        self._posture.set_target(home)
        self._limits = [mink.ConfigurationLimit(self.model)]

    def solve(
        self, q: np.ndarray, pinch: np.ndarray, rotation: np.ndarray, *, iterations: int = 2
    ) -> tuple[np.ndarray, float]:
        """Joints (j,) near `q` that bring the pinch site to a base-frame pose, and the error left [m, with rad/5]."""
        mink = self._mink
        full = np.zeros(self.model.nq)
        full[: self._n] = q
        self._config.update(full)
        target = mink.SE3.from_rotation_and_translation(mink.SO3.from_matrix(rotation), pinch)
        self._task.set_target(target)
        for _ in range(iterations):
            v = mink.solve_ik(self._config, [self._task, self._posture], 0.5, "daqp", damping=1e-4, limits=self._limits)
            v[self._n :] = 0
            self._config.integrate_inplace(v, 0.5)
            if iterations > 2 and np.linalg.norm(v) < 1e-4:
                break
        e = self._task.compute_error(self._config)
        return self._config.q[: self._n].copy(), float(np.linalg.norm(e[:3]) + np.linalg.norm(e[3:]) / 5)

    def pose(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pinch position (3,) and rotation (3, 3) in the base frame."""
        full = np.zeros(self.model.nq)
        full[: self._n] = q
        self._config.update(full)
        T = self._config.get_transform_frame_to_world("pinch", "site")
        return T.translation(), T.rotation().as_matrix()


    def lowest(self, q: np.ndarray) -> float:
        """Height of the lowest joint of the upper arm [m]: an elbow must not lie on the table."""
        self.pose(q)
        return float(self._config.data.xanchor[1 : self._n - 1, 2].min())


def pointing_down(yaw_rad: float) -> np.ndarray:
    """Rotation (3, 3) of the pinch site: z down, y (the closing direction) at `yaw_rad`."""
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    return np.array([[-s, c, 0.0], [c, s, 0.0], [0.0, 0.0, -1.0]])
