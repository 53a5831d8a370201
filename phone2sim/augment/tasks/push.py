"""Push an object over the table into a region, without grasping it."""

from __future__ import annotations

from phone2sim.augment.objects import Resting
from phone2sim.augment.tasks.base import Draft
from phone2sim.augment.tasks.place import Place
from phone2sim.augment.tasks.stage import Stage


class Push(Place):
    """Done when the object rests in the region; how it got there does not matter."""

    kind = "push"
    templates = ("Push the {target} {where}.", "Slide the {target} {where}.", "Shove the {target} {where}.")
    expert = "planner"
    needs_gripper = False

    def draft(self, stage: Stage, *cast: Resting) -> Draft | None:
        if stage.recipe.task.relation in ("on", "in"):
            return None
        return super().draft(stage, *cast)
