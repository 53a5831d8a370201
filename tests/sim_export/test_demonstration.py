"""Recorded hand paths: read from CSV and zarr, moved so that grasp and release fit, replayed on other objects."""

import csv
import importlib.util

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from phone2sim.errors import InputError, MissingDependencyError
from phone2sim.sim_export.experts import make_expert
from phone2sim.sim_export.experts.demonstration import retarget
from phone2sim.sim_export.experts.grasp import Grasp
from phone2sim.sim_export.experts.recording import COLUMNS, read_recordings
from phone2sim.sim_export.workers import Job, Maker
from tests.sim_export.scenes import box_asset, can_asset, scene_of

HZ = 30


def hand_path(seconds=5.0, *, turn=0.6):
    """(times, positions, rotations, width): down, close, up in an arc to the side, down, open, up, in an odd frame."""
    t = np.arange(round(seconds * HZ)) / HZ
    s = t / seconds
    z = np.interp(s, [0, 0.25, 0.35, 0.5, 0.65, 0.8, 0.88, 1], [0.25, 0.0, 0.0, 0.2, 0.2, 0.0, 0.0, 0.2])
    x = np.interp(s, [0, 0.35, 0.5, 0.65, 1], [0, 0, 0.1, 0.2, 0.2])
    y = 0.05 * np.sin(np.pi * np.clip((s - 0.35) / 0.3, 0, 1))
    c, n = np.cos(turn), np.sin(turn)
    p = np.stack([c * x - n * y, n * x + c * y, z], axis=1) + [3.0, -1.0, 0.5]
    lean = 0.3 * np.sin(np.pi * np.clip((s - 0.4) / 0.2, 0, 1))
    R = Rotation.from_euler("xyz", np.stack([lean, 0 * s, 0.4 * s], axis=1)) * Rotation.from_euler("xyz", [0.3, 1.0, 2.0])
    width = np.where((s > 0.3) & (s < 0.84), 0.02, 0.08)
    return t, p, R, width


def write_csv(path, **more):
    t, p, R, width = hand_path(**more)
    q = R.as_quat()[:, [3, 0, 1, 2]]
    with path.open("w", newline="") as f:
        w = csv.writer(f)
        w.writerow(COLUMNS)
        w.writerows(np.c_[t, p, q, width].tolist())
    return path


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return write_csv(tmp_path_factory.mktemp("demo") / "hand.csv")


def test_grasp_and_release_are_found(recorded):
    (r,) = read_recordings(recorded)
    seconds = r.times_s[[r.closing, r.opening]]
    np.testing.assert_allclose(seconds, [1.5, 4.2], atol=0.1)
    assert r.releases and r.rotations.shape == (150, 3, 3)


def test_the_path_meets_grasp_and_goal_and_keeps_its_shape(recorded):
    (r,) = read_recordings(recorded)
    grasp = Grasp(pinch=np.array([0.4, 0.1, 0.03]), yaw_rad=0.5, width_m=0.04, opening_m=0.06, score=1.0)
    start, goal = np.array([0.4, 0.1, 0.0]), np.array([0.35, 0.35, 0.0])
    path = retarget(r, grasp, start, goal)
    np.testing.assert_allclose(path.positions[r.closing], grasp.pinch, atol=1e-9)
    end = path.positions[r.opening]
    np.testing.assert_allclose(end[:2], goal[:2], atol=1e-6)
    assert end[2] == pytest.approx(0.033)
    for i in (r.closing, r.opening):
        np.testing.assert_allclose(path.rotations[i][:, 2], [0, 0, -1], atol=1e-9)
    np.testing.assert_allclose(path.rotations[r.closing][:2, 1], [np.cos(0.5), np.sin(0.5)], atol=1e-9)
    # Before the grasp it is the recorded motion, turned; in the air it leans as the demonstrator's hand did.
    told = np.linalg.norm(r.positions[: r.closing + 1] - r.positions[r.closing], axis=1)
    np.testing.assert_allclose(np.linalg.norm(path.positions[: r.closing + 1] - grasp.pinch, axis=1), told, atol=0.02)
    leans = np.arccos(np.clip(-path.rotations[:, 2, 2], -1, 1))
    assert 0.2 < leans.max() < 0.4
    lifted = retarget(r, grasp, start, goal, lift_only=True)
    assert not lifted.releases and lifted.positions[-1, 2] > grasp.pinch[2] + 0.15


def test_the_frame_of_the_recording_does_not_matter(recorded, tmp_path):
    (a,), (b,) = read_recordings(recorded), read_recordings(write_csv(tmp_path / "b.csv", turn=-1.1))
    grasp = Grasp(pinch=np.array([0.4, 0.1, 0.03]), yaw_rad=0.5, width_m=0.04, opening_m=0.06, score=1.0)
    ends = np.array([0.4, 0.1, 0.0]), np.array([0.35, 0.35, 0.0])
    one, two = (retarget(r, grasp, *ends) for r in (a, b))
    np.testing.assert_allclose(one.positions, two.positions, atol=1e-6)


def test_it_replays_across_variations(recorded, tmp_path):
    scene = scene_of(box_asset("cube"), can_asset("can", xy=(0.2, 0.1)))
    maker = Maker(
        Job(scene_dir=tmp_path, dataset_dir=tmp_path, recipe="default", seed=0, scene_fingerprint="", simulator="mujoco",
            pictures=False, expert=str(recorded)), scene=scene,
    )  # fmt: skip
    done = [maker.simulate(maker.sample(i)) for i in range(8)]
    assert sum(e.success for e in done) >= 6, [e.reason for e in done]
    assert len({e.spec.task.target for e in done}) == 2 and all(e.spec.task.expert == str(recorded) for e in done)
    speeds = np.concatenate([np.abs(np.diff(e.actions[:, :7], axis=0)) for e in done if len(e)]) * 20
    assert speeds.max() < 3.5


def test_what_is_no_demonstration_is_said(tmp_path, recorded):
    with pytest.raises(InputError, match="none.csv does not exist"):
        read_recordings(tmp_path / "none.csv")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(InputError, match="a.txt is not a demonstration. Give a .csv, a .zarr"):
        read_recordings(tmp_path / "a.txt")
    rows = recorded.read_text().splitlines()
    (tmp_path / "b.csv").write_text("\n".join([rows[0].replace("gripper", "grip"), *rows[1:]]))
    with pytest.raises(InputError, match="b.csv has no column 'gripper'; have .* Did you mean grip?"):
        read_recordings(tmp_path / "b.csv")
    (tmp_path / "c.csv").write_text("\n".join([rows[0], *(r.rsplit(",", 1)[0] + ",0.05" for r in rows[1:])]))
    with pytest.raises(InputError, match="c.csv: the hand never closes"):
        read_recordings(tmp_path / "c.csv")
    (tmp_path / "d.csv").write_text("\n".join([rows[0], rows[1].replace("3.0", "three"), *rows[2:]]))
    with pytest.raises(InputError, match="d.csv: not a number"):
        read_recordings(tmp_path / "d.csv")
    with pytest.raises(InputError, match="No expert 'plan'; have planner, scripted. Did you mean planner?"):
        make_expert("plan", scene_of(box_asset("cube")))


@pytest.mark.parametrize("packed", [False, True])
def test_zarr_as_handheld_grippers_write_it(tmp_path, packed):
    zarr = pytest.importorskip("zarr")
    path = tmp_path / ("umi.zarr.zip" if packed else "umi.zarr")
    store = zarr.storage.ZipStore(str(path), mode="w") if packed else str(path)
    group = zarr.open_group(store, mode="w")
    t, p, R, width = hand_path()
    arrays = {
        "data/robot0_eef_pos": np.r_[p, p], "data/robot0_eef_rot_axis_angle": np.r_[R.as_rotvec(), R.as_rotvec()],
        "data/robot0_gripper_width": np.r_[width, width][:, None], "meta/episode_ends": np.array([len(p), 2 * len(p)]),
    }  # fmt: skip
    for name, a in arrays.items():
        make = group.create_array if hasattr(group, "create_array") else group.create_dataset  # zarr 3, zarr 2
        make(name, shape=a.shape, dtype=a.dtype)[:] = a
    if packed:
        store.close()
    first, second = read_recordings(tmp_path / f"{path.name}@{HZ}")
    np.testing.assert_allclose(first.positions, second.positions)
    np.testing.assert_allclose(first.positions, p)
    assert first.times_s[-1] == pytest.approx(t[-1])


@pytest.mark.skipif(importlib.util.find_spec("zarr") is not None, reason="zarr is installed")
def test_without_zarr_it_says_what_to_install(tmp_path):
    (tmp_path / "x.zarr").mkdir()
    with pytest.raises(MissingDependencyError, match="Reading zarr needs the zarr package. pip install"):
        read_recordings(tmp_path / "x.zarr")
