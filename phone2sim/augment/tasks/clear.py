"""Clear the table: everything that can be held goes to one side."""

from __future__ import annotations

import numpy as np

from phone2sim.augment.objects import Placed, Resting, disc
from phone2sim.augment.tasks.base import Draft, Goal, Task
from phone2sim.augment.tasks.stage import Stage
from phone2sim.augment.workspace import PlacementError

SIDES = ("to the left", "to the right")


class Clear(Task):
    """Done when each of `task.count` objects rests on the side it was sent to."""

    kind = "clear"
    templates = ("Clear the table: put everything {where}.", "Tidy up. All of it goes {where}.")
    attempts = 24

    def cast(self, stage: Stage) -> tuple[Resting, ...]:
        """As many different objects as there are, at most `task.count`."""
        things = stage.graspable()
        if not things:
            raise PlacementError("Nothing on the table can be held by the gripper, so it cannot be cleared.")
        order = stage.key.child("task", "order").rng().permutation(len(things))
        return tuple(things[i] for i in order[: stage.recipe.task.count])

    def draft(self, stage: Stage, *cast: Resting) -> Draft | None:
        where = stage.recipe.task.where
        if not where:
            where = SIDES[int(stage.key.child("task", "side", stage.attempt).rng().integers(2))]
        things: list[Placed] = []
        for body in cast:
            things.append(stage.stand(body, *things))
        goals: list[Goal] = []
        taken: list[np.ndarray] = []
        for i, thing in enumerate(things):
            xy = stage.spot(thing, *things, *taken, where=where, role=f"goal_{i}")
            if xy is None:
                return None
            taken.append(disc(thing.body.radius_m) + xy)
            goals.append(Goal(object=thing, xy=xy, tolerance_m=stage.recipe.task.tolerance_m))
        return Draft(objects=tuple(things), goals=tuple(goals), words={"where": where})
