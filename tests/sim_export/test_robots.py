"""Arms from files: what is found in them is what was written, and they do the tasks."""

import importlib.util

import mujoco
import numpy as np
import pytest

from phone2sim.errors import InputError, MissingDependencyError
from phone2sim.sim_export.experts.ik import ArmIK
from phone2sim.sim_export.generate import GenerateConfig, generate
from phone2sim.sim_export.robots import get_robot
from phone2sim.sim_export.workers import Job, Maker
from tests.sim_export.arms import CHAIN, write_arm, write_gripper, write_urdf
from tests.sim_export.scenes import box_asset, scene_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("robots")


@pytest.fixture(scope="module")
def arm(folder):
    return get_robot(str(write_arm(folder)))


def outcomes(scene, tmp_path, n, **job):
    maker = Maker(
        Job(scene_dir=tmp_path, dataset_dir=tmp_path, recipe="default", seed=0, scene_fingerprint="", simulator="mujoco",
            pictures=False, **job), scene=scene,
    )  # fmt: skip
    return [maker.simulate(maker.sample(i)) for i in range(n)]


def test_what_is_written_is_found(arm):
    assert arm.joints == tuple(j for j, _, _ in CHAIN) and set(arm.fingers) == {"left", "right"}
    assert arm.opening_m == pytest.approx(0.08, abs=2e-3)
    assert np.allclose(arm.finger_open, 0.04, atol=1e-3) and np.allclose(arm.finger_closed, 0, atol=1e-3)
    assert np.allclose(arm.grip_open, 0.04) and np.allclose(arm.grip_closed, 0)
    assert arm.tip_below_pinch_m == pytest.approx(0.012)
    assert arm.palm_above_pinch_m == pytest.approx(0.06 + 0.07 - 0.012 - 0.055, abs=2e-3)
    assert arm.pad_half_m[0] == pytest.approx(0.009, abs=2e-3)
    assert 0.15 < arm.reach_m[0] < 0.35 and 0.5 < arm.reach_m[1] < 0.85
    assert arm.state_names == (*(f"{j}.pos" for j, _, _ in CHAIN), "gripper.pos")


def test_home_points_down_within_limits_and_the_servos_hold_it(arm):
    _, R = ArmIK(arm).pose(np.array(arm.home_rad))
    np.testing.assert_allclose(R[:, 2], [0, 0, -1], atol=0.02)
    low, high = np.array(arm.limits_rad).T
    assert (np.array(arm.home_rad) > low).all() and (np.array(arm.home_rad) < high).all()
    model = arm.build().compile()
    data = mujoco.MjData(model)
    q = [model.joint(j).qposadr[0] for j in arm.joints]
    data.qpos[q] = arm.home_rad
    data.ctrl[[model.actuator(j).id for j in arm.joints]] = arm.home_rad
    mujoco.mj_step(model, data, 500)
    np.testing.assert_allclose(data.qpos[q], arm.home_rad, atol=2e-3)


def test_only_the_arm_is_kept(arm):
    spec = arm.build()
    assert not [g for g in spec.geoms if g.name == "floor"] and not list(spec.lights)
    bodies = {b.name for b in spec.bodies}
    parts = arm.render_parts()
    assert {p.body for p in parts} <= bodies and sum(len(p.mesh.faces) for p in parts) < 13_000
    assert any(np.allclose(p.rgb, np.array([0.8, 0.2, 0.2]) ** 2.2, atol=0.01) for p in parts)


def test_it_picks_places_and_pushes(arm, tmp_path):
    scene = scene_of(box_asset("cube"))
    done = outcomes(scene, tmp_path, 5, robot=arm.name)
    assert sum(e.success for e in done) >= 4, [e.reason for e in done]
    assert done[0].states.shape[1] == 7 and done[0].spec.robot.model == arm.name
    pushed = outcomes(scene, tmp_path, 2, robot=arm.name, task="push")
    assert any(e.success for e in pushed), [e.reason for e in pushed]


def test_a_gripper_from_another_file(folder, arm, tmp_path):
    both = get_robot(f"{write_arm(folder, gripper=False, name='bare')}+{write_gripper(folder)}")
    assert both.opening_m == pytest.approx(arm.opening_m, abs=1e-3) and len(both.fingers) == 2
    done = outcomes(scene_of(box_asset("cube")), tmp_path, 3, robot=both.name)
    assert sum(e.success for e in done) >= 2, [e.reason for e in done]
    with pytest.raises(InputError, match="has a gripper of its own"):
        get_robot(f"{write_arm(folder)}+{write_gripper(folder)}")


def test_a_urdf_without_a_gripper_pushes(folder, tmp_path):
    bare = get_robot(str(write_urdf(folder)))
    assert bare.fingers == () and len(bare.joints) == 6 and len(bare.render_parts()) >= 6
    scene = scene_of(box_asset("block", size=(0.06, 0.06, 0.06)))
    done = outcomes(scene, tmp_path, 3, robot=bare.name, task="push")
    assert any(e.success for e in done), [e.reason for e in done]
    scene.save(tmp_path / "scene")
    with pytest.raises(InputError, match="has no gripper, and place needs one. Without one: push"):
        generate(tmp_path / "scene", tmp_path / "d", GenerateConfig(robot=bare.name, pictures=False))


def test_what_is_no_arm_is_said(folder, tmp_path):
    with pytest.raises(InputError, match="No robot file .*none.xml"):
        get_robot(str(folder / "none.xml"))
    (folder / "broken.xml").write_text("<mujoco><worldbody>")
    with pytest.raises(InputError, match="MuJoCo cannot read .*broken.xml"):
        get_robot(str(folder / "broken.xml"))
    (folder / "door.xml").write_text(
        '<mujoco><worldbody><body><joint type="hinge"/><geom size="0.1"/></body></worldbody></mujoco>'
    )
    with pytest.raises(InputError, match="door.xml has no arm: its longest chain has 1 turning joints, 4 are needed"):
        get_robot(str(folder / "door.xml"))
    with pytest.raises(InputError, match="No robot 'pander'; have p2s_arm. Or give a file"):
        get_robot("pander")


@pytest.mark.skipif(importlib.util.find_spec("robot_descriptions") is not None, reason="robot_descriptions is installed")
def test_robot_descriptions_missing_says_how_to_get_it():
    with pytest.raises(MissingDependencyError, match="that package is missing. pip install 'phone2sim\\[robots\\]'"):
        get_robot("panda_mj_description")
