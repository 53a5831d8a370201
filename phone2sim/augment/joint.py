"""Joint draws: several parameters of one episode from one even point set, a pure function of the episode's index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from phone2sim.augment.sections import AXES
from phone2sim.augment.variation import Constant, Variation
from phone2sim.errors import RecipeError, did_you_mean
from phone2sim.keys import Key

if TYPE_CHECKING:
    from phone2sim.augment.recipe import Recipe


def settle_joint(recipe: Recipe, key: Key, index: int) -> Recipe:
    """The recipe of episode `index` of the data set `key`, its joint parameters turned into the values drawn for it.

    A parameter that is drawn several times an episode (per camera, object or channel) takes the same value each time.
    """
    names, shares = joint_points(recipe, key, index)
    out: dict[str, dict[str, Any]] = {}
    for name, u in zip(names, shares):
        section, field = name.split(".")
        out.setdefault(section, {})[field] = Constant(getattr(getattr(recipe, section), field).quantile(float(u)))
    return recipe.model_copy(update={s: getattr(recipe, s).model_copy(update=v) for s, v in out.items()})


def joint_points(recipe: Recipe, key: Key, index: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the joint parameters, and the point (n,) of episode `index` in the unit cube."""
    joint = recipe.joint
    points = []
    if joint.sobol:
        from scipy.stats import qmc

        sequence = qmc.Sobol(len(joint.sobol), scramble=False)
        if index:
            sequence.fast_forward(index)
        shift = np.array([key.child("joint", "sobol", n).rng().random() for n in joint.sobol])
        points.append((sequence.random(1)[0] + shift) % 1.0)
    if joint.latin:
        block, row = divmod(index, joint.strata)
        slots = [key.child("joint", "latin", n, block).rng() for n in joint.latin]
        points.append(np.array([(r.permutation(joint.strata)[row] + r.random(joint.strata)[row]) / joint.strata for r in slots]))
    return joint.sobol + joint.latin, np.concatenate(points) if points else np.zeros(0)


def check_joint(recipe: Recipe) -> None:
    """Raises `RecipeError` for a joint parameter that does not exist, or is named twice."""
    names = recipe.joint.sobol + recipe.joint.latin
    known = parameters(recipe)
    for name in names:
        if name not in known:
            raise RecipeError(f"joint: no parameter {name!r};", hint=did_you_mean(name, known))
        if names.count(name) > 1:
            raise RecipeError(f"joint: {name} is named twice.")


def parameters(recipe: Recipe) -> dict[str, Variation]:
    """Every parameter that may vary, as `section.parameter`."""
    sections = {a: getattr(recipe, a) for a in AXES}
    fields = {f"{a}.{f}": getattr(s, f) for a, s in sections.items() for f in type(s).model_fields}
    return {name: v for name, v in fields.items() if isinstance(v, Variation)}
