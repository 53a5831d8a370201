"""What the photos say of surface points: whether they lie on the ground, and whether two sets of them look alike."""

from __future__ import annotations

import numpy as np

from phone2sim.assets.views import View

ALIKE = 0.9
"""Overlap of colours from which something looks like the ground. Measured: bumps of ground 0.86 to 1, objects 0.25 to 0.90."""
APART = 0.8
"""Overlap of colours below which two touching parts are two things."""


def explained_by_ground(points: np.ndarray, views: list[View], level: float, *, least: float = 6.0) -> bool:
    """Whether the photos agree as well when the points (n, 3) are laid onto the plane z = `level` as where they are.

    Agreement is the median deviation of colours (0–255, mean of the channels) between views, never less than `least`.
    """
    some = points[:: max(1, len(points) // 400)]
    laid = some.copy()
    laid[:, 2] = level
    return max(disagreement(laid, views), least) < 1.2 * max(disagreement(some, views), least)


def is_ground(points: np.ndarray, views: list[View], level: float) -> bool:
    """Whether points (n, 3) are a bump of the ground: laid flat they agree about as well, and they have its colours."""
    return explained_by_ground(points, views, level) and coloured_as_ground(points, views, level)


def stands_out(points: np.ndarray, views: list[View], level: float) -> bool:
    """Whether the photos show something low but higher than the ground: laid onto it the points (n, 3) agree less, and they
    have other colours. A plate does both, a bump of badly seen ground neither, a fold of the cloth only the first. What is plain
    disagrees little wherever it is laid, but then several times less where it is."""
    some = points[:: max(1, len(points) // 400)]
    laid = some.copy()
    laid[:, 2] = level
    flat, own = disagreement(laid, views), disagreement(some, views)
    return (flat > max(10.0, 1.05 * own) or flat > max(8.0, 2 * own)) and not coloured_as_ground(points, views, level)


def coloured_as_ground(points: np.ndarray, views: list[View], level: float) -> bool:
    """Whether points (n, 3) have the colours of the ground around them."""
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    middle, half = (low + high) / 2, (high - low) / 2
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    round_about = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    ring = np.concatenate([middle + round_about * (half * k + 0.01) for k in (1.2, 1.5, 1.8, 2.1)])
    ground = colors_of(np.column_stack([ring, np.full(len(ring), level)]), views)
    own = colors_of(points[:: max(1, len(points) // 400)], views)
    return len(own) > 0 and len(ground) >= 24 and overlap_of_colors(own, ground) >= ALIKE


def coloured_apart(a: np.ndarray, b: np.ndarray, views: list[View]) -> bool:
    """Whether points (n, 3) and (m, 3) have clearly different colours."""
    own, other = (colors_of(p[:: max(1, len(p) // 400)], views) for p in (a, b))
    return min(len(own), len(other)) >= 12 and overlap_of_colors(own, other) < APART


def overlap_of_colors(a: np.ndarray, b: np.ndarray) -> float:
    """0–1: Bhattacharyya's coefficient of the smoothed histograms of colours (n, 3) and (m, 3), 0–255."""
    from scipy import ndimage

    h = [ndimage.gaussian_filter(np.histogramdd(c, bins=8, range=[(0, 256)] * 3)[0], 0.7) for c in (a, b)]
    return float(np.sqrt(h[0] / h[0].sum() * h[1] / h[1].sum()).sum())


def colors_of(points: np.ndarray, views: list[View]) -> np.ndarray:
    """(k, 3) median colours 0–255 of the points (n, 3) that lie on the visible surface of a photo."""
    rgb = np.full((len(views), len(points), 3), np.nan, np.float32)
    for k, view in enumerate(views):
        index, z, inside = view.pixels(points)
        d = view.depth.ravel()[index]
        seen = inside & (d > 0) & (np.abs(d - z) < 0.02 * z)
        rgb[k, seen] = view.colors(points[seen])
    known = np.isfinite(rgb[..., 0]).any(axis=0)
    return np.nanmedian(rgb[:, known], axis=0) if known.any() else np.zeros((0, 3))


def disagreement(points: np.ndarray, views: list[View]) -> float:
    """Median over points (n, 3) of how much their colours (0–255) deviate between the photos that show them, occluded or not."""
    rgb = np.full((len(views), len(points), 3), np.nan, np.float32)
    for k, view in enumerate(views):
        _, _, inside = view.pixels(points)
        rgb[k, inside] = view.colors(points[inside])
    rgb = rgb[:, np.isfinite(rgb[..., 0]).sum(axis=0) >= 2]
    if not rgb.size:
        return np.inf
    deviation = np.nanmedian(np.abs(rgb - np.nanmedian(rgb, axis=0)).mean(axis=2), axis=0)
    return 1.4826 * float(np.median(deviation))
