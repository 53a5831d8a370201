"""One file per asset (a dynamic prop) and per support or wall (a static slab)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from phone2sim._native.mesh import srgb_to_linear
from phone2sim.assets.fewer import with_few_corners
from phone2sim.assets.mesh import TexturedMesh
from phone2sim.assets.scene import Asset, PlanarSurface, SupportSurface
from phone2sim.errors import AssetError
from phone2sim.intervals import Interval
from phone2sim.sim_export.contact import SUPPORT_FRICTION
from phone2sim.sim_export.usd.config import UsdConfig
from phone2sim.sim_export.usd.layer import attribute, extents_hint, label, new_stage, set_root, vec3f
from phone2sim.sim_export.usd.materials import bind, make_collider, physics_material, preview_material
from phone2sim.sim_export.usd.mesh import add_mesh
from phone2sim.sim_export.usd.opinions import to_dictionary
from phone2sim.sim_export.usd.simready import asset_file, set_provenance, wikidata_item, write_thumbnail
from phone2sim.sim_export.usd.splat import supported, write_splat

SLAB_M = 0.06
"""Thickness of a collider behind its surface."""
APART_M = 8e-6
"""How far behind its surface a collider begins: PhysX may kick away what touches it to the last bit."""
APPEARANCES = ("mesh", "splat", "both")
"""Variants of an asset that has a splat, the default first."""


def write_asset(asset: Asset, export: Path, config: UsdConfig) -> Path:
    """The asset's layer below `export` (see `simready`), with its texture and its splat. The asset frame is the root's.

    Raises `AssetError` for a mass or inertia no rigid body can have.
    """
    from pxr import Gf, Sdf, Usd, UsdGeom, UsdPhysics

    moments, axes_wxyz = check_body(asset)
    path = export / asset_file(asset.name)
    folder = path.parent
    with new_stage(path) as stage:
        root = UsdGeom.Xform.Define(stage, f"/{asset.name}").GetPrim()
        set_root(stage, root, "component")
        Usd.ModelAPI(root).SetAssetName(asset.name)
        Usd.ModelAPI(root).SetAssetIdentifier(Sdf.AssetPath(f"./{asset.name}.usd"))
        at = f"/{asset.name}"
        UsdGeom.Scope.Define(stage, f"{at}/Looks")
        visual = preview_material(stage, f"{at}/Looks/Visual", asset.visual.texture, folder, asset.name)
        label(visual.GetPrim(), asset.material, kind="material")
        physics = physics_material(
            stage, f"{at}/Looks/Physics", friction=asset.friction.value, restitution=asset.restitution.value,
            name=asset.material,
        )  # fmt: skip
        UsdGeom.Xform.Define(stage, f"{at}/Geometry")
        mesh = add_mesh(stage, f"{at}/Geometry/mesh", asset.visual)
        bind(mesh.GetPrim(), visual)
        mesh.CreateDisplayColorAttr([vec3f(mean_albedo(asset.visual))])
        add_collision_variants(stage, at, asset.hulls, physics)

        UsdPhysics.RigidBodyAPI.Apply(root)
        mass = UsdPhysics.MassAPI.Apply(root)
        mass.CreateMassAttr(asset.mass_kg.value)
        mass.CreateCenterOfMassAttr(vec3f(asset.inertia.center_of_mass))
        mass.CreateDiagonalInertiaAttr(vec3f(moments))
        mass.CreatePrincipalAxesAttr(Gf.Quatf(*(float(x) for x in axes_wxyz)))
        attribute(root, "PhysxRigidBodyAPI", physxRigidBody__solverPositionIterationCount=("Int", 16))
        label(root, asset.label)
        label(root, wikidata_item(asset.label), kind="wikidata_qcode")
        root.SetCustomDataByKey("phone2sim", to_dictionary(provenance(asset)))
        if asset.splat is not None and has_splat(asset, config):
            name = f"{asset.name}_splat"
            write_splat(asset.splat, folder / "splat" / f"{name}.usd", name=name, text=asset.label, kind="subcomponent")
            _appearance_variants(stage, at, f"./splat/{name}.usd")
        set_provenance(stage, asset, author=config.author, licence=config.licence, date=config.date)
        extents_hint(root)
    write_thumbnail(asset, path)
    return path


def has_splat(asset: Asset, config: UsdConfig) -> bool:
    """Whether the asset's layer has its Gaussians, and so the variants `APPEARANCES`."""
    return config.splats and asset.splat is not None and len(asset.splat) > 0 and supported()


def mean_albedo(mesh: TexturedMesh) -> np.ndarray:
    """(3,) linear RGB for viewers that draw no textures."""
    if mesh.texture is None:
        return np.full(3, 0.6)
    return srgb_to_linear(mesh.texture.reshape(-1, 3)[::7] / 255.0).mean(axis=0)


def _appearance_variants(stage: Any, at: str, splat: str) -> None:
    """`mesh` (default), `splat`, `both`: what of the asset is drawn. Physics is the same in each."""
    variants = stage.GetPrimAtPath(at).GetVariantSets().AddVariantSet("appearance")
    for name in reversed(APPEARANCES):
        variants.AddVariant(name)
        variants.SetVariantSelection(name)
        with variants.GetVariantEditContext():
            if name != "mesh":
                stage.DefinePrim(f"{at}/Splat", "Xform").GetPayloads().AddPayload(splat)
            if name == "splat":
                stage.OverridePrim(f"{at}/Geometry").SetActive(False)


def write_surface(surface: PlanarSurface, folder: Path) -> Path:
    """`folder/<name>.usd`: the seen outline as a slab whose front is the surface, invisible (the background shows it).

    It is slick, so that what stands on it slides with its own friction.
    """
    from pxr import Sdf, Usd, UsdGeom

    path = folder / f"{surface.name}.usd"
    with new_stage(path) as stage:
        at = f"/{surface.name}"
        root = UsdGeom.Xform.Define(stage, at).GetPrim()
        set_root(stage, root, "component")
        Usd.ModelAPI(root).SetAssetName(surface.name)
        Usd.ModelAPI(root).SetAssetIdentifier(Sdf.AssetPath(f"./{surface.name}.usd"))
        UsdGeom.Scope.Define(stage, f"{at}/Looks")
        physics = physics_material(
            stage, f"{at}/Looks/Physics", friction=SUPPORT_FRICTION, restitution=0.1, name="unknown"
        )
        body = slab(surface.outline, surface.thickness_m or SLAB_M)
        behind = TexturedMesh(vertices=body.vertices - [0, 0, APART_M], faces=body.faces)
        add_colliders(stage, f"{at}/Collision", (behind,), physics)
        label(root, "support surface" if isinstance(surface, SupportSurface) else "wall")
        root.SetCustomDataByKey("phone2sim:friction", interval_data(surface.friction))
        extents_hint(root)
    return path


def add_collision_variants(stage: Any, at: str, hulls: tuple[TexturedMesh, ...], material: Any) -> None:
    """Variant set `collision`: `hulls` (default), `sdf` and `decomposition`; the last two take the visual mesh and leave
    the work to PhysX."""
    variants = stage.GetPrimAtPath(at).GetVariantSets().AddVariantSet("collision")
    for name in ("sdf", "decomposition", "hulls"):
        variants.AddVariant(name)
        variants.SetVariantSelection(name)
        with variants.GetVariantEditContext():
            if name == "hulls":
                add_colliders(stage, f"{at}/Collision", hulls, material)
            else:
                _guide(stage, f"{at}/Collision")
                prim = stage.DefinePrim(f"{at}/Collision/mesh", "Mesh")
                prim.GetReferences().AddInternalReference(f"{at}/Geometry/mesh")
                make_collider(prim, material, approximation=name)


def add_colliders(stage: Any, path: str, hulls: tuple[TexturedMesh, ...], material: Any) -> None:
    """Hulls under an invisible scope of purpose guide."""
    _guide(stage, path)
    for i, hull in enumerate(hulls):
        make_collider(add_mesh(stage, f"{path}/hull_{i:03d}", hull, flat=True).GetPrim(), material)


def _guide(stage: Any, path: str) -> None:
    from pxr import UsdGeom

    group = UsdGeom.Xform.Define(stage, path)
    group.CreatePurposeAttr(UsdGeom.Tokens.guide)
    group.CreateVisibilityAttr(UsdGeom.Tokens.invisible)


def slab(outline: np.ndarray, thickness_m: float = SLAB_M) -> TexturedMesh:
    """The convex outline (n, 2) of few corners extruded down by `thickness_m`, closed, wound outwards."""
    o = with_few_corners(np.asarray(outline, dtype=float))  # counter-clockwise
    k = len(o)
    i, j = np.arange(k), (np.arange(k) + 1) % k
    sides = np.concatenate([np.stack([i + k, j + k, j], axis=1), np.stack([i + k, j, i], axis=1)])
    fan = np.stack([np.zeros(k - 2, int), np.arange(1, k - 1), np.arange(2, k)], axis=1)
    vertices = np.concatenate([np.c_[o, np.zeros(k)], np.c_[o, np.full(k, -thickness_m)]])
    return TexturedMesh(vertices=vertices, faces=np.concatenate([fan, fan[:, ::-1] + k, sides]))


def check_body(asset: Asset) -> tuple[np.ndarray, np.ndarray]:
    """Principal moments (3,) [kg m²] and axes wxyz (4,) of a body that can exist, or `AssetError` naming the asset."""
    moments, axes = asset.inertia.principal()
    if not asset.mass_kg.value > 0:
        raise AssetError(
            f"{asset.name}: mass {asset.mass_kg.value:g} kg must be positive.", hint="Set it in assets.toml."
        )
    if not (moments > 0).all() or moments[0] + moments[1] < moments[2] * (1 - 1e-6):
        raise AssetError(
            f"{asset.name}: principal moments {', '.join(f'{m:.3g}' for m in moments)} kg m² break the triangle inequality.",
            hint="Rebuild the assets stage.",
        )
    return moments, axes


def interval_data(interval: Interval) -> dict[str, Any]:
    return {"value": interval.value, "low": interval.low, "high": interval.high, "why": interval.why}


def provenance(asset: Asset) -> dict[str, Any]:
    """What the estimates rest on, for `customData`."""
    return {
        "mass_kg": interval_data(asset.mass_kg),
        "friction": interval_data(asset.friction),
        "restitution": interval_data(asset.restitution),
        **({"stiffness_pa": interval_data(asset.stiffness_pa)} if asset.stiffness_pa is not None else {}),
        "volume_m3": asset.volume_m3,
        "seen_fraction": asset.seen_fraction,
        "material": asset.material,
        "notes": "; ".join(asset.notes),
        **{f"{name}_posterior": values for name, values in asset.inertia.posterior().items()},
    }
