"""How the pictures' own model sits in the device's world: a robust similarity, its residuals and its drift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from phone2sim.intervals import Interval
from phone2sim.keys import Key
from phone2sim.reconstruct.capture.record import Capture
from phone2sim.reconstruct.sfm.model import SparseModel

MIN_POSES = 3
LEAST_HALF_WIDTH = 0.002
"""A scale from device poses is never claimed to be surer than this part of itself."""
CREDIBLE = 0.1
"""Largest median displacement, as a part of the spread of the cameras, of poses that tell a scale."""
AXES_AGREE_DEG = 20.0
"""Orientations that differ by less in the median take part in the alignment."""


@dataclass(frozen=True, kw_only=True)
class DeviceAlignment:
    """p_device ≈ scale · R_device_model · p_model + t, over the frames that the device posed.

    Lengths are in units of the device's world, which are metres when `Capture.device.metric` says so.
    """

    scale: Interval
    """Device units per unit of the model; the interval covers residuals and drift, not a bias of the device itself."""
    R_device_model: np.ndarray
    """(3, 3)."""
    t: np.ndarray
    """(3,)."""
    median_m: float
    """Median displacement between device and model camera centres after alignment."""
    worst_m: float
    rotation_deg: float
    """Median angle between device and model orientations after alignment; large when the axes are another convention."""
    drift_m: float
    """How far the residual displacement of the last quarter of the frames is from that of the first quarter."""
    spread_m: float
    """Median distance of the device's camera centres from their median."""
    used: int
    """Frames that agree with the similarity."""
    posed: int
    """Frames that have both poses."""

    def to_json(self) -> dict[str, Any]:
        return {
            "scale": self.scale.to_json(), "median_m": round(self.median_m, 5), "worst_m": round(self.worst_m, 5),
            "rotation_deg": round(self.rotation_deg, 3), "drift_m": round(self.drift_m, 5),
            "spread_m": round(self.spread_m, 4), "used": self.used, "posed": self.posed,
        }  # fmt: skip


def device_poses(capture: Capture) -> dict[str, np.ndarray]:
    """Frame name → T_world_camera (4, 4) in the device's world, for the frames that have one."""
    return {f.file: np.asarray(f.T_world_camera, float) for f in capture.frames if f.T_world_camera is not None}


def device_alignment(model: SparseModel, capture: Capture) -> DeviceAlignment | None:
    """The similarity from the world of `model` to the device's world.

    None when fewer than three frames have both poses, when the device did not move, or when the two contradict each
    other: less than half of the frames agree, or their median displacement is over a tenth of the cameras' spread.
    """
    device = device_poses(capture)
    rows = [i for i, name in enumerate(model.cameras.names) if name in device]
    if len(rows) < MIN_POSES:
        return None
    T_device = np.array([device[model.cameras.names[i]] for i in rows])
    found = align(model.cameras.T_world_camera[rows], T_device)
    if found is None or found.median_m > CREDIBLE * found.spread_m or found.used < max(MIN_POSES, len(rows) / 2):
        return None
    return found


def align(T_model: np.ndarray, T_device: np.ndarray) -> DeviceAlignment | None:
    """Robust similarity between two sets of the same cameras (n, 4, 4), n ≥ 3, in capture order.

    The best of many minimal samples by the median residual (Rousseeuw 1984), then reweighted least squares (Umeyama
    1991). Orientations count as well where they agree, so that cameras on a line are no problem. None when the
    device's cameras all stand on one point.
    """
    x, y = T_model[:, :3, 3], T_device[:, :3, 3]
    spread = float(np.median(np.linalg.norm(y - np.median(y, axis=0), axis=1)))
    if spread < 1e-9 or np.ptp(x, axis=0).max() < 1e-12:
        return None
    R_each = T_device[:, :3, :3] @ T_model[:, :3, :3].transpose(0, 2, 1)
    s, R, t = _best_sample(x, y, R_each)
    mean = _mean_rotation(R_each)
    orient = float(np.median(_angles_deg(R_each, mean))) < AXES_AGREE_DEG
    if orient and _angles_deg(mean[None], R)[0] > AXES_AGREE_DEG:
        turned = _fit(x, y, mean[None], np.ones(len(x)), 1e6 * spread)
        orient = _median(turned, x, y) < 2 * _median((s, R, t), x, y) + 0.01 * spread
        s, R, t = turned if orient else (s, R, t)
    weight = np.ones(len(x))
    for _ in range(20):
        residual = np.linalg.norm(s * x @ R.T + t - y, axis=1)
        sigma = max(1.4826 * float(np.median(residual)), 1e-9 * spread)
        weight = 1 / (1 + (residual / (2 * sigma)) ** 2) ** 2
        s, R, t = _fit(x, y, R_each if orient else None, weight, spread)
    moved = s * x @ R.T + t - y
    residual = np.linalg.norm(moved, axis=1)
    limit = max(4 * 1.4826 * float(np.median(residual)), 1e-6 * spread)
    quarter = max(1, len(x) // 4)
    drift = np.median(moved[-quarter:], axis=0) - np.median(moved[:quarter], axis=0)
    drift_m = float(np.linalg.norm(drift))
    error = 2.5 * _jackknife(x, y, R_each if orient else None, weight, spread, s)
    half = max(LEAST_HALF_WIDTH, error, drift_m / spread)
    return DeviceAlignment(
        scale=Interval(value=s, low=s / (1 + half), high=s * (1 + half), why="the device's own camera poses"),
        R_device_model=R, t=t, median_m=float(np.median(residual)), worst_m=float(residual.max()),
        rotation_deg=float(np.median(_angles_deg(R_each, R))), drift_m=drift_m, spread_m=spread,
        used=int((residual <= limit).sum()), posed=len(x),
    )  # fmt: skip


def _best_sample(x: np.ndarray, y: np.ndarray, R_each: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Similarity with the least median residual over three centres, or two centres and an orientation, at random."""
    rng = Key(0).child("device alignment").rng()
    best: tuple[float, tuple[float, np.ndarray, np.ndarray]] | None = None
    one = np.ones(3)
    for trial in range(300):
        pick = rng.permutation(len(x))[:3]
        if trial % 2:
            found = _fit(x[pick], y[pick], None, one, 1.0)
        else:
            found = _fit(x[pick[:2]], y[pick[:2]], R_each[pick[:1]], one[:2], 1e6)
        if not np.isfinite(found[0]) or found[0] <= 0:
            continue
        cost = _median(found, x, y)
        if best is None or cost < best[0]:
            best = cost, found
    return best[1] if best is not None else _fit(x, y, None, np.ones(len(x)), 1.0)


def _median(found: tuple[float, np.ndarray, np.ndarray], x: np.ndarray, y: np.ndarray) -> float:
    return float(np.median(np.linalg.norm(found[0] * x @ found[1].T + found[2] - y, axis=1)))


def _mean_rotation(R_each: np.ndarray) -> np.ndarray:
    """The rotation nearest to most of (n, 3, 3): the chordal mean, reweighted by the angle to it."""
    weight = np.ones(len(R_each))
    R = np.eye(3)
    for _ in range(10):
        U, _, Vt = np.linalg.svd(np.einsum("n,nij->ij", weight, R_each))
        R = U @ np.diag([1.0, 1.0, np.sign(np.linalg.det(U @ Vt))]) @ Vt
        weight = 1 / np.maximum(_angles_deg(R_each, R), 0.1)
    return R


def _fit(
    x: np.ndarray, y: np.ndarray, R_each: np.ndarray | None, weight: np.ndarray, spread: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """Weighted similarity y ≈ s R x + t. An orientation counts as much as a position half the `spread` away."""
    w = weight / weight.sum()
    xm, ym = w @ x, w @ y
    a, b = x - xm, y - ym
    length = np.sqrt((w @ (a**2).sum(1)) / max(w @ (b**2).sum(1), 1e-300))  # device units → model units
    M = (b * w[:, None]).T @ a * length
    if R_each is not None:
        v = w if len(R_each) == len(w) else np.full(len(R_each), 1 / len(R_each))
        M = M + np.einsum("n,nij->ij", v, R_each) * (0.5 * spread * length) ** 2
    U, _, Vt = np.linalg.svd(M)
    R = U @ np.diag([1.0, 1.0, np.sign(np.linalg.det(U @ Vt))]) @ Vt
    s = float(w @ (b * (a @ R.T)).sum(axis=1) / max(w @ (a**2).sum(axis=1), 1e-300))
    return s, R, ym - s * R @ xm


def _jackknife(
    x: np.ndarray, y: np.ndarray, R_each: np.ndarray | None, weight: np.ndarray, spread: float, s: float
) -> float:
    """Relative standard error of the scale, leaving out runs of neighbouring frames, whose errors go together."""
    blocks = [b for b in np.array_split(np.arange(len(x)), min(8, len(x)))]
    scales = []
    for block in blocks:
        keep = np.setdiff1d(np.arange(len(x)), block)
        scales.append(_fit(x[keep], y[keep], None if R_each is None else R_each[keep], weight[keep], spread)[0])
    k = len(scales)
    return float(np.sqrt((k - 1) / k * ((np.array(scales) - np.mean(scales)) ** 2).sum()) / s)


def _angles_deg(R_each: np.ndarray, R: np.ndarray) -> np.ndarray:
    cosine = (np.einsum("nij,ij->n", R_each, R) - 1) / 2
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))
