"""Whether an episode did what its task asked, and if not, the first thing that went wrong."""

from __future__ import annotations

import numpy as np

from phone2sim.augment.spec import EpisodeSpec

LIFT_M = 0.04
REST_SPEED = 0.03
SETTLE_MOVE_M = 0.03


def unsettled(spec: EpisodeSpec, settled: np.ndarray) -> str:
    """Empty, or the reason why the settled poses (n, 7) are not the arrangement that was asked for."""
    for o, p in zip(spec.objects, settled):
        if np.linalg.norm(p[:3] - np.array(o.pose.translation)) > SETTLE_MOVE_M:
            return f"unsettled:{o.asset}"
    return ""


def pick_place_outcome(spec: EpisodeSpec, poses: np.ndarray, *, lifted_step: int, speed: float, held: bool) -> str:
    """Empty for success, else `not_grasped`, `dropped`, `missed_goal`, `not_at_rest` or `still_held`.

    `poses` (t, n, 7) are all objects over time; `speed` [m/s] and `held` are the target's at the end.
    """
    k = [o.name for o in spec.objects].index(spec.task.target)
    path = poses[:, k, :3]
    rise = path[:, 2] - path[0, 2]
    if rise[min(lifted_step, len(rise) - 1)] < LIFT_M:
        return "not_grasped"
    miss = float(np.linalg.norm(path[-1, :2] - np.array(spec.task.goal_xy)))
    if held:
        return "still_held"
    if miss > spec.task.tolerance_m:
        return "dropped" if miss > 3 * spec.task.tolerance_m or rise[-1] < -0.05 else "missed_goal"
    if speed > REST_SPEED:
        return "not_at_rest"
    return ""
