"""Things of known size that lie about: an A4 or Letter sheet, a bank card. Found as rectangles in space, not in pictures.

A four-sided outline in one picture may be anything. It counts when outlines in several pictures, triangulated through the
SfM cameras, are one rectangle: planar, right-angled, of the right aspect ratio, seen where it must be. Which rectangle of
that shape it is — A4 or A5 — no geometry can tell, so only a reference that the user named measures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from phone2sim.intervals import Interval
from phone2sim.progress import track
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.metric.quads import find_quads, refine_quad
from phone2sim.reconstruct.metric.tags import similarity, triangulate
from phone2sim.reconstruct.metric.votes import ScaleVote
from phone2sim.reconstruct.sfm.model import normalised, project

REFERENCES = {"a4": (0.297, 0.210), "letter": (0.2794, 0.2159), "card": (0.08560, 0.05398)}
"""Longer and shorter side [m] (ISO 216, ANSI Y14.1, ISO/IEC 7810 ID-1)."""
CALLED = {"a4": "an A4 sheet", "letter": "a Letter sheet", "card": "a bank card"}
MIN_VIEWS = 4
FLOOR = 0.003
"""Cut, curl and thickness leave at least this relative uncertainty."""


@dataclass(frozen=True, kw_only=True)
class Rectangle:
    """A rectangle in the world of the cameras."""

    corners: np.ndarray
    """(4, 3), a long side first."""
    views: int
    error_px: float
    """Median reprojection error."""

    @property
    def sides(self) -> np.ndarray:
        """(4,) lengths, beginning with a long one."""
        return np.linalg.norm(np.roll(self.corners, -1, axis=0) - self.corners, axis=1)

    @property
    def aspect(self) -> float:
        a, b, c, d = self.sides
        return float((a + c) / (b + d))


def find_rectangles(
    cameras: Cameras, read: Callable[[int], np.ndarray], names: Iterable[str], *, most: int = 30
) -> list[Rectangle]:
    """Rectangles of the aspect ratio of any of `names`, best seen first; `read(i)` gives picture i (h, w, 3) uint8.

    Outlines of at most `most` pictures are paired over a fair baseline; what pairs propose as a rectangle is looked for
    again, guided, in every one of these pictures, and measured with all of them.
    """
    aspects = [REFERENCES[n][0] / REFERENCES[n][1] for n in names]
    n = len(cameras)
    chosen = np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))
    quads = {int(i): find_quads(read(int(i))) for i in track(chosen, "Looking for known sheets", unit="frames")}
    proposed = _propose(cameras, quads, aspects)
    if not proposed:
        return []
    seen: list[list[tuple[int, np.ndarray]]] = [[] for _ in proposed]
    for i in quads:
        light = None
        for corners, views in zip(proposed, seen, strict=True):
            px, z = project(cameras, i, corners)
            w, h = cameras.size_wh[i]
            if (z <= 0).any() or (px < -0.02 * w).any() or (px > np.array([1.02 * w, 1.02 * h])).any():
                continue
            if light is None:
                light = ((read(i).astype(np.float32) / 255) ** 2.2) @ np.array([0.3, 0.5, 0.2], np.float32)
            refined, part = refine_quad(light, px - 0.5)
            refined = refined + 0.5
            moved = np.abs(refined - px).max()
            if part >= 0.3 and moved < max(5.0, 0.04 * np.linalg.norm(px[0] - px[2])):
                views.append((i, refined))
    found = [r for views in seen if (r := _solve(cameras, views)) is not None]
    found = [r for r in found if _is_rectangle(r.corners, aspects, strict=True) and r.error_px < 1.5]
    found.sort(key=lambda r: (-r.views, r.error_px))
    kept: list[Rectangle] = []
    for r in found:
        middle, size = r.corners.mean(axis=0), r.sides.mean()
        if all(np.linalg.norm(k.corners.mean(axis=0) - middle) > 0.05 * size for k in kept):
            kept.append(r)
    return kept


def _propose(cameras: Cameras, quads: dict[int, np.ndarray], aspects: list[float], *, most: int = 24) -> list[np.ndarray]:
    """Corners (4, 3) of rectangles that two pictures agree on and a third one confirms."""
    frames = [i for i in quads if len(quads[i])]
    rays = {}
    for i in frames:
        flat = normalised(cameras, i, quads[i].reshape(-1, 2))
        d = np.column_stack([flat, np.ones(len(flat))]) @ cameras.T_world_camera[i, :3, :3].T
        rays[i] = (d / np.linalg.norm(d, axis=1, keepdims=True)).reshape(-1, 4, 3)
    corners: list[np.ndarray] = []
    axes = cameras.T_world_camera[:, :3, 2]
    for i in frames:
        angle = np.degrees(np.arccos(np.clip(axes[frames] @ axes[i], -1, 1)))
        partners = [frames[k] for k in np.argsort(np.abs(angle - 25), kind="stable") if frames[k] != i and angle[k] < 75][:5]
        for j in partners:
            corners += _pairs(cameras, i, j, rays, quads, aspects)
    scored = []
    for c in corners:
        views = sum(_confirmed(cameras, i, c, quads[i]) for i in frames)
        if views >= 3:
            scored.append((views, c))
    scored.sort(key=lambda e: -e[0])
    kept: list[np.ndarray] = []
    for _, c in scored:
        size = np.linalg.norm(c[0] - c[2])
        if all(np.linalg.norm(k.mean(axis=0) - c.mean(axis=0)) > 0.05 * size for k in kept):
            kept.append(c)
    return kept[:most]


def _pairs(
    cameras: Cameras, i: int, j: int, rays: dict[int, np.ndarray], quads: dict[int, np.ndarray], aspects: list[float]
) -> list[np.ndarray]:
    """Rectangles among all pairs of outlines of two pictures, by the middles of the corner rays' common normals."""
    o, p = cameras.centres[i], cameras.centres[j]
    between = p - o
    if np.linalg.norm(between) < 1e-9:
        return []
    turned = np.stack([rays[j][:, [(k + t) % 4 for k in range(4)]] for t in range(4)], axis=1)  # (kb, 4, 4, 3)
    a, b = rays[i][:, None, None], turned[None]
    ab = (a * b).sum(-1)
    sine2 = np.maximum(1 - ab**2, 1e-6)
    da, db = a @ between, b @ between
    s = (da - ab * db) / sine2
    t = (ab * da - db) / sine2
    x, y = o + s[..., None] * a, p + t[..., None] * b
    gap = np.linalg.norm(x - y, axis=-1)
    near = np.minimum(s, t)
    f = min(cameras.K[i, 0, 0], cameras.K[j, 0, 0])
    good = ((near > 0) & (gap < 4.0 / f * np.maximum(near, 1e-9))).all(axis=-1)
    return [c for c in ((x + y) / 2)[good] if _is_rectangle(c, aspects, strict=False)]


def _is_rectangle(corners: np.ndarray, aspects: list[float], *, strict: bool) -> bool:
    """Planar, right-angled, of one of the aspect ratios: coarsely from two views, strictly from all."""
    flat, square, like = (0.006, 1.2, 0.014) if strict else (0.03, 6.0, 0.06)
    middle = corners.mean(axis=0)
    diagonal = np.linalg.norm(corners[0] - corners[2])
    normal = np.linalg.svd(corners - middle)[2][2]
    if np.abs((corners - middle) @ normal).max() > flat * diagonal:
        return False
    e = np.roll(corners, -1, axis=0) - corners
    e = e / np.linalg.norm(e, axis=1, keepdims=True)
    bend = np.degrees(np.arcsin(np.clip(np.abs((e * np.roll(e, -1, axis=0)).sum(axis=1)), 0, 1)))
    if bend.max() > square:
        return False
    aspect = _long_first(corners)[1]
    return any(abs(np.log(aspect / a)) < like for a in aspects)


def _long_first(corners: np.ndarray) -> tuple[np.ndarray, float]:
    """The corners turned so that a long side comes first, and the aspect ratio."""
    a, b, c, d = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    return (corners, float((a + c) / (b + d))) if a + c >= b + d else (np.roll(corners, -1, axis=0), float((b + d) / (a + c)))


def _confirmed(cameras: Cameras, i: int, corners: np.ndarray, found: np.ndarray) -> bool:
    """Whether picture i has an outline where `corners` project to."""
    px, z = project(cameras, i, corners)
    if (z <= 0).any():
        return False
    near = max(4.0, 0.02 * float(np.linalg.norm(px[0] - px[2])))
    turned = np.stack([px[[(k + t) % 4 for k in range(4)]] for t in range(4)])
    return bool((np.abs(found[:, None] - turned).max(axis=(2, 3)) < near).any())


def _solve(cameras: Cameras, views: list[tuple[int, np.ndarray]]) -> Rectangle | None:
    """The rectangle's corners from all its views; None when too few look at it from too few directions."""
    for _ in range(2):
        if len(views) < MIN_VIEWS:
            return None
        which = np.array([i for i, _ in views])
        solved = [triangulate(cameras, which, np.array([q[k] for _, q in views])) for k in range(4)]
        off = np.array([e for _, e in solved]).max(axis=0)
        keep = off < max(2.0, 3 * float(np.median(off)))
        corners, error = np.array([x for x, _ in solved]), float(np.median([e for _, e in solved]))
        if keep.all():
            break
        views = [v for v, k in zip(views, keep, strict=True) if k]
    towards = cameras.centres[which] - corners.mean(axis=0)
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    if np.degrees(np.arccos(np.clip((towards @ towards.T).min(), -1, 1))) < 8:
        return None
    return Rectangle(corners=_long_first(corners)[0], views=len(views), error_px=error)


def reference_vote(rectangles: list[Rectangle], name: str, *, named: bool = True) -> tuple[ScaleVote | None, str]:
    """The vote of the reference `name` among rectangles, and what to flag about it ("" when nothing).

    With `named` False the user did not say that it is there: a guess as wide as the paper formats next to it. The same
    holds when rectangles of that shape differ in size.
    """
    long, short = REFERENCES[name]
    mine = [r for r in rectangles if abs(np.log(r.aspect * short / long)) < 0.014]
    if not mine:
        return None, f"{CALLED[name]} was not found in {MIN_VIEWS} pictures that agree" if named else ""
    square = np.array([[0, 0, 0], [long, 0, 0], [long, short, 0], [0, short, 0]])
    each = np.array([similarity(r.corners, square)[0] for r in mine])
    best, s = mine[0], float(each[0])
    left = similarity(best.corners, square)
    residual = np.linalg.norm(left[0] * best.corners @ left[1].T + left[2] - square, axis=1)
    half = max(FLOOR, 2 * float(residual.max()) / long, 0.003 * best.error_px)
    sure = named and bool((np.abs(np.log(each / s)) < 2 * half + 0.01).all())
    what = f"{CALLED[name]} in {best.views} pictures, aspect ratio {best.aspect:.3f} (true {long / short:.3f})"
    if sure:
        return ScaleVote(source=name, interval=_about(s, half, what), floor=FLOOR), ""
    low, high = min(float(each.min()) / 1.05, s / 1.45), max(float(each.max()) * 1.05, s * 1.45)
    vote = ScaleVote(source="paper", interval=Interval(value=s, low=low, high=high, why=f"what looks like {what}"), guess=True)
    if named:
        return vote, f"{len(mine)} rectangles of different size have the shape of {CALLED[name]}: leave one in view"
    return vote, f"a rectangle looks like {CALLED[name]}; if it is one, say so: --reference {name}"


def _about(value: float, half: float, why: str) -> Interval:
    return Interval(value=value, low=value / (1 + half), high=value * (1 + half), why=why)
