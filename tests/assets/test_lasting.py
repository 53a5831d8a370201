"""An object keeps the name that the user's edits call it by, whatever order a rebuild finds things in and wherever it puts them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from phone2sim.assets.lasting import Known, last_known, named
from phone2sim.assets.overrides import Override
from phone2sim.assets.scene import SupportSurface
from phone2sim.assets.uprights import staying
from phone2sim.augment.workspace import roofs_over
from phone2sim.config import write_json
from phone2sim.poses import Pose
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.sim_export.mjcf import build_mjcf
from tests.sim_export.scenes import box_asset, scene_of

EDITS = {"object_2": Override(name="mug")}


def box(x: float, y: float, size: tuple[float, float, float] = (0.06, 0.05, 0.08)) -> trimesh.Trimesh:
    mesh = trimesh.creation.box(size)
    mesh.apply_translation([x, y, size[2] / 2])
    return mesh


def remembered(folder: Path, meshes: list[trimesh.Trimesh], cameras: Cameras) -> list[str]:
    """A build of `meshes`, as the stage leaves it; its names."""
    names, known = named(meshes, [])
    write_json(folder / "manifest.json", {"fingerprint": "x", "result": {"objects": [k.to_json() for k in known]}})
    cameras.save(folder / "cameras.json")
    return names


@pytest.fixture(scope="module")
def cameras() -> Cameras:
    return scene_of(box_asset("box")).cameras


THINGS = [box(0.0, 0.1), box(0.2, 0.0), box(-0.2, 0.05, (0.03, 0.03, 0.03))]


@pytest.mark.parametrize("scale", [1.0, 0.4])
def test_names_stay_in_another_order_and_in_another_world(cameras: Cameras, tmp_path: Path, scale: float) -> None:
    assert remembered(tmp_path, THINGS, cameras) == ["object_1", "object_2", "object_3"]
    turn = Pose.from_xyz_yaw(np.array([1.0, -2.0, 0.3]), 2.1)
    world = replace(cameras.transformed(scale, turn.matrix), names=cameras.names)
    moved = [m.copy().apply_transform(turn.matrix @ np.diag([scale, scale, scale, 1])) for m in (THINGS[2], THINGS[0], THINGS[1])]
    known = last_known(tmp_path, world, EDITS)
    assert named(moved, known)[0] == ["object_3", "object_1", "object_2"]


def test_what_is_new_gets_a_new_name_and_what_is_gone_keeps_its_own(cameras: Cameras, tmp_path: Path) -> None:
    remembered(tmp_path, THINGS, cameras)
    names, known = named([box(0.0, -0.3), THINGS[0], THINGS[2]], last_known(tmp_path, cameras, EDITS))
    assert names == ["object_4", "object_1", "object_3"]
    assert {k.name for k in known} == {"object_1", "object_2", "object_3", "object_4"}
    again = named([THINGS[1]], known)[0]
    assert again == ["object_2"]


def test_something_of_another_size_in_the_same_place_is_something_else() -> None:
    known = [Known.of("object_1", box(0.0, 0.0))]
    assert named([box(0.0, 0.0, (0.15, 0.12, 0.08))], known)[0] == ["object_2"]


def test_without_edits_or_common_pictures_names_are_those_of_this_build_alone(cameras: Cameras, tmp_path: Path) -> None:
    assert last_known(tmp_path, cameras, EDITS) == []
    remembered(tmp_path, THINGS, cameras)
    assert last_known(tmp_path, cameras, {}) == []
    assert len(last_known(tmp_path, cameras, EDITS)) == 3
    strangers = replace(cameras, names=tuple(f"other_{n}" for n in cameras.names))
    assert last_known(tmp_path, strangers, EDITS) == []
    first, second, *rest = cameras.names
    elsewhere = replace(cameras, names=(second, first, *rest))
    assert last_known(tmp_path, elsewhere, EDITS) == []  # same names, other pictures


def test_what_is_not_to_move_is_solid_and_nothing_is_placed_in_it() -> None:
    can = trimesh.creation.cylinder(0.04, 0.1, sections=24)
    can.apply_translation([0.1, 0.0, 0.05])
    beside, below = can.vertices + [0.08, 0, 0], can.vertices - [0.02, 0, 0.3]
    stays = staying(can, [beside, below], name="can")
    assert stays is not None
    corners = stays.corners()
    assert np.allclose([corners.min(axis=0), corners.max(axis=0)], can.bounds, atol=1e-6)
    on_top = box_asset("box", xy=(0.1, 0.0))
    on_top = replace(on_top, T_world_asset=Pose(np.array([0.1, 0.0, 0.101]), np.array([1.0, 0, 0, 0])))
    scene = replace(scene_of(on_top), uprights=(stays,))
    (roof,) = roofs_over(scene, scene.supports[0])
    assert np.ptp(roof, axis=0) == pytest.approx([0.08, 0.08], abs=1e-3)
    high = replace(scene.supports[0], T_world_surface=Pose(np.array([0, 0, 0.1]), np.array([1.0, 0, 0, 0])))
    assert isinstance(high, SupportSurface) and roofs_over(scene, high) == ()
    on_a_tray = can.vertices + [0.01, 0, 0.02]  # its rim is higher than what stands on it
    tray = staying(can, [on_a_tray], name="tray")
    assert tray is not None and tray.corners()[:, 2].max() == pytest.approx(0.02)
    assert staying(can, [can.vertices + [0.05, 0, 0]], name="can") is None

    import mujoco

    model = build_mjcf(scene).compile()
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data, 500)
    assert data.body("box").xpos[2] == pytest.approx(0.1, abs=0.003)
