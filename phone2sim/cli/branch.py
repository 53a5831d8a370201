"""`phone2sim branch`: what else could have happened."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phone2sim.cli.options import DatasetDir, Json, Quiet, Seed
from phone2sim.cli.output import output
from phone2sim.cli.paths import check_dataset, check_output, check_scene


def branch(
    dataset: DatasetDir,
    out: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder to make.", show_default=False)],
    episodes: Annotated[int, typer.Option("--episodes", "-n", min=1, help="Episodes to branch, the first ones.")] = 8,
    states: Annotated[int, typer.Option("--states", min=1, help="States per episode.")] = 3,
    branches: Annotated[int, typer.Option("--branches", min=2, help="Futures per state; the first is as recorded.")] = 8,
    horizon: Annotated[float, typer.Option("--horizon", min=0.1, help="Length of a chunk of actions [s].")] = 1.0,
    pictures: Annotated[bool, typer.Option(help="Videos of the chunks.")] = True,
    scene: Annotated[
        Path | None, typer.Option("--scene", metavar="SCENE", help="Where the scene is, if it moved.", show_default=False)
    ] = None,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Other futures of recorded states, and a value of each.

    From the very same state: the recorded actions, detours, late, early and weak grasps, random motion. Each future has its
    success, progress, contacts, return and value; from five episodes on, a small value model is trained and its ranking of
    held-out futures compared with progress alone.
    """
    check_dataset(dataset)
    check_output(out)
    if scene is not None:
        check_scene(scene)
    with output(json=json, quiet=quiet) as o:
        from phone2sim.sim_export.branches import BranchConfig
        from phone2sim.sim_export.branches import branch as run_branch

        config = BranchConfig(
            episodes=episodes, states=states, branches=branches, horizon_s=horizon, seed=seed, pictures=pictures
        )
        made = run_branch(dataset, out, config, scene_dir=scene)
        o.result({"folder": str(out), **made})
        o.show(f"{made['branches']} futures of {made['states']} states in {out}; {made['successes']} succeed.")
        if rank := made["ranking"]:
            o.show(
                f"Of held-out pairs of a good and a bad future the value model orders {100 * rank['model']['pairs']:.0f} % right, "
                f"progress alone {100 * rank['progress']['pairs']:.0f} %."
            )
