"""`SamplingPlanner`: imagine K futures from the present state in physics, score each, carry out the first chunk of the
best, look again. What a policy does inside a neural simulator, on the real one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from phone2sim.assets.scene import Scene
from phone2sim.augment.spec import EpisodeSpec, ObjectSpec
from phone2sim.augment.tasks import Moment
from phone2sim.keys import Key
from phone2sim.poses import Pose
from phone2sim.sim_export.experts.base import Command, Infeasible
from phone2sim.sim_export.experts.carry import Carrier
from phone2sim.sim_export.experts.strokes import Stroke, Strokes
from phone2sim.sim_export.judge import Judge
from phone2sim.sim_export.mjcf import find_support
from phone2sim.sim_export.robots import get_robot
from phone2sim.sim_export.simulators.base import Simulator

FUTURES = 16
CHUNK = 8
"""Frames carried out before looking again."""
LOOKS = 3
"""Times to look again, wider, when no future is better than the present, before it is given up."""
REST_FRAMES = 6
"""Imagined after a stroke, so that what slides or tips has come to rest."""
TIME_COST = 0.002
"""Per frame: of two ways the shorter."""
CLUMSY_COST = 0.4
"""For each object that is moved although it is not the task's."""
MOVED_M = 0.01
LEAST_GAIN = 0.005
OPENING = 0.4
"""Two spread fingers push steadier than one closed fist."""

Value = Callable[[Moment], float]
"""How good a state is; the task's progress by default. A learned one takes its place."""


class SamplingPlanner:
    """Solves a task from its `progress` alone, by pushing. Draws are named by episode and decision: the same each time."""

    def __init__(self, scene: Scene, *, value: Value | None = None, futures: int = FUTURES) -> None:
        self.carrier = Carrier(scene)
        self.value = value
        self.futures = futures

    def commands(self, sim: Simulator, spec: EpisodeSpec, judge: Judge) -> Iterator[Command]:
        """Raises `Infeasible` (`unreachable`) when no stroke can be made at the start."""
        robot = get_robot(spec.robot.model)
        table = find_support(self.carrier.scene, spec.support).height_m
        base = Pose(np.array(spec.robot.base.translation), np.array(spec.robot.base.quat_wxyz))
        strokes = Strokes(
            self.carrier.ik(spec.robot.model), base, height_m=table + robot.tip_below_pinch_m + 0.008, fps=spec.fps
        )
        key = Key(spec.seed).child("episode", spec.index, "planner")
        limit = round(spec.fps * spec.duration_s)
        q, grip = np.array(spec.robot.qpos), spec.robot.gripper
        last: Stroke | None = None  # the stroke that goes on
        touching = False
        done = stuck = 0
        for decision in range(limit):
            now = judge.look(sim)
            if not judge.failure(now) or done >= limit:
                break
            options = self._proposals(strokes, spec, now, q, last, touching, key.child(decision), wide=1.0 + stuck)
            best = self._best(sim, judge, now, options, grip)
            if best is None:
                if last is None and stuck == LOOKS:
                    if not touching:
                        raise Infeasible("unreachable")
                    break
                stuck += last is None
                last = None  # pushing on is of no use: go round, looking ever wider
                continue
            stuck = 0
            for q in best.joints_rad[: best.air + CHUNK]:
                grip += float(np.clip(OPENING - grip, -0.1, 0.1))
                yield Command(q, grip)
                done += 1
            last, touching = best, True
        if touching:
            top = max(s.points[:, 2].max() for s in self.carrier.surfaces(spec, sim.object_poses()))
            for away in strokes.away(q, min(top, table + 0.15)):
                yield Command(away, grip)
                q = away
        for _ in range(spec.fps // 2):
            yield Command(q, grip)

    def _proposals(
        self, strokes: Strokes, spec: EpisodeSpec, now: Moment, q: np.ndarray, last: Stroke | None,
        touching: bool, key: Key, *, wide: float,
    ) -> list[Stroke]:  # fmt: skip
        """Strokes around the direction in which an object should go; of those going on, small turns of the last one."""
        rng = key.rng()
        surfaces = self.carrier.surfaces(spec, now.poses)
        top = max(float(s.points[:, 2].max()) for s in surfaces)
        out: list[Stroke | None] = []
        wanted = _wanted(now)
        for i in range(round(self.futures * min(wide, 2.0))):
            k, way = wanted[i % len(wanted)]
            far = 0.15 if way is None else float(np.linalg.norm(way))
            angle = rng.uniform(-np.pi, np.pi) if way is None else np.arctan2(way[1], way[0])
            spread, aside, share = wide * rng.normal(0, 0.35), wide * rng.normal(0, 0.008), rng.uniform(0.8, 1.15)
            if i < len(wanted) and wide == 1:
                spread, aside, share = 0.0, 0.0, 1.0
            d = np.array([np.cos(angle + spread), np.sin(angle + spread)])
            if last is None:
                length = float(np.clip(far * share, 0.03, 0.3))
                points = surfaces[k].points
                out.append(
                    strokes.around(q, points, d, aside_m=aside, length_m=length, top_m=top, touching=touching)
                )
            else:
                length = float(np.clip(far * share, 0.01, 0.08))
                turn = np.arctan2(last.direction[0] * d[1] - last.direction[1] * d[0], last.direction @ d)
                if abs(turn) < 0.8:
                    out.append(strokes.onward(q, last.rotation, d, length))
        if last is not None:
            out.append(Stroke(joints_rad=np.tile(q, (CHUNK, 1)), air=0, direction=last.direction, rotation=last.rotation))
        return [s for s in out if s is not None]

    def _best(self, sim: Simulator, judge: Judge, now: Moment, options: list[Stroke], grip: float) -> Stroke | None:
        """The stroke whose imagined future is worth most, if it is worth more than to stay."""
        if not options:
            return None
        frames = max(len(s.joints_rad) for s in options) + REST_FRAMES
        joints = np.stack([_hold(s.joints_rad, frames) for s in options])
        opening = grip + np.clip(OPENING - grip, -0.1 * np.arange(1, frames + 1), 0.1 * np.arange(1, frames + 1))
        futures = sim.imagine(joints, np.tile(opening, (len(options), 1)))
        free = np.array([not _concerned(o, judge.spec) for o in judge.spec.objects])
        here = self._worth(judge, now)
        scores = []
        for s, poses, speeds, touched in zip(options, futures.poses, futures.speeds, futures.touched):
            then = judge.moment(poses, speeds, touched)
            shift = np.linalg.norm(poses[:, :3] - now.poses[:, :3], axis=1)
            clumsy = CLUMSY_COST * int((shift[free] > MOVED_M).sum())
            scores.append(self._worth(judge, then) - TIME_COST * len(s.joints_rad) * (0.5 if s.air else 1.0) - clumsy)
        best = int(np.argmax(scores))
        gain = scores[best] + TIME_COST * len(options[best].joints_rad) - here
        return options[best] if gain > LEAST_GAIN else None

    def _worth(self, judge: Judge, moment: Moment) -> float:
        return self.value(moment) if self.value is not None else judge.progress(moment)


def _wanted(now: Moment) -> list[tuple[int, np.ndarray | None]]:
    """(object, way to go (2,) or None for any) of each unreached goal; without goals each object of the task."""
    task = now.spec.task
    open_goals = [g for g in task.goals if not now.at_goal(g)] or list(task.goals)
    if open_goals:
        return [
            (k, now.goal_position(g)[:2] - now.poses[k, :2]) for g in open_goals for k in [now.index(g.object)]
        ]
    return [(k, None) for k, o in enumerate(now.spec.objects) if _concerned(o, now.spec)]


def _concerned(o: ObjectSpec, spec: EpisodeSpec) -> bool:
    return o.role != "clutter" or o.name == spec.task.target


def _hold(joints: np.ndarray, frames: int) -> np.ndarray:
    """The commands, then the last one again until `frames`."""
    return np.concatenate([joints, np.tile(joints[-1], (frames - len(joints), 1))])
