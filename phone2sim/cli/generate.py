"""`phone2sim generate`: varied robot episodes in a scene."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from phone2sim.cli.options import Json, Quiet, SceneDir, Seed, SimulatorName, Split, TaskName
from phone2sim.cli.output import output
from phone2sim.cli.paths import check_output, check_scene, tell_edits
from phone2sim.errors import GateError, InputError


def generate(
    scene: SceneDir,
    out: Annotated[
        Path, typer.Option("--output", "-o", metavar="DATASET", help="Dataset folder to make.", show_default=False)
    ],
    episodes: Annotated[int, typer.Option("--episodes", "-n", min=1, help="Successful episodes wanted.")] = 8,
    recipe: Annotated[
        str, typer.Option("--recipe", help="A recipe file (YAML), or the name of a built-in recipe.")
    ] = "default",
    workers: Annotated[
        int, typer.Option("--workers", min=0, help="Processes; 0 runs inline. The result is the same.")
    ] = 0,
    target: Annotated[
        str,
        typer.Option(
            "--target", metavar="wam|vla", help="Pair and widen what world-action models (views, robot starts) or "
            "vision-language-action models (light, clutter, sensor) are weak at.", show_default=False,
        ),
    ] = "",
    sim: Annotated[
        SimulatorName,
        typer.Option(
            "--sim", help="Physics: MuJoCo, PhysX (ovphysx), or Isaac Sim, which also draws. doctor says what is found."
        ),
    ] = SimulatorName.mujoco,
    task: TaskName = "",
    robot: Annotated[
        str,
        typer.Option(
            "--robot", metavar="ROBOT", help="p2s_arm; an MJCF or URDF file, with a gripper's file as arm.xml+gripper.xml; "
            "or a robot_descriptions name such as panda_mj_description.", show_default=False,
        ),
    ] = "",
    expert: Annotated[
        str,
        typer.Option(
            "--expert", metavar="scripted|planner", help="Who solves the task; the task chooses if it is not given.",
            show_default=False,
        ),
    ] = "",
    demo: Annotated[
        str,
        typer.Option(
            "--demo", metavar="FILE", help="Replay demonstrated hand paths instead of the expert: a .csv, a .zarr or .zarr.zip "
            "(zarr at another rate than 60 Hz: FILE@HZ).", show_default=False,
        ),
    ] = "",
    split: Annotated[
        Split, typer.Option("--split", help="train, or ood: the recipe's ranges out of distribution.")
    ] = Split.train,
    record: Annotated[
        str,
        typer.Option("--record", metavar="CHANNELS", help="What to keep: rgb, and any of depth, mask, normal, flow, with commas between."),
    ] = "rgb",
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Varied robot episodes in a scene, as a LeRobot dataset.

    Vary light, clutter, cameras, objects and robot start; let an expert solve the task; keep what succeeds. The same seed
    gives the same bytes at any number of workers.
    """
    check_scene(scene)
    check_output(out)
    with output(json=json, quiet=quiet) as o:
        tell_edits(scene)
        from phone2sim.cli.summary import dataset_panel, next_steps
        from phone2sim.sim_export.truth import parse_record

        if demo and expert:
            raise InputError("--demo and --expert exclude each other: a demonstration is the expert.")
        chosen: dict[str, Any] = {
            "simulator": sim.value, "target": target, "task": task, "robot": _absolute(robot), "expert": _absolute(demo) or expert,
            "split": split.value, "record": parse_record(record),
        }  # fmt: skip
        result = run(scene, out, episodes=episodes, recipe=recipe, workers=workers, seed=seed, **chosen)
        o.result(result)
        o.show(dataset_panel(out), next_steps([f"phone2sim report {scene} {out}", f"phone2sim replay {out} 0"]))
        if result["episodes"] < episodes:
            raise GateError(
                f"Only {result['episodes']} of {episodes} wanted episodes after {result['attempts']} attempts; they are kept."
            )


def _absolute(files: str) -> str:
    """Paths joined by `+` made absolute, so that a dataset finds them from anywhere; names stay."""
    return "+".join(str(Path(f).resolve()) if f and Path(f.partition("@")[0]).exists() else f for f in files.split("+"))


def run(
    scene: Path, out: Path, *, episodes: int, recipe: str, workers: int, seed: int, **chosen: Any
) -> dict[str, Any]:  # fmt: skip
    """What `generate --json` prints: how many were tried and kept, why the others failed, and the digest of it all."""
    from phone2sim.sim_export.generate import GenerateConfig
    from phone2sim.sim_export.generate import generate as run_generate

    config = GenerateConfig(recipe=recipe, episodes=episodes, workers=workers, seed=seed, **chosen)
    made = run_generate(scene, out, config)
    keys = ("attempts", "yield", "reasons", "frames", "pairs", "seconds", "digest", "digests")
    return {
        "dataset": str(out),
        "lerobot": str(out / "lerobot"),
        "episodes": made["kept"],
        **{k: made[k] for k in keys},
    }
