"""Every surface of a furnished room and what stands on each, against the room's truth."""

from dataclasses import replace

import furnished
import numpy as np
import pytest
import synthetic
from furnished import LOW_M, SHELF_M, WALL_Y, box

from phone2sim.assets.everywhere import Everywhere, find_everywhere
from phone2sim.assets.pipeline import AssetsConfig, build_assets
from phone2sim.assets.scene import PlanarSurface, Scene
from phone2sim.assets.uprights import upright_of
from phone2sim.augment.workspace import RobotReach, choose_support, choose_workspace
from phone2sim.sim_export.mjcf import build_mjcf, settle_drift

CONFIG = AssetsConfig(view_side=300, photo_side=300, max_views=28, faces=1200, texture_px=128)
HEIGHTS = {"table": 0.0, "support_2": LOW_M, "support_3": SHELF_M}
PARTS = {"table": "table", "support_2": "low", "support_3": "board"}
THINGS = {"table": ["can"], "support_2": ["on_low"], "support_3": ["on_board"]}


@pytest.fixture(scope="module")
def truth() -> synthetic.Truth:
    return furnished.room()


@pytest.fixture(scope="module")
def there(truth) -> Everywhere:
    found = find_everywhere(truth.views)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def folder(truth, tmp_path_factory):
    folder = synthetic.write_scene_dir(truth, tmp_path_factory.mktemp("room"), step=0.007)
    build_assets(folder, CONFIG)
    return folder


@pytest.fixture(scope="module")
def scene(folder) -> Scene:
    return Scene.load(folder)


def overlap(surface: PlanarSurface, mesh, axes: tuple[int, int], views) -> float:
    """Intersection over union, on a grid, of an outline and of the part of a box's front that three or more views see."""
    low, high = mesh.bounds
    depth = 3 - sum(axes)
    step = 0.01
    u, v = np.meshgrid(*(np.arange(low[k] - 0.1, high[k] + 0.1, step) for k in axes))
    points = np.zeros((u.size, 3))
    points[:, axes[0]], points[:, axes[1]] = u.ravel(), v.ravel()
    points[:, depth] = high[2] if depth == 2 else low[depth]
    real = ((points[:, axes] >= low[list(axes)]) & (points[:, axes] <= high[list(axes)])).all(axis=1)
    seen = np.zeros(len(points), int)
    for view in views:
        index, z, inside = view.pixels(points)
        seen += inside & (np.abs(view.depth.ravel()[index] - z) < 0.02)
    mine = surface.beside(points)[1] > 0
    shown = real & ((seen >= 3) | mine)  # the outline is convex: what something hides inside of it counts as seen
    return float((mine & shown).sum() / (mine | (real & (seen >= 3))).sum())


def test_all_surfaces_are_found_and_none_is_invented(truth, there):
    assert {s.name: pytest.approx(s.height_m, abs=0.003) for s in there.supports} == HEIGHTS
    for s in there.supports:
        assert overlap(s, truth.static[PARTS[s.name]], (0, 1), truth.views) > 0.8
    (wall,) = there.walls
    assert wall.T_world_surface.translation[1] == pytest.approx(WALL_Y, abs=0.003)
    assert wall.T_world_surface.rotation[:, 2] @ [0, -1, 0] > np.cos(np.deg2rad(0.5))
    assert wall.T_world_surface.rotation[:, 1] @ [0, 0, 1] > np.cos(np.deg2rad(0.5))
    assert overlap(wall, truth.static["wall"], (0, 2), truth.views) > 0.8


def test_objects_are_found_on_each_and_what_carries_a_board_is_none(truth, there):
    for found in there.founds:
        expected = [truth.meshes[n] for n in THINGS[found.support.surface.name]]
        assert len(found.clusters) == len(expected)
        for cluster, mesh in zip(found.clusters, expected):
            assert np.allclose(cluster.bounds.mean(axis=0)[:2], mesh.bounds.mean(axis=0)[:2], atol=0.03)
            assert cluster.bounds[1, 2] == pytest.approx(mesh.bounds[1, 2], abs=0.006)
    assert [r.reason for r in there.founds[0].refused] == ["carries another surface"] * 2


def test_the_same_views_give_the_same_surfaces(truth, there):
    again = find_everywhere(truth.views)
    for a, b in zip((*there.supports, *there.walls), (*again.supports, *again.walls), strict=True):
        assert np.array_equal(a.outline, b.outline) and np.array_equal(a.T_world_surface.matrix, b.T_world_surface.matrix)


def test_without_a_wall_there_is_none_and_a_shelf_is_still_one():
    there = find_everywhere(furnished.room(wall=False).views)
    assert there.walls == () and [s.name for s in there.supports] == list(HEIGHTS)


LID = {"box": box((0.36, 0.28, 0.12), (0, 0.1, 0))}
STACK = {"box": box((0.3, 0.2, 0.12), (0, 0.1, 0)), "top": box((0.08, 0.08, 0.08), (0.05, 0.12, 0.12))}
TALL = {"box": box((0.34, 0.3, 0.34), (0.1, 0.15, 0))}


@pytest.mark.parametrize("things", [LID, STACK, TALL], ids=["flat box", "stack", "tall box at the edge"])
def test_lids_and_sides_of_boxes_are_no_surfaces(things):
    table = {"table": furnished.furniture()["table"]}
    there = find_everywhere(synthetic.looked_at(furnished.cameras(), table, things).views)
    assert [s.name for s in there.supports] == ["table"] and there.walls == ()
    assert len(there.founds[0].clusters) == len(things)


def test_each_object_knows_its_support_and_stands_at_its_height(truth, scene):
    assert sorted(a.support for a in scene.assets) == sorted(HEIGHTS)
    for asset in scene.assets:
        assert scene.support_of(asset).name == asset.support
        assert asset.T_world_asset.translation[2] == pytest.approx(HEIGHTS[asset.support], abs=0.003)
        assert asset.visual.vertices[:, 2].min() == pytest.approx(0, abs=1e-6)
        (name,) = THINGS[asset.support]
        assert asset.extents_m[2] == pytest.approx(np.ptp(truth.meshes[name].bounds[:, 2]), abs=0.009)


def test_everything_stays_where_it_was_captured(scene):
    model = build_mjcf(scene).compile()
    assert {s.name for s in scene.surfaces} <= {model.geom(i).name for i in range(model.ngeom)}
    for row in settle_drift(model, [a.name for a in scene.assets], drop_m=0.0).values():
        assert row["moved_m"] < 0.002 and row["tilted_rad"] < 0.02


def test_a_thing_thrown_at_the_wall_stays_in_the_room(scene):
    import mujoco

    model = build_mjcf(scene).compile()
    data = mujoco.MjData(model)
    name = next(a.name for a in scene.assets if a.support == "support_3")
    data.joint(name).qvel[1] = 3.0
    mujoco.mj_step(model, data, 200)
    assert data.body(name).xpos[1] < WALL_Y


def test_what_carries_the_shelf_is_a_box_on_each_side(truth, there):
    assert len(there.uprights) == 2
    for u in there.uprights:
        corners = np.concatenate([np.c_[u.outline, np.full(4, -depth)] for depth in (0.0, u.thickness_m)])
        box = u.T_world_surface.apply(corners)
        side = min((truth.static["left"], truth.static["right"]), key=lambda m: abs(m.bounds[:, 0].mean() - box[:, 0].mean()))
        assert np.allclose(box.min(axis=0), side.bounds[0], atol=0.015)
        assert np.allclose(box.max(axis=0)[:2], side.bounds[1][:2], atol=0.015)
        assert side.bounds[1, 2] - 0.001 < box[:, 2].max() < SHELF_M


def test_nothing_goes_through_the_side_of_a_shelf(truth, scene):
    import mujoco

    spec = build_mjcf(scene)
    ball = spec.worldbody.add_body(name="ball", pos=[-0.08, 0.18, 0.1])
    ball.add_freejoint(name="ball")
    ball.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[0.02, 0, 0], mass=0.1)
    spec.option.gravity = [0, 0, 0]
    model = spec.compile()
    for sign in (-1, 1):
        data = mujoco.MjData(model)
        data.joint("ball").qvel[0] = sign * 2.0
        mujoco.mj_step(model, data, 400)
        low, high = truth.static["left"].bounds[1, 0], truth.static["right"].bounds[0, 0]
        assert low - 0.01 < data.body("ball").xpos[0] < high + 0.01


def test_a_box_that_cameras_look_through_carries_nothing(truth, there):
    """Two legs far apart, taken for one part, are no box."""
    found = there.founds[0]
    legs = [r for r in found.refused if r.reason == "carries another surface"]
    points = np.concatenate([r.points for r in legs])
    both = replace(legs[0], points=points, centre=points.mean(axis=0))
    assert upright_of(both, found.support.surface, there.supports, truth.views, cell=found.cell, name="both") is None


def test_the_background_keeps_the_shelf_and_its_mesh_has_every_surface(truth, scene):
    def covered(cloud, mesh, z):
        """How many centimetre squares of the board have Gaussians on them."""
        low, high = mesh.bounds
        p = cloud.means[np.abs(cloud.means[:, 2] - z) < 0.002]
        p = p[((p[:, :2] > low[:2]) & (p[:, :2] < high[:2])).all(axis=1), :2]
        return len(np.unique(np.floor((p - low[:2]) / 0.01), axis=0))

    board = truth.static["board"]
    assert covered(scene.background, board, SHELF_M) > 0.97 * covered(synthetic.splat(truth, step=0.007), board, SHELF_M)
    above = scene.background.means[scene.background.means[:, 2] > SHELF_M + 0.02]
    assert (above[:, 1] > WALL_Y - 0.02).all()  # only the wall
    v = scene.background_mesh.vertices
    for s in scene.surfaces:
        before, inside = s.beside(v)
        assert (np.abs(before) < 1e-6).sum() >= len(s.outline) and inside.max() > -1e-6


def test_episodes_use_the_table_and_keep_off_shelf_and_wall(scene):
    assert choose_support(scene).name in HEIGHTS
    ws = choose_workspace(scene, RobotReach())
    base = ws.base_pose().translation[None]
    for wall in scene.walls:
        assert wall.beside(base)[0][0] > 0.1
    for s in scene.supports:
        if s.height_m > ws.support.height_m:
            assert s.beside(base)[1][0] < -0.1


def test_a_scene_with_walls_reads_as_it_was_written_and_one_without_the_key_too(scene, tmp_path):
    import json

    scene.save(tmp_path)
    again = Scene.load(tmp_path)
    for a, b in zip(scene.surfaces, again.surfaces, strict=True):
        assert type(a) is type(b) and a.name == b.name and np.allclose(a.outline, b.outline)
    assert [a.support for a in again.assets] == [a.support for a in scene.assets]
    path = tmp_path / "scene.json"
    data = json.loads(path.read_text())
    assert [u["thickness_m"] for u in data["uprights"]] == [u.thickness_m for u in again.uprights]
    del data["walls"], data["uprights"]
    path.write_text(json.dumps(data))
    old = Scene.load(tmp_path)
    assert old.walls == () and old.uprights == ()


def test_a_bare_table_is_a_scene_without_objects(tmp_path):
    folder = synthetic.write_scene_dir(synthetic.raycast(with_bodies=False), tmp_path, step=0.008)
    build_assets(folder, AssetsConfig(view_side=160, photo_side=160, max_views=8))
    scene = Scene.load(folder)
    assert scene.assets == () and [s.name for s in scene.surfaces] == ["table"]
