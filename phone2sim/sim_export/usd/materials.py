"""Visual (`UsdPreviewSurface`) and physical materials, and the binding of colliders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.images import write_rgb
from phone2sim.sim_export.contact import SOLIMP
from phone2sim.sim_export.usd.layer import attribute, label, vec3f

CONTACT_OFFSET_M = 0.01
HULL_VERTICES = 64
ROUGHNESS = 0.7
"""Of a captured surface: matte, for gloss is not separated from colour."""


def preview_material(stage: Any, path: str, texture: np.ndarray | None, folder: Path, name: str) -> Any:
    """A matte surface; the picture (h, w, 3) goes to `folder/textures/<name>.png`, sRGB."""
    from pxr import Sdf, UsdShade

    T = Sdf.ValueTypeNames
    material = UsdShade.Material.Define(stage, path)
    surface = UsdShade.Shader.Define(stage, f"{path}/PreviewSurface")
    surface.CreateIdAttr("UsdPreviewSurface")
    surface.CreateInput("roughness", T.Float).Set(ROUGHNESS)
    surface.CreateInput("metallic", T.Float).Set(0.0)
    color = surface.CreateInput("diffuseColor", T.Color3f)
    if texture is None:
        color.Set(vec3f(np.full(3, 0.6)))
    else:
        write_rgb(folder / "textures" / f"{name}.png", texture)
        reader = UsdShade.Shader.Define(stage, f"{path}/TexCoord")
        reader.CreateIdAttr("UsdPrimvarReader_float2")
        reader.CreateInput("varname", T.String).Set("st")
        picture = UsdShade.Shader.Define(stage, f"{path}/Albedo")
        picture.CreateIdAttr("UsdUVTexture")
        picture.CreateInput("file", T.Asset).Set(f"./textures/{name}.png")
        picture.CreateInput("sourceColorSpace", T.Token).Set("sRGB")
        picture.CreateInput("wrapS", T.Token).Set("clamp")
        picture.CreateInput("wrapT", T.Token).Set("clamp")
        st = picture.CreateInput("st", T.Float2)
        st.ConnectToSource(reader.ConnectableAPI(), "result")
        reader.CreateOutput("result", T.Float2)
        picture.CreateOutput("rgb", T.Float3)
        color.ConnectToSource(picture.ConnectableAPI(), "rgb")
    material.CreateSurfaceOutput().ConnectToSource(surface.ConnectableAPI(), "surface")
    return material


def physics_material(stage: Any, path: str, *, friction: float, restitution: float, name: str) -> Any:
    """Friction (the larger of two counts, see `sim_export.contact`) and restitution as UsdPhysics, with PhysX's combine
    modes; `name` is the substance."""
    from pxr import UsdPhysics, UsdShade

    material = UsdShade.Material.Define(stage, path)
    prim = material.GetPrim()
    api = UsdPhysics.MaterialAPI.Apply(prim)
    api.CreateStaticFrictionAttr(friction)
    api.CreateDynamicFrictionAttr(friction)
    api.CreateRestitutionAttr(restitution)
    attribute(
        prim, "PhysxMaterialAPI", physxMaterial__frictionCombineMode=("uniform Token", "max"),
        physxMaterial__restitutionCombineMode=("uniform Token", "average"),
    )  # fmt: skip
    label(prim, name, kind="material")
    return material


def bind(prim: Any, material: Any, *, physics: bool = False) -> None:
    """Bind for drawing, or for physics: then with the physics purpose and, for readers that ignore it, without."""
    from pxr import UsdShade

    api = UsdShade.MaterialBindingAPI.Apply(prim)
    if physics:
        api.Bind(material, UsdShade.Tokens.weakerThanDescendants, "physics")
    api.Bind(material)


APPROXIMATIONS = {"hulls": "convexHull", "sdf": "sdf", "decomposition": "convexDecomposition"}
SDF_RESOLUTION = 256
DECOMPOSITION_HULLS = 32


def make_collider(prim: Any, material: Any, *, approximation: str = "hulls") -> None:
    """A collider (a convex hull, or one that PhysX approximates by itself), with the same offsets in PhysX and Newton."""
    from pxr import UsdPhysics

    UsdPhysics.CollisionAPI.Apply(prim)
    UsdPhysics.MeshCollisionAPI.Apply(prim).CreateApproximationAttr(APPROXIMATIONS[approximation])
    bind(prim, material, physics=True)
    attribute(
        prim, "PhysxCollisionAPI", physxCollision__contactOffset=("Float", CONTACT_OFFSET_M),
        physxCollision__restOffset=("Float", 0.0),
    )  # fmt: skip
    if approximation == "hulls":
        attribute(prim, "PhysxConvexHullCollisionAPI", physxConvexHullCollision__hullVertexLimit=("Int", HULL_VERTICES))
    elif approximation == "sdf":
        attribute(
            prim, "PhysxSDFMeshCollisionAPI", physxSDFMeshCollision__sdfResolution=("uniform Int", SDF_RESOLUTION)
        )
    else:
        attribute(
            prim, "PhysxConvexDecompositionCollisionAPI",
            physxConvexDecompositionCollision__hullVertexLimit=("Int", HULL_VERTICES),
            physxConvexDecompositionCollision__maxConvexHulls=("Int", DECOMPOSITION_HULLS),
        )  # fmt: skip
    attribute(prim, "NewtonCollisionAPI", newton__contactGap=("Float", CONTACT_OFFSET_M))
    attribute(prim, "NewtonMeshCollisionAPI", newton__maxHullVertices=("uniform Int", HULL_VERTICES))
    touch_firmly(prim)


def touch_firmly(collider: Any) -> None:
    """As firm for MuJoCo's USD reader and Newton's MuJoCo solver as in MJCF."""
    attribute(collider, "MjcCollisionAPI", mjc__solimp=("uniform DoubleArray", list(SOLIMP)))
