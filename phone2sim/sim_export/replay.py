"""`replay`: run an episode again from its spec, and compare every byte with what was stored."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.config import read_json
from phone2sim.errors import InputError
from phone2sim.sim_export.episode import Episode
from phone2sim.sim_export.generate import scene_fingerprint
from phone2sim.sim_export.workers import Job, Maker


def replay(dataset_dir: Path, index: int, *, scene_dir: Path | None = None) -> dict[str, Any]:
    """Simulate and draw episode `index` (its place in the dataset) again.

    Returns `same`, and of each part (`states`, `actions`, `object_poses`, each camera) whether it came out equal, and
    for pictures that did not the largest difference of a decoded frame. `scene_dir` says where the scene is now, if it
    moved. Raises `InputError` for an unknown episode or a scene that has changed.
    """
    identity = read_json(dataset_dir / "dataset.json")
    folders = read_json(dataset_dir / "manifest.json")["episodes"]
    if not 0 <= index < len(folders):
        raise InputError(f"No episode {index} in {dataset_dir}; it has 0 to {len(folders) - 1}.")
    scene_dir = scene_dir or (dataset_dir / identity["scene"])
    if scene_fingerprint(scene_dir) != identity["scene_fingerprint"]:
        raise InputError(f"{scene_dir} has changed since {dataset_dir} was made.", hint="Generate a new dataset.")
    stored = Episode.read(dataset_dir / folders[index])
    job = Job(
        scene_dir=scene_dir, dataset_dir=dataset_dir, recipe=identity["recipe"], seed=identity["seed"],
        scene_fingerprint=identity["scene_fingerprint"], simulator=identity["simulator"], pictures=identity["pictures"],
    )  # fmt: skip
    maker = Maker(job)
    again = maker.simulate(stored.spec)
    parts: dict[str, bool] = {
        name: bool(np.array_equal(a, again.arrays()[name])) for name, a in stored.arrays().items()
    }
    with tempfile.TemporaryDirectory() as tmp:
        if stored.videos:
            maker.render(again, Path(tmp))
        for name, path in stored.videos.items():
            parts[name] = (Path(tmp) / path.name).read_bytes() == path.read_bytes()
    return {"same": all(parts.values()), "folder": folders[index], "parts": parts}
