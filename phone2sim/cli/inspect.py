"""`phone2sim inspect`: what is wrong with a capture, before hours are spent on it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from phone2sim.cli.options import Json, Quiet
from phone2sim.cli.output import output
from phone2sim.cli.paths import check_exists, check_file
from phone2sim.errors import CaptureError

if TYPE_CHECKING:
    from phone2sim.reconstruct.capture import Capture
    from phone2sim.reconstruct.coach import CoachReport

STYLE = {"cannot work": "bold red", "bad": "dark_orange", "advice": "yellow"}


def inspect(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="CAPTURE", help="A phone clip, a folder of photos, or a scene folder.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="SHEET.jpg", help="Thumbnail sheet to write, .jpg or .png."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Look at a capture and say what to do better.

    Blur, exposure, overlap, a camera that stands still or only turns, things that move, sides nobody saw; each with its
    frames. Exit code 1 when the capture cannot work. `build` does the same first.
    """
    check_exists(source, "Capture")
    if out is not None:
        check_file(out, "sheet", (".jpg", ".jpeg", ".png"))
    with output(json=json, quiet=quiet) as o, tempfile.TemporaryDirectory(prefix="phone2sim-inspect-") as scratch:
        from phone2sim.reconstruct.cameras import Cameras
        from phone2sim.reconstruct.coach import look, write_sheet

        solved = source / "cameras" / "transforms.json"
        own = (source / "capture" / "capture.json").exists()
        capture = _read(source, own, Path(scratch))
        report, pictures = look(capture, Cameras.load(solved) if own and solved.exists() else None)
        if out is not None:
            write_sheet(report, pictures, out)
        o.result({**report.to_json(), "sheet": None if out is None else str(out)})
        o.show(_summary(report))
        if out is not None:
            o.show(f"Wrote {out}")
        elif report.findings:
            o.show(Text(f"-o {source.stem or 'capture'}-inspect.jpg writes the frames with these marks.", style="dim"))
    if not report.works:
        raise typer.Exit(1)


def _read(source: Path, own: bool, scratch: Path) -> Capture:
    """The capture of a scene, or a small one in `scratch`. A clip in which nothing changes is read all the same."""
    from phone2sim.reconstruct.capture import Capture, CaptureConfig, ingest

    if own:
        return Capture.load(source / "capture")
    config = CaptureConfig(max_side=1280)
    try:
        (scratch / "a").mkdir()
        return ingest(source, scratch / "a", config)
    except CaptureError as first:
        if "hardly changes" not in first.message:
            raise
        (scratch / "b").mkdir()
        return ingest(source, scratch / "b", config.model_copy(update={"min_step": 0.0}))


def _summary(report: CoachReport) -> RenderableType:
    """A verdict, what is fine in one line, then a row a finding."""
    t = Table(box=box.SIMPLE, show_header=False, pad_edge=False, expand=False)
    t.add_column(no_wrap=True)
    t.add_column()
    good = ", ".join(report.good)
    worst = report.findings[0].severity if report.findings else ""
    words = {"cannot work": "cannot work like this", "bad": "may work, badly"}
    t.add_row(Text(report.source, style="bold"), Text(words.get(worst, "fit to build"), style=STYLE.get(worst, "green")
              if worst != "advice" else "green"))  # fmt: skip
    t.add_row(Text("fine", style="green"), Text(good))
    for f in report.findings:
        t.add_row(Text(f.severity, style=STYLE[f.severity]), Text.assemble(f.seen, (f" {f.do}", "dim")))
    return t
