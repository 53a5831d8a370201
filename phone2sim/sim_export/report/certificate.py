"""The certificate's page of the report: a matrix of gates by object, what failed, and photos beside the twin."""

from __future__ import annotations

from html import escape
from typing import Any

from phone2sim.sim_export.report.facts import SceneFacts
from phone2sim.sim_export.report.pictures import embed, spread


def certificate(scene: SceneFacts) -> str:
    """HTML, empty before `phone2sim check` has run."""
    checks = scene.certificate.get("checks", [])
    if not checks:
        return ""
    passed = sum(c["passed"] for c in checks)
    good = passed == len(checks)
    chip = f'<span class="chip {"good" if good else "bad"}">{passed} of {len(checks)} gates passed</span>'
    failed = [c for c in checks if not c["passed"]]
    notes = [f"{c['subject']}: {c['name']}: {c['why']}" for c in failed] + list(scene.certificate.get("notes", []))
    said = "".join(f'<div class="note">{escape(t)}</div>' for t in notes)
    return f"<p>{chip}</p>{said}{_matrix(checks)}{_looks(scene)}"


def _matrix(checks: list[dict[str, Any]]) -> str:
    """Subjects down, gates across; the sentence with the numbers is each cell's tooltip."""
    subjects = list(dict.fromkeys(c["subject"] for c in checks))
    gates = list(dict.fromkeys(c["name"] for c in checks))
    by = {(c["subject"], c["name"]): c for c in checks}
    head = "".join(f"<th>{escape(g)}</th>" for g in gates)
    rows = []
    for s in subjects:
        cells = []
        for g in gates:
            c = by.get((s, g))
            cells.append("<td></td>" if c is None else f'<td title="{escape(c["why"])}">{_cell(c)}</td>')
        rows.append(f"<tr><th>{escape(s)}</th>{''.join(cells)}</tr>")
    return f'<div class="wide"><table><tr><th></th>{head}</tr>{"".join(rows)}</table></div>'


def _cell(check: dict[str, Any]) -> str:
    value, unit = check["measured"], check["unit"]
    text = "–" if value is None else f"{1000 * value:.1f} mm" if unit == "m" else f"{value:.1f} {unit}".strip()
    if unit == "":
        text = "yes" if check["passed"] else "no"
    return f'<span class="chip {"good" if check["passed"] else "bad"}">{escape(text).replace(" ", "&nbsp;")}</span>'


def _looks(scene: SceneFacts) -> str:
    folder = scene.folder / "certificate" / "views"
    looks = {x["name"]: x for x in scene.certificate.get("looks", [])}
    figures = []
    for name in spread(sorted(looks), 3):
        photo, twin = folder / f"{name}_photo.png", folder / f"{name}_twin.png"
        if photo.exists() and twin.exists():
            text = f"{escape(name)} · {looks[name]['psnr']:.1f} dB · SSIM {looks[name]['ssim']:.2f} — photo left, twin right"
            figures.append(
                f'<figure><div class="pair"><img src="{embed(photo, max_side=480)}" alt="photo">'
                f'<img src="{embed(twin, max_side=480)}" alt="twin"></div><figcaption>{text}</figcaption></figure>'
            )
    return f'<h3>The same cameras, photo and twin</h3><div class="pairs">{"".join(figures)}</div>' if figures else ""
