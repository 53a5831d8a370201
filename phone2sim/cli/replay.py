"""`phone2sim replay`: an episode again, from its spec alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phone2sim.cli.options import Json, Quiet
from phone2sim.cli.output import output
from phone2sim.cli.paths import check_dataset, check_exists, check_scene
from phone2sim.errors import GateError, InputError


def replay(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="DATASET|SPEC",
            help="Dataset folder, or one episode's spec.json wherever it lies.",
            show_default=False,
        ),
    ],
    episode: Annotated[
        int | None,
        typer.Argument(metavar="EPISODE", min=0, help="Index of the episode, with a dataset.", show_default=False),
    ] = None,
    variant: Annotated[
        str,
        typer.Option("--variant", metavar="NAME", help="A rendering of its pair, such as views_1.", show_default=False),
    ] = "",
    scene: Annotated[
        Path | None,
        typer.Option(
            "--scene",
            metavar="SCENE",
            help="Where the scene is, for a spec or a dataset that moved.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Keep what came out, with a spec.", show_default=False),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run an episode again from its spec and compare.

    The same states, actions and pixels must come out; exit 1 when they differ. A spec.json and the scene are all a
    colleague needs: the hashes in the spec say whether the scene is the right one.
    """
    check_exists(source, "Dataset")
    if scene is not None:
        check_scene(scene)
    if source.is_file():
        if scene is None:
            raise InputError(
                f"{source} is a spec; where is its scene?", hint=f"phone2sim replay {source} --scene SCENE"
            )
        if episode is not None or variant:
            raise InputError("EPISODE and --variant are of use with a dataset, not with a spec.")
        if out is None and not (source.parent / "meta.json").exists() and source.parent.parent.name != "variants":
            raise InputError(f"There is nothing beside {source} to compare with.", hint="Name a folder with --output.")
    else:
        check_dataset(source)
        if episode is None:
            raise InputError(f"Which episode of {source}?", hint=f"phone2sim replay {source} 0")
        if out is not None:
            raise InputError("--output is of use with a spec; a dataset's episode is there already.")
    with output(json=json, quiet=quiet) as o:
        from phone2sim.sim_export.replay import replay as run_replay
        from phone2sim.sim_export.replay import replay_spec

        if scene is not None and source.is_file():
            result, what = replay_spec(source, scene, out=out), str(source)
        else:
            assert episode is not None
            result = run_replay(source, episode, scene_dir=scene, variant=variant)
            what = f"Episode {episode}{f' ({variant})' if variant else ''} of {source}"
        o.result(
            {
                "source": str(source), "episode": episode, "identical": result["same"], "parts": result["parts"],
                "success": result["success"], "output": None if out is None else str(out),
            }
        )  # fmt: skip
        if not result["same"]:
            differ = ", ".join(name for name, same in result["parts"].items() if not same)
            raise GateError(f"{what} came out different in: {differ}.")
        if result["parts"]:
            o.show(f"{what} again, the same bytes: {', '.join(result['parts'])}.")
        if out is not None:
            o.show(f"{what} carried out in {out} ({'a success' if result['success'] else result['reason']}).")
