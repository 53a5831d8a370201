"""Stack objects into a tower."""

from __future__ import annotations

from phone2sim.augment.objects import Placed, Resting
from phone2sim.augment.tasks.base import Draft, Goal, Task
from phone2sim.augment.tasks.place import rest_on
from phone2sim.augment.tasks.stage import Stage
from phone2sim.augment.tasks.tops import stands_on
from phone2sim.augment.workspace import PlacementError


class Stack(Task):
    """Done when all stand on each other and the robot has let go. `task.count` objects, the lowest stays where it is."""

    kind = "stack"
    templates = ("Stack the {target} on the {reference}.", "Build a tower: the {target} on the {reference}.")

    def cast(self, stage: Stage) -> tuple[Resting, ...]:
        """From the second lowest up, the lowest last."""
        wanted = stage.recipe.task.count

        def fits(b: Resting) -> bool:
            """Stands on something, and where more are to come, something stands on it."""
            if wanted > 2:
                return any(stands_on(o, b) for o in stage.graspable())
            return any(stands_on(b, o) for o in stage.holders() if o is not b)

        upper = [stage.target(fits=fits)]
        while len(upper) < wanted - 1:
            able = [b for b in stage.graspable() if stands_on(b, upper[-1])]
            more = stage.among(able, *upper, role=f"level_{len(upper)}")
            if more is None:
                raise PlacementError(f"Nothing in the scene can stand on {upper[-1].asset.name}.")
            upper.append(more)
        lowest = stage.reference(*upper, among=[b for b in stage.bodies if stands_on(upper[0], b)])
        if lowest is None or not stands_on(upper[0], lowest):
            raise PlacementError(f"No object has a flat top wide enough to stand {upper[0].asset.name}.")
        return (*upper, lowest)

    def draft(self, stage: Stage, *cast: Resting) -> Draft | None:
        standing: list[Placed] = []
        for body in cast:
            standing.append(stage.stand(body, *standing))
        *upper, below = standing
        goals: list[Goal] = []
        height, xy = 0.0, below.xy
        for thing in upper:
            goal = rest_on(thing, Placed(name=below.name, body=below.body, xy=xy, yaw_rad=below.yaw_rad), height_m=height)
            goals.append(goal)
            height, xy, below = goal.height_m, goal.xy, thing
        return Draft(objects=tuple(standing), goals=tuple(goals))

    def no_room(self, stage: Stage, *cast: Resting) -> str:
        return f"No room for {' and '.join(b.asset.name for b in cast)} in reach."

