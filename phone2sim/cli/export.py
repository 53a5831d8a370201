"""`phone2sim export`: the scene for simulators."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from phone2sim.cli.options import Force, Json, Quiet
from phone2sim.cli.output import output
from phone2sim.cli.paths import check_dataset, check_scene, tell_edits
from phone2sim.errors import InputError


class Format(str, Enum):
    usd = "usd"
    mjcf = "mjcf"
    urdf = "urdf"
    glb = "glb"
    nerfstudio = "nerfstudio"
    spz = "spz"
    nurec = "nurec"
    isaaclab = "isaaclab"


def export(
    folder: Annotated[
        Path, typer.Argument(metavar="SCENE|DATASET", help="A built scene, or a dataset whose episodes become USD.", show_default=False)
    ],
    to: Annotated[
        list[Format] | None,
        typer.Option(
            "--to", metavar="|".join(f.value for f in Format), help="Format to write, beside those that are there; again for more. Default: usd, mjcf, urdf and glb.", show_default=False
        ),
    ] = None,
    episodes: Annotated[
        str | None,
        typer.Option(
            "--episodes",
            metavar="A:B",
            help="Of a dataset: the episodes to write as USD layers over its scene. Default: all.",
            show_default=False,
        ),
    ] = None,
    robot: Annotated[
        str | None,
        typer.Option(
            "--robot",
            metavar="FILE|URL",
            help="The robot that episode layers refer to instead of the built-in arm; it is never copied.",
            show_default=False,
        ),
    ] = None,
    moved: Annotated[
        Path | None,
        typer.Option("--scene", metavar="SCENE", help="Where a dataset's scene is now, if it moved.", show_default=False),
    ] = None,
    recipe: Annotated[
        str, typer.Option("--recipe", help="What varies in an Isaac Lab package: a recipe file, or a built-in recipe's name.")
    ] = "default",
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a scene as USD and MJCF, or episodes as USD.

    With masses, frictions and convex colliders; every file opens on its own. URDF and GLB too; on demand a nerfstudio dataset
    of the pictures, the splat as .spz, the background as NuRec, a Python package for Isaac Lab. Of a dataset, each episode
    becomes a small layer over the scene's USD, and what was recorded of it a second one with time samples.
    """
    if episodes is not None or robot is not None or (folder / "dataset.json").exists():
        _episodes(folder, to, episodes or ":", robot, moved, force=force, json=json, quiet=quiet)
        return
    check_scene(folder)
    with output(json=json, quiet=quiet) as o:
        tell_edits(folder)
        from phone2sim.cli.summary import export_files
        from phone2sim.sim_export.pipeline import ExportConfig, beside_earlier, export_scene

        config = ExportConfig(to=tuple(f.value for f in to), recipe=recipe) if to else ExportConfig()
        export_scene(folder, beside_earlier(folder, config), force=force)
        files = export_files(folder)
        o.result({"scene": str(folder), **files})
        o.show(*[f"{k:5} {v}" for k, v in files.items()])


def _episodes(
    dataset: Path, to: list[Format] | None, episodes: str, robot: str | None, moved: Path | None, *, force: bool, json: bool,
    quiet: bool,
) -> None:
    check_dataset(dataset)
    if to not in (None, [], [Format.usd]):
        raise InputError("Episodes are exported as USD only.", hint="Use --to usd, or leave --to out.")
    with output(json=json, quiet=quiet) as o:
        from phone2sim.sim_export.usd.dataset import export_episodes

        files = export_episodes(dataset, episodes, robot=robot, scene_dir=moved, force=force)
        o.result({"dataset": str(dataset), **files})
        n = len(files["episodes"])
        o.show(f"{n} episode{'s' if n > 1 else ''} over {files['scene']}", f"first {files['episodes'][0]}")
