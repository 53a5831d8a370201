"""The sensor model's parameters."""

from __future__ import annotations

from phone2sim.augment.sections import SensorRecipe
from phone2sim.augment.spec import SensorSpec
from phone2sim.keys import Key


def sample_sensor(recipe: SensorRecipe, key: Key) -> SensorSpec:
    """Exposure, white balance (of red and blue against green), noise, blur, shutter, compression and depth noise."""

    def draw(name: str) -> float:
        return round(float(getattr(recipe, name)(key.child(name).rng())), 9)

    red, blue = recipe.white_balance(key.child("white_balance").rng(), 2)
    return SensorSpec(
        exposure=draw("exposure"), white_balance_rgb=(round(float(red), 9), 1.0, round(float(blue), 9)),
        noise_std=draw("noise_std"), blur_px=draw("blur_px"), shutter_s=draw("shutter_s"), readout_s=draw("readout_s"),
        jpeg_quality=round(draw("jpeg_quality")), depth_noise=draw("depth_noise"),
    )  # fmt: skip
