"""`sample_episode`: a scene and a recipe become one `EpisodeSpec`. Every axis draws from its own named stream."""

from __future__ import annotations

import numpy as np

from phone2sim.assets.fingerprint import AssetHashes
from phone2sim.assets.scene import Scene
from phone2sim.augment.camera import sample_cameras
from phone2sim.augment.clutter import captured_clutter, place_clutter
from phone2sim.augment.language import nouns, sample_sentence
from phone2sim.augment.lighting import sample_lighting
from phone2sim.augment.noise import sample_sensor
from phone2sim.augment.objects import (
    Placed,
    Resting,
    albedo_gain,
    choose_target,
    disc,
    place_goal,
    place_target,
    pose_spec,
)
from phone2sim.augment.physics import sample_physics
from phone2sim.augment.recipe import Recipe, load_recipe
from phone2sim.augment.robot_start import sample_robot_start
from phone2sim.augment.spec import EpisodeSpec, ObjectSpec, TaskSpec
from phone2sim.augment.workspace import PlacementError, RobotReach, Workspace, choose_workspace
from phone2sim.keys import Key

ATTEMPTS = 12


def sample_episode(
    scene: Scene, recipe: Recipe | str, key: Key, index: int, *, robot_reach: RobotReach | None = None,
    scene_fingerprint: str = "", hashes: AssetHashes | None = None, workspace: Workspace | None = None,
) -> EpisodeSpec:  # fmt: skip
    """Draw episode `index` of the data set `key`.

    `workspace` may be computed once by `workspace_of` and passed on; it does not change the result. `hashes` of the
    scene are written into the spec, for what it uses. Raises
    `PlacementError` when the objects do not fit, `AssetError` for a scene without support or objects.
    """
    recipe = load_recipe(recipe) if isinstance(recipe, str) else recipe
    key = key.child("episode", index)
    ws = workspace or workspace_of(scene, recipe, robot_reach)
    bodies = [Resting.of(a, ws.support) for a in scene.assets]

    target, goal_xy, others = _arrange(scene, recipe, key, ws, bodies)
    objects = tuple(_object(p, recipe, key, ws, role="target" if p is target else "clutter") for p in [target, *others])

    T_base_world = ws.base_pose().inverse()
    goal = ws.to_world(goal_xy)
    names = nouns(scene.assets)
    noun = names[target.body.asset.name]
    twins = [p for p in others if names[p.body.asset.name] == noun]

    def in_base(xy: np.ndarray) -> np.ndarray:
        return T_base_world.apply(ws.to_world(xy)[None])[0, :2]

    sentence = sample_sentence(
        recipe.task, key.child("language"), noun=noun, start_base=in_base(target.xy), goal_base=in_base(goal_xy),
        twins_base=np.array([in_base(p.xy) for p in twins]).reshape(-1, 2),
    )  # fmt: skip
    paired = any(recipe.pairs.model_dump().values())
    return EpisodeSpec(
        index=index,
        pair_id=f"{key.seed}-{index:06d}" if paired else None,
        key=str(key),
        seed=key.seed,
        scene_fingerprint=scene_fingerprint,
        recipe=recipe.name,
        support=ws.support.name,
        objects=objects,
        lights=sample_lighting(
            scene.light, recipe.lighting, key.child("lighting"), up=ws.support.T_world_surface.rotation[:, 2]
        ),
        cameras=sample_cameras(scene, ws, recipe.camera, key.child("camera")),
        sensor=sample_sensor(recipe.sensor, key.child("sensor")),
        robot=sample_robot_start(ws, recipe.robot_start, key.child("robot_start")),
        task=TaskSpec(
            target=target.name,
            goal_xy=(round(float(goal[0]), 9), round(float(goal[1]), 9)),
            tolerance_m=recipe.task.tolerance_m,
            language=sentence,
        ),
        fps=recipe.task.fps,
        duration_s=recipe.task.duration_s,
        asset_hashes=hashes.of(ws.support.name, (o.asset for o in objects)) if hashes else {},
    )


def workspace_of(scene: Scene, recipe: Recipe | str, robot_reach: RobotReach | None = None) -> Workspace:
    """The work space all episodes of a scene and recipe share."""
    recipe = load_recipe(recipe) if isinstance(recipe, str) else recipe
    return choose_workspace(scene, robot_reach or RobotReach(), keep_captured=recipe.objects.placement == "captured")


def _arrange(
    scene: Scene, recipe: Recipe, key: Key, ws: Workspace, bodies: list[Resting]
) -> tuple[Placed, np.ndarray, list[Placed]]:
    """Target, goal (2,) on the surface, and the other objects; clutter never moves the task."""
    task_key, object_key, clutter_key = key.child("task"), key.child("objects"), key.child("clutter")
    candidates = bodies
    if recipe.objects.placement == "captured" and recipe.task.target.to_yaml() == "any":
        candidates = [b for b in bodies if ws.in_reach(b.T_surface_asset.translation[:2])[0]] or bodies
    body = choose_target(scene, candidates, recipe.task, task_key, ws)
    fixed = captured_clutter(body, bodies, recipe.clutter, clutter_key)
    feet = [p.foot for p in fixed]
    clearance = float(recipe.objects.clearance_m(object_key.child("clearance").rng()))
    travel = float(recipe.task.travel_m(task_key.child("travel_m").rng()))

    for attempt in range(ATTEMPTS):
        target = place_target(body, recipe.objects, object_key, ws, feet, attempt=attempt)
        goal = place_goal(target, travel, clearance, task_key.child("goal", attempt), ws, feet)
        if goal is not None:
            break
    else:
        raise PlacementError(
            f"No goal {travel:.2f} m or more from {body.asset.name} that is free and in reach.",
            hint="Lower task.travel_m, objects.clearance_m or clutter.count in the recipe.",
        )
    if recipe.clutter.placement == "captured":
        return target, goal, fixed
    room = disc(body.radius_m) + goal
    rest = place_clutter(
        target, room, bodies, recipe.clutter, recipe.objects, clutter_key, ws, task_clearance_m=clearance
    )
    return target, goal, rest


def _object(p: Placed, recipe: Recipe, key: Key, ws: Workspace, *, role: str) -> ObjectSpec:
    mass, friction = sample_physics(p.body.asset, recipe.physics, key.child("physics", p.name))
    return ObjectSpec(
        name=p.name, asset=p.body.asset.name, role=role, pose=pose_spec(p.pose(ws.support)), mass_kg=mass,  # type: ignore[arg-type]
        friction=friction, rgb_gain=albedo_gain(recipe.objects, key.child("objects"), p.name),
    )  # fmt: skip
