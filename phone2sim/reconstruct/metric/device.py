"""Votes of the device that took the capture: its poses, its depth, its IMU; and of depth that a model predicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from phone2sim.intervals import Interval
from phone2sim.reconstruct.capture.record import Capture
from phone2sim.reconstruct.metric.votes import ScaleVote, UpVote, angle_deg
from phone2sim.reconstruct.sfm.device import DeviceAlignment
from phone2sim.reconstruct.sfm.model import SparseModel, project

POSES_FLOOR = 0.01
"""Visual-inertial odometry is off by about this much of a length without looking inconsistent."""
DEPTH_FLOOR = 0.015
"""A phone's time-of-flight depth is biased by about a centimetre at half a metre to a metre and a half, less beyond."""
PREDICTED_FLOOR = 0.15
"""Metric depth networks are biased by this much on scenes like ours, the same way in every picture."""
GRAVITY_DEG = 1.5
"""Half angle of gravity as a phone knows it."""
MIN_POINTS = 20


def poses_vote(found: DeviceAlignment | None) -> ScaleVote | None:
    """From the alignment of the model with the device's metric poses."""
    if found is None:
        return None
    s = found.scale
    why = f"device poses of {found.used} of {found.posed} frames, {1000 * found.median_m:.1f} mm median difference"
    drift = found.drift_m / max(found.spread_m, 1e-9)
    half = max(POSES_FLOOR, s.high / s.value - 1, s.value / s.low - 1, 0.5 * drift)
    return ScaleVote(source="device poses", interval=_about(s.value, half, why), floor=POSES_FLOOR)


def device_up_vote(found: DeviceAlignment | None, capture: Capture) -> UpVote | None:
    """Gravity as the device's world has it, turned into the model's world."""
    if found is None or capture.device is None or capture.device.up_world is None:
        return None
    up = found.R_device_model.T @ np.asarray(capture.device.up_world, float)
    return UpVote(source="device", up=up / np.linalg.norm(up), within_deg=max(GRAVITY_DEG, found.rotation_deg))


def imu_up_vote(model: SparseModel, capture: Capture) -> UpVote | None:
    """Gravity from the frames' IMU readings: their robust mean direction in the model's world."""
    readings = {f.file: f.up_camera for f in capture.frames if f.up_camera is not None}
    rows = [i for i, name in enumerate(model.cameras.names) if name in readings]
    if not rows:
        return None
    up = np.array([model.cameras.T_world_camera[i, :3, :3] @ np.asarray(readings[model.cameras.names[i]]) for i in rows])
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    mean = up.mean(axis=0)
    for _ in range(10):
        off = np.array([angle_deg(u, mean) for u in up])
        w = 1 / np.maximum(off, 0.2)
        mean = (w[:, None] * up).sum(axis=0)
        mean /= np.linalg.norm(mean)
    spread = float(np.median([angle_deg(u, mean) for u in up]))
    return UpVote(source="imu", up=mean, within_deg=max(GRAVITY_DEG, spread))


def device_depths(model: SparseModel, capture: Capture, *, most: int = 40) -> Iterator[tuple[str, np.ndarray]]:
    """`(frame name, depth (h', w') [m])` of at most `most` registered frames whose device measured depth."""
    frames = {f.file: f for f in capture.frames if f.depth is not None}
    names = [n for n in model.cameras.names if n in frames]
    for k in np.unique(np.linspace(0, len(names) - 1, min(len(names), most)).round().astype(int)) if names else ():
        depth = capture.depth(frames[names[k]])
        if depth is not None:
            yield names[k], depth


def depth_vote(
    model: SparseModel, depths: Mapping[str, np.ndarray] | Iterator[tuple[str, np.ndarray]], source: str,
    *, floor: float | None = None, guess: bool | None = None,
) -> ScaleVote | None:  # fmt: skip
    """Metres per unit from depth maps (h', w') float [m, along the camera's z axis, 0 where unknown], by frame name.

    A map has its picture's field of view at any resolution. Each frame says the median ratio of its depth to that of the
    SfM points it observes, away from depth edges; the vote is the median over frames. `source` is `device depth`, or
    `monocular depth` for a network's, which counts as a guess with a wide interval. None when no frame shares `MIN_POINTS`
    points with the model.
    """
    predicted = source != "device depth"
    floor = (PREDICTED_FLOOR if predicted else DEPTH_FLOOR) if floor is None else floor
    index = {name: i for i, name in enumerate(model.cameras.names)}
    sure = (model.error_px < 2.0) & (model.track_length >= min(3, len(model.cameras)))
    logs, inner = [], []
    for name, depth in depths.items() if isinstance(depths, Mapping) else depths:
        if name not in index:
            continue
        i = index[name]
        seen = model.obs_point[model.obs_camera == i]
        px, z = project(model.cameras, i, model.xyz[seen[sure[seen]]])
        measured = sample_depth(np.asarray(depth), px / model.cameras.size_wh[i])
        good = (measured > 0) & (z > 0)
        if good.sum() < MIN_POINTS:
            continue
        ratio = np.log(measured[good] / z[good])
        logs.append(float(np.median(ratio)))
        inner.append(1.4826 * float(np.median(np.abs(ratio - logs[-1]))) / np.sqrt(good.sum()))
    if not logs:
        return None
    x = float(np.median(logs))
    spread = 1.4826 * float(np.median(np.abs(np.array(logs) - x))) / np.sqrt(len(logs))
    half = float(np.expm1(max(np.log1p(floor), 2 * spread, 2 * float(np.median(inner)) / np.sqrt(len(logs)))))
    half = max(half, 2 * floor) if len(logs) < 3 else half
    why = f"{'predicted' if predicted else 'measured'} depth of {len(logs)} picture{'s' if len(logs) > 1 else ''}"
    return ScaleVote(
        source=source, interval=_about(float(np.exp(x)), half, why), floor=floor, guess=predicted if guess is None else guess
    )


def sample_depth(depth: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Depth (k,) at places `at` (k, 2) given as parts of width and height; 0 outside, where unknown and at depth edges."""
    h, w = depth.shape
    x, y = np.floor(at[:, 0] * w).astype(int), np.floor(at[:, 1] * h).astype(int)
    inside = (x >= 1) & (y >= 1) & (x < w - 1) & (y < h - 1)
    x, y = np.clip(x, 1, max(1, w - 2)), np.clip(y, 1, max(1, h - 2))
    around = np.stack([depth[y + dy, x + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)], axis=-1)
    with np.errstate(invalid="ignore"):
        smooth = (around > 0).all(axis=-1) & (np.ptp(around, axis=-1) < 0.05 * around.mean(axis=-1))
    # between the centres of depth pixels, linearly: a slanted table would otherwise bias low-resolution maps
    u, v = at[:, 0] * w - 0.5, at[:, 1] * h - 0.5
    i, j = np.clip(np.floor(v).astype(int), 0, h - 2), np.clip(np.floor(u).astype(int), 0, w - 2)
    a, b = (u - j), (v - i)
    value = (depth[i, j] * (1 - a) + depth[i, j + 1] * a) * (1 - b) + (depth[i + 1, j] * (1 - a) + depth[i + 1, j + 1] * a) * b
    return np.where(inside & smooth, value, 0.0)


def _about(value: float, half: float, why: str) -> Interval:
    return Interval(value=value, low=value / (1 + half), high=value * (1 + half), why=why)
