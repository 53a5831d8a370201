"""ChArUco boards of a given layout: corners found, triangulated through the SfM cameras, turned into votes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.errors import InputError
from phone2sim.images import read_rgb
from phone2sim.intervals import Interval
from phone2sim.progress import track
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.metric.tags import MAX_ERROR_PX, MIN_VIEWS, point_set_scale, similarity, triangulate
from phone2sim.reconstruct.metric.votes import ScaleVote

FLOOR = 0.003
"""Print and paper leave at least this relative uncertainty."""
FAMILIES = ("4x4", "5x5", "6x6", "7x7")
SYNTAX = "COLUMNSxROWS:SQUARE:MARKER:FAMILY, for example 5x7:0.04:0.03:4x4"


@dataclass(frozen=True, kw_only=True)
class Board:
    """A printed ChArUco board."""

    columns: int
    rows: int
    """Squares."""
    square_m: float
    marker_m: float
    family: str
    """Markers: `4x4`, `5x5`, `6x6` or `7x7`, with as few ids as hold the board (ids of the smaller sets begin the larger)."""

    @property
    def corners(self) -> np.ndarray:
        """((columns − 1)(rows − 1), 3) inner corners [m], row by row; x to the right, y down the page."""
        y, x = np.mgrid[1 : self.rows, 1 : self.columns].reshape(2, -1) * self.square_m
        return np.column_stack([x, y, np.zeros(len(x))])


def parse_board(text: str) -> Board:
    """`5x7:0.04:0.03:4x4`: columns and rows of squares, edge of a square and of a marker [m], family of the markers."""
    found = re.fullmatch(r"(\d+)x(\d+):([\d.]+):([\d.]+)(?::(\w+))?", text.strip().lower())
    try:
        if found is None:
            raise ValueError
        columns, rows, square, marker = int(found[1]), int(found[2]), float(found[3]), float(found[4])
    except ValueError:
        raise InputError(f"--charuco {text!r} is not a board.", hint=f"Write {SYNTAX}.") from None
    family = re.sub(r"^dict_|_\d+$", "", found[5] or "4x4")
    if family not in FAMILIES:
        raise InputError(f"--charuco: markers {found[5]!r} are not known;", hint=f"have {', '.join(FAMILIES)}.")
    if columns < 3 or rows < 3 or columns * rows > 2000:
        raise InputError(f"--charuco: a board of {columns}x{rows} squares cannot be used.", hint="It needs 3x3 squares or more.")
    if not 0 < marker < square < 2:
        raise InputError(
            f"--charuco: a marker of {marker:g} m in a square of {square:g} m cannot be.",
            hint="Both are in metres, the marker smaller than the square.",
        )
    return Board(columns=columns, rows=rows, square_m=square, marker_m=marker, family=family)


def detector(board: Board, *, legacy: bool = False) -> Any:
    """OpenCV's detector of the board. `legacy`: boards with an even number of rows printed before OpenCV 4.6."""
    import cv2

    needed = board.columns * board.rows // 2
    size = next((s for s in (50, 100, 250, 1000) if s >= needed), 1000)
    dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, f"DICT_{board.family.upper()}_{size}"))
    made = cv2.aruco.CharucoBoard((board.columns, board.rows), board.square_m, board.marker_m, dictionary)
    made.setLegacyPattern(legacy)
    settings = cv2.aruco.DetectorParameters()
    settings.adaptiveThreshWinSizeMax = 43
    return cv2.aruco.CharucoDetector(made, cv2.aruco.CharucoParameters(), settings)


def find_corners(rgb: np.ndarray, finder: Any) -> tuple[np.ndarray, np.ndarray]:
    """Ids (k,) and pixels (k, 2), pixel centre at +0.5, of the inner corners seen in a picture (h, w, 3) uint8.

    A few markers that can be read are enough: a board is flat, so they tell where every corner must be, and each is then
    looked for there. Corners that do not look like two dark and two light squares are covered by something.
    """
    import cv2

    nothing = np.zeros(0, int), np.zeros((0, 2))
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    times = 2 if max(grey.shape) < 2200 else 1  # markers of few pixels a module are read better enlarged
    big = cv2.resize(grey, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC) if times > 1 else grey
    _, _, quads, ids = finder.detectBoard(big)
    if ids is None or len(ids) < 2:
        return nothing
    board = finder.getBoard()
    known = {int(i): np.asarray(c)[:, :2] for i, c in zip(board.getIds(), board.getObjPoints(), strict=True)}
    pairs = [(known[int(i)], q.reshape(4, 2)) for i, q in zip(ids.ravel(), quads, strict=True) if int(i) in known]
    if len(pairs) < 2:
        return nothing
    of, to = np.concatenate([p for p, _ in pairs]), np.concatenate([q for _, q in pairs])
    H, inliers = cv2.findHomography(of, (to + 0.5) / times - 0.5, cv2.RANSAC, 2.0)
    if H is None or inliers.sum() < 8:
        return nothing
    inner = np.asarray(board.getChessboardCorners())[:, None, :2].astype(np.float64)
    px = cv2.perspectiveTransform(inner, H)[:, 0]
    step = board.getSquareLength()
    margin = (step - board.getMarkerLength()) / 2  # between a light square's edge and its marker, which is dark again
    reach = 0.75 * margin
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * reach
    around = cv2.perspectiveTransform((inner + square[None]).reshape(-1, 1, 2), H).reshape(-1, 4, 2)
    size = np.sqrt(np.abs(_areas(around))) / (2 * reach) * step
    h, w = grey.shape
    ok = (size > 6) & (around.min(axis=(1, 2)) > 3) & (around < np.array([w - 4, h - 4])).all(axis=(1, 2))
    out_ids, out_px = [], []
    for k in np.nonzero(ok)[0]:
        half = int(np.clip(round(margin / step * size[k]), 2, 8))
        # a corner is a saddle of the picture: equal on both sides of an edge, so blur and gamma do not move it
        p = px[k].astype(np.float32).reshape(1, 1, 2)
        p = cv2.cornerSubPix(grey, p, (half, half), (-1, -1), (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 60, 1e-4))
        moved = p[0, 0].astype(float) - px[k]
        if np.abs(moved).max() > max(1.5, 0.12 * size[k]):
            continue
        at = (around[k] + moved).astype(np.float32)
        a, b, c, d = cv2.remap(grey, at[None, :, 0], at[None, :, 1], cv2.INTER_LINEAR)[0].astype(float)
        contrast = abs(a + c - b - d) / 2
        if contrast > 12 and max(abs(a - c), abs(b - d)) < 0.6 * contrast:
            out_ids.append(int(k))
            out_px.append(p[0, 0].astype(float) + 0.5)
    return np.array(out_ids, int), np.array(out_px).reshape(-1, 2)


def _areas(quads: np.ndarray) -> np.ndarray:
    """(k,) of quads (k, 4, 2)."""
    x, y = quads[..., 0], quads[..., 1]
    return 0.5 * (x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y).sum(axis=1)


def look_for_board(cameras: Cameras, frames: Path, board: Board, *, most: int = 60) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Camera → `(ids, pixels)` of the board in at most `most` evenly chosen pictures."""
    chosen = np.unique(np.linspace(0, len(cameras) - 1, min(len(cameras), most)).round().astype(int))
    pictures = {int(i): frames / cameras.names[i] for i in chosen}
    best: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for legacy in (False, True) if board.rows % 2 == 0 else (False,):
        finder = detector(board, legacy=legacy)
        seen = {i: find_corners(read_rgb(p), finder) for i, p in track(pictures.items(), "Looking for the board", unit="frames")}
        seen = {i: s for i, s in seen.items() if len(s[0])}
        if sum(len(s[0]) for s in seen.values()) > sum(len(s[0]) for s in best.values()):
            best = seen
    return best


def triangulate_board(cameras: Cameras, seen: dict[int, tuple[np.ndarray, np.ndarray]]) -> dict[int, np.ndarray]:
    """Corner id → (3,) point, for corners seen in at least three pictures that agree."""
    points = {}
    for k in sorted({int(i) for ids, _ in seen.values() for i in ids}):
        views = [(c, px[ids == k][0]) for c, (ids, px) in seen.items() if (ids == k).sum() == 1]
        if len(views) < MIN_VIEWS:
            continue
        which = np.array([c for c, _ in views])
        if np.ptp(cameras.centres[which], axis=0).max() < 1e-9:
            continue
        point, off = triangulate(cameras, which, np.array([p for _, p in views]))
        if float(np.median(off)) <= MAX_ERROR_PX:
            points[k] = point
    return points


def board_vote(points: dict[int, np.ndarray], board: Board, *, views: int) -> ScaleVote | None:
    """Metres per unit from the triangulated corners; None when there are fewer than four or they are no such board."""
    if len(points) < 4:
        return None
    found, true = np.array(list(points.values())), board.corners[list(points)]
    if np.linalg.matrix_rank(true - true.mean(axis=0), tol=1e-6) < 2:
        return None
    s, error = point_set_scale(found, true)
    _, R, t = similarity(found, true)
    residual = np.linalg.norm(s * found @ R.T + t - true, axis=1)
    if np.median(residual) > 0.1 * board.square_m:
        return None
    half = max(FLOOR, 3 * error / s)
    why = f"the ChArUco board: {len(points)} corners in {views} pictures"
    return ScaleVote(source="board", interval=Interval(value=s, low=s / (1 + half), high=s * (1 + half), why=why), floor=FLOOR)


def board_normal(points: dict[int, np.ndarray], board: Board) -> np.ndarray | None:
    """(3,) unit vector out of the page; None without four corners."""
    if len(points) < 4:
        return None
    s, R, _ = similarity(board.corners[list(points)], np.array(list(points.values())))
    return -R[:, 2]  # y runs down the page, so z goes into it
