"""Captured cameras and captured light as UsdGeom.Camera and UsdLux."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from phone2sim.assets.scene import Light
from phone2sim.poses import Pose
from phone2sim.reconstruct.cameras import Cameras, evenly
from phone2sim.sim_export.usd.layer import set_pose, vec3f

APERTURE_MM = 36.0
"""Horizontal aperture written; only its ratio to the focal length matters."""
_GL = np.diag([1.0, -1.0, -1.0, 1.0])  # USD cameras look along -z with y up
CLIPPING_M = (0.01, 100.0)
EXPOSURES = {"rtx": 1000.0, "unit": 1.0}
"""Variants of the lights: the level at which RTX renderers with their default exposure show a white surface as white, and
the one where radiance 1 is display white."""


def add_cameras(stage: Any, path: str, cameras: Cameras, *, most: int) -> list[int]:
    """Up to `most` of the capture's cameras, evenly chosen; returns their indices. Lens distortion is left out."""
    from pxr import Gf, UsdGeom

    chosen = evenly(len(cameras), most)
    UsdGeom.Scope.Define(stage, path)
    for i in chosen:
        camera = UsdGeom.Camera.Define(stage, f"{path}/frame_{i:05d}")
        set_pose(camera, camera_pose(cameras.T_world_camera[i]))
        w, h = (int(x) for x in cameras.size_wh[i])
        prim = camera.GetPrim()
        for name, value in lens(cameras.K[i], w, h).items():
            prim.GetAttribute(name).Set(value)
        camera.CreateClippingRangeAttr(Gf.Vec2f(*CLIPPING_M))
        prim.SetCustomDataByKey("phone2sim:source", cameras.sources[i])
        prim.SetCustomDataByKey("phone2sim:size_wh", Gf.Vec2i(w, h))
    return chosen


def camera_pose(T_world_camera: np.ndarray) -> Pose:
    """The pose that USD wants (looking along -z, y up) of an OpenCV camera (4, 4)."""
    return Pose.from_matrix(T_world_camera @ _GL)


def lens(K: np.ndarray, width: int, height: int) -> dict[str, float]:
    """Attributes of a `UsdGeom.Camera` that projects as K (3, 3) [px] does on a picture of that size."""
    fx, fy, cx, cy = np.asarray(K, dtype=float)[[0, 1, 0, 1], [0, 1, 2, 2]].tolist()
    vertical = APERTURE_MM * (height / fy) / (width / fx)
    return {
        "horizontalAperture": APERTURE_MM,
        "verticalAperture": vertical,
        "focalLength": fx / width * APERTURE_MM,
        "horizontalApertureOffset": (0.5 - cx / width) * APERTURE_MM,
        "verticalApertureOffset": (cy / height - 0.5) * vertical,
    }


@dataclass(frozen=True, kw_only=True)
class Lamps:
    """A captured light as a dome of its mean ambient part and a distant key."""

    dome_rgb: np.ndarray
    """(3,) colour, the largest channel 1."""
    dome: float
    """Radiance of the dome."""
    key_rgb: np.ndarray
    key: float
    key_pose: Pose
    """The key shines along its -z."""
    angle_deg: float
    """Angle that the key is seen under, from edge to edge."""

    @classmethod
    def of(cls, direction: np.ndarray, key: np.ndarray, ambient_sh: np.ndarray, softness: float) -> Lamps:
        """Direction of travel (3,), RGB of the key (3,), ambient SH (9, 3) and softness, as in `assets.scene.Light`."""
        ambient = np.maximum(ambient_sh[0] * 0.282095, 0.0)
        z = -direction
        x = np.cross([0.0, 1.0, 0.0] if abs(z[1]) < 0.9 else [1.0, 0.0, 0.0], z)
        x /= np.linalg.norm(x)
        T = np.eye(4)
        T[:3, :3] = np.stack([x, np.cross(z, x), z], axis=1)
        return cls(
            dome_rgb=ambient / max(ambient.max(), 1e-6), dome=float(ambient.max()), key_rgb=key / max(key.max(), 1e-6),
            key=float(key.max()) * np.pi, key_pose=Pose.from_matrix(T),
            angle_deg=round(float(np.degrees(2 * np.arctan(softness))), 4),
        )  # fmt: skip


def add_lights(stage: Any, path: str, light: Light) -> None:
    """A dome of the mean ambient light and a distant key light.

    The variant set `exposure` holds two levels: `rtx` (default) for renderers that expect photographic units, `unit`
    where radiance 1 is display white. The full ambient SH is in custom data.
    """
    from pxr import Gf, UsdGeom, UsdLux, Vt

    lamps = Lamps.of(light.direction, light.key_rgb, light.ambient_sh, light.softness)
    group = UsdGeom.Xform.Define(stage, path)
    dome = UsdLux.DomeLight.Define(stage, f"{path}/dome")
    key = UsdLux.DistantLight.Define(stage, f"{path}/key")
    dome.CreateColorAttr(vec3f(lamps.dome_rgb))
    key.CreateColorAttr(vec3f(lamps.key_rgb))
    key.CreateNormalizeAttr(True)
    key.CreateAngleAttr(lamps.angle_deg)
    set_pose(key, lamps.key_pose)
    prim = group.GetPrim()
    prim.SetCustomDataByKey("phone2sim:ambient_sh", Vt.DoubleArray([float(v) for v in light.ambient_sh.ravel()]))
    prim.SetCustomDataByKey("phone2sim:key_rgb", Gf.Vec3d(*light.key_rgb.tolist()))
    variants = prim.GetVariantSets().AddVariantSet("exposure")
    for name, unit in EXPOSURES.items():
        variants.AddVariant(name)
        variants.SetVariantSelection(name)
        with variants.GetVariantEditContext():
            dome.CreateIntensityAttr(lamps.dome * unit)
            key.CreateIntensityAttr(lamps.key * unit)
    variants.SetVariantSelection("rtx")
