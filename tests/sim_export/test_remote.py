"""Episodes by an engine in another process: the protocol over MuJoCo always, over PhysX where it is installed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from phone2sim.augment.sampler import sample_episode
from phone2sim.cli.app import main
from phone2sim.keys import Key
from phone2sim.sim_export.engines import ENGINES, EngineError
from phone2sim.sim_export.episode import Episode, read_frames
from phone2sim.sim_export.generate import GenerateConfig, generate
from phone2sim.sim_export.replay import replay
from phone2sim.sim_export.simulators.mujoco import MujocoSimulator
from phone2sim.sim_export.simulators.remote import RemoteSimulator
from phone2sim.sim_export.truth import read_truth
from tests.sim_export.engine_stand_in import stand_in
from tests.sim_export.scenes import cube_scene

PHYSX = os.environ.get(ENGINES["physx"].variable)
CONFIG = GenerateConfig(episodes=1, seed=11, pictures=False, simulator="physx")


@pytest.fixture(scope="module")
def scene():
    return cube_scene(cans=1, boxes=1)


@pytest.fixture(scope="module")
def spec(scene):
    return sample_episode(scene, "default", Key(5), 0)


@pytest.fixture(params=["stand-in", "physx"])
def sim(request, scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if request.param == "stand-in":
        stand_in(tmp_path, monkeypatch, "physx")
    elif not PHYSX:
        pytest.skip(f"{ENGINES['physx'].variable} names no Python with PhysX")
    remote = RemoteSimulator(scene, engine="physx")
    yield remote
    remote.close()


def run(sim, spec, steps=20):
    sim.load(spec)
    out = []
    for i in range(steps):
        sim.step(np.array(spec.robot.qpos) + 0.01 * i, 1 - i / steps)
        out.append(np.concatenate([sim.joints(), sim.object_poses().ravel(), sim.robot_poses(("hand",)).ravel()]))
    return np.array(out)


def test_it_follows_commands_as_mujoco_does(sim, scene, spec) -> None:
    here, there = run(MujocoSimulator(scene), spec), run(sim, spec)
    joints = len(spec.robot.qpos)
    assert np.abs(here[:, :joints] - there[:, :joints]).max() < 0.02  # rad, while moving
    assert np.abs(here[:, joints] - there[:, joints]).max() < 0.1  # opening
    assert np.abs(here[:, -7:-4] - there[:, -7:-4]).max() < 0.01  # the hand [m]
    assert np.abs(here[:, joints + 1 : -7] - there[:, joints + 1 : -7]).max() < 1e-3  # objects stay


def test_a_trajectory_does_not_depend_on_what_ran_before(sim, spec) -> None:
    first = run(sim, spec, 6)
    run(sim, spec.model_copy(update={"objects": spec.objects[:1]}), 2)
    np.testing.assert_array_equal(run(sim, spec, 6), first)


def test_masses_and_starts_are_the_specs(sim, spec) -> None:
    sim.load(spec)
    np.testing.assert_allclose(sim.joints()[:-1], spec.robot.qpos, atol=2e-3)
    asked = np.array([o.pose.translation for o in spec.objects])
    assert np.abs(sim.object_poses()[:, :3] - asked).max() < 0.005
    assert sim.object_speeds().max() == 0 and not sim.touched().any()
    np.testing.assert_allclose(sim.robot_poses(("base",))[0, :3], spec.robot.base.translation, atol=1e-5)


def test_a_saved_state_has_a_near_future(sim, spec) -> None:
    run(sim, spec, 5)
    state = sim.state()
    futures = []
    for _ in range(2):
        sim.set_state(state)
        np.testing.assert_allclose(sim.state(), state, atol=1e-5)
        for _ in range(5):
            sim.step(np.array(spec.robot.qpos) - 0.1, 0.0)
        futures.append(np.r_[sim.joints(), sim.object_poses().ravel()])
    np.testing.assert_allclose(futures[0], futures[1], atol=1e-3)


def test_what_the_arm_would_run_into_is_known_without_moving(sim, scene, spec) -> None:
    sim.load(spec)
    before = sim.state()
    down = np.tile(np.array(spec.robot.qpos), (4, 1))
    down[:, 1] += 1.2
    expected = MujocoSimulator(scene)
    expected.load(spec)
    assert sim.clash(down, np.ones(4)) == expected.clash(down, np.ones(4)) != ""
    np.testing.assert_array_equal(sim.state(), before)


def test_an_episode_is_picked_placed_and_replayed(scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.save(tmp_path / "scene")
    stand_in(tmp_path, monkeypatch, "physx")
    made = generate(tmp_path / "scene", tmp_path / "d", CONFIG)
    assert made["kept"] == 1 and made["simulator"] == "physx"
    result = replay(tmp_path / "d", 0)
    assert result["same"] and result["parts"]["object_poses"]


def test_an_engine_that_dies_leaves_no_half_episode(
    scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    scene.save(tmp_path / "scene" / "scene")
    stand_in(tmp_path, monkeypatch, "physx", "die:step")
    with pytest.raises(EngineError, match="PhysX died: out of memory"):
        generate(tmp_path / "scene", tmp_path / "d", CONFIG)
    capfd.readouterr()
    assert main(["generate", str(tmp_path / "scene"), "-o", str(tmp_path / "e"), "-n", "1", "--sim", "physx", "-q"]) == 2
    assert capfd.readouterr().err.strip() == "error: PhysX died: out of memory."
    for folder in (tmp_path / "d", tmp_path / "e"):
        assert not list(folder.glob("episodes/[0-9]*")) and not (folder / "manifest.json").exists()
    stand_in(tmp_path, monkeypatch, "physx")
    assert generate(tmp_path / "scene", tmp_path / "d", CONFIG)["kept"] == 1  # and the run goes on


def test_without_the_engine_nothing_is_written(
    scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    scene.save(tmp_path / "scene" / "scene")
    for name in (ENGINES["isaac"].variable, *ENGINES["isaac"].homes):
        monkeypatch.delenv(name, raising=False)
    assert main(["generate", str(tmp_path / "scene"), "-o", str(tmp_path / "d"), "--sim", "isaac"]) == 3
    assert "Isaac Sim is not installed." in capfd.readouterr().err
    assert not (tmp_path / "d").exists()


def recorded(scene, spec, steps: int = 3) -> Episode:
    sim = MujocoSimulator(scene)
    sim.load(spec)
    bodies = tuple(dict.fromkeys(p.body for p in sim.robot.render_parts()))
    names = tuple(str(i) for i in range(8))
    return Episode(
        spec=spec, success=True, reason="", state_names=names, action_names=names, states=np.zeros((steps, 8)),
        actions=np.zeros((steps, 8)), object_poses=np.tile(sim.object_poses(), (steps, 1, 1)), robot_bodies=bodies,
        robot_poses=np.tile(sim.robot_poses(bodies), (steps, 1, 1)), progress=np.zeros(steps),
    )  # fmt: skip


def test_an_engine_that_draws_gives_pictures_depth_and_ids(
    scene, spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from phone2sim.augment.spec import SensorSpec

    stand_in(tmp_path, monkeypatch, "isaac")
    sim = RemoteSimulator(scene, engine="isaac")
    wrist = spec.cameras[0].model_copy(update={"name": "wrist", "mount": "hand"})
    spec = spec.model_copy(update={"sensor": SensorSpec(), "cameras": (*spec.cameras, wrist)})
    frames = list(sim.frames(recorded(scene, spec), tmp_path))  # type: ignore[arg-type]
    sim.close()
    camera = spec.cameras[0]
    assert [int(f[camera.name][0, 0, 0]) for f in frames] == [0, 1, 2]
    assert set(frames[0]) == {c.name for c in spec.cameras}
    for c in (camera, wrist):
        depth, mask = (read_truth(tmp_path / "truth" / f"{c.name}.{kind}.mkv") for kind in ("depth", "mask"))
        assert depth.shape == mask.shape == (3, c.height, c.width)
        assert np.isinf(depth[:, 0]).all() and np.abs(depth[:, 1:] - 1.5).max() < 1e-4
        half = c.height // 2
        assert (mask[:, :half] == 1).all() and (mask[:, half:] == 0).all()  # the first object, and a wall


def test_every_object_and_the_robot_has_its_number(spec) -> None:
    from phone2sim.sim_export.simulators.drawn import instances

    n = len(spec.objects)
    labels = {str(10 + i): f"/World/Props/{o.name}/Geometry/mesh" for i, o in enumerate(spec.objects)}
    labels |= {"3": "/R/hand/palm", "4": "/Robot_2/hand", "5": f"/World/Props/{spec.objects[0].name}_2", "0": "BACKGROUND"}
    ids = np.array([[10 + i for i in range(n)] + [3, 4, 5, 0]])
    assert instances(ids, labels, spec, "/R").tolist() == [[*range(1, n + 2), 0, 0, 0]]


def test_a_picture_of_another_size_is_refused(scene, spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "isaac", "small")
    sim = RemoteSimulator(scene, engine="isaac")
    with pytest.raises(EngineError, match="asked for .* pixels, got"):
        list(sim.frames(recorded(scene, spec), tmp_path))  # type: ignore[arg-type]
    sim.close()


def test_a_link_drawn_where_it_was_recorded(scene, spec) -> None:
    from phone2sim.poses import Pose
    from phone2sim.sim_export.simulators.drawn import poses_at

    episode = recorded(scene, spec, 1)
    hand = poses_at(episode, 0, robot="/R")["/R/hand"]
    base = Pose(np.array(spec.robot.base.translation), np.array(spec.robot.base.quat_wxyz))
    world = base @ Pose(np.array(hand[:3]), np.array(hand[3:]))
    k = episode.robot_bodies.index("hand")
    np.testing.assert_allclose(world.translation, episode.robot_poses[0, k, :3], atol=1e-6)


@pytest.mark.slow
def test_physx_itself_picks_and_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not PHYSX:
        pytest.skip(f"{ENGINES['physx'].variable} names no Python with PhysX")
    cube_scene().save(tmp_path / "scene")
    config = GenerateConfig(episodes=2, seed=1, simulator="physx")
    made = generate(tmp_path / "scene", tmp_path / "d", config)
    assert made["kept"] == 2 and made["yield"] > 0.5
    again = generate(tmp_path / "scene", tmp_path / "e", config.model_copy(update={"workers": 2}))
    assert again["digests"] == made["digests"]
    assert replay(tmp_path / "d", 0)["same"]
    assert len(list(read_frames(tmp_path / "d" / made["episodes"][0] / "front.mp4"))) > 50


def test_what_an_engine_does_not_do_is_said_first(scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from phone2sim.errors import InputError

    scene.save(tmp_path / "scene")
    stand_in(tmp_path, monkeypatch, "physx")
    with pytest.raises(InputError, match="PhysX carries the built-in arm only, not arm.xml"):
        generate(tmp_path / "scene", tmp_path / "d", CONFIG.model_copy(update={"robot": "arm.xml"}))
    stand_in(tmp_path, monkeypatch, "isaac")
    with pytest.raises(InputError, match="Isaac Sim records depth and masks, not normal and flow"):
        update = {"simulator": "isaac", "record": ("depth", "normal", "flow")}
        generate(tmp_path / "scene", tmp_path / "d", CONFIG.model_copy(update=update))
    assert not (tmp_path / "d").exists()
