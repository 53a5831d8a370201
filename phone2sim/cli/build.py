"""`phone2sim build`: a capture all the way to a simulator scene and its report."""

from __future__ import annotations

from pathlib import Path

from phone2sim.cli.options import STAGES, Force, Json, Quiet, Seed, check_exists, check_output
from phone2sim.cli.output import output
from phone2sim.cli.reconstruct import SceneOut, Side, Source, Steps, TagSize
from phone2sim.cli.reconstruct import run as run_reconstruct


def build(
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
    """A phone clip or photos become a metric, physical scene.

    Cameras, metric scale, splat, objects with mass, friction and convex hulls, then USD and MJCF and a report. Each
    stage is skipped where nothing changed; SCENE appears only once the capture could be read.
    """
    check_exists(source, "Capture")
    check_output(out, stages=STAGES)
    with output(json=json, quiet=quiet) as o:
        from phone2sim.cli.summary import assets_table, build_json, next_steps, scene_panel

        run(source, out, tag_size=tag_size, max_side=max_side, steps=steps, seed=seed, force=force)
        o.result(build_json(out))
        o.show(scene_panel(out), assets_table(out), next_steps([f"phone2sim generate {out} -o picks --episodes 8"]))


def run(
    source: Path,
    out: Path,
    *,
    tag_size: float | None = None,
    max_side: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    force: bool = False,
) -> None:
    """Every stage, then `report.html`; each stage is skipped where nothing changed."""
    from phone2sim.assets.pipeline import AssetsConfig, build_assets
    from phone2sim.sim_export.pipeline import ExportConfig, export_scene
    from phone2sim.sim_export.report import write_report

    run_reconstruct(source, out, tag_size=tag_size, max_side=max_side, steps=steps, seed=seed, force=force)
    build_assets(out, AssetsConfig(), force=force)
    export_scene(out, ExportConfig(), force=force)
    write_report(out, None, out / "report.html")
