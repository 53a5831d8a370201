"""The clip on disk: readable, deterministic, and in step with its truth."""

import json

import av
import numpy as np
import pytest
from PIL import Image

from phone2sim.errors import InputError
from phone2sim.keys import Key
from phone2sim.sample import SampleConfig, make_sample
from phone2sim.sample.clip import trajectory

SMALL = SampleConfig(n_frames=6, width=180, height=320, objects=("can", "block"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    out = tmp_path_factory.mktemp("sample") / "clip.mp4"
    return out, make_sample(out, config=SMALL)


def test_clip_has_its_frames_masks_meshes_and_truth(clip):
    out, truth = clip
    assert json.loads((out.parent / "clip.truth.json").read_text()) == truth
    with av.open(str(out)) as c:
        stream = c.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        frames = [f.to_ndarray(format="rgb24") for f in c.decode(video=0)]
    assert len(frames) == len(truth["frames"]) == 6
    assert frames[0].shape == (320, 180, 3)
    assert truth["size_wh"] == [180, 320]
    seen = set()
    for f in truth["frames"]:
        seen |= set(np.unique(np.asarray(Image.open(out.parent / f["mask"]))))
    assert seen == {0, 1, 2}
    assert [o["name"] for o in truth["objects"]] == ["can", "block"]
    for o in truth["objects"]:
        assert (out.parent / o["mesh"]).stat().st_size > 1000
        assert o["mass_kg"] / o["volume_m3"] < 3000


def test_mesh_files_hold_the_truth(clip):
    from phone2sim.assets.mesh import TexturedMesh

    out, truth = clip
    for o in truth["objects"]:
        m = TexturedMesh.load_glb(out.parent / o["mesh"])
        assert m.texture is not None
        np.testing.assert_allclose(np.ptp(m.vertices, axis=0), o["extents_m"], atol=1e-6)
        assert m.welded().is_watertight


def test_same_seed_same_bytes_at_any_thread_count(clip, tmp_path):
    out, truth = clip
    again = make_sample(tmp_path / "clip.mp4", config=SMALL, threads=1)
    assert again == truth
    assert (tmp_path / "clip.mp4").read_bytes() == out.read_bytes()


def test_empty_clip_shows_the_bare_table_from_elsewhere_and_leaves_the_clip_as_it_is(clip, tmp_path):
    from phone2sim.sample import make_scene
    from phone2sim.sample.clip import film_empty, intrinsics

    out, truth = clip
    assert make_sample(tmp_path / "clip.mp4", config=SMALL, empty=True) == truth
    assert (tmp_path / "clip.mp4").read_bytes() == out.read_bytes()
    with av.open(str(tmp_path / "clip_empty.mp4")) as c:
        frames = [f.to_ndarray(format="rgb24") for f in c.decode(video=0)]
    scene = make_scene(SMALL)
    poses = film_empty(tmp_path / "again.mp4", scene, SMALL)
    assert (tmp_path / "again.mp4").read_bytes() == (tmp_path / "clip_empty.mp4").read_bytes()
    assert len(frames) == len(poses) and np.linalg.norm(poses[:, :3, 3] - np.array(truth["frames"][0]["T_world_camera"])[:3, 3], axis=1).min() > 0.05
    with_objects = scene.instances(scene.view(intrinsics(SMALL), poses[0], SMALL.width, SMALL.height)) > 0
    other = [x.view(intrinsics(SMALL), poses[0], SMALL.width, SMALL.height).rgb for x in (scene, scene.bare())]
    full, bare = (np.abs(np.clip(x, 0, 1) ** (1 / 2.2) - frames[0] / 255)[with_objects].mean() for x in other)
    assert with_objects.sum() > 200 and bare < 0.5 * full


def test_trajectory_orbits_at_two_heights_looking_at_the_table():
    t = np.arange(120) / 15
    T = trajectory(t, 8.0, Key(0))
    eye = T[:, :3, 3]
    r = np.linalg.norm(eye, axis=1)
    assert 0.65 < r.min() and r.max() < 0.9
    elevation = np.rad2deg(np.arcsin(eye[:, 2] / r))
    assert 30 < np.median(elevation[:50]) < 40 and 50 < np.median(elevation[75:]) < 60
    azimuth = np.unwrap(np.arctan2(eye[:, 1], eye[:, 0]))
    assert np.ptp(azimuth) > np.deg2rad(270)
    ahead = T[:, :3, 2]
    miss = np.linalg.norm(np.cross(-eye, ahead), axis=1)
    assert miss.max() < 0.12
    assert np.linalg.norm(np.diff(eye, axis=0), axis=1).max() < 0.12


def test_only_mp4_is_written(tmp_path):
    with pytest.raises(InputError, match="does not end in .mp4"):
        make_sample(tmp_path / "clip.avi", config=SMALL)
    assert list(tmp_path.iterdir()) == []
