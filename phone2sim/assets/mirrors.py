"""The upright symmetry that the seen sides of a body show by themselves: of revolution, of two planes at right angles, or of one.

A symmetry is believed when enough of the seen surface, moved by it, falls onto seen surface, and hardly any of it into
space that cameras saw to be empty (Thrun & Wegbreit 2005).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phone2sim.assets.symmetry import Field, Symmetry, axis_centre, mirrors, revolved

SHOWN = 0.25
"""Least share of the seen surface whose image must lie on seen surface,"""
BROKEN = 0.12
"""and largest share of it, of what is seen there at all, whose image may lie in empty space."""
NEAR = 1.5
"""How near [voxels] an image must lie to seen surface to be on it."""
ROUND = 0.85
"""How well a body must fit all turns, against two planes, to be round."""
TURNS = 11
"""Angles by which a body of revolution is turned to try it."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What becomes of the seen surface when it is moved by a symmetry: shares of it."""

    fit: float
    """How well images lie on seen surface: 1 for exactly, falling to 0 at `NEAR`."""
    shown: float
    """Images on seen surface."""
    empty: float
    """Images in space seen empty."""

    @property
    def believed(self) -> bool:
        return self.shown >= SHOWN and self.empty <= BROKEN * (self.shown + self.empty)

    @property
    def score(self) -> float:
        return self.fit - 2 * self.empty


@dataclass(frozen=True, kw_only=True)
class Believed:
    """A symmetry that the seen surface shows: moves (2, 2) about an upright axis through a centre (2,) [m]."""

    moves: list[np.ndarray]
    centre: np.ndarray
    verdict: Verdict


class Witness:
    """The seen surface of a body, points (n, 3) [m] with unit normals, and what is known `empty` around it."""

    def __init__(self, points: np.ndarray, normals: np.ndarray, empty: Field, *, voxel: float) -> None:
        from scipy.spatial import cKDTree

        self.points, self.normals, self.empty, self.near = points, normals, empty, NEAR * voxel
        self._tree = cKDTree(points)
        some = slice(None, None, max(1, len(points) // 1000))
        self._p, self._n = points[some], normals[some]

    def hears(self, moves: Sequence[np.ndarray], centre: np.ndarray) -> Verdict:
        """Of moves (2, 2) about an upright axis through `centre` (2,)."""
        p = np.concatenate([np.column_stack([(self._p[:, :2] - centre) @ M.T + centre, self._p[:, 2]]) for M in moves])
        n = np.concatenate([np.column_stack([self._n[:, :2] @ M.T, self._n[:, 2]]) for M in moves])
        empty = self.empty(p - self.near * n) > 0
        gap, index = self._tree.query(p, distance_upper_bound=self.near)
        on = np.isfinite(gap) & ~empty
        on[on] = (n[on] * self.normals[index[on]]).sum(axis=1) > 0.75
        fit = np.where(on, 1 - (np.where(on, gap, 0) / self.near) ** 2, 0)
        return Verdict(fit=float(fit.mean()), shown=float(on.mean()), empty=float(empty.mean()))

    def believed(self, moves: list[np.ndarray], centre: np.ndarray) -> Believed | None:
        verdict = self.hears(moves, centre)
        return Believed(moves=moves, centre=centre, verdict=verdict) if verdict.believed else None


def find_evident(points: np.ndarray, normals: np.ndarray, empty: Field, *, voxel: float) -> Symmetry | None:
    """The largest group of symmetries that the seen surface, points (n, 3) [m] with unit normals, shows; None where it shows none.

    `empty` is negative where nothing is known.
    """
    witness = Witness(points, normals, empty, voxel=voxel)
    axis, planes, plane = _axis(witness, voxel), None, _best_plane(witness, voxel)
    if plane is not None:
        planes = _crossed(witness, plane, voxel)
    if axis is not None and (planes is None or axis.verdict.fit >= ROUND * planes.verdict.fit):
        return revolved(axis.centre, points, empty, 2.5 * voxel, voxel)
    for kind, found in (("box", planes), ("mirror", plane)):
        if found is not None:
            return mirrors(kind, found.moves, found.centre, points, empty, 2.5 * voxel)
    return None


def _axis(witness: Witness, voxel: float) -> Believed | None:
    turns = [_turn(a) for a in 2 * np.pi * np.arange(1, TURNS + 1) / (TURNS + 1)]
    centre = axis_centre(witness.points, witness.normals)
    if centre is None:
        return None
    return witness.believed(turns, _climbed(lambda c: witness.hears(turns, c).score, centre, voxel))


def _best_plane(witness: Witness, voxel: float, *, yaw: float | None = None) -> Believed | None:
    """The mirror at the upright plane that fits best, of any yaw [rad] of its normal or of this one."""
    middle = witness.points[:, :2].mean(axis=0)

    def score(x: np.ndarray) -> float:
        u = _unit(x[0])
        return witness.hears([_mirror(u)], middle + x[1] * u).score

    best, start = -np.inf, np.zeros(2)
    for a in np.pi * np.arange(18) / 18 if yaw is None else [yaw]:
        low, high = np.percentile((witness.points[:, :2] - middle) @ _unit(a), [1, 99])
        for d in np.linspace(0.8 * low + 0.2 * high, 0.2 * low + 0.8 * high, 13):
            s = score(np.array([a, d]))
            if s > best:
                best, start = s, np.array([a, d])
    a, d = _climbed(score, start, np.array([0.0 if yaw is not None else 0.1, 2 * voxel]))
    return witness.believed([_mirror(_unit(a))], middle + d * _unit(a))


def _crossed(witness: Witness, plane: Believed, voxel: float) -> Believed | None:
    """The plane together with one at right angles to it."""
    (M,) = plane.moves
    u = np.linalg.eigh(M)[1][:, 0]  # turned round by the mirror
    across = _best_plane(witness, voxel, yaw=float(np.arctan2(u[1], u[0]) + np.pi / 2))
    if across is None:
        return None
    centre = plane.centre @ u * u + across.centre @ _unit_across(u) * _unit_across(u)
    return witness.believed([M, across.moves[0], -np.eye(2)], centre)


def _climbed(score, start: np.ndarray, step: np.ndarray | float) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Uphill from `start` in ever smaller steps along each axis."""
    x, step = np.array(start, float), np.broadcast_to(np.asarray(step, float), np.shape(start)).copy()
    best = score(x)
    for _ in range(7):
        moved = True
        while moved:
            moved = False
            for k in np.flatnonzero(step > 0):
                for sign in (1, -1):
                    y = x.copy()
                    y[k] += sign * step[k]
                    s = score(y)
                    if s > best + 1e-9:
                        x, best, moved = y, s, True
        step /= 2
    return x


def _unit(a: float) -> np.ndarray:
    return np.array([np.cos(a), np.sin(a)])


def _unit_across(u: np.ndarray) -> np.ndarray:
    return np.array([-u[1], u[0]])


def _turn(a: float) -> np.ndarray:
    return np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])


def _mirror(u: np.ndarray) -> np.ndarray:
    return np.eye(2) - 2 * np.outer(u, u)
