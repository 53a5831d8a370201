"""Episodes on disk: the same bytes for the same content, read back whole."""

import io
from dataclasses import replace

import numpy as np
import pytest

from phone2sim.augment.sampler import sample_episode
from phone2sim.errors import InputError, ShapeError
from phone2sim.keys import Key
from phone2sim.sim_export.episode import Episode, VideoWriter, commit, npz_bytes, read_frames
from tests.sim_export.scenes import cube_scene


def episode(t: int = 12, index: int = 0) -> Episode:
    """Made-up numbers in the right shapes."""
    spec = sample_episode(cube_scene(), "default", Key(0), index)
    rng = np.random.default_rng(index)
    names = tuple(f"joint{i}.pos" for i in range(1, 8)) + ("gripper.pos",)
    pose = np.tile([0, 0, 0, 1.0, 0, 0, 0], (t, 1, 1))
    return Episode(
        spec=spec, success=True, reason="", state_names=names, states=rng.normal(size=(t, 8)), action_names=names,
        actions=rng.normal(size=(t, 8)), object_poses=np.repeat(pose, len(spec.objects), axis=1),
        robot_bodies=("base",), robot_poses=pose, progress=np.linspace(0, 1, t),
    )  # fmt: skip


def pictures(t: int, seed: int, size=(48, 64)) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 255, (*size, 3))
    return [np.roll(base, 3 * i, axis=1).astype(np.uint8) // 2 + 60 for i in range(t)]


def add_videos(e: Episode, folder, seed=0) -> None:
    for c in e.spec.cameras:
        v = VideoWriter(folder / f"{c.name}.mp4", width=c.width, height=c.height, fps=e.spec.fps)
        for f in pictures(len(e), seed, (c.height, c.width)):
            v.add(f)
        v.close()


def test_write_then_read_is_the_same_episode(tmp_path):
    e = episode()
    (tmp_path / ".p").mkdir()
    add_videos(e, tmp_path / ".p")
    e.write(tmp_path / ".p")
    commit(tmp_path / ".p", tmp_path / "000000")
    got = Episode.read(tmp_path / "000000")
    assert got.spec == e.spec and got.success and got.state_names == e.state_names
    for name, a in e.arrays().items():
        np.testing.assert_array_equal(a, got.arrays()[name])
    assert sorted(got.videos) == sorted(c.name for c in e.spec.cameras)
    assert not (tmp_path / ".p").exists()


def test_equal_arrays_give_equal_bytes():
    a = {"x": np.arange(10.0), "y": np.eye(3, dtype=np.float32)}
    assert npz_bytes(a) == npz_bytes({k: v.copy() for k, v in a.items()})
    with np.load(io.BytesIO(npz_bytes(a))) as z:
        np.testing.assert_array_equal(z["y"], np.eye(3))


@pytest.mark.parametrize("moving", [False, True])
def test_equal_pictures_give_equal_video_bytes_and_close_pictures(tmp_path, moving):
    frames = pictures(20, 1)
    for name in ("a", "b"):
        v = VideoWriter(tmp_path / f"{name}.mp4", width=64, height=48, fps=20, moving=moving)
        for f in frames:
            v.add(f)
        v.close()
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    flat = [np.full((48, 64, 3), 10 * i + 20, np.uint8) for i in range(20)]
    v = VideoWriter(tmp_path / "c.mp4", width=64, height=48, fps=20, moving=moving)
    for f in flat:
        v.add(f)
    v.close()
    got = list(read_frames(tmp_path / "c.mp4"))
    assert len(got) == 20
    assert max(abs(int(g.mean()) - (10 * i + 20)) for i, g in enumerate(got)) <= 2


def test_an_odd_picture_size_is_refused(tmp_path):
    with pytest.raises(InputError, match="Video size 63×48 must be even"):
        VideoWriter(tmp_path / "x.mp4", width=63, height=48, fps=20)


def test_shapes_are_checked():
    with pytest.raises(ShapeError, match=r"Episode.actions: expected \(12, 8\), got \(11, 8\)"):
        replace(episode(), actions=np.zeros((11, 8)))
