"""`Scene` → a Python package for Isaac Lab 3: an `InteractiveSceneCfg`, randomisation as `EventTermCfg`, and the USD beside them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.assets.scene import Asset, Scene
from phone2sim.augment.footprints import footprint, inset
from phone2sim.augment.recipe import Recipe
from phone2sim.augment.variation import Variation
from phone2sim.intervals import Interval
from phone2sim.poses import Pose, quat_to_matrix
from phone2sim.sim_export.usd.config import UsdConfig
from phone2sim.sim_export.usd.scene import write_usd
from phone2sim.sim_export.usd.simready import asset_file
from phone2sim.sim_export.usd.views import EXPOSURES, Lamps

CAMERAS = 3
CAMERA_SIDE_PX = 640
FURTHEST_M = 0.10
"""Objects are moved at most so far from where they were captured, and never into each other or off the table."""


def write_isaaclab(scene: Scene, folder: Path, name: str, recipe: Recipe, config: UsdConfig) -> Path:
    """`folder/<name>/` with `scene.py`, `events.py`, `physics.py`, `usd/`, and `folder/pyproject.toml`; returns the package's folder.

    The USD is a copy of its own, so that the package can be moved or installed alone.
    """
    package = folder / name
    write_usd(scene, package / "usd", config.model_copy(update={"package": False}))
    background = next((f"background/{n}.usd" for n in ("mesh", "splat") if (package / "usd/background" / f"{n}.usd").exists()), None)
    (package / "__init__.py").write_text(_INIT)
    (package / "scene.py").write_text(scene_source(scene, background))
    (package / "physics.py").write_text(_PHYSICS)
    (package / "events.py").write_text(events_source(scene, recipe))
    (folder / "pyproject.toml").write_text(_PROJECT.format(name=name))
    return package


def package_name(scene_dir: Path) -> str:
    """`kitchen_lab` of `~/scenes/Kitchen`: a valid and lower-case Python name."""
    return re.sub(r"\W+", "_", scene_dir.resolve().name.lower()).strip("_").lstrip("0123456789_") + "_lab"


def scene_source(scene: Scene, background: str | None) -> str:
    """The module with `SceneCfg` (physics and looks) and `CameraSceneCfg` (the same, with cameras of the capture)."""
    fields = [_static(s.name, f"supports/{s.name}.usd", s.T_world_surface) for s in scene.surfaces]
    fields += [_rigid(a) for a in scene.assets]
    if background:
        fields.append(_static("background", background, Pose.identity()))
    lamps = Lamps.of(scene.light.direction, scene.light.key_rgb, scene.light.ambient_sh, scene.light.softness)
    unit = EXPOSURES["rtx"]
    for kind, field, rgb, level, pose, more in (
        ("DomeLightCfg", "dome", lamps.dome_rgb, lamps.dome, Pose.identity(), ""),
        ("DistantLightCfg", "key", lamps.key_rgb, lamps.key, lamps.key_pose, f", angle={_number(lamps.angle_deg)}"),
    ):
        spawn = f"sim_utils.{kind}(color={_tuple(rgb)}, intensity={_number(level * unit)}{more})"
        fields.append(_field(field, "AssetBaseCfg", f'"/World/{field}"', spawn, pose))
    cameras = "".join(_camera(scene, i, k) for k, i in enumerate(_chosen(len(scene.cameras)))) or "    pass\n"
    names = ", ".join(f'"{a.name}"' for a in scene.assets)
    return _SCENE.format(fields="".join(fields), cameras=cameras, names=f"({names}{',' if len(scene.assets) == 1 else ''})")


def events_source(scene: Scene, recipe: Recipe) -> str:
    """The module with `EventCfg`, and `ColourEventCfg` for what only Isaac Sim can change."""
    physics = recipe.physics
    terms, colours = [], []
    for a in scene.assets:
        mass = _interval(a.mass_kg, physics.mass, physics.mass_gain)
        grip = _interval(a.friction, physics.friction, physics.friction_gain)
        bounce = _interval(a.restitution, physics.friction, None)
        shift = _shift(scene, a) if recipe.objects.placement == "random" else 0.0
        yaw = np.radians(recipe.objects.yaw_deg.support) if recipe.objects.placement == "random" else np.zeros(2)
        terms.append(_TERMS.format(
            name=a.name, mass=_tuple(mass), grip=_tuple(grip), bounce=_tuple(np.maximum(bounce, 0.0)),
            shift=_tuple((-shift, shift)), yaw=_tuple(yaw),
        ))  # fmt: skip
        rgb = _mean_rgb(a)
        ranges = [np.clip(np.array(recipe.objects.albedo_gain.support) * c, 0, 1) for c in rgb]
        r, g, b = (_tuple(x) for x in ranges)
        colours.append(_COLOUR.format(name=a.name, r=r, g=g, b=b))
    return _EVENTS.format(recipe=recipe.name, terms="".join(terms) or "    pass\n", colours="".join(colours) or "    pass\n")


def _interval(x: Interval, how: str, gain: Variation | None) -> np.ndarray:
    """(2,) what the recipe draws from: the posterior's ends or the estimate twice, times its factor's."""
    ends = np.array([x.low, x.high] if how == "posterior" and 0 < x.low < x.high else [x.value, x.value])
    return ends * (np.array(gain.support) if gain is not None else 1.0)


def _shift(scene: Scene, asset: Asset) -> float:
    """How far [m] along either axis an object may be moved from where it stands, whatever the others do."""
    support = scene.support_of(asset)
    R = support.T_world_surface.rotation.T
    T = support.T_world_surface.inverse() @ asset.T_world_asset
    foot = footprint(asset, R @ asset.T_world_asset.rotation)
    reach = float(np.linalg.norm(foot, axis=1).max())
    room = [float(inset(support.outline, T.translation[None, :2])[0]) - reach]
    for b in scene.assets:
        if b is not asset and scene.support_of(b).name == support.name:
            other = float(np.linalg.norm(footprint(b, R @ b.T_world_asset.rotation), axis=1).max())
            apart = float(np.linalg.norm((support.T_world_surface.inverse() @ b.T_world_asset).translation[:2] - T.translation[:2]))
            room.append((apart - reach - other) / 2)
    return float(np.clip(min(room) / np.sqrt(2), 0.0, FURTHEST_M))


def _mean_rgb(asset: Asset) -> np.ndarray:
    """(3,) mean sRGB 0–1 of the texture."""
    texture = asset.visual.texture
    return np.full(3, 0.6) if texture is None else texture.reshape(-1, 3).mean(axis=0) / 255


def _static(name: str, usd: str, pose: Pose) -> str:
    spawn = f'sim_utils.UsdFileCfg(usd_path=f"{{USD}}/{usd}")'
    return _field(name, "AssetBaseCfg", f'"{{ENV_REGEX_NS}}/{name}"', spawn, pose)


def _rigid(asset: Asset) -> str:
    spawn = f'sim_utils.UsdFileCfg(usd_path=f"{{USD}}/{asset_file(asset.name)}")'
    text = _field(asset.name, "RigidObjectCfg", f'"{{ENV_REGEX_NS}}/{asset.name}"', spawn, asset.T_world_asset)
    mass, friction = asset.mass_kg, asset.friction
    return (
        f"    # {asset.label or 'object'}, {asset.material}: {mass.value:.4g} kg ({mass.low:.3g} to {mass.high:.3g}), "
        f"friction {friction.value:.2f} ({friction.low:.2f} to {friction.high:.2f})\n{text}"
    )


def _field(name: str, kind: str, path: str, spawn: str, pose: Pose) -> str:
    return (
        f"    {name} = {kind}(\n        prim_path={path},\n        spawn={spawn},\n"
        f"        init_state={kind}.InitialStateCfg(pos={_tuple(pose.translation)}, rot={_xyzw(pose)}),\n    )\n"
    )


def _chosen(n: int) -> list[int]:
    return sorted(set(np.linspace(0, n - 1, min(n, CAMERAS)).round().astype(int).tolist())) if n else []


def _camera(scene: Scene, i: int, k: int) -> str:
    """A camera of the capture, its picture made smaller."""
    c = scene.cameras
    w, h = (int(x) for x in c.size_wh[i])
    shrink = min(1.0, CAMERA_SIDE_PX / max(w, h))
    K = c.K[i].copy()
    K[:2] *= shrink
    pose = Pose.from_matrix(c.T_world_camera[i])
    return _CAMERA.format(
        name=f"camera_{k}", pos=_tuple(pose.translation), rot=_xyzw(pose), matrix=[round(float(x), 4) for x in K.ravel()],
        width=round(w * shrink), height=round(h * shrink),
    )  # fmt: skip


def _xyzw(pose: Pose) -> str:
    q = pose.quat_wxyz
    assert np.isfinite(quat_to_matrix(q)).all()
    return _tuple([*q[1:], q[0]])


def _tuple(values: Any) -> str:
    return "(" + ", ".join(_number(v) for v in values) + ")"


def _number(x: float) -> str:
    text = f"{float(x):.9g}"
    return text if any(c in text for c in ".en") else text + ".0"


_INIT = '''"""A captured scene for Isaac Lab, made by `phone2sim export --to isaaclab`."""

from .events import ColourEventCfg, EventCfg
from .physics import newton
from .scene import OBJECTS, CameraSceneCfg, SceneCfg

__all__ = ["OBJECTS", "CameraSceneCfg", "ColourEventCfg", "EventCfg", "SceneCfg", "newton"]
'''

_PHYSICS = '''"""Settings of Isaac Lab's Newton backend in which the captured objects rest."""

TIMESTEP_S = 1 / 240


def newton():
    """A `NewtonCfg` for `SimulationCfg(dt=TIMESTEP_S, physics=newton())`.

    Contacts are Newton's own: with MuJoCo Warp's, convex meshes on a flat support jitter and creep.
    """
    from isaaclab_newton.physics import MJWarpSolverCfg, NewtonCfg

    solver = MJWarpSolverCfg(njmax=600, nconmax=300, cone="elliptic", impratio=10.0, use_mujoco_contacts=False)
    return NewtonCfg(num_substeps=2, use_cuda_graph=False, solver_cfg=solver)
'''

_PROJECT = """[build-system]
requires = ["setuptools>=64"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "1"
description = "A captured scene for Isaac Lab"

[tool.setuptools]
packages = ["{name}"]

[tool.setuptools.package-data]
{name} = ["usd/**"]
"""

_SCENE = '''"""The captured arrangement: supports, objects with mass, friction and convex colliders, background and light.

Metres, kilograms, z up; quaternions x, y, z, w. The masses and frictions are in the USD files.
"""

from pathlib import Path

import isaaclab.sim as sim_utils
from isaaclab.assets import AssetBaseCfg, RigidObjectCfg
from isaaclab.scene import InteractiveSceneCfg
from isaaclab.sensors import CameraCfg
from isaaclab.utils.configclass import configclass

USD = Path(__file__).parent / "usd"
OBJECTS = {names}


@configclass
class SceneCfg(InteractiveSceneCfg):
    """Everything but cameras."""

    num_envs: int = 1
    env_spacing: float = 4.0

{fields}

@configclass
class CameraSceneCfg(SceneCfg):
    """With cameras of the capture; needs a renderer."""

{cameras}'''

_CAMERA = """    {name} = CameraCfg(
        prim_path="{{ENV_REGEX_NS}}/{name}",
        offset=CameraCfg.OffsetCfg(pos={pos}, rot={rot}, convention="ros"),
        spawn=sim_utils.PinholeCameraCfg.from_intrinsic_matrix(
            {matrix}, width={width}, height={height}
        ),
        data_types=["rgb", "distance_to_image_plane"],
        width={width},
        height={height},
    )
"""

_EVENTS = '''"""Randomisation of the captured scene, from the recipe `{recipe}` and the intervals of the estimates."""

import isaaclab.envs.mdp as mdp
from isaaclab.managers import EventTermCfg, SceneEntityCfg
from isaaclab.utils.configclass import configclass


@configclass
class EventCfg:
    """Masses and frictions once, poses at each reset."""

{terms}

@configclass
class ColourEventCfg(EventCfg):
    """Colours too. Only in Isaac Sim, and with `replicate_physics=False` in the scene."""

{colours}'''

_TERMS = """    {name}_mass = EventTermCfg(
        func=mdp.randomize_rigid_body_mass,
        mode="startup",
        params={{
            "asset_cfg": SceneEntityCfg("{name}"),
            "mass_distribution_params": {mass},
            "operation": "abs",
            "distribution": "log_uniform",
        }},
    )
    {name}_material = EventTermCfg(
        func=mdp.randomize_rigid_body_material,
        mode="startup",
        params={{
            "asset_cfg": SceneEntityCfg("{name}"),
            "static_friction_range": {grip},
            "dynamic_friction_range": {grip},
            "restitution_range": {bounce},
            "num_buckets": 64,
            "make_consistent": True,
        }},
    )
    {name}_pose = EventTermCfg(
        func=mdp.reset_root_state_uniform,
        mode="reset",
        params={{
            "asset_cfg": SceneEntityCfg("{name}"),
            "pose_range": {{"x": {shift}, "y": {shift}, "yaw": {yaw}}},
            "velocity_range": {{}},
        }},
    )
"""

_COLOUR = """    {name}_colour = EventTermCfg(
        func=mdp.randomize_visual_color,
        mode="reset",
        params={{
            "event_name": "{name}_colour",
            "asset_cfg": SceneEntityCfg("{name}"),
            "colors": {{"r": {r}, "g": {g}, "b": {b}}},
            "mesh_name": "Geometry/mesh",
        }},
    )
"""
