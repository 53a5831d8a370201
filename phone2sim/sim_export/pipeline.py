"""The `export` stage: a scene folder becomes USD, MJCF, URDF, GLB and more below `export/`."""

from __future__ import annotations

import shutil
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal, get_args

from phone2sim.assets.scene import Scene
from phone2sim.config import Config
from phone2sim.errors import InputError
from phone2sim.progress import message, progress
from phone2sim.stage import StageResult, fingerprint_files, identity, read_manifest, run_stage

VERSION = 8


Format = Literal["usd", "mjcf", "urdf", "glb", "nerfstudio", "spz", "nurec", "isaaclab"]


class ExportConfig(Config):
    """What to export."""

    to: tuple[Format, ...] = ("usd", "mjcf", "urdf", "glb")
    """`usd` scene.usda with payloads and scene.usdz; `mjcf` scene.xml; `urdf` one per asset; `glb` the whole scene, and each asset;
    `nerfstudio` pictures and cameras as a dataset; `spz` the splat, compressed;
    `nurec` the background as a volume for Isaac Sim 5.x, over the USD; `isaaclab` a Python package for Isaac Lab."""
    cameras: int = 24
    """At most this many captured cameras in the USD and the MJCF."""
    recipe: str = "default"
    """Of the randomisation in the Isaac Lab package: a built-in recipe's name, or a YAML file."""


def beside_earlier(scene_dir: Path, config: ExportConfig) -> ExportConfig:
    """The config with the formats that `scene_dir/export` already has: asking for one more takes none away."""
    before = (read_manifest(scene_dir / "export") or {}).get("config", {})
    known: tuple[Format, ...] = get_args(Format)
    to = tuple(f for f in known if f in config.to or f in before.get("to", ()))
    return config.model_copy(update={"to": to, "recipe": config.recipe if "isaaclab" in config.to else before.get("recipe", config.recipe)})


def export_scene(scene_dir: Path, config: ExportConfig | None = None, *, force: bool = False) -> StageResult:
    """Write `scene_dir/export/`; skipped when neither the scene nor the config changed.

    The manifest's result lists the files by format, relative to the folder.
    """
    config = config or ExportConfig()
    source = scene_dir / "scene"
    if not (source / "scene.json").exists():
        raise InputError(f"{scene_dir} has no scene to export.", hint="Make one: phone2sim build CAPTURE -o SCENE")
    manifest = read_manifest(source)
    inputs = {"scene": identity(manifest) if manifest else fingerprint_files(source)}
    for stage, kind in (("cameras", "nerfstudio"), ("splat", "spz")):
        made = read_manifest(scene_dir / stage) if kind in config.to else None
        if made:
            inputs[stage] = identity(made)

    def compute(folder: Path) -> dict[str, Any]:
        scene = Scene.load(source)
        for a in scene.assets:
            if not a.visual.welded().is_watertight:
                message(f"{a.name}: its visual mesh is open; hulls collide, but an SDF and its volume need a closed one.")
        with progress("Exporting", total=len(config.to)) as bar:
            out: dict[str, Any] = {}
            for kind in config.to:
                if kind == "glb" and not scene.assets and scene.background_mesh is None:
                    message("No GLB: the scene has no meshes.")
                    continue
                out[kind] = _write(kind, scene, scene_dir, folder, config)
                bar.advance(1, note=kind)
            return out

    return run_stage(scene_dir / "export", version=VERSION, config=config, inputs=inputs, compute=compute, force=force)


def _write(kind: str, scene: Scene, scene_dir: Path, folder: Path, config: ExportConfig) -> str | list[str]:
    """One format; the file to open, or the files, relative to `folder`."""
    if kind == "usd":
        from phone2sim.sim_export.usd import UsdConfig, lint_usd, write_usd

        path = write_usd(scene, folder, UsdConfig(cameras=config.cameras, date=_made_on(scene_dir / "scene")))
        for finding in lint_usd(path):
            if finding.rule != "open mesh":  # said already
                message(f"USD, {finding}.")
    elif kind == "mjcf":
        from phone2sim.sim_export.mjcf import write_mjcf

        path = write_mjcf(scene, folder, cameras=config.cameras)
    elif kind == "nurec":
        from phone2sim.sim_export.usd.nurec import write_nurec

        if not (folder / "scene.usda").exists():
            _write("usd", scene, scene_dir, folder, config)
        path = write_nurec(scene.background, folder)
    elif kind == "glb":
        from phone2sim.sim_export.glb import write_glb

        path = write_glb(scene, folder / "scene.glb")
        for asset in scene.assets:
            target = folder / "glb" / f"{asset.name}.glb"
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(scene_dir / "scene" / asset.name / "visual.glb", target)
    elif kind == "nerfstudio":
        from phone2sim.sim_export.nerfstudio import write_nerfstudio

        path = write_nerfstudio(scene_dir, folder / "nerfstudio")
    elif kind == "isaaclab":
        from phone2sim.augment.recipe import load_recipe
        from phone2sim.sim_export.isaaclab import package_name, write_isaaclab
        from phone2sim.sim_export.usd import UsdConfig

        usd = UsdConfig(cameras=config.cameras, date=_made_on(scene_dir / "scene"))
        path = write_isaaclab(scene, folder / "isaaclab", package_name(scene_dir), load_recipe(config.recipe), usd)
    elif kind == "spz":
        from phone2sim.reconstruct.splat.cloud import SplatCloud

        path = folder / "splat.spz"
        SplatCloud.load(scene_dir / "splat" / "splat.ply").save(path)
    else:
        from phone2sim.sim_export.urdf import write_urdf

        return [write_urdf(a, folder / "urdf").relative_to(folder).as_posix() for a in scene.assets]
    return path.relative_to(folder).as_posix()


def _made_on(folder: Path) -> str:
    """The day on which the scene was built, ISO: the same scene exports to the same bytes tomorrow."""
    return datetime.fromtimestamp((folder / "scene.json").stat().st_mtime, timezone.utc).date().isoformat()
