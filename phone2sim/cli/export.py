"""`phone2sim export`: the scene for simulators."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from phone2sim.cli.options import Force, Json, Quiet, SceneDir, check_scene
from phone2sim.cli.output import output


class Format(str, Enum):
    usd = "usd"
    mjcf = "mjcf"
    urdf = "urdf"
    glb = "glb"
    nerfstudio = "nerfstudio"
    spz = "spz"


def export(
    scene: SceneDir,
    to: Annotated[
        list[Format] | None,
        typer.Option("--to", help="Format to write; again for more. Default: usd, mjcf, urdf and glb.", show_default=False),
    ] = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a scene as USD (Isaac Sim) and MJCF (MuJoCo).

    With masses, frictions and convex colliders; every file opens on its own. URDF and GLB too;
    on demand a nerfstudio dataset of the pictures and the splat as .spz.
    """
    check_scene(scene)
    with output(json=json, quiet=quiet) as o:
        from phone2sim.cli.summary import export_files
        from phone2sim.sim_export.pipeline import ExportConfig, export_scene

        config = ExportConfig(to=tuple(f.value for f in to)) if to else ExportConfig()
        export_scene(scene, config, force=force)
        files = export_files(scene)
        o.result({"scene": str(scene), **files})
        o.show(*[f"{k:5} {v}" for k, v in files.items()])
