"""Pick an object up and hold it."""

from __future__ import annotations

from phone2sim.augment.objects import Resting
from phone2sim.augment.spec import GoalSpec
from phone2sim.augment.tasks.base import LIFT_M, Draft, Goal, Moment, Task
from phone2sim.augment.tasks.stage import Stage

HOLD_M = 0.10
"""Height to lift to."""


class Pick(Task):
    """Done when the object is held `LIFT_M` or more above where it stood."""

    kind = "pick"
    lift_only = True
    templates = ("Pick up the {target}.", "Grasp the {target} and lift it.", "Take the {target}.")

    def draft(self, stage: Stage, *cast: Resting) -> Draft | None:
        target = stage.stand(cast[0])
        return Draft(objects=(target,), goals=(Goal(object=target, xy=target.xy, height_m=HOLD_M),))

    def goal_progress(self, now: Moment, goal: GoalSpec) -> float:
        if not self.goal_failure(now, goal):
            return 1.0
        k = now.index(goal.object)
        rise = float(now.poses[k, 2] - now.start[k, 2])
        return 0.1 * bool(now.touched[k]) + 0.8 * min(1.0, max(0.0, rise / LIFT_M))

    def goal_failure(self, now: Moment, goal: GoalSpec) -> str:
        """`not_grasped`, or `dropped` when it was in the air before."""
        k = now.index(goal.object)
        if now.highest[k] < LIFT_M:
            return "not_grasped"
        high = now.poses[k, 2] - now.start[k, 2] >= LIFT_M
        return "" if high and now.touched[k] else "dropped"
