"""What does not move, as Gaussians and as a mesh: layers beside the scene, and their place in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phone2sim.assets.mesh import TexturedMesh
from phone2sim.assets.scene import Scene
from phone2sim.sim_export.usd.layer import extents_hint, label, new_stage, set_root
from phone2sim.sim_export.usd.materials import bind, preview_material
from phone2sim.sim_export.usd.mesh import add_mesh
from phone2sim.sim_export.usd.splat import supported, write_splat


def write_background(scene: Scene, folder: Path, *, splats: bool) -> dict[str, str]:
    """Layers of the background by representation, `splat` and `mesh`, as paths relative to the scene."""
    out = {}
    if splats and len(scene.background) and supported():
        write_splat(scene.background, folder / "splat.usd", name="BackgroundSplat", text="background")
        out["splat"] = "./background/splat.usd"
    if scene.background_mesh is not None:
        _write_mesh(scene.background_mesh, folder / "mesh.usd")
        out["mesh"] = "./background/mesh.usd"
    return out


def place_background(stage: Any, path: str, layers: Mapping[str, str]) -> list[str]:
    """An Xform with a variant for each representation and, of two, for both; returns the variants' names, best first."""
    from pxr import Usd, UsdGeom

    if not layers:
        return []
    prim = UsdGeom.Xform.Define(stage, path).GetPrim()
    Usd.ModelAPI(prim).SetKind("group")
    options = {name: [name] for name in layers}
    if len(layers) > 1:
        options["both"] = list(layers)
    variants = prim.GetVariantSets().AddVariantSet("appearance")
    for option, parts in options.items():
        variants.AddVariant(option)
        variants.SetVariantSelection(option)
        with variants.GetVariantEditContext():
            for part in parts:
                UsdGeom.Xform.Define(stage, f"{path}/{part}").GetPrim().GetPayloads().AddPayload(layers[part])
    variants.ClearVariantSelection()  # the world selects
    return list(options)


def add_appearance(stage: Any, world: Any, choices: Mapping[str, list[str]]) -> None:
    """The variant set `appearance` of the whole scene; `choices`: prim path → its own variants, best first.

    `mixed` (default) is splats behind meshes: the best of each. `mesh`, `splat` and `both` ask the same of everything;
    what has no such variant stays at its best.
    """
    names = sorted({name for own in choices.values() for name in own}, key=["mesh", "splat", "both"].index)
    variants = world.GetVariantSets().AddVariantSet("appearance")
    for name in [*names, "mixed"]:
        variants.AddVariant(name)
        variants.SetVariantSelection(name)
        with variants.GetVariantEditContext():
            for path, own in choices.items():
                prim = stage.OverridePrim(path)
                prim.GetVariantSet("appearance").SetVariantSelection(name if name in own else own[0])


def _write_mesh(mesh: TexturedMesh, path: Path) -> None:
    from pxr import Usd, UsdGeom

    with new_stage(path) as stage:
        root = UsdGeom.Xform.Define(stage, "/BackgroundMesh").GetPrim()
        set_root(stage, root, "component")
        Usd.ModelAPI(root).SetAssetName("BackgroundMesh")
        UsdGeom.Scope.Define(stage, "/BackgroundMesh/Looks")
        material = preview_material(stage, "/BackgroundMesh/Looks/Visual", mesh.texture, path.parent, "mesh")
        prim = add_mesh(stage, "/BackgroundMesh/mesh", mesh)
        prim.CreateDoubleSidedAttr(True)
        bind(prim.GetPrim(), material)
        label(root, "background")
        extents_hint(root)
