"""One attempt at one episode, as a pure function of scene, recipe, seed and index; and a pool that runs many."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.assets.fingerprint import AssetHashes
from phone2sim.assets.scene import Scene
from phone2sim.augment.coverage import parameters
from phone2sim.augment.pairs import check_pairs, for_target
from phone2sim.augment.recipe import Recipe, load_recipe
from phone2sim.augment.sampler import sample_episode
from phone2sim.augment.spec import EpisodeSpec
from phone2sim.augment.tasks.grammar import with_task
from phone2sim.augment.workspace import PlacementError
from phone2sim.config import write_json
from phone2sim.keys import Key
from phone2sim.sim_export.engines import EngineError
from phone2sim.sim_export.episode import Episode, VideoWriter, commit
from phone2sim.sim_export.experts import Expert, Infeasible, make_expert
from phone2sim.sim_export.judge import Judge, unsettled
from phone2sim.sim_export.pairs import pair_of
from phone2sim.sim_export.robots import get_robot, robot_workspace
from phone2sim.sim_export.simulators import SIMULATORS

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a worker process needs to make any episode of a data set."""

    scene_dir: Path
    dataset_dir: Path
    recipe: str
    seed: int
    scene_fingerprint: str
    simulator: str
    pictures: bool
    target: str = ""
    """Kind of policy to make pairs for; empty leaves the recipe's own."""
    task: str = ""
    """Kind, file or sentence; empty leaves the recipe's own."""
    robot: str = ""
    """As `get_robot` takes it; empty leaves the recipe's own."""
    expert: str = ""
    """As `make_expert` takes it; empty leaves the recipe's own."""
    split: str = "train"
    """`ood` draws from the recipe's ranges out of distribution."""
    record: tuple[str, ...] = ()
    """Channels of `truth.CHANNELS` to keep beside the pictures."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """How attempt `index` ended."""

    index: int
    reason: str
    """Empty when an episode was committed."""
    cpu_s: dict[str, float] = field(default_factory=dict)

    @property
    def success(self) -> bool:
        return not self.reason


class Maker:
    """Makes attempts of one job; keeps the loaded scene, compiled models and planners between them."""

    def __init__(self, job: Job, *, scene: Scene | None = None) -> None:
        self.job = job
        self.scene = scene or Scene.load(job.scene_dir)
        self._recipe: Recipe | None = None
        self.simulator = SIMULATORS[job.simulator]()(self.scene)
        self._experts: dict[str, Expert] = {}
        self._workspace: Any = None
        self._hashes = AssetHashes(self.scene)

    @property
    def recipe(self) -> Recipe:
        if self._recipe is None:
            self._recipe = job_recipe(self.job, self.scene)
            self._workspace = robot_workspace(self.scene, self._recipe)
        return self._recipe

    def sample(self, index: int) -> EpisodeSpec:
        recipe = self.recipe
        return sample_episode(
            self.scene, recipe, Key(self.job.seed), index, scene_fingerprint=self.job.scene_fingerprint,
            hashes=self._hashes, workspace=self._workspace,
        )  # fmt: skip

    def attempt(self, index: int) -> Attempt:
        """Sample, simulate, and commit a picture-complete episode or a small record of why not."""
        cpu = _Stopwatch()
        try:
            with cpu("sample"):
                spec = self.sample(index)
        except PlacementError as e:
            return self._reject(index, "placement", cpu, detail=str(e))
        episode = self.simulate(spec, cpu)
        if not episode.success:
            return self._reject(index, episode.reason, cpu, spec=spec)
        folder = episode_folder(self.job.dataset_dir, index)
        partial = folder.parent / f".{folder.name}.partial-{os.getpid()}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            if self.job.pictures:
                self.render(episode, partial, cpu)
                self._render_pair(episode, partial, cpu)
            with cpu("write"):
                _with_times(episode, cpu).write(partial)
                commit(partial, folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        return Attempt(index=index, reason="", cpu_s=cpu.seconds)

    def _render_pair(self, episode: Episode, folder: Path, cpu: _Stopwatch) -> None:
        """The other renderings of the trajectory into `folder/variants`, and `pairs.json`: which, and why others not."""
        if not episode.spec.pair_id:
            return
        with cpu("pairs"):
            found, rejected = pair_of(self.scene, self.recipe, episode, workspace=self._workspace, hashes=self._hashes)
        for e in found:
            part = folder / "variants" / e.spec.variant
            part.mkdir(parents=True)
            (part / "spec.json").write_bytes(e.spec_bytes())
            self.render(e, part, cpu)
        write_json(folder / "pairs.json", {"variants": [e.spec.variant for e in found], "rejected": rejected})

    def simulate(self, spec: EpisodeSpec, cpu: _Stopwatch | None = None) -> Episode:
        """Settle, plan, and play the plan. A failed one is returned with its reason and the steps so far.

        What a pair only draws takes no part: its renderings have the same arrays."""
        return self._simulate(spec.physical(), cpu or _Stopwatch()).seen_as(spec)

    def _simulate(self, spec: EpisodeSpec, cpu: _Stopwatch) -> Episode:
        sim, robot = self.simulator, get_robot(spec.robot.model)
        bodies = tuple(dict.fromkeys(p.body for p in robot.render_parts()))
        names = robot.state_names
        with cpu("settle"):
            sim.load(spec)
        states: list[np.ndarray] = []
        actions: list[np.ndarray] = []
        objects: list[np.ndarray] = []
        arm: list[np.ndarray] = []
        progress: list[float] = []
        reason = unsettled(spec, sim.object_poses())
        if not reason:
            judge = Judge(spec, sim.object_poses())
            commands = self.expert(spec).commands(sim, spec, judge)
            while True:
                try:
                    with cpu("plan"):
                        command = next(commands, None)
                except Infeasible as e:
                    reason = e.reason
                    break
                if command is None:
                    break
                with cpu("physics"):
                    states.append(sim.joints())
                    objects.append(sim.object_poses())
                    arm.append(sim.robot_poses(bodies))
                    progress.append(judge.progress(judge.look(sim)))
                    # Commanded as it is recorded, so that the recorded actions lead to the recorded states.
                    action = np.r_[command.joints_rad, command.gripper].astype(np.float32)
                    actions.append(action)
                    sim.step(action[:-1].astype(float), float(action[-1]))
            reason = reason or judge.failure(judge.look(sim))
        n = len(states)
        return Episode(
            spec=spec, success=not reason, reason=reason, state_names=names, action_names=names,
            states=np.array(states).reshape(n, len(names)), actions=np.array(actions).reshape(n, len(names)),
            object_poses=np.array(objects).reshape(n, len(spec.objects), 7), robot_bodies=bodies,
            robot_poses=np.array(arm).reshape(n, len(bodies), 7), progress=np.array(progress),
        )  # fmt: skip

    def expert(self, spec: EpisodeSpec) -> Expert:
        """Who solves this episode."""
        name = spec.task.expert
        if name not in self._experts:
            self._experts[name] = make_expert(name, self.scene)
        return self._experts[name]

    def render(self, episode: Episode, folder: Path, cpu: _Stopwatch | None = None) -> None:
        """One video per camera into `folder`, from the episode's stored poses."""
        from phone2sim.sim_export.pictures import episode_frames
        from phone2sim.sim_export.record import recorded_frames

        cpu = cpu or _Stopwatch()
        spec = episode.spec
        videos = {
            c.name: VideoWriter(folder / f"{c.name}.mp4", width=c.width, height=c.height, fps=spec.fps, moving=bool(c.mount))
            for c in spec.cameras
        }
        frames = self.simulator.frames(episode, folder)
        if frames is None and self.job.record:
            frames = recorded_frames(self.scene, episode, folder, self.job.record)
        frames = frames or episode_frames(self.scene, episode)
        while True:
            with cpu("render"):
                pictures = next(frames, None)
            if pictures is None:
                break
            with cpu("encode"):
                for name, video in videos.items():
                    video.add(pictures[name])
        with cpu("encode"):
            for video in videos.values():
                video.close()

    def _reject(
        self, index: int, reason: str, cpu: _Stopwatch, *, spec: EpisodeSpec | None = None, detail: str = ""
    ) -> Attempt:
        attempt = Attempt(index=index, reason=reason, cpu_s=cpu.seconds)
        target = spec.task.target if spec else ""
        path = reject_file(self.job.dataset_dir, index)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
        write_json(
            partial,
            {
                "index": index, "reason": reason, "target": target, "detail": detail, "cpu_s": cpu.seconds,
                "parameters": parameters(spec) if spec else None,
            },  # fmt: skip
        )
        os.replace(partial, path)
        return attempt


def job_recipe(job: Job, scene: Scene) -> Recipe:
    """The recipe of a job, with what its target, task, robot and expert ask for. Raises `RecipeError`, `InputError`."""
    recipe = load_recipe(job.recipe)
    recipe = for_target(recipe, job.target) if job.target else recipe
    recipe = with_task(recipe, job.task, scene)
    if job.robot:
        recipe = recipe.model_copy(update={"robot": job.robot})
    if job.expert:
        recipe = recipe.model_copy(update={"task": recipe.task.model_copy(update={"expert": job.expert})})
    recipe = recipe.for_split(job.split)
    check_pairs(recipe)
    return recipe


def episode_folder(dataset_dir: Path, index: int) -> Path:
    return dataset_dir / "episodes" / f"{index:06d}"


def reject_file(dataset_dir: Path, index: int) -> Path:
    return dataset_dir / "rejected" / f"{index:06d}.json"


class _Stopwatch:
    """Processor seconds by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.process_time()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - start


def _with_times(episode: Episode, cpu: _Stopwatch) -> Episode:
    from dataclasses import replace

    return replace(episode, cpu_s=dict(cpu.seconds))


class InlinePool:
    """Attempts in this process, one at a time."""

    slots = 1

    def __init__(self, job: Job) -> None:
        self._maker = Maker(job)

    def run(self, index: int) -> Future[Attempt]:
        future: Future[Attempt] = Future()
        future.set_result(self._maker.attempt(index))
        return future

    def close(self) -> None:
        self._maker.simulator.close()


class ProcessPool:
    """Attempts in spawned single-threaded processes."""

    def __init__(self, job: Job, workers: int) -> None:
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        self.slots = workers
        with single_threaded():
            self._pool = ProcessPoolExecutor(
                workers, mp_context=get_context("spawn"), initializer=_start_worker, initargs=(job,)
            )

    def run(self, index: int) -> Future[Attempt]:
        with single_threaded():
            return self._pool.submit(_worker_attempt, index)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def single_threaded() -> Iterator[None]:
    """Environment in which child processes start with one thread each."""
    old = {k: os.environ.get(k) for k in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for k, v in old.items():
            if v is None:
                os.environ.pop(k, None)
            else:
                os.environ[k] = v


def first_done(futures: dict[Future[Attempt], int]) -> list[Attempt]:
    """Wait for at least one of them and take those that are done out of the dictionary.

    Raises `EngineError` when a worker's process was ended from outside.
    """
    done, _ = wait(futures, return_when=FIRST_COMPLETED)
    for f in done:
        del futures[f]
    try:
        return [f.result() for f in done]
    except BrokenExecutor:
        raise EngineError(
            "A worker was ended from outside; memory may have run out. What is committed is kept.",
            hint="Run the same command again with fewer --workers.",
        ) from None


_maker: Maker | None = None


def _start_worker(job: Job) -> None:
    global _maker
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _maker = Maker(job)


def _end_with_parent() -> None:
    """A killed parent says nothing to its workers, and their queue would wait for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _worker_attempt(index: int) -> Attempt:
    assert _maker is not None
    return _maker.attempt(index)
