"""`phone2sim sample`: the synthetic phone clip, with its truth beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phone2sim.cli.options import Json, Quiet, Seed
from phone2sim.cli.output import output
from phone2sim.cli.paths import check_file


def sample(
    out: Annotated[Path, typer.Argument(metavar="OUT.mp4", help="Clip to write.", show_default=False)],
    empty: Annotated[bool, typer.Option("--empty", help="Also film the table without the objects, as <OUT>_empty.mp4.")] = False,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Render the synthetic phone clip, with exact truth.

    A handheld clip of a table with objects; exact poses, masks, meshes and masses go beside it.
    """
    check_file(out, "clip", (".mp4",))
    with output(json=json, quiet=quiet) as o:
        from phone2sim.sample import make_sample

        truth = make_sample(out, seed=seed, empty=empty)
        bare = out.with_name(f"{out.stem}_empty.mp4")
        files = {"clip": str(out), **({"empty": str(bare)} if empty else {}), "truth": str(out.with_suffix(".truth.json"))}
        o.result({**files, **_plain(truth)})
        also = f" --empty {bare}" if empty else ""
        o.show(*(f"{name.capitalize():<6} {file}" for name, file in files.items()), f"Next:  phone2sim build {out}{also} -o SCENE")


def _plain(result: object) -> dict:
    return {k: v for k, v in result.items() if isinstance(v, (int, float, str))} if isinstance(result, dict) else {}
