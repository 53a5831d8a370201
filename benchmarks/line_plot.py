"""A row of log-log line plots as a small SVG, without a plotting library."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 300, 240, 52, 44, 26  # [px] of one panel, and its margins
COLORS = ("#1f6feb", "#d9730d", "#2da44e")
DASHES = ("", ' stroke-dasharray="6 4"', ' stroke-dasharray="2 3"')


@dataclass(frozen=True)
class Curve:
    """`y` over `x`, fields of `rows`."""

    name: str
    rows: list[dict[str, Any]]
    x: str
    y: str


def write_svg(path: Path, panels: list[tuple[str, str, list[Curve]]]) -> None:
    """Panels of (x label, y label, curves), side by side."""
    body = "".join(f'<g transform="translate({i * WIDTH} 0)">{_panel(*panel)}</g>' for i, panel in enumerate(panels))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * len(panels)} {HEIGHT}" width="{WIDTH * len(panels)}" height="{HEIGHT}" '
        f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>{body}</svg>\n'
    )


def _panel(x_label: str, y_label: str, curves: list[Curve]) -> str:
    xs = [math.log10(r[c.x]) for c in curves for r in c.rows]
    ys = [math.log10(max(r[c.y], 1e-9)) for c in curves for r in c.rows]
    x0, x1 = min(xs) - 0.05, max(xs) + 0.05
    y0, y1 = math.floor(min(ys) * 2) / 2, math.ceil(max(ys) * 2) / 2
    y1 = max(y1, y0 + 0.5)

    def at(x: float, y: float) -> tuple[float, float]:
        u = LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - 14)
        return u, HEIGHT - BOTTOM - (y - y0) / (y1 - y0) * (HEIGHT - BOTTOM - TOP)

    parts = []
    for value in sorted({r[c.x] for c in curves for r in c.rows}):
        u, _ = at(math.log10(value), y0)
        parts.append(f'<path d="M{u:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#e5e5e5"/>')
        parts.append(f'<text x="{u:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{_short(value)}</text>')
    ticks = [10**e * m for e in range(math.floor(y0) - 1, math.ceil(y1) + 1) for m in (1, 2, 5)]
    for value in (v for v in ticks if y0 - 1e-9 <= math.log10(v) <= y1 + 1e-9):
        _, v = at(x0, math.log10(value))
        parts.append(f'<path d="M{LEFT} {v:.1f}H{WIDTH - 14}" stroke="#e5e5e5"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{v + 4:.1f}" text-anchor="end">{_short(value)}</text>')
    for i, curve in enumerate(curves):
        points = [at(math.log10(r[curve.x]), math.log10(max(r[curve.y], 1e-9))) for r in curve.rows]
        line = " ".join(f"{u:.1f},{v:.1f}" for u, v in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{COLORS[i]}" stroke-width="2"{DASHES[i]}/>')
        parts += [f'<circle cx="{u:.1f}" cy="{v:.1f}" r="3" fill="{COLORS[i]}"/>' for u, v in points]
        parts.append(f'<text x="{LEFT + 80 * i}" y="{TOP - 10}" fill="{COLORS[i]}">{curve.name}</text>')
    parts.append(f'<text x="{(WIDTH + LEFT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{x_label}</text>')
    middle = (HEIGHT - BOTTOM + TOP) / 2
    parts.append(f'<text transform="translate(12 {middle}) rotate(-90)" text-anchor="middle">{y_label}</text>')
    return "".join(parts)


def _short(value: float) -> str:
    return f"{value / 1e6:.3g}M" if value >= 1e6 else f"{value / 1e3:.3g}k" if value >= 1e3 else f"{value:g}"
