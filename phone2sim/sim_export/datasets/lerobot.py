"""LeRobot v3.0, written with pyarrow from canonical episodes; opened by the real loader in `tests/side`.

Layout after the LeRobotDataset v3.0 documentation: parquet data without video columns, one mp4 per episode and camera,
episode rows with their own statistics, tasks indexed by their text.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.config import write_json
from phone2sim.errors import InputError
from phone2sim.sim_export.episode import Episode, read_frames

CHUNK = 1000
IMAGE_EVERY = 10
"""Statistics of pictures use every tenth frame, every fourth pixel each way."""
QUANTILES = (0.01, 0.10, 0.50, 0.90, 0.99)
_DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"


def write_lerobot(episodes: Sequence[Episode], folder: Path) -> None:
    """Write a new dataset into `folder` (made if needed). Equal episodes give equal bytes.

    Each rendering of a pair is an episode of its own; the columns `pair_id` and `variant` of `meta/episodes` say which
    belong together. Raises `InputError` when the episodes differ in robot, frame rate, cameras or picture size.
    """
    import pyarrow.parquet as pq

    if not episodes:
        raise InputError("A LeRobot dataset needs at least one episode.")
    like = episodes[0]
    cameras = sorted(like.videos)
    tasks: dict[str, int] = {}
    rows, numbers = [], []
    first = 0
    for i, e in enumerate(episodes):
        _check_alike(e, like)
        chunk, file = divmod(i, CHUNK)
        values = _columns(e, index=i, first=first, task=tasks.setdefault(_task(e), len(tasks)))
        path = folder / _DATA.format(chunk_index=chunk, file_index=file)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(_data_table(values), path)
        stats = {name: _number_stats(a) for name, a in values.items()}
        row: dict[str, Any] = {
            "episode_index": i,
            "tasks": [_task(e)],
            "length": len(e),
            "data/chunk_index": chunk,
            "data/file_index": file,
            "dataset_from_index": first,
            "dataset_to_index": first + len(e),
        }
        if e.spec.pair_id:
            row |= {"pair_id": e.spec.pair_id, "variant": e.spec.variant}
        for name in cameras:
            key = f"observation.images.{name}"
            target = folder / _VIDEO.format(video_key=key, chunk_index=chunk, file_index=file)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(e.videos[name], target)
            row |= {
                f"videos/{key}/chunk_index": chunk,
                f"videos/{key}/file_index": file,
                f"videos/{key}/from_timestamp": 0.0,
                f"videos/{key}/to_timestamp": len(e) / e.spec.fps,
            }
            stats[key] = _image_stats(e.videos[name])
        for name, s in stats.items():
            row |= {f"stats/{name}/{k}": v for k, v in s.items()}
        row |= {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}
        rows.append(row)
        numbers.append(stats)
        first += len(e)

    meta = folder / "meta" / "episodes" / "chunk-000" / "file-000.parquet"
    meta.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(_episodes_table(rows), meta)
    pq.write_table(_tasks_table(list(tasks)), folder / "meta" / "tasks.parquet")
    write_json(folder / "meta" / "stats.json", {k: _pooled([s[k] for s in numbers]) for k in numbers[0]})
    write_json(folder / "meta" / "info.json", _info(like, cameras, episodes=len(rows), frames=first, tasks=len(tasks)))


def _check_alike(e: Episode, like: Episode) -> None:
    def kind(e: Episode) -> tuple:
        sizes = tuple(sorted((c.name, c.width, c.height) for c in e.spec.cameras if c.name in e.videos))
        return e.spec.robot.model, e.spec.fps, e.state_names, e.action_names, sizes

    if kind(e) != kind(like):
        raise InputError(
            f"Episode {e.spec.index} differs from episode {like.spec.index} in robot, frame rate or cameras; "
            "one LeRobot dataset needs them alike."
        )


def _task(e: Episode) -> str:
    return e.spec.task.language or f"Move the {e.spec.task.target}."


def _columns(e: Episode, *, index: int, first: int, task: int) -> dict[str, np.ndarray]:
    n = len(e)
    return {
        "observation.state": e.states,
        "action": e.actions,
        "progress": e.progress,
        "timestamp": e.timestamps,
        "frame_index": np.arange(n),
        "episode_index": np.full(n, index),
        "index": np.arange(first, first + n),
        "task_index": np.full(n, task),
    }


def _data_table(values: dict[str, np.ndarray]) -> Any:
    import pyarrow as pa

    out: dict[str, Any] = {}
    for name, a in values.items():
        if a.ndim == 2:
            flat = pa.array(np.ascontiguousarray(a, dtype=np.float32).ravel(), pa.float32())
            out[name] = pa.FixedSizeListArray.from_arrays(flat, a.shape[1])
        else:
            out[name] = pa.array(a, pa.float32() if a.dtype == np.float32 else pa.int64())
    return pa.table(out)


def _episodes_table(rows: list[dict[str, Any]]) -> Any:
    import pyarrow as pa

    return pa.Table.from_pylist(rows)


def _tasks_table(tasks: list[str]) -> Any:
    """`task_index`, with the text as the pandas index."""
    import pyarrow as pa

    index = {
        "name": None,
        "field_name": "__index_level_0__",
        "pandas_type": "unicode",
        "numpy_type": "object",
        "metadata": None,
    }
    column = {
        "name": "task_index",
        "field_name": "task_index",
        "pandas_type": "int64",
        "numpy_type": "int64",
        "metadata": None,
    }
    pandas = {
        "index_columns": ["__index_level_0__"], "column_indexes": [], "columns": [column, index], "pandas_version": "2.0.0",
    }  # fmt: skip
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), "__index_level_0__": pa.array(tasks)})
    return table.replace_schema_metadata({b"pandas": json.dumps(pandas).encode()})


def _number_stats(a: np.ndarray) -> dict[str, list]:
    x = np.asarray(a, np.float64).reshape(len(a), -1)
    out = {"min": x.min(0), "max": x.max(0), "mean": x.mean(0), "std": x.std(0)}
    out |= {f"q{round(100 * q):02d}": v for q, v in zip(QUANTILES, np.quantile(x, QUANTILES, axis=0), strict=True)}
    return {**{k: v.tolist() for k, v in out.items()}, "count": [len(x)]}


def _image_stats(path: Path) -> dict[str, list]:
    """Per channel over sampled frames, 0–1, shape (3, 1, 1)."""
    frames = np.stack([f[::4, ::4] for f in read_frames(path, every=IMAGE_EVERY)])
    flat = _number_stats(frames.reshape(-1, 3) / 255.0)
    return {k: [len(frames)] if k == "count" else [[[x]] for x in v] for k, v in flat.items()}


def _pooled(stats: list[dict[str, list]]) -> dict[str, list]:
    """One row of statistics for all episodes; quantiles are averaged, weighted by count."""
    n = np.array([s["count"][0] for s in stats], float)
    w = n / n.sum()

    def column(key: str) -> np.ndarray:
        return np.stack([np.array(s[key], float) for s in stats])

    def weighted(a: np.ndarray) -> np.ndarray:
        return np.tensordot(w, a, axes=1)

    mean = weighted(column("mean"))
    variance = weighted(column("std") ** 2 + (column("mean") - mean) ** 2)
    out = {"min": column("min").min(0), "max": column("max").max(0), "mean": mean, "std": np.sqrt(variance)}
    out |= {k: weighted(column(k)) for k in stats[0] if k.startswith("q")}
    return {**{k: v.tolist() for k, v in out.items()}, "count": [int(n.sum())]}


def _info(e: Episode, cameras: list[str], *, episodes: int, frames: int, tasks: int) -> dict[str, Any]:
    features: dict[str, Any] = {
        "observation.state": {"dtype": "float32", "shape": [len(e.state_names)], "names": list(e.state_names)},
        "action": {"dtype": "float32", "shape": [len(e.action_names)], "names": list(e.action_names)},
    }
    for c in e.spec.cameras:
        if c.name in cameras:
            features[f"observation.images.{c.name}"] = {
                "dtype": "video",
                "shape": [c.height, c.width, 3],
                "names": ["height", "width", "channels"],
                "info": {
                    "video.height": c.height, "video.width": c.width, "video.codec": "h264", "video.pix_fmt": "yuv420p",
                    "video.is_depth_map": False, "video.fps": e.spec.fps, "video.channels": 3, "has_audio": False,
                },
            }  # fmt: skip
    for name, kind in (
        ("progress", "float32"), ("timestamp", "float32"), ("frame_index", "int64"), ("episode_index", "int64"), ("index", "int64"),
        ("task_index", "int64"),
    ):  # fmt: skip
        features[name] = {"dtype": kind, "shape": [1], "names": None}
    return {
        "codebase_version": "v3.0",
        "robot_type": e.spec.robot.model,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "chunks_size": CHUNK,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": e.spec.fps,
        "splits": {"train": f"0:{episodes}"},
        "data_path": _DATA,
        "video_path": _VIDEO,
        "features": features,
    }
