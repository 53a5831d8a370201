"""An episode's poses → pictures, through the compositing renderer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from phone2sim._native.layer import Shot
from phone2sim.assets.scene import Scene
from phone2sim.augment.spec import EpisodeSpec
from phone2sim.keys import Key
from phone2sim.poses import Pose, quat_to_matrix
from phone2sim.sim_export.episode import Episode
from phone2sim.sim_export.mjcf import find_support
from phone2sim.sim_export.robots import get_robot

STILL_M, STILL_RAD = 3e-4, 2e-3
"""A part that moves less in a whole episode stands still: a tenth of a pixel at 256² and 0.6 m."""


class SpecPictures:
    """Draws what a spec's cameras see, from poses as they come: of a stored episode, or of a world that is running."""

    def __init__(
        self, scene: Scene, spec: EpisodeSpec, bodies: tuple[str, ...], *, cache: Any = None,
        still: Mapping[str, np.ndarray] | None = None, samples: int = 0,
    ) -> None:  # fmt: skip
        """`bodies` name the rows of `robot_poses`; `cache` (a `BackgroundCache`) may be shared between specs; parts in
        `still` (`still_parts`) are known not to move, and cost nothing. With `samples`, pictures are path traced with so
        many paths a pixel. Raises `MissingDependencyError` when that is asked for without Mitsuba."""
        from phone2sim.sim_export.render.compositor import EpisodeRenderer
        from phone2sim.sim_export.render.pathtrace import PathTracedRenderer

        self.spec, self.parts = spec, spec_parts(scene, spec)
        kind = partial(PathTracedRenderer, samples=samples) if samples else EpisodeRenderer
        self._renderer: EpisodeRenderer = kind(
            background=scene.background, parts=self.parts, lights=spec.lights, cameras=spec.cameras,
            sensor=spec.sensor, key=Key(spec.seed).child("episode", spec.index, "pictures"), surfaces=spec.surfaces,
            support_height_m=find_support(scene, spec.support).height_m, background_cache=cache, still=still,
        )  # fmt: skip
        self._bodies, self._poses = bodies, PartPoses(spec, bodies)

    def draw(
        self, object_poses: np.ndarray, robot_poses: np.ndarray, step: int, *,
        before: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> dict[str, np.ndarray]:  # fmt: skip
        """Camera name → (h, w, 3) uint8, for objects (n, 7) in the spec's order and robot bodies (b, 7); `before` has the
        same one step earlier, for pictures that take time."""
        shots = self.shots(object_poses, robot_poses, step, before=before)
        return {name: shot.rgb for name, shot in shots.items()}

    def shots(
        self, object_poses: np.ndarray, robot_poses: np.ndarray, step: int, *,
        before: tuple[np.ndarray, np.ndarray] | None = None, truth: bool = False,
    ) -> dict[str, Shot]:  # fmt: skip
        """As `draw`, with what each pixel shows when `truth` is asked for."""
        from phone2sim.sim_export.render.optics import exposes, moments

        exposure = []
        if before is not None and exposes(self.spec.sensor):
            for ago in moments(self.spec.sensor):
                share = min(1.0, ago * self.spec.fps)
                objects, robot = (_between(a, b, share) for a, b in zip((object_poses, robot_poses), before))
                exposure.append((self._poses.of(objects, robot), self.mounts(robot)))
        return self._renderer.shots(
            self._poses.of(object_poses, robot_poses), step, truth=truth, exposure=exposure, T_world_mount=self.mounts(robot_poses)
        )

    def mounts(self, robot_poses: np.ndarray) -> dict[str, np.ndarray]:
        """T_world_body (4, 4) of what carries a camera."""
        names = {c.mount for c in self.spec.cameras if c.mount}
        return {n: _matrices(robot_poses[self._bodies.index(n)]) for n in sorted(names)}


def _between(now: np.ndarray, before: np.ndarray, share: float) -> np.ndarray:
    """Poses (n, 7) that share of the way back; quaternions on the shorter arc."""
    same = np.where((now[:, 3:] * before[:, 3:]).sum(axis=1, keepdims=True) < 0, -1.0, 1.0)
    back = np.concatenate([before[:, :3], same * before[:, 3:]], axis=1)
    return now + share * (back - now)


class PartPoses:
    """Where the parts of `spec_parts` stand."""

    def __init__(self, spec: EpisodeSpec, bodies: tuple[str, ...]) -> None:
        """`bodies` name the rows of `robot_poses`."""
        shells = get_robot(spec.robot.model).render_parts()
        base = spec.robot.base
        self._bodies = [bodies.index(p.body) for p in shells]
        self._local = np.stack([p.T_body_part.matrix for p in shells])
        self._riser = np.zeros((0, 4, 4))
        if riser_m(spec) > 0:
            self._riser = Pose(np.array(base.translation), np.array(base.quat_wxyz)).matrix[None]

    def of(self, object_poses: np.ndarray, robot_poses: np.ndarray) -> np.ndarray:
        """(…, parts, 4, 4) T_world_part, for objects (…, n, 7) in the spec's order and robot bodies (…, b, 7)."""
        arm = _matrices(robot_poses)[..., self._bodies, :, :] @ self._local
        riser = np.broadcast_to(self._riser, (*arm.shape[:-3], *self._riser.shape))
        return np.concatenate([_matrices(object_poses), arm, riser], axis=-3)


def episode_frames(scene: Scene, episode: Episode) -> Iterator[dict[str, np.ndarray]]:
    """Per step: camera name → (h, w, 3) uint8."""
    for shots in episode_shots(scene, episode):
        yield {name: shot.rgb for name, shot in shots.items()}


def episode_shots(scene: Scene, episode: Episode, *, truth: bool = False) -> Iterator[dict[str, Shot]]:
    """Per step: camera name → picture, with what each pixel shows when `truth` is asked for."""
    spec, bodies = episode.spec, episode.robot_bodies
    T = PartPoses(spec, bodies).of(episode.object_poses, episode.robot_poses)
    still = still_parts([p.name for p in spec_parts(scene, spec)], T)
    pictures = SpecPictures(scene, spec, bodies, still=still)
    for t in range(len(episode)):
        b = max(0, t - 1)
        yield pictures.shots(
            episode.object_poses[t], episode.robot_poses[t], t, before=(episode.object_poses[b], episode.robot_poses[b]), truth=truth
        )


def still_parts(names: list[str], T_world_part: np.ndarray) -> dict[str, np.ndarray]:
    """The parts (t, n, 4, 4) that stay within `STILL_M` and `STILL_RAD` of where they start, with that pose."""
    T = T_world_part
    if not len(T):
        return {}
    moved = np.linalg.norm(T[:, :, :3, 3] - T[:1, :, :3, 3], axis=-1).max(axis=0)
    turned = np.linalg.norm(T[:, :, :3, :3] - T[:1, :, :3, :3], axis=(-2, -1)).max(axis=0)
    return {n: T[0, i] for i, n in enumerate(names) if moved[i] < STILL_M and turned[i] < STILL_RAD}


def spec_parts(scene: Scene, spec: EpisodeSpec) -> list[Any]:
    """Render parts in the order of the poses: the spec's objects, the robot's shells, and what it stands on."""
    from phone2sim.sim_export.render.parts import RenderPart
    from phone2sim.sim_export.render.retexture import painted

    white = (1.0, 1.0, 1.0)
    objects = []
    for o in spec.objects:
        mesh = scene.asset(o.asset).visual
        mesh = painted(mesh, o.texture) if o.texture else mesh
        objects.append(
            RenderPart(
                name=o.name, mesh=mesh, rgb=white, rgb_gain=o.rgb_gain, gloss=o.gloss, double_sided=False, anchor=o.physical
            )
        )
    arm = [
        RenderPart(name=p.name, mesh=p.mesh, rgb=p.rgb, rgb_gain=white, gloss=0.2, double_sided=False)
        for p in get_robot(spec.robot.model).render_parts()
    ]
    return objects + arm + _riser(spec)


def riser_m(spec: EpisodeSpec) -> float:
    """Height of the block that a raised robot stands on [m]; 0 for none."""
    return max(0.0, -spec.surfaces.height_m)


def _riser(spec: EpisodeSpec) -> list[Any]:
    """A block in the base's frame, from its foot down to the table."""
    import trimesh

    from phone2sim.assets.mesh import TexturedMesh
    from phone2sim.sim_export.render.parts import RenderPart

    height = riser_m(spec)
    if not height:
        return []
    box = trimesh.creation.box((0.22, 0.22, height))
    box.apply_translation([0, 0, -height / 2])
    box.unmerge_vertices()
    mesh = TexturedMesh(vertices=box.vertices, faces=box.faces)
    return [RenderPart(name="riser", mesh=mesh, rgb=(0.12, 0.12, 0.13), double_sided=False)]


def _matrices(poses: np.ndarray) -> np.ndarray:
    p = np.asarray(poses, np.float32).astype(np.float64)
    T = np.zeros((*p.shape[:-1], 4, 4))
    T[..., :3, :3] = quat_to_matrix(Pose(p[..., :3], p[..., 3:]).quat_wxyz)
    T[..., :3, 3] = p[..., :3]
    T[..., 3, 3] = 1.0
    return T
