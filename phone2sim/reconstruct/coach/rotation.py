"""How the camera moved, from matches alone: not at all, by turning on the spot, or properly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim.reconstruct.coach.graph import Graph
from phone2sim.reconstruct.coach.matches import Pair

STILL = 0.006
"""A camera whose pictures shift by less than this part of the diagonal, between any two frames, stands still."""
HARDLY = 0.03
"""Less than this is hardly any movement."""
TURN_PX = 2.0
"""A match obeys a pure turn within this many pixels, plus a fiftieth of its displacement for the lens."""
WIDE = 0.03
"""Only pairs that moved this much can tell turning from moving."""


@dataclass(frozen=True, kw_only=True)
class Lens:
    """What is assumed of the lens of the grey pictures."""

    focal: np.ndarray
    """(n,) focal length of each frame [grey px]."""
    centre: np.ndarray
    """(n, 2) principal point [grey px]."""
    known: bool
    """True when EXIF or the device told it."""


def reach(graph: Graph) -> float:
    """How far the picture shifts between the frames furthest apart, as a part of the diagonal (95th percentile of all
    matched pairs; pairs that share nothing count as far apart)."""
    steps = [p.step if p.holds else 1.0 for p in graph.pairs.values()]
    return float(np.quantile(steps, 0.95)) if steps else 0.0


def turned_only(graph: Graph, lens: Lens, most: int = 40) -> tuple[float, int]:
    """Part of the matches that a pure rotation of the camera explains, in the median of the widest pairs, and the
    number of those pairs.

    A turn moves the picture by K R K⁻¹ whatever the scene; a flat scene under a moving camera also moves by a
    homography, but not by one of this kind. An unknown focal length may take any value of a phone, one for all pairs.
    """
    wide = sorted((p for p in graph.holding if p.step > WIDE and p.shared >= 40), key=lambda p: (-p.step, p.i, p.j))[
        :most
    ]
    if len(wide) < 3:
        return 0.0, len(wide)
    factors = (0.9, 1.0, 1.1) if lens.known else (0.7, 0.8, 0.9, 1.0, 1.15, 1.35, 1.6)
    explained = [float(np.median([_turn(p, lens, f) for p in wide])) for f in factors]
    return max(explained), len(wide)


def _turn(pair: Pair, lens: Lens, factor: float) -> float:
    """Part of a pair's matches within reach of the best rotation."""
    good = pair.epipolar | pair.flat
    left, right = rays(pair.left[good], lens, pair.i, factor), rays(pair.right[good], lens, pair.j, factor)
    focal = lens.focal[pair.j] * factor
    allowed = (TURN_PX + np.linalg.norm(pair.right[good] - pair.left[good], axis=1) / 50) / focal
    keep = np.ones(len(left), bool)
    error = np.zeros(len(left))
    for _ in range(6):
        u, _, vt = np.linalg.svd(right[keep].T @ left[keep])
        R = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
        error = np.linalg.norm(np.cross(right, left @ R.T), axis=1)
        keep = error <= max(float(np.median(error)), float(np.median(allowed)))
    return float((error < allowed).mean())


def rays(xy: np.ndarray, lens: Lens, frame: int, factor: float = 1.0) -> np.ndarray:
    """(n, 3) unit directions of grey pixels in camera axes."""
    d = np.column_stack([(xy - lens.centre[frame]) / (lens.focal[frame] * factor), np.ones(len(xy))])
    return d / np.linalg.norm(d, axis=1, keepdims=True)
