"""`branch`: states of a dataset's episodes, K futures from each, what became of them, and a value model of it.

OUT/  branches.jsonl  <episode>/<frame>/<k>/ (canonical episodes of the chunk)  value.npz  manifest.json
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from phone2sim import __version__
from phone2sim.assets.scene import Scene
from phone2sim.config import Config, read_json, write_json
from phone2sim.errors import InputError
from phone2sim.keys import Key
from phone2sim.progress import progress
from phone2sim.sim_export.branches.chunks import draw_futures
from phone2sim.sim_export.branches.value import FEATURES, ValueModel, features, rank_table
from phone2sim.sim_export.episode import Episode, VideoWriter, commit
from phone2sim.sim_export.origin import identity_of, manifest_of, scene_of
from phone2sim.sim_export.world import World
from phone2sim.stage import fingerprint

DISCOUNT = 0.99
"""Per step, of the return."""
FIRST, LAST = 0.12, 0.8
"""Share of an episode between which states are chosen."""
VERSION = 2
BEGUN = "begun.json"
"""Beside unfinished branches: what they are of."""


class BranchConfig(Config):
    """How much to branch."""

    episodes: int = Field(default=8, ge=1)
    """Episodes of the dataset, the first ones."""
    states: int = Field(default=3, ge=1)
    """Chosen per episode."""
    branches: int = Field(default=8, ge=2)
    """Futures per state; the first is as recorded."""
    horizon_s: float = Field(default=1.0, gt=0)
    """Length of a chunk of actions."""
    seed: int = 0
    pictures: bool = True
    """Videos of the chunks."""


def branch(
    dataset_dir: Path, out: Path, config: BranchConfig | None = None, *, scene_dir: Path | None = None
) -> dict[str, Any]:
    """Branch the episodes of a dataset; returns the manifest (`branches`, `states`, `successes`, `ranking`).

    `branches.jsonl` has a row per future: `branch_id`, `episode`, `frame`, `kind`, `success` (of the task, with the recorded
    actions carried on after the chunk), `progress` before, after the chunk and at the end, `contacts` (frames of the chunk in
    which the robot touched each object), `return` (discounted gain of progress to the end), `value` (progress at the end: the
    label), `features`. Raises `InputError` when `out` holds something else.
    """
    config = config or BranchConfig()
    identity = identity_of(dataset_dir, "simulator")
    manifest = manifest_of(dataset_dir, "digest")
    scene_dir = scene_of(dataset_dir, scene_dir)
    known = {"fingerprint": fingerprint(VERSION, manifest["digest"], config.model_dump_json())}
    if (out / "manifest.json").exists() and read_json(out / "manifest.json").get("fingerprint") == known["fingerprint"]:
        return read_json(out / "manifest.json")
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty.", hint="Choose another folder, or delete this one.")
    world = World(Scene.load(scene_dir), pictures=False, simulator=identity["simulator"])
    folders = [dataset_dir / f for f in manifest["episodes"][: config.episodes]]
    partial = out.with_name(f".{out.name}.partial")
    rows = _earlier(partial, known, config.branches)
    finished = {(r["episode"], r["frame"]) for r in rows}
    with progress("Branches", total=len(folders) * config.states, unit="states") as bar:
        for folder in folders:
            episode = Episode.read(folder)
            for frame in choose_frames(episode, config):
                if (folder.name, frame) not in finished:
                    shutil.rmtree(partial / folder.name / f"{frame:04d}", ignore_errors=True)
                    new = list(_branch_state(world, episode, folder.name, frame, config, partial))
                    with (partial / "branches.jsonl").open("a") as f:
                        f.write(_lines(new))
                    rows += new
                good = np.mean([r["success"] for r in rows])
                bar.advance(1, note=f"{len(rows)} futures, {100 * good:.0f} % succeed")
    result = {
        **known, "schema": 1, "dataset": str(dataset_dir), "states": len({(r["episode"], r["frame"]) for r in rows}),
        "branches": len(rows), "successes": sum(r["success"] for r in rows), "config": config.model_dump(mode="json"),
        "ranking": fit_and_rank(rows, partial, seed=config.seed), "features": FEATURES, "phone2sim": __version__,
    }  # fmt: skip
    write_json(partial / "manifest.json", result)
    (partial / BEGUN).unlink()
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)
    return result


def _earlier(partial: Path, known: dict[str, Any], branches: int) -> list[dict[str, Any]]:
    """The rows of the states that an interrupted run of the same settings finished; `partial` holds nothing else."""
    path = partial / "branches.jsonl"
    rows: list[dict[str, Any]] = []
    if path.exists() and (partial / BEGUN).exists() and (partial / BEGUN).read_text() == json.dumps(known):
        for line in path.read_text().splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:  # cut off while it was written
                break
        rows = rows[: len(rows) - len(rows) % branches]
    else:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        (partial / BEGUN).write_text(json.dumps(known))
    path.write_text(_lines(rows))
    return rows


def _lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(r) + "\n" for r in rows)


def choose_frames(episode: Episode, config: BranchConfig) -> list[int]:
    """One step drawn from each of `states` equal parts of the episode's middle; the same for the same episode."""
    key = Key(config.seed).child("branches", episode.spec.index)
    edges = np.linspace(FIRST, LAST, config.states + 1) * len(episode)
    return [
        int(key.child("state", i).rng().integers(int(a), max(int(b), int(a) + 1)))
        for i, (a, b) in enumerate(zip(edges, edges[1:]))
    ]


def fit_and_rank(rows: list[dict[str, Any]], folder: Path, *, seed: int) -> dict[str, Any] | None:
    """Train a value model on four fifths of the episodes, write it to `folder/value.npz`, and rank the futures of the
    rest. None with fewer than five episodes, or where no state has futures of different worth."""
    names = sorted({r["episode"] for r in rows})
    held_out = set(names[::5])
    train = [r for r in rows if r["episode"] not in held_out]
    if len(names) < 5 or len({r["success"] for r in train}) < 2:
        return None
    model = ValueModel.fit(np.array([r["features"] for r in train]), np.array([r["value"] for r in train]), seed=seed)
    model.save(folder / "value.npz")
    return rank_table([r for r in rows if r["episode"] in held_out], model)


def _branch_state(
    world: World, episode: Episode, name: str, frame: int, config: BranchConfig, out: Path
) -> Iterator[dict[str, Any]]:
    """Play the record up to `frame`, then every future from exactly that state."""
    spec = episode.spec
    world.reset(spec)
    for action in episode.actions[:frame]:
        world.step(action)
    saved, before = world.state(), world.progress
    horizon = min(max(2, round(config.horizon_s * spec.fps)), len(episode) - frame)
    key = Key(config.seed).child("branches", spec.index, frame)
    futures = draw_futures(episode.actions, frame, horizon, config.branches, key, fps=spec.fps)
    for k, (kind, actions) in enumerate(futures):
        world.set_state(saved)
        branch_id = f"{spec.seed}-{spec.index:06d}-{frame:04d}-{k}"
        chunk = _Chunk(world)
        contacts = np.zeros(len(spec.physical().objects), int)
        seen = [before]
        for t, action in enumerate(actions):
            if t < horizon:
                chunk.look(action)
            world.step(action)
            seen.append(world.progress)
            if t < horizon:
                contacts += world.moment.touched
            if t + 1 == horizon:
                after, at_end = features(world), world.progress
        gains = np.diff(seen)
        success = not world.reason
        yield {
            "branch_id": branch_id, "episode": name, "frame": frame, "kind": kind, "success": success,
            "reason": world.reason, "progress": [round(before, 6), round(at_end, 6), round(seen[-1], 6)],
            "contacts": dict(zip([o.name for o in spec.physical().objects], contacts.tolist())),
            "return": round(float(gains @ DISCOUNT ** np.arange(len(gains))), 6),
            "value": 1.0 if success else round(seen[-1], 6), "features": [round(float(x), 6) for x in after],
        }  # fmt: skip
        if config.pictures:
            chunk.write(world, episode, branch_id, success, world.reason, frame, out / name / f"{frame:04d}" / str(k))


class _Chunk:
    """Records the frames of one chunk."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rows: list[tuple[Any, ...]] = []

    def look(self, action: np.ndarray) -> None:
        """Before the action is carried out."""
        sim = self._world.simulator
        self._rows.append(
            (
                sim.joints(),
                np.asarray(action),
                sim.object_poses(),
                sim.robot_poses(self._world.bodies),
                self._world.progress,
            )
        )

    def write(
        self, world: World, whole: Episode, branch_id: str, success: bool, reason: str, frame: int, folder: Path
    ) -> None:  # fmt: skip
        """The chunk as a canonical episode with its videos; picture noise is that of the whole episode's frames."""
        from dataclasses import replace

        from phone2sim.sim_export.pictures import SpecPictures

        states, actions, objects, robot, progress = (np.array(x) for x in zip(*self._rows))
        spec = whole.spec.physical().model_copy(update={"branch_id": branch_id})
        chunk = replace(
            whole, spec=spec, success=success, reason=reason, states=states, actions=actions, object_poses=objects,
            robot_poses=robot, robot_bodies=world.bodies, progress=progress, cpu_s={}, folder=None,
        )  # fmt: skip
        partial = folder.with_name(f".{folder.name}.partial")
        partial.mkdir(parents=True)
        videos = {
            c.name: VideoWriter(partial / f"{c.name}.mp4", width=c.width, height=c.height, fps=spec.fps, moving=bool(c.mount))
            for c in spec.cameras
        }
        pictures = SpecPictures(world.scene, spec, world.bodies, cache=world.backgrounds)
        for t in range(len(chunk)):
            for name, rgb in pictures.draw(chunk.object_poses[t], chunk.robot_poses[t], frame + t).items():
                videos[name].add(rgb)
        for video in videos.values():
            video.close()
        chunk.write(partial)
        commit(partial, folder)
