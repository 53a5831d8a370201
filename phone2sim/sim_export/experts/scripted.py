"""`ScriptedExpert`: carries each goal's object to its goal, one after the other, planning anew for each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from phone2sim.assets.scene import Scene
from phone2sim.augment.spec import EpisodeSpec
from phone2sim.sim_export.experts.base import Command, Infeasible
from phone2sim.sim_export.experts.carry import Carrier
from phone2sim.sim_export.judge import Judge
from phone2sim.sim_export.robots import get_robot
from phone2sim.sim_export.simulators.base import Simulator


class ScriptedExpert:
    """Grasp, carry, let go; for `pick`, grasp and lift."""

    def __init__(self, scene: Scene) -> None:
        self.carrier = Carrier(scene)

    def commands(self, sim: Simulator, spec: EpisodeSpec, judge: Judge) -> Iterator[Command]:
        """Raises `Infeasible` with a reason of `Carrier.plan`, or `no_gripper`, `no_goals`."""
        goals = spec.task.goals
        if not get_robot(spec.robot.model).fingers:
            raise Infeasible("no_gripper")
        if not goals:
            raise Infeasible("no_goals")
        q, gripper = np.array(spec.robot.qpos), spec.robot.gripper
        for goal in goals:
            now = judge.look(sim)
            if any(g.object == goal.on and not now.at_goal(g) for g in goals):
                return  # what it should stand on is not where it should be; the judge says why
            plan = self.carrier.plan(
                sim, spec, goal, now.goal_position(goal), q, gripper, seconds=spec.duration_s / len(goals),
                lift_only=judge.task.lift_only,
            )  # fmt: skip
            for q, gripper in zip(plan.joints_rad, plan.gripper):
                yield Command(q, float(gripper))

