"""The planner imagines what then happens, the same at any number of threads, and pushes things where they should go."""

import numpy as np
import pytest

from phone2sim.augment import parse_recipe, sample_episode
from phone2sim.keys import Key
from phone2sim.sim_export.simulators.mujoco import MujocoSimulator
from phone2sim.sim_export.workers import Job, Maker
from tests.sim_export.scenes import box_asset, cube_scene, scene_of


def spec_of(scene):
    return sample_episode(scene, parse_recipe("extends: default\ntask: {kind: push}"), Key(2), 0)


def test_an_imagined_future_is_the_real_one_and_leaves_the_present_alone(monkeypatch):
    scene = cube_scene()
    sim, spec = MujocoSimulator(scene), spec_of(scene)
    sim.load(spec)
    q = np.array(spec.robot.qpos)
    ramps = np.array([[0, 1, 0, 0.5, 0, 0, 0], [0.4, 0.6, 0, -0.2, 0, 0.3, 0]])
    joints = q + np.linspace(0, 1, 15)[None, :, None] * 0.6 * ramps[:, None]
    gripper = np.tile(np.linspace(1, 0, 15), (2, 1))
    before = sim.state()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    one = sim.imagine(joints, gripper)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    two = sim.imagine(joints, gripper)
    np.testing.assert_array_equal(one.poses, two.poses)
    np.testing.assert_array_equal(sim.state(), before)
    for k in range(2):
        sim.set_state(before)
        for a, g in zip(joints[k], gripper[k]):
            sim.step(a, g)
        np.testing.assert_allclose(sim.object_poses(), one.poses[k], atol=1e-4)
        assert (sim.touched() == one.touched[k]).all()


def pushed(scene, tmp_path, n):
    recipe = tmp_path / "push.yaml"
    recipe.write_text("extends: default\nclutter: {count: 1}\ntask: {kind: push}\n")
    job = Job(
        scene_dir=tmp_path, dataset_dir=tmp_path, recipe=str(recipe), seed=0, scene_fingerprint="", simulator="mujoco",
        pictures=False,
    )  # fmt: skip
    maker = Maker(job, scene=scene)
    return [maker.simulate(maker.sample(i)) for i in range(n)]


def test_it_pushes_without_lifting(tmp_path):
    done = pushed(scene_of(box_asset("block", size=(0.06, 0.06, 0.06))), tmp_path, 2)
    assert any(e.success for e in done), [e.reason for e in done]
    for e in done:
        k = [o.name for o in e.spec.objects].index(e.spec.task.target)
        assert np.ptp(e.object_poses[:, k, 2]) < 0.03
        assert e.progress[0] == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
def test_at_least_9_of_10_pushes(tmp_path):
    done = pushed(scene_of(box_asset("block", size=(0.06, 0.06, 0.06))), tmp_path, 10)
    assert sum(e.success for e in done) >= 9, [e.reason for e in done]
