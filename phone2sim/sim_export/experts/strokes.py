"""Strokes: ways to push an object, as joint commands. Proposals for the planner; it imagines each and takes the best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from phone2sim.poses import Pose
from phone2sim.sim_export.experts.ik import ArmIK, pointing_down

SPEED_M_S = 0.13
"""Of the tool while it pushes."""
AIR_SPEED_M_S = 0.35
AIR_M = 0.06
"""Height over everything else when the tool goes round."""
TOOL_M = 0.012
"""Half depth of the fingers along the push."""
LEAN_RAD = 0.5
"""Of the hand, away from the push."""
BACK_M = 0.03
"""To back off before the hand goes up: a rubbing finger would lift the object's edge."""
GAP_M = 0.015
"""Between tool and object before a stroke."""
IK_EVERY = 4
"""Frames between solved poses; joints are interpolated."""
IK_ERROR_M = 0.008


@dataclass(frozen=True, kw_only=True)
class Stroke:
    """Commands: go round to behind the object, then push."""

    joints_rad: np.ndarray
    """(t, j)."""
    air: int
    """Frames before the tool is down behind the object; 0 for one that goes on from where the tool is."""
    direction: np.ndarray
    """(2,) unit vector of the push, world."""
    rotation: np.ndarray
    """(3, 3) of the pinch site while it pushes, base frame."""


class Strokes:
    """Makes strokes for one robot at one place."""

    def __init__(self, ik: ArmIK, base: Pose, *, height_m: float, fps: int) -> None:
        self.ik = ik
        self._T_base_world = base.inverse()
        self._height = height_m
        self._fps = fps

    def around(
        self, q: np.ndarray, points: np.ndarray, direction: np.ndarray, *, aside_m: float, length_m: float, top_m: float,
        touching: bool = False,
    ) -> Stroke | None:  # fmt: skip
        """From joints `q` over `top_m` to behind the object of hull `points` (n, 3), then `length_m` along `direction`
        (2,); backing off first where the tool is still `touching`. None where the arm cannot."""
        across = np.array([-direction[1], direction[0]])
        middle = 0.5 * (points[:, :2].min(axis=0) + points[:, :2].max(axis=0)) + aside_m * across
        band = np.abs((points[:, :2] - middle) @ across) < 0.03
        if not band.any():
            return None
        behind = float(((points[band, :2] - middle) @ direction).min())
        start = middle + (behind - TOOL_M - GAP_M) * direction
        p0, R0 = self.ik.pose(q)
        down = self._leaning(R0, direction)
        a = self._in_base(start, self._height)
        over = np.array([a[0], a[1], max(self._in_base(start, top_m + AIR_M)[2], a[2] + AIR_M)])
        back = _backed_off(p0, R0) if touching else p0
        lift = np.array([back[0], back[1], max(p0[2], over[2])])
        legs: list[tuple[np.ndarray, np.ndarray]] = [(back, R0), (lift, R0), (over, down), (a, down)]
        joints: list[np.ndarray] = []
        q_at, p_at = q, p0
        for p, R in legs[not touching :]:
            frames = max(3, round(np.linalg.norm(p - p_at) / AIR_SPEED_M_S * self._fps))
            q_to, error = self.ik.solve(q_at, p, R, iterations=60)
            if error > IK_ERROR_M:
                return None
            s = _ease(np.arange(1, frames + 1) / frames)[:, None]
            joints.append(q_at + s * (q_to - q_at))
            q_at, p_at = q_to, p
        air = sum(len(j) for j in joints)
        pushed = self._straight(q_at, a, direction, length_m + GAP_M, down)
        if pushed is None:
            return None
        return Stroke(joints_rad=np.concatenate([*joints, pushed]), air=air, direction=direction, rotation=down)

    def onward(self, q: np.ndarray, rotation: np.ndarray, direction: np.ndarray, length_m: float) -> Stroke | None:
        """Push on from where the tool is."""
        p, _ = self.ik.pose(q)
        pushed = self._straight(q, p, direction, length_m, rotation)
        return None if pushed is None else Stroke(joints_rad=pushed, air=0, direction=direction, rotation=rotation)

    def away(self, q: np.ndarray, top_m: float) -> Iterator[np.ndarray]:
        """Joints frame by frame: back off from a push, then up."""
        p, R = self.ik.pose(q)
        z = max(p[2], self._in_base(np.zeros(2), top_m + AIR_M)[2])
        back = _backed_off(p, R)
        for start, end in ((p, back), (back, np.array([*back[:2], z]))):
            frames = max(8, round(np.linalg.norm(end - start) / AIR_SPEED_M_S * self._fps))
            for s in _ease(np.arange(1, frames + 1) / frames):
                q, _ = self.ik.solve(q, start + s * (end - start), R)
                yield q

    def _straight(
        self, q: np.ndarray, start: np.ndarray, direction: np.ndarray, length_m: float, rotation: np.ndarray
    ) -> np.ndarray | None:
        d = self._T_base_world.rotation[:2, :2] @ direction
        frames = max(2, round(length_m / SPEED_M_S * self._fps))
        knots = [0, *range(IK_EVERY, frames, IK_EVERY), frames]
        solved = [q]
        for t in knots[1:]:
            p = start + np.array([*(d * length_m * t / frames), 0.0])
            q, error = self.ik.solve(q, p, rotation, iterations=12)
            if error > IK_ERROR_M:
                return None
            solved.append(q)
        times = np.arange(1, frames + 1)
        return np.stack([np.interp(times, knots, column) for column in np.array(solved).T], axis=1)

    def _leaning(self, R: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Fingers side by side across the push, of the two ways the one nearer to the hand's now; leaning back, so that
        the fingers touch low and the palm stays behind them."""
        now = float(np.arctan2(R[1, 1], R[0, 1]))
        d = self._T_base_world.rotation[:2, :2] @ direction
        yaw = float(np.arctan2(d[0], -d[1]))
        down = pointing_down(yaw + np.pi * float(np.round((now - yaw) / np.pi)))
        lean = LEAN_RAD if down[:2, 0] @ d > 0 else -LEAN_RAD
        c, s = np.cos(lean), np.sin(lean)
        return down @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])

    def _in_base(self, xy: np.ndarray, z: float) -> np.ndarray:
        return self._T_base_world.apply(np.array([[*xy, z]]))[0]


def _backed_off(p: np.ndarray, R: np.ndarray) -> np.ndarray:
    """Away from what the leaning fingers push, straight: sideways they would drag it along."""
    ahead = R[:2, 2] / max(float(np.linalg.norm(R[:2, 2])), 0.1)
    return p - BACK_M * np.array([*ahead, 0.0])


def _ease(s: np.ndarray) -> np.ndarray:
    """Minimum jerk (Flash & Hogan 1985)."""
    return s**3 * (10 - 15 * s + 6 * s**2)
