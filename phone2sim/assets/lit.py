"""The captured light of a scene, and what was captured without it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from phone2sim.assets.ambient import ambient_from_surfaces
from phone2sim.assets.deshade import ShadowLift, albedo, shadow_lift
from phone2sim.assets.lift import Bodies, Found
from phone2sim.assets.light import CapturedLight, estimate_light, parts_of, see_ground
from phone2sim.assets.penumbra import FEET_M, FINE_M, sharpened
from phone2sim.assets.scene import Asset
from phone2sim.assets.views import View


def lit(
    assets: list[Asset], standing: list[Found], bodies: Bodies, grounds: list[Found], views: list[View], covered: list[np.ndarray]
) -> tuple[CapturedLight, list[Asset], dict[str, ShadowLift]]:
    """The captured light, from shadows on the first of the supports `standing` on which bodies stand (`grounds`, one a body);
    the assets without its shading; and by name what it shades of each support. `covered`: (h, w) bool per view, true on objects."""
    looks, floors, levels = {}, {}, {}
    for f in standing:
        name = f.support.surface.name
        looks[name] = partial(see_ground, f.support, [s for s, g in zip(bodies.solids, grounds) if g is f], views, covered)
        floors[name], levels[name] = looks[name](), f.support.surface.height_m
    groups = {name: [a for a in assets if a.support == name] for name in floors}  # in the order of the assets
    main = next(iter(floors))
    parts, level = parts_of(groups[main]), levels[main]
    light = estimate_light(floors[main], parts, level)
    if not light.shadow.any():
        return light, assets, {}
    light = sharpened(light, parts, floors[main], level, lambda where: looks[main](cell=FINE_M, foot=FEET_M, where=where))
    light = replace(light, light=ambient_from_surfaces(assets, light.light, ground_m=level))
    lifts = {n: shadow_lift(light, parts_of(groups[n]), floors[n].raster, levels[n]) for n in floors}
    return light, [a for n, group in groups.items() for a in albedo(group, light.light, ground_m=levels[n])], lifts
