"""Edges of the captured shadows: they say more closely where the light came from, and how wide the lamp was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from phone2sim.assets.light import LUMA, CapturedLight, Ground, Raster, around, measured, shadow_mask

FINE_M = 0.0015
"""Cells that edges of shadows are looked at with."""
EDGE = 0.7
"""Blur of an edge by photos that lie on each other [cells of `FINE_M`]."""
REACH = 4
"""So many of these cells a blurred edge may lie from where it is looked at."""
BESIDE_M = 0.03
"""So far to both sides of a shadow's edge the ground is looked at."""
FEET_M = 0.004
"""So near to an object's foot the ground is dark in any light."""
LEAST = 1500
"""Cells that must be seen there."""
STEPS_DEG = (1.5, 0.75, 0.4, 0.2)
SOFTNESS = 0.01 * 1.5 ** np.arange(9)
"""Lamps that are tried: of a halogen spot, the sun being 0.005, to a window near by."""


def lamp(direction: np.ndarray, softness: float, n: int) -> np.ndarray:
    """(n, 3) unit directions of travel of the light from all over a lamp, a disk seen under the half angle atan(`softness`)."""
    u = np.cross(direction, [1.0, 0, 0] if abs(direction[0]) < 0.9 else [0, 1.0, 0])
    u /= np.linalg.norm(u)
    k = np.arange(n) + 0.5
    r, a = softness * np.sqrt(k / n), 2.399963 * k  # sunflower
    at = np.stack([r * np.cos(a), r * np.sin(a)], axis=1)
    d = direction + (at - at.mean(axis=0)) @ np.stack([u, np.cross(direction, u)])
    return np.asarray(d / np.linalg.norm(d, axis=1, keepdims=True))


def shade(parts: list[np.ndarray], direction: np.ndarray, softness: float, raster: Raster, level: float, *, n: int = 16) -> np.ndarray:
    """(nx, ny) float32 share of the key, 0–1, that convex parts (k, 3) [m] keep off the ground at height `level` [m]."""
    import cv2

    out = np.zeros(raster.shape, np.uint8)
    for d in lamp(direction, softness, n):
        out += shadow_mask(parts, d, raster, level)
    return cv2.GaussianBlur(out / np.float32(n), (0, 0), EDGE * FINE_M / raster.cell)


def sharpened(
    found: CapturedLight, parts: list[np.ndarray], ground: Ground, level: float, see: Callable[[Callable[[Raster], np.ndarray]], Ground]
) -> CapturedLight:
    """The light as `found` on the coarse `ground`, turned and of such softness that the edges of its shadows lie on those seen.

    `see` looks at cells of `FINE_M` that a function of the raster names. What is least is the mean absolute difference of the
    ground's log brightness from that of an even ground under these shadows: its own pattern does not care where edges run.
    """
    import cv2

    width = np.ones((int(2 * BESIDE_M / FINE_M) | 1,) * 2, np.uint8)
    first = found.light.direction

    def beside(raster: Raster) -> np.ndarray:
        return cv2.dilate(shadow_mask(parts, first, raster, level).astype(np.uint8), width).astype(bool)

    fine = see(beside)
    counts = fine.known & ~fine.feet
    if counts.sum() < LEAST:
        return found
    luma = np.log(np.maximum(fine.linear[counts] @ LUMA, 1e-3))
    raster, counts = _around(fine.raster, counts)
    share = float(LUMA @ found.shadow)

    def off(d: np.ndarray, softness: float, n: int) -> float:
        rest = luma - np.log(1 - share * shade(parts, d, softness, raster, level, n=n)[counts])
        return float(np.abs(rest - np.median(rest)).mean())

    best, softness = first, found.light.softness
    for steps, n in ((STEPS_DEG, 4), (STEPS_DEG[1:], 8)):
        for step in steps:
            near = around(best, np.radians(step))
            best = near[int(np.argmin([off(d, softness, n) for d in near]))]
        softness = _least(SOFTNESS, np.array([off(best, s, 16) for s in SOFTNESS]))
    new = measured(best, found.score, ground, parts, level)
    return replace(new, light=replace(new.light, softness=round(softness, 4))) if new.shadow.any() else found


def _around(raster: Raster, cells: np.ndarray) -> tuple[Raster, np.ndarray]:
    """The least part of `raster` that holds `cells` (nx, ny) bool and what blurs into them, and the cells there."""
    at = np.argwhere(cells)
    low, high = np.maximum(at.min(axis=0) - REACH, 0), np.minimum(at.max(axis=0) + REACH + 1, cells.shape)
    part = replace(raster, low=raster.low + raster.cell * low, shape=(int(high[0] - low[0]), int(high[1] - low[1])))
    return part, cells[low[0] : high[0], low[1] : high[1]]


def _least(x: np.ndarray, y: np.ndarray) -> float:
    """Where `y` (n,) is least over `x` (n,) > 0, between its samples: the vertex of the parabola over log x."""
    k = int(np.clip(np.argmin(y), 1, len(x) - 2))
    a, b, c = y[k - 1 : k + 2]
    bend = a - 2 * b + c
    shift = np.clip(0.5 * (a - c) / bend, -1, 1) if bend > 0 else np.sign(a - c)
    return float(x[k] * (x[k + 1] / x[k]) ** shift)
