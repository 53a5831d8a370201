"""Captured cameras and captured light as UsdGeom.Camera and UsdLux."""

from __future__ import annotations

from typing import Any

import numpy as np

from phone2sim.assets.scene import Light
from phone2sim.poses import Pose
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.sim_export.usd.layer import set_pose, vec3f

APERTURE_MM = 36.0
"""Horizontal aperture written; only its ratio to the focal length matters."""
_GL = np.diag([1.0, -1.0, -1.0, 1.0])  # USD cameras look along -z with y up
RTX_UNIT = 1000.0
"""Light level at which RTX renderers with their default exposure show a white surface as white."""


def add_cameras(stage: Any, path: str, cameras: Cameras, *, most: int) -> list[int]:
    """Up to `most` of the capture's cameras, evenly chosen; returns their indices. Lens distortion is left out."""
    from pxr import Gf, UsdGeom

    n = len(cameras)
    chosen = sorted(set(np.linspace(0, n - 1, min(n, most)).round().astype(int).tolist())) if n else []
    UsdGeom.Scope.Define(stage, path)
    for i in chosen:
        camera = UsdGeom.Camera.Define(stage, f"{path}/frame_{i:05d}")
        set_pose(camera, Pose.from_matrix(cameras.T_world_camera[i] @ _GL))
        w, h = (float(x) for x in cameras.size_wh[i])
        fx, fy, cx, cy = cameras.K[i][[0, 1, 0, 1], [0, 1, 2, 2]].tolist()
        vertical = APERTURE_MM * (h / fy) / (w / fx)
        camera.CreateHorizontalApertureAttr(APERTURE_MM)
        camera.CreateVerticalApertureAttr(vertical)
        camera.CreateFocalLengthAttr(fx / w * APERTURE_MM)
        camera.CreateHorizontalApertureOffsetAttr((0.5 - cx / w) * APERTURE_MM)
        camera.CreateVerticalApertureOffsetAttr((cy / h - 0.5) * vertical)
        camera.CreateClippingRangeAttr(Gf.Vec2f(0.01, 100.0))
        prim = camera.GetPrim()
        prim.SetCustomDataByKey("phone2sim:source", cameras.sources[i])
        prim.SetCustomDataByKey("phone2sim:size_wh", Gf.Vec2i(int(w), int(h)))
    return chosen


def add_lights(stage: Any, path: str, light: Light) -> None:
    """A dome of the mean ambient light and a distant key light.

    The variant set `exposure` holds two levels: `rtx` (default) for renderers that expect photographic units, `unit`
    where radiance 1 is display white. The full ambient SH is in custom data.
    """
    from pxr import Gf, UsdGeom, UsdLux, Vt

    group = UsdGeom.Xform.Define(stage, path)
    dome = UsdLux.DomeLight.Define(stage, f"{path}/dome")
    key = UsdLux.DistantLight.Define(stage, f"{path}/key")
    ambient = np.maximum(light.ambient_sh[0] * 0.282095, 0.0)
    levels = {"dome": float(ambient.max()), "key": float(light.key_rgb.max()) * np.pi}
    dome.CreateColorAttr(vec3f(ambient / max(levels["dome"], 1e-6)))
    key.CreateColorAttr(vec3f(light.key_rgb / max(float(light.key_rgb.max()), 1e-6)))
    key.CreateNormalizeAttr(True)
    key.CreateAngleAttr(3.0)
    z = -np.asarray(light.direction, dtype=float)  # a distant light shines along its -z
    x = np.cross([0.0, 1.0, 0.0] if abs(z[1]) < 0.9 else [1.0, 0.0, 0.0], z)
    x /= np.linalg.norm(x)
    T = np.eye(4)
    T[:3, :3] = np.stack([x, np.cross(z, x), z], axis=1)
    set_pose(key, Pose.from_matrix(T))
    prim = group.GetPrim()
    prim.SetCustomDataByKey("phone2sim:ambient_sh", Vt.DoubleArray([float(v) for v in light.ambient_sh.ravel()]))
    prim.SetCustomDataByKey("phone2sim:key_rgb", Gf.Vec3d(*light.key_rgb.tolist()))
    variants = prim.GetVariantSets().AddVariantSet("exposure")
    for name, unit in (("rtx", RTX_UNIT), ("unit", 1.0)):
        variants.AddVariant(name)
        variants.SetVariantSelection(name)
        with variants.GetVariantEditContext():
            dome.CreateIntensityAttr(levels["dome"] * unit)
            key.CreateIntensityAttr(levels["key"] * unit)
    variants.SetVariantSelection("rtx")
