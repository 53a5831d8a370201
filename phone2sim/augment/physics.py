"""Mass, friction and bounce of each object, drawn from the asset's intervals."""

from __future__ import annotations

import numpy as np

from phone2sim.assets.scene import Asset
from phone2sim.augment.sections import PhysicsRecipe
from phone2sim.intervals import Interval
from phone2sim.keys import Key


def sample_physics(asset: Asset, recipe: PhysicsRecipe, key: Key) -> tuple[float, float]:
    """(mass [kg], Coulomb friction). `key` is the object's own."""
    mass = draw_interval(asset.mass_kg, recipe.mass, key.child("mass"))
    friction = draw_interval(asset.friction, recipe.friction, key.child("friction"))
    mass *= float(recipe.mass_gain(key.child("mass_gain").rng()))
    friction *= float(recipe.friction_gain(key.child("friction_gain").rng()))
    return round(mass, 9), round(friction, 9)


def sample_restitution(asset: Asset, recipe: PhysicsRecipe, key: Key) -> float | None:
    """Speed after a bounce by speed before; None where the recipe leaves contacts as they are."""
    if recipe.restitution == "none":
        return None
    return round(draw_interval(asset.restitution, recipe.restitution, key.child("restitution")), 9)


def draw_interval(interval: Interval, how: str, key: Key) -> float:
    """The best estimate, or a draw: triangular in the logarithm, highest at the estimate, zero at both ends."""
    if how == "value" or interval.high <= interval.low or interval.low <= 0:
        return interval.value
    low, mode, high = np.log([interval.low, interval.value, interval.high])
    return float(np.clip(np.exp(key.rng().triangular(low, mode, high)), interval.low, interval.high))
