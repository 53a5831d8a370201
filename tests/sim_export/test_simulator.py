"""MuJoCo behind the Simulator protocol: pure in the spec, resumable from a state."""

import numpy as np
import pytest

from phone2sim.augment.sampler import sample_episode
from phone2sim.errors import InputError
from phone2sim.keys import Key
from phone2sim.sim_export.simulators.mujoco import MujocoSimulator
from tests.sim_export.scenes import cube_scene


@pytest.fixture(scope="module")
def scene():
    return cube_scene(cans=1, boxes=1)


@pytest.fixture(scope="module")
def specs(scene):
    return [sample_episode(scene, "default", Key(5), i) for i in range(3)]


def run(sim, spec, steps=20):
    sim.load(spec)
    out = []
    for i in range(steps):
        sim.step(np.array(spec.robot.qpos) + 0.01 * i, 1 - i / steps)
        out.append(np.concatenate([sim.joints(), sim.object_poses().ravel()]))
    return np.array(out)


def test_a_trajectory_does_not_depend_on_what_ran_before(scene, specs):
    a = MujocoSimulator(scene)
    first = run(a, specs[0])
    run(a, specs[1])
    run(a, specs[2])
    np.testing.assert_array_equal(run(a, specs[0]), first)
    np.testing.assert_array_equal(run(MujocoSimulator(scene), specs[0]), first)


def test_a_saved_state_has_the_same_future(scene, specs):
    sim = MujocoSimulator(scene)
    run(sim, specs[0], 10)
    state = sim.state()

    def future():
        out = []
        for _ in range(10):
            sim.step(np.array(specs[0].robot.qpos) - 0.1, 0.0)
            out.append(np.concatenate([sim.joints(), sim.object_poses().ravel()]))
        return np.array(out)

    a = future()
    sim.set_state(state)
    np.testing.assert_array_equal(future(), a)


def test_mass_friction_and_base_are_the_specs(scene, specs):
    sim = MujocoSimulator(scene)
    for spec in specs:
        sim.load(spec)
        for o in spec.objects:
            body = sim.model.body(o.name)
            assert body.mass[0] == pytest.approx(o.mass_kg)
            ratio = o.mass_kg / scene.asset(o.asset).mass_kg.value
            moments = np.linalg.eigvalsh(scene.asset(o.asset).inertia.moments) * ratio
            np.testing.assert_allclose(np.sort(body.inertia), moments, rtol=1e-6)
            assert (sim.model.geom_friction[sim.model.geom_bodyid == body.id, 0] == o.friction).all()
        np.testing.assert_allclose(sim.robot_poses(("base",))[0, :3], spec.robot.base.translation)


def test_objects_settle_near_their_specified_poses(scene, specs):
    sim = MujocoSimulator(scene)
    for spec in specs:
        sim.load(spec)
        asked = np.array([o.pose.translation for o in spec.objects])
        assert np.abs(sim.object_poses()[:, :3] - asked).max() < 0.005
        assert sim.object_speeds().max() == 0 and not sim.touched().any()


def test_a_frame_rate_that_does_not_divide_the_clock(scene, specs):
    with pytest.raises(InputError, match="30 frames/s is not a whole number of 2 ms steps"):
        MujocoSimulator(scene).load(specs[0].model_copy(update={"fps": 30}))


def test_a_path_says_what_it_would_run_into(scene, specs):
    from phone2sim.poses import Pose
    from phone2sim.sim_export.experts.ik import ArmIK, pointing_down
    from phone2sim.sim_export.robots import get_robot

    sim, spec = MujocoSimulator(scene), specs[0]
    sim.load(spec)
    ik, home = ArmIK(get_robot(spec.robot.model)), np.array(spec.robot.qpos)
    T_base_world = Pose(np.array(spec.robot.base.translation), np.array(spec.robot.base.quat_wxyz)).inverse()
    before = sim.state()

    def path(xy, z):
        q, _ = ik.solve(home, T_base_world.apply(np.array([[*xy, z]]))[0], pointing_down(0.0), iterations=80)
        return home + np.linspace(0, 1, 31)[:, None] * (q - home)

    names = [o.name for o in spec.objects]
    target, xy = spec.task.target, sim.object_poses()[names.index(spec.task.target), :2]
    shut = np.zeros(31)
    assert sim.clash(np.tile(home, (31, 1)), shut) == ""
    assert sim.clash(path(xy, 0.03), shut) == target
    assert sim.clash(path(xy, 0.03), shut, ignore=tuple(names)) == ""
    assert sim.clash(path(xy, -0.03), shut, ignore=tuple(names)) == spec.support
    other = next(n for n in names if n != target)
    there = sim.object_poses()[names.index(other), :2]
    held = np.ones(31, bool)
    over = path(there, 0.25)
    assert sim.clash(over[-1:], shut[:1], carried=target, held=held[:1]) == ""
    np.testing.assert_array_equal(sim.state(), before)
