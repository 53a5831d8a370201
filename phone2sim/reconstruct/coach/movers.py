"""Things that move by themselves: matches that agree with each other, but not with how the background moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim.reconstruct.coach.graph import Graph
from phone2sim.reconstruct.coach.matches import Pair
from phone2sim.reconstruct.coach.pictures import Picture

OFF_PX = 4.0
"""A match this far from its epipolar line does not belong to the background [grey px]."""
COMPANY = 3
"""So many neighbours must move alike; a wrong match stands alone."""
STANDS = 0.004
"""Between frames that shifted less than this part of the diagonal, anything that shifts four times as much moves."""


@dataclass(frozen=True, kw_only=True)
class Movers:
    """What moves in each frame."""

    part: np.ndarray
    """(n,) part of a frame's matches, or pixels before a still camera, that move by themselves."""
    places: np.ndarray
    """(m, 2) where, as parts of width and height."""


def find_movers(graph: Graph, pictures: list[Picture]) -> Movers:
    """From the pairs of near frames that hold; a frame counts what at least two of its pairs agree on."""
    seen: list[list[float]] = [[] for _ in pictures]
    places = []
    for p in graph.holding:
        if p.j - p.i > 2 or p.shared < 40:
            continue
        own = moving(p, pictures[p.i].diagonal)
        share = float(own.mean()) if own.sum() >= 6 else 0.0
        h, w = pictures[p.i].grey.shape
        if share:
            places.append(p.left[own] / (w, h))
        seen[p.i].append(share)
        seen[p.j].append(share)
    part = np.array([sorted(s)[-2] if len(s) > 1 else 0.0 for s in seen])
    return Movers(part=part, places=np.concatenate(places) if places else np.zeros((0, 2)))


def moving(pair: Pair, diagonal: float) -> np.ndarray:
    """(n,) bool: matches in company that do not obey the background's geometry."""
    step = pair.right - pair.left
    length = np.linalg.norm(step, axis=1)
    if pair.step < STANDS:
        off = length > 4 * STANDS * diagonal
    else:
        off = ~pair.epipolar & ~pair.flat & (sampson(pair) > OFF_PX)
    out = np.zeros(len(length), bool)
    where = np.flatnonzero(off)
    if len(where) <= COMPANY:
        return out
    at, way = pair.left[where], step[where]
    near = np.linalg.norm(at[:, None] - at[None], axis=2) < 0.06 * diagonal
    alike = np.linalg.norm(way[:, None] - way[None], axis=2) < 3.0 + 0.15 * length[where][:, None]
    company = (near & alike).sum(axis=1) - 1
    out[where[company >= COMPANY]] = True
    return out


def sampson(pair: Pair) -> np.ndarray:
    """(n,) first-order distance of each match from the epipolar geometry [grey px]; 0 without one."""
    if pair.F is None:
        return np.zeros(len(pair.left))
    a = np.column_stack([pair.left, np.ones(len(pair.left))])
    b = np.column_stack([pair.right, np.ones(len(pair.right))])
    Fa, Fb = a @ pair.F.T, b @ pair.F
    gradient = (Fa[:, :2] ** 2).sum(axis=1) + (Fb[:, :2] ** 2).sum(axis=1)
    return np.abs((b * Fa).sum(axis=1)) / np.sqrt(np.maximum(gradient, 1e-18))


def changing(pictures: list[Picture]) -> Movers:
    """Before a still camera: what differs from the picture that is there most of the time."""
    import cv2

    h, w = pictures[0].grey.shape
    s = 160 / max(h, w)
    size = (max(1, round(w * s)), max(1, round(h * s)))
    small = np.stack([cv2.resize(p.grey, size, interpolation=cv2.INTER_AREA) for p in pictures]).astype(np.int16)
    usual = np.median(small, axis=0)
    level = np.median(small - usual, axis=(1, 2))[:, None, None]  # the exposure may drift
    other = np.abs(small - usual - level) > 25
    y, x = np.nonzero(other.mean(axis=0) > 0.08)
    places = (np.column_stack([x, y]) + 0.5) / size
    return Movers(part=other.mean(axis=(1, 2)), places=places)


def whereabouts(places: np.ndarray) -> str:
    """Part of the picture in words, from the middle of the places."""
    if len(places) == 0:
        return "the picture"
    x, y = np.median(places, axis=0)
    across = "left" if x < 0.36 else "right" if x > 0.64 else ""
    down = "upper" if y < 0.36 else "lower" if y > 0.64 else ""
    if across and down:
        return f"the {down} {across}"
    if across:
        return f"the {across} side"
    return f"the {down} part" if down else "the middle"
