"""`phone2sim replay`: an episode again, from its spec alone."""

from __future__ import annotations

from typing import Annotated

import typer

from phone2sim.cli.options import DatasetDir, Json, Quiet, check_dataset
from phone2sim.cli.output import output
from phone2sim.errors import GateError


def replay(
    dataset: DatasetDir,
    episode: Annotated[int, typer.Argument(metavar="EPISODE", min=0, help="Index of the episode.", show_default=False)],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run an episode again from its spec and compare.

    The same states, actions and pixels must come out; exit 1 when they differ.
    """
    check_dataset(dataset)
    with output(json=json, quiet=quiet) as o:
        from phone2sim.sim_export.replay import replay as run_replay

        result = run_replay(dataset, episode)
        o.result({"dataset": str(dataset), "episode": episode, "identical": result["same"], "parts": result["parts"]})
        if not result["same"]:
            differ = ", ".join(name for name, same in result["parts"].items() if not same)
            raise GateError(f"Episode {episode} of {dataset} came out different in: {differ}.")
        o.show(f"Episode {episode} again, the same bytes: {', '.join(result['parts'])}.")
