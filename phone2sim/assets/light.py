"""The captured light, from the shadows that the objects cast on their support.

The key light's direction is the one whose predicted shadows fit the dark patches of the ground best; how dark they are
says what share of the light is the key's. Both need nothing but bodies whose shape is known on a surface whose own
pattern does not care where they stand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from phone2sim.assets.scene import Light
from phone2sim.assets.solid import Solid
from phone2sim.assets.support import Support
from phone2sim.assets.texture import blend
from phone2sim.assets.views import View

UP_IRRADIANCE = 1.0
"""Total irradiance of the level ground: what the camera's exposure made of it is white."""
AMBIENT_TILT = 0.22
"""Ambient light from above against all around (linear over constant SH term of irradiance): a room with a light ceiling."""
SURELY = 1.35
"""The fit must beat the best one of the same bodies turned elsewhere by this factor."""
TURNS_RAD = np.linspace(0, 2 * np.pi, 9)[1:-1]
"""Rotations of all bodies about their middle that make up the null hypothesis."""
LUMA = np.array([0.2126, 0.7152, 0.0722])


@dataclass(frozen=True, kw_only=True)
class CapturedLight:
    """A light, and how it was found."""

    light: Light
    score: float
    """How many times better the predicted shadows fit than those of the same bodies turned elsewhere at best."""
    shadow: np.ndarray
    """(3,) share of the ground's light that the key gives, linear RGB; zeros when none was found."""
    why: str

    def to_json(self) -> dict[str, Any]:
        return {"why": self.why, "score": round(self.score, 2), "shadow": [round(float(x), 4) for x in self.shadow],
                "direction": [round(float(x), 5) for x in self.light.direction]}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Raster:
    """Square cells over the world's xy."""

    low: np.ndarray
    """(2,) centre of cell (0, 0) [m]."""
    cell: float
    """[m]."""
    shape: tuple[int, int]
    """Cells along x and y."""

    def finer(self, cell: float) -> Raster:
        """The same rectangle in cells of `cell` [m]."""
        nx, ny = (int(np.ceil((n - 1) * self.cell / cell)) + 1 for n in self.shape)
        return Raster(low=self.low, cell=cell, shape=(nx, ny))

    def centres(self) -> np.ndarray:
        """(nx · ny, 2) [m], y fastest."""
        return self.low + self.cell * np.stack(np.unravel_index(np.arange(self.shape[0] * self.shape[1]), self.shape), axis=1)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The support seen from above, objects left out."""

    raster: Raster
    linear: np.ndarray
    """(nx, ny, 3) float32 linear RGB; 0 where no photo shows it."""
    known: np.ndarray
    """(nx, ny) bool."""
    feet: np.ndarray
    """(nx, ny) bool: under and right beside the objects, dark in any light."""


def see_ground(
    support: Support, solids: list[Solid], views: list[View], covered: list[np.ndarray], *, cell: float = 0.004, reach: float = 0.25,
    foot: float = 0.014, where: Callable[[Raster], np.ndarray] | None = None,
) -> Ground:  # fmt: skip
    """Colours of the ground within `reach` [m] of the objects, or of the cells (nx, ny) bool that `where` names alone.

    What is nearer than `foot` [m] to an object's foot counts as `feet`. `covered`: (h, w) bool per view, true on objects.
    """
    import cv2

    from phone2sim._native.mesh import srgb_to_linear
    from phone2sim.assets.background import columns

    outline = support.surface.outline + support.surface.T_world_surface.translation[:2]
    at = np.concatenate([s.mesh.bounds[:, :2] for s in solids]) if solids else outline
    low = np.maximum(outline.min(0), at.min(0) - reach)
    high = np.minimum(outline.max(0), at.max(0) + reach)
    nx, ny = (int(n) for n in np.ceil((high - low) / cell) + 1)
    raster = Raster(low=low, cell=cell, shape=(nx, ny))
    asked = np.ones((nx, ny), bool) if where is None else where(raster)
    xy = raster.centres()[asked.ravel()]
    points = np.column_stack([xy, np.full(len(xy), support.surface.height_m)]).astype(np.float32)
    up = np.tile(np.array([0, 0, 1], np.float32), (len(points), 1))
    bare = [~cv2.dilate(c.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool) for c in covered]
    color, weight = blend(points, up, views, bare, tolerance_m=0.008, best=5)
    linear, known = np.zeros((nx, ny, 3), np.float32), np.zeros((nx, ny), bool)
    linear[asked], known[asked] = srgb_to_linear((color / 255).astype(np.float32)), weight > 0
    on = np.zeros((nx, ny), np.uint8)
    cv2.fillPoly(on, [np.round((outline - low)[:, ::-1] / cell).astype(np.int32)], 1)
    beside = np.ones((int(2 * foot / cell) | 1,) * 2, np.uint8)
    feet = cv2.dilate(columns(solids, low, (nx, ny), cell, top_m=0.02).astype(np.uint8), beside).astype(bool)
    return Ground(raster=raster, linear=linear, known=known & on.astype(bool), feet=feet)


def shadow_mask(parts: list[np.ndarray], direction: np.ndarray, raster: Raster, level: float) -> np.ndarray:
    """(nx, ny) bool: cells in the shadow of convex parts (k, 3) [m] under light travelling along `direction` (3,)."""
    import cv2

    out = np.zeros(raster.shape, np.uint8)
    slope = direction[:2] / direction[2]
    for p in parts:
        xy = p[:, :2] - (p[:, 2:] - level) * slope
        ij = (xy - raster.low) / raster.cell
        hull = cv2.convexHull(ij.astype(np.float32))[:, 0]
        cv2.fillConvexPoly(out, np.round(hull[:, ::-1] * 16).astype(np.int32), 1, shift=4)
    return out.astype(bool)


def directions(azimuths: int, elevations_rad: np.ndarray) -> np.ndarray:
    """(azimuths · e, 3) unit directions of travel of light from lamps this high."""
    a, e = np.meshgrid(np.linspace(0, 2 * np.pi, azimuths, endpoint=False), elevations_rad, indexing="ij")
    return -np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], axis=-1).reshape(-1, 3)


def estimate_light(ground: Ground, parts: list[np.ndarray], level: float) -> CapturedLight:
    """The light under which the objects' shadows fall where the ground is dark.

    `parts`: convex parts (k, 3) of all objects, world [m]; `level`: height of the ground [m].
    """
    import cv2

    luma = np.log(np.maximum(ground.linear @ LUMA, 1e-3))
    counts = ground.known & ~ground.feet
    if counts.sum() < 400 or not parts:
        return _default("too little of the ground is seen")
    residual = luma - np.median(luma[counts])
    grain = 0.02 / ground.raster.cell  # patterns are correlated over about this many cells

    def score(d: np.ndarray, bodies: list[np.ndarray]) -> float:
        mask = shadow_mask(bodies, d, ground.raster, level)
        near = cv2.dilate(mask.astype(np.uint8), np.ones((int(0.05 / ground.raster.cell) | 1,) * 2, np.uint8)).astype(bool)
        a, b = residual[mask & counts], residual[near & ~mask & counts]
        if len(a) < 60 or len(b) < 60:
            return 0.0
        spread = np.sqrt((a.var() + b.var()) / 2) + 1e-3
        return float((b.mean() - a.mean()) / spread * np.sqrt(len(a)) / grain)

    tried = directions(48, np.radians(np.arange(20, 86, 6.0)))
    scores = np.array([score(d, parts) for d in tried])
    middle = np.mean([p.mean(axis=0)[:2] for p in parts], axis=0)
    turned = [[_turned(p, middle, a) for p in parts] for a in TURNS_RAD]
    chance = max(score(d, bodies) for bodies in turned for d in tried[::2])
    if scores.max() < SURELY * max(chance, 1.0):
        return _default("no shadow on the ground says where the light comes from")
    best = tried[int(scores.argmax())]
    for step in (4.0, 2.0, 1.0):
        near = around(best, np.radians(step))
        best = near[int(np.argmax([score(d, parts) for d in near]))]
    return measured(best, score(best, parts) / max(chance, 1.0), ground, parts, level)


def _turned(points: np.ndarray, middle: np.ndarray, angle_rad: float) -> np.ndarray:
    """Points (k, 3) turned about the vertical through `middle` (2,)."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.column_stack([(points[:, :2] - middle) @ np.array([[c, s], [-s, c]]) + middle, points[:, 2]])


def around(d: np.ndarray, step: float) -> np.ndarray:
    """`d` and its 24 neighbours on a 5×5 grid of azimuth and elevation steps [rad]."""
    az, el = np.arctan2(-d[1], -d[0]), np.arcsin(-d[2])
    a, e = np.meshgrid(az + step * np.arange(-2, 3) / max(np.cos(el), 0.2), np.clip(el + step * np.arange(-2, 3), 0.3, 1.53))
    return -np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], axis=-1).reshape(-1, 3)


def measured(direction: np.ndarray, score: float, ground: Ground, parts: list[np.ndarray], level: float) -> CapturedLight:
    """How dark the shadows are, and the light that makes them so."""
    import cv2

    counts = ground.known & ~ground.feet
    mask = shadow_mask(parts, direction, ground.raster, level).astype(np.uint8)
    k = int(0.012 / ground.raster.cell) | 1
    core = cv2.erode(mask, np.ones((k, k), np.uint8)).astype(bool) & counts
    wide = cv2.dilate(mask, np.ones((2 * k + 1,) * 2, np.uint8)).astype(bool)
    beside = cv2.dilate(mask, np.ones((int(0.06 / ground.raster.cell) | 1,) * 2, np.uint8)).astype(bool) & ~wide & counts
    if core.sum() < 40 or beside.sum() < 40:
        return _default("the shadows are too small to measure")
    inside, outside = (_trimmed(ground.linear[m]) for m in (core, beside))
    shadow = np.clip(1 - inside / np.maximum(outside, 1e-4), 0.02, 0.95)
    return CapturedLight(
        light=light_of(direction, shadow), score=score, shadow=shadow,
        why=f"shadows on the support (fit {score:.1f} times better than chance, {100 * float(LUMA @ shadow):.0f}% of the light is the key's)",
    )  # fmt: skip


def light_of(direction: np.ndarray, shadow: np.ndarray) -> Light:
    """The light along `direction` (3,) whose key gives the share `shadow` (3,) of the level ground's irradiance."""
    sh = np.zeros((9, 3))
    ambient = UP_IRRADIANCE * (1 - shadow) / (1 + AMBIENT_TILT)
    sh[0], sh[2] = ambient / 0.282095, AMBIENT_TILT * ambient / 0.488603
    return Light(direction=direction, key_rgb=UP_IRRADIANCE * shadow / -direction[2], ambient_sh=sh)


def _trimmed(colors: np.ndarray) -> np.ndarray:
    """(3,) mean of the middle four fifths of linear colours (n, 3), by brightness."""
    order = np.argsort(colors @ LUMA)
    cut = len(order) // 10
    return colors[order[cut : len(order) - cut]].mean(axis=0)


def _default(why: str) -> CapturedLight:
    return CapturedLight(light=Light.default(), score=0.0, shadow=np.zeros(3), why=f"a usual room's light: {why}")


def parts_of(assets: list[Any]) -> list[np.ndarray]:
    """Convex parts (k, 3) of placed assets, world [m]; what one hull holds by its visual mesh, which no limit on corners shrinks."""
    from scipy.spatial import ConvexHull

    parts = [(a, m.vertices.astype(float)) for a in assets for m in ([a.visual] if len(a.hulls) == 1 else a.hulls)]
    return [a.T_world_asset.apply(v[ConvexHull(v).vertices]) for a, v in parts]
