"""Pairs of a finished episode: its other renderings, none of which would have changed the physics."""

from __future__ import annotations

from collections import Counter

from phone2sim.assets.fingerprint import AssetHashes
from phone2sim.assets.scene import Scene
from phone2sim.augment.pairs import sample_variant, variant_names
from phone2sim.augment.recipe import Recipe
from phone2sim.augment.workspace import PlacementError, Workspace
from phone2sim.sim_export.episode import Episode
from phone2sim.sim_export.swept import touched

CLUTTER_DRAWS = 12
"""Arrangements of added clutter tried before a rendering is left out."""


def pair_of(
    scene: Scene, recipe: Recipe, episode: Episode, *, workspace: Workspace, hashes: AssetHashes | None = None
) -> tuple[list[Episode], dict[str, int]]:
    """The renderings that `recipe.pairs` asks for, and how many draws of clutter were thrown away, by reason
    (`touched`: something moving came near; `no_room`: nothing could be placed)."""
    found, rejected = [], Counter[str]()
    for axis, n in variant_names(recipe.pairs):
        for attempt in range(CLUTTER_DRAWS if axis == "clutter" else 1):
            try:
                spec = sample_variant(
                    scene,
                    recipe,
                    episode.spec,
                    axis,
                    n,
                    workspace=workspace,
                    attempt=attempt,
                    hashes=hashes,
                )
            except PlacementError:
                rejected["no_room"] += 1
                continue
            if axis == "clutter" and touched(scene, episode, spec):
                rejected["touched"] += 1
                continue
            found.append(episode.seen_as(spec))
            break
    return found, dict(rejected)
