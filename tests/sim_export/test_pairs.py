"""Pairs: the same trajectory to the bit, and pixels that differ only where their axis acts."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from phone2sim.assets.scene import Scene
from phone2sim.augment.pairs import check_pairs, for_target, sample_variant
from phone2sim.augment.recipe import PairsRecipe, load_recipe, parse_recipe
from phone2sim.augment.sampler import workspace_of
from phone2sim.cli import main
from phone2sim.errors import InputError, RecipeError
from phone2sim.sim_export.episode import Episode, read_pair
from phone2sim.sim_export.generate import GenerateConfig, generate
from phone2sim.sim_export.pairs import pair_of
from phone2sim.sim_export.pictures import episode_frames, spec_parts
from phone2sim.sim_export.replay import replay, replay_spec
from phone2sim.sim_export.swept import touched
from tests.sim_export.scenes import cube_scene

RECIPE = """
extends: default
camera: {names: [front], width: 96, height: 96, azimuth_deg: {uniform: [-25, 25]}}
clutter: {count: 1}
sensor: {noise_std: {uniform: [0.01, 0.02]}}
task: {duration_s: 6, fps: 10, target: cube}
pairs: {views: 1, lights: 1, clutter: 1, sensor: 1}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("pairs")
    cube_scene().save(root / "scene")
    (root / "r.yaml").write_text(RECIPE)
    config = GenerateConfig(recipe=str(root / "r.yaml"), episodes=1, seed=3)
    return root, generate(root / "scene", root / "d", config)


def folder_of(made):
    root, manifest = made
    return root / "d" / manifest["episodes"][0]


def test_states_and_actions_are_equal_bit_for_bit(made):
    base, *others = read_pair(folder_of(made))
    assert [e.spec.variant for e in others] == ["clutter_1", "lights_1", "sensor_1", "views_1"]
    assert made[1]["pairs"]["renderings"] == {"clutter": 1, "lights": 1, "sensor": 1, "views": 1}
    for e in others:
        assert e.spec.pair_id == base.spec.pair_id and e.spec.pair_id
        for name in ("states", "actions", "robot_poses"):
            assert getattr(e, name).tobytes() == getattr(base, name).tobytes()
        n = len(base.spec.objects)
        assert e.object_poses[:, :n].tobytes() == base.object_poses.tobytes()
        assert e.videos["front"].read_bytes() != base.videos["front"].read_bytes()


def test_only_the_axis_differs_in_the_spec(made):
    base, *others = read_pair(folder_of(made))
    fields = {"views": {"cameras"}, "lights": {"lights"}, "sensor": {"sensor"}, "clutter": {"objects", "asset_hashes"}}
    for e in others:
        axis = e.spec.variant.split("_")[0]
        differ = {k for k in type(e.spec).model_fields if getattr(e.spec, k) != getattr(base.spec, k)}
        assert differ - {"variant"} <= fields[axis] and differ & fields[axis]


def test_pixels_differ_only_where_the_axis_acts(made):
    """Drawn without noise: added clutter changes its own pixels and the shadow beside it, no other bit of the picture."""
    scene = Scene.load(made[0] / "scene")
    base = Episode.read(folder_of(made))
    clean = base.spec.sensor.model_copy(update={"noise_std": 0.0, "blur_px": 0.0})
    base = base.seen_as(base.spec.model_copy(update={"sensor": clean}))
    more = Episode.read(folder_of(made) / "variants" / "clutter_1")
    more = more.seen_as(more.spec.model_copy(update={"sensor": clean}))
    a, b = (next(iter(episode_frames(scene, e)))["front"].astype(int) for e in (base, more))
    changed = np.abs(a - b).max(axis=2) > 0
    K, T = np.array(base.spec.cameras[0].K), _camera_matrix(base.spec.cameras[0])
    added = [o for o in more.spec.objects if not o.physical]
    assert added and changed.any()
    near = np.zeros(changed.shape, bool)
    y, x = np.mgrid[0:96, 0:96] + 0.5
    for o in added:
        top = float(np.ptp(scene.asset(o.asset).visual.vertices[:, 2]))
        d = np.array(base.spec.lights.direction)
        reach = top * np.linalg.norm(d[:2]) / abs(d[2]) + 0.06 + 0.06  # its shadow, its own radius, contact
        p = np.linalg.inv(T) @ [*o.pose.translation, 1]
        u = K @ p[:3] / p[2]
        near |= np.hypot(x - u[0], y - u[1]) < (reach + top) * K[0, 0] / p[2]
    assert not (changed & ~near).any() and not near.all()


def _camera_matrix(camera):
    from phone2sim.sim_export.render.background import camera_matrices

    return camera_matrices(camera)[1]


def test_added_clutter_in_the_way_is_found(made):
    scene = Scene.load(made[0] / "scene")
    base = Episode.read(folder_of(made))
    more = Episode.read(folder_of(made) / "variants" / "clutter_1")
    assert touched(scene, base, more.spec) == ""
    added = more.spec.objects[-1]
    k = [o.name for o in base.spec.objects].index("cube")
    middle = base.object_poses[len(base) // 2, k, :3].astype(float)
    in_the_way = added.model_copy(update={"pose": added.pose.model_copy(update={"translation": tuple(middle)})})
    spec = more.spec.model_copy(update={"objects": (*more.spec.objects[:-1], in_the_way)})
    assert touched(scene, base, spec) == added.name
    assert [p.name for p in spec_parts(scene, more.spec)][: len(more.spec.objects)] == [
        o.name for o in more.spec.objects
    ]


def test_what_would_touch_is_counted_and_drawn_again(made, monkeypatch):
    scene = Scene.load(made[0] / "scene")
    base = Episode.read(folder_of(made))
    recipe = load_recipe(str(made[0] / "r.yaml")).model_copy(update={"pairs": PairsRecipe(clutter=2)})
    answers = iter(["can_0", "", *["can_0"] * 12])
    monkeypatch.setattr("phone2sim.sim_export.pairs.touched", lambda *a: next(answers))
    found, rejected = pair_of(scene, recipe, base, workspace=workspace_of(scene, recipe))
    assert [e.spec.variant for e in found] == ["clutter_1"] and rejected == {"touched": 13}


def test_draws_do_not_depend_on_the_other_axes(made):
    scene = Scene.load(made[0] / "scene")
    base = Episode.read(folder_of(made))
    recipe = load_recipe(str(made[0] / "r.yaml"))
    again = sample_variant(scene, recipe, base.spec, "views", 1, workspace=workspace_of(scene, recipe))
    assert again == Episode.read(folder_of(made) / "variants" / "views_1").spec


def test_lerobot_holds_every_rendering_as_an_episode(made):
    rows = pq.read_table(made[0] / "d/lerobot/meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [r["variant"] for r in rows] == ["", "clutter_1", "lights_1", "sensor_1", "views_1"]
    assert len({r["pair_id"] for r in rows}) == 1
    assert json.loads((made[0] / "d/lerobot/meta/info.json").read_text())["total_episodes"] == 5


def test_replay_of_a_rendering_and_from_a_spec_alone(made, tmp_path, capfd):
    assert replay(made[0] / "d", 0, variant="clutter_1")["same"]
    shutil.copy(folder_of(made) / "variants" / "views_1" / "spec.json", tmp_path / "s.json")
    args = ["replay", str(tmp_path / "s.json"), "--scene", str(made[0])]
    assert main([*args, "-o", str(tmp_path / "out"), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["success"]
    assert (tmp_path / "out" / "front.mp4").read_bytes() == (
        folder_of(made) / "variants" / "views_1" / "front.mp4"
    ).read_bytes()
    assert main(args) == 2
    assert "nothing beside" in " ".join(capfd.readouterr().err.split())


def test_another_scene_is_refused_by_the_asset(made, tmp_path):
    scene = Scene.load(made[0] / "scene")
    from dataclasses import replace

    cube = scene.asset("cube")
    heavier = replace(cube, visual=replace(cube.visual, vertices=cube.visual.vertices * 1.01))
    replace(scene, assets=tuple(heavier if a.name == "cube" else a for a in scene.assets)).save(tmp_path / "other")
    spec = folder_of(made) / "spec.json"
    with pytest.raises(InputError, match="The asset 'cube' of .*other is not the one the episode was made with"):
        replay_spec(spec, tmp_path / "other")
    replace(scene, assets=tuple(a for a in scene.assets if a.name != "cube")).save(tmp_path / "less")
    with pytest.raises(InputError, match="No asset 'cube' in the scene"):
        replay_spec(spec, tmp_path / "less")


def test_targets_and_pairs_that_repeat_themselves():
    vla = for_target(load_recipe("none"), "vla")
    assert vla.pairs == PairsRecipe(lights=3, clutter=2, sensor=2) and vla.lighting == load_recipe("vla").lighting
    assert vla.camera == load_recipe("none").camera
    wam = for_target(load_recipe("default"), "wam")
    assert wam.pairs == PairsRecipe(views=4) and wam.robot_start == load_recipe("wam").robot_start
    with pytest.raises(RecipeError, match="No target 'vlm'; have vla, wam. Did you mean vla\\?"):
        for_target(load_recipe("default"), "vlm")
    with pytest.raises(RecipeError, match="pairs.views is 2, but camera does not vary"):
        check_pairs(parse_recipe("extends: none\npairs: {views: 2}"))
