"""`phone2sim reconstruct`: capture, cameras, metric and splat."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from phone2sim.cli.options import (
    BackendName,
    Charuco,
    Checkpoint,
    DepthModelName,
    ForceCapture,
    Json,
    LengthPoints,
    NerfstudioEnv,
    Quiet,
    Reference,
    Seed,
    SplatBackend,
    TagSize,
    scale_options,
    splat_backend,
)
from phone2sim.cli.output import output
from phone2sim.cli.paths import STAGES, check_exists, check_output

Source = Annotated[
    Path, typer.Argument(metavar="CAPTURE", help="A clip, a folder of photos, one photo, or a capture app's export.", show_default=False)
]
SceneOut = Annotated[
    Path, typer.Option("--output", "-o", metavar="SCENE", help="Scene folder to make.", show_default=False)
]
Side = Annotated[
    int | None, typer.Option("--max-side", min=64, help="Longer side [px] the splat is trained at.", show_default=False)
]
Steps = Annotated[int | None, typer.Option("--steps", min=1, help="Training steps of the splat.", show_default=False)]


def reconstruct(
    source: Source,
    out: SceneOut,
    tag_size: TagSize = None,
    charuco: Charuco = None,
    reference: Reference = None,
    length_points: LengthPoints = None,
    depth_model: DepthModelName = None,
    checkpoint: Checkpoint = None,
    max_side: Side = None,
    steps: Steps = None,
    backend: SplatBackend = BackendName.auto,
    nerfstudio_env: NerfstudioEnv = None,
    seed: Seed = 0,
    force: ForceCapture = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Only cameras, scale, up and the splat of a capture.

    The first half of `build`: no objects yet.
    """
    check_exists(source, "Capture")
    check_output(out, stages=STAGES)
    sizes = scale_options(
        tag_size=tag_size, charuco=charuco, reference=reference, length_points=length_points, depth_model=depth_model,
        checkpoint=checkpoint,
    ) | splat_backend(backend, nerfstudio_env)  # fmt: skip
    with output(json=json, quiet=quiet) as o:
        from phone2sim.cli.summary import reconstruct_json, scene_panel

        run(source, out, sizes=sizes, max_side=max_side, steps=steps, seed=seed, force=force)
        o.result(reconstruct_json(out))
        o.show(scene_panel(out), f"Next: phone2sim assets {out}")


def run(
    source: Path, out: Path, *, sizes: dict[str, Any], max_side: int | None, steps: int | None, seed: int, force: bool
) -> Any:
    """`sizes` as `scale_options` and `splat_backend` give them."""
    from phone2sim.reconstruct.pipeline import ReconstructConfig
    from phone2sim.reconstruct.pipeline import reconstruct as run_reconstruct

    config = ReconstructConfig.of(seed=seed, max_side=max_side, steps=steps, **sizes)
    return run_reconstruct(source, out, config, force=force)
