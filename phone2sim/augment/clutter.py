"""Other objects around the task: the scene's own assets first, then copies of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from phone2sim.augment.footprints import gap, placed
from phone2sim.augment.objects import Placed, Resting, as_captured, find_spot, no_room
from phone2sim.augment.sections import ClutterRecipe, ObjectsRecipe
from phone2sim.augment.workspace import Workspace
from phone2sim.keys import Key


def captured_clutter(
    cast: Sequence[Resting], bodies: list[Resting], recipe: ClutterRecipe, key: Key
) -> list[Placed]:
    """The other objects where the phone saw them, at most `count`; none unless the recipe asks for it."""
    if recipe.placement != "captured":
        return []
    count = int(recipe.count(key.child("count").rng()))
    here = [b for b in bodies if ":" not in b.reference and all(b is not c for c in cast)]
    return [as_captured(b) for b in here][:count]


def place_clutter(
    things: Sequence[Placed], rooms: Sequence[np.ndarray], bodies: list[Resting], recipe: ClutterRecipe,
    objects: ObjectsRecipe, key: Key, ws: Workspace, *, task_clearance_m: float, attempts: int = 8,
) -> list[Placed]:  # fmt: skip
    """Random clutter clear of the task's `things`, of `rooms` (outlines of where they end) and of itself.

    A crowded arrangement is started over up to `attempts` times; then `PlacementError`.
    """
    count = int(recipe.count(key.child("count").rng()))
    clearance = float(recipe.clearance_m(key.child("clearance").rng()))
    chosen = choose_clutter(things, bodies, count, key)
    distance = max(task_clearance_m, clearance, float(recipe.distance_m(key.child("distance").rng())))
    within = float(recipe.within_m(key.child("within").rng()))
    task = [(foot, distance) for foot in (*(p.foot for p in things), *rooms)]
    for attempt in range(attempts):
        out: list[Placed] = []
        for name, body in chosen:
            k = key.child(name, attempt)
            yaw = float(np.deg2rad(float(objects.yaw_deg(k.child("yaw").rng()))))
            others = task + [(p.foot, clearance) for p in out]
            foot = placed(body.foot, np.zeros(2), yaw)
            spot = find_spot(foot, k.child("xy"), ws, others, reach=False, near=(things[0].xy, within))
            if spot is None:
                failed = name, body
                break
            out.append(Placed(name=name, body=body, xy=spot, yaw_rad=yaw))
        else:
            return out
    raise no_room(failed[0], failed[1], ws, count)


def choose_clutter(
    things: Sequence[Placed], bodies: list[Resting], count: int, key: Key
) -> list[tuple[str, Resting]]:
    """(name, asset) of `count` objects: every asset the task is not about once in drawn order, then copies named
    `mug_2`, `mug_3` … The task's assets are copied only when the scene has no other."""
    cast = [p.body for p in things]
    others = [b for b in bodies if all(b is not c for c in cast)] or cast[:1]
    order = key.child("order").rng().permutation(len(others))
    used = {b.asset.name for b in bodies}
    seen = {p.name for p in things}
    out = []
    for i in range(count):
        body = others[order[i % len(others)]]
        name = unused_name(body, seen, used)
        seen.add(name)
        out.append((name, body))
    return out


def unused_name(body: Resting, seen: set[str], assets: set[str]) -> str:
    """The asset's name, or `mug_2`, `mug_3` … where that is taken; never the name of another asset."""
    name, n = body.asset.name, 2
    while name in seen or (name != body.asset.name and name in assets):
        name, n = f"{body.asset.name}_{n}", n + 1
    return name


def overlaps(placed_objects: list[Placed]) -> float:
    """Least gap between any two footprints [m]; negative when some overlap, infinite for fewer than two."""
    feet = [p.foot for p in placed_objects]
    gaps = [gap(a, b) for i, a in enumerate(feet) for b in feet[i + 1 :]]
    return min(gaps, default=float("inf"))
