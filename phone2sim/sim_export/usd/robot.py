"""Robots beside the scene: our own arm's shells as a USD file, and references to anybody else's. None is copied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.poses import Pose
from phone2sim.sim_export.robots import get_robot

DESCRIPTIONS = (".urdf", ".xml", ".mjcf")
"""Robot files that USD cannot compose."""


@dataclass(frozen=True, kw_only=True)
class RobotReference:
    """A robot's file. USD is referred to (its default prim is a robot standing at its base); a URDF or an MJCF is named in
    the attribute `phone2sim:description`, for whoever imports it."""

    path: str
    """Asset path as the episode layer writes it: relative to that layer, absolute, or a URL."""
    links_posed: bool = False
    """Whether its children are the bodies of our own robot, each posed by the episode layer."""

    @property
    def composes(self) -> bool:
        return not self.path.lower().endswith(DESCRIPTIONS)


def link_poses(model: str, joints_rad: Sequence[float], gripper: float) -> dict[str, Pose]:
    """Body → pose relative to the robot's base, of the bodies that can be seen."""
    import mujoco

    robot = get_robot(model)
    compiled = _compiled(model)
    data = mujoco.MjData(compiled)
    for name, value in zip(robot.joints, joints_rad):
        data.joint(name).qpos[0] = value
    for name in robot.fingers:
        data.joint(name).qpos[0] = gripper * robot.finger_travel_m
    mujoco.mj_kinematics(compiled, data)
    T_base_world = Pose(data.body("base").xpos.copy(), data.body("base").xquat.copy()).inverse()
    return {
        b: T_base_world @ Pose(data.body(b).xpos.copy(), data.body(b).xquat.copy())
        for b in dict.fromkeys(p.body for p in robot.render_parts())
    }


@lru_cache(maxsize=8)
def _compiled(model: str) -> Any:
    return get_robot(model).build(visual=False, collision=False).compile()


def write_robot(model: str, path: Path) -> Path:
    """The shells of our own robot as they stand at home: an Xform for each body, its meshes below it; returns `path`."""
    from pxr import Sdf, Usd, UsdGeom

    from phone2sim.sim_export.usd.layer import extents_hint, label, new_stage, set_pose, set_root, vec3f
    from phone2sim.sim_export.usd.materials import bind, preview_material
    from phone2sim.sim_export.usd.mesh import add_mesh

    robot = get_robot(model)
    colors = sorted({p.rgb for p in robot.render_parts()})
    with new_stage(path) as stage:
        root = UsdGeom.Xform.Define(stage, f"/{model}").GetPrim()
        set_root(stage, root, "component")
        Usd.ModelAPI(root).SetAssetName(model)
        UsdGeom.Scope.Define(stage, f"/{model}/Looks")
        looks = []
        for i, rgb in enumerate(colors):
            material = preview_material(stage, f"/{model}/Looks/Paint_{i}", None, path.parent, model)
            shader = stage.GetPrimAtPath(f"/{model}/Looks/Paint_{i}/PreviewSurface")
            shader.CreateAttribute("inputs:diffuseColor", Sdf.ValueTypeNames.Color3f).Set(vec3f(np.array(rgb)))
            shader.GetAttribute("inputs:roughness").Set(0.4)
            looks.append(material)
        for body, pose in link_poses(model, robot.home_rad, 1.0).items():
            set_pose(UsdGeom.Xform.Define(stage, f"/{model}/{body}"), pose)
        for part in robot.render_parts():
            at = f"/{model}/{part.body}/{part.name}"
            set_pose(UsdGeom.Xform.Define(stage, at), part.T_body_part)
            bind(add_mesh(stage, f"{at}/mesh", part.mesh).GetPrim(), looks[colors.index(part.rgb)])
        label(root, "robot")
        extents_hint(root)
    return path
