"""`measure_posture`: a start posture with the hand pointing down, and how far an arm works like that over a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from phone2sim.errors import InputError
from phone2sim.keys import Key

SEEDS = 24
ERROR_M = 0.004
HEIGHTS_M = (0.03, 0.24)
"""Of the pinch over the table: to grasp, and to carry."""
STEP_M = 0.03
LEAST_BAND_M = 0.12


def measure_posture(
    build: Callable[..., Any], joints: tuple[str, ...], limits: tuple[tuple[float, float], ...]
) -> tuple[tuple[float, ...], float, float, float]:
    """(home joints [rad], nearest and farthest radius [m], half angle [rad]).

    Raises `InputError` for an arm that cannot point its hand down anywhere.
    """
    from phone2sim.sim_export.experts.ik import ArmIK, pointing_down

    low, high = np.array(limits).T
    middle = 0.5 * (low + high)
    ik = ArmIK.of(build(visual=False, collision=False).compile(), len(joints), middle)
    span = _span(ik, low, high)
    best: tuple[float, np.ndarray] | None = None
    for i in range(SEEDS):
        rng = Key(0).child("posture", i).rng()
        start = np.clip(middle + rng.uniform(-0.35, 0.35, len(low)) * (high - low) * (i > 0), low + 0.05, high - 0.05)
        for r, z in ((0.5 * span, 0.3), (0.55 * span, 0.2)):
            q, error = ik.solve(start, np.array([r, 0.0, z]), pointing_down(np.pi / 2), iterations=150)
            if error > ERROR_M:
                continue
            bent = float(np.mean(((q - middle) / (high - low)) ** 2)) + 0.05 * abs(float(q[0]))
            score = bent + 2.0 * max(0.0, 0.08 - ik.lowest(q)) / 0.08
            if best is None or score < best[0] - 1e-6:
                best = score, q
    if best is None:
        raise InputError("The arm cannot point its hand down in front of its base, as work on a table needs.")
    home = best[1]
    ik = ArmIK.of(ik.model, len(joints), home)

    def works(r: float, angle: float = 0.0) -> bool:
        q = home
        for z in HEIGHTS_M[::-1]:
            p = np.array([r * np.cos(angle), r * np.sin(angle), z])
            q, error = ik.solve(q, p, pointing_down(np.pi / 2 + angle), iterations=80)
            if error > ERROR_M:
                return False
        return True

    radii = np.arange(0.15, span, STEP_M)
    good = np.array([works(float(r)) for r in radii])
    runs = np.split(np.flatnonzero(good), np.flatnonzero(np.diff(np.flatnonzero(good)) > 1) + 1)
    run = max(runs, key=len)
    if len(run) * STEP_M < LEAST_BAND_M:
        raise InputError(f"The arm works on a table over {len(run) * STEP_M:.2f} m only; {LEAST_BAND_M} m are needed.")
    near, far = float(radii[run[0]]), float(radii[run[-1]])
    near, far = near + 0.25 * STEP_M, far - 0.1 * (far - near)  # not at the very ends, where a turned hand fails
    angle = 0.0
    for a in np.arange(0.3, 1.25, 0.3):
        if not all(works(r, s * float(a)) for r in (near, far) for s in (-1, 1)):
            break
        angle = float(a)
    return tuple(float(round(x, 6)) for x in home), round(near, 3), round(far, 3), max(angle, 0.3)


def _span(ik: Any, low: np.ndarray, high: np.ndarray) -> float:
    """Farthest the pinch gets from the base's axis, of many postures [m]."""
    rng = Key(0).child("span").rng()
    return float(max(np.hypot(*ik.pose(q)[0][:2]) for q in rng.uniform(low, high, (400, len(low)))))
