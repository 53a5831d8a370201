"""The grid: what is varied, how far, and the episodes that every level shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from phone2sim.augment.recipe import AXES, Recipe

Patch = dict[str, dict[str, Any]]
"""Section of a recipe → fields to set."""


@dataclass(frozen=True, kw_only=True)
class ExamAxis:
    """One thing that is varied alone; its first level is the scene as captured, with random places of the objects."""

    title: str
    unit: str
    levels: tuple[float, ...]
    patch: Callable[[float], Patch]


def _either(v: float) -> Any:
    """Plus or minus v."""
    return {"choice": [-v, v]} if v else 0.0


def _factor(stops: float) -> Any:
    """2 to the plus or minus `stops`."""
    return {"choice": [2.0**-stops, 2.0**stops]} if stops else 1.0


EXAM_AXES: dict[str, ExamAxis] = {
    "camera": ExamAxis(
        title="camera moved", unit="degrees around the table", levels=(0, 10, 20, 30, 45),
        patch=lambda v: {"camera": {"azimuth_deg": _either(v), "elevation": {"uniform": [0.5 - v / 90, 0.5 + v / 90]} if v else 0.5}},
    ),
    "lighting": ExamAxis(
        title="other light", unit="stops of the key light", levels=(0, 0.5, 1, 1.5, 2),
        patch=lambda v: {
            "lighting": {
                "key_gain": _factor(v), "ambient_gain": _factor(v / 2), "temperature_mired": _either(30 * v),
                "key_azimuth_deg": _either(60 * v),
            }
        },
    ),
    "clutter": ExamAxis(
        title="clutter", unit="other objects", levels=(0, 2, 4, 6, 8), patch=lambda v: {"clutter": {"count": int(v)}}
    ),
    "sensor": ExamAxis(
        title="worse sensor", unit="share of the worst: noise 0.12, blur 2 px, ±1 stop", levels=(0, 0.25, 0.5, 0.75, 1),
        patch=lambda v: {"sensor": {"noise_std": 0.12 * v, "blur_px": 2.0 * v, "exposure": _factor(v)}},
    ),
    "heavier": ExamAxis(
        title="heavier", unit="times the estimated mass", levels=(1, 2, 4, 8, 16),
        patch=lambda v: {"physics": {"mass_gain": v}},
    ),
    "slipperier": ExamAxis(
        title="slipperier", unit="times less friction", levels=(1, 1.5, 2, 3, 5),
        patch=lambda v: {"physics": {"friction_gain": 1 / v}},
    ),
    "robot_start": ExamAxis(
        title="other robot start", unit="radians at each joint", levels=(0, 0.05, 0.1, 0.2, 0.35),
        patch=lambda v: {"robot_start": {"joint_noise_rad": _either(v)}},
    ),
}  # fmt: skip


def nominal(recipe: Recipe) -> Recipe:
    """The scene as captured, with the recipe's task, cameras (their names and size) and places of objects."""
    plain = recipe.without(*(a for a in AXES if a not in ("objects", "task")))
    kept = {"camera": ("names", "width", "height", "min_support"), "objects": ("placement", "yaw_deg", "clearance_m")}
    new: dict[str, Any] = {s: type(getattr(recipe, s))() for s in ("pairs", "joint")}
    for section, fields in kept.items():
        given = getattr(recipe, section)
        new[section] = type(given)().model_copy(update={f: getattr(given, f) for f in fields})
    return plain.model_copy(update=new)


def patched(recipe: Recipe, patch: Patch) -> Recipe:
    """The recipe with these fields set. Raises `RecipeError` for a value out of range."""
    data = recipe.model_dump(mode="json")
    for section, fields in patch.items():
        data[section] |= fields
    return Recipe.model_validate(data)
