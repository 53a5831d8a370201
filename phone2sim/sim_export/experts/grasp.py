"""Parallel grasps from above on collision hulls: antipodal pairs of points say which way to close and where; each is then
checked with the whole pads, the fingers' way down, the palm, and everything around.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim.assets.surface import Surface
from phone2sim.sim_export.robots.base import SLACK_M, Robot

PAIRS = 160
"""Points from which an opposite one is sought."""
CONE = 0.8
"""Least cosine between a contact's normal and the closing direction: inside the friction cone of rubber on most things."""
LINE_M = 0.006
"""An opposite point lies this near the line along the normal."""
TABLE_GAP_M = 0.003


@dataclass(frozen=True, kw_only=True)
class Grasp:
    """The fingers close along (cos yaw, sin yaw, 0) around `pinch`, coming straight down."""

    pinch: np.ndarray
    """(3,) middle of the pads, world [m]."""
    yaw_rad: float
    width_m: float
    """Of the object between the pads."""
    opening_m: float
    """To come down with."""
    score: float


def find_grasps(
    surface: Surface, center_of_mass: np.ndarray, clutter: np.ndarray, *, robot: Robot, table_m: float
) -> tuple[list[Grasp], str]:
    """Grasps of a settled object (world frame), best first, and why there are none.

    `clutter` (m, 3) are points of everything else that may be hit. `table_m` is the support's height.
    """
    p, n = surface.points, surface.normals
    low, top = p[:, 2].min(), p[:, 2].max()
    least = table_m + robot.tip_below_pinch_m + TABLE_GAP_M
    deepest = top - robot.palm_above_pinch_m + 0.004
    levels = np.append(np.linspace(low + 0.006, top - 0.004, 9), deepest + 1e-4)  # as deep as the palm lets a hand go
    heights = np.unique(np.round(np.clip(levels, least, max(top, least)), 4))
    heights = heights[heights > deepest]
    found, reasons = [], {"too_wide": 0, "no_flat_sides": 0, "no_room_for_fingers": 0, "blocked_by_clutter": 0}
    for yaw, places in _candidates(surface, center_of_mass, heights):
        c, s = np.cos(yaw), np.sin(yaw)
        frame = np.array([[c, s, 0.0], [-s, c, 0], [0, 0, 1]])
        uvz = (p - [center_of_mass[0], center_of_mass[1], 0]) @ frame.T
        side = n @ frame[0]
        other = (clutter - [center_of_mass[0], center_of_mass[1], 0]) @ frame.T
        for h, v0 in places:
            band = (np.abs(uvz[:, 1] - v0) < robot.pad_half_m[0]) & (np.abs(uvz[:, 2] - h) < robot.pad_half_m[1])
            if band.sum() < 6:
                continue
            for lo, hi, rim in _spans(np.sort(uvz[band, 0]), robot.finger_m[0]):
                width, mid = hi - lo, 0.5 * (lo + hi)
                if width > robot.opening_m - 2 * SLACK_M:
                    reasons["too_wide"] += 1
                    continue
                here = band & (uvz[:, 0] > lo - 1e-6) & (uvz[:, 0] < hi + 1e-6)
                reach = max(0.003, 0.06 * width)
                right, left = here & (uvz[:, 0] > hi - reach), here & (uvz[:, 0] < lo + reach)
                flat = min(float(np.mean(side[right])), float(-np.mean(side[left])))
                if flat < (0.3 if rim else 0.72):
                    reasons["no_flat_sides"] += not rim
                    continue
                gap = min(robot.opening_m, width + 0.024) if rim else robot.opening_m
                openings = [gap, *([width + 2 * SLACK_M + 0.004] if width + 2 * SLACK_M + 0.004 < gap else [])]
                free = [o for o in openings if not _hits(uvz, mid, v0, h, o, robot)]
                if not free:
                    reasons["no_room_for_fingers"] += not rim
                    continue
                free = [o for o in free if not _hits(other, mid, v0, h, o, robot)]
                if not free:
                    reasons["blocked_by_clutter"] += 1
                    continue
                score = (
                    flat
                    - 8 * abs(v0)
                    - 4 * abs(h - center_of_mass[2])
                    - (4 * abs(mid) + 0.6 if rim else 4 * abs(mid))
                )
                score -= 10 * max(0.0, width - 0.06) + (0.1 if free[0] < gap else 0.0)
                pinch = np.array([*center_of_mass[:2], 0]) + np.array([mid, v0, h]) @ frame
                found.append(
                    Grasp(
                        pinch=pinch, yaw_rad=float(yaw), width_m=float(width), opening_m=float(free[0]), score=score
                    )
                )
    found.sort(key=lambda g: -g.score)
    why = max(reasons, key=lambda r: reasons[r]) if any(reasons.values()) else "no_height"
    return found, "" if found else why


def _candidates(
    surface: Surface, center_of_mass: np.ndarray, heights: np.ndarray
) -> list[tuple[float, list[tuple[float, float]]]]:
    """(closing direction, (height, offset across it from the centre of mass) …): across the outline's narrowest way, and
    where two points of the surface face away from each other within the friction cone."""
    middle = center_of_mass[:2]
    found = {yaw: [(float(h), 0.0) for h in heights] for yaw in _narrow_yaws(surface.points)}
    if not len(heights):
        return []
    upright = np.abs(surface.normals[:, 2]) < 0.6
    p, n = surface.points[upright], surface.normals[upright]
    seen: set[tuple[int, int, int]] = set()
    for i in range(0, len(p), max(1, len(p) // PAIRS)):
        d = -n[i] * [1.0, 1.0, 0.0]
        d /= np.linalg.norm(d)
        way = p - p[i]
        along = way @ d
        off = np.linalg.norm(way - along[:, None] * d, axis=1)
        faces = (along > 0.002) & (off < LINE_M) & (n @ d > CONE)
        if not faces.any():
            continue
        end = p[faces][int(np.argmax(along[faces]))]
        yaw = float(np.arctan2(d[1], d[0])) % np.pi
        at = 0.5 * (p[i] + end)
        h = float(heights[int(np.argmin(np.abs(heights - at[2])))])
        v0 = float((at[:2] - middle) @ np.array([-np.sin(yaw), np.cos(yaw)]))
        key = (round(yaw / 0.06), round(h / 0.004), round(v0 / 0.006))
        if key not in seen:
            seen.add(key)
            found.setdefault(yaw, []).append((h, v0))
    return list(found.items())


def _narrow_yaws(points: np.ndarray) -> list[float]:
    """Direction in which the outline seen from above is narrowest, and the one across it."""
    from scipy.spatial import ConvexHull

    outline = points[ConvexHull(points[:, :2]).vertices][:, :2]
    edge = np.roll(outline, -1, axis=0) - outline
    across = np.arctan2(edge[:, 0], -edge[:, 1])
    width = np.ptp(outline @ np.stack([np.cos(across), np.sin(across)]), axis=0)
    yaw = float(across[int(np.argmin(np.round(width, 6)))]) % np.pi
    return [yaw, (yaw + np.pi / 2) % np.pi]


def _spans(u: np.ndarray, finger_m: float) -> list[tuple[float, float, bool]]:
    """Intervals to pinch among sorted positions along the closing direction: the whole, and thin outer walls."""
    out = [(float(u[0]), float(u[-1]), False)]
    breaks = np.flatnonzero(np.diff(u) > 2 * finger_m)
    if len(breaks):
        first, last = u[: breaks[0] + 1], u[breaks[-1] + 1 :]
        out += [(float(w[0]), float(w[-1]), True) for w in (first, last) if w[-1] - w[0] < 0.03]
    return out


def _hits(uvz: np.ndarray, mid: float, v0: float, h: float, opening: float, robot: Robot) -> bool:
    """Whether points (in the closing frame) are where fingers or palm pass on the way straight down."""
    u, v, z = np.abs(uvz[:, 0] - mid), np.abs(uvz[:, 1] - v0), uvz[:, 2]
    finger = (u > opening / 2 - 0.001) & (u < opening / 2 + robot.finger_m[0]) & (v < robot.finger_m[1])
    if (finger & (z > h - robot.tip_below_pinch_m - 0.002)).any():
        return True
    palm = (u < robot.palm_half_m[1]) & (v < robot.palm_half_m[0]) & (z > h + robot.palm_above_pinch_m - 0.004)
    return bool(palm.any())
