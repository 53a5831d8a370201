"""`phone2sim demo`: everything once, offline, on a clip it renders itself."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from phone2sim.cli.options import Json, Quiet, Seed
from phone2sim.cli.output import output
from phone2sim.cli.paths import STAGES, check_output
from phone2sim.errors import InputError

EPISODES = 8
WORKERS = 2


def demo(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make.")] = Path("demo"),
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Everything once, offline, on a clip it renders itself.

    Sample clip, metric scene, 8 robot episodes and a report, on the CPU, in minutes. A second run skips what is finished.
    """
    check_output(out, stages=("sample",))
    check_output(out / "scene", stages=STAGES)
    with output(json=json, quiet=quiet) as o:
        from phone2sim.cli import build
        from phone2sim.cli.summary import (
            assets_table,
            build_json,
            dataset_panel,
            export_files,
            files_panel,
            next_steps,
            scene_panel,
        )
        from phone2sim.progress import message
        from phone2sim.sample import SampleConfig, make_sample
        from phone2sim.sim_export.report import write_report
        from phone2sim.stage import run_stage

        start = time.monotonic()
        clip, scene, picks = out / "sample" / "clip.mp4", out / "scene", out / "picks"
        message("1/4  A phone clip of a table, rendered with known truth")
        config = SampleConfig()
        run_stage(
            out / "sample",
            version=1,
            config={"seed": seed, **config.model_dump(mode="json", exclude={"layout", "table"})},
            inputs={},
            compute=lambda folder: {"truth": bool(make_sample(folder / "clip.mp4", seed=seed, config=config))},
        )
        message("2/4  Clip to metric, physical scene")
        build.run(clip, scene, seed=seed)
        message(f"3/4  {EPISODES} varied pick-and-place episodes")
        result = _episodes(scene, picks, seed=seed)
        message("4/4  Report")
        report = write_report(scene, picks, out / "report.html")

        files = {"report": str(report), **export_files(scene), "dataset": str(picks)}
        o.result(
            {
                "seconds": round(time.monotonic() - start, 1),
                "files": files,
                "build": build_json(scene),
                "generate": result,
            }
        )
        o.show(
            scene_panel(scene),
            assets_table(scene),
            dataset_panel(picks),
            files_panel(files, seconds=time.monotonic() - start),
            next_steps(
                [
                    f"open {report}",
                    f"python -m mujoco.viewer --mjcf={files['mjcf']}",
                    f"phone2sim generate {scene} -o more --episodes 50 --workers {WORKERS}",
                    "phone2sim sheet",
                    "phone2sim build MY_CLIP.mp4 -o my_scene",
                ]
            ),
        )


def _episodes(scene: Path, picks: Path, *, seed: int) -> dict[str, Any]:
    """The demo's dataset; one of an older scene or seed is made anew, since the demo's folder is the demo's own."""
    from phone2sim.cli import generate
    from phone2sim.progress import message

    def run() -> dict[str, Any]:
        return generate.run(scene, picks, episodes=EPISODES, recipe="default", workers=WORKERS, seed=seed)

    if not (picks / "dataset.json").exists():
        return run()
    try:
        return run()
    except InputError:
        message("The episodes were of an older scene: making them anew.")
        shutil.rmtree(picks)
        return run()
