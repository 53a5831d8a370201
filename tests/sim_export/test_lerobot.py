"""LeRobot v3.0 as its documentation describes it; the real loader runs in tests/side."""

import json
import weakref
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from phone2sim.errors import InputError
from phone2sim.sim_export.datasets.lerobot import _pooled, write_lerobot
from phone2sim.sim_export.episode import Episode, StoredEpisodes, commit, read_frames
from tests.sim_export.test_episode import add_videos, episode


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("lerobot")
    episodes = []
    for i, t in enumerate((12, 15, 20)):
        e = episode(t, i)
        part = root / f".p{i}"
        part.mkdir()
        add_videos(e, part, seed=i)
        e.write(part)
        commit(part, root / f"{i:06d}")
        episodes.append(Episode.read(root / f"{i:06d}"))
    write_lerobot(episodes, root / "lerobot")
    return episodes, root / "lerobot"


def test_info_adds_up(dataset):
    episodes, root = dataset
    info = json.loads((root / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0" and info["total_episodes"] == 3 and info["total_frames"] == 47
    assert info["features"]["observation.state"]["shape"] == [8]
    assert info["features"]["observation.images.front"]["shape"] == [256, 256, 3]
    for name in ("timestamp", "frame_index", "episode_index", "index", "task_index"):
        assert info["features"][name]["shape"] == [1]


def test_data_holds_every_frame_in_order(dataset):
    episodes, root = dataset
    info = json.loads((root / "meta/info.json").read_text())
    first = 0
    for i, e in enumerate(episodes):
        t = pq.read_table(root / info["data_path"].format(chunk_index=0, file_index=i))
        assert not any("image" in c for c in t.column_names)
        np.testing.assert_array_equal(np.stack(t["observation.state"].to_pylist()), e.states)
        np.testing.assert_array_equal(np.stack(t["action"].to_pylist()), e.actions)
        np.testing.assert_array_equal(t["index"].to_numpy(), np.arange(first, first + len(e)))
        np.testing.assert_allclose(t["timestamp"].to_numpy(), np.arange(len(e)) / 20, atol=1e-6)
        assert str(t.schema.field("action").type) == "fixed_size_list<element: float>[8]"
        first += len(e)


def test_episode_rows_point_at_their_files_and_tasks(dataset):
    episodes, root = dataset
    rows = pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    info = json.loads((root / "meta/info.json").read_text())
    tasks = pq.read_table(root / "meta/tasks.parquet")
    assert b"pandas" in tasks.schema.metadata
    assert tasks.column_names == ["task_index", "__index_level_0__"]
    for row, e in zip(rows, episodes, strict=True):
        assert row["tasks"] == [e.spec.task.language] and row["length"] == len(e)
        assert row["dataset_to_index"] - row["dataset_from_index"] == len(e)
        for c in ("front", "side"):
            key = f"observation.images.{c}"
            video = root / info["video_path"].format(
                video_key=key, chunk_index=row[f"videos/{key}/chunk_index"], file_index=row[f"videos/{key}/file_index"]
            )
            assert video.read_bytes() == e.videos[c].read_bytes()
            assert row[f"videos/{key}/to_timestamp"] == pytest.approx(len(e) / 20)
            assert np.array(row[f"stats/{key}/mean"]).shape == (3, 1, 1)


def test_statistics_are_those_of_the_numbers(dataset):
    episodes, root = dataset
    stats = json.loads((root / "meta/stats.json").read_text())
    actions = np.concatenate([e.actions for e in episodes]).astype(float)
    np.testing.assert_allclose(stats["action"]["mean"], actions.mean(0), rtol=1e-6)
    np.testing.assert_allclose(stats["action"]["std"], actions.std(0), rtol=1e-6)
    np.testing.assert_allclose(stats["action"]["max"], actions.max(0), rtol=1e-6)
    assert stats["action"]["count"] == [47]
    mean = np.mean([f.mean() for e in episodes for f in read_frames(e.videos["front"])]) / 255
    assert np.mean(stats["observation.images.front"]["mean"]) == pytest.approx(mean, abs=0.02)
    assert np.array(stats["observation.images.front"]["std"]).shape == (3, 1, 1)


def test_pooled_statistics_of_one_are_itself():
    s = {"min": [0.0], "max": [3.0], "mean": [1.0], "std": [0.5], "q50": [1.1], "count": [7]}
    assert _pooled([s]) == s


def test_writing_twice_gives_equal_bytes(dataset, tmp_path):
    episodes, root = dataset
    write_lerobot(episodes, tmp_path / "again")
    for p in (p for p in root.rglob("*") if p.is_file()):
        assert p.read_bytes() == (tmp_path / "again" / p.relative_to(root)).read_bytes(), p.name


def test_stored_episodes_are_never_in_memory_together(dataset, tmp_path, monkeypatch):
    episodes, root = dataset
    alive, most = [], []
    read = Episode.read

    def counted(folder):
        e = read(folder)
        alive.append(weakref.ref(e))
        most.append(sum(r() is not None for r in alive))
        return e

    monkeypatch.setattr(Episode, "read", counted)
    write_lerobot(StoredEpisodes([e.folder for e in episodes] * 4), tmp_path / "four")
    assert len(most) > 12 and max(most) <= 3  # the one to compare with, the last, the next
    write_lerobot(StoredEpisodes(e.folder for e in episodes), tmp_path / "again")
    for p in (p for p in root.rglob("*") if p.is_file()):
        assert p.read_bytes() == (tmp_path / "again" / p.relative_to(root)).read_bytes(), p.name


def test_unlike_episodes_are_refused(dataset, tmp_path):
    episodes, _ = dataset
    other = replace(episodes[1], spec=episodes[1].spec.model_copy(update={"fps": 10}))
    with pytest.raises(InputError, match="differs from episode 0 in robot, frame rate or cameras"):
        write_lerobot([episodes[0], other], tmp_path)
    with pytest.raises(InputError, match="at least one episode"):
        write_lerobot([], tmp_path)
