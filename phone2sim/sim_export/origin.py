"""Where the scene of a dataset is."""

from __future__ import annotations

from pathlib import Path

from phone2sim.config import read_json
from phone2sim.errors import InputError


def scene_of(dataset_dir: Path, moved: Path | None = None) -> Path:
    """Folder of the scene that a dataset was made in, `moved` where that is given.

    Raises `InputError` when there is no scene.
    """
    folder = moved or dataset_dir / read_json(dataset_dir / "dataset.json")["scene"]
    if not any((folder / name).exists() for name in ("scene/scene.json", "scene.json")):
        raise InputError(f"The scene of {dataset_dir} is not at {folder}.", hint="Say where it is: --scene SCENE")
    return folder
