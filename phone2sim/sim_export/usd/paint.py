"""Drawn textures of an episode: pictures beside the layers, and the texture coordinates that they are laid on with."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.assets.mesh import TexturedMesh
from phone2sim.augment.spec import SurfaceSpec, TextureSpec
from phone2sim.augment.textures import draw_texture
from phone2sim.images import write_rgb
from phone2sim.poses import Pose
from phone2sim.sim_export.render.retexture import painted
from phone2sim.sim_export.usd.layer import new_stage
from phone2sim.sim_export.usd.mesh import weld
from phone2sim.sim_export.usd.opinions import prim, put, put_pose

TABLE_LIFT_M = 0.0005
"""Height of a painted table top over the captured one, which it hides."""


def picture_file(texture: TextureSpec) -> str:
    """Name of the texture's picture: equal textures share one."""
    return f"paint/{hashlib.sha256(texture.model_dump_json().encode()).hexdigest()[:16]}.png"


def write_picture(texture: TextureSpec, folder: Path) -> None:
    path = folder / picture_file(texture)
    if not path.exists():
        write_rgb(path, draw_texture(texture))


def coordinates_file(name: str) -> str:
    """Name of the layer with the box projection of an asset's mesh, which every drawn texture uses."""
    return f"paint/{name}_box.usd"


def write_coordinates(mesh: TexturedMesh, name: str, folder: Path) -> None:
    """A mesh of nothing but texture coordinates, in the order of `mesh.add_mesh`'s faces; for referring to."""
    from pxr import Sdf, UsdGeom, Vt

    path = folder / coordinates_file(name)
    if path.exists():
        return
    _, _, kept = weld(mesh.vertices, mesh.faces)
    box = painted(mesh, TextureSpec(kind="plain", rgb=(0.5,) * 3, rgb_2=(0.5,) * 3))
    assert box.uv is not None
    uv = box.uv.reshape(-1, 3, 2)[kept].reshape(-1, 2)
    with new_stage(path) as stage:
        at = UsdGeom.Mesh.Define(stage, "/Box")
        stage.SetDefaultPrim(at.GetPrim())
        st = UsdGeom.PrimvarsAPI(at).CreatePrimvar("st", Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.faceVarying)
        table, index = np.unique(uv.astype(np.float32), axis=0, return_inverse=True)
        st.Set(Vt.Vec2fArray.FromNumpy(np.ascontiguousarray(table)))
        st.SetIndices(Vt.IntArray.FromNumpy(index.reshape(-1).astype(np.int32)))


def paint_object(layer: Any, path: str, texture: TextureSpec, name: str, *, textured: bool, folder: str) -> None:
    """Override the looks of the asset at `path`; one without a picture of its own takes the mean of the two colours."""
    from pxr import Gf, Sdf

    if not textured:
        mean = np.power((np.array(texture.rgb) + np.array(texture.rgb_2)) / 2, 2.2)
        put(
            prim(layer, f"{path}/Looks/Visual/PreviewSurface"),
            "Color3f",
            "inputs:diffuseColor",
            Gf.Vec3f(*mean.tolist()),
        )
        return
    picture = prim(layer, f"{path}/Looks/Visual/Albedo")
    put(picture, "Asset", "inputs:file", Sdf.AssetPath(f"{folder}/{picture_file(texture)}"))
    prim(layer, f"{path}/Geometry/mesh").referenceList.Prepend(Sdf.Reference(f"{folder}/{coordinates_file(name)}"))


def paint_table(layer: Any, at: str, surfaces: SurfaceSpec, outline: np.ndarray, pose: Pose, *, folder: str) -> None:
    """A sheet with the drawn table top over the support's outline (k, 2), world-aligned as our renderer lays it."""
    from pxr import Gf, Sdf, Vt

    if surfaces.table is None:
        return
    points = np.c_[outline, np.full(len(outline), TABLE_LIFT_M)]
    world = pose.apply(points)[:, :2]
    mesh = prim(layer, at, "Mesh")
    mesh.SetInfo("apiSchemas", Sdf.TokenListOp.Create(prependedItems=["MaterialBindingAPI"]))
    put_pose(mesh, pose, new=True)
    put(mesh, "Point3fArray", "points", Vt.Vec3fArray.FromNumpy(points.astype(np.float32)))
    put(mesh, "IntArray", "faceVertexCounts", Vt.IntArray([len(points)]))
    put(mesh, "IntArray", "faceVertexIndices", Vt.IntArray(list(range(len(points)))))
    put(
        mesh,
        "Float3Array",
        "extent",
        Vt.Vec3fArray.FromNumpy(np.stack([points.min(0), points.max(0)]).astype(np.float32)),
    )
    put(mesh, "uniform Token", "subdivisionScheme", "none")
    normals = put(mesh, "Normal3fArray", "primvars:normals", Vt.Vec3fArray([Gf.Vec3f(0, 0, 1)]))
    normals.SetInfo("interpolation", "uniform")
    uv = world / surfaces.table_tile_m * [1, -1]  # pictures begin at the top
    st = put(mesh, "TexCoord2fArray", "primvars:st", Vt.Vec2fArray.FromNumpy(uv.astype(np.float32)))
    st.SetInfo("interpolation", "vertex")
    look = prim(layer, f"{at}/Look", "Material")
    binding = Sdf.RelationshipSpec(mesh, "material:binding", custom=False)
    binding.targetPathList.explicitItems = [look.path]
    surface = _shader(layer, f"{at}/Look/Surface", "UsdPreviewSurface")
    put(surface, "Float", "inputs:roughness", 0.7)
    reader = _shader(layer, f"{at}/Look/TexCoord", "UsdPrimvarReader_float2")
    put(reader, "String", "inputs:varname", "st")
    picture = _shader(layer, f"{at}/Look/Albedo", "UsdUVTexture")
    put(picture, "Asset", "inputs:file", Sdf.AssetPath(f"{folder}/{picture_file(surfaces.table)}"))
    for key in ("wrapS", "wrapT"):
        put(picture, "Token", f"inputs:{key}", "repeat")
    put(picture, "Token", "inputs:sourceColorSpace", "sRGB")
    for source, output, kind, target, name in (
        (reader, "result", "Float2", picture, "inputs:st"), (picture, "rgb", "Float3", surface, "inputs:diffuseColor"),
        (surface, "surface", "Token", look, "outputs:surface"),
    ):  # fmt: skip
        out = Sdf.AttributeSpec(source, f"outputs:{output}", getattr(Sdf.ValueTypeNames, kind))
        into_kind = {"inputs:st": "Float2", "inputs:diffuseColor": "Color3f", "outputs:surface": "Token"}[name]
        into = Sdf.AttributeSpec(target, name, getattr(Sdf.ValueTypeNames, into_kind))
        into.connectionPathList.explicitItems = [out.path]


def _shader(layer: Any, path: str, kind: str) -> Any:
    spec = prim(layer, path, "Shader")
    put(spec, "uniform Token", "info:id", kind)
    return spec
