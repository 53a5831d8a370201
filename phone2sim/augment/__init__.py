"""augment decides: a scene and a recipe become episode specs, pure data. Simulators only carry them out."""

from phone2sim.augment.recipe import AXES, Recipe, load_recipe, parse_recipe, recipe_names, recipe_schema
from phone2sim.augment.sampler import sample_episode, workspace_of
from phone2sim.augment.spec import EpisodeSpec
from phone2sim.augment.variation import (
    Choice,
    Constant,
    Integers,
    LogUniform,
    Mixture,
    Normal,
    TruncatedNormal,
    Uniform,
    Variation,
    as_variation,
)
from phone2sim.augment.workspace import PlacementError, RobotReach, Workspace

__all__ = [
    "AXES", "Choice", "Constant", "EpisodeSpec", "Integers", "LogUniform", "Mixture", "Normal", "PlacementError", "Recipe",
    "RobotReach", "TruncatedNormal", "Uniform", "Variation", "Workspace", "as_variation", "load_recipe", "parse_recipe",
    "recipe_names", "recipe_schema", "sample_episode", "workspace_of",
]  # fmt: skip
