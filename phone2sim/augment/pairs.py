"""Pairs: further specs of one trajectory that differ from it in a single axis, so that the same actions have other pixels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from phone2sim.assets.fingerprint import AssetHashes
from phone2sim.assets.scene import Scene
from phone2sim.augment.camera import sample_cameras
from phone2sim.augment.footprints import footprint, placed
from phone2sim.augment.language import nouns
from phone2sim.augment.lighting import sample_lighting
from phone2sim.augment.noise import sample_sensor
from phone2sim.augment.objects import LIFT_M, Placed, Resting, albedo_gain, disc, find_spot, pose_spec
from phone2sim.augment.recipe import Recipe, load_recipe
from phone2sim.augment.sections import PairsRecipe
from phone2sim.augment.spec import EpisodeSpec, ObjectSpec
from phone2sim.augment.workspace import PlacementError, Workspace
from phone2sim.errors import RecipeError, did_you_mean
from phone2sim.keys import Key
from phone2sim.poses import Pose

SECTIONS = {"views": "camera", "lights": "lighting", "clutter": "clutter", "sensor": "sensor"}
"""Axis of a pair → section of the recipe that it draws from."""
TARGETS = {
    "wam": (PairsRecipe(views=4), ("camera", "robot_start")),
    "vla": (PairsRecipe(lights=3, clutter=2, sensor=2), ("lighting", "clutter", "sensor")),
}
"""Kind of policy → the pairs it needs, and the sections that the shipped recipe of its name makes wide."""


def for_target(recipe: Recipe, target: str) -> Recipe:
    """The recipe with what a `wam` (world-action model) or a `vla` (vision-language-action model) is weak at made wide,
    and paired. Raises `RecipeError` for another name."""
    if target not in TARGETS:
        raise RecipeError(f"No target {target!r};", hint=did_you_mean(target, TARGETS))
    pairs, sections = TARGETS[target]
    wide = load_recipe(target)
    return recipe.model_copy(update={"pairs": pairs, **{s: getattr(wide, s) for s in sections}})


def check_pairs(recipe: Recipe) -> None:
    """Raises `RecipeError` where a pair would only repeat the same picture, because its section does not vary."""
    for axis, section in SECTIONS.items():
        fields = getattr(recipe, section)
        varies = [n for n in type(fields).model_fields if not getattr(getattr(fields, n), "is_constant", True)]
        if getattr(recipe.pairs, axis) and axis != "clutter" and not varies:
            raise RecipeError(
                f"pairs.{axis} is {getattr(recipe.pairs, axis)}, but {section} does not vary in recipe {recipe.name}.",
                hint=f"Vary something in {section}, or set pairs.{axis}: 0.",
            )


def variant_names(pairs: PairsRecipe) -> Iterator[tuple[str, int]]:
    """(axis, number from 1) of every rendering besides the simulated one."""
    for axis in SECTIONS:
        for n in range(1, getattr(pairs, axis) + 1):
            yield axis, n


def sample_variant(
    scene: Scene, recipe: Recipe, spec: EpisodeSpec, axis: str, n: int, *, workspace: Workspace, attempt: int = 0,
    hashes: AssetHashes | None = None,
) -> EpisodeSpec:  # fmt: skip
    """The `n`-th rendering of `spec` along `axis`. Only `clutter` knows further attempts; `hashes` are the scene's.

    Raises `PlacementError` when there is no room for more clutter, or nothing that may be added.
    """
    key = Key(spec.seed).child("episode", spec.index, "pairs", axis, n)
    new: dict[str, object] = {"variant": f"{axis}_{n}"}
    if axis == "views":
        new["cameras"] = sample_cameras(scene, workspace, recipe.camera, key)
    elif axis == "lights":
        up = workspace.support.T_world_surface.rotation[:, 2]
        new["lights"] = sample_lighting(scene.light, recipe.lighting, key, up=up)
    elif axis == "sensor":
        new["sensor"] = sample_sensor(recipe.sensor, key)
    else:
        objects = spec.objects + _more_clutter(scene, recipe, spec, key.child(attempt), workspace)
        new |= {
            "objects": objects,
            "asset_hashes": hashes.of(spec.support, (o.asset for o in objects)) if hashes else {},
        }
    return spec.model_copy(update=new)


def _more_clutter(scene: Scene, recipe: Recipe, spec: EpisodeSpec, key: Key, ws: Workspace) -> tuple[ObjectSpec, ...]:
    """Objects that are only drawn, clear of all others and of the goal; none that the task's words could mean."""
    T_surface_world = ws.support.T_world_surface.inverse()
    clearance = float(recipe.clutter.clearance_m(key.child("clearance").rng()))
    taken = []
    for o in spec.objects:
        T = T_surface_world @ Pose(np.array(o.pose.translation), np.array(o.pose.quat_wxyz))
        foot = footprint(scene.asset(o.asset), T.rotation) + T.translation[:2]
        taken.append((foot, clearance))
    target = next(o for o in spec.objects if o.name == spec.task.target)
    radius = Resting.of(scene.asset(target.asset), ws.support).radius_m
    for g in spec.task.goals:
        taken.append((disc(radius) + T_surface_world.apply(np.array([g.xyz]))[0, :2], clearance))

    names = nouns(scene.assets)
    asked = names.get(scene.asset(target.asset).name)
    others = [Resting.of(a, ws.support) for a in scene.assets if names[a.name] != asked]
    if not others:
        raise PlacementError("Every object of the scene has the same name as the task's, so none may be added.")
    count = max(1, int(recipe.clutter.count(key.child("count").rng())))
    used = {o.name for o in spec.objects}
    out: list[ObjectSpec] = []
    for i in range(count):
        k = key.child("added", i)
        body = others[int(k.child("asset").rng().integers(len(others)))]
        yaw = float(k.child("yaw").rng().uniform(-np.pi, np.pi))
        spot = find_spot(placed(body.foot, np.zeros(2), yaw), k.child("xy"), ws, taken, reach=False)
        if spot is None:
            continue
        name = next(n for n in (f"{body.asset.name}_added{j or ''}" for j in range(count)) if n not in used)
        p = Placed(name=name, body=body, xy=spot, yaw_rad=yaw)
        used.add(name)
        taken.append((p.foot, clearance))
        out.append(_drawn_only(p, recipe, key, ws))
    if not out:
        raise PlacementError("No room for further clutter.", hint="Lower clutter.clearance_m.")
    return tuple(out)


def _drawn_only(p: Placed, recipe: Recipe, key: Key, ws: Workspace) -> ObjectSpec:
    """Standing on the support, not the bit above it from which simulated objects settle."""
    pose = p.pose(ws.support)
    down = pose.translation - LIFT_M * ws.support.T_world_surface.rotation[:, 2]
    a = p.body.asset
    return ObjectSpec(
        name=p.name, asset=a.name, role="clutter", pose=pose_spec(Pose(down, pose.quat_wxyz)), mass_kg=a.mass_kg.value,
        friction=a.friction.value, rgb_gain=albedo_gain(recipe.objects, key, p.name), physical=False,
    )  # fmt: skip
