"""Is a sparse model to be believed? Counts and reprojection error alone do not tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim.reconstruct.sfm.model import SparseModel, normalised

LEAST_POINTS, LEAST_STRICT = 30, 60
"""Points a camera must see; the second counts points in three views, for models from lax settings."""
STRONG_MATCHES = 150
"""A verified pair with this many matches should agree with the final poses."""
SAMPSON_PX = 4.0
FOCAL_ANGLE_DEG = 5.0
"""With a smaller median triangulation angle an estimated focal length does not count against the EXIF's."""
FORWARD = 0.8
"""Nor does it when matched cameras are apart mostly along their view, which trades the focal length for depth."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Reasons to refuse, and things only flagged."""

    refuse: tuple[str, ...]
    flag: tuple[str, ...]


def triangulation_angles(model: SparseModel) -> np.ndarray:
    """(m,) angle [rad] at each point between its two most distant cameras, bounded by twice the spread of its rays."""
    rays = model.cameras.centres[model.obs_camera] - model.xyz[model.obs_point]
    rays /= np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-12)
    order = np.lexsort((model.obs_camera, model.obs_point))
    point, rays = model.obs_point[order], rays[order]
    starts = np.searchsorted(point, np.arange(len(model.xyz)))
    ends = np.searchsorted(point, np.arange(len(model.xyz)), side="right")
    angles = np.zeros(len(model.xyz))
    for i, (a, b) in enumerate(zip(starts, ends)):
        if b - a >= 2:
            r = rays[a:b]
            angles[i] = np.arccos(np.clip((r @ r.T).min(), -1, 1))
    return angles


def pair_agreement(model: SparseModel, *, limit_px: float = SAMPSON_PX) -> np.ndarray:
    """(p,) part of each verified pair's matches whose Sampson error under the final poses is below `limit_px`."""
    cameras = model.cameras
    T_camera_world = cameras.T_camera_world
    agree = np.ones(len(model.pair_ij))
    ends = np.cumsum(model.pair_count)
    for k, (i, j) in enumerate(model.pair_ij):
        part = slice(int(ends[k] - model.pair_count[k]), int(ends[k]))
        left = normalised(cameras, i, model.pair_left[part].astype(float))
        right = normalised(cameras, j, model.pair_right[part].astype(float))
        T = T_camera_world[j] @ cameras.T_world_camera[i]
        t = T[:3, 3]
        length = np.linalg.norm(t)
        if length < 1e-12:
            continue
        x, y, z = t / length
        E = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ T[:3, :3]
        a = np.column_stack([left, np.ones(len(left))])
        b = np.column_stack([right, np.ones(len(right))])
        Ea, Eb = a @ E.T, b @ E
        num = (b * Ea).sum(axis=1) ** 2
        den = (Ea[:, :2] ** 2).sum(axis=1) + (Eb[:, :2] ** 2).sum(axis=1)
        focal = 0.5 * (cameras.K[i, 0, 0] + cameras.K[j, 0, 0])
        agree[k] = float((np.sqrt(num / np.maximum(den, 1e-18)) * focal < limit_px).mean())
    return agree


def along_view(model: SparseModel) -> float:
    """Median part (0 to 1) of the way between the cameras of a verified pair that lies along the first one's view."""
    if len(model.pair_ij) == 0:
        return 0.0
    i, j = model.pair_ij.T
    way = model.cameras.centres[j] - model.cameras.centres[i]
    forward = np.einsum("pk,pk->p", way, model.cameras.T_world_camera[i, :3, 2])
    return float(np.median(np.abs(forward) / np.maximum(np.linalg.norm(way, axis=1), 1e-12)))


def _misplaced(model: SparseModel, strong: np.ndarray, broken: np.ndarray) -> list[str]:
    """Origins of cameras with at least two strong pairs, most of which contradict the poses."""
    n = len(model.cameras)
    of, bad = (np.bincount(model.pair_ij[which].ravel(), minlength=n) for which in (strong, broken))
    return [model.cameras.sources[i] for i in np.flatnonzero((of >= 2) & (bad > 0.5 * of))]


def judge(
    model: SparseModel, focal_prior: dict[str, float], *, trusted: bool, held: bool = False, strict: bool = False
) -> Verdict:
    """Check a model. `focal_prior` maps a frame to its expected focal length [px]; `trusted` when EXIF told it.

    `held`: the lens was not estimated, so less parallax will do. `strict`: for models from lax settings or global
    mapping; only points in three views count as support, which a wrong pair of views cannot fake.
    """
    refuse, flag = [], []
    seen, least, where = model.points_per_camera, LEAST_POINTS, ""
    if strict:
        seen = np.bincount(model.obs_camera[model.track_length[model.obs_point] >= 3], minlength=len(model.cameras))
        least, where = LEAST_STRICT, " in three views"
    thin = [model.cameras.sources[i] for i in np.flatnonzero(seen < least)]
    if len(thin) > 0.1 * len(seen):
        refuse.append(f"{len(thin)} of {len(seen)} cameras rest on fewer than {least} points{where}")
    elif thin:
        flag.append(f"few points support {', '.join(thin[:5])}")
    if model.reprojection_px > 1.5 * max(1.0, float(np.median(model.cameras.size_wh.max(axis=1))) / 1920):
        refuse.append(f"the reprojection error is {model.reprojection_px:.2f} px")
    angle = float(np.degrees(np.median(triangulation_angles(model)))) if len(model.xyz) else 0.0
    if angle < (1.0 if held else 2.0):
        refuse.append(f"the camera turned without moving (median triangulation angle {angle:.1f}°)")
    ratio = np.array([model.cameras.K[i, 0, 0] / focal_prior[n] for i, n in enumerate(model.cameras.names)])
    low, high = (0.6, 1.6) if trusted else (0.4, 2.5)
    if ((ratio < low) | (ratio > high)).any():
        worst = float(ratio[np.argmax(np.abs(np.log(ratio)))])
        refuse.append(f"the focal length came out {worst:.2f} times the expected one")
    elif trusted and (np.abs(ratio - 1) > 0.2).any() and (angle < FOCAL_ANGLE_DEG or along_view(model) > FORWARD):
        refuse.append(
            f"the pictures want a focal length {float(np.median(ratio)):.2f} times the EXIF's, which they hardly tell as "
            "the camera moved along its view or too little"
        )
    elif trusted and (np.abs(ratio - 1) > 0.2).any():
        flag.append(f"the focal length differs from EXIF by {float(np.abs(ratio - 1).max()):.0%}")
    strong = model.pair_count >= STRONG_MATCHES
    if strong.any():
        broken = strong & (pair_agreement(model) < 0.2)
        if broken.sum() > max(1, 0.03 * strong.sum()):
            refuse.append(f"{int(broken.sum())} of {int(strong.sum())} well matched pairs contradict the poses")
        elif broken.any() and (lost := _misplaced(model, strong, broken)):
            refuse.append(f"most matches of {', '.join(lost[:5])} contradict the poses")
    return Verdict(refuse=tuple(refuse), flag=tuple(flag))


def judge_device(model: SparseModel) -> Verdict:
    """Check device poses that no adjustment has refined: matched pairs must lie near their epipolar lines."""
    if len(model.xyz) < 100:
        return Verdict(refuse=("neither pictures nor device give points",), flag=())
    text = "the pictures show too little to refine the device's camera poses; they are used as they are"
    if len(model.pair_ij) == 0:
        return Verdict(refuse=(), flag=(text + " and unchecked",))
    wide = 0.015 * float(np.median(model.cameras.size_wh.max(axis=1)))
    if float((pair_agreement(model, limit_px=wide) > 0.5).mean()) < 0.6:
        return Verdict(refuse=("the device's camera poses contradict the matched features",), flag=())
    return Verdict(refuse=(), flag=(text,))
