"""`Carrier`: a scripted grasp, carry and release of one object. Plans from the present state, commands for all of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim.assets.scene import Scene
from phone2sim.assets.surface import Surface, surface_of
from phone2sim.augment.spec import EpisodeSpec, GoalSpec
from phone2sim.poses import Pose, quat_to_matrix
from phone2sim.sim_export.experts.base import Infeasible
from phone2sim.sim_export.experts.grasp import Grasp, find_grasps
from phone2sim.sim_export.experts.ik import ArmIK, pointing_down
from phone2sim.sim_export.mjcf import find_support
from phone2sim.sim_export.robots import Robot, get_robot
from phone2sim.sim_export.simulators.base import Simulator

# Share of the time at which each leg ends: above, down, closed, lifted, over the goal, lowered, opened, away.
LEGS = (0.18, 0.29, 0.37, 0.47, 0.69, 0.81, 0.87, 1.0)
LIFT_LEGS = (0.3, 0.48, 0.6, 0.9, 1.0)
"""Above, down, closed, lifted, held."""
IK_ERROR_M = 0.004
GRASPS_TRIED = 24
ABOVE_M = 0.09
CLEAR_M = 0.025
CLASHES_TRIED = 6
"""Routes that run into something before it is given up."""
DROP_GAP_M = 0.008
"""Fingers stay this far above a container's rim."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Commands that bring one object to its goal."""

    joints_rad: np.ndarray
    """(t, j)."""
    gripper: np.ndarray
    """(t,) opening 0–1."""
    grasp: Grasp
    held: np.ndarray
    """(t,) bool: frames in which the object should move with the hand."""


class Carrier:
    """Plans grasps and routes in one scene; keeps only what depends on assets and robots."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._surfaces: dict[str, Surface] = {}
        self._ik: dict[str, ArmIK] = {}

    def plan(
        self, sim: Simulator, spec: EpisodeSpec, goal: GoalSpec, goal_xyz: np.ndarray, q: np.ndarray, gripper: float, *,
        seconds: float, lift_only: bool = False,
    ) -> Plan:  # fmt: skip
        """Commands that move the goal's object from where it is to `goal_xyz` (3,), from joints `q` (j,) and an opening.

        Grasps are tried best first; one counts when the arm can follow its whole route and runs into nothing on it.
        Raises `Infeasible` with a reason: `too_wide`, `no_flat_sides`, `no_room_for_fingers`, `blocked_by_clutter`,
        `no_height`, `goal_blocked`, `unreachable`, `would_hit`.
        """
        object_poses = sim.object_poses()
        robot = get_robot(spec.robot.model)
        ik = self.ik(spec.robot.model)
        names = [o.name for o in spec.objects]
        k = names.index(goal.object)
        placed = self.surfaces(spec, object_poses)
        column = below(spec, goal)
        under = names.index(goal.on) if goal.on else -1
        clutter = np.concatenate([np.zeros((0, 3)), *(s.points for i, s in enumerate(placed) if i != k)])
        solid = np.concatenate([np.zeros((0, 3)), *(s.points for i, s in enumerate(placed) if i != k and names[i] not in column)])
        rim = placed[under].points[:, 2].max() if goal.drop else None
        job = _Job(
            base=Pose(np.array(spec.robot.base.translation), np.array(spec.robot.base.quat_wxyz)), q=q, gripper=gripper,
            pose=object_poses[k], surface=placed[k], clutter=clutter, solid=solid, goal=goal_xyz, rim_m=rim,
            frames=round(spec.fps * seconds), lift_only=lift_only,
        )  # fmt: skip
        reason, misses = "unreachable", 0
        for grasp in self.grasps(sim, spec, goal):
            route = self._route(job, grasp, robot)
            if route is None:
                reason = "goal_blocked"
                continue
            plan = self._follow(job, ik, grasp, route, robot.opening_m)
            if plan is None:
                continue
            hit = sim.clash(plan.joints_rad, plan.gripper, ignore=(goal.object, *column), carried=goal.object, held=plan.held)
            if not hit:
                return plan
            reason, misses = "would_hit", misses + 1
            if misses >= CLASHES_TRIED:
                break
        raise Infeasible(reason)

    def grasps(self, sim: Simulator, spec: EpisodeSpec, goal: GoalSpec) -> list[Grasp]:
        """The grasps to try on the goal's object where it is now, best first. Raises `Infeasible` with why there are none."""
        poses = sim.object_poses()
        k = [o.name for o in spec.objects].index(goal.object)
        placed = self.surfaces(spec, poses)
        clutter = np.concatenate([np.zeros((0, 3)), *(s.points for i, s in enumerate(placed) if i != k)])
        com = Pose(poses[k, :3], poses[k, 3:]).apply(self.scene.asset(spec.objects[k].asset).inertia.center_of_mass)
        table = find_support(self.scene, spec.support).height_m
        found, why = find_grasps(placed[k], com, clutter, robot=get_robot(spec.robot.model), table_m=table)
        if not found:
            raise Infeasible(why)
        return found[:: max(1, len(found) // GRASPS_TRIED)]

    def ik(self, model: str) -> ArmIK:
        """The robot's inverse kinematics, built once."""
        if model not in self._ik:
            self._ik[model] = ArmIK(get_robot(model))
        return self._ik[model]

    def surfaces(self, spec: EpisodeSpec, poses: np.ndarray) -> list[Surface]:
        """Every object's hull points where it is, world frame."""
        return [self._surface(o.asset).moved(quat_to_matrix(p[3:]), p[:3]) for o, p in zip(spec.objects, poses)]

    def _surface(self, asset: str) -> Surface:
        if asset not in self._surfaces:
            self._surfaces[asset] = surface_of(self.scene.asset(asset))
        return self._surfaces[asset]

    def _route(self, job: _Job, grasp: Grasp, robot: Robot) -> list[tuple[np.ndarray, float]] | None:
        """Way-points (pinch in the base frame, yaw) after the start: above, grasp, lift, over goal, lower, away."""
        T_base_world = job.base.inverse()
        base_yaw = _yaw(T_base_world.rotation)
        clutter, surface, object_pose = job.clutter, job.surface, job.pose
        high = clutter[:, 2].max() if len(clutter) else 0.0
        above = max(grasp.pinch[2] + ABOVE_M, min(high + 0.03, grasp.pinch[2] + 0.2))
        yaw = grasp.yaw_rad + base_yaw
        a = T_base_world.apply(grasp.pinch[None])[0]
        z0 = T_base_world.translation[2]
        if job.lift_only:
            up = np.array([a[0], a[1], max(job.goal[2] - object_pose[2] + grasp.pinch[2], above) + z0])
            return [(np.array([a[0], a[1], above + z0]), yaw), (a, yaw), (up, yaw)]
        start, goal = (T_base_world.apply(np.array([[*xy, 0.0]]))[0] for xy in (object_pose[:2], job.goal[:2]))
        turn = np.arctan2(goal[1], goal[0]) - np.arctan2(start[1], start[0])
        turn = (turn + np.pi) % (2 * np.pi) - np.pi
        R = Pose.from_xyz_yaw(np.zeros(3), turn).rotation
        end = job.goal + R @ (grasp.pinch - object_pose[:3])
        if job.rim_m is not None:
            end[2] = max(end[2], job.rim_m + robot.tip_below_pinch_m + DROP_GAP_M)
        if len(job.solid) and _blocked(surface.points, object_pose, R, job.goal[:2], job.solid):
            return None
        size = np.linalg.norm(surface.points[:, :2] - grasp.pinch[:2], axis=1).max()
        below = grasp.pinch[2] - surface.points[:, 2].min()
        track = _corridor(start, goal)
        c = T_base_world.apply(clutter)
        near = (
            np.linalg.norm(c[:, None, :2] - track[None, :, :2], axis=2).min(axis=1) < size + 0.03
            if len(c)
            else c[:, 0] > 0
        )
        top = clutter[near, 2].max() if near.any() else 0.0
        lift = max(grasp.pinch[2] + ABOVE_M, end[2] + CLEAR_M, top + below + CLEAR_M)
        up = np.array([0.0, 0.0, 1.0])
        b = T_base_world.apply(end[None])[0]
        away = max(above, end[2] + ABOVE_M) + 0.02 + z0
        return [
            (np.array([a[0], a[1], above + z0]), yaw), (a, yaw), (np.array([a[0], a[1], lift + z0]), yaw),
            (np.array([b[0], b[1], lift + z0]), yaw + turn), (b + 0.003 * up, yaw + turn),
            (np.array([b[0], b[1], away]), yaw + turn),
        ]  # fmt: skip

    def _follow(
        self, job: _Job, ik: ArmIK, grasp: Grasp, route: list[tuple[np.ndarray, float]], opening_m: float
    ) -> Plan | None:
        """Joint commands along the route, or None when the arm cannot follow it."""
        q0 = job.q
        p0, R0 = ik.pose(q0)
        yaw0 = float(np.arctan2(R0[1, 1], R0[0, 1]))
        # The gripper is symmetric: of the two equal yaws take the one that turns the wrist less, seen from the base.
        bearing = np.arctan2(route[0][0][1], route[0][0][0]) - np.arctan2(p0[1], p0[0])
        flip = np.pi * np.round((yaw0 + bearing - route[0][1]) / np.pi)
        route = [(p, y + flip) for p, y in route]
        q = q0
        for p, y in route:
            q, error = ik.solve(q, p, pointing_down(y), iterations=60)
            if error > IK_ERROR_M:
                return None

        ends = np.round(np.array(LIFT_LEGS if job.lift_only else LEGS) * job.frames).astype(int)
        stops = (0, 1, 1, 2, 2) if job.lift_only else (0, 1, 1, 2, 3, 4, 4, 5)
        joints = np.zeros((job.frames, len(q0)))
        q, (p_from, y_from), first = q0, (p0, yaw0), 0
        R_first = R0
        for leg, (last, (p_to, y_to)) in enumerate(zip(ends, (route[i] for i in stops))):
            for t in range(first, last):
                s = _smooth((t + 1 - first) / (last - first))
                p = _around_base(p_from, p_to, s)
                if leg == 0:
                    R = _blend(R_first, pointing_down(y_to), s)
                else:
                    R = pointing_down(y_from + s * (y_to - y_from))
                q, error = ik.solve(q, p, R)
                if error > (0.04 if leg == 0 else 0.012):
                    return None
                joints[t] = q
            p_from, y_from, first = p_to, y_to, last

        wide = grasp.opening_m / opening_m
        gripper = np.full(job.frames, wide)
        approach = np.linspace(job.gripper, wide, max(1, ends[0] // 2))
        gripper[: len(approach)] = approach
        close = min(8, ends[2] - ends[1])
        gripper[ends[1] : ends[1] + close] = np.linspace(wide, 0.0, close)
        gripper[ends[1] + close :] = 0.0
        held = np.zeros(job.frames, bool)
        held[ends[2] :] = True
        if not job.lift_only:
            opened = min(1.0, wide + 0.2)
            release = min(6, ends[6] - ends[5])
            ramp = np.linspace(grasp.width_m / opening_m, min(opened, grasp.width_m / opening_m + 0.35), release)
            gripper[ends[5] : ends[5] + release] = ramp
            gripper[ends[5] + release :] = ramp[-1]
            held[ends[5] :] = False
        return Plan(joints_rad=joints, gripper=gripper, grasp=grasp, held=held)


def below(spec: EpisodeSpec, goal: GoalSpec) -> list[str]:
    """Names of all that the goal's object is to stand on, top down."""
    out: list[str] = []
    on = goal.on
    while on is not None and on not in out:
        out.append(on)
        on = next((g.on for g in spec.task.goals if g.object == on), None)
    return out


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One object to be carried, in the world frame."""

    base: Pose
    q: np.ndarray
    gripper: float
    pose: np.ndarray
    surface: Surface
    clutter: np.ndarray
    """Points of every other object."""
    solid: np.ndarray
    """Of those that may not be where the object ends."""
    goal: np.ndarray
    rim_m: float | None
    """Height to stay above when letting go."""
    frames: int
    lift_only: bool


def _smooth(s: float) -> float:
    """Minimum jerk (Flash & Hogan 1985)."""
    return s**3 * (10 - 15 * s + 6 * s**2)


def _around_base(a: np.ndarray, b: np.ndarray, s: float) -> np.ndarray:
    """From a to b on an arc about the base's axis, so that the arm never folds over itself."""
    ra, rb = np.hypot(a[0], a[1]), np.hypot(b[0], b[1])
    fa = np.arctan2(a[1], a[0])
    turn = (np.arctan2(b[1], b[0]) - fa + np.pi) % (2 * np.pi) - np.pi
    r, f = ra + s * (rb - ra), fa + s * turn
    return np.array([r * np.cos(f), r * np.sin(f), a[2] + s * (b[2] - a[2])])


def _corridor(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.stack([_around_base(a, b, s) for s in np.linspace(0, 1, 24)])


def _blend(a: np.ndarray, b: np.ndarray, s: float) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    step = Rotation.from_matrix(a.T @ b).as_rotvec()
    return a @ Rotation.from_rotvec(s * step).as_matrix()


def _yaw(rotation: np.ndarray) -> float:
    return float(np.arctan2(rotation[1, 0], rotation[0, 0]))


def _blocked(points: np.ndarray, pose: np.ndarray, R: np.ndarray, goal_xy: np.ndarray, clutter: np.ndarray) -> bool:
    """Whether the object at its goal would overlap other objects, on a 6 mm grid of the table."""
    foot = (points - [*pose[:2], 0]) @ R.T + [*goal_xy, 0]
    return bool(set(map(tuple, _cells(foot))) & set(map(tuple, _cells(clutter))))


def _cells(points: np.ndarray) -> np.ndarray:
    return np.unique(np.floor(points[:, :2] / 0.006).astype(int), axis=0)
