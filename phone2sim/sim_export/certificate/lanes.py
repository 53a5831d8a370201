"""The trials of every object as one stage: slide, tip and drop, each in a lane of its own, for engines that read USD."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.assets.scene import Asset
from phone2sim.poses import Pose
from phone2sim.sim_export.certificate import trials
from phone2sim.sim_export.contact import SUPPORT_FRICTION

LANE_M = 3.0
"""Between neighbours: nothing that tips over reaches the next one."""


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One object in one trial."""

    trial: str
    """`slide`, `tip` or `drop`."""
    asset: Asset
    friction: float
    start: Pose
    velocity: tuple[float, float] = (0.0, 0.0)
    """It is pushed off with [m/s]."""

    @property
    def name(self) -> str:
        return f"{self.trial}_{self.asset.name}"


def lanes_of(assets: Sequence[Asset], behaviours: Mapping[str, trials.Behaviour], *, drop_m: float = trials.DROP_M) -> list[Lane]:
    """Every object is dropped; those that do not roll are pushed and tipped as well."""
    made: list[Lane] = []
    for asset in assets:
        here = behaviours[asset.name]
        if here.slid is not None:
            speed = np.sqrt(2 * here.slid["friction"] * trials.GRAVITY * here.slid["expected_m"]) * here.stands.stablest
            pushed = (float(speed[0]), float(speed[1]))
            made.append(_lane("slide", asset, here.slid["friction"], len(made), velocity=pushed))
            made.append(_lane("tip", asset, trials.tip_friction(here.stands), len(made)))
        made.append(_lane("drop", asset, asset.friction.value, len(made), turned=trials.DROP_TILT_WXYZ, height_m=drop_m))
    return made


def write_lanes(lanes: list[Lane], export: Path, path: Path, *, plane: bool) -> Path:
    """The stage at `path`: a slick ground under all lanes (a plane or a box), each object a payload of its own file in `export`."""
    from pxr import UsdGeom, UsdPhysics

    from phone2sim.sim_export.usd.layer import attribute, new_stage, set_pose
    from phone2sim.sim_export.usd.materials import bind, physics_material, touch_firmly
    from phone2sim.sim_export.usd.scene import add_physics
    from phone2sim.sim_export.usd.simready import asset_file

    with new_stage(path) as stage:
        stage.SetDefaultPrim(UsdGeom.Xform.Define(stage, "/World").GetPrim())
        add_physics(stage, "/World/PhysicsScene")
        UsdGeom.Scope.Define(stage, "/World/Looks")
        slick = physics_material(stage, "/World/Looks/Slick", friction=SUPPORT_FRICTION, restitution=0.1, name="unknown")
        ground = _ground(stage, "/World/Ground", plane, rows=len(lanes))
        UsdPhysics.CollisionAPI.Apply(ground.GetPrim())
        attribute(
            ground.GetPrim(), "PhysxCollisionAPI", physxCollision__contactOffset=("Float", 0.01),
            physxCollision__restOffset=("Float", 0.0),
        )  # fmt: skip
        attribute(ground.GetPrim(), "NewtonCollisionAPI", newton__contactGap=("Float", 0.01))
        touch_firmly(ground.GetPrim())
        bind(ground.GetPrim(), slick, physics=True)
        UsdGeom.Xform.Define(stage, "/World/Props")
        for lane in lanes:
            xform = UsdGeom.Xform.Define(stage, f"/World/Props/{lane.name}")
            xform.GetPrim().GetPayloads().AddPayload(str((export / asset_file(lane.asset.name)).resolve()))
            set_pose(xform, lane.start)
            material = stage.OverridePrim(f"/World/Props/{lane.name}/Looks/Physics")
            for kind in ("static", "dynamic"):
                attribute(material, "PhysicsMaterialAPI", **{f"physics__{kind}Friction": ("Float", lane.friction)})
    return path


def _ground(stage: Any, path: str, plane: bool, *, rows: int) -> Any:
    from pxr import Gf, UsdGeom

    if plane:
        ground = UsdGeom.Plane.Define(stage, path)
        ground.CreateAxisAttr("Z")
        return ground
    box = UsdGeom.Cube.Define(stage, path)
    box.CreateSizeAttr(2.0)
    half = Gf.Vec3f(LANE_M, LANE_M * (rows + 1) / 2, 0.5)
    box.AddTranslateOp().Set(Gf.Vec3d(0, LANE_M * (rows - 1) / 2, -half[2]))
    box.AddScaleOp().Set(half)
    return box


def _lane(
    trial: str, asset: Asset, friction: float, row: int, *, turned: np.ndarray | None = None, height_m: float = 0.0,
    velocity: tuple[float, float] = (0.0, 0.0),
) -> Lane:  # fmt: skip
    """Standing as it was captured in the lane's middle, then lifted and turned about its own frame's origin."""
    R = asset.T_world_asset.rotation
    low = float((np.concatenate([h.vertices for h in asset.hulls]) @ R.T)[:, 2].min())
    turn = Pose(np.zeros(3), turned if turned is not None else np.array([1.0, 0, 0, 0]))
    stood = Pose(np.zeros(3), asset.T_world_asset.quat_wxyz)
    pose = turn @ stood
    at = np.array([0.0, LANE_M * row, height_m - low])
    return Lane(trial=trial, asset=asset, friction=friction, start=Pose(at, pose.quat_wxyz), velocity=velocity)
