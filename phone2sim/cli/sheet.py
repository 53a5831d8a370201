"""`phone2sim sheet`: the scale sheet to print and lay on the table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phone2sim.cli.options import Json, Quiet
from phone2sim.cli.output import output
from phone2sim.cli.paths import check_file

DPI = 600
A4_M = (0.210, 0.297)


def sheet(
    out: Annotated[Path, typer.Argument(metavar="OUT.pdf", help="Page to write: .pdf (A4, true size) or .png.")] = Path(
        "sheet.pdf"
    ),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the scale sheet to print.

    Print it at 100 %, lay it flat beside the objects, and the scale of the scene is exact.
    """
    check_file(out, "sheet", (".pdf", ".png"))
    with output(json=json, quiet=quiet) as o:
        from phone2sim.sheet import PAGE_M, TAG_EDGE_M, TAG_IDS

        out.parent.mkdir(parents=True, exist_ok=True)
        _page().save(out, resolution=DPI) if out.suffix.lower() == ".pdf" else _page().save(out, dpi=(DPI, DPI))
        o.result({"sheet": str(out), "tag_ids": list(TAG_IDS), "tag_edge_m": TAG_EDGE_M, "page_m": list(PAGE_M)})
        o.show(
            f"Wrote {out}. Print at 100 % (no scaling) and check: the ruler is 100 mm, a tag's black edge {1000 * TAG_EDGE_M:.0f} mm."
        )


def _page():
    """An A4 page at true size: the sheet with a cutting frame, a ruler of 100 mm, and one line of instructions."""
    from PIL import Image, ImageDraw, ImageFont

    from phone2sim.sheet import PAGE_M, picture

    per_m = DPI / 0.0254
    w, h = (round(s * per_m) for s in A4_M)
    page = Image.new("L", (w, h), 255)
    tags = Image.fromarray(picture(per_m))
    x, y = (w - tags.width) // 2, round(0.035 * per_m)
    page.paste(tags, (x, y))
    draw = ImageDraw.Draw(page)
    draw.rectangle([x, y, x + tags.width, y + tags.height], outline=150, width=3)
    font = ImageFont.load_default(size=round(0.0042 * per_m))
    draw.text((w // 2, round(0.022 * per_m)), "phone2sim scale sheet", fill=0, font=font, anchor="mm")
    top = y + tags.height + round(0.020 * per_m)
    left = (w - round(0.1 * per_m)) // 2
    draw.line([left, top, left + round(0.1 * per_m), top], fill=0, width=8)
    for mm in range(0, 101, 5):
        tick = round((0.006 if mm % 50 == 0 else 0.004 if mm % 10 == 0 else 0.002) * per_m)
        px = left + round(mm / 1000 * per_m)
        draw.line([px, top, px, top - tick], fill=0, width=5)
    lines = (
        "Print at 100 %, no scaling: this ruler must measure 100 mm.",
        f"Cut along the frame ({1000 * PAGE_M[0]:.0f} by {1000 * PAGE_M[1]:.0f} mm) or use the whole page.",
        "Lay it flat on the table, near the objects, in view of most pictures.",
    )
    for i, line in enumerate(lines):
        draw.text((w // 2, top + round((0.010 + 0.007 * i) * per_m)), line, fill=0, font=font, anchor="mm")
    return page
