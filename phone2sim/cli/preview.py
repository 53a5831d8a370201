"""`phone2sim preview`: look at what a recipe does before making episodes with it."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from phone2sim.cli.options import Json, Quiet, SceneDir, Seed, Split
from phone2sim.cli.output import output
from phone2sim.cli.paths import check_file, check_scene, tell_edits

PATHS = 64
"""Paths a pixel of `--quality pbr`."""


class Quality(str, Enum):
    """How pictures are drawn."""

    fast = "fast"
    pbr = "pbr"


def preview(
    scene: SceneDir,
    recipe: Annotated[
        str, typer.Option("--recipe", help="A recipe file (YAML), or the name of a built-in recipe.")
    ] = "default",
    n: Annotated[int, typer.Option("--n", "-n", min=1, max=400, help="Episodes to show.")] = 16,
    out: Annotated[Path, typer.Option("--output", "-o", metavar="PICTURE", help="Contact sheet to write.")] = Path("preview.png"),
    split: Annotated[Split, typer.Option("--split", help="train, or ood: the recipe's ranges out of distribution.")] = Split.train,
    quality: Annotated[
        Quality,
        typer.Option("--quality", help="fast, as in episodes; or pbr: path traced, up to a CPU-minute a picture (needs Mitsuba)."),
    ] = Quality.fast,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """A contact sheet of what a recipe does to a scene.

    The start of each episode as its first camera sees it; nothing is simulated, so it takes seconds.
    """
    check_scene(scene)
    check_file(out, "sheet", (".png", ".jpg", ".jpeg"))
    with output(json=json, quiet=quiet) as o:
        tell_edits(scene)
        from phone2sim.assets.scene import Scene
        from phone2sim.augment.recipe import load_recipe
        from phone2sim.sim_export.preview import preview as run_preview

        samples = PATHS if quality is Quality.pbr else 0
        result = run_preview(Scene.load(scene), load_recipe(recipe).for_split(split.value), out, n=n, seed=seed, samples=samples)
        o.result({"picture": str(out), **result})
        o.show(f"{result['drawn']} episodes on {out}; {result['rejected']} arrangements did not fit.")
