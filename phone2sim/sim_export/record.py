"""An episode's pictures with the truth behind them, written beside the videos as they are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from phone2sim._native.mesh import Truth
from phone2sim.assets.scene import Scene
from phone2sim.keys import Key
from phone2sim.poses import Pose
from phone2sim.sim_export.episode import Episode
from phone2sim.sim_export.pictures import PartPoses, episode_shots
from phone2sim.sim_export.truth import TruthWriter, flow_of, noisy_depth


def recorded_frames(scene: Scene, episode: Episode, folder: Path, channels: tuple[str, ...]) -> Iterator[dict[str, np.ndarray]]:
    """As `episode_frames`; `folder/truth` holds the channels once all pictures were taken."""
    spec = episode.spec
    T = PartPoses(spec, episode.robot_bodies).of(episode.object_poses, episode.robot_poses)
    eyes = camera_poses(episode)
    writer = TruthWriter(folder, channels, spec.cameras, fps=spec.fps)
    key = Key(spec.seed).child("episode", spec.index, "depth")
    for t, shots in enumerate(episode_shots(scene, episode, truth=True)):
        n = min(t + 1, len(episode) - 1)
        for c in spec.cameras:
            truth = shots[c.name].truth
            assert truth is not None
            values = {"mask": instances(truth, len(spec.objects)), "normal": truth.normal}
            if "depth" in channels:
                values["depth"] = noisy_depth(truth.depth, spec.sensor.depth_noise, key.child(c.name, t))
            if "flow" in channels:
                values["flow"] = flow_of(truth, T[t], T[n], camera=c, T_world_camera=eyes[c.name][t], T_camera_next=eyes[c.name][n])
            writer.add(c.name, values, K=np.array(c.K), T_world_camera=eyes[c.name][t])
        yield {name: shot.rgb for name, shot in shots.items()}
    writer.close()


def instances(truth: Truth, n_objects: int) -> np.ndarray:
    """(h, w) int: 0 background, 1 … n the objects in the spec's order, n + 1 the robot and what it stands on."""
    return np.where(truth.part < 0, 0, np.minimum(truth.part, n_objects) + 1)


def camera_poses(episode: Episode) -> dict[str, np.ndarray]:
    """Camera name → (t, 4, 4) T_world_camera over time, of cameras on the robot too."""
    out = {}
    for c in episode.spec.cameras:
        T = Pose(np.array(c.pose.translation), np.array(c.pose.quat_wxyz)).matrix
        if c.mount:
            body = episode.robot_poses[:, episode.robot_bodies.index(c.mount)].astype(float)
            out[c.name] = Pose(body[:, :3], body[:, 3:]).matrix @ T
        else:
            out[c.name] = np.tile(T, (len(episode), 1, 1))
    return out
