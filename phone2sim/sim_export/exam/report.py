"""An exam's curves as `exam.svg`, and `exam.html`: the curves, where it breaks, and every number."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from phone2sim.sim_export.exam.curves import Line, curves_svg
from phone2sim.sim_export.exam.grid import EXAM_AXES
from phone2sim.sim_export.report.page import page


def write_exam(result: dict[str, Any], out: Path) -> None:
    """Write both files into the folder `out`."""
    from phone2sim.sim_export.exam.run import curve

    policies = list(dict.fromkeys(c["policy"] for c in result["cells"]))
    axes = [a for a in EXAM_AXES if any(c["axis"] == a for c in result["cells"])]
    curves = {(p, a): curve(result, p, a) for p in policies for a in axes}
    panels = []
    for a in axes:
        lines = [
            Line(name=p, points=[(c["value"], c["rate"], c["low"], c["high"]) for c in curves[p, a]]) for p in policies
        ]
        panels.append((EXAM_AXES[a].title, EXAM_AXES[a].unit, lines))
    svg = curves_svg(panels) if panels else ""
    if svg:
        (out / "exam.svg").write_text(svg)
    nominal = {c["policy"]: c for c in result["cells"] if c["axis"] == "nominal"}
    tiles = [(f"{p}, scene as captured", f"{100 * c['rate']:.0f} %") for p, c in nominal.items()]
    sections = [("curves", "Success by axis", f'<div class="wide">{svg}</div>{_how(result)}')] if svg else []
    sections.append(("numbers", "Every number", _table(result)))
    lead = f"Task: {result['task']}. {result['episodes']} held-out episodes per level, seed {result['seed']}; one thing varied at a time."
    (out / "exam.html").write_text(
        page(f"Exam in {result['scene'] or 'a scene'}", lead, "", tiles, sections), encoding="utf-8"
    )


def _how(result: dict[str, Any]) -> str:
    return (
        '<p class="soft">The first level of each axis is the scene as captured, with the objects in random places. Bands are '
        "95 % intervals (Wilson). All levels and policies share the same episodes; they are drawn from a key that no dataset "
        f"uses. Actions are {escape(result['control'])}, {result['execute']} per answer.</p>"
    )


def _table(result: dict[str, Any]) -> str:
    head = "<tr><th>policy</th><th>axis</th><th>level</th><th>success</th><th>95 %</th><th>n</th><th>progress</th><th>failures</th></tr>"
    rows = []
    for c in result["cells"]:
        axis = "as captured" if c["axis"] == "nominal" else EXAM_AXES[c["axis"]].title
        level = "" if c["axis"] == "nominal" else f"{c['value']:g}"
        why = ", ".join(f"{r} {n}" for r, n in c["reasons"].items())
        cells = (
            c["policy"], axis, level, f"{100 * c['rate']:.0f} %", f"{100 * c['low']:.0f}–{100 * c['high']:.0f}", str(c["n"]),
            f"{c['progress']:.2f}", why,
        )  # fmt: skip
        rows.append("<tr>" + "".join(f"<td>{escape(x)}</td>" for x in cells) + "</tr>")
    return f'<div class="wide"><table>{head}{"".join(rows)}</table></div>'
