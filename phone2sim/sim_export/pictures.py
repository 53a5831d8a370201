"""An episode's poses → pictures, through the compositing renderer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

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
        still: Mapping[str, np.ndarray] | None = None,
    ) -> None:  # fmt: skip
        """`bodies` name the rows of `robot_poses`; `cache` (a `BackgroundCache`) may be shared between specs; parts in
        `still` (`still_parts`) are known not to move, and cost nothing."""
        from phone2sim.sim_export.render.compositor import EpisodeRenderer

        self._renderer = EpisodeRenderer(
            background=scene.background, parts=spec_parts(scene, spec), lights=spec.lights, cameras=spec.cameras,
            sensor=spec.sensor, key=Key(spec.seed).child("episode", spec.index, "pictures"),
            support_height_m=find_support(scene, spec.support).height_m, background_cache=cache, still=still,
        )  # fmt: skip
        self._poses = PartPoses(spec, bodies)

    def draw(self, object_poses: np.ndarray, robot_poses: np.ndarray, step: int) -> dict[str, np.ndarray]:
        """Camera name → (h, w, 3) uint8, for objects (n, 7) in the spec's order and robot bodies (b, 7)."""
        return self._renderer.frame(self._poses.of(object_poses, robot_poses), step)


class PartPoses:
    """Where the parts of `spec_parts` stand."""

    def __init__(self, spec: EpisodeSpec, bodies: tuple[str, ...]) -> None:
        """`bodies` name the rows of `robot_poses`."""
        shells = get_robot(spec.robot.model).render_parts()
        self._bodies = [bodies.index(p.body) for p in shells]
        self._local = np.stack([p.T_body_part.matrix for p in shells])

    def of(self, object_poses: np.ndarray, robot_poses: np.ndarray) -> np.ndarray:
        """(…, parts, 4, 4) T_world_part, for objects (…, n, 7) in the spec's order and robot bodies (…, b, 7)."""
        arm = _matrices(robot_poses)[..., self._bodies, :, :] @ self._local
        return np.concatenate([_matrices(object_poses), arm], axis=-3)


def episode_frames(scene: Scene, episode: Episode) -> Iterator[dict[str, np.ndarray]]:
    """Per step: camera name → (h, w, 3) uint8."""
    spec, bodies = episode.spec, episode.robot_bodies
    T = PartPoses(spec, bodies).of(episode.object_poses, episode.robot_poses)
    still = still_parts([p.name for p in spec_parts(scene, spec)], T)
    pictures = SpecPictures(scene, spec, bodies, still=still)
    for t in range(len(episode)):
        yield pictures.draw(episode.object_poses[t], episode.robot_poses[t], t)


def still_parts(names: list[str], T_world_part: np.ndarray) -> dict[str, np.ndarray]:
    """The parts (t, n, 4, 4) that stay within `STILL_M` and `STILL_RAD` of where they start, with that pose."""
    T = T_world_part
    if not len(T):
        return {}
    moved = np.linalg.norm(T[:, :, :3, 3] - T[:1, :, :3, 3], axis=-1).max(axis=0)
    turned = np.linalg.norm(T[:, :, :3, :3] - T[:1, :, :3, :3], axis=(-2, -1)).max(axis=0)
    return {n: T[0, i] for i, n in enumerate(names) if moved[i] < STILL_M and turned[i] < STILL_RAD}


def spec_parts(scene: Scene, spec: EpisodeSpec) -> list[Any]:
    """Render parts in the order of the poses: the spec's objects, then the robot's shells."""
    from phone2sim.sim_export.render.parts import RenderPart

    white = (1.0, 1.0, 1.0)
    objects = [
        RenderPart(
            name=o.name, mesh=scene.asset(o.asset).visual, rgb=white, rgb_gain=o.rgb_gain, double_sided=False,
            anchor=o.physical,
        )
        for o in spec.objects
    ]  # fmt: skip
    arm = [
        RenderPart(name=p.name, mesh=p.mesh, rgb=p.rgb, rgb_gain=white, gloss=0.2, double_sided=False)
        for p in get_robot(spec.robot.model).render_parts()
    ]
    return objects + arm


def _matrices(poses: np.ndarray) -> np.ndarray:
    p = np.asarray(poses, np.float32).astype(np.float64)
    T = np.zeros((*p.shape[:-1], 4, 4))
    T[..., :3, :3] = quat_to_matrix(Pose(p[..., :3], p[..., 3:]).quat_wxyz)
    T[..., :3, 3] = p[..., :3]
    T[..., 3, 3] = 1.0
    return T
