"""Pictures of an episode by an engine that draws itself: played back pose by pose from the canonical record."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim._native.mesh import srgb_to_linear, to_srgb8
from phone2sim.augment.spec import EpisodeSpec
from phone2sim.keys import Key
from phone2sim.poses import Pose
from phone2sim.sim_export.engines import EngineError
from phone2sim.sim_export.episode import Episode, npz_bytes

FURTHEST_MM = 65535


def drawn_frames(
    ask: Callable[..., dict[str, Any]], stage: Path, episode: Episode, folder: Path, *, robot: str
) -> Iterator[dict[str, np.ndarray]]:
    """Per step camera name → (h, w, 3) uint8, with the spec's sensor on the engine's picture. When all are drawn,
    `<camera>.truth.npz` is in `folder`: `depth_mm` (t, h, w) uint16 (0 where nothing is near), `ids` (t, h, w) uint8 and
    `names`, whose i-th is what id i is; 0 is everything that is neither object nor robot.

    Raises `EngineError` for a picture of another size than the spec's.
    """
    spec = episode.spec
    if any(c.mount for c in spec.cameras):
        raise EngineError("An engine's own pictures are drawn from cameras fixed in the world only.", hint="Leave wrist cameras out.")
    cameras = {c.name: [f"/World/Episode/Cameras/{c.name}", c.width, c.height] for c in spec.cameras}
    names = ("", *(o.name for o in spec.objects), "robot")
    ask("film", stage=str(stage), cameras=cameras)
    depths: dict[str, list[np.ndarray]] = {c.name: [] for c in spec.cameras}
    ids: dict[str, list[np.ndarray]] = {c.name: [] for c in spec.cameras}
    with tempfile.TemporaryDirectory(prefix="phone2sim-frames-") as tmp:
        for t in range(len(episode)):
            labels = ask("draw", poses=poses_at(episode, t, robot=robot), folder=tmp)["labels"]
            out = {}
            for c in spec.cameras:
                with np.load(Path(tmp) / f"{c.name}.npz") as z:
                    rgb, depth, found = z["rgb"], z["depth"], z["ids"]
                if rgb.shape != (c.height, c.width, 3) or depth.shape != rgb.shape[:2] or found.shape != rgb.shape[:2]:
                    raise EngineError(f"Camera {c.name}: asked for {c.height}×{c.width} pixels, got {rgb.shape}, {depth.shape}, {found.shape}.")
                out[c.name] = _sensed(rgb, spec, c.name, t)
                mm = np.where(np.isfinite(depth), 1000.0 * depth, 0.0)
                depths[c.name].append(np.where(mm <= FURTHEST_MM, mm, 0.0).round().astype(np.uint16))
                ids[c.name].append(_named(found, labels.get(c.name, {}), names, robot))
            yield out
    for c in spec.cameras:
        arrays = {"depth_mm": np.array(depths[c.name]), "ids": np.array(ids[c.name]), "names": np.array(names)}
        (folder / f"{c.name}.truth.npz").write_bytes(npz_bytes(arrays))


def poses_at(episode: Episode, t: int, *, robot: str) -> dict[str, list[float]]:
    """Prim path → pose in its parent's frame at step t, of every object and every link."""
    base = episode.spec.robot.base
    T_base_world = Pose(np.array(base.translation), np.array(base.quat_wxyz)).inverse()
    world = episode.robot_poses[t].astype(float)
    local = T_base_world @ Pose(world[:, :3], world[:, 3:])
    out = {f"/World/Props/{o.name}": [float(x) for x in p] for o, p in zip(episode.spec.objects, episode.object_poses[t])}
    links = zip(episode.robot_bodies, local.translation.tolist(), local.quat_wxyz.tolist())
    return out | {f"{robot}/{name}": [*xyz, *q] for name, xyz, q in links}


def _named(ids: np.ndarray, labels: dict[str, str], names: tuple[str, ...], robot: str) -> np.ndarray:
    """The engine's ids as places in `names`, by the prim that each one is."""
    out = np.zeros(ids.shape, np.uint8)
    for number, path in labels.items():
        for i, name in enumerate(names[1:], start=1):
            root = robot if name == "robot" else f"/World/Props/{name}"
            if path == root or path.startswith(f"{root}/"):
                out[ids == int(number)] = i
    return out


def _sensed(rgb: np.ndarray, spec: EpisodeSpec, camera: str, t: int) -> np.ndarray:
    """The spec's exposure, white balance, blur and noise; the same draws as our own pictures take."""
    s = spec.sensor
    if (s.exposure, s.white_balance_rgb, s.noise_std, s.blur_px) == (1.0, (1.0, 1.0, 1.0), 0.0, 0.0):
        return np.ascontiguousarray(rgb)
    seed = Key(spec.seed).child("episode", spec.index, "pictures").child("sensor", camera, t).integer()
    r, g, b = (s.exposure * w for w in s.white_balance_rgb)
    return to_srgb8(srgb_to_linear(rgb / np.float32(255)), gain_rgb=(r, g, b), blur_px=s.blur_px, noise_std=s.noise_std, seed=seed)
