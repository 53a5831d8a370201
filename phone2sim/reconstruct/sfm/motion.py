"""Did the camera move? Told cheaply from a few pictures, and from matched features before any mapping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.libraries import load_pycolmap
from phone2sim.reconstruct.capture.record import Capture

STILL_SHARE = 0.3
"""Part of the corners that stay on their pixel, over the whole capture, when the camera stands still."""
TURNED_PART = 0.9
"""Part of the pairs whose matches a mere turn explains, when the camera only turned."""
FOCALS = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4, 1.6)
"""Focal lengths tried, as factors of the expected one."""


@dataclass(frozen=True, kw_only=True)
class PairMatches:
    """Verified matches of two frames."""

    left: np.ndarray
    """(k, 2) pixels relative to the principal point."""
    right: np.ndarray
    focal_left: float
    focal_right: float
    diagonal: float
    panoramic: bool


def read_matches(database: Path, *, least: int = 30) -> tuple[list[PairMatches], float]:
    """Pairs with at least `least` verified matches, and the median number of features per frame."""
    pycolmap = load_pycolmap()

    pairs = []
    with pycolmap.Database.open(database) as db:
        cameras = {c.camera_id: c for c in db.read_all_cameras()}
        images = {im.image_id: im for im in db.read_all_images()}
        keypoints = {i: np.asarray(db.read_keypoints(i), dtype=np.float64)[:, :2] for i in images}
        for pair_id, g in zip(*db.read_two_view_geometries(), strict=True):
            m = np.asarray(g.inlier_matches)
            if len(m) < least:
                continue
            a, b = pycolmap.pair_id_to_image_pair(pair_id)
            ca, cb = cameras[images[a].camera_id], cameras[images[b].camera_id]
            pairs.append(
                PairMatches(
                    left=keypoints[a][m[:, 0]] - [ca.principal_point_x, ca.principal_point_y],
                    right=keypoints[b][m[:, 1]] - [cb.principal_point_x, cb.principal_point_y],
                    focal_left=ca.mean_focal_length(), focal_right=cb.mean_focal_length(),
                    diagonal=float(np.hypot(ca.width, ca.height)), panoramic="PANORAMIC" in str(g.config),
                )
            )  # fmt: skip
    return pairs, float(np.median([len(k) for k in keypoints.values()])) if keypoints else 0.0


def measure(pairs: list[PairMatches]) -> dict[str, float]:
    """How far matched features move, as a part of the diagonal, and the part of the pairs that a mere turn explains."""
    moved = [float(np.median(np.linalg.norm(p.left - p.right, axis=1))) / p.diagonal for p in pairs]
    return {
        "verified_pairs": len(pairs),
        "median_motion": round(float(np.median(moved)), 5) if moved else 0.0,
        "largest_motion": round(float(np.quantile(moved, 0.95)), 5) if moved else 0.0,
        "turned_part": round(turned_part([p for p, m in zip(pairs, moved) if m > 0.03]), 3),
    }


def turned_part(pairs: list[PairMatches]) -> float:
    """Part of the pairs in which one rotation moves four of five matches to within 3 px (of a 960 px picture).

    The focal length is unknown within `FOCALS`; the one that explains most counts. 0 without pairs.
    """
    best = 0.0
    for factor in FOCALS if pairs else ():
        fits = []
        for p in pairs:
            a = _rays(p.left, p.focal_left * factor)
            b = _rays(p.right, p.focal_right * factor)
            error = _turn_error(a, b) * p.focal_left * factor
            fits.append(float((error < 3.0 * p.diagonal / 1100).mean()) >= 0.8)
        best = max(best, float(np.mean(fits)))
    return best


def _rays(pixels: np.ndarray, focal: float) -> np.ndarray:
    v = np.column_stack([pixels / focal, np.ones(len(pixels))])
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def _turn_error(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(k,) angle [rad] between rays b and rays a turned by the rotation that fits most of them (Wahba, reweighted)."""
    weight = np.ones(len(a))
    error = weight
    for _ in range(8):
        U, _, Vt = np.linalg.svd((b * weight[:, None]).T @ a)
        R = U @ np.diag([1.0, 1.0, np.sign(np.linalg.det(U @ Vt))]) @ Vt
        error = np.linalg.norm(a @ R.T - b, axis=1)
        weight = 1 / (1 + (error / max(1.5 * float(np.median(error)), 1e-6)) ** 2)
    return error


def stands_still(report: Mapping[str, Any]) -> bool:
    """True when well matched frames show (nearly) the same picture everywhere."""
    return report["verified_pairs"] >= 3 and report["largest_motion"] < 0.01


def only_turns(report: Mapping[str, Any]) -> bool:
    """True when the camera turned on the spot in (nearly) every pair of frames."""
    return report["verified_pairs"] >= 3 and report["turned_part"] >= TURNED_PART and not stands_still(report)


def static_share(capture: Capture, *, most: int = 8, side: int = 480) -> float:
    """Part of the corners that look the same at the same place in `most` frames spread over the capture (median).

    A corner counts where the normalised correlation of 15×15 pixels of a `side` px picture is above 0.8, so a shift
    of two pixels is too much. 0 for frames of several sizes, and when there are too few corners to tell.
    """
    import cv2

    frames = [capture.frames[i] for i in np.unique(np.linspace(0, len(capture.frames) - 1, most).round().astype(int))]
    if len(frames) < 3 or len({(f.width, f.height) for f in frames}) > 1:
        return 0.0
    scale = side / max(frames[0].width, frames[0].height)
    reduced = cv2.IMREAD_REDUCED_GRAYSCALE_2 if scale <= 0.5 else cv2.IMREAD_GRAYSCALE
    size = (round(frames[0].width * scale), round(frames[0].height * scale))
    grey = []
    for f in frames:
        im = cv2.imread(str(capture.pictures / f.file), reduced | cv2.IMREAD_IGNORE_ORIENTATION)
        if im is None:
            return 0.0
        grey.append(
            cv2.GaussianBlur(cv2.resize(im, size, interpolation=cv2.INTER_AREA), (0, 0), 1.0).astype(np.float32)
        )
    corners = cv2.goodFeaturesToTrack(grey[0].astype(np.uint8), 400, 0.01, 6)
    if corners is None or len(corners) < 40:
        return 0.0
    x, y = corners.reshape(-1, 2).round().astype(int).T
    mean = [cv2.blur(g, (15, 15)) for g in grey]
    var = [np.maximum(cv2.blur(g * g, (15, 15)) - m * m, 1e-3) for g, m in zip(grey, mean)]
    shares = []
    for g, m, v in zip(grey[1:], mean[1:], var[1:]):
        cov = cv2.blur(g * grey[0], (15, 15)) - m * mean[0]
        ncc = cov / np.sqrt(v * var[0])
        shares.append(float((ncc[y, x] > 0.8).mean()))
    return float(np.median(shares))
