"""Figures as inline SVG: cameras around the table, intervals, bars. Colours come from the page's CSS variables."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from phone2sim.poses import Pose
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.validity import ValidityMap

PALETTE = ("#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6", "#ec4899", "#14b8a6", "#84cc16")


def colour(i: int) -> str:
    return PALETTE[i % len(PALETTE)]


def camera_plot(
    cameras: Cameras, scene: dict[str, Any], assets: tuple[dict[str, Any], ...], *, axes: tuple[int, int]
) -> str:
    """Orthographic view of camera frusta, support outlines and asset boxes along the world axes `axes` (x, z = side)."""
    a, b = axes
    frusta = [_frustum(cameras, i, 1.0) for i in range(len(cameras))]
    centres = cameras.centres
    middle = np.median(centres, axis=0)
    reach = float(np.median(np.linalg.norm(centres - middle, axis=1))) or 1.0
    outlines = []
    for s in scene.get("supports", []):
        pose = Pose.from_json(s["T_world_surface"])
        xy = np.array(s["outline"], float).reshape(-1, 2)
        outlines.append(pose.apply(np.c_[xy, np.zeros(len(xy))]))
    boxes = [(x["name"], _box(x)) for x in assets]
    points = np.concatenate([centres, *outlines, *[c for _, c in boxes]])[:, [a, b]]
    lo, hi = np.percentile(points, 0, axis=0), np.percentile(points, 100, axis=0)
    pad = 0.12 * float(max(*(hi - lo), 1e-6))
    lo, hi = lo - pad, hi + pad
    width = 460.0
    k = width / (hi[0] - lo[0])
    height = float(np.clip((hi[1] - lo[1]) * k, 140, 460))
    k = min(k, height / (hi[1] - lo[1]))
    x0 = (width - (hi[0] - lo[0]) * k) / 2

    def px(p: np.ndarray) -> tuple[float, float]:
        return x0 + (p[a] - lo[0]) * k, height - (p[b] - lo[1]) * k - (height - (hi[1] - lo[1]) * k) / 2

    def path(ps: np.ndarray) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in map(px, ps))

    out = [f'<svg viewBox="0 0 {width:.0f} {height:.0f}" class="plot" role="img">']
    for o in outlines:
        out.append(f'<polygon points="{path(o)}" class="support"/>')
    for i, (name, corners) in enumerate(boxes):
        hull = corners[_hull(corners[:, [a, b]])]
        out.append(
            f'<polygon points="{path(hull)}" fill="{colour(i)}" fill-opacity=".45" stroke="{colour(i)}">'
            f"<title>{escape(name)}</title></polygon>"
        )
    size = 0.10 * reach
    for i, f in enumerate(frusta):
        corners = centres[i] + (f - centres[i]) * size
        t = i / max(len(frusta) - 1, 1)
        hue = 205 + 75 * t
        style = f'style="stroke:hsl({hue:.0f} 70% 55%);fill:hsl({hue:.0f} 70% 55% / .15)"'
        c = centres[i]
        out.append(f'<polygon points="{path(corners)}" {style} class="cam"/>')
        out += [f'<polyline points="{path(np.stack([c, q]))}" {style} class="cam"/>' for q in corners]
    out.append(_scale_bar(k, width, height))
    out.append("</svg>")
    return "".join(out)


def validity_plot(validity: dict[str, Any], cameras: Cameras) -> str:
    """Directions from above, the zenith in the middle and the horizon at the rim: green where the capture supports new views
    from the distance it supports best, and the cameras as dots. Empty without a map."""
    if not validity.get("map"):
        return ""
    found = ValidityMap.from_json(validity["map"])
    best = found.support.max(axis=2)
    n_e, n_a = best.shape
    size, rim = 460.0, 200.0
    middle = size / 2
    edges = np.arcsin(np.linspace(-1, 1, n_e + 1))

    def px(elevation: float, azimuth: float) -> str:
        r = rim * (1 - max(elevation, 0.0) / (np.pi / 2))
        return f"{middle + r * np.cos(azimuth):.1f},{middle - r * np.sin(azimuth):.1f}"

    out = [f'<svg viewBox="0 0 {size:.0f} {size:.0f}" class="plot" role="img">']
    for i in range(n_e):
        if edges[i + 1] <= 1e-9:
            continue
        for j in range(n_a):
            a0, a1 = 2 * np.pi * j / n_a, 2 * np.pi * (j + 1) / n_a
            ring = [px(edges[i], a0), px(edges[i], a1), px(edges[i + 1], a1), px(edges[i + 1], a0)]
            v = float(best[i, j])
            k = int(found.support[i, j].argmax())
            title = f"{v:.2f} at {found.distance_m[k]:.2f} m, {found.psnr[i, j, k]:.0f} dB expected"
            fill = f"hsl({12 + 128 * v:.0f} 62% {52 - 8 * v:.0f}%)"
            out.append(f'<polygon points="{" ".join(ring)}" fill="{fill}" fill-opacity="{0.12 + 0.75 * v:.2f}"><title>{title}</title></polygon>')
    for elevation in (0.0, 30.0, 60.0):
        r = rim * (1 - elevation / 90)
        out.append(f'<circle cx="{middle}" cy="{middle}" r="{r:.1f}" fill="none" class="scale"/>')
        out.append(f'<text x="{middle + 3:.0f}" y="{middle - r - 3:.1f}" class="tick">{elevation:.0f}°</text>')
    d = cameras.centres - found.center
    for x, y, z in d / np.maximum(np.linalg.norm(d, axis=1, keepdims=True), 1e-9):
        cx, cy = px(float(np.arcsin(np.clip(z, -1, 1))), float(np.arctan2(y, x))).split(",")
        out.append(f'<circle cx="{cx}" cy="{cy}" r="2.6" fill="#fff" stroke="#1e293b" stroke-width="1"/>')
    return "".join(out) + "</svg>"


def interval_bar(value: float, low: float, high: float, *, span: tuple[float, float] | None = None) -> str:
    """A horizontal band from `low` to `high` with a mark at `value`."""
    lo, hi = span or (low - 0.35 * (high - low), high + 0.35 * (high - low))
    if hi <= lo:
        lo, hi = value - 1, value + 1

    def x(v: float) -> float:
        return 100 * float(np.clip((v - lo) / (hi - lo), 0, 1))

    return (
        '<svg viewBox="0 0 100 8" class="interval" preserveAspectRatio="none" role="img">'
        '<rect x="0" y="3.4" width="100" height="1.2" rx=".6" class="track"/>'
        f'<rect x="{x(low):.2f}" y="2" width="{max(x(high) - x(low), 0.8):.2f}" height="4" rx="2" class="band"/>'
        f'<rect x="{x(value) - 0.6:.2f}" y="0.5" width="1.2" height="7" rx=".6" class="mark"/></svg>'
    )


def bars(rows: list[tuple[str, float, str]]) -> str:
    """Labelled horizontal bars: (label, value, text at its end)."""
    top = max((v for _, v, _ in rows), default=1.0) or 1.0
    cells = "".join(
        f'<div class="bar-label">{escape(label)}</div>'
        f'<div class="bar-cell"><div class="bar" style="width:{100 * v / top:.1f}%"></div><span>{escape(text)}</span></div>'
        for label, v, text in rows
    )
    return f'<div class="bars">{cells}</div>'


def moves_plot(
    moves: list[tuple[np.ndarray, np.ndarray, bool, str]], outline: np.ndarray | None, marks: list[np.ndarray]
) -> str:
    """Where targets start (dot) and should go (ring), seen from above: (start xy, goal xy, success, label) [m]."""
    points = [p for s, g, _, _ in moves for p in (s, g)] + marks + ([] if outline is None else list(outline[:, :2]))
    if not points:
        return ""
    p = np.array(points)
    lo, hi = p.min(0) - 0.05, p.max(0) + 0.05
    width = 460.0
    k = width / (hi[0] - lo[0])
    height = (hi[1] - lo[1]) * k
    if height > 460:
        k, width, height = k * 460 / height, width * 460 / height, 460.0

    def px(q: np.ndarray) -> str:
        return f"{(q[0] - lo[0]) * k:.1f},{height - (q[1] - lo[1]) * k:.1f}"

    def xy(q: np.ndarray, x: str = "cx", y: str = "cy") -> str:
        a, b = px(q).split(",")
        return f'{x}="{a}" {y}="{b}"'

    out = [f'<svg viewBox="0 0 {width:.0f} {height:.0f}" class="plot" role="img">']
    if outline is not None:
        out.append(f'<polygon points="{" ".join(px(q) for q in outline)}" class="support"/>')
    for q in marks:
        out.append(
            f'<circle {xy(q)} r="9" class="base"/><text {xy(q, "x", "y")} dy="22" class="tick" text-anchor="middle">robot</text>'
        )
    for s, g, ok, label in moves:
        c = "var(--good)" if ok else "var(--bad)"
        dash = "" if ok else ' stroke-dasharray="4 3"'
        out.append(
            f'<line {xy(s, "x1", "y1")} {xy(g, "x2", "y2")} stroke="{c}" stroke-width="1.6" opacity=".7"{dash}/>'
        )
        out.append(f'<circle {xy(s)} r="4.5" fill="{c}"><title>{escape(label)}</title></circle>')
        out.append(f'<circle {xy(g)} r="5.5" fill="none" stroke="{c}" stroke-width="2"/>')
    out.append(_scale_bar(k, width, height))
    return "".join(out) + "</svg>"


def _scale_bar(px_per_m: float, width: float, height: float) -> str:
    length = next((m for m in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if m * px_per_m >= 48), 100.0)
    x1, y = width - 14, height - 12
    x0 = x1 - length * px_per_m
    text = f"{length * 100:.0f} cm" if length < 1 else f"{length:g} m"
    return (
        f'<path d="M{x0:.1f} {y - 4:.1f}v4h{x1 - x0:.1f}v-4" class="scale"/>'
        f'<text x="{(x0 + x1) / 2:.1f}" y="{y - 6:.1f}" text-anchor="middle" class="tick">{text}</text>'
    )


def _frustum(cameras: Cameras, i: int, depth: float) -> np.ndarray:
    """(4, 3) world corners of the picture at `depth` [m]."""
    w, h = cameras.size_wh[i]
    corners = np.array([[0, 0, 1], [w, 0, 1], [w, h, 1], [0, h, 1]], float)
    rays = corners @ np.linalg.inv(cameras.K[i]).T * depth
    T = cameras.T_world_camera[i]
    return rays @ T[:3, :3].T + T[:3, 3]


def _box(asset: dict[str, Any]) -> np.ndarray:
    """(8, 3) world corners; the asset frame has its origin at the middle of the footprint."""
    ex, ey, ez = asset["extents_m"]
    g = np.array([[x, y, z] for x in (-ex / 2, ex / 2) for y in (-ey / 2, ey / 2) for z in (0, ez)])
    return Pose.from_json(asset["T_world_asset"]).apply(g)


def _hull(p: np.ndarray) -> list[int]:
    """Indices of the 2D convex hull, counter-clockwise (Andrew 1979)."""
    order = sorted(range(len(p)), key=lambda i: (p[i, 0], p[i, 1]))

    def half(indices: list[int]) -> list[int]:
        chain: list[int] = []
        for i in indices:
            while len(chain) > 1:
                u, v = p[chain[-1]] - p[chain[-2]], p[i] - p[chain[-2]]
                if u[0] * v[1] - u[1] * v[0] > 0:
                    break
                chain.pop()
            chain.append(i)
        return chain[:-1]

    return half(order) + half(order[::-1])
