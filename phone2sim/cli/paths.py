"""Paths that a command is given: there, of the right kind, and ours to write. Each refusal is one line."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from phone2sim.errors import InputError

STAGES = ("capture", "cameras", "splat", "mesh", "empty", "scene", "export")
"""Folders of a scene, in order."""


def check_exists(path: Path, what: str) -> Path:
    """`path`, or an `InputError` naming it and what stands beside it."""
    if not path.exists():
        names = [p.name for p in path.parent.iterdir() if not p.name.startswith(".")] if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, names, n=1)
        raise InputError(
            f"{what} {path} does not exist.", hint=f"Did you mean {path.parent / close[0]}?" if close else ""
        )
    return path


def check_folder(path: Path, what: str, made_by: str) -> Path:
    """`path` when it is a folder that can be looked into."""
    if not check_exists(path, what).is_dir():
        raise InputError(f"{path} is a file, not a {what.lower()}.", hint=f"Give the folder that `{made_by}` made.")
    return path


def check_scene(path: Path) -> Path:
    """`path` when it is a built scene folder."""
    check_folder(path, "Scene", "phone2sim build")
    if not (path / "scene" / "scene.json").exists():
        done = [n for n in STAGES if (path / n / "manifest.json").exists()]
        state = f"it only has {', '.join(done)}." if done else "it holds no stage at all."
        raise InputError(f"{path} is not a finished scene: {state}", hint=f"Make it: phone2sim build CAPTURE -o {path}")
    return path


def check_dataset(path: Path) -> Path:
    """`path` when it is a dataset folder."""
    check_folder(path, "Dataset", "phone2sim generate")
    if not (path / "specs.jsonl").exists() and not (path / "manifest.json").exists():
        begun = (path / "dataset.json").exists()
        raise InputError(
            f"{path} is a dataset that was not finished." if begun else f"{path} is not a dataset (no specs.jsonl).",
            hint="Run its `phone2sim generate` again: it goes on." if begun else f"Make it: phone2sim generate SCENE -o {path}",
        )
    return path


def check_output(path: Path, *, stages: tuple[str, ...] = ()) -> Path:
    """`path` when it can become an output folder. What lies in it under the name of a stage must be ours: a stage
    replaces its folder, and must never replace a user's."""
    from phone2sim.stage import read_manifest

    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; the output must be a folder.")
    _check_writable(path if path.exists() else path.parent)
    for name in stages:
        if (path / name).exists() and "fingerprint" not in (read_manifest(path / name) or {}):
            raise InputError(
                f"{path / name} was not made by phone2sim.", hint="Choose another output folder, or move it away."
            )
    return path


def check_file(path: Path, what: str, endings: tuple[str, ...]) -> Path:
    """`path` when `what` can be written there: one of the `endings`, no folder, in a place that can be written."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; the {what} is a file.", hint=f"For example {path / (what + endings[0])}")
    if path.suffix.lower() not in endings:
        raise InputError(f"{path}: the {what} must end in {' or '.join(endings)}.")
    _check_writable(path.parent)
    return path


def _check_writable(folder: Path) -> None:
    """The nearest folder above that is there can be written."""
    at = folder.absolute()
    while not at.exists() and at != at.parent:
        at = at.parent
    if not at.is_dir():
        raise InputError(f"{at} is a file; nothing can be made in it.", hint="Choose another output.")
    if not os.access(at, os.W_OK | os.X_OK):
        raise InputError(f"{at} cannot be written.", hint="Choose another output, or change its permissions.")


def tell_edits(scene: Path) -> None:
    """Say so when the user's assets.toml has changed since the objects were made: until then nothing of it counts."""
    from phone2sim.progress import message
    from phone2sim.stage import fingerprint_files, read_manifest

    user, made = scene / "assets.toml", read_manifest(scene / "scene")
    now = fingerprint_files(user) if user.exists() else ""
    if made and made.get("inputs", {}).get("assets.toml", now) != now:
        message(
            f"{user} has changed since the objects were made, and does not count yet: `phone2sim build` again, or "
            f"`phone2sim assets {scene}` and `phone2sim export {scene}`."
        )
