"""The Isaac Lab package: its modules run against stand-ins that know Isaac Lab 3's arguments, and mean what the scene says.

`tests/side/isaaclab_check.sh` runs it in Isaac Lab itself.
"""

from __future__ import annotations

import importlib
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phone2sim.assets.scene import Scene
from phone2sim.augment.footprints import footprint, gap, inset, placed
from phone2sim.augment.recipe import load_recipe
from phone2sim.poses import quat_to_matrix
from phone2sim.sim_export.isaaclab import package_name, write_isaaclab
from phone2sim.sim_export.usd.config import UsdConfig
from tests.sim_export.scenes import cube_scene

ARGUMENTS = {
    "AssetBaseCfg": {"prim_path", "spawn", "init_state"}, "RigidObjectCfg": {"prim_path", "spawn", "init_state"},
    "InitialStateCfg": {"pos", "rot"}, "UsdFileCfg": {"usd_path"}, "DomeLightCfg": {"color", "intensity"},
    "DistantLightCfg": {"color", "intensity", "angle"}, "OffsetCfg": {"pos", "rot", "convention"}, "SceneEntityCfg": {"name"},
    "CameraCfg": {"prim_path", "offset", "spawn", "data_types", "width", "height"},
    "EventTermCfg": {"func", "mode", "params"}, "from_intrinsic_matrix": {"intrinsic_matrix", "width", "height"},
}  # fmt: skip
TERMS = {
    "randomize_rigid_body_mass": {"asset_cfg", "mass_distribution_params", "operation", "distribution", "recompute_inertia"},
    "randomize_rigid_body_material": {
        "asset_cfg", "static_friction_range", "dynamic_friction_range", "restitution_range", "num_buckets", "make_consistent",
    },
    "reset_root_state_uniform": {"asset_cfg", "pose_range", "velocity_range"},
    "randomize_visual_color": {"event_name", "asset_cfg", "colors", "mesh_name"},
}  # fmt: skip
"""Of isaaclab 3.0.0."""


class Said(types.SimpleNamespace):
    """What a configuration was given."""


def said(name: str, *positional: str) -> Any:
    class Cfg(Said):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs |= dict(zip(positional, args, strict=True))
            assert set(kwargs) <= ARGUMENTS[name], name
            super().__init__(**kwargs)

    Cfg.__name__ = name
    return Cfg


@pytest.fixture
def isaaclab(monkeypatch: pytest.MonkeyPatch) -> None:
    asset, rigid, camera = said("AssetBaseCfg"), said("RigidObjectCfg"), said("CameraCfg")
    asset.InitialStateCfg = rigid.InitialStateCfg = said("InitialStateCfg")
    camera.OffsetCfg = said("OffsetCfg")
    pinhole = types.SimpleNamespace(from_intrinsic_matrix=said("from_intrinsic_matrix", "intrinsic_matrix"))
    lights = {n: said(n) for n in ("UsdFileCfg", "DomeLightCfg", "DistantLightCfg")}
    modules = {
        "isaaclab": {}, "isaaclab.envs": {}, "isaaclab.utils": {}, "isaaclab.sim": {**lights, "PinholeCameraCfg": pinhole},
        "isaaclab.assets": {"AssetBaseCfg": asset, "RigidObjectCfg": rigid}, "isaaclab.sensors": {"CameraCfg": camera},
        "isaaclab.scene": {"InteractiveSceneCfg": object}, "isaaclab.utils.configclass": {"configclass": lambda c: c},
        "isaaclab.managers": {"EventTermCfg": said("EventTermCfg"), "SceneEntityCfg": said("SceneEntityCfg", "name")},
        "isaaclab.envs.mdp": {n: n for n in TERMS},
    }  # fmt: skip
    for name, content in modules.items():
        module = types.ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
        parent, _, leaf = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], leaf, module)


def loaded(scene: Scene, folder: Path, monkeypatch: pytest.MonkeyPatch, recipe: str = "default") -> Any:
    package = write_isaaclab(scene, folder, "twin_lab", load_recipe(recipe), UsdConfig(splats=False))
    monkeypatch.syspath_prepend(str(package.parent))
    for name in [n for n in sys.modules if n.split(".")[0] == "twin_lab"]:
        del sys.modules[name]
    return importlib.import_module("twin_lab")


def test_every_object_is_spawned_where_it_stands(isaaclab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pxr import Usd, UsdPhysics

    scene = cube_scene()
    lab = loaded(scene, tmp_path, monkeypatch)
    assert lab.OBJECTS == tuple(a.name for a in scene.assets)
    for a in scene.assets:
        cfg = getattr(lab.SceneCfg, a.name)
        assert cfg.prim_path == f"{{ENV_REGEX_NS}}/{a.name}"
        x, y, z, w = cfg.init_state.rot
        np.testing.assert_allclose(quat_to_matrix(np.array([w, x, y, z])), a.T_world_asset.rotation, atol=1e-7)
        np.testing.assert_allclose(cfg.init_state.pos, a.T_world_asset.translation, atol=1e-8)
        stage = Usd.Stage.Open(cfg.spawn.usd_path)
        bodies = [p for p in stage.Traverse() if p.HasAPI(UsdPhysics.RigidBodyAPI)]
        assert bodies == [stage.GetDefaultPrim()]  # Isaac Lab wants exactly one, and takes the root
        assert UsdPhysics.MassAPI(bodies[0]).GetMassAttr().Get() == pytest.approx(a.mass_kg.value)
    assert Path(lab.SceneCfg.table.spawn.usd_path).is_file()


def test_cameras_are_those_of_the_capture(isaaclab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = cube_scene()
    lab = loaded(scene, tmp_path, monkeypatch)
    first = lab.CameraSceneCfg.camera_0
    assert (first.width, first.height, first.offset.convention) == (320, 240, "ros")
    np.testing.assert_allclose(first.offset.pos, scene.cameras.T_world_camera[0, :3, 3], atol=1e-7)
    np.testing.assert_allclose(np.reshape(first.spawn.intrinsic_matrix, (3, 3)), scene.cameras.K[0], atol=1e-3)
    assert not hasattr(lab.SceneCfg, "camera_0")


def test_masses_and_frictions_are_drawn_from_their_intervals(isaaclab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = cube_scene()
    events = loaded(scene, tmp_path, monkeypatch).EventCfg
    for a in scene.assets:
        for kind in ("mass", "material", "pose"):
            term = getattr(events, f"{a.name}_{kind}")
            assert set(term.params) <= TERMS[term.func] and term.params["asset_cfg"].name == a.name
        mass = getattr(events, f"{a.name}_mass")
        assert mass.mode == "startup" and mass.params["operation"] == "abs"
        np.testing.assert_allclose(mass.params["mass_distribution_params"], (a.mass_kg.low, a.mass_kg.high), rtol=1e-6)
        grip = getattr(events, f"{a.name}_material").params["static_friction_range"]
        np.testing.assert_allclose(grip, (a.friction.low, a.friction.high), rtol=1e-6)


def test_moved_objects_stay_apart_and_on_the_table(isaaclab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = cube_scene(boxes=2, cans=2)
    events = loaded(scene, tmp_path, monkeypatch).EventCfg
    rng = np.random.default_rng(0)
    feet = {a.name: footprint(a, a.T_world_asset.rotation) for a in scene.assets}
    for _ in range(200):
        outlines = []
        for a in scene.assets:
            ranges = getattr(events, f"{a.name}_pose").params["pose_range"]
            xy = a.T_world_asset.translation[:2] + [rng.choice(ranges["x"]), rng.choice(ranges["y"])]
            outlines.append(placed(feet[a.name], xy, rng.uniform(*ranges["yaw"])))
        for i, one in enumerate(outlines):
            assert inset(scene.supports[0].outline, one).min() > -1e-6
            assert all(gap(one, other) > -1e-6 for other in outlines[:i])
    assert events.cube_pose.params["pose_range"]["x"][1] > 0.005


def test_a_recipe_that_varies_nothing_moves_nothing(isaaclab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    still = tmp_path / "still.yaml"
    still.write_text("description: nothing varies\n")
    scene = cube_scene()
    events = loaded(scene, tmp_path / "p", monkeypatch, str(still)).EventCfg
    cube = scene.asset("cube")
    assert set(events.cube_pose.params["pose_range"].values()) == {(0.0, 0.0)}
    np.testing.assert_allclose(events.cube_mass.params["mass_distribution_params"], [cube.mass_kg.value] * 2)


def test_colours_are_of_the_texture_and_need_isaac_sim(isaaclab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = cube_scene()
    lab = loaded(scene, tmp_path, monkeypatch)
    term = lab.ColourEventCfg.cube_colour
    assert set(term.params) <= TERMS[term.func] and not hasattr(lab.EventCfg, "cube_colour")
    mean = scene.asset("cube").visual.texture.reshape(-1, 3).mean(0) / 255  # type: ignore[union-attr]
    for channel, value in zip("rgb", mean):
        low, high = term.params["colors"][channel]
        assert low <= value <= high


def test_a_scene_without_objects_is_a_package_too(isaaclab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = loaded(replace(cube_scene(), assets=()), tmp_path, monkeypatch)
    assert lab.OBJECTS == () and lab.EventCfg


@pytest.mark.parametrize(("folder", "name"), [("Kitchen", "kitchen_lab"), ("my scene-2", "my_scene_2_lab"), ("7up", "up_lab")])
def test_the_package_is_named_after_the_scene(tmp_path: Path, folder: str, name: str) -> None:
    assert package_name(tmp_path / folder) == name


def test_newton_settings_take_newtons_own_contacts(isaaclab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("isaaclab_newton.physics")
    module.MJWarpSolverCfg = module.NewtonCfg = lambda **kw: Said(**kw)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "isaaclab_newton", types.ModuleType("isaaclab_newton"))
    monkeypatch.setitem(sys.modules, "isaaclab_newton.physics", module)
    cfg = loaded(cube_scene(), tmp_path, monkeypatch).newton()
    assert cfg.solver_cfg.use_mujoco_contacts is False
