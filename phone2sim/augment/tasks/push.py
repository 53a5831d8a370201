"""Push an object over the table into a region, without grasping it."""

from __future__ import annotations

from phone2sim.augment.objects import Resting
from phone2sim.augment.spec import GoalSpec
from phone2sim.augment.tasks.base import Draft, Moment
from phone2sim.augment.tasks.place import Place
from phone2sim.augment.tasks.stage import Stage


class Push(Place):
    """Done when the object rests in the region; how it got there does not matter."""

    kind = "push"
    templates = ("Push the {target} {where}.", "Slide the {target} {where}.", "Shove the {target} {where}.")
    expert = "planner"
    needs_gripper = False

    def goal_progress(self, now: Moment, goal: GoalSpec) -> float:
        """The way to the goal 0.9, resting there 0.1; an object that fell over counts half."""
        done = super().goal_progress(now, goal)
        return done if abs(now.miss(goal)[1]) <= goal.tolerance_z_m else 0.5 * done

    def goal_failure(self, now: Moment, goal: GoalSpec) -> str:
        """`fell`, `tipped`, `not_moved`, `missed_goal` or `not_at_rest`."""
        why = super().goal_failure(now, goal)
        return "tipped" if why in ("missed_goal", "not_moved") and abs(now.miss(goal)[1]) > goal.tolerance_z_m else why

    def draft(self, stage: Stage, *cast: Resting) -> Draft | None:
        if stage.recipe.task.relation in ("on", "in"):
            return None
        return super().draft(stage, *cast)
