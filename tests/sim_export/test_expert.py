"""Grasps obey the gripper; the expert succeeds on simple things and says why it cannot do others."""

from dataclasses import replace

import numpy as np
import pytest

from phone2sim.assets.library import library_asset
from phone2sim.assets.surface import surface_of
from phone2sim.augment.sampler import sample_episode
from phone2sim.keys import Key
from phone2sim.poses import Pose
from phone2sim.sim_export.experts import Infeasible, make_expert
from phone2sim.sim_export.experts.grasp import find_grasps
from phone2sim.sim_export.experts.ik import ArmIK, pointing_down
from phone2sim.sim_export.judge import Judge
from phone2sim.sim_export.robots.arm import ARM
from phone2sim.sim_export.simulators.mujoco import MujocoSimulator
from phone2sim.sim_export.workers import Job, Maker
from tests.sim_export.scenes import bowl_asset, box_asset, can_asset, cube_scene, scene_of

NOTHING = np.zeros((0, 3))


def grasps_of(asset, clutter=NOTHING):
    com = asset.T_world_asset.apply(asset.inertia.center_of_mass[None])[0]
    surface = surface_of(asset).moved(asset.T_world_asset.rotation, asset.T_world_asset.translation)
    return find_grasps(surface, com, clutter, robot=ARM, table_m=0.0)


def test_surface_points_lie_on_the_box_evenly():
    s = surface_of(box_asset("cube"), n=6000)
    on_face = np.isclose(np.abs(s.points - [0, 0, 0.025]).max(axis=1), 0.025, atol=1e-6)
    assert on_face.all()
    for axis in range(3):
        assert abs((s.normals[:, axis] > 0.9).mean() - 1 / 6) < 0.01


@pytest.mark.parametrize("yaw", [0.0, 0.3, 0.8])
def test_a_box_is_grasped_across_its_narrow_faces(yaw):
    grasps, why = grasps_of(box_asset("block", size=(0.12, 0.04, 0.05), yaw_rad=yaw, xy=(0.1, -0.05)))
    best = grasps[0]
    turn = (best.yaw_rad - (yaw + np.pi / 2) + np.pi / 2) % np.pi - np.pi / 2
    assert why == "" and abs(turn) < 0.01
    np.testing.assert_allclose(best.pinch[:2], [0.1, -0.05], atol=0.005)
    assert 0.015 < best.pinch[2] < 0.05


def test_what_is_wider_than_the_gripper_is_refused():
    assert grasps_of(box_asset("slab", size=(0.1, 0.1, 0.05))) == ([], "too_wide")
    assert grasps_of(box_asset("edge", size=(0.0745, 0.1, 0.05)))[1] == "too_wide"
    assert grasps_of(box_asset("fits", size=(0.07, 0.1, 0.05)))[1] == ""


def test_clutter_between_the_fingers_way_blocks_only_those_grasps():
    walls = surface_of(box_asset("wall", size=(0.02, 0.2, 0.12))).points
    free, _ = grasps_of(can_asset("can"))
    some, _ = grasps_of(can_asset("can"), walls + [0.055, 0, 0])
    assert 0 < len(some) < len(free)
    assert all(abs(np.cos(g.yaw_rad)) < 0.95 for g in some)
    ring = np.concatenate([walls + [0.055, 0, 0], walls[:, [1, 0, 2]] + [0, 0.055, 0]])
    ring = np.concatenate([ring, -ring * [1, 1, -1]])
    assert grasps_of(can_asset("can"), ring) == ([], "blocked_by_clutter")


def test_ik_reaches_and_reports_what_it_cannot():
    ik = ArmIK(ARM)
    target, R = np.array([0.45, 0.2, 0.1]), pointing_down(0.4)
    q, error = ik.solve(np.array(ARM.home_rad), target, R, iterations=60)
    p, got = ik.pose(q)
    assert error < 1e-3
    np.testing.assert_allclose(p, target, atol=1e-3)
    np.testing.assert_allclose(got, R, atol=5e-3)
    low, high = np.array(ARM.limits_rad).T
    assert (q >= low).all() and (q <= high).all()
    assert ik.solve(np.array(ARM.home_rad), np.array([1.2, 0, 0.1]), R, iterations=60)[1] > 0.1


def test_pointing_down_is_a_rotation_with_the_closing_direction():
    R = pointing_down(0.7)
    np.testing.assert_allclose(R.T @ R, np.eye(3), atol=1e-12)
    assert np.linalg.det(R) == pytest.approx(1)
    np.testing.assert_allclose(R[:, 1], [np.cos(0.7), np.sin(0.7), 0])
    np.testing.assert_allclose(R[:, 2], [0, 0, -1])


def maker(scene, tmp_path, seed=0, task=""):
    return Maker(
        Job(
            scene_dir=tmp_path, dataset_dir=tmp_path, recipe="default", seed=seed, scene_fingerprint="",
            simulator="mujoco", pictures=False, task=task,
        ),
        scene=scene,
    )  # fmt: skip


def test_an_infeasible_episode_is_rejected_with_its_reason(tmp_path):
    m = maker(scene_of(box_asset("slab", size=(0.11, 0.11, 0.06))), tmp_path)
    assert m.attempt(0).reason == "too_wide"
    assert not (tmp_path / "episodes").exists() and (tmp_path / "rejected" / "000000.json").exists()
    spec = m.sample(0)
    far = spec.model_copy(
        update={
            "robot": spec.robot.model_copy(
                update={"base": spec.robot.base.model_copy(update={"translation": (3.0, 0, 0)})}
            )
        }
    )
    scene = scene_of(box_asset("slab"))
    sim = MujocoSimulator(scene)
    sim.load(far)
    with pytest.raises(Infeasible, match="unreachable"):
        next(make_expert("scripted", scene).commands(sim, far, Judge(far, sim.object_poses())))


def test_commands_are_smooth_and_within_limits(tmp_path):
    e = maker(scene_of(box_asset("cube")), tmp_path).simulate(
        sample_episode(scene_of(box_asset("cube")), "default", Key(1), 0)
    )
    assert e.success, e.reason
    low, high = np.array(ARM.limits_rad).T
    assert (e.actions[:, :7] >= low - 1e-6).all() and (e.actions[:, :7] <= high + 1e-6).all()
    speed = np.abs(np.diff(e.actions[:, :7], axis=0)) * e.spec.fps
    assert speed.max() < 2.6
    assert np.abs(e.states[1:, :7] - e.actions[:-1, :7]).max() < 0.15
    assert len(e) == 200 and 0 <= e.actions[:, 7].min() and e.actions[:, 7].max() <= 1


@pytest.mark.slow
def test_at_least_38_of_40_cubes(tmp_path):
    m = maker(scene_of(box_asset("cube")), tmp_path)
    results = [m.simulate(m.sample(i)) for i in range(40)]
    assert sum(e.success for e in results) >= 38, [e.reason for e in results]


def test_mixed_objects_among_clutter(tmp_path):
    m = maker(cube_scene(cans=2, boxes=2), tmp_path, seed=2)
    results = [m.simulate(m.sample(i)) for i in range(6)]
    assert sum(e.success for e in results) >= 5, [e.reason for e in results]


def put_in(scene, tmp_path, n):
    """Episodes of putting something in the bowl; of those that count as done, the object truly lies in it."""
    m = maker(scene, tmp_path, task="put any object in the bowl")
    done = [m.simulate(m.sample(i)) for i in range(n)]
    for e in (e for e in done if e.success):
        names = [o.name for o in e.spec.objects]
        goal = e.spec.task.goals[0]
        points = []
        for name in (goal.object, goal.on):
            pose, asset = e.object_poses[-1, names.index(name)], scene.asset(name)
            hulls = np.concatenate([h.vertices for h in asset.hulls])
            points.append(Pose(pose[:3], pose[3:]).apply(hulls))
        inner, bowl = points
        middle, half = 0.5 * (bowl.min(0) + bowl.max(0)), 0.5 * np.ptp(bowl, axis=0)
        assert np.linalg.norm((inner - middle)[:, :2], axis=1).max() < half[:2].max()
        assert inner[:, 2].min() < middle[2] and inner[:, 2].min() > bowl[:, 2].min()
    return done


def test_things_are_put_in_a_bowl(tmp_path):
    cube, can = box_asset("cube", size=(0.04, 0.04, 0.04)), can_asset("can", radius=0.02, height=0.06, xy=(-0.2, 0.1))
    done = put_in(scene_of(cube, can, bowl_asset("bowl", xy=(0, 0.2))), tmp_path, 4)
    assert sum(e.success for e in done) >= 3, [e.reason for e in done]
    # Beside the bowl, on its rim, or held over it is not in it.
    e = next(e for e in done if e.success)
    goal, judge = e.spec.task.goals[0], Judge(e.spec, e.object_poses[0])
    still = np.zeros(len(e.spec.objects))
    k, on = ([o.name for o in e.spec.objects].index(n) for n in (goal.object, goal.on))

    def judged(x, z, touched=False):
        poses = e.object_poses[-1].copy()
        poses[k, :3] = poses[on, :3] + [x, 0, z]
        judge.moment(e.object_poses[-1] + [0, 0, 0.1, 0, 0, 0, 0], still, still > 0, remember=True)
        return judge.failure(judge.moment(poses, still, np.arange(len(still)) == k if touched else still > 0))

    assert judged(0, 0.006) == "" and judged(0, 0.006, touched=True) == "still_held"
    assert judged(0.09, 0) != "" and judged(0.05, 0.05) != "" and judged(0, 0.06) != ""


@pytest.mark.slow
def test_fruit_is_put_in_the_bowl_of_the_sample(tmp_path):
    """True meshes; the bowl's hollow is what the convex decomposition leaves of it."""
    assets = [
        replace(library_asset(f"shape:{n}:0"), name=n, T_world_asset=Pose.from_xyz_yaw(np.array([*xy, 0.0]), 0.3))
        for n, xy in (("bowl", (0.0, 0.2)), ("ball", (0.1, 0.0)), ("pear", (-0.1, 0.0)))
    ]
    done = put_in(scene_of(*assets), tmp_path, 10)
    assert sum(e.success for e in done) >= 9, [e.reason for e in done]
