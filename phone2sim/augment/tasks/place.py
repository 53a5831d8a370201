"""Move an object: to a place on the table, beside another one, on top of it, or into it."""

from __future__ import annotations

from typing import ClassVar

from phone2sim.augment.footprints import placed
from phone2sim.augment.objects import Placed, Resting
from phone2sim.augment.tasks.base import Draft, Goal, Task
from phone2sim.augment.tasks.stage import Stage
from phone2sim.augment.tasks.tops import flat_top, hollow, lies_in, stands_on
from phone2sim.augment.workspace import PlacementError
from phone2sim.errors import RecipeError


class Place(Task):
    """Done when the object rests at its goal and the robot has let go."""

    kind = "place"
    templates: ClassVar[tuple[str, ...]] = (
        "Pick up the {target} and place it {where}.", "Move the {target} {where}.",
        "Grab the {target}, then set it down {where}.", "Put the {target} {where}.",
        "Please take the {target} and leave it {where}.", "I want the {target} {where}.", "The {target} {where}, please.",
    )  # fmt: skip

    def cast(self, stage: Stage) -> tuple[Resting, ...]:
        relation = stage.recipe.task.relation
        fits = {"on": stands_on, "in": lies_in}.get(relation)
        if fits is None:
            target, among = stage.target(grasped=self.needs_gripper), None
        else:
            target = stage.target(fits=lambda b: any(fits(b, other) for other in stage.holders() if other is not b))
            among = [b for b in stage.bodies if b is not target and fits(target, b)]
        if not relation:
            return (target,)
        reference = stage.reference(target, among=among)
        if reference is None or (fits is not None and not fits(target, reference)):
            raise PlacementError(_nothing_holds(relation, target, reference))
        return target, reference

    def draft(self, stage: Stage, *cast: Resting) -> Draft | None:
        target = stage.stand(cast[0])
        tolerance = stage.recipe.task.tolerance_m
        if len(cast) == 1:
            xy = stage.spot(target, where=stage.recipe.task.where)
            return None if xy is None else Draft(objects=(target,), goals=(Goal(object=target, xy=xy, tolerance_m=tolerance),))
        relation = stage.recipe.task.relation
        reference = stage.stand(cast[1], target)
        if relation in ("on", "in"):
            goal = rest_on(target, reference, inside=relation == "in")
        else:
            xy = stage.beside(target, reference, relation, target)
            if xy is None:
                return None
            goal = Goal(object=target, xy=xy, tolerance_m=tolerance)
        return Draft(objects=(target, reference), goals=(goal,), words={"where": f"{relation} the {{reference}}"})

    def no_room(self, stage: Stage, *cast: Resting) -> str:
        if len(cast) == 1:
            where = f" {stage.recipe.task.where}" if stage.recipe.task.where else ""
            return f"No goal {stage.travel_m:.2f} m or more from {cast[0].asset.name}{where} that is free and in reach."
        return f"No arrangement in which {cast[0].asset.name} fits {stage.recipe.task.relation} {cast[1].asset.name} in reach."


def rest_on(upper: Placed, lower: Placed, *, inside: bool = False, height_m: float = 0.0) -> Goal:
    """The goal on top of an object that itself stands `height_m` above the support, or in its hollow.

    Raises `RecipeError` where the lower one has no flat top or no hollow.
    """
    seat = hollow(lower.body) if inside else flat_top(lower.body)
    if seat is None:
        what = "a hollow to put something in" if inside else "a flat top to put something on"
        raise RecipeError(f"{lower.body.asset.name} has no {what}.")
    xy = placed(seat.xy[None], lower.xy, lower.yaw_rad)[0]
    if inside:
        return Goal(
            object=upper, xy=xy, height_m=height_m + seat.height_m, on=lower, tolerance_m=max(0.02, seat.room_m),
            tolerance_z_m=0.025, drop=True,
        )  # fmt: skip
    room = max(0.02, 0.5 * seat.room_m)
    return Goal(object=upper, xy=xy, height_m=height_m + seat.height_m, on=lower, tolerance_m=room, tolerance_z_m=0.012)


def _nothing_holds(relation: str, target: Resting, reference: Resting | None) -> str:
    name = target.asset.name
    what = "flat top wide enough to stand" if relation == "on" else "hollow wide enough to take"
    if relation not in ("on", "in"):
        return f"There is nothing to put {name} {relation}: it is the only object."
    if reference is None:
        return f"No object has a {what} {name}."
    return f"{reference.asset.name} has no {what} {name}."

