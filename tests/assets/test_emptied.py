"""A second clip of the place without its objects: posed in the same world, and the ground under the objects painted from it."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from phone2sim.assets import pipeline
from phone2sim.assets.pipeline import AssetsConfig, build_assets
from phone2sim.assets.scene import Scene
from phone2sim.errors import InputError
from phone2sim.images import write_rgb
from phone2sim.keys import Key
from phone2sim.poses import Pose
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.empty import empty_stage
from phone2sim.sample import SampleConfig, make_scene
from phone2sim.sample.clip import intrinsics, trajectory
from phone2sim.stage import read_manifest

SIZE = 300, 400
CONFIG = SampleConfig(objects=("can", "block", "mug"), sheet=False, seed=1, width=SIZE[0], height=SIZE[1], n_frames=18)
ASSETS = AssetsConfig(view_side=400, photo_side=400, max_views=18, faces=500, texture_px=64)
N = 12


def photos(scene, folder, *, n=N, size=SIZE, focal=1.0, gain=(1.0, 1.0, 1.0)):
    """Photos of the scene by another path of the hand, and their true poses."""
    from phone2sim._native.mesh import to_srgb8

    K = intrinsics(CONFIG.model_copy(update={"width": size[0], "height": size[1]}))
    K[[0, 1], [0, 1]] *= focal
    T = trajectory(np.linspace(0, 8, n), 8.0, Key(5).child("second hand"))
    for i, pose in enumerate(T):
        write_rgb(folder / f"{i:03d}.jpg", to_srgb8(scene.view(K, pose, *size, threads=2).rgb, gain_rgb=gain))
    return folder, T


@pytest.fixture(scope="module")
def world():
    return make_scene(CONFIG, threads=2)


@pytest.fixture(scope="module")
def captured(world, tmp_path_factory):
    """A scene folder up to the splat, and beside it the truth."""
    from benchmarks import objects

    folder = tmp_path_factory.mktemp("chips") / "scene"
    size, objects.SIZE = objects.SIZE, SIZE
    try:
        objects.write_scene(world, CONFIG, folder, n=CONFIG.n_frames, threads=2)
    finally:
        objects.SIZE = size
    return folder


@pytest.fixture(scope="module")
def emptied(world, tmp_path_factory):
    """Photos of the table without the objects, in warmer light, and their poses."""
    return photos(world.bare(), tmp_path_factory.mktemp("empty") / "photos", gain=(1.15, 1.05, 0.9))


def off_px(placed: Cameras, T: np.ndarray, K: np.ndarray) -> float:
    """How far from where the true cameras saw it the placed ones see the table, at worst of the cameras [px]."""
    xyz = np.array([[x, y, 0.0] for x in np.linspace(-0.2, 0.2, 9) for y in np.linspace(-0.2, 0.2, 9)])

    def pixels(K, T):
        p = (xyz - T[:3, 3]) @ T[:3, :3] @ K.T
        return p[:, :2] / p[:, 2:]

    true = [int(Path(s).stem) for s in placed.sources]
    return max(float(np.linalg.norm(pixels(k, t) - pixels(K, T[i]), axis=1).mean()) for k, t, i in zip(placed.K, placed.T_world_camera, true))


def test_frames_are_posed_in_the_world_of_the_scene_which_stays_as_it_is(captured, emptied):
    before = (captured / "cameras" / "transforms.json").read_bytes()
    done = empty_stage(emptied[0], captured)
    assert done.manifest["result"] == {"frames": N, "placed": N}
    placed = Cameras.load(captured / "empty" / "transforms.json")
    assert np.linalg.norm(placed.centres - emptied[1][:, :3, 3], axis=1).max() < 0.003
    assert off_px(placed, emptied[1], intrinsics(CONFIG)) < 0.5
    assert (captured / "cameras" / "transforms.json").read_bytes() == before
    assert empty_stage(emptied[0], captured).skipped


def test_another_lens_is_estimated(captured, world, tmp_path):
    folder, T = photos(world.bare(), tmp_path / "zoomed", size=(480, 360), focal=1.4)
    empty_stage(folder, captured)
    placed = Cameras.load(captured / "empty" / "transforms.json")
    true = 0.8 * 480 * 1.4
    assert placed.K[:, 0, 0] == pytest.approx(true, rel=0.05)
    assert len(placed) >= 0.8 * N
    assert off_px(placed, T, np.array([[true, 0, 240], [0, true, 180], [0, 0, 1]])) < 1


def test_another_place_is_refused_and_nothing_is_lost(captured, emptied, tmp_path):
    empty_stage(emptied[0], captured)
    before = read_manifest(captured / "empty")
    other = make_scene(SampleConfig(objects=("pear",), sheet=False, seed=77, table="wood"), threads=2)
    folder, _ = photos(other, tmp_path / "elsewhere", n=6)
    with pytest.raises(InputError, match=r"elsewhere does not show this scene: (none|only \d) of its 6 frames") as e:
        empty_stage(folder, captured)
    assert "Film the same place again" in e.value.hint
    assert read_manifest(captured / "empty") == before and not list(captured.glob(".empty*"))


def test_what_cannot_be_used_is_said_before_anything_runs(captured, tmp_path, capfd):
    from phone2sim.cli.app import main

    def says(path):
        code = main(["assets", str(captured), "--empty", str(path)])
        return code, " ".join(capfd.readouterr().err.split())

    code, text = says(tmp_path / "bare.mp4")
    assert code == 2 and "Empty clip" in text and "does not exist" in text
    (tmp_path / "bare.mp4").write_text("no film")
    code, text = says(tmp_path / "bare.mp4")
    assert code == 2 and "bare.mp4 holds text, not video" in text


@pytest.fixture(scope="module")
def plain(captured):
    """The scene built without the second clip, and the result of its stage."""
    patch = pytest.MonkeyPatch()
    patch.setattr(pipeline, "_validity", lambda *_, **__: {})
    yield captured, build_assets(captured, ASSETS)
    patch.undo()


@pytest.fixture
def copied(plain, tmp_path):
    for path in plain[0].parent.glob("scene*"):
        (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / path.name)
    return tmp_path / "scene"


@pytest.mark.slow
def test_ground_under_the_objects_is_the_real_one(plain, copied, emptied, world):
    from tests.e2e.looks import uncovered

    stages = {k: read_manifest(copied / k) for k in ("capture", "cameras", "splat")}
    truth = copied.parent / "scene.truth.json"
    filled = uncovered(copied, truth, truth=world)
    config = ASSETS.model_copy(update={"empty": str(emptied[0])})
    seen = build_assets(copied, config)
    real = uncovered(copied, truth, truth=world)
    assert real["all"] >= 22 and real["all"] > filled["all"] + 3
    assert min(real["psnr"].values()) >= 22 and real["hidden"]["psnr"] > filled["hidden"]["psnr"] + 4
    assert any("from a clip without them" in n for n in Scene.load(copied).notes)

    # only this stage ran, and it differs by the clip alone
    assert not seen.skipped and seen.fingerprint != plain[1].fingerprint
    assert {k: read_manifest(copied / k) for k in stages} == stages
    assert {k: v for k, v in seen.manifest["inputs"].items() if k != "empty"} == plain[1].manifest["inputs"]
    assert seen.manifest["config"] == plain[1].manifest["config"]
    assert build_assets(copied, config).skipped


@pytest.mark.slow
def test_a_clip_with_all_objects_in_it_is_refused(plain, copied, world, tmp_path):
    with pytest.raises(InputError, match="The empty clip still shows object_1, object_2, object_3 where they were") as e:
        build_assets(copied, ASSETS.model_copy(update={"empty": str(photos(world, tmp_path / "full")[0])}))
    assert "taken away" in e.value.hint and read_manifest(copied / "scene") == plain[1].manifest


@pytest.mark.slow
def test_one_object_left_standing_is_said_and_keeps_its_filled_ground(copied, world, tmp_path, monkeypatch):
    from phone2sim.assets import emptied

    said: list[str] = []
    monkeypatch.setattr(emptied, "message", said.append)
    k = [o.name for o in world.objects].index("mug")
    at = Pose(world.T_world_object.translation[k], world.T_world_object.quat_wxyz[k])
    one = make_scene(CONFIG.model_copy(update={"objects": ("mug",)}), places={"mug": at}, threads=2)
    before = Scene.load(copied)
    build_assets(copied, ASSETS.model_copy(update={"empty": str(photos(one, tmp_path / "one")[0])}))
    gap = {a.name: float(np.linalg.norm(a.T_world_asset.translation[:2] - at.translation[:2])) for a in before.assets}
    mug = min(gap, key=lambda n: gap[n])
    assert len(said) == 1 and f"still shows {mug}:" in said[0]
    after = Scene.load(copied)
    assert any(n.endswith(f"but for {mug}") for n in after.notes)

    def near(scene, xy):
        m = scene.background.means[np.linalg.norm(scene.background.means[:, :2] - xy, axis=1) < 0.02]
        return m[np.lexsort(m.T)]

    assert np.array_equal(near(before, at.translation[:2]), near(after, at.translation[:2]))
    can = next(a for a in before.assets if a.name != mug).T_world_asset.translation[:2]
    assert not np.array_equal(near(before, can), near(after, can))
