"""Several supports and a wall: every export has them all, episodes work on the table and keep off the rest."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest
from pxr import Usd, UsdGeom, UsdPhysics

from phone2sim.assets.fingerprint import AssetHashes
from phone2sim.assets.scene import SupportSurface, Upright, Wall
from phone2sim.augment.footprints import gap, inset
from phone2sim.augment.recipe import load_recipe
from phone2sim.augment.sampler import sample_episode, workspace_of
from phone2sim.augment.workspace import choose_support
from phone2sim.errors import InputError
from phone2sim.keys import Key
from phone2sim.poses import Pose, matrix_to_quat
from phone2sim.sim_export.isaaclab import scene_source
from phone2sim.sim_export.mjcf import build_mjcf, settle_drift
from phone2sim.sim_export.robots import get_robot
from phone2sim.sim_export.simulators.mujoco import compile_world
from phone2sim.sim_export.usd import UsdConfig, write_usd
from phone2sim.sim_export.usd.props import SLAB_M
from tests.sim_export.scenes import box_asset, can_asset, scene_of

WALL_Y = 0.4


def rectangle(w: float, h: float) -> np.ndarray:
    return np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) / 2


def furnished():
    """A cube and a can on the table, a block on a shelf over its back, a wall behind."""
    shelf = SupportSurface(name="support_2", T_world_surface=Pose.from_xyz_yaw(np.array([0.1, 0.24, 0.3]), 0.0), outline=rectangle(0.5, 0.2))
    facing = np.stack([np.array([1.0, 0, 0]), np.array([0, 0, 1.0]), np.array([0, -1.0, 0])], axis=1)
    wall = Wall(name="wall_1", T_world_surface=Pose(np.array([0, WALL_Y, 0.3]), matrix_to_quat(facing)), outline=rectangle(1.6, 1.2))
    block = replace(box_asset("block", size=(0.08, 0.05, 0.04)), T_world_asset=Pose.from_xyz_yaw(np.array([0.1, 0.24, 0.3]), 0.3), support="support_2")
    scene = scene_of(box_asset("cube", xy=(0.0, -0.1)), can_asset("can", xy=(0.15, -0.15)), block)
    leaning = np.stack([np.array([0, 1.0, 0]), np.array([0, 0, 1.0]), np.array([1.0, 0, 0])], axis=1)
    side = Upright(
        name="upright_1", T_world_surface=Pose(np.array([-0.13, 0.24, 0.149]), matrix_to_quat(leaning)), outline=rectangle(0.2, 0.298), thickness_m=0.02
    )
    return replace(scene, supports=(*scene.supports, shelf), walls=(wall,), uprights=(side,))


SCENE = furnished()


def test_mjcf_has_every_surface_and_all_objects_stay():
    model = build_mjcf(SCENE).compile()
    for name, row in settle_drift(model, [a.name for a in SCENE.assets], drop_m=0.0).items():
        assert row["moved_m"] < 1e-3, name
    data = mujoco.MjData(model)
    data.joint("block").qvel[:3] = [0, 3.0, 1.0]
    mujoco.mj_step(model, data, 300)
    assert data.body("block").xpos[1] < WALL_Y


def test_usd_has_every_surface_where_it_is(tmp_path):
    stage = Usd.Stage.Open(str(write_usd(SCENE, tmp_path, UsdConfig(date="2026-01-31", package=False, splats=False))))
    cache = UsdGeom.XformCache()
    for s in SCENE.surfaces:
        prims = Usd.PrimRange(stage.GetPrimAtPath(f"/World/Static/{s.name}"), Usd.TraverseInstanceProxies())
        (mesh,) = (p for p in prims if p.HasAPI(UsdPhysics.CollisionAPI))
        T = np.array(cache.GetLocalToWorldTransform(mesh))
        v = np.array(UsdGeom.Mesh(mesh).GetPointsAttr().Get()) @ T[:3, :3] + T[3, :3]
        before, inside = s.beside(v)
        assert before.max() == pytest.approx(0, abs=1e-5) and inside.min() > -1e-5
        assert before.min() == pytest.approx(-(s.thickness_m or SLAB_M), abs=1e-5)


def test_isaac_lab_has_every_surface():
    source = scene_source(SCENE, None)
    assert all(f"supports/{s.name}.usd" in source for s in SCENE.surfaces)


@pytest.fixture(scope="module")
def specs():
    recipe = load_recipe("default")
    ws = workspace_of(SCENE, recipe)
    return ws, [sample_episode(SCENE, recipe, Key(3), i, workspace=ws) for i in range(6)]


def test_episodes_are_on_the_table_in_front_of_the_wall_and_not_under_the_shelf(specs):
    ws, made = specs
    assert choose_support(SCENE).name == "table" and len(ws.roofs) == 1
    assert SCENE.walls[0].beside(ws.base_pose().translation[None])[0][0] > ws.reach.base_radius_m
    assert inset(ws.roofs[0], ws.base_xy[None])[0] < 0
    for spec in made:
        assert spec.support == "table"
        for o in spec.objects:
            assert gap(np.array(o.pose.translation)[None, :2] + rectangle(1e-3, 1e-3), ws.roofs[0]) > 0


def test_an_episodes_physics_has_every_surface(specs):
    model = compile_world(SCENE, specs[1][0], get_robot(specs[1][0].robot.model))
    assert {s.name for s in SCENE.surfaces} <= {model.geom(i).name for i in range(model.ngeom)}


def test_captured_places_are_those_of_the_table():
    recipe = load_recipe("none")
    recipe = recipe.model_copy(update={"objects": recipe.objects.model_copy(update={"placement": "captured"})})
    for i in range(4):
        spec = sample_episode(SCENE, recipe, Key(1), i)
        assert "block" not in {o.asset for o in spec.objects}


def test_hashes_know_the_other_surfaces():
    assert AssetHashes(SCENE).of("table", []) != AssetHashes(replace(SCENE, walls=())).of("table", [])
    thicker = replace(SCENE.uprights[0], thickness_m=0.03)
    assert AssetHashes(SCENE).of("table", []) != AssetHashes(replace(SCENE, uprights=(thicker,))).of("table", [])


def test_an_object_on_an_unknown_support_is_one_clear_line():
    lost = replace(SCENE.assets[0], support="suport_2")
    with pytest.raises(InputError, match="cube stands on 'suport_2', which is no support of the scene"):
        SCENE.support_of(lost)
