"""`MujocoSimulator`: MuJoCo behind the `Simulator` protocol. A model is compiled once per set of objects."""

from __future__ import annotations

import copy
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.assets.scene import Scene
from phone2sim.augment.spec import EpisodeSpec
from phone2sim.errors import InputError
from phone2sim.poses import Pose
from phone2sim.sim_export.episode import Episode
from phone2sim.sim_export.mjcf import TIMESTEP_S, add_object, add_surface, base_spec, find_support
from phone2sim.sim_export.robots import get_robot
from phone2sim.sim_export.robots.base import Robot
from phone2sim.sim_export.simulators.base import Futures

PREFIX = "robot/"
CACHED_MODELS = 16
SETTLE_S = 1.5
CLASH_EVERY = 3
"""Frames between the poses that are checked along a path."""


def compile_world(scene: Scene, spec: EpisodeSpec, robot: Robot) -> Any:
    """`MjModel` of the scene's surfaces, the spec's objects and its robot (names prefixed `robot/`), before anything is placed."""
    world = base_spec("phone2sim_episode")
    files: dict[str, bytes] = {}
    find_support(scene, spec.support)
    for surface in scene.surfaces:
        add_surface(world, surface, files)
    for o in spec.objects:
        add_object(world, scene.asset(o.asset), o.name, files)
    arm = robot.build(visual=False)
    world.assets = files
    world.worldbody.add_frame().attach_body(arm.body("base"), PREFIX, "")
    return world.compile()


def damping_ratio(restitution: float) -> float:
    """Of a contact that behaves as a spring and damper and returns that share of the speed (Nagurka & Huang 2004)."""
    if restitution <= 0.01:
        return 1.0
    loss = -np.log(min(restitution, 0.95))
    return float(loss / np.hypot(np.pi, loss))


def _threads() -> int:
    """As many as `OMP_NUM_THREADS` says (1 in worker processes), else as there are processors."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdigit() and int(wanted) > 0 else os.cpu_count() or 1


class MujocoSimulator:
    """One MuJoCo world for episodes of a scene. Equal specs give equal trajectories, whatever ran before."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._models: OrderedDict[tuple, Any] = OrderedDict()

    def load(self, spec: EpisodeSpec) -> None:
        import mujoco

        self.spec = spec
        self.robot = get_robot(spec.robot.model)
        if len(spec.robot.qpos) != len(self.robot.joints):
            raise InputError(
                f"Episode {spec.index}: {self.robot.name} has {len(self.robot.joints)} joints, got {len(spec.robot.qpos)}."
            )
        steps = 1.0 / spec.fps / TIMESTEP_S
        if abs(steps - round(steps)) > 1e-9:
            raise InputError(
                f"{spec.fps} frames/s is not a whole number of {TIMESTEP_S * 1e3:g} ms steps.",
                hint="Use 10, 20, 25 or 50.",
            )
        self._substeps = round(steps)
        self.model = copy.copy(self._compiled(spec))
        self._randomise()
        self.data = mujoco.MjData(self.model)
        m, d = self.model, self.data
        mujoco.mj_setConst(m, d)
        self._arm = np.array([m.joint(PREFIX + j).qposadr[0] for j in self.robot.joints])
        self._fingers = np.array([m.joint(PREFIX + j).qposadr[0] for j in self.robot.fingers], dtype=int)
        self._act = np.array([m.actuator(PREFIX + j).id for j in self.robot.joints])
        self._grip = np.array([m.actuator(PREFIX + a).id for a in self.robot.grip_actuators], dtype=int)
        self._free = np.array([m.joint(o.name).qposadr[0] for o in spec.objects], dtype=int)
        self._freev = np.array([m.joint(o.name).dofadr[0] for o in spec.objects], dtype=int)
        self._body_object = np.full(m.nbody, -1)
        for i, o in enumerate(spec.objects):
            self._body_object[m.body(o.name).id] = i
        self._is_robot = np.array([m.body(b).name.startswith(PREFIX) for b in range(m.nbody)])
        self._base = m.body(PREFIX + "base").id
        mujoco.mj_resetData(m, d)
        d.qpos[self._arm] = spec.robot.qpos
        d.qpos[self._fingers] = self.robot.finger_positions(spec.robot.gripper)
        for adr, o in zip(self._free, spec.objects):
            d.qpos[adr : adr + 7] = [*o.pose.translation, *o.pose.quat_wxyz]
        d.ctrl[self._act] = spec.robot.qpos
        d.ctrl[self._grip] = self.robot.grip_controls(spec.robot.gripper)
        self._settle()

    def step(self, joints_rad: np.ndarray, gripper: float) -> None:
        import mujoco

        late = min(round(self.spec.robot.latency_s / TIMESTEP_S), self._substeps - 1)
        if late:
            mujoco.mj_step(self.model, self.data, late)
        self.data.ctrl[self._act] = joints_rad
        self.data.ctrl[self._grip] = self.robot.grip_controls(gripper)
        mujoco.mj_step(self.model, self.data, self._substeps - late)

    def joints(self) -> np.ndarray:
        return np.r_[self.data.qpos[self._arm], self.robot.opening(self.data.qpos[self._fingers])]

    def object_poses(self) -> np.ndarray:
        return self.data.qpos[self._free[:, None] + np.arange(7)].copy()

    def place(self, joints_rad: np.ndarray, fingers_m: np.ndarray, object_poses: np.ndarray) -> None:
        """Put everything where it is said, at rest: arm joints (j,), finger travels (f,) and objects (n, 7)."""
        import mujoco

        self.data.qpos[self._arm], self.data.qpos[self._fingers] = joints_rad, fingers_m
        self.data.qpos[self._free[:, None] + np.arange(7)] = object_poses
        self.data.qvel[:] = 0
        mujoco.mj_forward(self.model, self.data)

    def object_speeds(self) -> np.ndarray:
        return np.linalg.norm(self.data.qvel[self._freev[:, None] + np.arange(3)], axis=1)

    def touched(self) -> np.ndarray:
        return self._touched(self.data)

    def _touched(self, data: Any) -> np.ndarray:
        pairs = self.model.geom_bodyid[data.contact.geom[: data.ncon]]
        out = np.zeros(len(self.spec.objects), bool)
        for a, b in (pairs.T, pairs[:, ::-1].T):
            hit = self._is_robot[a] & (self._body_object[b] >= 0)
            out[self._body_object[b[hit]]] = True
        return out

    def clash(
        self, joints_rad: np.ndarray, gripper: np.ndarray, *, ignore: tuple[str, ...] = (), carried: str = "",
        held: np.ndarray | None = None,
    ) -> str:  # fmt: skip
        import mujoco

        m, d = self.model, mujoco.MjData(self.model)
        d.qpos[:] = self.data.qpos
        names = [o.name for o in self.spec.objects]
        passing = {names.index(n) for n in (*ignore, *([carried] if carried else []))}
        k = names.index(carried) if carried else -1
        hand, grip = m.site(PREFIX + "pinch").id, None
        for t in range(0, len(joints_rad), CLASH_EVERY):
            d.qpos[self._arm] = joints_rad[t]
            d.qpos[self._fingers] = self.robot.finger_positions(gripper[t])
            mujoco.mj_kinematics(m, d)
            if held is not None and held[t]:
                T = np.eye(4)
                T[:3, :3], T[:3, 3] = d.site_xmat[hand].reshape(3, 3), d.site_xpos[hand]
                if grip is None:
                    body = m.body(carried).id
                    T_world_object = np.eye(4)
                    T_world_object[:3, :3], T_world_object[:3, 3] = d.xmat[body].reshape(3, 3), d.xpos[body]
                    grip = np.linalg.inv(T) @ T_world_object
                moved = Pose.from_matrix(T @ grip)
                adr = self._free[k]
                d.qpos[adr : adr + 7] = [*moved.translation, *moved.quat_wxyz]
                mujoco.mj_kinematics(m, d)
            mujoco.mj_collision(m, d)
            for c in range(d.ncon):
                a, b = m.geom_bodyid[d.contact[c].geom]
                for x, y in ((a, b), (b, a)):
                    o = self._body_object[y]
                    if self._is_robot[x] and o < 0 and not self._is_robot[y] and x != self._base:
                        return self.spec.support
                    if self._is_robot[x] and o >= 0 and o not in passing:
                        return names[o]
                    if held is not None and held[t] and self._body_object[x] == k and o >= 0 and o not in passing:
                        return names[o]
        return ""

    def imagine(self, joints_rad: np.ndarray, gripper: np.ndarray) -> Futures:
        """Rolled out in parallel threads; the result does not depend on how many."""
        import mujoco
        from mujoco.rollout import rollout

        m = self.model
        k, t, _ = joints_rad.shape
        control = np.tile(self.data.ctrl, (k, t, 1))
        control[:, :, self._act] = joints_rad
        control[:, :, self._grip] = self.robot.grip_controls(gripper)
        kind = mujoco.mjtState.mjSTATE_FULLPHYSICS
        start = np.empty(mujoco.mj_stateSize(m, kind))
        mujoco.mj_getState(m, self.data, start, kind)
        scratch = [mujoco.MjData(m) for _ in range(min(k, _threads()))]
        states, _ = rollout(
            m, scratch, start[None], np.repeat(control, self._substeps, axis=1),
            initial_warmstart=self.data.qacc_warmstart[None],
        )  # fmt: skip
        poses, speeds, touched = [], [], []
        d = scratch[0]
        for end in states[:, -1]:
            mujoco.mj_setState(m, d, np.ascontiguousarray(end), kind)
            mujoco.mj_forward(m, d)
            poses.append(d.qpos[self._free[:, None] + np.arange(7)])
            speeds.append(np.linalg.norm(d.qvel[self._freev[:, None] + np.arange(3)], axis=1))
            touched.append(self._touched(d))
        return Futures(np.array(poses), np.array(speeds), np.array(touched))

    def robot_poses(self, bodies: tuple[str, ...]) -> np.ndarray:
        import mujoco

        mujoco.mj_kinematics(self.model, self.data)  # a step leaves them where its last substep began
        ids = [self.model.body(PREFIX + b).id for b in bodies]
        return np.concatenate([self.data.xpos[ids], self.data.xquat[ids]], axis=1)

    def state(self) -> np.ndarray:
        import mujoco

        kind = mujoco.mjtState.mjSTATE_INTEGRATION
        out = np.empty(mujoco.mj_stateSize(self.model, kind))
        mujoco.mj_getState(self.model, self.data, out, kind)
        return out

    def set_state(self, state: np.ndarray) -> None:
        import mujoco

        mujoco.mj_setState(self.model, self.data, state, mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_forward(self.model, self.data)
        mujoco.mj_setState(self.model, self.data, state, mujoco.mjtState.mjSTATE_INTEGRATION)

    def frames(self, episode: Episode, folder: Path) -> None:
        return None

    def close(self) -> None: ...

    def _compiled(self, spec: EpisodeSpec) -> Any:
        key = (spec.support, spec.robot.model, tuple((o.name, o.asset) for o in spec.objects))
        if key in self._models:
            self._models.move_to_end(key)
            return self._models[key]
        model = compile_world(self.scene, spec, self.robot)
        self._models[key] = model
        if len(self._models) > CACHED_MODELS:
            self._models.popitem(last=False)
        return model

    def _randomise(self) -> None:
        """Mass, inertia, friction, bounce, the robot's place and its servos, on this episode's own copy of the model."""
        m, spec = self.model, self.spec
        base = m.body(PREFIX + "base").id
        m.body_pos[base], m.body_quat[base] = spec.robot.base.translation, spec.robot.base.quat_wxyz
        for o in spec.objects:
            b = m.body(o.name).id
            ratio = o.mass_kg / m.body_mass[b]
            m.body_mass[b] *= ratio
            m.body_inertia[b] *= ratio
            geoms = m.geom_bodyid == b
            m.geom_friction[geoms, 0] = o.friction
            if o.restitution is not None:  # the object's own contact, whatever it meets
                m.geom_solref[geoms, 1] = damping_ratio(o.restitution)
                m.geom_solmix[geoms] = 100.0
        for joint in self.robot.joints:
            a = m.actuator(PREFIX + joint).id
            m.actuator_gainprm[a, 0] *= spec.robot.gain
            m.actuator_biasprm[a, 1] *= spec.robot.gain
            m.actuator_biasprm[a, 2] *= spec.robot.damping

    def _settle(self) -> None:
        """Run until the objects rest (at most `SETTLE_S`), then stop the clock at zero with everything still."""
        import mujoco

        m, d = self.model, self.data
        for _ in range(round(SETTLE_S / 0.05)):
            mujoco.mj_step(m, d, round(0.05 / m.opt.timestep))
            if np.abs(d.qvel).max() < 0.005 and d.time > 0.15:
                break
        d.qvel[:] = 0
        d.qacc_warmstart[:] = 0
        d.time = 0.0
        mujoco.mj_forward(m, d)
