"""What a dataset says of itself: its scene, how it was made, its episodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from phone2sim.config import read_json
from phone2sim.errors import InputError


def identity_of(dataset_dir: Path, *texts: str) -> dict[str, Any]:
    """`dataset.json`: how the dataset was made. Raises `InputError` when it lacks one of the `texts` asked for."""
    return _document(dataset_dir / "dataset.json", dict.fromkeys(texts, str))


def manifest_of(dataset_dir: Path, *texts: str) -> dict[str, Any]:
    """`manifest.json`: `episodes` (folders below the dataset's), and what came out. Raises `InputError` as `identity_of`."""
    path = dataset_dir / "manifest.json"
    data = _document(path, {"episodes": list, **dict.fromkeys(texts, str)})
    if not all(isinstance(name, str) for name in data["episodes"]):
        raise _damaged(path, "episodes")
    return data


def _document(path: Path, kinds: dict[str, type]) -> dict[str, Any]:
    data = read_json(path)
    for key, kind in kinds.items():
        if not isinstance(data, dict) or not isinstance(data.get(key), kind):
            raise _damaged(path, key)
    return data


def _damaged(path: Path, key: str) -> InputError:
    return InputError(f"{path} is damaged: no valid {key!r}.", hint="Undo the edit, or generate the dataset again.")


def scene_of(dataset_dir: Path, moved: Path | None = None) -> Path:
    """Folder of the scene that a dataset was made in, `moved` where that is given.

    Raises `InputError` when there is no scene.
    """
    folder = moved or dataset_dir / identity_of(dataset_dir, "scene")["scene"]
    if not any((folder / name).exists() for name in ("scene/scene.json", "scene.json")):
        raise InputError(f"The scene of {dataset_dir} is not at {folder}.", hint="Say where it is: --scene SCENE")
    return folder
