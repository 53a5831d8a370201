"""`phone2sim build`: a capture all the way to a simulator scene and its report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from phone2sim.cli.options import (
    BackendName,
    Boxes,
    Charuco,
    Checkpoint,
    ClassifierName,
    ClassifierOption,
    ClipModel,
    DepthModelName,
    Empty,
    Faces,
    ForceCapture,
    HullConcavity,
    HullFaces,
    HullParts,
    Json,
    Length,
    LengthPoints,
    NerfstudioEnv,
    Picks,
    Quiet,
    Reference,
    SamCheckpoint,
    SamModel,
    SamModelOption,
    Seed,
    SegmenterName,
    SegmenterOption,
    SplatBackend,
    TagSize,
    asset_options,
    scale_options,
    splat_backend,
)
from phone2sim.cli.output import output
from phone2sim.cli.paths import STAGES, check_exists, check_output
from phone2sim.cli.reconstruct import SceneOut, Side, Source, Steps
from phone2sim.cli.reconstruct import run as run_reconstruct


def build(
    source: Source,
    out: SceneOut,
    tag_size: TagSize = None,
    charuco: Charuco = None,
    reference: Reference = None,
    length: Length = None,
    length_points: LengthPoints = None,
    depth_model: DepthModelName = None,
    checkpoint: Checkpoint = None,
    max_side: Side = None,
    steps: Steps = None,
    backend: SplatBackend = BackendName.auto,
    nerfstudio_env: NerfstudioEnv = None,
    pick: Picks = None,
    box: Boxes = None,
    segmenter: SegmenterOption = SegmenterName.geometric,
    sam_model: SamModelOption = SamModel.vit_b,
    sam_checkpoint: SamCheckpoint = None,
    classifier: ClassifierOption = ClassifierName.none,
    clip_model: ClipModel = None,
    empty: Empty = None,
    faces: Faces = None,
    hull_concavity: HullConcavity = None,
    hulls: HullParts = None,
    hull_faces: HullFaces = None,
    seed: Seed = 0,
    force: ForceCapture = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """A phone clip or photos become a metric, physical scene.

    Cameras, metric scale, splat, objects with mass, friction and convex hulls, then USD and MJCF and a report. Each
    stage is skipped where nothing changed; SCENE appears only once the capture could be read.
    """
    check_exists(source, "Capture")
    check_output(out, stages=STAGES)
    sizes = scale_options(
        tag_size=tag_size, charuco=charuco, reference=reference, length_points=length_points, depth_model=depth_model,
        checkpoint=checkpoint,
    ) | splat_backend(backend, nerfstudio_env)  # fmt: skip
    lengths = tuple(length or ())
    check_lengths(lengths)
    chosen = asset_options(
        segmenter, sam_model, sam_checkpoint, pick, box, classifier, clip_model, empty,
        faces=faces, hull_concavity=hull_concavity, hull_parts=hulls, hull_faces=hull_faces,
    )  # fmt: skip
    with output(json=json, quiet=quiet) as o:
        from phone2sim.cli.summary import assets_table, build_json, next_steps, scene_panel

        run(
            source, out, sizes=sizes, lengths=lengths, max_side=max_side, steps=steps, objects=chosen, seed=seed, force=force
        )  # fmt: skip
        o.result(build_json(out))
        o.show(scene_panel(out), assets_table(out), next_steps([f"phone2sim generate {out} -o picks --episodes 8"]))


def run(
    source: Path,
    out: Path,
    *,
    sizes: dict[str, Any] | None = None,
    lengths: tuple[str, ...] = (),
    max_side: int | None = None,
    steps: int | None = None,
    objects: dict[str, Any] | None = None,
    seed: int = 0,
    force: bool = False,
) -> None:
    """Every stage, then `report.html`; each stage is skipped where nothing changed.

    `objects` are settings of `AssetsConfig`. `lengths` of objects vote once the objects exist; where they change the scale, the objects are made anew at it.
    """
    from phone2sim.assets.pipeline import AssetsConfig, build_assets, fetch_models
    from phone2sim.sim_export.pipeline import ExportConfig, beside_earlier, export_scene
    from phone2sim.sim_export.report import write_report

    config = AssetsConfig(**(objects or {}))
    fetch_models(config)
    run_reconstruct(source, out, sizes=sizes or {}, max_side=max_side, steps=steps, seed=seed, force=force)
    build_assets(out, config, force=force)
    if let_vote(out, lengths):
        build_assets(out, config)
    export_scene(out, beside_earlier(out, ExportConfig()), force=force)
    write_report(out, None, out / "report.html")


def check_lengths(lengths: tuple[str, ...]) -> None:
    """Raise `InputError` for a length that cannot be read, before anything is computed."""
    from phone2sim.reconstruct.metric.length import parse_object_length

    for text in lengths:
        parse_object_length(text)


def let_vote(out: Path, lengths: tuple[str, ...]) -> bool:
    """Let known dimensions of objects vote on the scale; whether the objects must be made anew."""
    from phone2sim.assets.measure import measure
    from phone2sim.progress import message
    from phone2sim.reconstruct.metric.length import parse_object_length
    from phone2sim.reconstruct.metric.rescale import apply_lengths

    before = (out / "cameras" / "metric.json").read_bytes()
    factor = apply_lengths(out, [parse_object_length(t) for t in lengths], lambda x: measure(out, x))
    if abs(factor - 1) > 1e-9:
        message(f"The scene is {factor:.4g} times as large as before: its objects are made anew.")
    return before != (out / "cameras" / "metric.json").read_bytes()
