"""What a scene or dataset folder holds, read for people: every part may be missing, and then it is simply empty."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phone2sim.errors import InputError, Phone2SimError
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.stage import read_manifest

STAGES = ("capture", "cameras", "splat", "mesh", "empty", "scene", "export")


@dataclass(frozen=True, kw_only=True)
class SceneFacts:
    """The JSON documents of a scene folder; empty where a stage has not run."""

    folder: Path
    capture: dict[str, Any]
    cameras: Cameras | None
    metric: dict[str, Any]
    splat: dict[str, Any]
    scene: dict[str, Any]
    assets: tuple[dict[str, Any], ...]
    """`asset.json` of each, in scene order."""
    certificate: dict[str, Any]
    """`certificate.json`; empty before `phone2sim check`."""
    manifests: dict[str, dict[str, Any]]
    """Stage name → manifest, in pipeline order."""

    def result(self, stage: str) -> dict[str, Any]:
        """Figures that a stage left in its manifest."""
        return self.manifests.get(stage, {}).get("result", {})

    @property
    def registration(self) -> dict[str, Any]:
        """`total`, `registered`, `reprojection_px` and what else the camera stage counted."""
        return self.result("cameras").get("cameras", {})

    @property
    def seconds(self) -> dict[str, float]:
        """Stage name → seconds it took when it last ran."""
        return {name: float(m.get("seconds", 0.0)) for name, m in self.manifests.items()}


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One committed episode of a dataset."""

    folder: Path
    spec: dict[str, Any]
    meta: dict[str, Any]

    @property
    def videos(self) -> tuple[Path, ...]:
        return tuple(sorted(self.folder.glob("*.mp4")))


@dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """The JSON documents of a dataset folder."""

    folder: Path
    manifest: dict[str, Any]
    specs: tuple[dict[str, Any], ...]
    """Every spec that was tried, successful or not."""
    episodes: tuple[Episode, ...]


def read_scene(folder: Path) -> SceneFacts:
    """Everything the report says about a scene folder."""
    scene = _json(folder / "scene" / "scene.json")
    cameras = None
    for path in (folder / "cameras" / "transforms.json", folder / "scene" / "cameras.json"):
        if cameras is None and path.exists():
            try:
                cameras = Cameras.load(path)
            except Phone2SimError:
                continue
    names = scene.get("assets", [])
    manifests = {name: m for name in STAGES if (m := read_manifest(folder / name))}
    return SceneFacts(
        folder=folder,
        capture=_json(folder / "capture" / "capture.json"),
        cameras=cameras,
        metric=_json(folder / "cameras" / "metric.json") or scene.get("metric", {}),
        splat=_json(folder / "splat" / "metrics.json"),
        scene=scene,
        assets=tuple(a for n in names if (a := _json(folder / "scene" / n / "asset.json"))),
        certificate=_json(folder / "certificate" / "certificate.json"),
        manifests=manifests,
    )


def read_dataset(folder: Path) -> DatasetFacts:
    """Everything the report says about a dataset folder."""
    episodes = []
    root = folder / "episodes"
    if root.is_dir():
        dirs = [d for d in root.iterdir() if d.is_dir() and not d.name.startswith(".")]
        for d in sorted(dirs, key=lambda d: (int(d.name) if d.name.isdigit() else 1 << 60, d.name)):
            if spec := _json(d / "spec.json"):
                episodes.append(Episode(folder=d, spec=spec, meta=_json(d / "meta.json")))
    specs = []
    if (folder / "specs.jsonl").exists():
        specs = [_row(folder / "specs.jsonl", n, s) for n, s in enumerate((folder / "specs.jsonl").read_text().splitlines(), 1) if s.strip()]
    return DatasetFacts(
        folder=folder, manifest=_json(folder / "manifest.json"), specs=tuple(specs), episodes=tuple(episodes)
    )


def _row(path: Path, number: int, text: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise InputError(f"{path}:{number} is no spec.", hint="Undo the edit, or run `phone2sim generate` again: it goes on.")
    return data


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {"items": data}
