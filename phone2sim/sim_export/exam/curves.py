"""Success curves with their intervals, as one SVG: a panel per axis, a line per policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

PALETTE = ("#2563eb", "#d9730d", "#0f9d6b", "#8b5cf6", "#6b7280", "#db2777")
DASHES = ("", "7 4", "2 3", "9 3 2 3", "4 4", "1 4")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 330, 230, 44, 12, 30, 44
"""[px] of one panel, and its margins."""
COLUMNS = 3


@dataclass(frozen=True, kw_only=True)
class Line:
    """One policy along one axis: level, rate and interval (0–1) of each point."""

    name: str
    points: Sequence[tuple[float, float, float, float]]


def curves_svg(panels: Sequence[tuple[str, str, Sequence[Line]]]) -> str:
    """Panels of (title, unit, lines) in rows of three; names beside their colours on top. Levels are spaced evenly."""
    names = list(dict.fromkeys(line.name for _, _, lines in panels for line in lines))
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    w = columns * WIDTH
    places = _legend(names, w)
    legend = 26 + max((y for _, y in places), default=0)
    h = rows * HEIGHT + legend
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" '
        f'font-family="ui-sans-serif,system-ui,sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>'
    ]
    for name, (x, y) in zip(names, places):
        colour, dash = _style(names, name)
        out.append(f'<path d="M{x} {y + 15}h26" stroke="{colour}" stroke-width="2.5" stroke-dasharray="{dash}"/>')
        out.append(f'<text x="{x + 32}" y="{y + 19}" fill="#1b1c1e">{escape(name)}</text>')
    for i, (title, unit, lines) in enumerate(panels):
        at = f"{i % columns * WIDTH} {i // columns * HEIGHT + legend}"
        out.append(f'<g transform="translate({at})">{_panel(title, unit, lines, names)}</g>')
    return "".join(out) + "</svg>\n"


def _legend(names: Sequence[str], width: int) -> list[tuple[int, int]]:
    """Where each name stands, in as many rows as it takes."""
    places, x, y = [], LEFT, 0
    for name in names:
        wide = round(52 + 6.4 * len(name))
        if x > LEFT and x + wide > width:
            x, y = LEFT, y + 18
        places.append((x, y))
        x += wide
    return places


def _style(names: list[str], name: str) -> tuple[str, str]:
    i = names.index(name) % len(PALETTE)
    return PALETTE[i], DASHES[i]


def _panel(title: str, unit: str, lines: Sequence[Line], names: list[str]) -> str:
    values = sorted({p[0] for line in lines for p in line.points})
    step = (WIDTH - LEFT - RIGHT - 24) / max(len(values) - 1, 1)

    def px(value: float, rate: float) -> tuple[float, float]:
        return LEFT + 12 + values.index(value) * step, TOP + (1 - rate) * (HEIGHT - TOP - BOTTOM)

    out = [f'<text x="{LEFT}" y="{TOP - 12}" font-size="13" font-weight="600" fill="#1b1c1e">{escape(title)}</text>']
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = px(values[0], share)[1]
        out.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#e3e1dc"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#6a6d73">{100 * share:.0f} %</text>')
    for value in values:
        x = px(value, 0)[0]
        out.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle" fill="#6a6d73">{value:g}</text>')
    out.append(
        f'<text x="{(LEFT + WIDTH) / 2:.0f}" y="{HEIGHT - 12}" text-anchor="middle" fill="#6a6d73">{escape(unit)}</text>'
    )
    for line in lines:
        colour, dash = _style(names, line.name)
        top = [px(v, high) for v, _, _, high in line.points]
        bottom = [px(v, low) for v, _, low, _ in line.points]
        band = " ".join(f"{x:.1f},{y:.1f}" for x, y in top + bottom[::-1])
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (px(v, r) for v, r, _, _ in line.points))
        out.append(f'<polygon points="{band}" fill="{colour}" fill-opacity=".12"/>')
        out.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>'
        )
        out += [
            f'<circle cx="{px(v, r)[0]:.1f}" cy="{px(v, r)[1]:.1f}" r="3" fill="{colour}"><title>{escape(line.name)} at {v:g}: '
            f"{100 * r:.0f} % ({100 * low:.0f}–{100 * high:.0f})</title></circle>"
            for v, r, low, high in line.points
        ]
    return "".join(out)
