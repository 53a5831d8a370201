"""`sample_episode`: a scene and a recipe become one `EpisodeSpec`. Every axis draws from its own named stream."""

from __future__ import annotations

import numpy as np

from phone2sim.assets.fingerprint import AssetHashes
from phone2sim.assets.scene import Scene
from phone2sim.augment.camera import sample_cameras
from phone2sim.augment.cast import clutter_bodies, task_bodies
from phone2sim.augment.clutter import place_clutter
from phone2sim.augment.joint import settle_joint
from phone2sim.augment.language import direction_words, noun_phrase, nouns, sample_sentence
from phone2sim.augment.lighting import sample_lighting
from phone2sim.augment.noise import sample_sensor
from phone2sim.augment.objects import LIFT_M, Placed, albedo_gain, disc, pose_spec
from phone2sim.augment.physics import sample_physics, sample_restitution
from phone2sim.augment.recipe import Recipe, load_recipe
from phone2sim.augment.robot_start import sample_robot_start
from phone2sim.augment.spec import EpisodeSpec, GoalSpec, ObjectSpec, TaskSpec
from phone2sim.augment.surfaces import sample_surfaces
from phone2sim.augment.tasks import Draft, Goal, Stage, Task, get_task
from phone2sim.augment.textures import sample_texture
from phone2sim.augment.workspace import PlacementError, RobotReach, Workspace, choose_workspace
from phone2sim.keys import Key


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
    recipe = settle_joint(recipe, key, index)
    key = key.child("episode", index)
    ws = workspace or workspace_of(scene, recipe, robot_reach)
    bodies = task_bodies(scene, recipe, key, ws)
    surfaces = sample_surfaces(recipe.surfaces, key.child("surfaces"))

    task = get_task(recipe.task.kind)
    draft, others = _arrange(task, Stage(scene=scene, recipe=recipe, key=key, ws=ws, bodies=bodies))
    everything = [*draft.objects, *others]
    moved = {g.object.name for g in draft.goals}
    roles = ["target" if p.name in moved else "goal" if p in draft.objects else "clutter" for p in everything]
    objects = tuple(_object(p, recipe, key, ws, role=r) for p, r in zip(everything, roles))
    paired = any(recipe.pairs.model_dump().values())
    return EpisodeSpec(
        index=index,
        pair_id=f"{key.seed}-{index:06d}" if paired else None,
        key=str(key),
        seed=key.seed,
        scene_fingerprint=scene_fingerprint,
        recipe=recipe.name,
        split=recipe.split,
        support=ws.support.name,
        objects=objects,
        lights=sample_lighting(
            scene.light, recipe.lighting, key.child("lighting"), up=ws.support.T_world_surface.rotation[:, 2]
        ),
        cameras=sample_cameras(scene, ws, recipe.camera, key.child("camera")),
        sensor=sample_sensor(recipe.sensor, key.child("sensor")),
        surfaces=surfaces,
        robot=sample_robot_start(
            ws, recipe.robot_start, key.child("robot_start"), physics=recipe.physics, physics_key=key.child("physics", "robot"),
            table_height_m=surfaces.height_m,
        ),  # fmt: skip
        task=TaskSpec(
            kind=task.kind, file=recipe.task.kind if recipe.task.kind != task.kind else "",
            expert=recipe.task.expert or task.expert, target=draft.objects[0].name, goals=tuple(_goal(g, ws) for g in draft.goals),
            language=_sentence(recipe, task, key, scene, ws, draft, everything),
        ),  # fmt: skip
        fps=recipe.task.fps,
        duration_s=recipe.task.duration_s * max(1, len(draft.goals)),
        asset_hashes=hashes.of(ws.support.name, (o.asset for o in objects)) if hashes else {},
    )


def workspace_of(scene: Scene, recipe: Recipe | str, robot_reach: RobotReach | None = None) -> Workspace:
    """The work space all episodes of a scene and recipe share."""
    recipe = load_recipe(recipe) if isinstance(recipe, str) else recipe
    return choose_workspace(scene, robot_reach or RobotReach(), keep_captured=recipe.objects.placement == "captured")


def _arrange(task: Task, stage: Stage) -> tuple[Draft, list[Placed]]:
    """The task's objects and goals, and the other objects; clutter never moves the task."""
    cast = task.cast(stage)
    stage = stage.with_cast(cast)
    for attempt in range(task.attempts):
        draft = task.draft(stage.retry(attempt), *cast)
        if draft is not None:
            break
    else:
        raise PlacementError(
            task.no_room(stage, *cast),
            hint="Lower task.travel_m, objects.clearance_m or clutter.count in the recipe.",
        )
    recipe = stage.recipe
    if recipe.clutter.placement == "captured":
        return draft, list(stage.fixed)
    rooms = [disc(g.object.body.radius_m) + g.xy for g in draft.goals if g.height_m == 0]
    around = clutter_bodies(stage.scene, recipe, stage.key, stage.ws, stage.bodies)
    rest = place_clutter(
        draft.objects, rooms, list(around), recipe.clutter, recipe.objects, stage.key.child("clutter"), stage.ws,
        task_clearance_m=stage.clearance_m,
    )  # fmt: skip
    return draft, rest


def _goal(goal: Goal, ws: Workspace) -> GoalSpec:
    rest = goal.object.body.lift_m - LIFT_M
    if goal.object.captured and goal.on is None:
        rest = float(goal.object.body.T_surface_asset.translation[2])
    x, y, z = (round(float(v), 9) for v in ws.to_world(goal.xy, rest + goal.height_m))
    return GoalSpec(
        object=goal.object.name, xyz=(x, y, z), on=goal.on.name if goal.on else None, tolerance_m=round(goal.tolerance_m, 9),
        tolerance_z_m=round(goal.tolerance_z_m, 9), drop=goal.drop,
    )  # fmt: skip


def _sentence(
    recipe: Recipe, task: Task, key: Key, scene: Scene, ws: Workspace, draft: Draft, everything: list[Placed]
) -> str:
    T_base_world = ws.base_pose().inverse()
    known = {a.name: a for a in (*scene.assets, *(p.body.asset for p in everything))}
    names = nouns(tuple(known.values()))

    def in_base(xy: np.ndarray) -> np.ndarray:
        return T_base_world.apply(ws.to_world(xy)[None])[0, :2]

    def phrase(p: Placed) -> str:
        noun = names[p.body.asset.name]
        twins = [in_base(q.xy) for q in everything if q is not p and names[q.body.asset.name] == noun]
        return noun_phrase(noun, in_base(p.xy), np.array(twins).reshape(-1, 2))

    first = draft.objects[0]
    words = {"target": phrase(first), **dict(draft.words)}
    if len(draft.objects) > 1:
        words["reference"] = phrase(draft.objects[-1])
    goal = next((g for g in draft.goals if g.object is first), None)
    if goal is not None and "where" not in words:
        words["where"] = direction_words(in_base(goal.xy) - in_base(first.xy))
    words = {name: text.format(**words) for name, text in words.items()}
    own = task.templates if recipe.task.phrasing == "varied" else task.templates[:1]
    return sample_sentence(recipe.task.templates or own, key.child("language"), words)


def _object(p: Placed, recipe: Recipe, key: Key, ws: Workspace, *, role: str) -> ObjectSpec:
    mass, friction = sample_physics(p.body.asset, recipe.physics, key.child("physics", p.name))
    return ObjectSpec(
        name=p.name, asset=p.body.reference, role=role, pose=pose_spec(p.pose(ws.support)), mass_kg=mass,  # type: ignore[arg-type]
        friction=friction, rgb_gain=albedo_gain(recipe.objects, key.child("objects"), p.name),
        restitution=sample_restitution(p.body.asset, recipe.physics, key.child("physics", p.name)),
        gloss=round(float(recipe.objects.gloss(key.child("objects", "gloss", p.name).rng())), 6),
        texture=sample_texture(recipe.objects.texture, key.child("objects", "texture", p.name)),
    )  # fmt: skip
