"""A thing of known size in one photo (the scale sheet, a tag, a board, a sheet of paper, a card): where it lies in front of the camera, in metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim import sheet
from phone2sim.reconstruct.metric.board import detector, find_corners, parse_board
from phone2sim.reconstruct.metric.quads import find_quads
from phone2sim.reconstruct.metric.reference import CALLED, REFERENCES
from phone2sim.reconstruct.metric.tags import find_tags

MAX_ERROR_PX = 3.0
FOCALS = np.geomspace(0.45, 2.5, 60)
"""Focal lengths tried, in units of the longer side."""


@dataclass(frozen=True, kw_only=True)
class Ruler:
    """A flat thing of known size."""

    source: str
    """`sheet`, `charuco`, `tag`, `a4`, `letter` or `card`."""
    normal: np.ndarray
    """(3,) unit, camera axes, towards the camera."""
    height: float
    """normal · p = −height on it [m]."""
    outline_px: np.ndarray
    """(k, 2) convex outline in the picture [px]."""
    error_px: float
    """Median reprojection error."""
    focal_px: float
    """The focal length it was solved with."""
    focal_share: float | None
    """Relative half width of the focal lengths that fit as well; None when the focal length was given."""
    why: str


def find_ruler(
    rgb: np.ndarray, K: np.ndarray, *, tag_size_m: float | None = None, charuco: str | None = None,
    references: tuple[str, ...] = (), focal_known: bool,
) -> Ruler | None:  # fmt: skip
    """The surest thing of known size in an upright picture (h, w, 3) uint8; None when there is none.

    In this order: the scale sheet, a ChArUco board, a tag of known edge, a sheet of paper or a card that the user names
    (`auto` does not count: one picture cannot tell A4 from A5). Where the focal length is only a guess, and the thing is
    seen large and tilted enough, it is solved for as well.
    """
    found = find_tags(rgb)
    counts = {tag: sum(t == tag for t, _ in found) for tag, _ in found}
    known = sheet.corners()
    ours = [(known[t], c) for t, c in found if t in known and counts[t] == 1]
    tried: list[Ruler | None] = []
    if ours:
        why = f"the scale sheet: {len(ours)} of {len(known)} tags"
        points, pixels = np.concatenate([o for o, _ in ours]), np.concatenate([c for _, c in ours])
        tried.append(solve("sheet", points, pixels, K, why, focal_known))
    if charuco is not None:
        tried.append(_board(rgb, charuco, K, focal_known))
    if tag_size_m is not None and (others := [c for t, c in found if t not in known]):
        e = tag_size_m / 2
        square = np.array([[-e, e, 0], [e, e, 0], [e, -e, 0], [-e, -e, 0]])
        largest = max(others, key=lambda c: float(np.ptp(c, axis=0).prod()))
        tried.append(solve("tag", square, largest, K, f"a tag with an edge of {tag_size_m * 1000:g} mm", focal_known))
    named = [r for r in references if r in REFERENCES]
    if named and not any(tried):
        tried.append(_rectangle(rgb, named, K, focal_known))
    return next((r for r in tried if r is not None), None)


def _board(rgb: np.ndarray, text: str, K: np.ndarray, focal_known: bool) -> Ruler | None:
    board = parse_board(text)
    for legacy in (False, True):
        ids, pixels = find_corners(rgb, detector(board, legacy=legacy))
        if len(ids) >= 6:
            ruler = solve(
                "charuco", board.corners[ids], pixels, K, f"{len(ids)} corners of the ChArUco board", focal_known
            )
            if ruler is not None:
                return ruler
    return None


def _rectangle(rgb: np.ndarray, named: list[str], K: np.ndarray, focal_known: bool) -> Ruler | None:
    """The outline that fits one of the named references best, lying rather than standing, and large rather than small."""
    best: tuple[float, Ruler] | None = None
    for quad in find_quads(rgb):
        side = float(np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1).max())
        for name in named:
            long, short = REFERENCES[name]
            for w, h in ((long, short), (short, long)):
                square = np.array([[-w, h, 0], [w, h, 0], [w, -h, 0], [-w, -h, 0]]) / 2
                ruler = solve(name, square, quad, K, f"the outline of {CALLED[name]}", focal_known)
                if (
                    ruler is None or ruler.error_px > max(1.0, 0.006 * side) or ruler.normal[1] > 0.2
                ):  # not standing, facing down
                    continue
                cost = ruler.error_px / side
                if best is None or cost < best[0]:
                    best = (cost, ruler)
    return None if best is None else best[1]


def solve(
    source: str, object_m: np.ndarray, pixels: np.ndarray, K: np.ndarray, why: str, focal_known: bool
) -> Ruler | None:
    """Pose of coplanar points (k, 3) [m, z = 0] from their pixels (k, 2); None when they do not fit."""
    import cv2

    focal, share = float(K[0, 0]), None
    if not focal_known:
        focal, share = _focal(object_m, pixels, K)
    best = _pose(object_m, pixels, K, focal)
    if best is None or best[0] > MAX_ERROR_PX:
        return None
    error, R, t = best
    n = R[:, 2]
    if n @ t > 0:
        n = -n
    hull = cv2.convexHull(np.asarray(pixels, np.float32))[:, 0]
    return Ruler(
        source=source, normal=n, height=-float(n @ t), outline_px=hull.astype(np.float64), error_px=error, focal_px=focal,
        focal_share=share, why=why,
    )  # fmt: skip


def _pose(
    object_m: np.ndarray, pixels: np.ndarray, K: np.ndarray, focal: float
) -> tuple[float, np.ndarray, np.ndarray] | None:
    import cv2

    Kf = np.array([[focal, 0, K[0, 2]], [0, focal, K[1, 2]], [0, 0, 1]])
    try:
        n, rs, ts, _ = cv2.solvePnPGeneric(
            np.ascontiguousarray(object_m, np.float64), np.ascontiguousarray(pixels, np.float64)[:, None], Kf, None,
            flags=cv2.SOLVEPNP_IPPE,
        )  # fmt: skip
    except cv2.error:
        return None
    best = None
    for r, t in zip(rs[:n], ts[:n]):
        r, t = cv2.solvePnPRefineLM(
            np.ascontiguousarray(object_m, np.float64),
            np.ascontiguousarray(pixels, np.float64)[:, None],
            Kf,
            None,
            r,
            t,
        )
        seen = cv2.projectPoints(np.ascontiguousarray(object_m, np.float64), r, t, Kf, None)[0][:, 0]
        error = float(np.sqrt(np.mean(np.sum((seen - pixels) ** 2, axis=1))))
        R = cv2.Rodrigues(r)[0]
        # between two poses that fit alike, the one of a page lying down wins
        doubt = 0.0 if R[1, 2] * (1 if R[:, 2] @ t.ravel() < 0 else -1) < 0 else 0.3
        if best is None or error + doubt < best[0] + best[3]:
            best = (error, R, t.ravel(), doubt)
    return None if best is None else best[:3]


def _focal(object_m: np.ndarray, pixels: np.ndarray, K: np.ndarray) -> tuple[float, float | None]:
    """`(focal [px], relative half width)`: the best of `FOCALS`, or K's own with None where perspective does not tell."""
    side = float(2 * max(K[0, 2], K[1, 2]))
    errors = []
    for f in FOCALS * side:
        pose = _pose(object_m, pixels, K, float(f))
        errors.append(np.inf if pose is None else pose[0])
    e = np.array(errors)
    k = int(np.argmin(e))
    fits = FOCALS[e < e[k] + 0.15]
    share = float(np.log(fits.max() / fits.min()) / 2) if len(fits) else 9.0
    if not np.isfinite(e[k]) or share > 0.15:
        return float(K[0, 0]), None
    return float(FOCALS[k] * side), max(share, 0.02)
