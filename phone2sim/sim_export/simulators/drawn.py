"""Pictures of an episode by an engine that draws itself: played back pose by pose from the canonical record."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim._native.mesh import srgb_to_linear, to_srgb8
from phone2sim.augment.spec import CameraSpec, EpisodeSpec
from phone2sim.keys import Key
from phone2sim.poses import Pose
from phone2sim.sim_export.engines import EngineError
from phone2sim.sim_export.episode import Episode
from phone2sim.sim_export.record import camera_poses
from phone2sim.sim_export.truth import TruthWriter, noisy_depth

CHANNELS = ("depth", "mask")
"""What is recorded beside each picture."""


def drawn_frames(
    ask: Callable[..., dict[str, Any]], stage: Path, episode: Episode, folder: Path, *, robot: str
) -> Iterator[dict[str, np.ndarray]]:
    """Per step camera name → (h, w, 3) uint8, with the spec's sensor on the engine's picture. When all are drawn,
    `folder/truth` holds depth and masks, in the form of our own (`sim_export.truth`).

    Raises `EngineError` for a picture of another size than the spec's.
    """
    spec = episode.spec
    cameras = {c.name: [_camera_path(c, robot), c.width, c.height] for c in spec.cameras}
    ask("film", stage=str(stage), cameras=cameras)
    writer = TruthWriter(folder, CHANNELS, spec.cameras, fps=spec.fps)
    eyes = camera_poses(episode)
    key = Key(spec.seed).child("episode", spec.index)
    with tempfile.TemporaryDirectory(prefix="phone2sim-frames-") as tmp:
        for t in range(len(episode)):
            labels = ask("draw", poses=poses_at(episode, t, robot=robot), folder=tmp)["labels"]
            out = {}
            for c in spec.cameras:
                with np.load(Path(tmp) / f"{c.name}.npz") as z:
                    rgb, depth, ids = z["rgb"], z["depth"], z["ids"]
                if rgb.shape != (c.height, c.width, 3) or depth.shape != rgb.shape[:2] or ids.shape != rgb.shape[:2]:
                    raise EngineError(f"Camera {c.name}: asked for {c.height}×{c.width} pixels, got {rgb.shape}, {depth.shape}, {ids.shape}.")
                out[c.name] = _sensed(rgb, spec, key.child("pictures", "sensor", c.name, t).integer())
                noisy = noisy_depth(depth, spec.sensor.depth_noise, key.child("depth", c.name, t))
                values = {"depth": noisy, "mask": instances(ids, labels.get(c.name, {}), spec, robot)}
                writer.add(c.name, values, K=np.array(c.K), T_world_camera=eyes[c.name][t])
            yield out
    writer.close()


def _camera_path(camera: CameraSpec, robot: str) -> str:
    """Where the episode's layer has the camera."""
    return f"{robot}/{camera.mount}/{camera.name}" if camera.mount else f"/World/Episode/Cameras/{camera.name}"


def poses_at(episode: Episode, t: int, *, robot: str) -> dict[str, list[float]]:
    """Prim path → pose in its parent's frame at step t, of every object and every link."""
    base = episode.spec.robot.base
    T_base_world = Pose(np.array(base.translation), np.array(base.quat_wxyz)).inverse()
    world = episode.robot_poses[t].astype(float)
    local = T_base_world @ Pose(world[:, :3], world[:, 3:])
    out = {f"/World/Props/{o.name}": [float(x) for x in p] for o, p in zip(episode.spec.objects, episode.object_poses[t])}
    links = zip(episode.robot_bodies, local.translation.tolist(), local.quat_wxyz.tolist())
    return out | {f"{robot}/{name}": [*xyz, *q] for name, xyz, q in links}


def instances(ids: np.ndarray, labels: dict[str, str], spec: EpisodeSpec, robot: str) -> np.ndarray:
    """(h, w) int: 0 background, 1 … n the objects in the spec's order, n + 1 the robot; from the engine's ids and the prim
    that each one is."""
    roots = [*(f"/World/Props/{o.name}" for o in spec.objects), robot]
    out = np.zeros(ids.shape, np.uint16)
    for number, path in labels.items():
        for i, root in enumerate(roots, start=1):
            if path == root or path.startswith(f"{root}/"):
                out[ids == int(number)] = i
    return out


def _sensed(rgb: np.ndarray, spec: EpisodeSpec, seed: int) -> np.ndarray:
    """The spec's exposure, white balance, blur and noise."""
    s = spec.sensor
    if (s.exposure, s.white_balance_rgb, s.noise_std, s.blur_px) == (1.0, (1.0, 1.0, 1.0), 0.0, 0.0):
        return np.ascontiguousarray(rgb)
    r, g, b = (s.exposure * w for w in s.white_balance_rgb)
    return to_srgb8(srgb_to_linear(rgb / np.float32(255)), gain_rgb=(r, g, b), blur_px=s.blur_px, noise_std=s.noise_std, seed=seed)
