"""Running an exam: policies × levels × episodes, resumable cell by cell."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from phone2sim import __version__
from phone2sim.assets.scene import Scene
from phone2sim.augment.recipe import Recipe, load_recipe
from phone2sim.augment.sampler import sample_episode
from phone2sim.augment.spec import EpisodeSpec
from phone2sim.augment.tasks.grammar import with_task
from phone2sim.augment.workspace import PlacementError, Workspace
from phone2sim.config import Config, read_json, write_json
from phone2sim.errors import GateError, InputError, did_you_mean
from phone2sim.keys import Key
from phone2sim.progress import progress
from phone2sim.sim_export.exam.grid import EXAM_AXES, nominal, patched
from phone2sim.sim_export.generate import scene_fingerprint
from phone2sim.sim_export.policies.base import Policy, run_episode
from phone2sim.sim_export.robots import robot_workspace
from phone2sim.sim_export.world import Control, World
from phone2sim.stage import fingerprint

Z95 = 1.959964
VERSION = 1
"""Raise when the same exam would ask other questions."""


class ExamConfig(Config):
    """What is asked."""

    axes: tuple[str, ...] = tuple(EXAM_AXES)
    """Names of `EXAM_AXES`."""
    episodes: int = Field(default=20, ge=1)
    """Per level; the same ones at every level and for every policy."""
    recipe: str = "default"
    """Gives the task, the cameras' names and size, and where objects may stand."""
    task: str = ""
    """Kind, file or sentence; empty leaves the recipe's own."""
    seed: int = 0
    control: Control = "joints"
    """What an action means, see `World`."""
    execute: int = Field(default=8, ge=1)
    """Of each chunk of actions, how many are carried out before the policy is asked again."""


def wilson(successes: int, n: int) -> tuple[float, float]:
    """95 % interval of a success rate (Wilson 1927); (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    p, z2 = successes / n, Z95**2
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * ((p * (1 - p) + z2 / (4 * n)) / n) ** 0.5 / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def run_exam(
    scene_dir: Path, policies: Sequence[Policy], out: Path, config: ExamConfig | None = None
) -> dict[str, Any]:
    """Examine every policy; returns and writes `exam.json`, `exam.svg` and `exam.html` into the folder `out`.

    `cells` hold per policy, axis and level: `n` episodes (those whose objects did not settle are left out), `successes`,
    `rate` with its 95 % interval `low`–`high`, mean best `progress`, and `reasons` of failure. A killed exam goes on where it
    stopped. Raises `InputError` for an unknown axis or when `out` holds another exam, `GateError` when no episode could be set up.
    """
    config = config or ExamConfig()
    for axis in config.axes:
        if axis not in EXAM_AXES:
            raise InputError(f"No exam axis {axis!r};", hint=did_you_mean(axis, EXAM_AXES))
    scene = Scene.load(scene_dir)
    return examine(scene, policies, out, config, scene_name=scene_dir.name, scene_fp=scene_fingerprint(scene_dir))


def examine(
    scene: Scene, policies: Sequence[Policy], out: Path, config: ExamConfig, *, scene_name: str = "", scene_fp: str = "",
    recipe: Recipe | None = None,
) -> dict[str, Any]:  # fmt: skip
    """As `run_exam`, for a scene in memory; `recipe` may be given as a value."""
    from phone2sim.sim_export.exam.report import write_exam

    recipe = nominal(with_task(recipe or load_recipe(config.recipe), config.task, scene))
    grid = {a: EXAM_AXES[a].levels for a in config.axes}
    identity: dict[str, Any] = {
        "fingerprint": fingerprint(VERSION, scene_fp, recipe.model_dump_json(), config.model_dump_json()),
        "scene": scene_name, "recipe": config.recipe, "task": config.task or recipe.task.kind, "seed": config.seed, "episodes": config.episodes,
        "control": config.control, "execute": config.execute,
    }  # fmt: skip
    cells = _earlier(out, identity["fingerprint"])
    total = len(policies) * (1 + sum(len(levels) - 1 for levels in grid.values()))
    ws = robot_workspace(scene, recipe)
    result: dict[str, Any] = {}
    with progress("Exam", total=total, unit="levels") as bar:
        for policy in policies:
            world = World(scene, control=config.control, pictures=policy.needs_pictures)
            for axis, value in _levels(grid):
                key = (policy.name, axis, value)
                if key not in cells:
                    level = recipe if axis == "nominal" else patched(recipe, EXAM_AXES[axis].patch(value))
                    cells[key] = _cell(world, policy, level, ws, config)
                    if not cells[key]["n"]:
                        raise GateError(
                            f"No episode of axis {axis} at {value:g} could be set up.", hint="Try another recipe."
                        )
                bar.advance(1, note=f"{policy.name} {axis} {value:g}: {100 * cells[key]['rate']:.0f} %")
                rows = [{"policy": p, "axis": a, "value": v, **c} for (p, a, v), c in cells.items()]
                result = {**identity, "schema": 1, "phone2sim": __version__, "cells": rows}
                write_json(out / "exam.json", result)
    write_exam(result, out)
    return result


def curve(result: dict[str, Any], policy: str, axis: str) -> list[dict[str, Any]]:
    """The cells of one policy along an axis, the scene as captured first."""
    cells = [c for c in result["cells"] if c["policy"] == policy]
    first = EXAM_AXES[axis].levels[0]
    start = [{**c, "value": first} for c in cells if c["axis"] == "nominal"]
    return start + sorted((c for c in cells if c["axis"] == axis), key=lambda c: c["value"])


def _levels(grid: dict[str, tuple[float, ...]]) -> Iterator[tuple[str, float]]:
    yield "nominal", 0.0
    for axis, levels in grid.items():
        for value in levels[1:]:
            yield axis, float(value)


def _cell(world: World, policy: Policy, recipe: Recipe, ws: Workspace, config: ExamConfig) -> dict[str, Any]:
    n = successes = 0
    done = 0.0
    reasons: Counter[str] = Counter()
    for spec in _episodes(world.scene, recipe, ws, config):
        outcome = run_episode(world, policy, spec, execute=config.execute)
        if outcome.reason.startswith("unsettled"):
            continue
        n, successes, done = n + 1, successes + outcome.success, done + outcome.progress
        reasons.update([outcome.reason] if outcome.reason else [])
    low, high = wilson(successes, n)
    return {
        "n": n, "successes": successes, "rate": round(successes / n, 4) if n else 0.0, "low": round(low, 4),
        "high": round(high, 4), "progress": round(done / n, 4) if n else 0.0, "void": config.episodes - n,
        "reasons": dict(sorted(reasons.items())),
    }  # fmt: skip


def _episodes(scene: Scene, recipe: Recipe, ws: Workspace, config: ExamConfig) -> Iterator[EpisodeSpec]:
    """The exam's own episodes: of a key that no dataset is drawn from, and the same at each level but for what it varies."""
    key = Key(config.seed).child("exam")
    for index in range(config.episodes):
        try:
            yield sample_episode(scene, recipe, key, index, workspace=ws)
        except PlacementError:
            continue  # counted as void


def _earlier(out: Path, identity: str) -> dict[tuple[str, str, float], dict[str, Any]]:
    path = out / "exam.json"
    if not path.exists():
        return {}
    old = read_json(path)
    if old.get("fingerprint") != identity:
        raise InputError(f"{out} holds another exam.", hint="Choose another folder, or delete this one.")
    cells = json.loads(json.dumps(old["cells"]))
    return {(c.pop("policy"), c.pop("axis"), c.pop("value")): c for c in cells}
