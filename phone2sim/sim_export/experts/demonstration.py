"""`DemonstrationExpert`: a recorded hand's path, carried over to this episode's object and goal.

The path is cut at the grasp and the release. Before the grasp it is moved so that the recorded closing falls on a grasp of
this object; after the release so that the recorded opening falls where this object must end; between, from the one to
the other. It is turned about the vertical as the way to the goal is. Speeds and detours are the demonstrator's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from phone2sim.assets.scene import Scene
from phone2sim.augment.spec import EpisodeSpec
from phone2sim.errors import InputError
from phone2sim.poses import Pose
from phone2sim.sim_export.experts.base import Command, Infeasible
from phone2sim.sim_export.experts.carry import Carrier, Plan, below
from phone2sim.sim_export.experts.grasp import Grasp
from phone2sim.sim_export.experts.ik import ArmIK, pointing_down
from phone2sim.sim_export.experts.recording import Recording, read_recordings
from phone2sim.sim_export.judge import Judge
from phone2sim.sim_export.robots import get_robot
from phone2sim.sim_export.simulators.base import Simulator

PATH_ERROR_M = 0.015
APPROACH_S = 1.5
"""To get from the start posture to the beginning of the path."""
CLOSE_S, RELEASE_S = 0.4, 0.3
UPRIGHT_S = 0.4
"""Around grasp and release the hand is straight; away from them it leans as the demonstrator's did."""
MOST_LEAN_RAD = 0.6
SPEED_RAD_S = 2.0
"""A path that asks more of a joint is played slower."""
CLEAR_M = 0.03


class DemonstrationExpert:
    """Replays one of a file's demonstrations per episode, in turn."""

    def __init__(self, scene: Scene, path: Path) -> None:
        self.carrier = Carrier(scene)
        self.recordings = read_recordings(path)

    def commands(self, sim: Simulator, spec: EpisodeSpec, judge: Judge) -> Iterator[Command]:
        """Raises `Infeasible` with a grasp's reason, `unreachable` or `would_hit`; `InputError` for a task that it does
        not fit."""
        if spec.task.kind not in ("pick", "place", "stack") or len(spec.task.goals) != 1:
            raise InputError(
                f"A demonstration cannot do task {spec.task.kind!r} with {len(spec.task.goals)} goals.",
                hint="It carries one object: use pick, place, or stack with two objects.",
            )
        goal = spec.task.goals[0]
        recording = self.recordings[spec.index % len(self.recordings)]
        now = judge.look(sim)
        robot = get_robot(spec.robot.model)
        if not robot.fingers:
            raise Infeasible("no_gripper")
        k = now.index(goal.object)
        column = below(spec, goal)
        reason = "unreachable"
        for grasp in self.carrier.grasps(sim, spec, goal):
            path = retarget(recording, grasp, now.poses[k, :3], now.goal_position(goal), lift_only=judge.task.lift_only)
            plan = self._follow(path, grasp, spec, self.carrier.ik(spec.robot.model), robot.opening_m)
            if plan is None:
                continue
            if not sim.clash(plan.joints_rad, plan.gripper, ignore=(goal.object, *column), carried=goal.object, held=plan.held):
                for q, g in zip(plan.joints_rad, plan.gripper):
                    yield Command(q, float(g))
                return
            reason = "would_hit"
        raise Infeasible(reason)

    def _follow(self, path: Recording, grasp: Grasp, spec: EpisodeSpec, ik: ArmIK, opening_m: float) -> Plan | None:
        """Commands along a path in the world, at the episode's rate; None where the arm cannot."""
        base = Pose(np.array(spec.robot.base.translation), np.array(spec.robot.base.quat_wxyz)).inverse()
        fps = spec.fps
        times = path.times_s
        n = max(2, round(float(times[-1]) * fps))
        at = np.arange(n + 1) / fps
        p = np.stack([np.interp(at, times, c) for c in path.positions.T], axis=1)
        nearest = np.clip(np.searchsorted(times, at), 0, len(times) - 1)
        R = path.rotations[nearest]
        close, release = float(times[path.closing]), float(times[path.opening])
        q = np.array(spec.robot.qpos)
        p0, R0 = ik.pose(q)
        joints: list[np.ndarray] = []
        start, turn = base.apply(p[:1])[0], base.rotation @ R[0]
        for s in _ease(np.arange(1, round(APPROACH_S * fps) + 1) / round(APPROACH_S * fps)):
            q, _ = ik.solve(q, p0 + s * (start - p0), _between(R0, turn, s))
            joints.append(q)
        begin = len(joints)
        for i in range(n + 1):
            q, error = ik.solve(q, base.apply(p[i : i + 1])[0], base.rotation @ R[i], iterations=4)
            if error > PATH_ERROR_M:
                return None
            joints.append(q)
        track = np.array(joints)
        shut, let_go = begin + round(close * fps), begin + round(release * fps)
        track, shut, let_go = _slowed(track, (shut, let_go), SPEED_RAD_S / fps)
        wait, ramp = round(CLOSE_S * fps), round(RELEASE_S * fps)
        hold = np.tile(track[shut], (wait, 1))
        track = np.concatenate([track[: shut + 1], hold, track[shut + 1 : let_go + 1], np.tile(track[let_go], (ramp, 1)),
                                track[let_go + 1 :]])  # fmt: skip
        let_go += wait
        wide, width = grasp.opening_m / opening_m, grasp.width_m / opening_m
        gripper = np.full(len(track), wide)
        gripper[: min(len(track), fps)] = np.linspace(spec.robot.gripper, wide, min(len(track), fps))
        gripper[shut : shut + wait] = np.linspace(wide, 0.0, wait)
        gripper[shut + wait :] = 0.0
        held = np.zeros(len(track), bool)
        held[shut + wait : let_go] = True
        if path.releases:
            opened = np.linspace(width, min(1.0, width + 0.35), ramp)
            gripper[let_go : let_go + ramp] = opened
            gripper[let_go + ramp :] = opened[-1]
        else:
            held[let_go:] = True
        return Plan(joints_rad=track, gripper=gripper, grasp=grasp, held=held)


def retarget(
    recording: Recording, grasp: Grasp, start: np.ndarray, goal: np.ndarray, *, lift_only: bool = False
) -> Recording:
    """The recording as a path of the pinch in this world, z of the hand along the approach.

    At the closing the pinch is on `grasp`, at the opening where the grasp is once the object, from `start` (3,), is at
    `goal` (3,). With `lift_only` it ends before the demonstrator comes down again, and keeps hold.
    """
    r = recording
    p = r.positions
    a, b = p[r.closing], p[r.opening]
    way, told = (goal - start)[:2], (b - a)[:2]
    psi = 0.0
    if np.linalg.norm(way) > 0.02 and np.linalg.norm(told) > 0.02 and not lift_only:
        psi = float(np.arctan2(way[1], way[0]) - np.arctan2(told[1], told[0]))
    Rz = _about_z(psi)
    turned = np.array([_yaw_lean(Rz @ R @ r.rotations[r.closing].T @ Rz.T) for R in r.rotations])
    yaw = np.unwrap(turned[:, 0])
    final_yaw = yaw[r.opening]
    end = grasp.pinch + (goal - start) + _about_z(final_yaw) @ (grasp.pinch - start) - (grasp.pinch - start)
    end = end + [0, 0, 0.003]
    near = grasp.pinch + (p - a) @ Rz.T
    far = end + (p - b) @ Rz.T
    share = np.clip((np.arange(len(p)) - r.closing) / max(1, r.opening - r.closing), 0, 1)
    if lift_only:
        share = np.zeros(len(p))
    s = _ease(share)[:, None]
    path = (1 - s) * near + s * far
    since = np.minimum(np.abs(r.times_s - r.times_s[r.closing]), np.abs(r.times_s - r.times_s[r.opening]))
    lean = np.clip(since / UPRIGHT_S, 0, 1)[:, None] * turned[:, 1:]
    size = np.linalg.norm(lean, axis=1, keepdims=True)
    lean = lean * np.minimum(1.0, MOST_LEAN_RAD / np.maximum(size, 1e-9))
    floor = min(grasp.pinch[2], end[2])
    path[:, 2] = np.maximum(path[:, 2], floor)
    rotations = np.stack([_lean(v) @ pointing_down(grasp.yaw_rad + y) for v, y in zip(lean, yaw)])
    out = replace(r, positions=path, rotations=rotations)
    if not lift_only:
        return out
    top = r.closing + int(np.argmax(path[r.closing : r.opening + 1, 2]))
    stop = max(top, r.closing + 1)
    return replace(
        out, times_s=r.times_s[: stop + 1], positions=path[: stop + 1], rotations=rotations[: stop + 1], opening=stop
    )


def _slowed(track: np.ndarray, marks: tuple[int, int], most: float) -> tuple[np.ndarray, int, int]:
    """The same path with no step larger than `most` [rad], and where the marked frames went."""
    steps = np.abs(np.diff(track, axis=0)).max(axis=1)
    time = np.concatenate([[0.0], np.cumsum(np.maximum(1.0, steps / most))])
    at = np.arange(int(np.floor(time[-1])) + 1)
    slow = np.stack([np.interp(at, time, c) for c in track.T], axis=1)
    return slow, round(float(time[marks[0]])), min(round(float(time[marks[1]])), len(slow) - 1)


def _yaw_lean(R: np.ndarray) -> np.ndarray:
    """A rotation as (turn about z, lean as a rotation vector (x, y)): R = lean ∘ turn."""
    from scipy.spatial.transform import Rotation

    up = R[:, 2]
    axis = np.cross([0.0, 0, 1], up)
    s = np.linalg.norm(axis)
    lean = axis / s * np.arctan2(s, up[2]) if s > 1e-9 else np.zeros(3)
    flat = Rotation.from_rotvec(-lean).as_matrix() @ R
    return np.array([np.arctan2(flat[1, 0], flat[0, 0]), lean[0], lean[1]])


def _lean(v: np.ndarray) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec([v[0], v[1], 0.0]).as_matrix()


def _about_z(a: float) -> np.ndarray:
    c, s = np.cos(a), np.sin(a)
    return np.array([[c, -s, 0.0], [s, c, 0], [0, 0, 1]])


def _between(a: np.ndarray, b: np.ndarray, s: float) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return a @ Rotation.from_rotvec(s * Rotation.from_matrix(a.T @ b).as_rotvec()).as_matrix()


def _ease(s: np.ndarray) -> np.ndarray:
    """Minimum jerk (Flash & Hogan 1985)."""
    return s**3 * (10 - 15 * s + 6 * s**2)
