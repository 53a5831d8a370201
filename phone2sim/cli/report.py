"""`phone2sim report`: one self-contained HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phone2sim.cli.options import Json, Quiet
from phone2sim.cli.output import output
from phone2sim.cli.paths import check_exists, check_file
from phone2sim.errors import InputError


def report(
    folders: Annotated[
        list[Path], typer.Argument(metavar="SCENE|DATASET...", help="A scene, a dataset, or both.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: report.html in the last folder.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """One self-contained HTML file about a scene or dataset.

    Capture, cameras, splat against held-out photos, objects with physics, episodes as film strips.
    """
    if out is not None:
        check_file(out, "report", (".html", ".htm"))
    scene: Path | None = None
    dataset: Path | None = None
    for folder in folders:
        check_exists(folder, "Folder")
        if (folder / "specs.jsonl").exists() or (folder / "episodes").is_dir():
            dataset = folder
        elif any((folder / s).is_dir() for s in ("capture", "cameras", "splat", "scene")):
            scene = folder
        else:
            raise InputError(
                f"{folder} is neither a scene nor a dataset.", hint="Give a folder made by `build` or `generate`."
            )
    with output(json=json, quiet=quiet) as o:
        from phone2sim.assets.scene import Scene
        from phone2sim.augment.spec import EpisodeSpec
        from phone2sim.config import parse_config, read_json
        from phone2sim.sim_export.report import write_report

        try:
            path = write_report(scene, dataset, out or folders[-1] / "report.html")
        except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError):
            if scene is not None and (scene / "scene" / "scene.json").exists():
                Scene.load(scene)  # says what is wrong with what somebody edited
            for spec in sorted(dataset.glob("episodes/*/spec.json")) if dataset is not None else ():
                parse_config(EpisodeSpec, read_json(spec), where=str(spec))
            raise
        o.result({"report": str(path), "scene": scene and str(scene), "dataset": dataset and str(dataset)})
        o.show(f"Wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
