"""How well a reconstructed body agrees with the true one: volume, and the surface that cameras saw. Plain functions, no test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim.libraries import load_open3d
from phone2sim.reconstruct.cameras import Cameras


@dataclass(frozen=True, kw_only=True)
class Body:
    """A closed surface in the truth's world; parts that overlap count once."""

    vertices: np.ndarray
    faces: np.ndarray

    def moved(self, R: np.ndarray, t: np.ndarray) -> Body:
        return Body(vertices=self.vertices @ R.T + t, faces=self.faces)

    def parts(self) -> list[tuple[np.ndarray, np.ndarray]]:
        import trimesh

        m = trimesh.Trimesh(self.vertices, self.faces, process=False)
        m.merge_vertices(merge_tex=True, merge_norm=True, digits_vertex=7)
        return [(p.vertices, p.faces) for p in m.split(only_watertight=True)] or [(m.vertices, m.faces)]

    def sample(self, n: int, seed: int = 0) -> np.ndarray:
        """(n, 3) points spread over the surface by area."""
        a, b, c = (self.vertices[self.faces[:, k]] for k in range(3))
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        rng = np.random.default_rng(seed)
        k = rng.choice(len(area), n, p=area / area.sum())
        u = rng.random((n, 2))
        u[u.sum(axis=1) > 1] = 1 - u[u.sum(axis=1) > 1]
        return a[k] + u[:, :1] * (b - a)[k] + u[:, 1:] * (c - a)[k]

    def contains(self, points: np.ndarray) -> np.ndarray:
        """(n,) bool."""
        inside = np.zeros(len(points), bool)
        for v, f in self.parts():
            inside |= _rays((v, f)).compute_occupancy(_tensor(points)).numpy() > 0.5
        return inside

    def nearest(self, points: np.ndarray) -> np.ndarray:
        """(n, 3) closest points of the surface."""
        return np.asarray(_rays((self.vertices, self.faces)).compute_closest_points(_tensor(points))["points"].numpy())


def _tensor(a: np.ndarray):
    o3d = load_open3d()

    return o3d.core.Tensor(np.ascontiguousarray(a, np.float32))


def _rays(*surfaces: tuple[np.ndarray, np.ndarray]):
    o3d = load_open3d()

    scene = o3d.t.geometry.RaycastingScene(nthreads=1)
    for v, f in surfaces:
        scene.add_triangles(np.ascontiguousarray(v, np.float32), np.ascontiguousarray(f, np.uint32))
    return scene


def alignment(body: Body, true: Body, *, rounds: int = 25) -> tuple[np.ndarray, np.ndarray]:
    """R, t that lay `body` onto `true`: rigid ICP (Besl & McKay 1992) from where it is, its worst tenth left out."""
    p = body.sample(2000)
    R, t = np.eye(3), np.zeros(3)
    for _ in range(rounds):
        moved = p @ R.T + t
        q = true.nearest(moved)
        gap = np.linalg.norm(q - moved, axis=1)
        keep = gap <= np.percentile(gap, 90)
        a, b = p[keep], q[keep]
        u, _, vt = np.linalg.svd((b - b.mean(axis=0)).T @ (a - a.mean(axis=0)))
        R = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
        t = b.mean(axis=0) - R @ a.mean(axis=0)
    return R, t


def volume_iou(body: Body, true: Body, *, n: int = 60_000) -> float:
    """Intersection over union of the insides, after rigid alignment (never worse than without)."""
    best = 0.0
    for R, t in ((np.eye(3), np.zeros(3)), alignment(body, true)):
        b = body.moved(R, t)
        both = np.concatenate([b.vertices, true.vertices])
        low, high = both.min(axis=0), both.max(axis=0)
        points = np.random.default_rng(0).uniform(low, high, (n, 3))
        i, j = b.contains(points), true.contains(points)
        best = max(best, float((i & j).sum() / max((i | j).sum(), 1)))
    return best


class Sight:
    """Which points the cameras saw, given all true surfaces."""

    def __init__(self, cameras: Cameras, bodies: list[Body], ground: Body) -> None:
        self._cameras = cameras
        self._rays = _rays(*((b.vertices, b.faces) for b in [*bodies, ground]))

    def seen(self, points: np.ndarray, *, slack_m: float) -> np.ndarray:
        """(n,) bool: inside some picture, and no farther than `slack_m` behind the first true surface along the ray."""
        out = np.zeros(len(points), bool)
        for T, K, (w, h) in zip(self._cameras.T_world_camera, self._cameras.K, self._cameras.size_wh):
            c = (points - T[:3, 3]) @ T[:3, :3]
            px = c[:, :2] / np.maximum(c[:, 2:], 1e-9) @ np.diag(np.diag(K)[:2]) + K[:2, 2]
            ok = (c[:, 2] > 0) & (px >= 0).all(axis=1) & (px < [w, h]).all(axis=1) & ~out
            if not ok.any():
                continue
            d = points[ok] - T[:3, 3]
            far = np.linalg.norm(d, axis=1)
            rays = np.concatenate([np.broadcast_to(T[:3, 3], d.shape), d / far[:, None]], axis=1)
            hit = self._rays.cast_rays(_tensor(rays))["t_hit"].numpy()
            out[np.flatnonzero(ok)[hit > far - slack_m]] = True
        return out


def f_score(body: Body, true: Body, sight: Sight, *, threshold_m: float = 0.005, n: int = 6000) -> tuple[float, float, float]:
    """F-score, precision, recall of the surface within `threshold_m`, over what the cameras saw.

    Recall counts the true surface that was seen; precision the body's surface unless it is hidden behind the true one.
    """
    p, q = true.sample(n), body.sample(n, seed=1)
    p = p[sight.seen(p, slack_m=0.001)]
    q = q[sight.seen(q, slack_m=threshold_m)]
    if not len(p) or not len(q):
        return 0.0, 0.0, 0.0
    recall = float((np.linalg.norm(body.nearest(p) - p, axis=1) < threshold_m).mean())
    precision = float((np.linalg.norm(true.nearest(q) - q, axis=1) < threshold_m).mean())
    return 2 * precision * recall / max(precision + recall, 1e-9), precision, recall
