"""An episode's stored poses → pictures, through the compositing renderer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from phone2sim.assets.scene import Scene
from phone2sim.keys import Key
from phone2sim.poses import Pose, quat_to_matrix
from phone2sim.sim_export.episode import Episode
from phone2sim.sim_export.mjcf import find_support
from phone2sim.sim_export.robots import get_robot


def episode_frames(scene: Scene, episode: Episode) -> Iterator[dict[str, np.ndarray]]:
    """Per step: camera name → (h, w, 3) uint8."""
    from phone2sim.sim_export.render.compositor import EpisodeRenderer

    spec = episode.spec
    parts = episode_parts(scene, episode)
    renderer: Any = EpisodeRenderer(
        background=scene.background, parts=parts, lights=spec.lights, cameras=spec.cameras, sensor=spec.sensor,
        key=Key(spec.seed).child("episode", spec.index, "pictures"),
        support_height_m=find_support(scene, spec.support).height_m,
    )  # fmt: skip
    robot = get_robot(spec.robot.model)
    bodies = [episode.robot_bodies.index(p.body) for p in robot.render_parts()]
    local = np.stack([p.T_body_part.matrix for p in robot.render_parts()])
    for t in range(len(episode)):
        objects = _matrices(episode.object_poses[t])
        arm = _matrices(episode.robot_poses[t])[bodies] @ local
        yield renderer.frame(np.concatenate([objects, arm]), t)


def episode_parts(scene: Scene, episode: Episode) -> list[Any]:
    """Render parts in the order of `episode_frames`' poses: the spec's objects, then the robot's shells."""
    from phone2sim.sim_export.render.compositor import RenderPart

    spec = episode.spec
    white = (1.0, 1.0, 1.0)
    objects = [
        RenderPart(
            name=o.name, mesh=scene.asset(o.asset).visual, rgb=white, rgb_gain=o.rgb_gain, double_sided=False,
            anchor=o.physical,
        )
        for o in spec.objects
    ]
    arm = [
        RenderPart(name=p.name, mesh=p.mesh, rgb=p.rgb, rgb_gain=white, gloss=0.2, double_sided=False)
        for p in get_robot(spec.robot.model).render_parts()
    ]
    return objects + arm


def _matrices(poses: np.ndarray) -> np.ndarray:
    p = poses.astype(np.float64)
    T = np.zeros((len(p), 4, 4))
    T[:, :3, :3] = quat_to_matrix(Pose(p[:, :3], p[:, 3:]).quat_wxyz)
    T[:, :3, 3] = p[:, :3]
    T[:, 3, 3] = 1.0
    return T
