"""What validators let pass and engines take amiss, named with the asset: holes, nested bodies, unknown schemas, colliders
without friction, approximations that an engine changes silently, missing kinds and labels, and paths that lead away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.assets.fewer import PHYSX_FACES

KNOWN_SCHEMAS = {
    "PhysxSceneAPI", "PhysxRigidBodyAPI", "PhysxCollisionAPI", "PhysxMaterialAPI", "PhysxConvexHullCollisionAPI",
    "PhysxConvexDecompositionCollisionAPI", "PhysxSDFMeshCollisionAPI", "PhysxArticulationAPI", "PhysxJointAPI",
    "NewtonSceneAPI", "NewtonCollisionAPI", "NewtonMeshCollisionAPI", "NewtonArticulationRootAPI", "NewtonJointAPI",
    "NewtonMimicAPI", "NewtonMaterialAPI", "MjcSceneAPI", "MjcCollisionAPI", "MjcMaterialAPI", "MjcJointAPI",
}  # fmt: skip
"""Applied schemas of engines whose plugins are not installed here."""
NEEDS = {
    "sdf": "PhysxSDFMeshCollisionAPI",
    "convexDecomposition": "PhysxConvexDecompositionCollisionAPI",
    "convexHull": "PhysxConvexHullCollisionAPI",
}
"""Approximation → the schema that carries its settings."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong."""

    subject: str
    """The asset, or `scene`."""
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.text}"


def lint_usd(path: Path) -> list[Finding]:
    """Findings about the stage at `path`, every variant of collision looked at; empty when it is sound."""
    from pxr import Usd

    stage = Usd.Stage.Open(str(path))
    stage.SetEditTarget(stage.GetSessionLayer())
    found = [
        *_paths(stage, path.parent),
        *_structure(stage),
        *_masses(stage),
        *_labels(stage),
        *_meshes(stage),
        *_colliders(stage),
    ]
    choices = {p.GetPath(): p.GetVariantSet("collision").GetVariantNames() for p in stage.Traverse()}
    for variant in sorted({name for names in choices.values() for name in names}):
        for at in (a for a, names in choices.items() if variant in names):
            stage.GetPrimAtPath(at).GetVariantSet("collision").SetVariantSelection(variant)
        found += _colliders(stage)
    return list(dict.fromkeys(found))


def _name(prim: Any) -> str:
    """The asset a prim is part of."""
    parts = prim.GetPath().pathString.split("/")[1:]
    if parts[0] != "World":
        return str(parts[0])
    return str(parts[2]) if len(parts) > 2 else "scene"


def _paths(stage: Any, folder: Path) -> Iterator[Finding]:
    """Everything referred to exists, and lies below the folder."""
    from pxr import UsdUtils

    layers, assets, unresolved = UsdUtils.ComputeAllDependencies(stage.GetRootLayer().identifier)
    root = folder.resolve()
    for text in unresolved:
        stem = Path(text).stem
        yield Finding(subject=stem, rule="missing file", text=f"{Path(text).name} is missing ({text})")
    for text in [layer.realPath for layer in layers] + [str(a) for a in assets]:
        inside = text.split("[")[0]
        if inside and not Path(inside).resolve().is_relative_to(root):
            yield Finding(subject=Path(inside).stem, rule="outside", text=f"{inside} lies outside of {root}")


def _structure(stage: Any) -> Iterator[Finding]:
    from pxr import Kind, Usd, UsdPhysics

    registry = Usd.SchemaRegistry()
    root = stage.GetDefaultPrim()
    if root and not Usd.ModelAPI(root).GetKind():
        yield Finding(subject="scene", rule="kind", text=f"{root.GetPath()} has no kind")
    for prim in stage.Traverse(Usd.TraverseInstanceProxies()):
        if prim.HasAuthoredPayloads() and not Kind.Registry.HasKind(Usd.ModelAPI(prim).GetKind()):
            yield Finding(subject=_name(prim), rule="kind", text=f"{prim.GetPath()} has no kind")
        for schema in prim.GetPrimTypeInfo().GetAppliedAPISchemas():
            base = schema.partition(":")[0]
            if base not in KNOWN_SCHEMAS and not registry.FindAppliedAPIPrimDefinition(base):
                yield Finding(subject=_name(prim), rule="schema", text=f"{prim.GetPath()} applies the unknown {schema}")
        if prim.HasAPI(UsdPhysics.RigidBodyAPI):
            above = prim.GetParent()
            while above and not above.HasAPI(UsdPhysics.RigidBodyAPI):
                above = above.GetParent()
            if above:
                text = f"{prim.GetPath()} is a rigid body inside the rigid body {above.GetPath()}"
                yield Finding(subject=_name(prim), rule="nested body", text=text)
            if not any(p.HasAPI(UsdPhysics.CollisionAPI) for p in Usd.PrimRange(prim)):
                enabled = UsdPhysics.RigidBodyAPI(prim).GetRigidBodyEnabledAttr().Get()
                if enabled and "Episode" not in prim.GetPath().pathString:
                    yield Finding(subject=_name(prim), rule="no collider", text=f"{prim.GetPath()} has no collider")


def _masses(stage: Any) -> Iterator[Finding]:
    from pxr import UsdPhysics

    for prim in stage.Traverse():
        if not prim.HasAPI(UsdPhysics.RigidBodyAPI):
            continue
        api = UsdPhysics.MassAPI(prim)
        mass, moments = api.GetMassAttr().Get() or 0.0, np.array(api.GetDiagonalInertiaAttr().Get() or (0, 0, 0))
        if not mass > 0:
            yield Finding(subject=_name(prim), rule="mass", text=f"{prim.GetPath()} weighs {mass:g} kg")
        elif not (moments > 0).all() or 2 * moments.max() > moments.sum() * (1 + 1e-5):
            text = f"{prim.GetPath()} has principal moments {moments.tolist()} that no body can have"
            yield Finding(subject=_name(prim), rule="inertia", text=text)


def _labels(stage: Any) -> Iterator[Finding]:
    from pxr import UsdPhysics, UsdSemantics

    for prim in stage.Traverse():
        if prim.HasAPI(UsdPhysics.RigidBodyAPI) and "/Episode/" not in prim.GetPath().pathString:
            taxonomies = UsdSemantics.LabelsAPI.GetDirectTaxonomies(prim)
            if "class" not in taxonomies or not UsdSemantics.LabelsAPI(prim, "class").GetLabelsAttr().Get():
                yield Finding(subject=_name(prim), rule="label", text=f"{prim.GetPath()} has no class label")


def _meshes(stage: Any) -> Iterator[Finding]:
    """Every mesh of a body, drawn or touched, is closed."""
    from pxr import Usd, UsdGeom, UsdPhysics

    for body in stage.Traverse():
        if not body.HasAPI(UsdPhysics.RigidBodyAPI) or "/Episode/" in body.GetPath().pathString:
            continue
        for prim in Usd.PrimRange(body):
            if prim.IsA(UsdGeom.Mesh):
                mesh = UsdGeom.Mesh(prim)
                open_edges = count_open_edges(
                    np.array(mesh.GetFaceVertexCountsAttr().Get()), np.array(mesh.GetFaceVertexIndicesAttr().Get())
                )
                if open_edges:
                    text = f"{prim.GetPath()} is open: {open_edges} edges have not two faces"
                    yield Finding(subject=_name(body), rule="open mesh", text=text)


def count_open_edges(counts: np.ndarray, indices: np.ndarray) -> int:
    """Edges of polygons with `counts` corners that are not shared by exactly two of them."""
    start = np.cumsum(counts) - counts
    following = np.arange(len(indices)) + 1
    last = start + counts - 1
    following[last] = start
    edges = np.sort(np.stack([indices, indices[following]], axis=1), axis=1)
    return int((np.unique(edges, axis=0, return_counts=True)[1] != 2).sum())


def _colliders(stage: Any) -> Iterator[Finding]:
    from pxr import Usd, UsdPhysics, UsdShade

    for prim in stage.Traverse(Usd.TraverseInstanceProxies()):
        if not prim.HasAPI(UsdPhysics.CollisionAPI):
            continue
        bound = UsdShade.MaterialBindingAPI(prim).ComputeBoundMaterial("physics")[0]
        material = UsdPhysics.MaterialAPI(bound.GetPrim()) if bound else None
        if not material or not material.GetDynamicFrictionAttr().HasAuthoredValue():
            yield Finding(subject=_name(prim), rule="friction", text=f"{prim.GetPath()} has no friction")
        token = UsdPhysics.MeshCollisionAPI(prim).GetApproximationAttr().Get()
        if not prim.HasAPI(UsdPhysics.MeshCollisionAPI):
            continue
        if token == UsdPhysics.Tokens.none and _in_body(prim):
            text = f"{prim.GetPath()} moves with the approximation none, which PhysX replaces by one hull"
            yield Finding(subject=_name(prim), rule="approximation", text=text)
        if token in NEEDS and NEEDS[token] not in prim.GetPrimTypeInfo().GetAppliedAPISchemas():
            text = f"{prim.GetPath()} has the approximation {token} without {NEEDS[token]}"
            yield Finding(subject=_name(prim), rule="approximation", text=text)
        if token == UsdPhysics.Tokens.convexHull and (faces := _hull_faces(prim)) > PHYSX_FACES:
            text = f"{prim.GetPath()} has {faces} triangles, of which PhysX keeps {PHYSX_FACES}"
            yield Finding(subject=_name(prim), rule="hull faces", text=text)


def _hull_faces(prim: Any) -> int:
    """Triangles of a collider's convex hull."""
    import trimesh
    from pxr import UsdGeom

    return len(trimesh.convex.convex_hull(np.asarray(UsdGeom.Mesh(prim).GetPointsAttr().Get(), float)).faces)


def _in_body(prim: Any) -> bool:
    from pxr import UsdPhysics

    while prim and not prim.HasAPI(UsdPhysics.RigidBodyAPI):
        prim = prim.GetParent()
    return bool(prim)
