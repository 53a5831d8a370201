"""Episodes of a dataset as USD: one scene, and over it a layer for each episode and one for what was recorded of it.

    dataset/usd/  scene/scene.usda …  library/assets/…  robot/<model>.usd
                  episode_000417.usda  episode_000417_recorded.usdc

The number is the episode's place in the dataset, as in `replay`. Everything needed lies inside the folder, but for a
robot that the user names.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from phone2sim.assets.scene import Scene
from phone2sim.augment.spec import EpisodeSpec
from phone2sim.errors import InputError
from phone2sim.progress import progress
from phone2sim.sim_export.episode import Episode
from phone2sim.sim_export.origin import identity_of, manifest_of, scene_of
from phone2sim.sim_export.robots import ROBOTS, get_robot
from phone2sim.sim_export.usd.articulation import write_articulation
from phone2sim.sim_export.usd.config import UsdConfig
from phone2sim.sim_export.usd.episode import write_episode_layer
from phone2sim.sim_export.usd.episode_objects import LIBRARY, file_name
from phone2sim.sim_export.usd.paint import write_coordinates, write_picture
from phone2sim.sim_export.usd.props import write_asset
from phone2sim.sim_export.usd.recorded import write_recorded
from phone2sim.sim_export.usd.robot import DESCRIPTIONS, RobotReference
from phone2sim.sim_export.usd.scene import write_usd
from phone2sim.sim_export.usd.simready import asset_file
from phone2sim.stage import run_stage

VERSION = 1
ROBOT_TYPES = (".usd", ".usda", ".usdc", ".usdz")


def export_episodes(
    dataset_dir: Path,
    episodes: str = ":",
    *,
    robot: str | None = None,
    scene_dir: Path | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Write the layers of the episodes `a:b`; returns `folder`, `scene`, `episodes` and `recorded` (paths).

    `robot` is a file or URL of a robot to refer to instead of our own arm; it is never copied. `scene_dir` says where the scene
    is now, if it moved. Raises `InputError` for a range outside the dataset or a scene that has changed since.
    """
    from phone2sim.sim_export.generate import scene_fingerprint

    identity = identity_of(dataset_dir, "scene_fingerprint")
    folders = manifest_of(dataset_dir)["episodes"]
    chosen = parse_range(episodes, len(folders))
    scene_dir = scene_of(dataset_dir, scene_dir)
    found = scene_fingerprint(scene_dir)
    if found != identity["scene_fingerprint"]:
        raise InputError(f"{scene_dir} has changed since {dataset_dir} was made.", hint="Generate a new dataset.")
    out = dataset_dir / "usd"
    scene = Scene.load(scene_dir)
    config = UsdConfig(package=False)

    def compute(folder: Path) -> dict[str, Any]:
        return {"usd": write_usd(scene, folder, config).name}

    run_stage(out / "scene", version=VERSION, config=config, inputs={"scene": found}, compute=compute, force=force)
    files: dict[str, Any] = {
        "folder": str(out),
        "scene": str(out / "scene" / "scene.usda"),
        "episodes": [],
        "recorded": [],
    }
    with progress("Writing episodes", total=len(chosen)) as bar:
        for i in chosen:
            episode = Episode.read(dataset_dir / folders[i])
            reference = _reference(robot, episode.spec.robot.model, out)
            write_strangers(episode.spec, scene, out / LIBRARY, config)
            name = f"episode_{i:06d}"
            partial = out / f".{name}.usda"
            write_episode_layer(episode.spec, scene, partial, robot=reference)
            os.replace(partial, out / f"{name}.usda")
            partial = out / f".{name}_recorded.usdc"
            write_recorded(episode, partial, over=f"./{name}.usda", own_robot=reference is not None and reference.own)
            os.replace(partial, out / f"{name}_recorded.usdc")
            files["episodes"].append(str(out / f"{name}.usda"))
            files["recorded"].append(str(out / f"{name}_recorded.usdc"))
            bar.advance(1, note=name)
    return files


def parse_range(text: str, n: int) -> range:
    """`a:b`, `a:`, `:b`, `:` or a single number as places among n episodes; `InputError` outside of them."""
    first, colon, last = text.partition(":")
    try:
        a = int(first) if first.strip() else 0
        b = (int(last) if last.strip() else n) if colon else a + 1
        if not colon and not first.strip():
            raise ValueError
    except ValueError:
        raise InputError(
            f"--episodes {text!r} is not a range;", hint="write a:b, for example 0:10, or one number."
        ) from None
    if not 0 <= a < b <= n:
        raise InputError(f"--episodes {text} is outside of the dataset, which has episodes 0 to {n - 1}.")
    return range(a, b)


def robot_path(robot: str, folder: Path) -> str:
    """`robot` as a layer in `folder` refers to it: a URL as it is, a file relative to the folder."""
    if len(urlparse(robot).scheme) > 1:
        return robot
    path = Path(robot).expanduser()
    if path.suffix.lower() not in (*ROBOT_TYPES, *DESCRIPTIONS):
        raise InputError(
            f"--robot {robot}: a robot is a {', '.join((*ROBOT_TYPES, *DESCRIPTIONS))} file, or a URL of one."
        )
    if not path.is_file():
        raise InputError(f"--robot {robot} does not exist.")
    relative = os.path.relpath(path.resolve(), folder.resolve())
    return relative if relative.startswith(".") else f"./{relative}"


def write_strangers(spec: EpisodeSpec, scene: Scene, folder: Path, config: UsdConfig) -> None:
    """What the layer of `spec` refers to beside the scene, once each: assets that are not the scene's own, and paint."""
    own = {a.name for a in scene.assets}
    for o in spec.objects:
        asset = scene.asset(o.asset)
        name = file_name(o.asset, asset, own)
        if o.asset not in own and not (folder / asset_file(name)).exists():
            write_asset(replace(asset, name=name), folder, config)
        if o.texture is not None and asset.visual.texture is not None:
            write_picture(o.texture, folder)
            write_coordinates(asset.visual, name, folder)
    if spec.surfaces.table is not None:
        write_picture(spec.surfaces.table, folder)


def _reference(robot: str | None, model: str, out: Path) -> RobotReference | None:
    if robot:
        return RobotReference(path=robot_path(robot, out))
    if model not in ROBOTS:
        return None
    path = out / "robot" / f"{model}.usd"
    if not path.exists():
        write_articulation(get_robot(model), path)
    return RobotReference(path=f"./robot/{model}.usd", own=True)
