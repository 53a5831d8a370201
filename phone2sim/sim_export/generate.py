"""`generate`: a scene and a recipe become a dataset of successful episodes, the same at any number of workers.

    dataset/  specs.jsonl  episodes/<attempt>/  rejected/<attempt>.json  lerobot/  manifest.json

Attempt i is a pure function of (scene, recipe, seed, i). The dataset holds the first N successes in order of attempt;
a killed run leaves only whole episodes and continues where it stopped; asking for more later extends it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from phone2sim import __version__
from phone2sim.assets.scene import Scene
from phone2sim.augment.recipe import Recipe
from phone2sim.augment.tasks import TASKS, get_task
from phone2sim.config import Config, read_json, write_json
from phone2sim.errors import AssetError, GateError, InputError, did_you_mean
from phone2sim.progress import message, progress
from phone2sim.sim_export.datasets.lerobot import write_lerobot
from phone2sim.sim_export.engines import ENGINES, find_python
from phone2sim.sim_export.episode import Episode, StoredEpisodes, pair_folders
from phone2sim.sim_export.experts import make_expert
from phone2sim.sim_export.origin import identity_of
from phone2sim.sim_export.robots import ROBOTS, get_robot
from phone2sim.sim_export.simulators import SIMULATORS
from phone2sim.sim_export.workers import (
    Attempt,
    InlinePool,
    Job,
    ProcessPool,
    episode_folder,
    first_done,
    job_recipe,
    reject_file,
)
from phone2sim.stage import fingerprint, publish

VERSION = 7
"""Raise when the same inputs give other episodes."""


class GenerateConfig(Config):
    """What to make."""

    recipe: str = "default"
    """Name of a built-in recipe, or a YAML file."""
    episodes: int = Field(default=8, ge=1)
    """Successful episodes wanted."""
    workers: int = Field(default=0, ge=0)
    """Processes; 0 runs in this one. The result is the same."""
    seed: int = 0
    """Of everything that varies."""
    max_attempts: int | None = None
    """Stop after so many attempts even with fewer successes; None allows ten per wanted episode."""
    simulator: str = "mujoco"
    """Physics: mujoco, physx or isaac; the last also draws."""
    pictures: bool = True
    """False leaves the cameras out: states and actions only."""
    target: str = ""
    """`wam` or `vla`: make wide and pair what that kind of policy is weak at, whatever the recipe says."""
    task: str = ""
    """Kind of task, a sentence such as "put the mug left of the box", or a Python file with a task of your own."""
    robot: str = ""
    """Robot: a name, an MJCF or URDF file, or `arm.xml+gripper.xml`."""
    expert: str = ""
    """`scripted`, `planner`, or a file of demonstrations."""
    split: Literal["train", "ood"] = "train"
    """`ood` draws from the recipe's ranges out of distribution."""
    record: tuple[str, ...] = ()
    """Channels kept beside the pictures: depth, mask, normal, flow (`sim_export.truth`)."""


def generate(scene_dir: Path, dataset_dir: Path, config: GenerateConfig | None = None) -> dict[str, Any]:
    """Make or extend the dataset; returns its manifest (`attempts`, `kept`, `yield`, `reasons`, `digest`, `seconds`, …).

    Raises `AssetError` for a scene without support or objects, `InputError` when the folder holds another dataset,
    `GateError` when no attempt succeeded, `MissingDependencyError` and `EngineError` for an engine
    that is not there or gave up; what was committed until then is kept.
    """
    config = config or GenerateConfig()
    start = time.monotonic()
    if config.simulator not in SIMULATORS:
        raise InputError(f"No simulator {config.simulator!r};", hint=did_you_mean(config.simulator, SIMULATORS))
    if config.simulator in ENGINES:
        find_python(ENGINES[config.simulator])
    scene = Scene.load(scene_dir)
    if not scene.supports or not scene.assets:
        what = "support surface" if not scene.supports else "objects"
        raise AssetError(
            f"{scene_dir} has no {what}, so there is nothing to pick.", hint="It can be exported and viewed."
        )
    scene_fp = scene_fingerprint(scene_dir)
    job = Job(
        scene_dir=scene_dir.resolve(), dataset_dir=dataset_dir.resolve(), recipe=config.recipe, seed=config.seed,
        scene_fingerprint=scene_fp, simulator=config.simulator, pictures=config.pictures,
        target=config.target, task=config.task, robot=config.robot, expert=config.expert, split=config.split, record=config.record,
    )  # fmt: skip
    recipe = job_recipe(job, scene)
    _check(recipe, scene, config)
    files = outside_files(recipe)
    identity = {
        "fingerprint": fingerprint(
            VERSION, scene_fp, recipe.model_dump_json(), config.seed, config.simulator, config.pictures, files, config.record
        ),
        "scene": os.path.relpath(scene_dir, dataset_dir),
        "scene_fingerprint": scene_fp,
        "recipe": config.recipe,
        "recipe_values": json.loads(recipe.model_dump_json()),
        "seed": config.seed,
        "simulator": config.simulator,
        "pictures": config.pictures,
        "target": config.target,
        "task": config.task,
        "robot": recipe.robot,
        "expert": config.expert,
        "files": files,
        "split": config.split,
        "record": list(config.record),
    }
    _claim(dataset_dir, identity)
    manifest_path = dataset_dir / "manifest.json"
    limit = config.max_attempts or 10 * config.episodes
    if manifest_path.exists():
        manifest = read_json(manifest_path)
        if manifest.get("kept", 0) >= config.episodes and (dataset_dir / "lerobot").exists():
            message(f"{manifest['kept']} episodes are already there (yield {100 * manifest['yield']:.0f} %).")
            return manifest

    attempts = _run(job, config, limit)
    kept = [a.index for a in attempts if a.success]
    reasons = Counter(a.reason for a in attempts if not a.success)
    if not kept:
        raise GateError(
            f"None of {len(attempts)} attempts succeeded ({_histogram(reasons)}).",
            hint="The objects may be too wide for the gripper or out of reach; try another recipe.",
        )
    episodes = StoredEpisodes(f for i in kept for f in pair_folders(episode_folder(dataset_dir, i)))
    _drop_extra(dataset_dir, keep={a.index for a in attempts})
    frames = _write_specs(dataset_dir / "specs.jsonl", episodes)
    digests = digest(episodes)
    partial = dataset_dir / f".lerobot.partial-{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    write_lerobot(episodes, partial)
    publish(partial, dataset_dir / "lerobot")
    manifest = {
        **identity,
        "schema": 1,
        "episodes": [f"episodes/{i:06d}" for i in kept],
        "attempts": len(attempts),
        "kept": len(kept),
        "yield": round(len(kept) / len(attempts), 4),
        "reasons": dict(sorted(reasons.items())),
        "complete": len(kept) >= config.episodes,
        "digest": fingerprint(digests),
        "digests": digests,
        "frames": frames,
        "pairs": _pairs(dataset_dir, kept),
        "cpu_s_per_episode": _cpu_table(attempts, len(kept)),
        "seconds": round(time.monotonic() - start, 2),
        "workers": config.workers,
        "phone2sim": __version__,
    }
    write_json(manifest_path, manifest)
    text = f"{len(kept)} of {len(attempts)} attempts succeeded ({100 * manifest['yield']:.0f} %)"
    message(text + (f"; the others: {_histogram(reasons)}." if reasons else "."))
    if not manifest["complete"]:
        message(f"Only {len(kept)} of {config.episodes} wanted episodes after {len(attempts)} attempts.")
    return manifest


def _write_specs(path: Path, episodes: Iterable[Episode]) -> int:
    """A line per episode; returns how many frames they have together."""
    frames = 0
    with path.open("w") as f:
        for e in episodes:
            f.write(e.spec.model_dump_json() + "\n")
            frames += len(e)
    return frames


def digest(episodes: Iterable[Episode]) -> dict[str, str]:
    """SHA-256 of specs, of states and actions, and of the video files."""
    h = {name: hashlib.sha256() for name in ("specs", "states_actions", "videos")}
    for e in episodes:
        h["specs"].update(e.spec_bytes())
        h["states_actions"].update(e.states.tobytes() + e.actions.tobytes() + e.object_poses.tobytes() + e.progress.tobytes())
        for name, path in sorted(e.videos.items()):
            h["videos"].update(name.encode() + path.read_bytes())
    return {name: x.hexdigest() for name, x in h.items()}


def scene_fingerprint(scene_dir: Path) -> str:
    """Hash of a scene's files; manifests, which hold timings, left out."""
    folder = scene_dir if (scene_dir / "scene.json").exists() else scene_dir / "scene"
    h = hashlib.sha256()
    for f in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = f.relative_to(folder)
        if f.name != "manifest.json" and not any(part.startswith(".") for part in name.parts):
            h.update(name.as_posix().encode() + b"\0" + hashlib.sha256(f.read_bytes()).digest())
    return h.hexdigest()[:24]


def _check(recipe: Recipe, scene: Scene, config: GenerateConfig) -> None:
    """What cannot work is said before anything is made."""
    engine = ENGINES.get(config.simulator)
    if engine and recipe.robot not in ROBOTS:
        raise InputError(
            f"{engine.title} carries the built-in arm only, not {recipe.robot}.", hint="Leave --sim out: MuJoCo does."
        )
    if engine and engine.draws and (ours := [c for c in config.record if c in ("normal", "flow")]):
        raise InputError(f"{engine.title} records depth and masks, not {' and '.join(ours)}.", hint="Leave --sim out for those.")
    robot, task = get_robot(recipe.robot), get_task(recipe.task.kind)
    if task.needs_gripper and not robot.fingers:
        able = ", ".join(sorted(k for k, t in TASKS.items() if not t.needs_gripper))
        raise InputError(f"Robot {robot.name} has no gripper, and {task.kind} needs one.", hint=f"Without one: {able}.")
    make_expert(recipe.task.expert or task.expert, scene)


def outside_files(recipe: Recipe) -> dict[str, str]:
    """Hashes of the robot, task and demonstration files that a recipe names, by path; folders are hashed whole."""
    names = [*recipe.robot.split("+"), recipe.task.kind, recipe.task.expert.partition("@")[0]]
    out = {}
    for path in (Path(n) for n in names if n):
        inside = [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else []
        h = hashlib.sha256()
        for f in inside:
            h.update(f.relative_to(path).as_posix().encode() + b"\0" + f.read_bytes())
        if inside:
            out[str(path)] = h.hexdigest()[:24]
    return out


def _claim(dataset_dir: Path, identity: dict[str, Any]) -> None:
    """Mark the folder as this dataset's, or check that it already is."""
    path = dataset_dir / "dataset.json"
    if path.exists():
        if identity_of(dataset_dir, "fingerprint")["fingerprint"] != identity["fingerprint"]:
            raise InputError(
                f"{dataset_dir} already holds episodes of another scene, recipe or seed.",
                hint="Choose another folder, or delete this one.",
            )
    elif dataset_dir.exists() and any(dataset_dir.iterdir()):
        raise InputError(f"{dataset_dir} is not empty and not a dataset.", hint="Choose another folder.")
    else:
        write_json(path, identity)
    for stale in [*dataset_dir.glob(".*.partial-*"), *dataset_dir.glob("*/.*.partial-*")]:
        shutil.rmtree(stale) if stale.is_dir() else stale.unlink()


def _run(job: Job, config: GenerateConfig, limit: int) -> list[Attempt]:
    """Attempts 0 … m, the last being the N-th success (or the limit)."""
    results: dict[int, Attempt] = {}
    running: dict[Future[Attempt], int] = {}
    pool: InlinePool | ProcessPool | None = None
    index = 0
    start = time.monotonic()
    made = 0
    try:
        with progress("Episodes", total=config.episodes, unit="episodes") as bar:
            while True:
                good = sum(a.success for a in results.values())
                # Never more in flight than are still wanted, so no picture is made for nothing.
                while index < limit and good + len(running) < config.episodes:
                    old = _committed(job.dataset_dir, index)
                    if old is None:
                        if pool is None:
                            pool = ProcessPool(job, config.workers) if config.workers else InlinePool(job)
                        if len(running) >= pool.slots:
                            break
                        running[pool.run(index)] = index
                    else:
                        results[index] = old
                        good += old.success
                        bar.advance(int(old.success))
                    index += 1
                if not running:
                    break
                for a in first_done(running):
                    results[a.index] = a
                    made += a.success
                    rate = 3600 * made / (time.monotonic() - start)
                    share = sum(r.success for r in results.values()) / len(results)
                    bar.advance(int(a.success), note=f"{rate:.0f}/h, yield {100 * share:.0f} %")
    finally:
        if pool is not None:
            pool.close()
    ordered = [results[i] for i in sorted(results)]
    if sum(a.success for a in ordered) >= config.episodes:
        last = [a.index for a in ordered if a.success][config.episodes - 1]
        ordered = ordered[: last + 1]
    return ordered


def _committed(dataset_dir: Path, index: int) -> Attempt | None:
    """An attempt that an earlier run finished."""
    meta, record = episode_folder(dataset_dir, index) / "meta.json", reject_file(dataset_dir, index)
    if meta.exists():
        return Attempt(index=index, reason="", cpu_s=read_json(meta)["cpu_s"])
    if record.exists():
        data = read_json(record)
        return Attempt(index=index, reason=data["reason"], cpu_s=data["cpu_s"])
    return None


def _drop_extra(dataset_dir: Path, *, keep: set[int]) -> None:
    """Remove attempts beyond the last one that counts."""
    for path in [*(dataset_dir / "episodes").glob("[0-9]*"), *(dataset_dir / "rejected").glob("[0-9]*.json")]:
        if int(path.stem) not in keep:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _pairs(dataset_dir: Path, kept: list[int]) -> dict[str, Any]:
    """How many further renderings there are by axis, and how many draws of clutter were thrown away, and why."""
    made: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    for path in (episode_folder(dataset_dir, i) / "pairs.json" for i in kept):
        if path.exists():
            data = read_json(path)
            made.update(name.rsplit("_", 1)[0] for name in data["variants"])
            rejected.update(data["rejected"])
    return {"renderings": dict(sorted(made.items())), "rejected": dict(sorted(rejected.items()))}


def _cpu_table(attempts: list[Attempt], kept: int) -> dict[str, float]:
    """Processor seconds by stage per kept episode, failed attempts included."""
    total: Counter[str] = Counter()
    for a in attempts:
        total.update(a.cpu_s)
    table = {k: round(v / kept, 3) for k, v in total.items()}
    return {**table, "total": round(sum(total.values()) / kept, 3)}


def _histogram(reasons: Counter[str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in reasons.most_common())
