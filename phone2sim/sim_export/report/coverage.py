"""Coverage of a dataset: one strip a parameter, a tick for each attempt."""

from __future__ import annotations

import json
from html import escape

import numpy as np

from phone2sim.augment.coverage import parameters
from phone2sim.augment.spec import EpisodeSpec
from phone2sim.sim_export.report.facts import DatasetFacts

WIDTH, HEIGHT = 260, 18


def coverage(dataset: DatasetFacts) -> str:
    """Strips of what the kept episodes (dark) and the rejected attempts (red) sampled; empty where specs cannot be read."""
    try:
        kept = [parameters(EpisodeSpec.model_validate(e.spec)) for e in dataset.episodes]
    except (ValueError, StopIteration):
        return ""
    rejected = []
    for path in sorted((dataset.folder / "rejected").glob("*.json")):
        found = json.loads(path.read_text()).get("parameters")
        rejected += [found] if found else []
    rows = []
    for name in dict.fromkeys(k for p in kept for k in p):
        good, bad = ([p[name] for p in ps if name in p] for ps in (kept, rejected))
        rows.append(f"<tr><th>{escape(name)}</th>{strip(good, bad)}</tr>")
    if not rows:
        return ""
    text = "One tick an attempt: kept dark, rejected red; the ends of each strip are the lowest and highest value."
    return f'<h3>Coverage</h3><p class="soft">{text}</p><table>{"".join(rows)}</table>'


def strip(kept: list[float], rejected: list[float]) -> str:
    """Three cells of a table: the lowest value, an SVG line with a tick for each value, the highest; one for what is always the same."""
    values = np.array([*kept, *rejected])
    low, high = float(values.min()), float(values.max())
    if np.isclose(low, high):
        return f'<td class="end">{low:.3g}</td><td class="soft" colspan="2">always</td>'

    def ticks(v: list[float], color: str) -> str:
        return "".join(
            f'<line x1="{WIDTH * (x - low) / (high - low):.1f}" x2="{WIDTH * (x - low) / (high - low):.1f}" y1="2" y2="{HEIGHT - 2}" '
            f'stroke="{color}" stroke-opacity="0.6"/>'
            for x in v
        )

    axis = f'<line x1="0" x2="{WIDTH}" y1="{HEIGHT / 2}" y2="{HEIGHT / 2}" stroke="currentColor" stroke-opacity="0.25"/>'
    picture = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">{axis}{ticks(kept, "currentColor")}{ticks(rejected, "#c33")}</svg>'
    return f'<td class="end">{low:.3g}</td><td class="range">{picture}</td><td>{high:.3g}</td>'
