"""The objects of an episode, as overrides of the scene's props, and copies and strangers beside them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container
from typing import Any

import numpy as np

from phone2sim.assets.scene import Asset, Scene
from phone2sim.augment.spec import EpisodeSpec, ObjectSpec, PoseSpec
from phone2sim.poses import Pose
from phone2sim.sim_export.usd.materials import ROUGHNESS
from phone2sim.sim_export.usd.opinions import prim, put, put_pose
from phone2sim.sim_export.usd.paint import paint_object
from phone2sim.sim_export.usd.simready import asset_file

LIBRARY = "./library"
"""Where assets lie that are not the scene's own, relative to the episode layers."""


def add_objects(layer: Any, spec: EpisodeSpec, scene: Scene, *, folder: str) -> None:
    """Every object of the spec below `/World/Props`; `folder` is the scene's, relative to the layer.

    An object of an asset that is not the scene's own is a payload from `LIBRARY`.
    """
    own = {a.name for a in scene.assets}
    for o in spec.objects:
        asset = scene.asset(o.asset)
        home = folder if o.asset in own else LIBRARY
        payload = (
            None if o.name == o.asset and o.asset in own else f"{home}/{asset_file(file_name(o.asset, asset, own))}"
        )
        _object(layer, o, asset, payload)
        if o.texture is not None:
            name, textured = file_name(o.asset, asset, own), asset.visual.texture is not None
            paint_object(layer, f"/World/Props/{o.name}", o.texture, name, textured=textured, folder=LIBRARY)
        if payload and asset.splat is not None:
            _appears(layer, o.name)
    for name in sorted(own - {o.name for o in spec.objects}):
        prim(layer, f"/World/Props/{name}").SetInfo("active", False)


def file_name(reference: str, asset: Asset, own: Container[str]) -> str:
    """Name of the USD of what an `ObjectSpec.asset` refers to: the scene's own keep theirs, every other reference has one
    to itself."""
    if reference in own:
        return asset.name
    return f"{re.sub(r'[^0-9A-Za-z_]', '_', asset.name)}_{hashlib.sha256(reference.encode()).hexdigest()[:8]}"


def to_pose(pose: PoseSpec) -> Pose:
    return Pose(np.array(pose.translation), np.array(pose.quat_wxyz))


def _object(layer: Any, o: ObjectSpec, asset: Asset, payload: str | None) -> None:
    from pxr import Gf, Sdf

    path = f"/World/Props/{o.name}"
    root = prim(layer, path, "Xform" if payload else "")
    if payload:
        root.payloadList.explicitItems = [Sdf.Payload(payload)]  # also where the scene has another thing of this name
    put_pose(root, to_pose(o.pose), new=bool(payload))
    put(root, "Float", "physics:mass", o.mass_kg)
    moments = asset.inertia.principal()[0] * (o.mass_kg / asset.mass_kg.value)
    put(root, "Float3", "physics:diagonalInertia", Gf.Vec3f(*(float(m) for m in moments)))
    if not o.physical:
        put(root, "Bool", "physics:rigidBodyEnabled", False)
        prim(layer, f"{path}/Collision").SetInfo("active", False)
    substance = prim(layer, f"{path}/Looks/Physics")
    put(substance, "Float", "physics:staticFriction", o.friction)
    put(substance, "Float", "physics:dynamicFriction", o.friction)
    if o.restitution is not None:
        put(substance, "Float", "physics:restitution", o.restitution)
    gain = [float(g) for g in o.rgb_gain]
    surface = f"{path}/Looks/Visual/PreviewSurface"
    if asset.visual.texture is not None:
        put(prim(layer, f"{path}/Looks/Visual/Albedo"), "Float4", "inputs:scale", Gf.Vec4f(*gain, 1.0))
    else:
        put(prim(layer, surface), "Color3f", "inputs:diffuseColor", 0.6 * Gf.Vec3f(*gain))
    if o.gloss:
        put(prim(layer, surface), "Float", "inputs:roughness", max(ROUGHNESS - 1.5 * o.gloss, 0.1))


def _appears(layer: Any, name: str) -> None:
    """What is not in the scene's own list follows the world's `appearance` as the scene's props do."""
    from pxr import Sdf

    for variant in ("splat", "both"):
        Sdf.CreateVariantInLayer(layer, "/World", "appearance", variant)
        spot = prim(layer, f"/World{{appearance={variant}}}Props/{name}")
        spot.variantSelections["appearance"] = variant
