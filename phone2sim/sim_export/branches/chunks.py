"""Action chunks to branch with: the recorded actions, and ways to depart from them."""

from __future__ import annotations

import numpy as np

from phone2sim.keys import Key

KINDS = ("bump", "drift", "early", "late", "weak", "wander")
"""Departures: there and back; away for good; gripper earlier or later; gripper half closed; a random walk."""
SPREAD_RAD = 0.045
"""Standard deviation of a joint's departure: about 3 cm at the hand."""
SHIFT_STEPS = (3, 9)
"""How much earlier or later the gripper moves, at 20 frames/s."""


def draw_futures(
    recorded: np.ndarray, start: int, horizon: int, n: int, key: Key, *, fps: int
) -> list[tuple[str, np.ndarray]]:
    """`n` kinds and action sequences (t - start, a) from step `start` of the `recorded` ones (t, a) to their end.

    The first is as recorded. The others depart within `horizon` steps and then follow the record, shifted by what a
    `drift` or `wander` left. Drawn by number, so more of them leave the first ones as they are.
    """
    rest = np.asarray(recorded[start:], float)
    out = [("recorded", rest.copy())]
    for i in range(1, n):
        rng = key.child("future", i).rng()
        kind = KINDS[int(rng.integers(len(KINDS)))]
        actions = _depart(kind, rest, min(horizon, len(rest)), rng, fps)
        if np.array_equal(actions[:horizon], rest[:horizon]):  # the gripper has nothing to do here
            kind = "drift"
            actions = _depart(kind, rest, min(horizon, len(rest)), rng, fps)
        out.append((kind, actions))
    return out


def _depart(kind: str, rest: np.ndarray, horizon: int, rng: np.random.Generator, fps: int) -> np.ndarray:
    out = rest.copy()
    joints = out.shape[1] - 1
    s = np.minimum(np.arange(1, len(rest) + 1) / horizon, 1.0)
    if kind in ("bump", "drift"):
        shape = np.sin(np.pi * s) ** 2 if kind == "bump" else s**2 * (3 - 2 * s)
        out[:, :-1] += shape[:, None] * rng.normal(0, SPREAD_RAD, joints)
    elif kind == "wander":
        walk = np.cumsum(rng.normal(0, 2.5 * SPREAD_RAD / np.sqrt(horizon), (horizon, joints)), axis=0)
        out[:horizon, :-1] += walk
        out[horizon:, :-1] += walk[-1]
    elif kind == "weak":
        out[:, -1] = np.maximum(out[:, -1], rng.uniform(0.3, 0.9))
    else:
        shift = int(np.ceil(rng.uniform(*SHIFT_STEPS) * fps / 20)) * (1 if kind == "late" else -1)
        at = np.clip(np.arange(len(rest)) - shift, 0, len(rest) - 1)
        out[:, -1] = rest[at, -1]
    return out
