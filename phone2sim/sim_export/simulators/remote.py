"""`RemoteSimulator`: an engine in a process of its own behind the `Simulator` protocol, fed with episode layers in USD."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.assets.scene import Scene
from phone2sim.augment.spec import EpisodeSpec
from phone2sim.errors import InputError
from phone2sim.poses import quat_to_matrix
from phone2sim.sim_export.engines import EngineProcess, find_engine, find_python
from phone2sim.sim_export.episode import Episode
from phone2sim.sim_export.robots import get_robot
from phone2sim.sim_export.simulators.base import Futures
from phone2sim.sim_export.simulators.mujoco import MujocoSimulator

ROBOT = "/World/Episode/Robot"
SETTLE_S, LOOK_S, SHORTEST_S = 1.5, 0.05, 0.15
STILL = 0.005
"""Speed [m/s, rad/s] below which everything rests."""


class RemoteSimulator:
    """PhysX, or Isaac Sim, for episodes of a scene. Each `load` opens a fresh stage, so that what ran before does not matter.

    What is not done here (`clash`) or only imagined (`imagine`) is answered by a MuJoCo model in the same state.
    """

    def __init__(self, scene: Scene, *, engine: str) -> None:
        self.scene = scene
        self.engine = find_engine(engine)
        find_python(self.engine)
        self._process: EngineProcess | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._mirror = MujocoSimulator(scene)
        self._mirrored = False

    def load(self, spec: EpisodeSpec) -> None:
        self.robot = get_robot(spec.robot.model)
        if len(spec.robot.qpos) != len(self.robot.joints):
            raise InputError(
                f"Episode {spec.index}: {self.robot.name} has {len(self.robot.joints)} joints, got {len(spec.robot.qpos)}."
            )
        self.spec = spec
        self._links = tuple(dict.fromkeys(p.body for p in self.robot.render_parts()))
        self._substeps = math.ceil(self.engine.rate / spec.fps)
        self._rate = self._substeps * spec.fps
        bodies = {o.name: f"/World/Props/{o.name}" for o in spec.objects}
        made = self._ask(
            "load", stage=str(self._stage(spec)), bodies=bodies, robot=ROBOT, links=list(self._links), rate=self._rate
        )
        dofs = made["dofs"]
        self._arm = [dofs.index(j) for j in self.robot.joints]
        self._fingers = [dofs.index(j) for j in self.robot.fingers]
        self._mirrored = False
        self._target = self._command(np.array(spec.robot.qpos), spec.robot.gripper)
        still = [0.0] * 6
        placed = {o.name: [*o.pose.translation, *o.pose.quat_wxyz, *still] for o in spec.objects}
        self._now = self._ask("put", bodies=placed, dofs=[self._target, [0.0] * len(dofs)])
        self._settle()

    def step(self, joints_rad: np.ndarray, gripper: float) -> None:
        late = min(self._substeps, round(self.spec.robot.latency_s * self._rate))
        if late:
            self._now = self._ask("step", steps=late, targets=self._target)
        self._target = self._command(joints_rad, gripper)
        if self._substeps > late:
            self._now = self._ask("step", steps=self._substeps - late, targets=self._target)

    def joints(self) -> np.ndarray:
        q = np.array(self._now["dofs"][0])
        return np.r_[q[self._arm], self.robot.opening(q[self._fingers])]

    def object_poses(self) -> np.ndarray:
        return self._bodies()[:, :7]

    def object_speeds(self) -> np.ndarray:
        rows = self._bodies()
        centres = np.array([self.scene.asset(o.asset).inertia.center_of_mass for o in self.spec.objects]).reshape(-1, 3)
        arms = np.einsum("nij,nj->ni", quat_to_matrix(rows[:, 3:7]), centres)
        return np.linalg.norm(rows[:, 7:10] - np.cross(rows[:, 10:13], arms), axis=1)

    def touched(self) -> np.ndarray:
        return np.array([o.name in self._now["touching"] for o in self.spec.objects], dtype=bool)

    def clash(
        self, joints_rad: np.ndarray, gripper: np.ndarray, *, ignore: tuple[str, ...] = (), carried: str = "",
        held: np.ndarray | None = None,
    ) -> str:  # fmt: skip
        return self._twin().clash(joints_rad, gripper, ignore=ignore, carried=carried, held=held)

    def imagine(self, joints_rad: np.ndarray, gripper: np.ndarray) -> Futures:
        return self._twin().imagine(joints_rad, gripper)

    def robot_poses(self, bodies: tuple[str, ...]) -> np.ndarray:
        return np.array(self._now["links"])[[self._links.index(b) for b in bodies]]

    def state(self) -> np.ndarray:
        return np.concatenate([self._bodies().ravel(), *self._now["dofs"], self._target])

    def set_state(self, state: np.ndarray) -> None:
        """Poses, speeds and targets; what an engine remembers of its contacts is lost, so the future is near, not equal."""
        n, d = len(self.spec.objects), len(self._now["dofs"][0])
        rows = state[: 13 * n].reshape(n, 13)
        q, v, target = state[13 * n :].reshape(3, d)
        bodies = {o.name: row.tolist() for o, row in zip(self.spec.objects, rows)}
        self._target = target.tolist()
        self._now = self._ask("put", bodies=bodies, dofs=[q.tolist(), v.tolist()])

    def frames(self, episode: Episode, folder: Path) -> Iterator[dict[str, np.ndarray]] | None:
        """The engine's own pictures of an episode, for the one that draws; None for the others."""
        from phone2sim.sim_export.simulators.drawn import drawn_frames

        if not self.engine.draws:
            return None
        self._mirrored = False
        return drawn_frames(self._ask, self._stage(episode.spec), episode, folder, robot=ROBOT)

    def close(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None

    def _bodies(self) -> np.ndarray:
        return np.array([self._now["bodies"][o.name] for o in self.spec.objects]).reshape(-1, 13)

    def _command(self, joints_rad: np.ndarray, gripper: float) -> list[float]:
        target = np.zeros(len(self._arm) + len(self._fingers))
        target[self._arm] = joints_rad
        target[self._fingers] = self.robot.finger_positions(gripper)
        return target.tolist()

    def _settle(self) -> None:
        """Run until everything rests (at most `SETTLE_S`), then stop it where it is."""
        look = max(1, round(LOOK_S * self._rate))
        for k in range(1, round(SETTLE_S / LOOK_S) + 1):
            self._now = self._ask("step", steps=look, targets=self._target)
            speeds = [*self._bodies()[:, 7:].ravel(), *self._now["dofs"][1]]
            if k * LOOK_S > SHORTEST_S and np.abs(speeds).max() < STILL:
                break
        bodies = {o.name: [*row[:7].tolist(), *[0.0] * 6] for o, row in zip(self.spec.objects, self._bodies())}
        q = self._now["dofs"][0]
        self._now = self._ask("put", bodies=bodies, dofs=[q, [0.0] * len(q)])

    def _twin(self) -> MujocoSimulator:
        """MuJoCo's model of this episode with everything where it is here."""
        if not self._mirrored:
            self._mirror.load(self.spec)
            self._mirrored = True
        q = np.array(self._now["dofs"][0])
        self._mirror.place(q[self._arm], q[self._fingers], self.object_poses())
        return self._mirror

    def _ask(self, do: str, **what: Any) -> dict[str, Any]:
        if self._process is None:
            self._process = EngineProcess(self.engine)
        return self._process.ask(do, **what)

    def _stage(self, spec: EpisodeSpec) -> Path:
        """The episode's layer over the scene's USD, in a folder that lasts as long as this simulator."""
        from phone2sim.sim_export.simulators.stages import EpisodeStages

        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="phone2sim-")
            self._stages = EpisodeStages(self.scene, Path(self._folder.name), looks=self.engine.draws)
        return self._stages.write(spec)
