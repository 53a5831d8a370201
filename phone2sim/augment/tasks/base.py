"""`Task`: how its objects and goals are drawn, how far it is done, and what went wrong. `Moment` is what it judges by.

A task decides; experts and simulators carry out. Judging is a function of one `Moment`, so a policy, an imagined
future and a recorded episode are all judged alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from phone2sim.augment.objects import Placed, Resting
from phone2sim.augment.spec import EpisodeSpec, GoalSpec

if TYPE_CHECKING:
    from phone2sim.augment.tasks.stage import Stage

LIFT_M = 0.04
"""An object higher than this above its start counts as lifted."""
REST_SPEED = 0.03
"""[m/s]"""
FELL_M = 0.1
"""An object this far below its start has left the table."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """The world at one time, as far as tasks judge it. Objects are in the spec's order."""

    spec: EpisodeSpec
    start: np.ndarray
    """(n, 7) settled poses before the first command: x y z [m], quaternion wxyz."""
    poses: np.ndarray
    """(n, 7) now."""
    speeds: np.ndarray
    """(n,) [m/s]."""
    touched: np.ndarray
    """(n,) bool: the robot touches the object."""
    highest: np.ndarray
    """(n,) highest rise above its start so far [m]."""

    def index(self, name: str) -> int:
        return [o.name for o in self.spec.objects].index(name)

    def goal_position(self, goal: GoalSpec) -> np.ndarray:
        """(3,) where the goal is now: what stands on a moved object moves with it."""
        xyz = np.array(goal.xyz)
        if goal.on is None:
            return xyz
        planned = next((g.xyz for g in self.spec.task.goals if g.object == goal.on), None)
        on = self.index(goal.on)
        return xyz + self.poses[on, :3] - (self.start[on, :3] if planned is None else np.array(planned))

    def miss(self, goal: GoalSpec) -> tuple[float, float]:
        """How far an object is from its goal: horizontally, and above it [m]."""
        d = self.poses[self.index(goal.object), :3] - self.goal_position(goal)
        return float(np.hypot(d[0], d[1])), float(d[2])

    def at_goal(self, goal: GoalSpec) -> bool:
        aside, above = self.miss(goal)
        return aside <= goal.tolerance_m and abs(above) <= goal.tolerance_z_m

    def moved_share(self, goal: GoalSpec) -> float:
        """0 at the start, 1 within the goal: share of the way gone, horizontally. What is to stand on an object that
        moves itself is measured against where that will be."""
        k = self.index(goal.object)
        moves = any(g.object == goal.on for g in self.spec.task.goals)
        end = np.array(goal.xyz) if moves else self.goal_position(goal)
        d0 = float(np.linalg.norm((self.start[k, :3] - np.array(goal.xyz))[:2]))
        d = float(np.linalg.norm((self.poses[k, :3] - end)[:2]))
        return float(np.clip((d0 - d) / max(d0 - goal.tolerance_m, 1e-6), 0, 1))


@dataclass(frozen=True, kw_only=True)
class Goal:
    """Where one object should end, while an episode is drawn."""

    object: Placed
    xy: np.ndarray
    """(2,) of its origin, surface frame [m]."""
    height_m: float = 0.0
    """Above where it would rest on the support."""
    on: Placed | None = None
    """What it then stands on or in."""
    tolerance_m: float = 0.04
    tolerance_z_m: float = 0.02
    drop: bool = False
    """Let go above the goal, as into a container."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A drawn task: the objects it is about (the target first) and their goals, in order."""

    objects: tuple[Placed, ...]
    goals: tuple[Goal, ...]
    words: Mapping[str, str] = field(default_factory=dict)
    """For the sentence, besides `{target}`, `{reference}` (the second object) and `{where}`."""


class Task(ABC):
    """One kind of task. Without state: one instance serves every episode."""

    kind: ClassVar[str]
    templates: ClassVar[tuple[str, ...]]
    """Sentences; `{target}`, `{reference}`, `{where}` and the draft's own words are filled in."""
    expert: ClassVar[str] = "scripted"
    """`scripted` carries the goals' objects to them in order; `planner` needs `progress` alone."""
    needs_gripper: ClassVar[bool] = True
    lift_only: ClassVar[bool] = False
    """The scripted expert ends with the object held in the air."""
    attempts: ClassVar[int] = 12
    """How often a draft may come out as None."""

    def cast(self, stage: Stage) -> tuple[Resting, ...]:
        """The assets it is about, drawn once; the first is the target."""
        return (stage.target(),)

    @abstractmethod
    def draft(self, stage: Stage, *cast: Resting) -> Draft | None:
        """Where they stand and should end; None when this try does not fit."""

    def progress(self, now: Moment) -> float:
        """0 at the start, 1 when done."""
        goals = now.spec.task.goals
        return sum(self.goal_progress(now, g) for g in goals) / max(len(goals), 1)

    def failure(self, now: Moment) -> str:
        """Empty when done, else the first thing that is wrong, as a short machine-readable word or two."""
        return next((r for g in now.spec.task.goals if (r := self.goal_failure(now, g))), "")

    def goal_progress(self, now: Moment, goal: GoalSpec) -> float:
        """Lifted is worth 0.2, the way to the goal 0.7, resting there 0.1."""
        k = now.index(goal.object)
        share = now.moved_share(goal)
        if not self.goal_failure(now, goal):
            return 1.0
        if not self.needs_gripper:
            return 0.9 * share
        rise = float(now.poses[k, 2] - now.start[k, 2])
        return 0.2 * float(np.clip(max(rise / LIFT_M, share / 0.2), 0, 1)) + 0.7 * share

    def goal_failure(self, now: Moment, goal: GoalSpec) -> str:
        """`not_grasped`, `fell`, `dropped`, `missed_goal`, `still_held` or `not_at_rest`; without a gripper
        `not_moved` for the first."""
        k = now.index(goal.object)
        aside, above = now.miss(goal)
        if self.needs_gripper and now.highest[k] < LIFT_M:
            return "not_grasped"
        if now.poses[k, 2] < now.start[k, 2] - FELL_M:
            return "fell"
        if now.touched[k] and self.needs_gripper:
            return "still_held"
        if not now.at_goal(goal):
            if not self.needs_gripper:
                return "not_moved" if now.moved_share(goal) < 0.1 else "missed_goal"
            return "dropped" if aside > 3 * goal.tolerance_m or (goal.on and above < -goal.tolerance_z_m) else "missed_goal"
        if now.speeds[k] > REST_SPEED:
            return "not_at_rest"
        return ""

    def no_room(self, stage: Stage, *cast: Resting) -> str:
        """What to say when no draft fitted."""
        names = ", ".join(b.asset.name for b in cast)
        return f"No room to {self.kind} {names}: no arrangement of {self.attempts} tries was free and in reach."
