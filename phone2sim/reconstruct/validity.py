"""Where novel views are supported: for every direction and distance around what was filmed, how much of the surface training
cameras saw from about there, how many holes the splat shows, and how good the picture is expected to be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from phone2sim.errors import ShapeError
from phone2sim.poses import look_at
from phone2sim.progress import abreast
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.splat.cloud import SplatCloud

AZIMUTHS, ELEVATIONS, DISTANCES = 24, 12, 5
RANGE = (0.55, 1.8)
"""Distances of the map, relative to the median distance of the cameras."""
ANGLE_RAD = np.deg2rad(22.0)
"""Two directions to a point within this angle show the same side of it."""
ANGLE_ALONE_RAD = np.deg2rad(15.0)
"""The same for a single picture, which no other one corrects."""
RATIO = 1.8
"""Distances within this factor show the same detail."""
LOSS_DB = (0.20, 3.0)
"""Expected loss of PSNR a degree away from the nearest training camera, and an octave of distance away."""
NEAR_DEG = 30.0
"""Held-out pictures this close speak for a direction."""
WORST_DB = 10.0
HOLE_ERROR = 0.1
"""Mean squared error of a hole."""
OPEN_MARGIN = 1.2
"""Factor on the share of pixels that is open from the cameras themselves, above which it is a hole."""
GOOD_ENOUGH_DB = 5.0
"""A view that is expected to lose more than this against held-out pictures is not valid."""
MIN_SUPPORT = 0.5


@dataclass(frozen=True, kw_only=True)
class ValidityMap:
    """Support by elevation (equal areas of the sphere), azimuth (about z, from x) and distance (geometric), around `center`.

    A camera there is taken to look at what was filmed.
    """

    center: np.ndarray
    """(3,) world [m]."""
    distance_m: np.ndarray
    """(d,) bin centres, rising [m]."""
    coverage: np.ndarray
    """(e, a, d) share of the surface that enough cameras saw from a similar direction and distance."""
    holes: np.ndarray
    """(e, a, d) share of a view's pixels that the splat leaves open, or that something right before the camera covers, beyond
    what is open from the cameras themselves: an object filmed before nothing has holes around it everywhere."""
    psnr: np.ndarray
    """(e, a, d) expected PSNR [dB]."""
    heldout_psnr: float
    """Mean over the held-out pictures it was learned from [dB]."""

    def __post_init__(self) -> None:
        for field in ("center", "distance_m", "coverage", "holes", "psnr"):
            object.__setattr__(self, field, np.asarray(getattr(self, field), float))
        shape = self.coverage.shape
        if self.coverage.ndim != 3 or self.holes.shape != shape or self.psnr.shape != shape or self.distance_m.shape != shape[2:]:
            raise ShapeError(f"ValidityMap: expected three maps (e, a, d) and (d,) distances, got {shape} and {self.distance_m.shape}.")

    @property
    def support(self) -> np.ndarray:
        """(e, a, d) in 0–1: what is seen, not open, and expected to look like the held-out pictures."""
        quality = np.clip(1 - (self.heldout_psnr - self.psnr) / (2 * GOOD_ENOUGH_DB), 0, 1)
        return np.asarray(self.coverage * (1 - self.holes) * quality)

    @property
    def elevation_rad(self) -> np.ndarray:
        """(e,) bin centres, from below to above."""
        e = self.coverage.shape[0]
        return np.arcsin((np.arange(e) + 0.5) / e * 2 - 1)

    @property
    def azimuth_rad(self) -> np.ndarray:
        """(a,) bin centres in 0–2π."""
        a = self.coverage.shape[1]
        return (np.arange(a) + 0.5) / a * 2 * np.pi

    def at(self, values: np.ndarray, eyes: np.ndarray) -> np.ndarray:
        """A map (e, a, d) at eye points (..., 3) [m], linear between bin centres; beyond the distances of the map, 0."""
        d = np.asarray(eyes, float) - self.center
        r = np.maximum(np.linalg.norm(d, axis=-1), 1e-9)
        n_e, n_a, n_r = values.shape
        e = np.clip((d[..., 2] / r + 1) / 2 * n_e - 0.5, 0, n_e - 1)
        a = np.arctan2(d[..., 1], d[..., 0]) / (2 * np.pi) * n_a - 0.5
        step = np.log(self.distance_m[-1] / self.distance_m[0]) / max(n_r - 1, 1) if n_r > 1 else 1.0
        t = np.log(r / self.distance_m[0]) / step
        outside = (t < -0.5) | (t > n_r - 0.5)
        t = np.clip(t, 0, n_r - 1)
        total = np.zeros(np.shape(e))
        for de in (0, 1):
            for da in (0, 1):
                for dt in (0, 1):
                    i, j, k = np.floor(e).astype(int) + de, np.floor(a).astype(int) + da, np.floor(t).astype(int) + dt
                    w = (1 - abs(e - i)) * (1 - abs(a - j)) * (1 - abs(t - k))
                    total += w * values[np.minimum(i, n_e - 1), j % n_a, np.minimum(k, n_r - 1)]
        return np.where(outside, 0, total)

    def support_at(self, T_world_camera: np.ndarray) -> np.ndarray:
        """Support 0–1 of cameras (..., 4, 4), or of eye points (..., 3) [m]."""
        T = np.asarray(T_world_camera, float)
        return self.at(self.support, T[..., :3, 3] if T.shape[-2:] == (4, 4) else T)

    def psnr_at(self, T_world_camera: np.ndarray) -> np.ndarray:
        """Expected PSNR [dB] of cameras (..., 4, 4), or of eye points (..., 3) [m]; 0 beyond the map."""
        T = np.asarray(T_world_camera, float)
        return self.at(self.psnr, T[..., :3, 3] if T.shape[-2:] == (4, 4) else T)

    def valid(self, T_world_camera: np.ndarray, *, min_support: float = MIN_SUPPORT) -> np.ndarray:
        """Whether each camera (..., 4, 4) or eye point (..., 3) is supported."""
        return self.support_at(T_world_camera) >= min_support

    def eyes(self) -> np.ndarray:
        """(e, a, d, 3) world [m]: the bin centres."""
        E, A = np.meshgrid(self.elevation_rad, self.azimuth_rad, indexing="ij")
        direction = np.stack([np.cos(E) * np.cos(A), np.cos(E) * np.sin(A), np.sin(E)], axis=-1)
        return np.asarray(self.center + direction[:, :, None] * self.distance_m[:, None])

    def nearest(self, eye: np.ndarray, *, min_support: float = MIN_SUPPORT) -> np.ndarray:
        """(3,) the supported bin centre nearest to `eye` (3,) [m]; the best supported one where none reaches `min_support`."""
        eyes = self.eyes().reshape(-1, 3)
        support = self.support.ravel()
        ok = support >= min(min_support, float(support.max()))
        return np.asarray(eyes[np.argmin(np.where(ok, np.linalg.norm(eyes - eye, axis=1), np.inf))])

    def to_json(self) -> dict[str, Any]:
        rounded = {k: np.round(getattr(self, k), 3).tolist() for k in ("coverage", "holes", "psnr")}
        return {
            "center": self.center.tolist(), "distance_m": self.distance_m.tolist(), "heldout_psnr": round(self.heldout_psnr, 3), **rounded
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ValidityMap:
        keys = ("center", "distance_m", "coverage", "holes", "psnr")
        return cls(heldout_psnr=float(data["heldout_psnr"]), **{k: np.array(data[k], float) for k in keys})


def build_validity(
    cloud: SplatCloud, cameras: Cameras, points: np.ndarray, metrics: dict[str, Any], *, center: np.ndarray, picture_px: int = 48
) -> ValidityMap:
    """The map around `center` (3,) [m] from pinhole `cameras`, surface `points` (p, 3) [m] and the splat's `metrics`.

    `metrics["heldout"]` names the pictures that were not trained on, with their `psnr_corrected` or `psnr` [dB]; without any the
    expectation starts from `metrics["train_psnr"]`, else 25 dB.
    """
    center = np.asarray(center, float)
    offset = cameras.centres - center
    distance = np.maximum(np.linalg.norm(offset, axis=1), 1e-9)
    usual = float(np.median(distance))
    distances = usual * np.geomspace(*RANGE, DISTANCES)
    e = np.arcsin((np.arange(ELEVATIONS) + 0.5) / ELEVATIONS * 2 - 1)
    a = (np.arange(AZIMUTHS) + 0.5) / AZIMUTHS * 2 * np.pi
    E, A = np.meshgrid(e, a, indexing="ij")
    direction = np.stack([np.cos(E) * np.cos(A), np.cos(E) * np.sin(A), np.sin(E)], axis=-1)
    eyes = center + direction[:, :, None] * distances[:, None]

    held = {str(row.get("name")): row for row in metrics.get("heldout") or []}
    trained = np.array([name not in held for name in cameras.names])
    if not trained.any():
        trained[:] = True
    coverage = _coverage(eyes, cameras.take(np.flatnonzero(trained)), _surface_sample(points, center, usual))
    some = np.unique(np.round(np.linspace(0, len(cameras) - 1, 12)).astype(int))
    usually = OPEN_MARGIN * float(np.percentile(_holes(cloud, cameras.centres[some], center, np.ones(len(some), bool), picture_px), 75))
    usually = min(usually, 0.9)
    holes = np.maximum(_holes(cloud, eyes, center, coverage > 0.1, picture_px) - usually, 0) / max(1 - usually, 1e-6)
    psnr, mean = _expected_psnr(direction, distances, offset / distance[:, None], distance, trained, cameras.names, held, metrics)
    lost = 10 ** (-psnr / 10) + HOLE_ERROR * holes
    return ValidityMap(
        center=center, distance_m=distances, coverage=coverage, holes=holes, psnr=-10 * np.log10(lost), heldout_psnr=mean
    )


def _surface_sample(points: np.ndarray, center: np.ndarray, usual: float, n: int = 300) -> np.ndarray:
    """At most n of the points that were filmed around the centre; a small ball where there are too few."""
    near = points[np.linalg.norm(points - center, axis=1) < 0.5 * usual] if len(points) else np.zeros((0, 3))
    if len(near) < 30:
        signs = np.array([[x, y, z] for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)])
        return center + 0.1 * usual * signs
    return near[np.unique(np.round(np.linspace(0, len(near) - 1, n)).astype(int))]


def _coverage(eyes: np.ndarray, cameras: Cameras, points: np.ndarray) -> np.ndarray:
    """(e, a, d) share of points (p, 3) that enough cameras have in view from a similar direction and distance as each eye."""
    n = len(cameras)
    towards = cameras.centres[None] - points[:, None]  # (p, n, 3)
    far = np.linalg.norm(towards, axis=-1)
    towards /= np.maximum(far, 1e-9)[..., None]
    T = cameras.T_camera_world
    q = np.einsum("nij,pj->pni", T[:, :3, :3], points) + T[:, :3, 3]
    z = np.maximum(q[..., 2], 1e-9)
    u = cameras.K[:, 0, 0] * q[..., 0] / z + cameras.K[:, 0, 2]
    v = cameras.K[:, 1, 1] * q[..., 1] / z + cameras.K[:, 1, 2]
    in_view = (q[..., 2] > 0) & (u >= 0) & (v >= 0) & (u < cameras.size_wh[:, 0]) & (v < cameras.size_wh[:, 1])
    least, angle = (2, ANGLE_RAD) if n > 1 else (1, ANGLE_ALONE_RAD)
    out = np.zeros(eyes.shape[:3])
    for at in np.ndindex(*out.shape):
        d = eyes[at] - points
        r = np.linalg.norm(d, axis=1)
        cosine = np.einsum("pni,pi->pn", towards, d / np.maximum(r, 1e-9)[:, None])
        ratio = far / np.maximum(r, 1e-9)[:, None]
        like = in_view & (cosine > np.cos(angle)) & (ratio < RATIO) & (ratio > 1 / RATIO)
        out[at] = (like.sum(axis=1) >= least).mean()
    return out


def _holes(cloud: SplatCloud, eyes: np.ndarray, center: np.ndarray, wanted: np.ndarray, px: int) -> np.ndarray:
    """(...) share of open or blocked pixels in small pictures from the `eyes` (..., 3) that are `wanted` (...); 1 elsewhere."""
    from phone2sim.reconstruct.splat.rasterize import rasterize

    K = np.array([[px, 0, px / 2], [0, px, px / 2], [0, 0, 1]], float)  # 53 degrees
    plain = replace(cloud, sh=cloud.sh[:, :1])  # colours are not looked at

    def share(at: tuple[int, ...]) -> float:
        T = look_at(eyes[at], center).inverse().matrix
        image = rasterize(plain, K=K, T_camera_world=T, width=px, height=px, mode=False, threads=1)
        blocked = (image.depth_median > 0) & (image.depth_median < 0.3 * np.linalg.norm(eyes[at] - center))
        return float(((image.alpha < 0.5) | blocked).mean())

    out = np.ones(wanted.shape)
    out[wanted] = list(abreast(share, [tuple(i) for i in np.argwhere(wanted)], "Looking for holes"))
    return out


def _expected_psnr(
    direction: np.ndarray, distances: np.ndarray, seen_from: np.ndarray, seen_at: np.ndarray, trained: np.ndarray,
    names: tuple[str, ...], held: dict[str, Any], metrics: dict[str, Any],
) -> tuple[np.ndarray, float]:  # fmt: skip
    """(e, a, d) PSNR [dB]: the level of the held-out pictures around, less what the way to the nearest training camera costs.

    `seen_from` (n, 3) are unit directions and `seen_at` (n,) distances of all cameras about the centre.
    """

    def way(directions: np.ndarray, r: np.ndarray) -> np.ndarray:
        """Cost [dB] of the nearest training camera: (m,) for directions (m, 3) and distances (m,)."""
        angle = np.rad2deg(np.arccos(np.clip(directions @ seen_from[trained].T, -1, 1)))
        octaves = np.abs(np.log2(r[:, None] / seen_at[trained]))
        return np.asarray((LOSS_DB[0] * angle + LOSS_DB[1] * octaves).min(axis=1))

    index = [i for i, name in enumerate(names) if name in held]
    rows = [held[names[i]] for i in index]
    values = np.array([float(r.get("psnr_corrected") or r["psnr"]) for r in rows])
    shape = (*direction.shape[:2], len(distances))
    flat = np.repeat(direction.reshape(-1, 3), len(distances), axis=0)
    cost = way(flat, np.tile(distances, len(flat) // len(distances)))
    if len(values) == 0:
        mean = float(metrics.get("train_psnr") or 25.0)
        return (mean - np.minimum(cost, WORST_DB * 2)).reshape(shape), mean
    mean = float(values.mean())
    level = values + way(seen_from[index], seen_at[index])
    angle = np.rad2deg(np.arccos(np.clip(flat @ seen_from[index].T, -1, 1)))
    weight = np.exp(-((angle / NEAR_DEG) ** 2))
    local = ((weight * level).sum(axis=1) + 0.5 * level.mean()) / (weight.sum(axis=1) + 0.5)
    return (local - np.minimum(cost, WORST_DB * 2)).reshape(shape), mean


def shell_of(map_: ValidityMap, *, min_support: float = MIN_SUPPORT) -> dict[str, Any]:
    """Ranges of distance [m], elevation and azimuth [rad] that hold all supported bins, or the best one where none is.

    Azimuth runs counter-clockwise from low to high and may pass π; without a gap over 60° it is the full circle.
    """
    ok = map_.support >= min(min_support, float(map_.support.max()))
    e, a, d = (np.flatnonzero(ok.any(axis=tuple(set(range(3)) - {k}))) for k in range(3))
    n_e, n_a = ok.shape[:2]
    width = 2 * np.pi / n_a
    azimuth = np.sort((map_.azimuth_rad[a] + np.pi) % (2 * np.pi) - np.pi)
    gaps = np.diff(np.append(azimuth, azimuth[0] + 2 * np.pi))
    widest = int(np.argmax(gaps))
    around = [-np.pi, np.pi]
    if gaps[widest] - width >= np.deg2rad(60):
        first = float(azimuth[(widest + 1) % len(azimuth)]) - width / 2
        around = [first, first + 2 * np.pi - float(gaps[widest]) + width]
    step = np.sqrt(map_.distance_m[1] / map_.distance_m[0])
    edges, reach = np.arcsin(np.linspace(-1, 1, n_e + 1)), np.deg2rad(8)
    low, high = map_.elevation_rad[e[[0, -1]]]
    return {
        "center": map_.center.tolist(),
        "radius_m": [float(map_.distance_m[d[0]] / step), float(map_.distance_m[d[-1]] * step)],
        "elevation_rad": [float(max(edges[e[0]], low - reach)), float(min(edges[e[-1] + 1], high + reach))],
        "azimuth_rad": [float(x) for x in around],
    }
