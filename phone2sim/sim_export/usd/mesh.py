"""Triangle meshes as `UsdGeom.Mesh`: welded points, so that a closed mesh is closed in USD, with indexed face-varying
normals and texture coordinates."""

from __future__ import annotations

from typing import Any

import numpy as np

from phone2sim.assets.mesh import TexturedMesh
from phone2sim.sim_export.usd.layer import vec3f


def add_mesh(stage: Any, path: str, mesh: TexturedMesh, *, flat: bool = False) -> Any:
    """Define the mesh at `path`; `flat` gives each face its own normal (hulls)."""
    from pxr import Sdf, UsdGeom, Vt

    points, faces, kept = weld(mesh.vertices, mesh.faces)
    source = mesh.faces[kept]
    prim = UsdGeom.Mesh.Define(stage, path)
    prim.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(points))
    prim.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(faces), 3, np.int32)))
    prim.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(faces.ravel()))
    prim.CreateExtentAttr(Vt.Vec3fArray([vec3f(points.min(axis=0)), vec3f(points.max(axis=0))]))
    prim.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    prim.CreateOrientationAttr(UsdGeom.Tokens.rightHanded)
    normals = face_normals(points, faces) if flat else mesh.vertex_normals[source.ravel()]
    api = UsdGeom.PrimvarsAPI(prim)
    _indexed(api, "normals", Sdf.ValueTypeNames.Normal3fArray, np.repeat(normals, 3, axis=0) if flat else normals)
    if mesh.uv is not None and not flat:
        _indexed(api, "st", Sdf.ValueTypeNames.TexCoord2fArray, mesh.uv[source.ravel()])
    return prim


def weld(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (p, 3) float32 without doubles or unused ones, faces (g, 3) int32 without collapsed ones, and the (g,)
    rows of `faces` kept."""
    rounded = np.round(vertices.astype(np.float64), 7)
    _, first, inverse = np.unique(rounded, axis=0, return_index=True, return_inverse=True)
    f = inverse.reshape(-1)[faces]
    kept = np.flatnonzero((f[:, 0] != f[:, 1]) & (f[:, 1] != f[:, 2]) & (f[:, 2] != f[:, 0]))
    used, f = np.unique(f[kept], return_inverse=True)
    points = vertices[first[used]].astype(np.float32)
    return np.ascontiguousarray(points), f.reshape(-1, 3).astype(np.int32), kept


def face_normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(f, 3) unit normals by winding."""
    p = points.astype(np.float64)
    n = np.cross(p[faces[:, 1]] - p[faces[:, 0]], p[faces[:, 2]] - p[faces[:, 0]])
    return n / np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-20)


def _indexed(api: Any, name: str, kind: Any, values: np.ndarray) -> None:
    from pxr import UsdGeom, Vt

    table, index = np.unique(np.ascontiguousarray(values, dtype=np.float32), axis=0, return_inverse=True)
    primvar = api.CreatePrimvar(name, kind, UsdGeom.Tokens.faceVarying)
    array = Vt.Vec3fArray if table.shape[1] == 3 else Vt.Vec2fArray
    primvar.Set(array.FromNumpy(np.ascontiguousarray(table)))
    primvar.SetIndices(Vt.IntArray.FromNumpy(index.reshape(-1).astype(np.int32)))
