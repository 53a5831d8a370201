"""`Stage`: what a task may draw from — the scene's objects on its table, in the robot's reach. In the surface's frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from phone2sim.assets.scene import Scene
from phone2sim.augment.clutter import captured_clutter, unused_name
from phone2sim.augment.footprints import gap, inset
from phone2sim.augment.language import direction_words
from phone2sim.augment.objects import (
    EDGE_M,
    Placed,
    Resting,
    choose_target,
    disc,
    graspable,
    named_body,
    place_goal,
    place_object,
)  # fmt: skip
from phone2sim.augment.recipe import Recipe
from phone2sim.augment.workspace import Workspace
from phone2sim.keys import Key

RELATIONS = ("on", "in", "left of", "right of", "in front of", "behind", "next to")
"""Where one object may go with respect to another. Sides are as the robot sees them; `in front of` is nearer to it."""
_SIDES = {"left of": (0.0, 1.0), "right of": (0.0, -1.0), "in front of": (-1.0, 0.0), "behind": (1.0, 0.0)}
FINGER_ROOM_M = 0.035
"""Kept between an object and the one it is put beside."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One try at drawing an episode's objects and goals. All draws are by name, so tries do not disturb each other."""

    scene: Scene
    recipe: Recipe
    key: Key
    """Of the episode."""
    ws: Workspace
    bodies: tuple[Resting, ...]
    fixed: tuple[Placed, ...] = ()
    """Objects that stay where they were captured."""
    attempt: int = 0

    @property
    def clearance_m(self) -> float:
        return float(self.recipe.objects.clearance_m(self.key.child("objects", "clearance").rng()))

    @property
    def travel_m(self) -> float:
        return float(self.recipe.task.travel_m(self.key.child("task", "travel_m").rng()))

    def with_cast(self, cast: Sequence[Resting]) -> Stage:
        """The stage once it is known which assets the task is about."""
        others = captured_clutter(cast, list(self.bodies), self.recipe.clutter, self.key.child("clutter"))
        return replace(self, fixed=tuple(others))

    def retry(self, attempt: int) -> Stage:
        return replace(self, attempt=attempt)

    # Which objects

    def target(self, *, grasped: bool = True, fits: Callable[[Resting], bool] | None = None) -> Resting:
        """The recipe's target, or any: with `grasped` one that the gripper spans, in reach where it was captured; of
        those that `fits` holds for, if there are any."""
        bodies = list(self.bodies)
        if self.recipe.objects.placement == "captured" and self.recipe.task.target.to_yaml() == "any":
            bodies = [b for b in bodies if self.ws.in_reach(b.T_surface_asset.translation[:2])[0]] or bodies
        if fits is not None and self.recipe.task.target.to_yaml() == "any":
            able = graspable(bodies, self.ws) if grasped else bodies
            bodies = [b for b in able if fits(b)] or bodies
        return choose_target(bodies, self.recipe.task, self.key.child("task"), self.ws, grasped=grasped)

    def named_reference(self) -> Resting | None:
        """The object that the recipe asks for as the reference; None where any will do."""
        wanted = self.recipe.task.reference(self.key.child("task", "reference").rng())
        return None if wanted == "any" else named_body(list(self.bodies), str(wanted), "task.reference")

    def holders(self) -> tuple[Resting, ...]:
        """What the recipe lets the target be put on or in: the named reference, else every object."""
        named = self.named_reference()
        return self.bodies if named is None else (named,)

    def reference(self, *taken: Resting, among: Sequence[Resting] | None = None) -> Resting | None:
        """Another object: the recipe's reference, or any of `among` not yet taken; None when there is none."""
        named = self.named_reference()
        if named is not None:
            return named
        return self.among(self.bodies if among is None else among, *taken, role="reference_any")

    def among(self, options: Sequence[Resting], *taken: Resting, role: str) -> Resting | None:
        """One of `options` that is not taken; where all are, one of them again (a copy is placed); None without options."""
        free = [b for b in options if all(b is not t for t in taken)] or list(options)
        return free[int(self.key.child("task", role).rng().integers(len(free)))] if free else None

    def graspable(self) -> list[Resting]:
        """Objects that the gripper spans and that are high enough to hold."""
        return graspable(list(self.bodies), self.ws)

    # Where they stand

    def stand(self, body: Resting, *others: Placed) -> Placed:
        """Stand an object in reach, clear of the `others` and of what is fixed. Raises `PlacementError`."""
        name = unused_name(body, {p.name for p in others}, {b.asset.name for b in self.bodies})
        role = "target" if not others else name
        return place_object(
            body, self.recipe.objects, self.key.child("objects"), self.ws, self._feet(*others), attempt=self.attempt,
            name=name, role=role, captured=name == body.asset.name,
        )  # fmt: skip

    # Where they should end

    def spot(self, thing: Placed, *others: Placed | np.ndarray, where: str = "", role: str = "goal") -> np.ndarray | None:
        """(2,) on the table for an object's origin: free at any yaw, in reach, at least `travel_m` away; with `where`
        (`to the left`, `farther away`, …) in that direction as the robot sees it."""
        start = self.in_base(thing.xy)

        def wanted(xy: np.ndarray) -> bool:
            return not where or direction_words(self.in_base(xy) - start) == where

        key = self.key.child("task", role, self.attempt)
        return place_goal(thing, self.travel_m, self.clearance_m, key, self.ws, self._feet(*others), accept=wanted)

    def beside(self, thing: Placed, reference: Placed, relation: str, *others: Placed) -> np.ndarray | None:
        """(2,) beside another object; None where that is taken, off the table or out of reach."""
        sides = dict(_SIDES)
        if relation == "next to":
            names = list(sides)
            first = int(self.key.child("task", "side", self.attempt).rng().integers(len(names)))
            options = [sides[names[(first + i) % len(names)]] for i in range(len(names))]
        else:
            options = [sides[relation]]
        away = thing.body.radius_m + reference.body.radius_m + FINGER_ROOM_M
        for side in options:
            xy = reference.xy + away * self._base_rotation() @ np.array(side)
            if self.is_free(disc(thing.body.radius_m) + xy, *others) and self.ws.in_reach(xy)[0]:
                return xy
        return None

    def is_free(self, outline: np.ndarray, *others: Placed) -> bool:
        """Whether an outline lies on the table, clear of what is fixed and of `others`."""
        if inset(self.ws.outline, outline).min() < EDGE_M:
            return False
        return all(gap(outline, foot) >= 0.01 for foot in (*self._feet(*others), *self.ws.roofs))

    def in_base(self, xy: np.ndarray) -> np.ndarray:
        """(2,) a point of the surface in the robot's base frame (x forward, y left) [m]."""
        return self.ws.base_pose().inverse().apply(self.ws.to_world(xy)[None])[0, :2]

    def _base_rotation(self) -> np.ndarray:
        a = self.ws.base_yaw_rad
        return np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])

    def _feet(self, *others: Placed | np.ndarray) -> list[np.ndarray]:
        return [p.foot if isinstance(p, Placed) else p for p in (*self.fixed, *others)]

