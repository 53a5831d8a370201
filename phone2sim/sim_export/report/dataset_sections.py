"""Sections about a dataset: yield, what was varied, and the episodes as film strips."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from phone2sim.sim_export.report.coverage import coverage
from phone2sim.sim_export.report.facts import DatasetFacts, Episode, SceneFacts
from phone2sim.sim_export.report.figures import bars, moves_plot
from phone2sim.sim_export.report.pictures import embed, spread, video_frames

SHOWN = 6
"""Episodes shown as strips."""
FRAMES = 6


def lead(dataset: DatasetFacts | None) -> str:
    n = len(dataset.episodes) if dataset else 0
    return f"{n} robot episode{'s' if n != 1 else ''}."


def tiles(dataset: DatasetFacts) -> list[tuple[str, str]]:
    rows = [("episodes", str(len(dataset.episodes)))]
    tried, kept = attempts(dataset)
    if tried:
        rows.append(("expert yield", f"{100 * kept / tried:.0f} %"))
    if dataset.manifest.get("seconds"):
        rows.append(("generation time", f"{dataset.manifest['seconds']:.0f} s"))
    return rows


def attempts(dataset: DatasetFacts) -> tuple[int, int]:
    """(tried, kept)."""
    f = dataset.manifest
    return int(f.get("attempts", len(dataset.specs))), int(f.get("kept", len(dataset.episodes)))


def sections(dataset: DatasetFacts, scene: SceneFacts | None) -> list[tuple[str, str, str]]:
    if not dataset.episodes and not dataset.manifest:
        return []
    out = [("variation", "What was varied", variation(dataset, scene))]
    if dataset.episodes:
        out.append(("episodes", "Episodes", episodes(dataset)))
    return [s for s in out if s[2]]


def variation(dataset: DatasetFacts, scene: SceneFacts | None) -> str:
    tried, kept = attempts(dataset)
    text = f'<p class="soft">{kept} of {tried} attempts succeeded and were kept.</p>' if tried else ""
    reasons = dataset.manifest.get("reasons", {})
    failed = bars(
        [(str(k), float(v), str(v)) for k, v in reasons.items() if isinstance(v, (int, float)) and k != "success"]
    )
    failed = f"<h3>Why the others failed</h3>{failed}" if reasons else ""
    moves, bases = [], []
    for e in dataset.episodes:
        task = e.spec.get("task", {})
        target = next((o for o in e.spec.get("objects", []) if o["name"] == task.get("target")), None)
        if target is not None and task.get("goals"):
            start, goal = np.array(target["pose"]["translation"][:2]), np.array(task["goals"][0]["xyz"][:2])
            moves.append((start, goal, bool(e.meta.get("success", True)), task.get("language") or target["name"]))
            bases.append(np.array(e.spec["robot"]["base"]["translation"][:2]))
    plot = moves_plot(moves, _outline(scene), bases[:1])
    plot = f"<figure>{plot}<figcaption>Each kept episode from above: where the object starts (dot) and must go (ring).</figcaption></figure>"
    return f'{text}<div class="two">{plot if moves else ""}<div>{_ranges(dataset)}{failed}</div></div>{coverage(dataset)}'


def _outline(scene: SceneFacts | None) -> np.ndarray | None:
    from phone2sim.poses import Pose

    if scene is None or not scene.scene.get("supports"):
        return None
    s = scene.scene["supports"][0]
    xy = np.array(s["outline"], float).reshape(-1, 2)
    return Pose.from_json(s["T_world_surface"]).apply(np.c_[xy, np.zeros(len(xy))])


def _ranges(dataset: DatasetFacts) -> str:
    """How far each parameter moved over the kept episodes."""
    specs = [e.spec for e in dataset.episodes]
    if not specs:
        return ""

    def spread_of(values: list[float], unit: str = "", scale: float = 1.0) -> str:
        lo, hi = scale * min(values), scale * max(values)
        return f"{lo:.3g}{unit}" if np.isclose(lo, hi) else f"{lo:.3g} – {hi:.3g}{unit}"

    def elevation(s: dict[str, Any]) -> float:
        return float(np.degrees(np.arcsin(np.clip(-s["lights"]["direction"][2], -1, 1))))

    rows = [
        ("light elevation", spread_of([elevation(s) for s in specs], "°")),
        ("key light", spread_of([float(np.mean(s["lights"]["key_rgb"])) for s in specs])),
        ("background gain", spread_of([float(np.mean(s["lights"].get("relight_rgb", [1]))) for s in specs], "×")),
        ("objects on the table", spread_of([len(s["objects"]) for s in specs])),
        ("target mass", spread_of([_target(s).get("mass_kg", 0) for s in specs], " g", 1000)),
        ("target friction", spread_of([_target(s).get("friction", 0) for s in specs])),
        ("exposure", spread_of([s.get("sensor", {}).get("exposure", 1) for s in specs], "×")),
        ("sensor noise", spread_of([s.get("sensor", {}).get("noise_std", 0) for s in specs])),
    ]
    cameras: dict[str, list[np.ndarray]] = {}
    for s in specs:
        for c in s.get("cameras", []):
            cameras.setdefault(c["name"], []).append(np.array(c["pose"]["translation"]))
    for name, at in cameras.items():
        moved = float(np.linalg.norm(np.array(at) - np.mean(at, axis=0), axis=1).max())
        rows.append((f"camera {name} moved", f"± {100 * moved:.1f} cm"))
    cells = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in rows)
    return f"<table>{cells}</table>"


def _target(spec: dict[str, Any]) -> dict[str, Any]:
    return next((o for o in spec["objects"] if o["name"] == spec.get("task", {}).get("target")), {})


def episodes(dataset: DatasetFacts) -> str:
    return "".join(_episode(e) for e in spread(list(dataset.episodes), SHOWN))


def _episode(e: Episode) -> str:
    task = e.spec.get("task", {})
    success = bool(e.meta.get("success", True))
    chips = f'<span class="chip {"good" if success else "bad"}">{"success" if success else "failed"}</span>'
    frames = e.meta.get("frames", e.meta.get("length", e.meta.get("steps")))
    if isinstance(frames, int):
        chips += f'<span class="chip">{frames / e.spec.get("fps", 20):.1f} s</span>'
    strips = []
    for video in e.videos:
        images = "".join(
            f'<img src="{embed(f, max_side=300, quality=74)}" alt="{escape(video.stem)}">'
            for f in video_frames(video, FRAMES)
        )
        if images:
            strips.append(f'<div class="strip">{images}</div>')
    text = escape(task.get("language", ""))
    return f'<div class="episode"><div class="head"><b>{escape(e.folder.name.lstrip("0") or "0")}</b><span>“{text}”</span>{chips}</div>{"".join(strips)}</div>'
