"""Physics trials of one object in MuJoCo: tipping, sliding, dropping, against what statics and Coulomb friction say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from phone2sim.assets.scene import Asset
from phone2sim.sim_export.contact import SUPPORT_FRICTION
from phone2sim.sim_export.mjcf import add_object, base_spec

GRAVITY = 9.81
FOOT_M = 0.002
"""Hull vertices this near to the lowest one carry the object."""
DROP_M = 0.5
DROP_TILT_WXYZ = np.array([np.cos(np.radians(7.5)), *(np.sin(np.radians(7.5)) * np.array([0.6, 0.8, 0.0]))])
"""15 degrees, so that it lands on an edge."""
TIPPED_RAD = float(np.radians(3.0))
"""What has turned by so much tips."""
TIP_S, SLIDE_S, DROP_S = 3.0, 2.0, 3.0
ROLLS_BELOW_RAD = float(np.radians(2.0))
"""What statics says tips at less than this rolls rather than stands."""
FIRST, LAST = 0.7, 1.3
"""Slopes of the tipping trial, of the one that statics says."""
STEEPEST_RAD = float(np.radians(80.0))
"""No slope of the tipping trial is steeper: a plate would slide off it at any friction there is, and past the vertical all things fall off."""


@dataclass(frozen=True, kw_only=True)
class Footing:
    """How an object stands, from its hulls and centre of mass."""

    tip_rad: float
    """Smallest slope at which it tips over an edge of its foot: atan(distance to the edge / height of the centre)."""
    weakest: np.ndarray
    """(2,) unit direction in the plane in which it tips first."""
    stablest: np.ndarray
    """(2,) unit direction in which it tips last."""
    stablest_rad: float

    @property
    def rolls(self) -> bool:
        return self.tip_rad < ROLLS_BELOW_RAD


def footing(asset: Asset) -> Footing:
    """Statics of the captured pose on a level plane."""
    from scipy.spatial import ConvexHull, QhullError

    R = asset.T_world_asset.rotation
    points = np.concatenate([h.vertices for h in asset.hulls]).astype(float) @ R.T
    centre = R @ asset.inertia.center_of_mass
    low = points[:, 2].min()
    feet = points[points[:, 2] < low + FOOT_M][:, :2] - centre[:2]
    height = max(float(centre[2] - low), 1e-6)
    some = np.array([1.0, 0.0])
    try:
        hull = ConvexHull(feet)
    except (QhullError, ValueError):  # stands on a point or a line
        return Footing(tip_rad=0.0, weakest=some, stablest=some, stablest_rad=0.0)
    out, reach = hull.equations[:, :2], -hull.equations[:, 2]  # outward normals and distances of the edges
    slopes = np.arctan2(reach, height)
    directions = np.stack([np.cos(a := np.linspace(0, 2 * np.pi, 32, endpoint=False)), np.sin(a)], axis=1)
    along = directions @ out.T
    first = np.where(along > 1e-6, np.arctan2(reach / np.maximum(along, 1e-6), height), np.inf).min(axis=1)
    return Footing(
        tip_rad=float(slopes.min()), weakest=out[int(slopes.argmin())], stablest=directions[int(first.argmax())],
        stablest_rad=float(first.max()),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """One object in every trial, in MuJoCo; `tip_rad` and `slid` are None for what rolls."""

    stands: Footing
    tip_rad: float | None
    slid: dict[str, float] | None
    fallen: dict[str, float]


def behave(asset: Asset, *, drop_m: float = DROP_M) -> Behaviour:
    """Run every trial of one object."""
    stands = footing(asset)
    rolls = stands.rolls
    return Behaviour(
        stands=stands, tip_rad=None if rolls else tip(asset, stands), slid=None if rolls else slide(asset, stands),
        fallen=drop(asset, height_m=drop_m),
    )  # fmt: skip


def lone_model(asset: Asset, *, friction: float | None = None) -> Any:
    """The object alone on an endless level plane at z = 0, standing as it was captured; a compiled `MjModel`."""
    import mujoco

    spec = base_spec(f"{asset.name}_alone")
    files: dict[str, bytes] = {}
    grip = SUPPORT_FRICTION if friction is None else friction
    spec.worldbody.add_geom(
        name="plane", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], condim=4, friction=[grip, 0.001, 0.0001]
    )
    body = add_object(spec, asset, asset.name, files)
    R = asset.T_world_asset.rotation
    low = float((np.concatenate([h.vertices for h in asset.hulls]) @ R.T)[:, 2].min())
    body.pos, body.quat = [0.0, 0.0, -low], asset.T_world_asset.quat_wxyz
    spec.assets = files
    return spec.compile()


def _leaning(data: Any, name: str, start: np.ndarray) -> float:
    """Angle [rad] between the body's z axis and where it pointed."""
    return float(np.arccos(np.clip(data.body(name).xmat.reshape(3, 3)[:, 2] @ start, -1, 1)))


def tip(asset: Asset, stands: Footing) -> float:
    """Slope [rad] at which the simulated object tips over its weakest edge, without sliding.

    Gravity is turned slowly from `FIRST` to `LAST` of the expected slope, or to `STEEPEST_RAD`; the answer is the slope at which the
    object has turned by 3 degrees, or `untipped` when it never does.
    """
    import mujoco

    model = lone_model(asset, friction=tip_friction(stands))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    axis = data.body(asset.name).xmat.reshape(3, 3)[:, 2].copy()
    steps = int(TIP_S / model.opt.timestep)
    for k in range(steps):
        slope = slope_at(stands, k / steps)
        model.opt.gravity[:] = tilted_gravity(stands, slope)
        mujoco.mj_step(model, data)
        if _leaning(data, asset.name, axis) > TIPPED_RAD:
            return float(slope)
    return untipped(stands)


def slope_at(stands: Footing, share: float) -> float:
    """Slope [rad] at a share 0–1 of the tipping trial."""
    first, last = (min(f * stands.tip_rad, STEEPEST_RAD) for f in (FIRST, LAST))
    return first + (last - first) * max(0.0, (share - 0.15) / 0.85)


def untipped(stands: Footing) -> float:
    """What stands in for the slope [rad] of an object that stood to the end of its trial: infinity, or the steepest slope there is where it
    may stand on that, tipping no more than a tenth late."""
    return STEEPEST_RAD if 1.1 * stands.tip_rad >= STEEPEST_RAD else float("inf")


def said_tip(slope_deg: float) -> str:
    """When it tips, in words."""
    return f"tips at {slope_deg:.1f}°" if slope_deg < np.degrees(STEEPEST_RAD) - 1e-6 or np.isinf(slope_deg) else f"stands up to {slope_deg:.0f}°"


def tip_friction(stands: Footing) -> float:
    """Enough not to slide on the trial's steepest slope, and no more: far more pins a tipping body in PhysX."""
    return float(max(1.0, 1.3 * np.tan(min(1.5 * stands.tip_rad, STEEPEST_RAD))))


def tilted_gravity(stands: Footing, slope_rad: float) -> np.ndarray:
    """(3,) [m/s²] on a plane of that slope that falls towards the object's weakest side, in the plane's frame."""
    push = np.sin(slope_rad) * stands.weakest
    return GRAVITY * np.array([push[0], push[1], -np.cos(slope_rad)])


def slide(asset: Asset, stands: Footing, *, distance_m: float = 0.06) -> dict[str, float]:
    """Pushed off at the speed that Coulomb friction stops after `distance_m`: `{friction, expected_m, slid_m, leaned_rad}`.

    v² = 2 µ g d. It is pushed so that it leans towards its stablest side. A body slides only where µ is below the slope
    at which it tips; one that tips first is tried on a plane slick enough, at 0.7 of that slope.
    """
    import mujoco

    friction = min(asset.friction.value, 0.7 * float(np.tan(stands.stablest_rad)))
    model = lone_model(asset)
    model.geom_friction[:, 0] = friction
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data, 50)
    start = data.body(asset.name).xipos.copy()
    axis = data.body(asset.name).xmat.reshape(3, 3)[:, 2].copy()
    data.joint(asset.name).qvel[:2] = np.sqrt(2 * friction * GRAVITY * distance_m) * stands.stablest
    leaned = 0.0
    for _ in range(int(SLIDE_S / model.opt.timestep)):
        mujoco.mj_step(model, data)
        leaned = max(leaned, _leaning(data, asset.name, axis))
    slid = float(np.linalg.norm((data.body(asset.name).xipos - start)[:2]))
    return {"friction": friction, "expected_m": distance_m, "slid_m": slid, "leaned_rad": leaned}


def drop(asset: Asset, *, height_m: float = DROP_M, seconds: float = DROP_S) -> dict[str, float]:
    """Dropped from `height_m`, tilted by 15 degrees: `{sank_m, highest_m, speed, finite}` at the end.

    `sank_m`: how deep its lowest hull vertex ends below the plane; `highest_m`: highest rise of its centre of mass
    above the release; `speed` [m/s] of the body.
    """
    import mujoco

    model = lone_model(asset)
    data = mujoco.MjData(model)
    joint = data.joint(asset.name)
    joint.qpos[2] += height_m
    turned = np.empty(4)
    mujoco.mju_mulQuat(turned, DROP_TILT_WXYZ, joint.qpos[3:].copy())
    joint.qpos[3:] = turned
    mujoco.mj_forward(model, data)
    release = float(data.body(asset.name).xipos[2])
    highest = 0.0
    for _ in range(int(seconds / model.opt.timestep) // 10):
        mujoco.mj_step(model, data, 10)
        highest = max(highest, float(data.body(asset.name).xipos[2]) - release)
    body = data.body(asset.name)
    points = np.concatenate([h.vertices for h in asset.hulls]) @ body.xmat.reshape(3, 3).T + body.xpos
    return {
        "sank_m": max(0.0, -float(points[:, 2].min())), "highest_m": highest,
        "speed": float(np.linalg.norm(joint.qvel[:3])), "finite": float(np.isfinite(data.qpos).all()),
    }  # fmt: skip


def penetration(model: Any, names: list[str]) -> dict[str, float]:
    """Deepest overlap [m] of each named body with anything, at the poses the model was captured in."""
    import mujoco

    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    deepest = dict.fromkeys(names, 0.0)
    for c in data.contact:
        for g in (c.geom1, c.geom2):
            name = model.body(model.geom(g).bodyid[0]).name
            if name in deepest:
                deepest[name] = max(deepest[name], -float(c.dist))
    return deepest
