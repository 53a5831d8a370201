"""Where the task's object and its goal are: free of everything else, on the support, in the robot's reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from phone2sim.assets.scene import Asset, SupportSurface
from phone2sim.augment.footprints import area, footprint, gap, inset, least_width, placed
from phone2sim.augment.sections import ObjectsRecipe, TaskRecipe
from phone2sim.augment.spec import PoseSpec
from phone2sim.augment.workspace import PlacementError, Workspace
from phone2sim.errors import RecipeError, did_you_mean
from phone2sim.keys import Key
from phone2sim.poses import Pose, matrix_to_quat

EDGE_M = 0.01
"""Footprints stay this far inside the support's seen outline."""
LIFT_M = 0.001
"""Placed objects start this far above the support and settle."""
WORK_RADIUS_M = 0.30
"""The task stays this near the middle of the work space, where the cameras look."""
MIN_HEIGHT_M = 0.018
"""Lower objects are not picked: fingers would scrape the table."""
TRIES = 800


@dataclass(frozen=True, kw_only=True)
class Resting:
    """An asset in its captured resting orientation, in the support's frame."""

    asset: Asset
    T_surface_asset: Pose
    """As captured."""
    foot: np.ndarray
    """(k, 2) convex footprint about its origin at zero extra yaw [m]."""
    lift_m: float
    """Height of the origin above the plane that puts the lowest point `LIFT_M` above it."""
    reference: str = ""
    """What `Scene.asset` takes, where that is not the asset's name: from the library, or of another size."""

    @classmethod
    def of(cls, asset: Asset, support: SupportSurface, *, reference: str = "") -> Resting:
        T = support.T_world_surface.inverse() @ asset.T_world_asset
        low = min(float((h.vertices @ T.rotation[2]).min()) for h in asset.hulls)
        return cls(asset=asset, T_surface_asset=T, foot=footprint(asset, T.rotation), lift_m=LIFT_M - low, reference=reference or asset.name)

    @property
    def radius_m(self) -> float:
        return float(np.linalg.norm(self.foot, axis=1).max())

    @property
    def height_m(self) -> float:
        z = np.concatenate([h.vertices @ self.T_surface_asset.rotation[2] for h in self.asset.hulls])
        return float(z.max() - z.min())

    @property
    def width_m(self) -> float:
        """What a gripper must span."""
        return least_width(self.foot)


@dataclass(frozen=True, kw_only=True)
class Placed:
    """An object standing somewhere on the support."""

    name: str
    body: Resting
    xy: np.ndarray
    """(2,) of the asset's origin, surface frame [m]."""
    yaw_rad: float
    """Turn from the captured orientation."""
    captured: bool = False
    """Exactly the captured pose, height and tilt included."""

    @property
    def foot(self) -> np.ndarray:
        return placed(self.body.foot, self.xy, self.yaw_rad)

    def pose(self, support: SupportSurface) -> Pose:
        """T_world_asset."""
        if self.captured:
            return self.body.asset.T_world_asset
        T = Pose.from_xyz_yaw(np.array([*self.xy, self.body.lift_m]), self.yaw_rad)
        q = matrix_to_quat(self.body.T_surface_asset.rotation)
        return support.T_world_surface @ T @ Pose(np.zeros(3), q)


def as_captured(body: Resting) -> Placed:
    xy = body.T_surface_asset.translation[:2]
    return Placed(name=body.asset.name, body=body, xy=xy, yaw_rad=0.0, captured=True)


def pose_spec(pose: Pose) -> PoseSpec:
    t, q = (tuple(round(float(x), 9) for x in v) for v in (pose.translation, pose.quat_wxyz))
    return PoseSpec(translation=t, quat_wxyz=q)  # type: ignore[arg-type]


def choose_target(bodies: list[Resting], recipe: TaskRecipe, key: Key, ws: Workspace, *, grasped: bool = True) -> Resting:
    """The asset the task is about: the recipe's, or any; with `grasped` any that the gripper spans and that is high
    enough to hold (of those too wide, the narrowest)."""
    wanted = recipe.target(key.child("target").rng())
    if wanted != "any":
        return named_body(bodies, str(wanted), "task.target")
    high = [b for b in bodies if b.height_m >= MIN_HEIGHT_M] or bodies
    fits = (graspable(bodies, ws) or [min(high, key=lambda b: b.width_m)]) if grasped else high
    return fits[int(key.child("target").rng().integers(len(fits)))]


def graspable(bodies: list[Resting], ws: Workspace) -> list[Resting]:
    """Objects that the gripper spans and that are high enough to hold."""
    return [b for b in bodies if b.height_m >= MIN_HEIGHT_M and b.width_m <= ws.reach.gripper_m]


def named_body(bodies: list[Resting], name: str, what: str) -> Resting:
    """The asset of that name; `RecipeError` lists the known ones."""
    names = [b.asset.name for b in bodies]
    if name not in names:
        raise RecipeError(f"{what}: no asset {name!r} in the scene;", hint=did_you_mean(name, names))
    return bodies[names.index(name)]


def place_object(
    body: Resting, recipe: ObjectsRecipe, key: Key, ws: Workspace, others: list[np.ndarray], *, attempt: int,
    name: str, role: str = "target", captured: bool = True,
) -> Placed:  # fmt: skip
    """Stand one of the task's objects in reach, `clearance_m` from the footprints `others`; where it was captured, if the
    recipe says so and it is not a copy. `role` names its draws. Raises `PlacementError`."""
    if recipe.placement == "captured" and captured:
        if not ws.in_reach(body.T_surface_asset.translation[:2])[0]:
            raise PlacementError(
                f"{body.asset.name} stands out of the robot's reach where it was captured.",
                hint="Use objects.placement: random, or name another task.target.",
            )
        return as_captured(body)
    k = key.child(role, attempt)
    yaw = np.deg2rad(float(recipe.yaw_deg(k.child("yaw").rng())))
    clearance = float(recipe.clearance_m(key.child("clearance").rng()))
    spot = find_spot(
        placed(body.foot, np.zeros(2), yaw), k.child("xy"), ws, [(o, clearance) for o in others], reach=True
    )
    if spot is None:
        raise no_room(body.asset.name, body, ws, len(others))
    return Placed(name=name, body=body, xy=spot, yaw_rad=float(yaw))


def place_goal(
    target: Placed, travel_m: float, clearance_m: float, key: Key, ws: Workspace, others: list[np.ndarray], *,
    accept: Callable[[np.ndarray], bool] | None = None,
) -> np.ndarray | None:  # fmt: skip
    """(2,) where the object's origin should end, surface frame: room for it at any yaw, `travel_m` or more away."""
    return find_spot(
        disc(target.body.radius_m), key, ws, [(o, clearance_m) for o in others], reach=True,
        away_from=(target.xy, travel_m), near=(target.xy, travel_m + 0.2), accept=accept,
    )  # fmt: skip


def disc(radius_m: float, n: int = 16) -> np.ndarray:
    """(n, 2) outline around a disc."""
    t = np.arange(n) * 2 * np.pi / n
    return radius_m / np.cos(np.pi / n) * np.stack([np.cos(t), np.sin(t)], axis=1)


def find_spot(
    foot: np.ndarray, key: Key, ws: Workspace, others: list[tuple[np.ndarray, float]], *, reach: bool,
    away_from: tuple[np.ndarray, float] | None = None, near: tuple[np.ndarray, float] | None = None,
    accept: Callable[[np.ndarray], bool] | None = None,
) -> np.ndarray | None:  # fmt: skip
    """First of `TRIES` even draws where `foot` lies on the support, clear of `others` (outline, gap [m]) and of the
    robot's base; None when there is none. `reach` keeps the origin where the robot grasps, else somewhat around it."""
    lo = np.maximum(ws.outline.min(axis=0), ws.base_xy - ws.reach.far_m - 0.1)
    hi = np.minimum(ws.outline.max(axis=0), ws.base_xy + ws.reach.far_m + 0.1)
    if not (hi > lo).all():
        return None
    others = [*others, *((r, EDGE_M) for r in ws.roofs)]
    xy = lo + (hi - lo) * key.rng().random((TRIES, 2))
    radius = float(np.linalg.norm(foot, axis=1).max())
    r = np.linalg.norm(xy - ws.base_xy, axis=1)
    off = np.linalg.norm(xy - ws.middle, axis=1)
    ok = ws.in_reach(xy) & (off < WORK_RADIUS_M) if reach else (r < ws.reach.far_m + 0.1) & (off < WORK_RADIUS_M + 0.1)
    ok &= r > ws.reach.base_radius_m + radius + 0.05
    if away_from is not None:
        ok &= np.linalg.norm(xy - away_from[0], axis=1) >= away_from[1]
    if near is not None:
        ok &= np.linalg.norm(xy - near[0], axis=1) <= near[1]
    # Around each other object a disc is certainly taken and a larger one is the only place to look twice.
    middles = np.array([o.mean(axis=0) for o, _ in others]).reshape(-1, 2)
    inner = np.array([inset(o, m[None])[0] + g for (o, g), m in zip(others, middles)])
    outer = np.array([np.linalg.norm(o - m, axis=1).max() + g for (o, g), m in zip(others, middles)]) + radius
    away = np.linalg.norm(xy[:, None] - middles[None], axis=-1)
    ok &= (away >= inner).all(axis=1)
    for p, d in zip(xy[ok], away[ok]):
        at = foot + p
        if (accept is None or accept(p)) and inset(ws.outline, at).min() >= EDGE_M and all(
            d[i] >= outer[i] or gap(at, others[i][0]) >= others[i][1] for i in np.argsort(d)
        ):
            return p
    return None


def no_room(name: str, body: Resting, ws: Workspace, n: int) -> PlacementError:
    lo, hi = body.foot.min(axis=0), body.foot.max(axis=0)
    return PlacementError(
        f"No free place for {name} ({hi[0] - lo[0]:.2f} × {hi[1] - lo[1]:.2f} m) among {n} objects on "
        f"{ws.support.name!r} ({area(ws.outline):.2f} m² seen).",
        hint="Lower clutter.count or the clearances in the recipe, pick a smaller task.target, or capture more of the support.",
    )


def albedo_gain(recipe: ObjectsRecipe, key: Key, name: str) -> tuple[float, float, float]:
    g = recipe.albedo_gain(key.child("albedo", name).rng(), 3)
    return tuple(round(float(x), 6) for x in g)  # type: ignore[return-value]
