"""From a depth map of any kind to metres and a plane, with the evidence and its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from phone2sim.intervals import Interval
from phone2sim.keys import Key
from phone2sim.reconstruct.photo.plane import LEAST_UP, PhotoPlane, find_plane, rays
from phone2sim.reconstruct.photo.ruler import Ruler

HANDHELD_M = (0.3, 0.6, 1.5)
"""Lowest, likeliest and highest distance from a phone to what it is held at [m]."""


@dataclass(frozen=True, kw_only=True)
class PhotoDepth:
    """A depth map as its source gives it."""

    depth: np.ndarray
    """(h, w) float32, 0 where unknown."""
    kind: str
    """`device` (metres), `model` (metres, learnt), `rough` (about metres) or `relative` (any unit)."""
    source: str
    """Words for the reader."""


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """A depth map in metres."""

    depth: np.ndarray
    """(h, w) float32 [m]."""
    plane: PhotoPlane | None
    scale: Interval
    """Factor on the source's depth."""
    scale_source: str
    votes: tuple[dict[str, Any], ...]
    flagged: tuple[str, ...]


def align(
    given: PhotoDepth, K: np.ndarray, ruler: Ruler | None, *, key: Key, up_camera: np.ndarray | None = None, focal_known: bool = True
) -> Aligned:  # fmt: skip
    """Metric depth and the support plane. A ruler pins the scale, and of a relative depth also its shift."""
    depth = np.where(np.isfinite(given.depth) & (given.depth > 0), given.depth, 0).astype(np.float64)
    flagged: list[str] = []
    tolerance = 0.012 if given.kind == "device" else 0.02
    own = _own_scale(given, depth)
    votes: list[tuple[str, Interval]] = []
    shift = 0.0
    if ruler is not None:
        factor, shift, spread = _to_ruler(depth, K, ruler, two=given.kind in ("relative", "rough"))
        doubt = max(0.004 + 0.5 * ruler.error_px / max(1.0, float(np.ptp(ruler.outline_px, axis=0).max())), spread)
        if not focal_known:
            doubt = max(doubt, 0.03)
        scale = Interval(value=factor, low=factor * (1 - doubt), high=factor * (1 + doubt), why=ruler.why)
        votes.append((ruler.source, scale))
        if given.kind in ("device", "model") and not own.low <= factor <= own.high:
            flagged.append(f"the {ruler.source} says {factor:.2f} times the depth of the {given.source}")
    votes.append((given.source if given.kind != "relative" else "handheld prior", own))
    source, scale = votes[0]
    inverse = np.where(depth > 0, 1 / (np.where(depth > 0, depth, 1) * scale.value) + shift, 0)
    metres = np.where(inverse > 1e-3, 1 / np.maximum(inverse, 1e-3), 0)
    extra = ruler.normal if ruler is not None and (ruler.source != "tag" or ruler.normal[1] < -LEAST_UP) else None
    if up_camera is None and extra is not None:  # sheets and cards lie on what things stand on
        up_camera = extra
    plane = find_plane(metres, K, key, tolerance=tolerance, up_camera=up_camera, extra=extra)
    if ruler is None:
        flagged += _doubts(given)
    elif plane is not None and extra is not None:
        tilt = float(np.degrees(np.arccos(np.clip(plane.normal @ ruler.normal, -1, 1))))
        if tilt > 6:
            flagged.append(f"the {ruler.source} is tilted by {tilt:.0f}° against the support plane")
    if plane is None:
        flagged.append("no support plane was found: nothing can be stood on it")
    if not focal_known:
        flagged.append("the photo names no focal length: a usual phone's was taken")
    return Aligned(
        depth=metres.astype(np.float32), plane=plane, scale=scale, scale_source=source,
        votes=tuple({"about": "scale", "source": s, **v.to_json()} for s, v in votes), flagged=tuple(flagged),
    )  # fmt: skip


def _own_scale(given: PhotoDepth, depth: np.ndarray) -> Interval:
    """What the depth says of its own scale."""
    if given.kind == "relative":
        middle = float(np.median(depth[depth > 0])) if (depth > 0).any() else 1.0
        low, value, high = (d / middle for d in HANDHELD_M)
        return Interval(value=value, low=low, high=high, why="phones are held at arm's length")
    share = {"device": (0.95, 1.05), "model": (0.75, 1.33), "rough": (0.6, 1.7)}[given.kind]
    return Interval(value=1.0, low=share[0], high=share[1], why=given.source)


def _doubts(given: PhotoDepth) -> list[str]:
    return {
        "device": [],
        "model": ["the scale is a learnt model's; lay the scale sheet in view for a true one"],
        "rough": ["the file's depth is only about metric; lay the scale sheet in view for a true one"],
        "relative": ["the scale is a guess from how far phones are held; lay the scale sheet in view for a true one"],
    }[given.kind]


def _to_ruler(depth: np.ndarray, K: np.ndarray, ruler: Ruler, *, two: bool) -> tuple[float, float, float]:
    """`(factor, shift, spread)`: 1/z = 1/(factor · depth) + shift [1/m] agrees with the ruler's plane.

    A relative depth (`two`) also has a shift: too little of it shows on the ruler itself, so the agreement grows over
    the plane that the ruler lies on. `spread` is the relative half width of the factor.
    """
    import cv2

    r = rays(K, depth.shape)
    target = r @ (-ruler.normal / ruler.height)
    inside = np.zeros(depth.shape, np.uint8)
    cv2.fillConvexPoly(inside, np.round(ruler.outline_px).astype(np.int32), 1)
    known = (depth > 0) & (target > 1e-3)
    rows = known & (inside > 0)
    if rows.sum() < 20:
        rows = known & (cv2.dilate(inside, np.ones((9, 9), np.uint8)) > 0)
    if rows.sum() < 5:
        return 1.0, 0.0, 0.5
    q = 1 / np.where(depth > 0, depth, 1)
    ratio = target[rows] / q[rows]
    a, b = float(np.median(ratio)), 0.0
    spread = 1.4826 * float(np.median(np.abs(ratio / a - 1)))
    if two:
        for band in (0.05, 0.05, 0.04, 0.03, 0.02, 0.015, 0.015):
            near = known & (np.abs(a * q + b - target) < band * target)
            _, labels = cv2.connectedComponents(near.astype(np.uint8))
            ids = np.unique(labels[rows & near])
            grown = near & np.isin(labels, ids[ids > 0])
            if grown.sum() < 50:
                break
            A = np.column_stack([q[grown], np.ones(int(grown.sum()))])
            weight = 1 / target[grown]
            new_a, new_b = np.linalg.lstsq(A * weight[:, None], target[grown] * weight, rcond=None)[0]
            if not new_a > 0:
                break
            a, b = float(new_a), float(new_b)
    return 1 / a, b, float(np.clip(spread / np.sqrt(max(1, rows.sum() / 50)), 0, 0.3))
