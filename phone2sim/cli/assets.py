"""`phone2sim assets`: objects out of a reconstruction."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phone2sim.cli.options import (
    Boxes,
    ClassifierName,
    ClassifierOption,
    ClipModel,
    Empty,
    Faces,
    Force,
    HullConcavity,
    HullFaces,
    HullParts,
    Json,
    Picks,
    Quiet,
    SamModel,
    SamModelOption,
    SceneDir,
    SegmenterName,
    SegmenterOption,
    asset_options,
)
from phone2sim.cli.output import output
from phone2sim.cli.paths import STAGES, check_folder, check_output
from phone2sim.errors import InputError

Weights = Annotated[
    Path | None,
    typer.Option(
        "--sam-checkpoint", "--checkpoint", metavar="FILE", help="Segment Anything's weights from a file.", show_default=False
    ),
]


def assets(
    scene: SceneDir,
    pick: Picks = None,
    box: Boxes = None,
    segmenter: SegmenterOption = SegmenterName.geometric,
    sam_model: SamModelOption = SamModel.vit_b,
    sam_checkpoint: Weights = None,
    classifier: ClassifierOption = ClassifierName.none,
    clip_model: ClipModel = None,
    empty: Empty = None,
    faces: Faces = None,
    hull_concavity: HullConcavity = None,
    hulls: HullParts = None,
    hull_faces: HullFaces = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Only the objects of a reconstructed scene.

    Find the support plane, cut the objects out, close and texture them, give them mass, friction and hulls.
    """
    check_output(check_folder(scene, "Scene", "phone2sim reconstruct"), stages=STAGES)
    if not (scene / "splat" / "manifest.json").exists():
        raise InputError(f"{scene} has no splat yet.", hint=f"First: phone2sim reconstruct CAPTURE -o {scene}")
    chosen = asset_options(
        segmenter, sam_model, sam_checkpoint, pick, box, classifier, clip_model, empty,
        faces=faces, hull_concavity=hull_concavity, hull_parts=hulls, hull_faces=hull_faces,
    )  # fmt: skip
    with output(json=json, quiet=quiet) as o:
        from phone2sim.assets.pipeline import AssetsConfig, build_assets
        from phone2sim.cli.summary import assets_json, assets_table
        from phone2sim.reconstruct.metric.rescale import settle_splat

        settle_splat(scene)
        build_assets(scene, AssetsConfig(**chosen), force=force)
        o.result({"scene": str(scene), "assets": assets_json(scene)})
        o.show(assets_table(scene), f"Next: phone2sim export {scene}")
