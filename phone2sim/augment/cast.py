"""Which bodies an episode may use: the scene's assets and those of the recipe's other sources, each in the size drawn for it."""

from __future__ import annotations

from functools import lru_cache

from phone2sim.assets.library import references
from phone2sim.assets.scene import Scene
from phone2sim.augment.objects import Resting
from phone2sim.augment.recipe import Recipe
from phone2sim.augment.workspace import Workspace
from phone2sim.errors import RecipeError
from phone2sim.keys import Key

OTHERS = 8
"""Assets of other sources that one episode chooses among."""


def task_bodies(scene: Scene, recipe: Recipe, key: Key, ws: Workspace) -> tuple[Resting, ...]:
    """What the task may be about; of what was captured elsewhere only where it can be placed anew. Raises `RecipeError` when it asks for captured places of things not captured."""
    sources = recipe.objects.sources
    if recipe.objects.placement == "captured" and sources != ("scene",):
        raise RecipeError(
            f"objects.sources {list(sources)} have no captured place.", hint="Use objects.placement: random with other sources."
        )
    return _bodies(scene, recipe, sources, key.child("objects"), ws)


def clutter_bodies(scene: Scene, recipe: Recipe, key: Key, ws: Workspace, bodies: tuple[Resting, ...]) -> tuple[Resting, ...]:
    """What stands around; the task's own `bodies` where the sources are the same."""
    if recipe.clutter.sources == recipe.objects.sources:
        return bodies
    return _bodies(scene, recipe, recipe.clutter.sources, key.child("clutter"), ws)


def _bodies(scene: Scene, recipe: Recipe, sources: tuple[str, ...], key: Key, ws: Workspace) -> tuple[Resting, ...]:
    there = recipe.objects.placement == "captured" or recipe.clutter.placement == "captured"
    own = [a for a in scene.assets if not there or scene.support_of(a).name == ws.support.name]
    names = [a.name for a in own] if "scene" in sources else []
    others = _references(tuple(s for s in sources if s != "scene"))
    if others:
        order = key.child("sources").rng().permutation(len(others))[:OTHERS]
        names += [others[i] for i in order]
    out: list[Resting] = []
    for name in names:
        factor = float(recipe.objects.scale(key.child("scale", name).rng()))
        reference = name if factor == 1.0 else f"{name}@{factor:.4f}"
        body = Resting.of(scene.asset(reference), ws.support, reference=reference)
        if all(body.asset.name != b.asset.name for b in out):
            out.append(body)
    return tuple(out)


@lru_cache(maxsize=16)
def _references(sources: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(r for s in sources for r in references(s))
