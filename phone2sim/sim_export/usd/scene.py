"""`write_usd`: the assembly. Everything heavy is a payload beside it; all paths are relative."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from phone2sim.assets.scene import Scene
from phone2sim.errors import AssetError
from phone2sim.poses import Pose
from phone2sim.progress import progress
from phone2sim.sim_export.usd.background import add_appearance, place_background, write_background
from phone2sim.sim_export.usd.config import UsdConfig
from phone2sim.sim_export.usd.layer import attribute, new_stage, set_pose, set_root
from phone2sim.sim_export.usd.props import APPEARANCES, has_splat, write_asset, write_surface
from phone2sim.sim_export.usd.simready import asset_file
from phone2sim.sim_export.usd.views import add_cameras, add_lights


def write_usd(scene: Scene, folder: Path, config: UsdConfig | None = None) -> Path:
    """Write `scene.usda`, `assets/<name>/usd/<name>.usd`, `supports/`, `background/` and `scene.usdz`; returns the first.

    The scene, the background and each asset have a variant set `appearance` (see `background`), each asset also one
    `collision`. Raises `AssetError` naming an asset that no
    physics engine can take.
    """
    config = config or UsdConfig()
    names = [a.name for a in scene.assets] + [s.name for s in scene.surfaces]
    if len(set(names)) < len(names):
        raise AssetError(
            f"Names in the scene are not unique: {', '.join(sorted(names))}.", hint="Rename in assets.toml."
        )
    with progress("Writing USD", total=len(names) + 2) as bar:
        for asset in scene.assets:
            write_asset(asset, folder, config)
            bar.advance(1, note=asset.name)
        for surface in scene.surfaces:
            write_surface(surface, folder / "supports")
            bar.advance(1)
        layers = write_background(scene, folder / "background", splats=config.splats)
        bar.advance(1)
        path = folder / "scene.usda"
        with new_stage(path) as stage:
            _assemble(stage, scene, config, layers)
        if config.package:
            _package(path, folder / "scene.usdz")
        bar.advance(1)
    return path


def _assemble(stage: Any, scene: Scene, config: UsdConfig, layers: dict[str, str]) -> None:
    from pxr import Gf, Usd, UsdGeom

    world = UsdGeom.Xform.Define(stage, "/World").GetPrim()
    set_root(stage, world, "assembly")
    metric = scene.metric
    for key in ("scale_source", "up_source", "decided"):
        world.SetCustomDataByKey(f"phone2sim:{key}", str(metric.get(key, "unknown")))
    if "scale_interval" in metric:
        world.SetCustomDataByKey("phone2sim:scale_interval", Gf.Vec2d(*metric["scale_interval"]))
    world.SetCustomDataByKey("phone2sim:notes", "; ".join(scene.notes))

    add_physics(stage, "/World/PhysicsScene")
    for group in ("Static", "Props"):
        Usd.ModelAPI(UsdGeom.Xform.Define(stage, f"/World/{group}").GetPrim()).SetKind("group")
    for surface in scene.surfaces:
        prim = _place(stage, f"/World/Static/{surface.name}", f"./supports/{surface.name}.usd", surface.T_world_surface)
        prim.SetInstanceable(True)
    for asset in scene.assets:
        _place(stage, f"/World/Props/{asset.name}", f"./{asset_file(asset.name)}", asset.T_world_asset)
    _collision_groups(stage)
    drawn = {"/World/Background": place_background(stage, "/World/Background", layers)} if layers else {}
    for asset in scene.assets:
        if has_splat(asset, config):
            drawn[f"/World/Props/{asset.name}"] = list(APPEARANCES)
    if drawn:
        add_appearance(stage, world, drawn)
        stage.GetPrimAtPath("/World/Props").SetChildrenReorder(
            [a.name for a in scene.assets]
        )  # not as the variants name them
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


def _package(path: Path, target: Path) -> None:
    from pxr import Sdf, UsdUtils

    if not UsdUtils.CreateNewUsdzPackage(Sdf.AssetPath(str(path)), str(target)):
        raise AssetError(f"USD could not pack {target.name}.", hint="Every file beside scene.usda must be readable.")
