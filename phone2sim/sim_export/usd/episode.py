"""An `EpisodeSpec` as a small override layer over `scene.usda`: any USD application opens the episode's start."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.assets.scene import Asset, Scene
from phone2sim.augment.spec import CameraSpec, EpisodeSpec, LightSpec, ObjectSpec, PoseSpec
from phone2sim.errors import InputError
from phone2sim.poses import Pose
from phone2sim.sim_export.mjcf import find_support
from phone2sim.sim_export.usd.opinions import prim, put, put_pose, set_data, vec3d
from phone2sim.sim_export.usd.robot import RobotReference, link_poses
from phone2sim.sim_export.usd.simready import asset_file
from phone2sim.sim_export.usd.views import CLIPPING_M, EXPOSURES, Lamps, camera_pose, lens

SCENE_LAYER = "./scene/scene.usda"
EPISODE = "/World/Episode"
"""What only the episode has: `Cameras`, `Robot`, `Goal`."""


def build_episode_layer(
    spec: EpisodeSpec, scene: Scene, *, over: str = SCENE_LAYER, robot: RobotReference | None = None
) -> Any:
    """An anonymous `Sdf.Layer` over the scene's `scene.usda`, which stands at `over` relative to where it is saved.

    Of the scene's props those in the spec are posed, weighed and tinted under their names, copies are added as payloads
    beside them, the others are switched off. Raises `InputError` for an asset, a support or a name the scene cannot give.
    """
    from pxr import Sdf

    find_support(scene, spec.support)
    layer = Sdf.Layer.CreateAnonymous(f"episode_{spec.index:06d}.usda")
    head = layer.pseudoRoot
    layer.subLayerPaths.append(over)
    layer.defaultPrim = "World"
    layer.framesPerSecond = layer.timeCodesPerSecond = float(spec.fps)
    for key, value in (("upAxis", "Z"), ("metersPerUnit", 1.0), ("kilogramsPerUnit", 1.0)):
        head.SetInfo(key, value)
    folder = over.rpartition("/")[0]
    own = {a.name for a in scene.assets}
    for o in spec.objects:
        asset = scene.asset(o.asset)
        if o.name in own and o.name != o.asset:
            raise InputError(f"Episode {spec.index}: object {o.name!r} has the name of another asset of the scene.")
        copied = o.name not in own
        _object(layer, o, asset, payload=f"{folder or '.'}/{asset_file(asset.name)}" if copied else "")
        if copied and asset.splat is not None:
            for name in ("splat", "both"):
                Sdf.CreateVariantInLayer(layer, "/World", "appearance", name)
                spot = prim(layer, f"/World{{appearance={name}}}Props/{o.name}")
                spot.variantSelections["appearance"] = name
    for name in sorted(own - {o.name for o in spec.objects}):
        prim(layer, f"/World/Props/{name}").SetInfo("active", False)
    _lights(layer, spec.lights)
    prim(layer, EPISODE, "Xform").SetInfo("kind", "group")
    _about(layer, spec)
    prim(layer, f"{EPISODE}/Cameras", "Scope")
    for camera in spec.cameras:
        _camera(layer, camera)
    goal = prim(layer, f"{EPISODE}/Goal", "Xform")
    height = find_support(scene, spec.support).height_m
    put_pose(goal, Pose(np.array([*spec.task.goal_xy, height]), np.array([1.0, 0, 0, 0])), new=True)
    set_data(goal, {"tolerance_m": spec.task.tolerance_m, "target": f"/World/Props/{spec.task.target}"})
    _robot(layer, spec, robot)
    return layer


def write_episode_layer(spec: EpisodeSpec, scene: Scene, path: Path, **options: Any) -> Path:
    """Save `build_episode_layer(spec, scene, **options)` at `path` as text, tab-indented to keep it small."""
    text = build_episode_layer(spec, scene, **options).ExportToString()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(re.sub(r"(?m)^(?: {4})+", lambda m: "\t" * (len(m[0]) // 4), text))
    return path


def to_pose(pose: PoseSpec) -> Pose:
    return Pose(np.array(pose.translation), np.array(pose.quat_wxyz))


def _object(layer: Any, o: ObjectSpec, asset: Asset, *, payload: str) -> None:
    from pxr import Gf, Sdf

    path = f"/World/Props/{o.name}"
    root = prim(layer, path, "Xform" if payload else "")
    if payload:
        root.payloadList.Prepend(Sdf.Payload(payload))
    put_pose(root, to_pose(o.pose), new=bool(payload))
    put(root, "Float", "physics:mass", o.mass_kg)
    moments = asset.inertia.principal()[0] * (o.mass_kg / asset.mass_kg.value)
    put(root, "Float3", "physics:diagonalInertia", Gf.Vec3f(*(float(m) for m in moments)))
    substance = prim(layer, f"{path}/Looks/Physics")
    put(substance, "Float", "physics:staticFriction", o.friction)
    put(substance, "Float", "physics:dynamicFriction", o.friction)
    gain = [float(g) for g in o.rgb_gain]
    if asset.visual.texture is not None:
        put(prim(layer, f"{path}/Looks/Visual/Albedo"), "Float4", "inputs:scale", Gf.Vec4f(*gain, 1.0))
    else:
        put(prim(layer, f"{path}/Looks/Visual/PreviewSurface"), "Color3f", "inputs:diffuseColor", 0.6 * Gf.Vec3f(*gain))


def _lights(layer: Any, light: LightSpec) -> None:
    from pxr import Gf, Sdf, Vt

    path = "/World/Lights"
    lamps = Lamps.of(np.array(light.direction), np.array(light.key_rgb), np.array(light.ambient_sh))
    for name, rgb in (("dome", lamps.dome_rgb), ("key", lamps.key_rgb)):
        put(prim(layer, f"{path}/{name}"), "Color3f", "inputs:color", Gf.Vec3f(*(float(x) for x in rgb)))
    put_pose(prim(layer, f"{path}/key"), lamps.key_pose, new=False)
    for exposure, unit in EXPOSURES.items():
        Sdf.CreateVariantInLayer(layer, path, "exposure", exposure)
        for name, level in (("dome", lamps.dome), ("key", lamps.key)):
            put(prim(layer, f"{path}{{exposure={exposure}}}{name}"), "Float", "inputs:intensity", level * unit)
    sh = Vt.DoubleArray([float(v) for row in light.ambient_sh for v in row])
    set_data(
        prim(layer, path), {"ambient_sh": sh, "key_rgb": vec3d(light.key_rgb), "relight_rgb": vec3d(light.relight_rgb)}
    )


def _camera(layer: Any, camera: CameraSpec) -> None:
    from pxr import Gf

    spec = prim(layer, f"{EPISODE}/Cameras/{camera.name}", "Camera")
    put_pose(spec, camera_pose(to_pose(camera.pose).matrix), new=True)
    for name, value in lens(np.array(camera.K), camera.width, camera.height).items():
        put(spec, "Float", name, value)
    put(spec, "Float2", "clippingRange", Gf.Vec2f(*CLIPPING_M))
    set_data(spec, {"size_wh": Gf.Vec2i(camera.width, camera.height)})


def _robot(layer: Any, spec: EpisodeSpec, reference: RobotReference | None) -> None:
    from pxr import Sdf, Vt

    path = f"{EPISODE}/Robot"
    root = prim(layer, path, "Xform")
    put_pose(root, to_pose(spec.robot.base), new=True)
    joints = Vt.DoubleArray(list(spec.robot.qpos))
    set_data(root, {"model": spec.robot.model, "joints_rad": joints, "gripper": spec.robot.gripper})
    if reference is None:
        return
    if not reference.composes:
        put(root, "Asset", "phone2sim:description", Sdf.AssetPath(reference.path))
        return
    root.referenceList.Prepend(Sdf.Reference(reference.path))
    if reference.links_posed:
        for body, pose in link_poses(spec.robot.model, spec.robot.qpos, spec.robot.gripper).items():
            put_pose(prim(layer, f"{path}/{body}"), pose, new=False)


def _about(layer: Any, spec: EpisodeSpec) -> None:
    set_data(
        prim(layer, EPISODE),
        {
            "episode": spec.index, "key": spec.key, "seed": str(spec.seed), "recipe": spec.recipe,
            "scene_fingerprint": spec.scene_fingerprint, "support": spec.support, "task": spec.task.kind,
            "target": spec.task.target, "language": " ".join(spec.task.language.split()), "fps": spec.fps, "duration_s": spec.duration_s,
            "pair_id": spec.pair_id or "", "branch_id": spec.branch_id or "", "exposure": spec.sensor.exposure,
            "white_balance_rgb": vec3d(spec.sensor.white_balance_rgb), "noise_std": spec.sensor.noise_std,
            "blur_px": spec.sensor.blur_px,
        },
    )  # fmt: skip
