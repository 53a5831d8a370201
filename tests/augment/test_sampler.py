"""Laws of sampling: named streams, no overlap, cameras inside the validity, each axis touches only its own fields."""

from dataclasses import replace

import numpy as np
import pytest

from phone2sim.assets.scene import Light, Scene
from phone2sim.augment import (
    AXES,
    EpisodeSpec,
    PlacementError,
    RobotReach,
    load_recipe,
    parse_recipe,
    recipe_names,
    sample_episode,
    workspace_of,
)  # fmt: skip
from phone2sim.augment.camera import ViewRange
from phone2sim.augment.footprints import convex_hull_2d, gap, inset
from phone2sim.augment.language import direction_words, nouns
from phone2sim.augment.lighting import sample_lighting, temperature_gain
from phone2sim.errors import AssetError, RecipeError
from phone2sim.keys import Key
from phone2sim.poses import Pose
from tests.sim_export.scenes import box_asset, can_asset, cube_scene, scene_of

SCENE = cube_scene(cans=2, boxes=1)
KEY = Key(5)


def draw(recipe, n=1, scene=SCENE, key=KEY):
    recipe = load_recipe(recipe) if isinstance(recipe, str) else recipe
    ws = workspace_of(scene, recipe)
    return [sample_episode(scene, recipe, key, i, workspace=ws) for i in range(n)]


def feet(spec: EpisodeSpec, scene: Scene) -> dict[str, np.ndarray]:
    """Footprints recomputed from the spec alone."""
    out = {}
    for o in spec.objects:
        T = Pose(np.array(o.pose.translation), np.array(o.pose.quat_wxyz))
        v = np.concatenate([h.vertices for h in scene.asset(o.asset).hulls])
        out[o.name] = convex_hull_2d(T.apply(v)[:, :2])
    return out


@pytest.mark.parametrize("recipe", recipe_names())
def test_equal_keys_equal_specs_and_json_round_trip(recipe):
    a, b = draw(recipe, 3), draw(recipe, 3)
    assert a == b
    assert a[0] != a[1]
    for spec in a:
        assert EpisodeSpec.model_validate_json(spec.model_dump_json()) == spec
    assert sample_episode(SCENE, recipe, KEY, 2) == a[2], "an episode depends on those before it"
    assert draw(recipe, 1, key=Key(6))[0].objects != a[0].objects or recipe == "none"


@pytest.mark.parametrize("recipe, count", [("default", 120), ("vla", 80)])
def test_nothing_overlaps_and_everything_is_on_the_table_in_reach(recipe, count):
    ws = workspace_of(SCENE, recipe)
    clearance = float(load_recipe(recipe).clutter.clearance_m(KEY.rng()))
    outline = SCENE.supports[0].outline
    base = ws.base_pose().translation[:2]
    for spec in draw(recipe, count):
        f = feet(spec, SCENE)
        names = [o.name for o in spec.objects]
        assert len(set(names)) == len(names)
        for i, a in enumerate(names):
            assert inset(outline, f[a]).min() >= 0.005
            for b in names[i + 1 :]:
                assert gap(f[a], f[b]) >= clearance - 1e-5
        target = next(o for o in spec.objects if o.role == "target")
        goal = np.array(spec.task.goal_xy)
        radius = np.linalg.norm(f[target.name] - target.pose.translation[:2], axis=1).max()
        for name in names:
            if name != target.name:
                assert -inset(f[name], goal[None])[0] >= 0.9 * radius or inset(f[name], goal[None])[0] < -radius * 0.7
        for p in (target.pose.translation[:2], goal):
            assert 0.30 <= np.linalg.norm(np.array(p) - base) <= 0.65
        assert np.linalg.norm(goal - target.pose.translation[:2]) >= 0.099


@pytest.mark.parametrize("recipe", ["default", "wam"])
@pytest.mark.parametrize("validity", [
    SCENE.validity, {},
    {"center": [0.05, 0, 0], "radius_m": [0.5, 0.7], "elevation_rad": [0.4, 0.9], "azimuth_rad": [2.6, 4.4]},
])  # fmt: skip
def test_cameras_stay_inside_the_validity_and_see_the_task(recipe, validity):
    scene = replace(SCENE, validity=validity)
    view = ViewRange.of(scene, workspace_of(scene, recipe))
    seen = []
    for spec in draw(recipe, 60, scene=scene):
        assert [c.name for c in spec.cameras] == ["front", "side"]
        for c in spec.cameras:
            T = Pose(np.array(c.pose.translation), np.array(c.pose.quat_wxyz))
            assert view.contains(T.translation)
            target = next(o for o in spec.objects if o.role == "target")
            p = T.inverse().apply(np.array([[*target.pose.translation]]))[0]
            uv = (np.array(c.K) @ p)[:2] / p[2]
            seen.append(p[2] > 0.1 and (uv > 0).all() and (uv < 256).all())
    assert np.mean(seen) >= (1.0 if recipe == "default" else 0.95)


def test_one_sided_capture_puts_the_robot_opposite_and_keeps_views_apart():
    c = SCENE.cameras
    scene = replace(SCENE, validity={"center": [0, 0, 0], "radius_m": [0.6, 0.9], "elevation_rad": [0.5, 0.9],
                                     "azimuth_rad": [-2.2, -0.9]}, cameras=c.take([3, 3]))  # fmt: skip
    ws = workspace_of(scene, "default")
    assert ws.base_xy[1] > 0.2
    front, side = (np.array(c.pose.translation) for c in draw("none", 1, scene=scene)[0].cameras)
    a, b = (np.arctan2(p[1], p[0]) for p in (front, side))
    assert abs(a - b) > np.deg2rad(30)


OWN = {
    "lighting": {"lights"}, "clutter": {"clutter objects", "language"}, "camera": {"cameras"}, "sensor": {"sensor"},
    "robot_start": {"robot"}, "physics": {"physics"}, "objects": {"poses", "albedo", "clutter objects", "task", "language"},
    "task": {"task", "language", "target", "clutter objects", "poses", "physics", "albedo"},
    "surfaces": {"surfaces"},
}  # fmt: skip


def fields(spec: EpisodeSpec) -> dict[str, object]:
    target = [o for o in spec.objects if o.role == "target"][0]
    clutter = [o for o in spec.objects if o.role == "clutter"]
    both = {o.name: o for o in spec.objects}
    return {
        "lights": spec.lights, "cameras": spec.cameras, "sensor": spec.sensor, "robot": spec.robot,
        "task": (spec.task.target, spec.task.goal_xy), "language": spec.task.language,
        "target": target.name, "poses": target.pose, "clutter objects": [(o.name, o.pose) for o in clutter],
        "physics": {n: (o.mass_kg, o.friction) for n, o in both.items()}, "albedo": {n: o.rgb_gain for n, o in both.items()},
        "surfaces": spec.surfaces, "looks": {n: (o.gloss, o.texture, o.restitution) for n, o in both.items()},
        "rest": (spec.index, spec.key, spec.seed, spec.support, spec.fps, spec.duration_s),
    }  # fmt: skip


@pytest.mark.parametrize("axis", AXES)
def test_switching_an_axis_off_changes_only_its_own_fields(axis):
    recipe = load_recipe("default")
    for full, less in zip(draw(recipe, 8), draw(recipe.without(axis), 8)):
        a, b = fields(full), fields(less)
        for name in a:
            if name in OWN[axis]:
                continue
            if isinstance(a[name], dict):
                common = set(a[name]) & set(b[name])
                assert {n: a[name][n] for n in common} == {n: b[name][n] for n in common}, (axis, name)
            else:
                assert a[name] == b[name], (axis, name)
        assert any(a[n] != b[n] for n in OWN[axis]), f"{axis} changes nothing"


def test_streams_go_by_name():
    """Varying one more parameter leaves every other draw of the same section as it was."""
    one = parse_recipe("lighting: {key_gain: {uniform: [0.5, 2]}}")
    two = parse_recipe("lighting: {key_gain: {uniform: [0.5, 2]}, key_azimuth_deg: {uniform: [-90, 90]}}")
    a, b = (sample_lighting(Light.default(), r.lighting, KEY, up=np.array([0, 0, 1.0])) for r in (one, two))
    assert a.key_rgb == b.key_rgb and a.direction != b.direction
    few, many = (parse_recipe(f"clutter: {{count: {n}}}\nobjects: {{placement: random}}") for n in (1, 3))
    a, b = draw(few)[0], draw(many)[0]
    assert a.objects[:2] == b.objects[:2] and len(b.objects) == 4


def test_physics_fills_the_interval_and_stays_inside():
    masses = [o.mass_kg for s in draw("default", 150) for o in s.objects if o.asset == "cube"]
    interval = SCENE.asset("cube").mass_kg
    assert min(masses) >= interval.low and max(masses) <= interval.high
    assert max(masses) - min(masses) > 0.5 * (interval.high - interval.low)
    assert {o.mass_kg for s in draw("none", 3) for o in s.objects if o.asset == "cube"} == {round(interval.value, 9)}


def test_none_is_the_scene_as_captured():
    spec = draw("none")[0]
    assert {o.name for o in spec.objects} == {a.name for a in SCENE.assets}
    for o in spec.objects:
        T = SCENE.asset(o.asset).T_world_asset
        assert np.allclose(o.pose.translation, T.translation) and np.allclose(o.pose.quat_wxyz, T.quat_wxyz)
    assert spec.lights.relight_rgb == (1.0, 1.0, 1.0)
    assert np.allclose(spec.lights.direction, SCENE.light.direction) and np.allclose(
        spec.lights.ambient_sh, SCENE.light.ambient_sh
    )


def test_copies_are_renamed_and_the_target_is_unique():
    recipe = parse_recipe("clutter: {count: 5}\nobjects: {placement: random}\ntask: {target: cube}")
    names = [o.name for o in draw(recipe)[0].objects]
    assert names[0] == "cube" and len(set(names)) == 6
    assert {n.removesuffix("_2") for n in names[1:]} == {"block_0", "can_0", "can_1"}
    alone = draw(parse_recipe("clutter: {count: 2}\nobjects: {placement: random}"), scene=scene_of(box_asset("cube")))[
        0
    ]
    assert [o.name for o in alone.objects] == ["cube", "cube_2", "cube_3"]
    assert any(w in alone.task.language for w in ("leftmost", "rightmost", "nearest", "farthest", "middle"))


def test_objects_too_wide_for_the_gripper_are_not_targets():
    scene = scene_of(box_asset("crate", size=(0.12, 0.1, 0.05)), box_asset("cube", xy=(0.2, 0)))
    assert {s.task.target for s in draw("default", 10, scene=scene)} == {"cube"}
    only = scene_of(box_asset("crate", size=(0.12, 0.1, 0.05)))
    assert draw("default", 1, scene=only)[0].task.target == "crate"


@pytest.mark.parametrize("size", [0.5, 0.8, 2.0])
def test_small_and_large_supports(size):
    h = size / 2
    octagon = h * np.stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)], axis=1)
    support = replace(
        SCENE.supports[0], outline=octagon, T_world_surface=Pose.from_xyz_yaw(np.array([0.3, -0.2, 0.7]), 0.5)
    )
    scene = scene_of(box_asset("cube"), can_asset("can", xy=(0.1, 0.1)))
    move = support.T_world_surface
    scene = replace(scene, supports=(support,), validity={},
                    assets=tuple(replace(a, T_world_asset=move @ a.T_world_asset) for a in scene.assets))  # fmt: skip
    specs = draw("default", 10, scene=scene)
    base = np.array(specs[0].robot.base.translation)
    assert base[2] == pytest.approx(0.7)
    assert np.linalg.norm(base[:2] - [0.3, -0.2]) > 0.3
    for spec in specs:
        assert all(o.pose.translation[2] == pytest.approx(0.701, abs=1e-6) for o in spec.objects)


def test_resting_orientation_is_kept():
    lying = replace(can_asset("can"), T_world_asset=Pose(np.array([0, 0, 0.03]), np.array([1.0, 1.0, 0, 0])))
    for spec in draw("default", 5, scene=scene_of(lying, box_asset("cube", xy=(0.2, 0)))):
        for o in spec.objects:
            if o.asset == "can":
                T = Pose(np.array(o.pose.translation), np.array(o.pose.quat_wxyz))
                assert abs(T.rotation[2, 2]) < 1e-6
                assert T.apply(lying.hulls[0].vertices)[:, 2].min() == pytest.approx(0.001, abs=1e-5)


def test_errors():
    with pytest.raises(AssetError, match="no support surface"):
        draw("default", scene=replace(SCENE, supports=()))
    with pytest.raises(RecipeError, match="no asset 'cub' in the scene; have .* Did you mean cube"):
        draw(parse_recipe("task: {target: cub}"))
    crowded = parse_recipe("clutter: {count: 40}\nobjects: {placement: random}")
    with pytest.raises(PlacementError, match="No free place for .* Lower clutter.count"):
        draw(crowded)
    with pytest.raises(PlacementError, match="No goal 1.90 m"):
        draw(parse_recipe("task: {travel_m: 1.9}\nobjects: {placement: random}"))


def test_lighting_is_consistent():
    up = np.array([0, 0, 1.0])
    dark = sample_lighting(
        Light.default(), parse_recipe("lighting: {key_gain: 0.5, ambient_gain: 0.5}").lighting, KEY, up=up
    )
    assert np.allclose(dark.relight_rgb, 0.5)
    warm = sample_lighting(Light.default(), parse_recipe("lighting: {temperature_mired: 50}").lighting, KEY, up=up)
    assert warm.relight_rgb[0] > 1.02 and warm.relight_rgb[2] < 0.95
    assert temperature_gain(0) == pytest.approx([1, 1, 1])
    turned = sample_lighting(Light.default(), parse_recipe("lighting: {key_azimuth_deg: 90}").lighting, KEY, up=up)
    assert np.allclose(turned.relight_rgb, 1) and turned.direction[2] == pytest.approx(Light.default().direction[2])
    harsh = sample_lighting(Light.default(), parse_recipe("lighting: {ambient_gain: 0.1}").lighting, KEY, up=up)
    assert harsh.shadow > dark.shadow


def test_language():
    assert (
        direction_words(np.array([1.0, 0])) == "farther away" and direction_words(np.array([0, 1.0])) == "to the left"
    )
    assert direction_words(np.array([-1.0, -1.0])) == "closer on the right"
    assert nouns(SCENE.assets)["cube"] == "red block" and nouns(SCENE.assets)["block_0"] == "green block"
    assert nouns(scene_of(can_asset("can"), box_asset("mug")).assets)["can"] == "can"
    for spec in draw("vla", 20):
        assert "{" not in spec.task.language and spec.task.language[0].isupper()


def test_reach_is_a_parameter():
    far = RobotReach(near_m=0.4, far_m=0.6, home_rad=(0.0,) * 6, model="six")
    spec = sample_episode(SCENE, "default", KEY, 0, robot_reach=far)
    assert spec.robot.model == "six" and len(spec.robot.qpos) == 6
