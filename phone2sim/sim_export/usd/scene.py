"""`write_usd`: the assembly. Everything heavy is a payload beside it; all paths are relative."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from phone2sim.assets.mesh import TexturedMesh
from phone2sim.assets.scene import Scene
from phone2sim.config import Config
from phone2sim.errors import AssetError
from phone2sim.poses import Pose
from phone2sim.progress import progress
from phone2sim.sim_export.usd.layer import attribute, extents_hint, label, new_stage, set_pose, set_root
from phone2sim.sim_export.usd.materials import bind, preview_material
from phone2sim.sim_export.usd.mesh import add_mesh
from phone2sim.sim_export.usd.props import write_asset, write_support
from phone2sim.sim_export.usd.splat import supported, write_splat
from phone2sim.sim_export.usd.views import add_cameras, add_lights


class UsdConfig(Config):
    """What the USD holds."""

    cameras: int = 24
    """At most this many of the capture's cameras."""
    splats: bool = True
    """The background as Gaussians, where usd-core knows them."""
    package: bool = True
    """Also `scene.usdz`."""


def write_usd(scene: Scene, folder: Path, config: UsdConfig | None = None) -> Path:
    """Write `scene.usda`, `assets/<name>/<name>.usd`, `supports/`, `background/` and `scene.usdz`; returns the first.

    The background has a variant set `appearance`: splat, mesh, both. Raises `AssetError` naming an asset that no
    physics engine can take.
    """
    config = config or UsdConfig()
    names = [a.name for a in scene.assets] + [s.name for s in scene.supports]
    if len(set(names)) < len(names):
        raise AssetError(
            f"Names in the scene are not unique: {', '.join(sorted(names))}.", hint="Rename in scene/assets.toml."
        )
    with progress("Writing USD", total=len(names) + 2) as bar:
        for asset in scene.assets:
            write_asset(asset, folder / "assets" / asset.name)
            bar.advance(1, note=asset.name)
        for support in scene.supports:
            write_support(support, folder / "supports")
            bar.advance(1)
        appearances = _write_background(scene, folder / "background", splats=config.splats)
        bar.advance(1)
        path = folder / "scene.usda"
        with new_stage(path) as stage:
            _assemble(stage, scene, config, appearances)
        if config.package:
            _package(path, folder / "scene.usdz")
        bar.advance(1)
    return path


def _write_background(scene: Scene, folder: Path, *, splats: bool) -> dict[str, str]:
    """Layers of the background by representation, as paths relative to the scene."""
    out = {}
    if splats and len(scene.background) and supported():
        write_splat(scene.background, folder / "splat.usd", name="BackgroundSplat", text="background")
        out["splat"] = "./background/splat.usd"
    if scene.background_mesh is not None:
        _write_background_mesh(scene.background_mesh, folder / "mesh.usd")
        out["mesh"] = "./background/mesh.usd"
    return out


def _write_background_mesh(mesh: TexturedMesh, path: Path) -> None:
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


def _assemble(stage: Any, scene: Scene, config: UsdConfig, appearances: dict[str, str]) -> None:
    from pxr import Usd, UsdGeom

    world = UsdGeom.Xform.Define(stage, "/World").GetPrim()
    set_root(stage, world, "assembly")
    metric = scene.metric
    world.SetCustomDataByKey("phone2sim:scale_source", str(metric.get("scale_source", "unknown")))
    world.SetCustomDataByKey("phone2sim:up_source", str(metric.get("up_source", "unknown")))
    world.SetCustomDataByKey("phone2sim:notes", "; ".join(scene.notes))

    add_physics(stage, "/World/PhysicsScene")
    for group in ("Static", "Props"):
        Usd.ModelAPI(UsdGeom.Xform.Define(stage, f"/World/{group}").GetPrim()).SetKind("group")
    for support in scene.supports:
        prim = _place(stage, f"/World/Static/{support.name}", f"./supports/{support.name}.usd", support.T_world_surface)
        prim.SetInstanceable(True)
    for asset in scene.assets:
        _place(stage, f"/World/Props/{asset.name}", f"./assets/{asset.name}/{asset.name}.usd", asset.T_world_asset)
    _collision_groups(stage)
    _background(stage, appearances)
    add_lights(stage, "/World/Lights", scene.light)
    add_cameras(stage, "/World/Cameras", scene.cameras, most=config.cameras)


def add_physics(stage: Any, path: str) -> None:
    """The physics scene with the settings that PhysX, Newton and MuJoCo read: gravity, time step, contacts."""
    from pxr import Gf, UsdPhysics

    physics = UsdPhysics.Scene.Define(stage, path)
    physics.CreateGravityDirectionAttr(Gf.Vec3f(0, 0, -1))
    physics.CreateGravityMagnitudeAttr(9.81)
    attribute(
        physics.GetPrim(),
        "PhysxSceneAPI",
        physxScene__timeStepsPerSecond=("UInt", 240),
        physxScene__enableCCD=("Bool", True),
    )
    attribute(physics.GetPrim(), "NewtonSceneAPI", newton__timeStepsPerSecond=("uniform Int", 480))
    attribute(
        physics.GetPrim(), "MjcSceneAPI", mjc__flag__multiccd=("uniform Bool", True),
        mjc__option__cone=("uniform Token", "elliptic"), mjc__option__impratio=("uniform Double", 10.0),
    )  # fmt: skip


def _place(stage: Any, path: str, payload: str, pose: Pose) -> Any:
    from pxr import UsdGeom

    xform = UsdGeom.Xform.Define(stage, path)
    xform.GetPrim().GetPayloads().AddPayload(payload)
    set_pose(xform, pose)
    return xform.GetPrim()


def _collision_groups(stage: Any) -> None:
    """Static things do not collide with each other."""
    from pxr import Usd, UsdGeom, UsdPhysics

    UsdGeom.Scope.Define(stage, "/World/CollisionGroups")
    for name, target in (("static", "/World/Static"), ("props", "/World/Props")):
        group = UsdPhysics.CollisionGroup.Define(stage, f"/World/CollisionGroups/{name}")
        Usd.CollectionAPI(group.GetPrim(), "colliders").CreateIncludesRel().AddTarget(target)
        if name == "static":
            group.CreateFilteredGroupsRel().AddTarget(group.GetPath())


def _background(stage: Any, appearances: dict[str, str]) -> None:
    from pxr import Usd, UsdGeom

    if not appearances:
        return
    prim = UsdGeom.Xform.Define(stage, "/World/Background").GetPrim()
    Usd.ModelAPI(prim).SetKind("group")
    options = {name: [name] for name in appearances}
    if len(appearances) > 1:
        options["both"] = list(appearances)
    variants = prim.GetVariantSets().AddVariantSet("appearance")
    for option, parts in options.items():
        variants.AddVariant(option)
        variants.SetVariantSelection(option)
        with variants.GetVariantEditContext():
            for part in parts:
                UsdGeom.Xform.Define(stage, f"/World/Background/{part}").GetPrim().GetPayloads().AddPayload(
                    appearances[part]
                )
    variants.SetVariantSelection(next(iter(options)))


def _package(path: Path, target: Path) -> None:
    from pxr import Sdf, UsdUtils

    if not UsdUtils.CreateNewUsdzPackage(Sdf.AssetPath(str(path)), str(target)):
        raise AssetError(f"USD could not pack {target.name}.", hint="Every file beside scene.usda must be readable.")
