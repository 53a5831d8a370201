"""Push an object over the table into a region, without grasping it."""

from __future__ import annotations

import numpy as np

from phone2sim.augment.objects import Resting
from phone2sim.augment.spec import GoalSpec
from phone2sim.augment.tasks.base import Draft, Moment
from phone2sim.augment.tasks.place import Place
from phone2sim.augment.tasks.stage import Stage
from phone2sim.poses import quat_to_matrix

TIPPED_RAD = 1.13
"""An object turned further than this out of the upright lies on another side (65 degrees)."""


class Push(Place):
    """Done when the object rests in the region; how it got there does not matter."""

    kind = "push"
    templates = ("Push the {target} {where}.", "Slide the {target} {where}.", "Shove the {target} {where}.")
    expert = "planner"
    needs_gripper = False

    def goal_progress(self, now: Moment, goal: GoalSpec) -> float:
        """The way to the goal 0.9, resting there 0.1; of an object that fell over a tenth counts: it does not get up."""
        done = super().goal_progress(now, goal)
        return 0.1 * done if _tipped(now, goal) else done

    def goal_failure(self, now: Moment, goal: GoalSpec) -> str:
        """`fell`, `tipped`, `not_moved`, `missed_goal` or `not_at_rest`."""
        why = super().goal_failure(now, goal)
        return "tipped" if why in ("missed_goal", "not_moved", "not_at_rest", "") and _tipped(now, goal) else why

    def draft(self, stage: Stage, *cast: Resting) -> Draft | None:
        if stage.recipe.task.relation in ("on", "in"):
            return None
        return super().draft(stage, *cast)


def _tipped(now: Moment, goal: GoalSpec) -> bool:
    """By how it lies: a low box on its side is hardly higher than it was. Or by its height: it stands on something."""
    k = now.index(goal.object)
    up = quat_to_matrix(now.poses[k, 3:]) @ quat_to_matrix(now.start[k, 3:]).T
    return bool(up[2, 2] < np.cos(TIPPED_RAD)) or abs(now.miss(goal)[1]) > goal.tolerance_z_m
