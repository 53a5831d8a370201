"""A stage is a pure function plus this shell: skip when nothing changed, else build beside and rename into place.

The fingerprint is hash(name, version, config, fingerprints of the inputs). Nobody ever sees half a result: a killed
run leaves the last good folder, and the hidden partial one is removed by the next run.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phone2sim import __version__
from phone2sim.config import Config

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """What a stage left on disk. `skipped` when the fingerprint matched an earlier run."""

    folder: Path
    fingerprint: str
    skipped: bool
    manifest: dict[str, Any]


def fingerprint(*parts: Any) -> str:
    """Hash of JSON-able values, `Config`s and bytes; stable across processes and machines."""
    h = hashlib.sha256()
    for part in parts:
        if isinstance(part, Config):
            part = part.model_dump(mode="json")
        data = part if isinstance(part, bytes) else json.dumps(part, sort_keys=True, default=str).encode()
        h.update(len(data).to_bytes(8, "little") + data)
    return h.hexdigest()[:24]


def fingerprint_files(path: Path) -> str:
    """Hash of a file's bytes, or of every file below a folder with its relative name (hidden ones left out)."""
    h = hashlib.sha256()
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and not any(q.startswith(".") for q in p.relative_to(path).parts))
    else:
        files = [path]
    for f in files:
        h.update((str(f.relative_to(path)) if path.is_dir() else f.suffix).encode() + b"\0")
        with f.open("rb") as fh:
            while block := fh.read(1 << 20):
                h.update(block)
    return h.hexdigest()[:24]


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a finished stage, or None when there is no finished stage there."""
    try:
        return json.loads((folder / "manifest.json").read_text())
    except (OSError, json.JSONDecodeError):
        return None


def identity(manifest: Mapping[str, Any]) -> str:
    """What later stages hash of a finished one: its fingerprint, and repairs made to it since."""
    repairs = manifest.get("repairs")
    return fingerprint(manifest["fingerprint"], repairs) if repairs else str(manifest["fingerprint"])


def run_stage(
    folder: Path,
    *,
    version: int,
    config: Config | Mapping[str, Any],
    inputs: Mapping[str, str],
    compute: Callable[[Path], Mapping[str, Any] | None],
    force: bool = False,
) -> StageResult:
    """Run `compute(new_folder)` unless `folder` already holds the result of the same config and inputs.

    `compute` writes its files into the empty folder it is given and may return figures for the manifest
    (`manifest["result"]`). `inputs` maps a name to a fingerprint. Any exception leaves `folder` as it was.
    """
    cfg = config.model_dump(mode="json") if isinstance(config, Config) else dict(config)
    fp = fingerprint(folder.name, version, cfg, dict(inputs))
    _recover(folder)
    old = read_manifest(folder)
    if old and old.get("fingerprint") == fp and old.get("schema") == SCHEMA and not force:
        return StageResult(folder=folder, fingerprint=fp, skipped=True, manifest=old)

    folder.parent.mkdir(parents=True, exist_ok=True)
    for stale in folder.parent.glob(f".{folder.name}.partial-*"):
        if not _alive(stale.name.rsplit("-", 1)[1]):
            shutil.rmtree(stale, ignore_errors=True)
    partial = folder.parent / f".{folder.name}.partial-{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    start = time.monotonic()
    try:
        result = compute(partial)
        manifest = {
            "schema": SCHEMA,
            "stage": folder.name,
            "version": version,
            "fingerprint": fp,
            "config": cfg,
            "inputs": dict(inputs),
            "result": dict(result or {}),
            "seconds": round(time.monotonic() - start, 3),
            "phone2sim": __version__,
            "python": platform.python_version(),
        }
        (partial / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
        publish(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return StageResult(folder=folder, fingerprint=fp, skipped=False, manifest=manifest)


def publish(partial: Path, folder: Path) -> None:
    """Rename a finished folder into place; the old one disappears only once the new one stands."""
    old = folder.parent / f".{folder.name}.old-{os.getpid()}"
    if folder.exists():
        os.rename(folder, old)
    try:
        os.rename(partial, folder)
    except OSError:
        if old.exists():
            os.rename(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _recover(folder: Path) -> None:
    """Put back what a run that was killed between the two renames of `publish` had moved aside; remove what it left."""
    for old in folder.parent.glob(f".{folder.name}.old-*"):
        if _alive(old.name.rsplit("-", 1)[1]):
            continue
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.rename(old, folder)


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
