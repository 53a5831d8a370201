"""From which sides and heights the scene was seen: from known cameras, or guessed from matches before there are any."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim.reconstruct.coach.graph import Graph
from phone2sim.reconstruct.coach.matches import Pair
from phone2sim.reconstruct.coach.rotation import Lens, rays

SURE = 50
"""Matches from which a relative rotation is believed."""
TWISTED_DEG = 5.0
"""Relative rotations that disagree by more than this with the chained ones, in the median, tell nothing."""
REACH_DEG = 20.0
"""A camera covers this far to either side of its own direction."""


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Directions from the middle of the scene to the cameras."""

    azimuth_deg: np.ndarray
    """(m,) round the vertical; only differences mean something."""
    elevation_deg: np.ndarray
    """(m,) above the horizon."""
    frames: tuple[int, ...]
    """(m,) which frames they are."""
    guess: bool
    """True when it rests on matches and an assumed up instead of cameras."""

    @property
    def gap_deg(self) -> float:
        """The widest part of the circle that no camera stood in."""
        return float(self._gaps()[0].max())

    @property
    def orbit_deg(self) -> float:
        """Part of the full circle seen, 360 when no gap is wider than the reach of two cameras."""
        gaps, _ = self._gaps()
        return float(360 - gaps[gaps > 2 * REACH_DEG].sum())

    @property
    def gap_frames(self) -> tuple[int, int]:
        """The frames at the two edges of the widest gap."""
        gaps, order = self._gaps()
        k = int(gaps.argmax())
        return self.frames[order[k]], self.frames[order[(k + 1) % len(order)]]

    @property
    def heights_deg(self) -> tuple[float, float]:
        """Lowest and highest elevation, without the outermost twentieth."""
        low, high = np.quantile(self.elevation_deg, [0.05, 0.95])
        return float(low), float(high)

    def _gaps(self) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(self.azimuth_deg % 360, kind="stable")
        a = (self.azimuth_deg % 360)[order]
        return np.diff(np.append(a, a[0] + 360)), order


def from_cameras(T_world_camera: np.ndarray, frames: list[int], up: np.ndarray | None) -> Coverage | None:
    """Coverage round the point nearest to all optical axes; without `up`, that is a guess. None when the cameras do not look at a common middle."""
    centre, forward = T_world_camera[:, :3, 3], T_world_camera[:, :3, 2]
    if len(centre) < 3:
        return None
    across = np.eye(3) - forward[:, :, None] * forward[:, None, :]
    A = across.sum(axis=0)
    if np.linalg.eigvalsh(A)[0] < 1e-3 * len(centre):
        return None
    middle = np.linalg.solve(A, np.einsum("nij,nj->i", across, centre))
    out = centre - middle
    distance = np.linalg.norm(out, axis=1)
    aim = -(forward * out).sum(axis=1) / np.maximum(distance, 1e-9)
    if np.median(aim) < 0.8:
        return None
    known = up if up is not None else assumed_up(T_world_camera[:, :3, :3])
    return _around(out / np.maximum(distance[:, None], 1e-9), known, frames, guess=up is None)


def from_matches(graph: Graph, lens: Lens) -> Coverage | None:
    """A guess: relative rotations of pairs that hold, chained from the strongest; up is square to the cameras' x axes.

    None when too few frames hang together, or when the cameras do not look at a common middle.
    """
    members = graph.groups()[0]
    if len(members) < 3:
        return None
    edges, converging = [], []
    for p in _edges(graph, set(members)):
        found = _relative(p, lens)
        if found is None:
            continue
        R_j_i, converges = found
        edges.append((p.i, p.j, R_j_i, p.shared))
        if converges is not None:
            converging.append(converges)
    R = _chain(edges, members[0])
    if len(R) < max(3, 0.8 * graph.count) or len(converging) < 3 or np.mean(converging) < 0.7:
        return None
    misfit = [np.linalg.norm(R_j_i - R[j] @ R[i].T) for i, j, R_j_i, _ in edges if i in R and j in R]
    if np.degrees(2 * np.arcsin(min(1.0, float(np.median(misfit)) / 8**0.5))) > TWISTED_DEG:
        return None
    frames = sorted(R)
    R_world_camera = np.stack([R[i].T for i in frames])
    around = _around(-R_world_camera[:, :, 2], assumed_up(R_world_camera), frames, guess=True)
    return around if around.heights_deg[0] > -50 and around.heights_deg[1] < 75 else None  # a rolled camera: no up


def assumed_up(R_world_camera: np.ndarray) -> np.ndarray:
    """Unit vector square to the x axes of (n, 3, 3) cameras, as far as may be against their y axes: a phone held level."""
    x, y = R_world_camera[:, :, 0], R_world_camera[:, :, 1]
    up = np.linalg.eigh(np.einsum("ni,nj->ij", x, x) - 0.1 * np.einsum("ni,nj->ij", y, y))[1][:, 0]
    return up if (y @ up).sum() < 0 else -up


def _around(out: np.ndarray, up: np.ndarray, frames: list[int], *, guess: bool) -> Coverage:
    side = np.cross(up, [1.0, 0, 0] if abs(up[0]) < 0.9 else [0, 1.0, 0])
    side /= np.linalg.norm(side)
    front = np.cross(up, side)
    return Coverage(
        azimuth_deg=np.degrees(np.arctan2(out @ front, out @ side)),
        elevation_deg=np.degrees(np.arcsin(np.clip(out @ up, -1, 1))), frames=tuple(frames), guess=guess,
    )  # fmt: skip


def _edges(graph: Graph, members: set[int]) -> list[Pair]:
    """The strongest spanning tree and as many of the next strongest pairs again."""
    usable = [p for p in graph.holding if p.i in members and p.shared >= SURE]
    strong = sorted(usable, key=lambda p: (-_tells(p), p.i, p.j))
    parent = {i: i for i in members}

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    tree, rest = [], []
    for p in strong:
        a, b = root(p.i), root(p.j)
        if a != b:
            parent[a] = b
            tree.append(p)
        else:
            rest.append(p)
    return tree + rest[: len(members)]


def _tells(pair: Pair) -> float:
    """How well a pair fixes its rotation: many matches, off one plane, and a picture that moved."""
    off_plane = float(np.count_nonzero(pair.epipolar & ~pair.flat)) / pair.shared
    return min(pair.shared, 200) * (0.2 + off_plane) * min(pair.step / 0.06, 1.0)


def _relative(pair: Pair, lens: Lens) -> tuple[np.ndarray, bool | None] | None:
    """R_j_i, and whether the two optical axes meet in front of both cameras (None when they are all but parallel)."""
    import cv2

    good = pair.epipolar
    a, b = rays(pair.left[good], lens, pair.i), rays(pair.right[good], lens, pair.j)
    a2, b2 = a[:, :2] / a[:, 2:], b[:, :2] / b[:, 2:]
    threshold = 1.5 / float(min(lens.focal[pair.i], lens.focal[pair.j]))
    try:
        E, _ = cv2.findEssentialMat(a2, b2, np.eye(3), method=cv2.RANSAC, prob=0.99, threshold=threshold, maxIters=200)
        if E is None or E.shape != (3, 3):
            return None
        _, R, t, _ = cv2.recoverPose(E, a2, b2, np.eye(3))
    except cv2.error:
        return None
    axis_j = R.T @ [0.0, 0.0, 1.0]
    centre_j = -R.T @ t[:, 0]
    if np.arccos(np.clip(axis_j[2], -1, 1)) < np.radians(2):
        return R, None
    ahead = np.linalg.lstsq(np.column_stack([[0.0, 0.0, 1.0], -axis_j]), centre_j, rcond=None)[0]
    return R, bool((ahead > 0).all())


def _chain(edges: list[tuple[int, int, np.ndarray, int]], start: int) -> dict[int, np.ndarray]:
    """Frame → R_camera_world, chained along the edges and then averaged over all of them (chordal, Hartley 2013)."""
    near: dict[int, list[tuple[int, np.ndarray, int]]] = {}
    for i, j, R, weight in edges:
        near.setdefault(i, []).append((j, R, weight))
        near.setdefault(j, []).append((i, R.T, weight))
    R_of = {start: np.eye(3)}
    queue = [start]
    for i in queue:
        for j, R, _ in sorted(near.get(i, []), key=lambda e: (-e[2], e[0])):
            if j not in R_of:
                R_of[j] = R @ R_of[i]
                queue.append(j)
    for _ in range(30):
        for j in queue[1:]:
            total = sum(np.sqrt(weight) * (R.T @ R_of[i]) for i, R, weight in near[j] if i in R_of)
            u, _, vt = np.linalg.svd(total)
            R_of[j] = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    return R_of
