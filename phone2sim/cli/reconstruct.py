"""`phone2sim reconstruct`: capture, cameras, metric and splat."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from phone2sim.cli.options import STAGES, Force, Json, Quiet, Seed, check_exists, check_output
from phone2sim.cli.output import output

Source = Annotated[
    Path, typer.Argument(metavar="CAPTURE", help="A phone clip, or a folder of photos.", show_default=False)
]
SceneOut = Annotated[
    Path, typer.Option("--output", "-o", metavar="SCENE", help="Scene folder to make.", show_default=False)
]
TagSize = Annotated[
    float | None,
    typer.Option(
        "--tag-size",
        min=0.001,
        help="Edge [m] of the AprilTags in view, when they are not our own sheet.",
        show_default=False,
    ),
]
Side = Annotated[
    int | None, typer.Option("--max-side", min=64, help="Longer side [px] the splat is trained at.", show_default=False)
]
Steps = Annotated[int | None, typer.Option("--steps", min=1, help="Training steps of the splat.", show_default=False)]


def reconstruct(
    source: Source,
    out: SceneOut,
    tag_size: TagSize = None,
    max_side: Side = None,
    steps: Steps = None,
    seed: Seed = 0,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Only cameras, scale, up and the splat of a capture.

    The first half of `build`: no objects yet.
    """
    check_exists(source, "Capture")
    check_output(out, stages=STAGES)
    with output(json=json, quiet=quiet) as o:
        from phone2sim.cli.summary import reconstruct_json, scene_panel

        run(source, out, tag_size=tag_size, max_side=max_side, steps=steps, seed=seed, force=force)
        o.result(reconstruct_json(out))
        o.show(scene_panel(out), f"Next: phone2sim assets {out}")


def run(
    source: Path, out: Path, *, tag_size: float | None, max_side: int | None, steps: int | None, seed: int, force: bool
) -> Any:
    from phone2sim.reconstruct.pipeline import ReconstructConfig
    from phone2sim.reconstruct.pipeline import reconstruct as run_reconstruct

    config = ReconstructConfig.of(seed=seed, tag_size_m=tag_size, max_side=max_side, steps=steps)
    return run_reconstruct(source, out, config, force=force)
