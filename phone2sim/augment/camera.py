"""The episode's static cameras: inside the region where the capture supports new views, looking at the work space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from phone2sim.assets.scene import Scene
from phone2sim.assets.validity import validity_of
from phone2sim.augment.objects import WORK_RADIUS_M, disc, pose_spec
from phone2sim.augment.sections import CameraRecipe
from phone2sim.augment.spec import CameraSpec
from phone2sim.augment.workspace import Workspace
from phone2sim.keys import Key
from phone2sim.poses import Pose, look_at
from phone2sim.reconstruct.validity import ValidityMap

FRAMED_M = 0.38
"""Half-width around the work space's middle that a camera of focal gain 1 shows."""
FOV_RANGE = np.deg2rad([28.0, 70.0])
MAX_FOV = np.deg2rad(95.0)
LOOK_HEIGHT_M = 0.08
WRIST_FOV = np.deg2rad(70.0)
ATTEMPTS = 32
"""Draws of a view that the capture supports, before the nearest supported one is taken."""
_NOMINAL = np.deg2rad([0.0, 90.0, -90.0, 45.0, -45.0, 135.0, -135.0, 180.0])


@dataclass(frozen=True, kw_only=True)
class ViewRange:
    """Spherical shell of supported eye points around `center` (world). Azimuth about z from x; `high` may pass π."""

    center: np.ndarray
    radius_m: tuple[float, float]
    elevation_rad: tuple[float, float]
    azimuth_rad: tuple[float, float]

    @classmethod
    def of(cls, scene: Scene, ws: Workspace) -> ViewRange:
        """The scene's validity, or, when it has none, the box around the captured cameras."""
        if scene.validity:
            return cls.from_json(scene.validity)
        center = ws.support.T_world_surface.apply(np.array([[*ws.middle, 0.0]]))[0]
        d = scene.cameras.centres - center
        r = np.linalg.norm(d, axis=1)
        el = np.arcsin(np.clip(d[:, 2] / np.maximum(r, 1e-9), -1, 1))
        az = np.sort(np.arctan2(d[:, 1], d[:, 0]))
        holes = np.diff(np.append(az, az[0] + 2 * np.pi))
        k = int(holes.argmax())
        start = float(az[(k + 1) % len(az)])
        span = float(2 * np.pi - holes[k]) if holes[k] > np.deg2rad(100) else 2 * np.pi
        lo, hi = np.percentile(r, [10, 90]), np.percentile(el, [10, 90])
        return cls(
            center=center, radius_m=(float(lo[0]), float(lo[1])), azimuth_rad=(start, start + span),
            elevation_rad=(max(float(hi[0]), 0.1), max(float(hi[1]), 0.15)),
        )  # fmt: skip

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ViewRange:
        lo, hi = (float(x) for x in data["azimuth_rad"])
        pair = {k: (float(data[k][0]), float(data[k][1])) for k in ("radius_m", "elevation_rad")}
        return cls(
            center=np.array(data["center"], dtype=float), azimuth_rad=(lo, hi if hi >= lo else hi + 2 * np.pi), **pair
        )

    @property
    def all_around(self) -> bool:
        return self.azimuth_rad[1] - self.azimuth_rad[0] > np.deg2rad(350)

    def eye(self, radius: float, elevation: float, azimuth_rad: float) -> np.ndarray:
        """(3,) for shares 0–1 of radius and elevation and a world azimuth."""
        r = self.radius_m[0] + radius * (self.radius_m[1] - self.radius_m[0])
        el = self.elevation_rad[0] + elevation * (self.elevation_rad[1] - self.elevation_rad[0])
        return self.center + r * np.array(
            [np.cos(el) * np.cos(azimuth_rad), np.cos(el) * np.sin(azimuth_rad), np.sin(el)]
        )

    def fold(self, azimuth_rad: float) -> float:
        """An azimuth mirrored at the ends of the range until it is inside."""
        lo, hi = self.azimuth_rad
        if self.all_around:
            return azimuth_rad
        span = hi - lo
        if span <= 0:
            return lo
        t = (azimuth_rad - lo) % (2 * span)
        return lo + (t if t <= span else 2 * span - t)

    def nearest(self, azimuth_rad: float) -> float:
        """The closest azimuth in the range."""
        lo, hi = self.azimuth_rad
        t = (azimuth_rad - lo) % (2 * np.pi)
        if self.all_around or t <= hi - lo:
            return lo + t
        return hi if t - (hi - lo) < 2 * np.pi - t else lo

    def contains(self, eye: np.ndarray, *, tolerance: float = 1e-6) -> bool:
        d = np.asarray(eye) - self.center
        r = float(np.linalg.norm(d))
        el = float(np.arcsin(d[2] / r))
        t = (float(np.arctan2(d[1], d[0])) - self.azimuth_rad[0] + tolerance) % (2 * np.pi)
        return (
            self.radius_m[0] - tolerance <= r <= self.radius_m[1] + tolerance
            and self.elevation_rad[0] - tolerance <= el <= self.elevation_rad[1] + tolerance
            and (self.all_around or t <= self.azimuth_rad[1] - self.azimuth_rad[0] + 2 * tolerance)
        )


def sample_cameras(scene: Scene, ws: Workspace, recipe: CameraRecipe, key: Key) -> tuple[CameraSpec, ...]:
    """One spec per name of the recipe, each with how well the capture supports it and how often it was drawn again."""
    view, validity = ViewRange.of(scene, ws), validity_of(scene.validity)
    nominal = nominal_azimuths(view, ws, len(recipe.names))
    fixed = tuple(_camera(n, a, view, validity, ws, recipe, key.child(n)) for n, a in zip(recipe.names, nominal))
    return (*fixed, _wrist(ws, recipe, key.child("wrist"))) if recipe.wrist else fixed


def _wrist(ws: Workspace, recipe: CameraRecipe, key: Key) -> CameraSpec:
    """On the hand, looking past the fingers. Where it goes follows the arm, so the validity map has no say."""
    reach = ws.reach
    shift = np.asarray(recipe.wrist_shift_m(key.child("wrist_shift_m").rng(), 3), dtype=float)
    turn = np.deg2rad(np.asarray(recipe.wrist_turn_deg(key.child("wrist_turn_deg").rng(), 3), dtype=float))
    T = look_at(np.array(reach.wrist_eye_m), np.array(reach.wrist_target_m), up=(1.0, 0.0, 0.0))
    angle = float(np.linalg.norm(turn))
    axis = turn / angle if angle else np.zeros(3)
    T = Pose(T.translation + shift, T.quat_wxyz) @ Pose(np.zeros(3), np.r_[np.cos(angle / 2), np.sin(angle / 2) * axis])
    w, h = recipe.width, recipe.height
    f = 0.5 * min(w, h) / np.tan(WRIST_FOV / 2) * float(recipe.focal_gain(key.child("focal_gain").rng()))
    K = ((round(f, 6), 0.0, w / 2), (0.0, round(f, 6), h / 2), (0.0, 0.0, 1.0))
    return CameraSpec(
        name="wrist", mount=reach.wrist_mount, pose=pose_spec(T), K=K, width=w, height=h, distortion=_lens(recipe, key, K)
    )


def _lens(recipe: CameraRecipe, key: Key, K: tuple[tuple[float, ...], ...]) -> tuple[float, ...]:
    """k1 k2 p1 p2 with which the picture's corners are shifted as asked for; empty for none."""
    shift = float(recipe.distortion(key.child("distortion").rng()))
    if not shift:
        return ()
    corner = np.hypot(recipe.width / 2 / K[0][0], recipe.height / 2 / K[1][1]) / (1 + shift)
    return round(shift / float(corner) ** 2, 9), 0.0, 0.0, 0.0


def supported_eye(
    view: ViewRange, validity: ValidityMap | None, azimuth: float, recipe: CameraRecipe, key: Key
) -> tuple[np.ndarray, float | None, int]:
    """An eye point (3,) [m] near the nominal `azimuth`, its support, and how many draws were thrown away for the lack of it."""

    def draw(k: Key) -> np.ndarray:
        radius, elevation, turn = (float(getattr(recipe, f)(k.child(f).rng(), None)) for f in ("radius", "elevation", "azimuth_deg"))
        return view.eye(radius, elevation, view.fold(azimuth + np.deg2rad(turn)))

    eye = draw(key)
    if validity is None:
        return eye, None, 0
    for attempt in range(1, ATTEMPTS + 1):
        support = float(validity.support_at(eye))
        if support >= recipe.min_support:
            return eye, round(support, 4), attempt - 1
        eye = draw(key.child("again", attempt))
    eye = validity.nearest(draw(key), min_support=recipe.min_support)
    return eye, round(float(validity.support_at(eye)), 4), ATTEMPTS


def nominal_azimuths(view: ViewRange, ws: Workspace, n: int) -> list[float]:
    """World azimuths of n cameras: facing the robot, across, then around; spread evenly where the range is too
    narrow to keep them 35 degrees apart."""
    facing = ws.base_pose().rotation[:, 0]
    front = float(np.arctan2(facing[1], facing[0]))
    wanted = [front + float(_NOMINAL[i % len(_NOMINAL)]) for i in range(n)]
    got = [view.nearest(a) for a in wanted]
    apart = min((abs(a - b) for i, a in enumerate(got) for b in got[i + 1 :]), default=np.inf)
    if view.all_around or apart >= np.deg2rad(35):
        return got
    lo, hi = view.azimuth_rad
    slots = lo + (hi - lo) * (np.arange(n) + 0.5) / n
    rank = np.argsort(np.argsort(got, kind="stable"), kind="stable")
    return [float(slots[i]) for i in rank]


def _camera(
    name: str, azimuth: float, view: ViewRange, validity: ValidityMap | None, ws: Workspace, recipe: CameraRecipe, key: Key
) -> CameraSpec:
    def draw(field: str, size: int | None = None) -> Any:
        return getattr(recipe, field)(key.child(field).rng(), size)

    eye, support, redrawn = supported_eye(view, validity, azimuth, recipe, key)
    target = ws.to_world(ws.middle, LOOK_HEIGHT_M) + np.asarray(draw("look_at_jitter_m", 3), dtype=float)
    roll = np.deg2rad(float(draw("roll_deg")))
    T = look_at(eye, target) @ Pose(np.zeros(3), np.array([np.cos(roll / 2), 0, 0, np.sin(roll / 2)]))
    # The lens belongs to the rig, not to the drawn eye: frame the work space from the range's middle, and only widen
    # it where a near eye would lose the task.
    middle = ws.to_world(ws.middle, LOOK_HEIGHT_M)
    distance = float(np.linalg.norm(view.eye(0.5, 0.5, azimuth) - middle))
    w, h = recipe.width, recipe.height
    half = 0.5 * min(w, h)
    f = half / np.tan(np.clip(2 * np.arctan2(FRAMED_M, distance), *FOV_RANGE) / 2) * float(draw("focal_gain"))
    cx, cy = np.array([w / 2, h / 2]) + np.asarray(draw("principal_jitter_px", 2), dtype=float)
    f = min(f, max(_widest(T, ws, min(cx, w - cx), min(cy, h - cy)), half / np.tan(MAX_FOV / 2)))
    f, cx, cy = (round(float(x), 6) for x in (f, cx, cy))
    K = ((f, 0.0, cx), (0.0, f, cy), (0.0, 0.0, 1.0))
    return CameraSpec(name=name, pose=pose_spec(T), K=K, width=w, height=h, support=support, redrawn=redrawn, distortion=_lens(recipe, key, K))


def _widest(T_world_camera: Pose, ws: Workspace, half_w: float, half_h: float) -> float:
    """Longest focal length [px] that keeps the disc where the task happens in the picture."""
    rim = [ws.to_world(ws.middle + p, z) for p in disc(WORK_RADIUS_M) for z in (0.0, LOOK_HEIGHT_M)]
    p = T_world_camera.inverse().apply(np.array(rim))
    slope = np.abs(p[:, :2]) / np.maximum(p[:, 2:], 0.05)
    return float((np.array([half_w, half_h]) / np.maximum(slope, 1e-6)).min())
