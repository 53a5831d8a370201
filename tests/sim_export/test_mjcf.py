"""A Scene written as MJCF is the same scene, and rests."""

import mujoco
import numpy as np
import pytest

from phone2sim.errors import InputError
from phone2sim.poses import Pose, quat_to_matrix
from phone2sim.sim_export.mjcf import build_mjcf, find_support, settle_drift, write_mjcf
from tests.sim_export.scenes import box_asset, cube_scene, scene_of


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    scene = cube_scene(cans=2, boxes=2)
    folder = tmp_path_factory.mktemp("mjcf")
    path = write_mjcf(scene, folder)
    return scene, path, mujoco.MjModel.from_xml_path(str(path))


def test_masses_inertias_and_poses_survive(written):
    scene, _, model = written
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    for a in scene.assets:
        body = model.body(a.name)
        assert body.mass[0] == pytest.approx(a.mass_kg.value, rel=1e-5)
        np.testing.assert_allclose(body.ipos, a.inertia.center_of_mass, atol=1e-6)
        R = quat_to_matrix(body.iquat)
        np.testing.assert_allclose(R @ np.diag(body.inertia) @ R.T, a.inertia.moments, rtol=1e-3, atol=1e-9)
        got = Pose(data.body(a.name).xpos.copy(), data.body(a.name).xquat.copy())
        np.testing.assert_allclose(got.matrix, a.T_world_asset.matrix, atol=1e-6)


def test_friction_is_the_objects_own(written):
    scene, _, model = written
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    mujoco.mj_step(model, data, 100)
    assert data.ncon > 0
    for c in range(data.ncon):
        assert data.contact[c].friction[0] == pytest.approx(0.7)


def test_everything_dropped_a_millimetre_rests_where_it_was(written):
    scene, _, model = written
    for name, d in settle_drift(model, [a.name for a in scene.assets]).items():
        assert d["moved_m"] < 0.005 and d["speed"] < 1e-3 and d["turned_rad"] < 0.02, (name, d)


def test_a_tilted_table_lets_things_slide():
    """The drift test can fail."""
    scene = cube_scene(cans=0, boxes=0)
    spec = build_mjcf(scene)
    spec.option.gravity = [6.0, 0, -6.0]
    assert settle_drift(spec.compile(), ["cube"])["cube"]["moved_m"] > 0.01


def test_files_stand_in_assets_without_a_meshdir(written):
    scene, path, _ = written
    text = path.read_text()
    assert "meshdir" not in text and "texturedir" not in text
    for a in scene.assets:
        assert (path.parent / "assets" / f"{a.name}.png").exists()
        assert f'file="assets/{a.name}.obj"' in text
    assert "implicitfast" in text and 'impratio="10"' in text


def test_writing_twice_gives_equal_bytes(tmp_path, written):
    scene, path, _ = written
    write_mjcf(scene, tmp_path)
    old = {p.relative_to(path.parent): p.read_bytes() for p in path.parent.rglob("*") if p.is_file()}
    assert old == {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}


def test_a_scene_without_support_or_objects_still_exports(tmp_path):
    from dataclasses import replace

    path = write_mjcf(replace(scene_of(), supports=()), tmp_path)
    assert mujoco.MjModel.from_xml_path(str(path)).nbody == 1


def test_unknown_support():
    with pytest.raises(InputError, match="No support surface 'tabel' in the scene; have table. Did you mean table?"):
        find_support(scene_of(box_asset("cube")), "tabel")
