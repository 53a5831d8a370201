"""Gaussian splats as `UsdVol.ParticleField3DGaussianSplat`, and back. Spherical harmonics are padded to degree 3:
degrees other than 0 and 3 have hung other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.errors import InputError, MissingDependencyError
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.sim_export.usd.layer import extents_hint, label, new_stage, set_root, vec3f


def supported() -> bool:
    """Whether the installed usd-core knows particle fields (26.x does)."""
    from pxr import UsdVol

    return hasattr(UsdVol, "ParticleField3DGaussianSplat")


def write_splat(cloud: SplatCloud, path: Path, *, name: str, text: str, kind: str = "component") -> Path:
    """A binary layer with one particle field; `text` is its semantic label, `kind` the model kind of its root."""
    from pxr import Usd, UsdGeom

    if not supported():
        raise MissingDependencyError(
            "This usd-core has no Gaussian particle fields.", hint="pip install 'usd-core>=26'"
        )
    with new_stage(path) as stage:
        root = UsdGeom.Xform.Define(stage, f"/{name}").GetPrim()
        set_root(stage, root, kind)
        if kind == "component":
            Usd.ModelAPI(root).SetAssetName(name)
        _define(stage, f"/{name}/gaussians", cloud)
        label(root, text)
        extents_hint(root)
    return path


def _define(stage: Any, path: str, cloud: SplatCloud) -> Any:
    from pxr import Usd, UsdVol, Vt

    n, k = cloud.sh.shape[:2]
    degree = 0 if k == 1 else 3
    sh = np.pad(cloud.sh, ((0, 0), (0, (degree + 1) ** 2 - k), (0, 0))).reshape(-1, 3)
    field = UsdVol.ParticleField3DGaussianSplat.Define(stage, path)
    field.CreatePositionsAttr(Vt.Vec3fArray.FromNumpy(cloud.means))
    field.CreateScalesAttr(Vt.Vec3fArray.FromNumpy(cloud.scales))
    xyzw = np.ascontiguousarray(cloud.quats_wxyz[:, [1, 2, 3, 0]])  # the memory order of Gf.Quatf
    field.CreateOrientationsAttr(Vt.QuatfArray.FromNumpy(xyzw))
    field.CreateOpacitiesAttr(Vt.FloatArray.FromNumpy(cloud.opacities))
    field.CreateRadianceSphericalHarmonicsDegreeAttr(degree)
    coefficients = field.CreateRadianceSphericalHarmonicsCoefficientsAttr(
        Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(sh))
    )
    coefficients.SetMetadata("interpolation", "vertex")
    coefficients.SetMetadata("elementSize", (degree + 1) ** 2)
    field.CreateSortingModeHintAttr("cameraDistance")
    field.CreateProjectionModeHintAttr("perspective")
    r = 3 * cloud.scales.max(axis=1, keepdims=True) if n else np.zeros((1, 1))
    means = cloud.means if n else np.zeros((1, 3))
    field.CreateExtentAttr(Vt.Vec3fArray([vec3f((means - r).min(axis=0)), vec3f((means + r).max(axis=0))]))
    Usd.ColorSpaceAPI.Apply(field.GetPrim()).CreateColorSpaceNameAttr("srgb_rec709_display")
    return field


def read_splat(path: Path) -> SplatCloud:
    """The first particle field of a layer, with the padding of the spherical harmonics kept."""
    from pxr import Usd, UsdVol

    stage = Usd.Stage.Open(str(path))
    prim = next((p for p in stage.Traverse() if p.GetTypeName() == "ParticleField3DGaussianSplat"), None)
    if prim is None:
        raise InputError(f"{path} has no Gaussian particle field.")
    field = UsdVol.ParticleField3DGaussianSplat(prim)
    n = len(field.GetPositionsAttr().Get())
    sh = np.array(field.GetRadianceSphericalHarmonicsCoefficientsAttr().Get())
    quats = np.array([[q.GetReal(), *q.GetImaginary()] for q in field.GetOrientationsAttr().Get()])
    return SplatCloud(
        means=np.array(field.GetPositionsAttr().Get()), scales=np.array(field.GetScalesAttr().Get()),
        quats_wxyz=quats.reshape(n, 4), opacities=np.array(field.GetOpacitiesAttr().Get()), sh=sh.reshape(n, -1, 3),
    )  # fmt: skip
