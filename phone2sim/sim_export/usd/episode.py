"""An `EpisodeSpec` as a small override layer over `scene.usda`: any USD application opens the episode's start."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.assets.scene import Scene
from phone2sim.augment.spec import CameraSpec, EpisodeSpec, LightSpec
from phone2sim.poses import Pose
from phone2sim.sim_export.mjcf import find_support
from phone2sim.sim_export.robots import ROBOTS, get_robot
from phone2sim.sim_export.usd.articulation import set_start
from phone2sim.sim_export.usd.episode_objects import LIBRARY, add_objects, to_pose
from phone2sim.sim_export.usd.opinions import prim, put, put_pose, set_data
from phone2sim.sim_export.usd.paint import paint_table
from phone2sim.sim_export.usd.robot import RobotReference, link_poses
from phone2sim.sim_export.usd.views import CLIPPING_M, EXPOSURES, Lamps, camera_pose, lens

SCENE_LAYER = "./scene/scene.usda"
EPISODE = "/World/Episode"
"""What only the episode has: `Cameras`, `Robot`, `Goals`, and `Table` where the top is drawn anew."""


def build_episode_layer(
    spec: EpisodeSpec, scene: Scene, *, over: str = SCENE_LAYER, robot: RobotReference | None = None
) -> Any:
    """An anonymous `Sdf.Layer` over the scene's `scene.usda`, which stands at `over` relative to where it is saved.

    Of the scene's props those in the spec are posed, weighed and tinted under their names, copies are added as payloads
    beside them, the others are switched off. What USD has no word for (a sensor's noise, a lens's distortion, the light
    on the background's splats) is in `customData`. Raises `InputError` for an asset or a support the scene does not have.
    """
    from pxr import Sdf

    support = find_support(scene, spec.support)
    layer = Sdf.Layer.CreateAnonymous(f"episode_{spec.index:06d}.usda")
    layer.subLayerPaths.append(over)
    layer.defaultPrim = "World"
    layer.framesPerSecond = layer.timeCodesPerSecond = float(spec.fps)
    for key, value in (("upAxis", "Z"), ("metersPerUnit", 1.0), ("kilogramsPerUnit", 1.0)):
        layer.pseudoRoot.SetInfo(key, value)
    add_objects(layer, spec, scene, folder=over.rpartition("/")[0] or ".")
    _lights(layer, spec.lights)
    prim(layer, EPISODE, "Xform").SetInfo("kind", "group")
    _about(layer, spec)
    _robot(layer, spec, robot)
    paint_table(layer, f"{EPISODE}/Table", spec.surfaces, support.outline, support.T_world_surface, folder=LIBRARY)
    prim(layer, f"{EPISODE}/Cameras", "Scope")
    for camera in spec.cameras:
        _camera(layer, camera, spec, robot)
    prim(layer, f"{EPISODE}/Goals", "Scope")
    for i, goal in enumerate(spec.task.goals):
        spot = prim(layer, f"{EPISODE}/Goals/goal_{i}", "Xform")
        put_pose(spot, Pose(np.array(goal.xyz), np.array([1.0, 0, 0, 0])), new=True)
        set_data(spot, goal.model_dump(exclude={"xyz"}))
    return layer


def write_episode_layer(spec: EpisodeSpec, scene: Scene, path: Path, **options: Any) -> Path:
    """Save `build_episode_layer(spec, scene, **options)` at `path` as text, tab-indented to keep it small."""
    text = build_episode_layer(spec, scene, **options).ExportToString()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(re.sub(r"(?m)^(?: {4})+", lambda m: "\t" * (len(m[0]) // 4), text))
    return path


def _lights(layer: Any, light: LightSpec) -> None:
    from pxr import Gf, Sdf

    path = "/World/Lights"
    lamps = Lamps.of(np.array(light.direction), np.array(light.key_rgb), np.array(light.ambient_sh), light.softness)
    for name, rgb in (("dome", lamps.dome_rgb), ("key", lamps.key_rgb)):
        put(prim(layer, f"{path}/{name}"), "Color3f", "inputs:color", Gf.Vec3f(*(float(x) for x in rgb)))
    put_pose(prim(layer, f"{path}/key"), lamps.key_pose, new=False)
    put(prim(layer, f"{path}/key"), "Float", "inputs:angle", lamps.angle_deg)
    for exposure, unit in EXPOSURES.items():
        Sdf.CreateVariantInLayer(layer, path, "exposure", exposure)
        for name, level in (("dome", lamps.dome), ("key", lamps.key)):
            put(prim(layer, f"{path}{{exposure={exposure}}}{name}"), "Float", "inputs:intensity", level * unit)
    more = {"shadow": light.shadow, "environment": light.environment or None}
    set_data(prim(layer, path), {**more, **{k: getattr(light, k) for k in ("ambient_sh", "key_rgb", "relight_rgb")}})


def _camera(layer: Any, camera: CameraSpec, spec: EpisodeSpec, reference: RobotReference | None) -> None:
    """A mounted camera hangs on its link where the robot is ours, and is left at the start where it is not."""
    from pxr import Gf

    path, pose = f"{EPISODE}/Cameras/{camera.name}", to_pose(camera.pose)
    if camera.mount and reference is not None and reference.own:
        path = f"{EPISODE}/Robot/{camera.mount}/{camera.name}"
    elif camera.mount and spec.robot.model in ROBOTS:
        links = link_poses(get_robot(spec.robot.model), spec.robot.qpos, spec.robot.gripper)
        pose = to_pose(spec.robot.base) @ links[camera.mount] @ pose
    at = prim(layer, path, "Camera")
    put_pose(at, camera_pose(pose.matrix), new=True)
    for name, value in lens(np.array(camera.K), camera.width, camera.height).items():
        put(at, "Float", name, value)
    put(at, "Float2", "clippingRange", Gf.Vec2f(*CLIPPING_M))
    data: dict[str, Any] = {"size_wh": Gf.Vec2i(camera.width, camera.height)}
    for name in ("mount", "distortion"):
        if getattr(camera, name):
            data[name] = getattr(camera, name)
    set_data(at, data)


def _robot(layer: Any, spec: EpisodeSpec, reference: RobotReference | None) -> None:
    from pxr import Sdf

    path = f"{EPISODE}/Robot"
    root = prim(layer, path, "Xform")
    put_pose(root, to_pose(spec.robot.base), new=True)
    set_data(root, spec.robot.model_dump(exclude={"base"}))
    if reference is None:
        return
    if not reference.composes:
        put(root, "Asset", "phone2sim:description", Sdf.AssetPath(reference.path))
        return
    root.referenceList.Prepend(Sdf.Reference(reference.path))
    if not reference.own:
        return
    robot = get_robot(spec.robot.model)
    for link, pose in link_poses(robot, spec.robot.qpos, spec.robot.gripper).items():
        put_pose(prim(layer, f"{path}/{link}"), pose, new=False)
    start = spec.robot
    set_start(layer, path, robot, start.qpos, start.gripper, gain=start.gain, damping=start.damping)


def _about(layer: Any, spec: EpisodeSpec) -> None:
    """The rest of the spec."""
    elsewhere = {"objects", "lights", "cameras", "robot", "asset_hashes", "task"}
    set_data(
        prim(layer, EPISODE),
        {**spec.model_dump(exclude=elsewhere), "task": spec.task.model_dump(exclude={"goals"})},
    )
