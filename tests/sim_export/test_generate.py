"""Generation: the same dataset at any number of workers, after any interruption."""

import errno
import json
import shutil
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import pytest

from phone2sim.errors import AssetError, GateError, InputError
from phone2sim.sim_export.engines import EngineError
from phone2sim.sim_export.episode import Episode, read_frames
from phone2sim.sim_export.generate import GenerateConfig, generate
from phone2sim.sim_export.replay import replay
from tests.sim_export.scenes import box_asset, cube_scene, scene_of

CONFIG = GenerateConfig(episodes=3, seed=11, pictures=False)


@pytest.fixture(scope="module")
def scene_dir(tmp_path_factory):
    """A cube that can be picked and a slab that cannot, so that some attempts fail."""
    folder = tmp_path_factory.mktemp("scene") / "scene"
    scene_of(box_asset("cube"), box_asset("slab", size=(0.0747, 0.0747, 0.05), xy=(0.2, 0.1))).save(folder)
    return folder


@pytest.fixture(scope="module")
def made(scene_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "d"
    return folder, generate(scene_dir, folder, CONFIG)


def committed(folder):
    names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    return {
        n: (folder / n).read_bytes()
        for n in names
        if n.endswith(("spec.json", "arrays.npz", "specs.jsonl", ".parquet"))
    }


def test_it_keeps_the_first_successes_and_counts_the_rest(made):
    folder, manifest = made
    assert manifest["kept"] == 3 and manifest["complete"]
    assert manifest["attempts"] == 3 + sum(manifest["reasons"].values())
    assert manifest["reasons"].get("too_wide", 0) > 0
    assert len((folder / "specs.jsonl").read_text().splitlines()) == 3
    assert json.loads((folder / "manifest.json").read_text())["digest"] == manifest["digest"]
    assert {"plan", "physics", "total"} <= manifest["cpu_s_per_episode"].keys()
    assert len(list((folder / "rejected").glob("*.json"))) == sum(manifest["reasons"].values())


def test_two_workers_make_the_same_dataset(scene_dir, made, tmp_path):
    again = generate(scene_dir, tmp_path / "w2", CONFIG.model_copy(update={"workers": 2}))
    assert again["digests"] == made[1]["digests"] and again["reasons"] == made[1]["reasons"]
    assert committed(tmp_path / "w2") == committed(made[0])


def test_another_seed_makes_another_dataset(scene_dir, made, tmp_path):
    other = generate(scene_dir, tmp_path / "s", CONFIG.model_copy(update={"seed": 12, "episodes": 1}))
    assert other["digest"] != made[1]["digest"]


def test_a_killed_run_continues_to_the_same_end(scene_dir, made, tmp_path):
    folder = tmp_path / "killed"
    shutil.copytree(made[0], folder)
    (folder / "manifest.json").unlink()
    shutil.rmtree(folder / "lerobot")
    last = sorted((folder / "episodes").iterdir())[-1]
    last.rename(last.with_name(f".{last.name}.partial-999999"))
    again = generate(scene_dir, folder, CONFIG)
    assert again["digests"] == made[1]["digests"]
    assert not list((folder / "episodes").glob(".*"))
    assert committed(folder) == committed(made[0])


def test_an_episode_that_cannot_be_written_leaves_nothing(scene_dir, made, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("phone2sim.sim_export.workers.commit", full)
    with pytest.raises(OSError):
        generate(scene_dir, tmp_path / "d", CONFIG)
    assert list((tmp_path / "d" / "episodes").iterdir()) == []
    monkeypatch.undo()
    assert generate(scene_dir, tmp_path / "d", CONFIG)["digests"] == made[1]["digests"]


def test_damaged_arrays_are_named(made, tmp_path):
    folder = tmp_path / "000000"
    shutil.copytree(made[0] / made[1]["episodes"][0], folder)
    for damage in (lambda p: p.write_bytes(p.read_bytes()[:200]), lambda p: p.unlink()):
        damage(folder / "arrays.npz")
        with pytest.raises(InputError, match="arrays.npz is missing or damaged .* Delete .*000000, then `phone2sim generate` again"):
            Episode.read(folder)


def test_a_worker_that_was_killed_is_one_clear_line(scene_dir, tmp_path, monkeypatch):
    def run(self, index):
        future = Future()
        future.set_exception(BrokenProcessPool("gone"))
        return future

    monkeypatch.setattr("phone2sim.sim_export.generate.InlinePool.run", run)
    with pytest.raises(EngineError, match="A worker was ended from outside; .* with fewer --workers."):
        generate(scene_dir, tmp_path / "d", CONFIG)


def test_asking_for_more_extends_and_for_the_same_skips(scene_dir, made, tmp_path):
    folder = tmp_path / "more"
    shutil.copytree(made[0], folder)
    before = {p.name: p.stat().st_mtime_ns for p in (folder / "episodes").iterdir()}
    assert generate(scene_dir, folder, CONFIG) == made[1]
    more = generate(scene_dir, folder, CONFIG.model_copy(update={"episodes": 4}))
    assert more["kept"] == 4 and more["episodes"][:3] == made[1]["episodes"]
    assert before.items() <= {p.name: p.stat().st_mtime_ns for p in (folder / "episodes").iterdir()}.items()
    fresh = generate(scene_dir, tmp_path / "fresh", CONFIG.model_copy(update={"episodes": 4}))
    assert fresh["digests"] == more["digests"]


def test_a_folder_of_something_else_is_left_alone(scene_dir, made, tmp_path):
    with pytest.raises(InputError, match="already holds episodes of another scene, recipe or seed"):
        generate(scene_dir, made[0], CONFIG.model_copy(update={"seed": 99}))
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and not a dataset"):
        generate(scene_dir, tmp_path / "x", CONFIG)


def test_replay_gives_the_same_arrays(made):
    result = replay(made[0], 1)
    assert result["same"] and result["parts"]["states"] and result["parts"]["actions"]
    with pytest.raises(InputError, match="No episode 3 in .*; it has 0 to 2"):
        replay(made[0], 3)


def test_nothing_that_can_be_picked(tmp_path):
    scene_of(box_asset("slab", size=(0.0747, 0.0747, 0.05))).save(tmp_path / "scene")
    with pytest.raises(GateError, match="None of 3 attempts succeeded \\(too_wide 3\\)"):
        generate(tmp_path / "scene", tmp_path / "d", GenerateConfig(episodes=1, max_attempts=3, pictures=False))
    scene_of().save(tmp_path / "empty")
    with pytest.raises(AssetError, match="has no objects, so there is nothing to pick"):
        generate(tmp_path / "empty", tmp_path / "e", CONFIG)


@pytest.mark.slow
def test_pictures_are_equal_at_any_number_of_workers_and_on_replay(tmp_path):
    cube_scene().save(tmp_path / "scene")
    config = GenerateConfig(episodes=2, seed=1)
    a = generate(tmp_path / "scene", tmp_path / "a", config)
    b = generate(tmp_path / "scene", tmp_path / "b", config.model_copy(update={"workers": 2}))
    assert a["digests"] == b["digests"]
    result = replay(tmp_path / "a", 0)
    assert result["same"] and {"front", "side"} <= result["parts"].keys()
    video = tmp_path / "a" / a["episodes"][0] / "front.mp4"
    frames = list(read_frames(video))
    assert len(frames) == 200 and abs(frames[0].astype(int) - frames[100]).mean() > 1
