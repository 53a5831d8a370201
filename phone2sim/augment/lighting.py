"""The episode's light: the captured key turned, scaled and coloured, and the factor that relights the background."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from phone2sim.assets.scene import Light
from phone2sim.augment.environment import SOFTNESS, generated, light_of, load_environment
from phone2sim.augment.sections import LightingRecipe
from phone2sim.augment.spec import LightSpec
from phone2sim.keys import Key

NEUTRAL_K = 5500.0
"""Colour temperature from which shifts are counted [K]; pictures are white-balanced, so the captured light is neutral."""
_XYZ_TO_RGB = np.array(
    [[3.2404542, -1.5371385, -0.4985314], [-0.969266, 1.8760108, 0.041556], [0.0556434, -0.2040259, 1.0572252]]
)
_LUMA = np.array([0.2126, 0.7152, 0.0722])
MIN_ELEVATION = np.deg2rad(15.0)


def sample_lighting(light: Light, recipe: LightingRecipe, key: Key, *, up: np.ndarray) -> LightSpec:
    """Vary the captured light. `up` (3,) is the support's normal, on which the background's relighting is computed."""

    def draw(name: str) -> float:
        return float(getattr(recipe, name)(key.child(name).rng()))

    base, environment = _base_light(light, recipe, key, up)
    tint = temperature_gain(draw("temperature_mired"))
    azimuth, elevation = draw("key_azimuth_deg"), draw("key_elevation_deg")
    direction = turn_key(base.direction, np.deg2rad(azimuth), np.deg2rad(elevation))
    key_rgb = base.key_rgb * draw("key_gain") * tint
    sh = base.ambient_sh * draw("ambient_gain") * tint
    key_part = key_rgb * max(0.0, float(-direction @ up))
    new = key_part + sh_irradiance(sh, up)
    old = light.key_rgb * max(0.0, float(-light.direction @ up)) + sh_irradiance(light.ambient_sh, up)
    relight = np.clip(new / np.maximum(old, 1e-3), 0.05, 8.0)
    shadow = float(_LUMA @ key_part / max(float(_LUMA @ new), 1e-6))
    softness = float(np.clip(base.softness * draw("softness_gain"), *SOFTNESS))
    return LightSpec(
        direction=_rgb(direction), key_rgb=_rgb(key_rgb), ambient_sh=tuple(_rgb(row) for row in sh), softness=round(softness, 6),
        relight_rgb=_rgb(relight), environment=environment, shadow=round(float(np.clip(shadow, 0.0, 0.95)), 6),
    )  # fmt: skip


def _base_light(light: Light, recipe: LightingRecipe, key: Key, up: np.ndarray) -> tuple[Light, str]:
    """The captured light, or that of an environment brought to the captured strength on the support; and its name."""
    name = str(recipe.environment(key.child("environment").rng()))
    if name == "captured":
        return light, ""
    turn = np.deg2rad(float(recipe.environment_turn_deg(key.child("environment_turn_deg").rng())))
    around = generated(key.child("generated")) if name == "generated" else load_environment(name)
    new = light_of(around, turn_rad=float(turn))

    def strength(x: Light) -> float:
        return float(_LUMA @ (x.key_rgb * max(0.0, float(-x.direction @ up)) + sh_irradiance(x.ambient_sh, up)))

    gain = strength(light) / max(strength(new), 1e-9)
    label = f"generated:{key.child('generated')}" if name == "generated" else Path(name).name
    return replace(new, key_rgb=new.key_rgb * gain, ambient_sh=new.ambient_sh * gain), label


def turn_key(direction: np.ndarray, azimuth_rad: float, elevation_rad: float) -> np.ndarray:
    """The direction of travel (3,) turned about z, and the lamp raised; a lamp kept 15–90 degrees high unless the
    capture's own was lower and is not asked to move."""
    d = -np.asarray(direction, dtype=float)
    az = np.arctan2(d[1], d[0]) + azimuth_rad
    el = np.arcsin(np.clip(d[2], -1, 1))
    if elevation_rad:
        el = np.clip(el + elevation_rad, MIN_ELEVATION, np.pi / 2)
    return -np.array([np.cos(el) * np.cos(az), np.cos(el) * np.sin(az), np.sin(el)])


def sh_irradiance(sh: np.ndarray, n: np.ndarray) -> np.ndarray:
    """(3,) irradiance on a surface with unit normal n, from real SH (9, 3) (Ramamoorthi & Hanrahan 2001)."""
    x, y, z = n
    basis = [
        0.282095, 0.488603 * y, 0.488603 * z, 0.488603 * x, 1.092548 * x * y, 1.092548 * y * z,
        0.315392 * (3 * z * z - 1), 1.092548 * x * z, 0.546274 * (x * x - y * y),
    ]  # fmt: skip
    return np.maximum(np.array(basis) @ sh, 0.0)


def temperature_gain(shift_mired: float) -> np.ndarray:
    """(3,) linear RGB factor of equal luminance for a shift from `NEUTRAL_K`; positive is warmer."""
    g = _planckian(1e6 / (1e6 / NEUTRAL_K + shift_mired)) / _planckian(NEUTRAL_K)
    return g / (_LUMA @ g)


def _planckian(kelvin: float) -> np.ndarray:
    """Linear sRGB of a black body, from the cubic fit of the Planckian locus (Kim et al. 2002, 1667–25000 K)."""
    t = float(np.clip(kelvin, 1667, 25000))
    if t < 4000:
        x = -0.2661239e9 / t**3 - 0.2343589e6 / t**2 + 0.8776956e3 / t + 0.179910
    else:
        x = -3.0258469e9 / t**3 + 2.1070379e6 / t**2 + 0.2226347e3 / t + 0.240390
    if t < 2222:
        y = -1.1063814 * x**3 - 1.34811020 * x**2 + 2.18555832 * x - 0.20219683
    elif t < 4000:
        y = -0.9549476 * x**3 - 1.37418593 * x**2 + 2.09137015 * x - 0.16748867
    else:
        y = 3.0817580 * x**3 - 5.8733867 * x**2 + 3.75112997 * x - 0.37001483
    return np.maximum(_XYZ_TO_RGB @ np.array([x / y, 1.0, (1 - x - y) / y]), 1e-3)


def _rgb(v: np.ndarray) -> tuple[float, float, float]:
    return tuple(round(float(x), 9) for x in v)  # type: ignore[return-value]
