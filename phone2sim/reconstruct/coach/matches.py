"""What two frames share: SIFT features, mutual matches, and the geometry that holds them together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim.reconstruct.coach.pictures import SIDE, Picture

RATIO = 0.8
"""A match must be this much nearer than the next best one (Lowe 2004)."""
EPIPOLAR_PX = 1.5
FLAT_PX = 3.0
"""Distances within which a match obeys the epipolar geometry, and a homography, on the grey pictures."""
ENOUGH = 16
"""Matches on one epipolar geometry that are no accident; chance gives at most 8 to 10 among a hundred false ones."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """SIFT features of one frame, the largest first."""

    xy: np.ndarray
    """(n, 2) float32, grey pixels from the picture's corner."""
    descriptor: np.ndarray
    """(n, 128) float32, unit length (root-SIFT)."""
    spread: float
    """Part of an 8 by 8 grid that holds a feature."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The matches of two frames i < j."""

    i: int
    j: int
    left: np.ndarray
    right: np.ndarray
    """(n, 2) matched places [grey px]."""
    index: np.ndarray
    """(n, 2) feature numbers."""
    epipolar: np.ndarray
    """(n,) bool: obeys the fundamental matrix."""
    flat: np.ndarray
    """(n,) bool: obeys the best homography."""
    F: np.ndarray | None
    """(3, 3) with right' F left = 0; None when nothing was found."""
    step: float
    """Median displacement of the matches that hold, as a part of the diagonal."""

    @property
    def shared(self) -> int:
        return int(np.count_nonzero(self.epipolar))

    @property
    def holds(self) -> bool:
        """Whether the two frames see the same things for certain."""
        return self.shared >= ENOUGH and self.shared >= 0.3 * len(self.left)


def find_features(picture: Picture, count: int, side: int = SIDE) -> Features:
    """The `count` strongest SIFT features of the picture at `side` pixels; places are in its own pixels."""
    import cv2

    grey, mask = picture.grey, picture.mask
    h, w = grey.shape
    s = min(1.0, side / max(h, w))
    if s < 1.0:
        size = (max(1, round(w * s)), max(1, round(h * s)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        mask = None if mask is None else cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
    sift = cv2.SIFT_create(nfeatures=count, contrastThreshold=0.02)  # type: ignore[attr-defined,unused-ignore]
    points, described = sift.detectAndCompute(grey, mask)
    if described is None or len(points) == 0:
        return Features(xy=np.zeros((0, 2), np.float32), descriptor=np.zeros((0, 128), np.float32), spread=0.0)
    scale = np.array([w / grey.shape[1], h / grey.shape[0]], np.float32)
    xy = (np.array([p.pt for p in points], np.float32) + 0.5) * scale
    size_px = np.array([p.size for p in points], np.float32)
    order = np.lexsort((xy[:, 1], xy[:, 0], -size_px))[:count]
    xy, d = xy[order], described[order]
    root = np.sqrt(d / np.maximum(d.sum(axis=1, keepdims=True), 1e-9))  # Arandjelovic and Zisserman 2012
    cells = (xy * 8 / (w, h)).astype(int).clip(0, 7)
    return Features(xy=xy, descriptor=root, spread=len(np.unique(cells[:, 0] * 8 + cells[:, 1])) / 64)


def match(a: Features, b: Features, i: int, j: int, diagonal: float) -> Pair:
    """Mutual nearest neighbours by the ratio test, then a fundamental matrix and a homography by RANSAC."""
    index = np.zeros((0, 2), int)
    if len(a.xy) >= 2 and len(b.xy) >= 2:
        cosine = products(a.descriptor, b.descriptor)
        rows = np.arange(len(a.xy))
        best = cosine.argmax(axis=1)
        first = cosine[rows, best]
        mutual = cosine.argmax(axis=0)[best] == rows
        cosine[rows, best] = -1.0
        near, next_near = (np.sqrt(np.maximum(2 - 2 * c, 0)) for c in (first, cosine.max(axis=1)))
        keep = mutual & (near < RATIO * next_near)
        index = np.column_stack([rows[keep], best[keep]])
    left, right = a.xy[index[:, 0]], b.xy[index[:, 1]]
    nothing = np.zeros(len(left), bool)
    F, epipolar, flat = None, nothing, nothing
    if len(left) >= ENOUGH:
        F, epipolar = _fundamental(left, right)
        flat = _homography(left, right)
    moved = np.linalg.norm(right - left, axis=1)[epipolar]
    return Pair(
        i=i, j=j, left=left, right=right, index=index, epipolar=epipolar, flat=flat, F=F,
        step=float(np.median(moved)) / diagonal if len(moved) else 0.0,
    )  # fmt: skip


def products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n, m) inner products of (n, d) and (m, d) float32: small ones, for which threads of BLAS cost more than they give."""
    import cv2

    return cv2.gemm(a, b, 1.0, None, 0.0, flags=cv2.GEMM_2_T)


def _fundamental(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    import cv2

    try:
        F, inside = cv2.findFundamentalMat(left, right, cv2.USAC_MAGSAC, EPIPOLAR_PX, 0.999, 1000)
    except cv2.error:  # gives up with an error where the best model is degenerate
        F, inside = cv2.findFundamentalMat(left, right, cv2.FM_RANSAC, EPIPOLAR_PX, 0.999, 1000)
    if F is None or F.shape != (3, 3):
        return None, np.zeros(len(left), bool)
    return F, inside[:, 0] > 0


def _homography(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    import cv2

    try:
        H, inside = cv2.findHomography(left, right, cv2.USAC_MAGSAC, FLAT_PX, maxIters=1000, confidence=0.999)
    except cv2.error:
        H, inside = cv2.findHomography(left, right, cv2.RANSAC, FLAT_PX, maxIters=1000, confidence=0.999)
    return inside[:, 0] > 0 if H is not None else np.zeros(len(left), bool)
