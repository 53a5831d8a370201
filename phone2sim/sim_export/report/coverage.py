"""Coverage of a dataset: one strip a parameter, a tick for each attempt or, of many, a histogram."""

from __future__ import annotations

import json
from html import escape

import numpy as np

from phone2sim.augment.coverage import parameters
from phone2sim.augment.spec import EpisodeSpec
from phone2sim.sim_export.report.facts import DatasetFacts

WIDTH, HEIGHT = 260, 20
TICKS = 80
"""Attempts shown one by one; more are counted in bins."""
BINS = 52
REJECTED = "#d9483b"


def coverage(dataset: DatasetFacts) -> str:
    """Strips of what the kept episodes (dark) and the rejected attempts (red) sampled, by axis, and what was always the same;
    empty where specs cannot be read."""
    try:
        kept = [parameters(EpisodeSpec.model_validate(e.spec)) for e in dataset.episodes]
    except (ValueError, StopIteration):
        return ""
    rejected = []
    for path in sorted((dataset.folder / "rejected").glob("*.json")):
        found = json.loads(path.read_text()).get("parameters")
        rejected += [found] if found else []
    axes: dict[str, list[str]] = {}
    same: list[str] = []
    for name in dict.fromkeys(k for p in [*kept, *rejected] for k in p):
        axis, _, what = name.partition(": ")
        good, bad = (np.array([p[name] for p in ps if name in p]) for ps in (kept, rejected))
        if np.ptp(np.r_[good, bad]) < 1e-6:
            same.append(f"{axis} {what} {np.r_[good, bad][0]:.3g}")
        else:
            axes.setdefault(axis, []).append(f"<tr><th>{escape(what)}</th>{strip(good, bad)}</tr>")
    if not axes and not same:
        return ""
    text = "What was drawn: kept dark, rejected red, each strip from its lowest to its highest value; "
    text += "a tick an attempt." if len(kept) + len(rejected) <= TICKS else "bars count attempts."
    rows = "".join(f'<tr class="axis"><th colspan="4">{escape(a.replace("_", " "))}</th></tr>{"".join(r)}' for a, r in axes.items())
    rest = f'<p class="soft">Always the same: {escape(", ".join(same))}.</p>' if same else ""
    return f'<h3>Coverage</h3><p class="soft">{text}</p><table class="coverage">{rows}</table>{rest}'


def strip(kept: np.ndarray, rejected: np.ndarray) -> str:
    """Three cells of a table: the lowest value, an SVG strip, the highest."""
    values = np.r_[kept, rejected]
    low, high = float(values.min()), float(values.max())
    groups = [(WIDTH * (v - low) / (high - low), color) for v, color in ((kept, "currentColor"), (rejected, REJECTED))]
    marks = _ticks(groups) if len(values) <= TICKS else _bars(groups)
    axis = f'<path d="M0 {HEIGHT - 1}H{WIDTH}" stroke="currentColor" stroke-opacity="0.25"/>'
    picture = f'<svg viewBox="-1 0 {WIDTH + 2} {HEIGHT}" preserveAspectRatio="none" height="{HEIGHT}">{axis}{marks}</svg>'
    return f'<td class="end">{low:.3g}</td><td class="range">{picture}</td><td>{high:.3g}</td>'


def _ticks(groups: list[tuple[np.ndarray, str]]) -> str:
    return "".join(
        f'<path d="{"".join(f"M{x:.1f} 3V{HEIGHT - 1}" for x in xs)}" stroke="{color}" stroke-opacity="0.6"/>' for xs, color in groups if len(xs)
    )


def _bars(groups: list[tuple[np.ndarray, str]]) -> str:
    """Counts by bin, the rejected on top of the kept."""
    counts = [np.histogram(xs, BINS, (0, WIDTH))[0] for xs, _ in groups]
    unit, width = (HEIGHT - 2) / np.sum(counts, axis=0).max(), WIDTH / BINS
    base, out = np.zeros(BINS), ""
    for n, (_, color) in zip(counts, groups, strict=True):
        boxes = "".join(
            f"M{width * i:g} {HEIGHT - 1 - unit * base[i]:.1f}h{width - 1:g}v{-unit * n[i]:.1f}h{1 - width:g}z" for i in np.flatnonzero(n)
        )
        out += f'<path d="{boxes}" fill="{color}" fill-opacity="0.6"/>' if boxes else ""
        base = base + n
    return out
