"""`ValueModel`: how well a state will end, learnt from branches. A small network in NumPy; training takes seconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.errors import InputError
from phone2sim.keys import Key
from phone2sim.poses import Pose
from phone2sim.sim_export.world import World

FEATURES = (
    "progress", "reach_x", "reach_y", "reach_z", "reach", "to_goal_x", "to_goal_y", "to_goal_z", "to_goal", "rise", "highest",
    "opening", "touched", "others_touched", "speed", "tilt", "drift_x", "drift_y", "turned", "left", "hand_x", "hand_y", "hand_z",
)  # fmt: skip
"""Metres, radians, shares; `reach` is hand to object in the hand's frame, `drift` and `turned` the object's since the start."""
HIDDEN, MEMBERS, STEPS, DECAY = 32, 5, 600, 1e-3
"""Width, networks averaged, steps of training, weight decay."""


def features(world: World) -> np.ndarray:
    """(f,) of the world now, in the order of `FEATURES`; for the task's first goal that is still open."""
    m, spec = world.moment, world.spec
    goal = next((g for g in spec.task.goals if world.judge.task.goal_failure(m, g)), spec.task.goals[-1])
    k = m.index(goal.object)
    T = Pose(np.array(spec.robot.base.translation), np.array(spec.robot.base.quat_wxyz)).inverse()
    pinch, R = world.pinch()
    now, start = (Pose(p[k, :3], p[k, 3:]) for p in (m.poses, m.start))
    at = T.apply(now.translation[None])[0]
    reach, to_goal = R.T @ (at - pinch), T.apply(m.goal_position(goal)[None])[0] - at
    turn = now.rotation @ start.rotation.T
    drift = at - T.apply(start.translation[None])[0]
    return np.array([
        world.progress, *reach, np.linalg.norm(reach), *to_goal, np.linalg.norm(to_goal[:2]), m.poses[k, 2] - m.start[k, 2],
        m.highest[k], world.simulator.joints()[-1], m.touched[k], m.touched.sum() - m.touched[k], m.speeds[k],
        np.arccos(np.clip(turn[2, 2], -1, 1)), *drift[:2], np.arctan2(turn[1, 0], turn[0, 0]),
        1 - world.step_index / world.steps, *pinch,
    ])  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ValueModel:
    """The mean of a few two-layer networks, features (n, f) → value 0–1 (n,)."""

    mean: np.ndarray
    """(f,) of the training features."""
    scale: np.ndarray
    """(f,)."""
    weights: tuple[np.ndarray, ...]
    """Stacked over networks: W1 (m, f, h), b1 (m, 1, h), W2 (m, h, h), b2 (m, 1, h), W3 (m, h, 1), b3 (m, 1, 1)."""

    @classmethod
    def fit(cls, x: np.ndarray, y: np.ndarray, *, seed: int = 0) -> ValueModel:
        """Logistic regression on labels 0–1 (n,), Adam on all of it at once (Kingma & Ba 2015). Deterministic."""
        mean, scale = x.mean(0), np.maximum(x.std(0), 1e-6)
        z, f = np.clip((x - mean) / scale, -5, 5), x.shape[1]
        shapes = ((f, HIDDEN), (1, HIDDEN), (HIDDEN, HIDDEN), (1, HIDDEN), (HIDDEN, 1), (1, 1))
        w = []
        for i, shape in enumerate(shapes):
            rngs = [Key(seed).child("value model", i, member).rng() for member in range(MEMBERS)]
            w.append(np.stack([r.normal(0, 1 / np.sqrt(shape[0]), shape) * (shape[0] > 1) for r in rngs]))
        m, v = [np.zeros_like(a) for a in w], [np.zeros_like(a) for a in w]
        for step in range(1, STEPS + 1):
            rate = 0.01 * (1 - step / (STEPS + 1))
            for i, g in enumerate(_gradients(w, z, y)):
                g = g + DECAY * w[i] * (w[i].shape[1] > 1)
                m[i] = 0.9 * m[i] + 0.1 * g
                v[i] = 0.999 * v[i] + 0.001 * g * g
                w[i] = w[i] - rate * (m[i] / (1 - 0.9**step)) / (np.sqrt(v[i] / (1 - 0.999**step)) + 1e-8)
        return cls(mean=mean, scale=scale, weights=tuple(w))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(n,) predicted value 0–1."""
        z = np.clip((np.atleast_2d(x) - self.mean) / self.scale, -5, 5)
        return _sigmoid(_forward(list(self.weights), z)[-1]).mean(axis=0)[:, 0]

    def save(self, path: Path) -> None:
        from phone2sim.sim_export.episode import npz_bytes

        weights = {f"w{i}": a for i, a in enumerate(self.weights)}
        path.write_bytes(npz_bytes({"mean": self.mean, "scale": self.scale, **weights}))

    @classmethod
    def load(cls, path: Path) -> ValueModel:
        """Raises `InputError` for a missing file or one of other features."""
        if not path.exists():
            raise InputError(f"{path} does not exist.", hint="phone2sim branch DATASET -o OUT makes it.")
        with np.load(path) as z:
            if len(z["mean"]) != len(FEATURES):
                raise InputError(
                    f"{path} is a value model of {len(z['mean'])} features, this version has {len(FEATURES)}."
                )
            return cls(mean=z["mean"], scale=z["scale"], weights=tuple(z[f"w{i}"] for i in range(6)))


def rank_table(rows: list[dict[str, Any]], model: ValueModel) -> dict[str, Any]:
    """How well futures of one state are told apart, over states where some succeed and some do not.

    `pairs`: share of (success, failure) pairs of one state that are in the right order, ties counting half (the area under
    the ROC curve within states). `best`: share of states whose first-ranked future succeeds. By `model`, by `progress` after
    the chunk, and by chance.
    """
    by_state: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for r in rows:
        by_state.setdefault((r["episode"], r["frame"]), []).append(r)
    groups = [g for g in by_state.values() if len({r["success"] for r in g}) == 2]
    scores = {
        "model": [model(np.array([r["features"] for r in g])) for g in groups],
        "progress": [np.array([r["progress"][1] for r in g]) for g in groups],
        "chance": [np.zeros(len(g)) for g in groups],
    }
    table = {}
    for name, each in scores.items():
        right = pairs = 0.0
        best = 0.0
        for g, s in zip(groups, each):
            good = np.array([r["success"] for r in g])
            d = s[good][:, None] - s[~good][None]
            right, pairs = right + (d > 0).sum() + 0.5 * (d == 0).sum(), pairs + d.size
            best += good[s == s.max()].mean()
        table[name] = {"pairs": round(right / max(pairs, 1), 4), "best": round(best / max(len(groups), 1), 4)}
    return {"states": len(groups), "futures": sum(map(len, groups)), **table}


def _forward(w: list[np.ndarray], x: np.ndarray) -> list[np.ndarray]:
    a = np.tanh(x[None] @ w[0] + w[1])
    b = np.tanh(a @ w[2] + w[3])
    return [a, b, b @ w[4] + w[5]]


def _gradients(w: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    a, b, out = _forward(w, x)
    d3 = (_sigmoid(out) - y[None, :, None]) / len(x)
    d2 = d3 @ w[4].transpose(0, 2, 1) * (1 - b * b)
    d1 = d2 @ w[2].transpose(0, 2, 1) * (1 - a * a)
    t = x.T[None]
    return [
        t @ d1, d1.sum(1, keepdims=True), a.transpose(0, 2, 1) @ d2, d2.sum(1, keepdims=True),
        b.transpose(0, 2, 1) @ d3, d3.sum(1, keepdims=True),
    ]  # fmt: skip


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -40, 40)))
