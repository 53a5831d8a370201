"""The sensor model's parameters."""

from __future__ import annotations

from phone2sim.augment.recipe import SensorRecipe
from phone2sim.augment.spec import SensorSpec
from phone2sim.keys import Key


def sample_sensor(recipe: SensorRecipe, key: Key) -> SensorSpec:
    """Exposure, white balance (green kept at 1), noise and blur."""

    def draw(name: str) -> float:
        return round(float(getattr(recipe, name)(key.child(name).rng())), 9)

    wb = recipe.white_balance(key.child("white_balance").rng(), 3)
    wb = wb / wb[1]
    return SensorSpec(
        exposure=draw("exposure"), white_balance_rgb=tuple(round(float(x), 9) for x in wb),  # type: ignore[arg-type]
        noise_std=draw("noise_std"), blur_px=draw("blur_px"),
    )  # fmt: skip
