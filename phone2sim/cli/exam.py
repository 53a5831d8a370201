"""`phone2sim exam`: how far a policy can be trusted."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from phone2sim.cli.options import Json, Quiet, SceneDir, Seed, TaskName
from phone2sim.cli.output import output
from phone2sim.cli.paths import check_output, check_scene, tell_edits


def exam(
    scene: SceneDir,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            metavar="HOST:PORT|MODULE:FUNCTION",
            help="A policy server that speaks openpi's websocket protocol, or a Python callable: observation to actions. May be "
            "given several times.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder of the exam.")] = Path("exam"),
    axes: Annotated[
        str, typer.Option("--axes", metavar="A,B", help="Axes to examine; all when left out.", show_default=False)
    ] = "",
    episodes: Annotated[int, typer.Option("--episodes", "-n", min=1, help="Held-out episodes per level.")] = 20,
    recipe: Annotated[
        str, typer.Option("--recipe", help="Gives the cameras, where objects may stand and, without --task, the task.")
    ] = "default",
    task: TaskName = "",
    control: Annotated[
        str,
        typer.Option(
            "--control", metavar="joints|ee_delta", help="What an action is: joint targets, or moves of the hand."
        ),
    ] = "joints",
    execute: Annotated[int, typer.Option("--execute", min=1, help="Actions carried out per answer.")] = 8,
    layout: Annotated[
        str, typer.Option("--layout", metavar="libero|droid|plain", help="What the server calls its observations.")
    ] = "libero",
    references: Annotated[bool, typer.Option(help="Also examine the scripted expert and random motion.")] = True,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """A policy's success as the scene changes, axis by axis.

    Camera, lighting, clutter, sensor, heavier, slipperier, robot start: held-out episodes on a grid, a curve with confidence
    intervals per axis, the scripted expert and random motion as references. Writes exam.json, exam.svg and exam.html.
    """
    check_scene(scene)
    check_output(out)
    with output(json=json, quiet=quiet) as o:
        tell_edits(scene)
        from phone2sim.cli.summary import exam_table, files_panel
        from phone2sim.errors import InputError
        from phone2sim.sim_export.exam import EXAM_AXES, ExamConfig, run_exam
        from phone2sim.sim_export.policies import load_policy
        from phone2sim.sim_export.world import CONTROLS

        if not policy and not references:
            raise InputError("Nothing to examine.", hint="Name a --policy.")
        if control not in CONTROLS:
            raise InputError(f"No control {control!r}; have {', '.join(CONTROLS)}.")
        start = time.monotonic()
        names = [*(policy or []), *(("scripted", "random") if references else ())]
        config = ExamConfig(
            axes=tuple(a.strip() for a in axes.split(",")) if axes else tuple(EXAM_AXES), episodes=episodes, recipe=recipe, task=task,
            seed=seed, control=control, execute=execute,
        )  # fmt: skip
        result = run_exam(scene, [load_policy(n, layout=layout) for n in dict.fromkeys(names)], out, config)
        files = {k: str(out / f"exam.{k}") for k in ("json", "svg", "html")}
        o.result({**result, "files": files})
        o.show(exam_table(result), files_panel(files, seconds=time.monotonic() - start))
