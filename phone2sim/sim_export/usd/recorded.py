"""A recorded episode as time samples: a binary layer over the episode's own, which any USD player plays back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.poses import Pose
from phone2sim.sim_export.episode import Episode
from phone2sim.sim_export.usd.episode import EPISODE
from phone2sim.sim_export.usd.episode_objects import to_pose
from phone2sim.sim_export.usd.opinions import prim, put, quatd, vec3d


def write_recorded(episode: Episode, path: Path, *, over: str, own_robot: bool) -> Path:
    """Save the layer at `path` (`.usdc`) over the episode layer at `over`, a path relative to it.

    Frame k is time code k. Objects become kinematic, so that a physics engine replays them and does not simulate them;
    joints as measured and as commanded are in `phone2sim:states` and `phone2sim:actions` of the robot, in the order of
    their `customData`. `own_robot` also moves the links of our own robot, and takes it out of the simulation.
    """
    from pxr import Sdf

    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    layer = Sdf.Layer.CreateNew(str(path))
    layer.subLayerPaths.append(over)
    layer.defaultPrim = "World"
    layer.framesPerSecond = layer.timeCodesPerSecond = float(episode.spec.fps)
    layer.startTimeCode, layer.endTimeCode = 0.0, float(max(len(episode) - 1, 0))
    for key, value in (("upAxis", "Z"), ("metersPerUnit", 1.0), ("kilogramsPerUnit", 1.0)):
        layer.pseudoRoot.SetInfo(key, value)
    for i, o in enumerate(episode.spec.objects):
        root = prim(layer, f"/World/Props/{o.name}")
        put(root, "Bool", "physics:kinematicEnabled", True)
        _move(layer, root, episode.object_poses[:, i])
    robot = prim(layer, f"{EPISODE}/Robot")
    _series(layer, robot, "phone2sim:states", episode.state_names, episode.states)
    _series(layer, robot, "phone2sim:actions", episode.action_names, episode.actions)
    if own_robot and len(episode):
        put(robot, "Bool", "physxArticulation:articulationEnabled", False)
        prim(layer, f"{EPISODE}/Robot/joints").SetInfo("active", False)
        T_base_world = to_pose(episode.spec.robot.base).inverse()
        for i, body in enumerate(episode.robot_bodies):
            world = episode.robot_poses[:, i].astype(float)
            local = T_base_world @ Pose(world[:, :3], world[:, 3:])
            link = prim(layer, f"{EPISODE}/Robot/{body}")
            put(link, "Bool", "physics:rigidBodyEnabled", False)
            _move(layer, link, np.c_[local.translation, local.quat_wxyz])
    layer.Save()
    return path


def _move(layer: Any, root: Any, poses: np.ndarray) -> None:
    """Time samples of (t, 7) x y z and quaternion wxyz; neighbouring quaternions lie on one side, so that players
    interpolate the short way."""
    poses = np.array(poses, dtype=float)
    sign = np.cumprod(np.r_[1.0, np.where((poses[1:, 3:] * poses[:-1, 3:]).sum(axis=1) < 0, -1.0, 1.0)])[: len(poses)]
    move = put(root, "Double3", "xformOp:translate", vec3d(poses[0, :3])).path if len(poses) else None
    turn = put(root, "Quatd", "xformOp:orient", quatd(poses[0, 3:])).path if len(poses) else None
    for t, p in enumerate(poses):
        layer.SetTimeSample(move, t, vec3d(p[:3]))
        layer.SetTimeSample(turn, t, quatd(sign[t] * p[3:]))


def _series(layer: Any, root: Any, name: str, columns: tuple[str, ...], values: np.ndarray) -> None:
    from pxr import Sdf, Vt

    attribute = Sdf.AttributeSpec(root, name, Sdf.ValueTypeNames.FloatArray, declaresCustom=True)
    attribute.SetInfo("customData", {"names": Vt.StringArray(list(columns))})
    for t, row in enumerate(values):
        layer.SetTimeSample(attribute.path, t, Vt.FloatArray.FromNumpy(np.ascontiguousarray(row)))
