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
    said = "".join('<div class="note">' + escape(f"{c['subject']}: {c['name']}: {c['why']}") + "</div>" for c in failed)
    said += "".join(f'<div class="note said">{escape(t)}</div>' for t in scene.certificate.get("notes", []))
    here = [c for c in checks if ": " not in c["name"] or c["subject"] == "scene"]
    engines = _engines(checks, scene.certificate.get("engines", []))
    return f"<p>{chip}</p>{said}{_matrix(here)}{engines}{_looks(scene)}"


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


_MEASURES = (
    ("same body", "mass, inertia, hulls", "", ""), ("same rest", "rest from MuJoCo's", "rest_m", "mm"),
    ("same slide", "slides", "slid_m", "mm"), ("same tip", "tips at", "tip_deg", "°"), ("survives a drop", "sinks after a drop", "sank_m", "mm"),
)  # fmt: skip
"""Gate, heading, measure, unit."""


def _engines(checks: list[dict[str, Any]], opinions: list[dict[str, Any]]) -> str:
    """Objects down, trials across, one line an engine; empty when no other engine was asked."""
    if len(opinions) < 2:
        return ""
    by = {(c["subject"], c["name"]): c for c in checks}
    head = "".join(f"<th>{escape(title)}</th>" for _, title, _, _ in _MEASURES)
    rows = []
    for name in opinions[0]["objects"]:
        for k, o in enumerate(opinions):
            first = f'<th rowspan="{len(opinions)}">{escape(name)}</th>' if k == 0 else ""
            cells = "".join(_opinion(by.get((name, f"{o['engine']}: {m[0]}")), o["objects"].get(name, {}), m) for m in _MEASURES)
            rows.append(f"<tr>{first}<td>{escape(o['engine'])}</td>{cells}</tr>")
    return (
        f'<h3>The same trials in every engine, from the exported USD</h3><div class="wide"><table><tr><th></th><th>engine</th>{head}</tr>'
        f"{''.join(rows)}</table></div>"
    )


def _opinion(check: dict[str, Any] | None, measured: dict[str, float], measure: tuple[str, str, str, str]) -> str:
    """A cell: the measure, coloured by its gate where there is one."""
    _, _, key, unit = measure
    value = measured.get(key)
    text = "" if value is None else f"{1000 * value:.1f} mm" if unit == "mm" else f"{value:.1f}{unit}"
    if check is None:
        return f"<td>{escape(text)}</td>"
    text = text or ("yes" if check["passed"] else "no")
    chip = f'<span class="chip {"good" if check["passed"] else "bad"}">{escape(text).replace(" ", "&nbsp;")}</span>'
    return f'<td title="{escape(check["why"])}">{chip}</td>'


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
    if not figures:
        return ""
    every = " · ".join(f"{escape(n)} {x['psnr']:.1f} dB, {x['ssim']:.2f}" for n, x in sorted(looks.items()))
    return (
        f'<h3>The same cameras, photo and twin</h3><div class="pairs">{"".join(figures)}</div>'
        f'<p class="soft">PSNR and SSIM of every camera compared: {every}.</p>'
    )
