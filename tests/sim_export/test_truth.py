"""Recorded truth: depth, masks, normals and flow survive the round trip and agree with each other and with MuJoCo."""

import numpy as np
import pytest

from phone2sim._native.mesh import Truth
from phone2sim.augment import load_recipe, sample_episode
from phone2sim.augment.spec import CameraSpec, PoseSpec
from phone2sim.errors import InputError
from phone2sim.keys import Key
from phone2sim.poses import Pose, look_at
from phone2sim.sim_export.episode import Episode
from phone2sim.sim_export.generate import GenerateConfig, generate
from phone2sim.sim_export.pictures import SpecPictures
from phone2sim.sim_export.record import camera_poses, instances
from phone2sim.sim_export.simulators.mujoco import MujocoSimulator
from phone2sim.sim_export.truth import TruthWriter, flow_of, parse_record, read_truth
from tests.sim_export.cast import ray_cast
from tests.sim_export.scenes import cube_scene

SIZE = 96


def camera(distortion=()) -> CameraSpec:
    p = look_at([0.1, -0.6, 0.5], [0, 0, 0.03])
    K = ((90.0, 0, SIZE / 2), (0, 90.0, SIZE / 2), (0, 0, 1))
    pose = PoseSpec(translation=tuple(p.translation), quat_wxyz=tuple(p.quat_wxyz))
    return CameraSpec(name="front", pose=pose, K=K, width=SIZE, height=SIZE, distortion=distortion)


def test_channels_survive_the_round_trip(tmp_path):
    rng = np.random.default_rng(0)
    c = camera()
    values = []
    for _ in range(3):
        depth = rng.uniform(0.2, 6, (SIZE, SIZE)).astype(np.float32)
        depth[:5] = np.inf
        normal = rng.normal(size=(SIZE, SIZE, 3))
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        normal[:, :4] = 0
        values.append({"depth": depth, "mask": rng.integers(0, 9, (SIZE, SIZE)), "normal": normal, "flow": rng.normal(0, 20, (SIZE, SIZE, 2))})
    for folder in ("a", "b"):
        writer = TruthWriter(tmp_path / folder, ("depth", "mask", "normal", "flow"), (c,), fps=20)
        for v in values:
            writer.add("front", v, K=np.array(c.K), T_world_camera=np.eye(4))
        writer.close()
    back = {n: read_truth(tmp_path / "a" / "truth" / f"front.{n}.mkv") for n in values[0]}
    for t, v in enumerate(values):
        np.testing.assert_array_equal(back["mask"][t], v["mask"])
        np.testing.assert_array_equal(np.isinf(back["depth"][t]), np.isinf(v["depth"]))
        seen = np.isfinite(v["depth"])
        assert np.abs(back["depth"][t][seen] - v["depth"][seen]).max() < 6e-5
        assert np.abs(back["normal"][t] - v["normal"]).max() < 2e-5
        assert np.abs(back["flow"][t] - v["flow"]).max() <= 1 / 64 + 1e-6
    for f in (tmp_path / "a" / "truth").iterdir():
        assert f.read_bytes() == (tmp_path / "b" / "truth" / f.name).read_bytes(), f.name
    assert np.load(tmp_path / "a" / "truth" / "cameras.npz")["front.K"].shape == (3, 3, 3)


@pytest.mark.parametrize("distortion", [(), (-0.2, 0.02, 0.001, -0.001)])
def test_flow_is_where_the_point_went(distortion):
    """A plane facing the camera, moved and turned: flow maps each pixel onto the pixel of the same point."""
    c = camera(distortion)
    T_camera = Pose(np.array(c.pose.translation), np.array(c.pose.quat_wxyz)).matrix
    move = Pose(np.array([0.03, -0.02, 0.01]), np.array([0.999, 0.02, 0.01, 0.03]) / np.linalg.norm([0.999, 0.02, 0.01, 0.03])).matrix
    h = w = SIZE
    truth = Truth(depth=np.full((h, w), 0.7, np.float32), part=np.zeros((h, w), np.int32), normal=np.zeros((h, w, 3), np.float32))
    T = np.eye(4)[None]
    there = flow_of(truth, T, move[None] @ T, camera=c, T_world_camera=T_camera, T_camera_next=T_camera)
    # the camera moved the other way instead: the same picture
    as_camera = flow_of(truth, T, T, camera=c, T_world_camera=T_camera, T_camera_next=np.linalg.inv(move) @ T_camera)
    np.testing.assert_allclose(there, as_camera, atol=1e-6)
    assert 2 < np.abs(there).max() < 40
    still = flow_of(truth, T, T, camera=c, T_world_camera=T_camera, T_camera_next=T_camera)
    np.testing.assert_allclose(still, 0, atol=1e-7)


def pictured(scene):
    """An episode of the scene, its simulator at the start, the robot's bodies and what the cameras record."""
    spec = sample_episode(scene, load_recipe("default"), Key(5), 0)
    sim = MujocoSimulator(scene)
    sim.load(spec)
    bodies = tuple(dict.fromkeys(p.body for p in sim.robot.render_parts()))
    shots = SpecPictures(scene, spec, bodies).shots(sim.object_poses(), sim.robot_poses(bodies), 0, truth=True)
    return spec, sim, bodies, shots


def test_depth_and_masks_agree_with_mujocos_rays():
    """At pixels whose neighbours show the same thing: depth within 1 mm, instances on 99.5 % of all pixels."""
    scene = cube_scene(cans=2, boxes=2)
    spec, sim, bodies, shots = pictured(scene)
    for c in spec.cameras:
        truth = shots[c.name].truth
        depth, mask, geom = ray_cast(scene, spec, sim.object_poses(), sim.robot_poses(bodies), bodies, c)
        own = instances(truth, len(spec.objects))
        assert (own == mask).mean() > 0.995
        z, inner = np.where(np.isfinite(depth), depth, 9.0), (own == mask) & (mask > 0)
        for axis in (0, 1):  # no edge: one thing, and the slope to both sides is the same
            steps = [np.roll(z, 1, axis) - z, z - np.roll(z, -1, axis)]
            inner &= (np.roll(geom, 1, axis) == geom) & (np.roll(geom, -1, axis) == geom) & (np.abs(steps[0] - steps[1]) < 2e-3)
        assert inner.sum() > 0.6 * (mask > 0).sum()
        assert np.percentile(np.abs(truth.depth - z)[inner], 99.9) < 1e-3


def test_normals_are_those_of_the_recorded_depth_in_the_world():
    """Off edges the normal is that of the surface through the neighbours' points, and faces the camera."""
    scene = cube_scene(cans=1, boxes=2)
    spec, _, _, shots = pictured(scene)
    for c in spec.cameras:
        truth, K = shots[c.name].truth, np.array(c.K)
        T = Pose(np.array(c.pose.translation), np.array(c.pose.quat_wxyz)).matrix
        y, x = np.mgrid[: c.height, : c.width] + 0.5
        rays = np.stack([(x - K[0, 2]) / K[0, 0], (y - K[1, 2]) / K[1, 1], np.ones_like(x)], -1) @ T[:3, :3].T
        z = np.where(np.isfinite(truth.depth), truth.depth, 0)
        points = rays * z[..., None] + T[:3, 3]
        across, down = np.roll(points, -1, 1) - np.roll(points, 1, 1), np.roll(points, -1, 0) - np.roll(points, 1, 0)
        flat = np.cross(down, across)
        flat /= np.maximum(np.linalg.norm(flat, axis=-1, keepdims=True), 1e-12)
        own = instances(truth, len(spec.objects))
        inner = (own > 0) & (own <= len(spec.objects))
        for axis in (0, 1):
            inner &= (np.roll(own, 1, axis) == own) & (np.roll(own, -1, axis) == own)
            inner &= np.abs(np.roll(z, 1, axis) + np.roll(z, -1, axis) - 2 * z) < 3e-4
        assert inner.sum() > 150
        assert np.median((truth.normal * flat).sum(-1)[inner]) > 0.999
        assert np.percentile((truth.normal * flat).sum(-1)[inner], 10) > 0.97
        assert ((truth.normal * rays).sum(-1)[inner] < 0.05).all()


def test_what_can_be_recorded_is_listed():
    assert parse_record("rgb, flow,depth") == ("depth", "flow")
    with pytest.raises(InputError, match="No channel 'detph' to record; .*depth"):
        parse_record("rgb,detph")


@pytest.mark.slow
def test_a_dataset_with_truth_replays_and_its_flow_finds_the_next_mask(tmp_path):
    cube_scene().save(tmp_path / "scene")
    (tmp_path / "r.yaml").write_text("extends: default\ncamera: {wrist: true, width: 128, height: 128}\ntask: {duration_s: 6.0}\n")
    config = GenerateConfig(recipe=str(tmp_path / "r.yaml"), episodes=1, seed=1, record=("depth", "mask", "normal", "flow"))
    made = generate(tmp_path / "scene", tmp_path / "d", config)
    e = Episode.read(tmp_path / "d" / made["episodes"][0])
    folder = e.folder / "truth"
    k = 1 + [o.name for o in e.spec.objects].index(e.spec.task.target)
    poses = camera_poses(e)
    with np.load(folder / "cameras.npz") as z:
        np.testing.assert_allclose(z["wrist.T_world_camera"], poses["wrist"], atol=1e-9)
    moved = np.linalg.norm(np.diff(e.object_poses[:, k - 1, :3], axis=0), axis=1)
    t = int(moved.argmax())
    for name in ("front", "wrist"):
        mask, flow = read_truth(folder / f"{name}.mask.mkv"), read_truth(folder / f"{name}.flow.mkv")
        y, x = np.nonzero(mask[t] == k)
        to = np.rint(np.stack([x, y], 1) + flow[t, y, x]).astype(int)
        inside = ((to >= 0) & (to < 128)).all(axis=1)
        hit = mask[t + 1][to[inside, 1], to[inside, 0]] == k
        assert hit.mean() > 0.85, name
