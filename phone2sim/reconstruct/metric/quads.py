"""Four-sided flat things in one picture, without weights: paper, cards, anything with four straight contrasting edges."""

from __future__ import annotations

import numpy as np

WORKING_SIDE = 1000
"""Longer side [px] that quads are looked for at; their edges are then measured in the full picture."""
LEAST_AREA = 0.0025
MOST_AREA = 0.6
"""Area of a quad as a part of the picture."""
LEAST_SLIM = 0.18
"""Least width of a quad as a part of its length, as seen."""
LEAST_SEEN = 0.45
"""Part of every edge that must be seen as a straight contour; the rest may be covered by things lying on it."""
MOST = 14
"""Quads kept of one picture, the best seen first."""


def find_quads(rgb: np.ndarray) -> np.ndarray:
    """(k, 4, 2) corners [px, pixel centre at +0.5], clockwise as seen, of the four-sided things in a picture.

    Regions come from thresholds of lightness and of two opponent colours, and from closed edges; of each region's convex
    hull the four dominant sides are taken, so that something lying across an edge or a corner does not hide it. Every
    edge is then fitted to the subpixel in linear light.
    """
    import cv2

    h, w = rgb.shape[:2]
    s = min(1.0, WORKING_SIDE / max(h, w))
    small = cv2.resize(rgb, (round(w * s), round(h * s)), interpolation=cv2.INTER_AREA) if s < 1 else rgb
    light = (rgb.astype(np.float32) / 255) ** 2.2
    light = light @ np.array([0.3, 0.5, 0.2], np.float32)
    step = np.array([w / small.shape[1], h / small.shape[0]])
    kept: list[tuple[float, np.ndarray]] = []
    tried: list[np.ndarray] = []
    for region in _regions(small):
        quad = _four_sides(region, small.shape[:2])
        if quad is None or _same(quad, tried, 0.012).any():
            continue
        tried.append(quad)
        refined, seen = refine_quad(light, (quad + 0.5) * step - 0.5)
        if seen < LEAST_SEEN:
            continue
        same = _same(refined, [q for _, q in kept], 0.03)
        if any(s and k[0] >= seen for s, k in zip(same, kept, strict=True)):
            continue
        kept = [k for s, k in zip(same, kept, strict=True) if not s] + [(seen, refined)]
    kept.sort(key=lambda e: (-e[0], e[1][0, 0], e[1][0, 1]))
    return np.array([q for _, q in kept[:MOST]]).reshape(-1, 4, 2) + 0.5


def _regions(small: np.ndarray) -> list[np.ndarray]:
    """Contours (n, 2) of candidate regions."""
    import cv2

    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    soft = [cv2.bilateralFilter(np.ascontiguousarray(lab[..., k]), 7, 40, 5) for k in range(3)]
    masks = []
    L = soft[0]
    levels = np.unique(np.quantile(L[::4, ::4], [0.3, 0.5, 0.65, 0.78, 0.88, 0.94]).astype(int))
    otsu = int(cv2.threshold(L, 0, 255, cv2.THRESH_OTSU)[0])
    for level in sorted({otsu, *levels.tolist(), 150, 190}):
        masks.append((L > level).astype(np.uint8))
    masks.append((L < min(otsu, 90)).astype(np.uint8))
    for c in soft[1:]:
        middle, spread = float(np.median(c)), max(6.0, 1.5 * float(c.std()))
        masks += [(c > middle + spread).astype(np.uint8), (c < middle - spread).astype(np.uint8)]
    edges = [cv2.Canny(c, lo, hi) for c, lo, hi in ((soft[0], 30, 90), (soft[0], 12, 40), (soft[1], 10, 30), (soft[2], 10, 30))]
    closed = [cv2.morphologyEx(e, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8), iterations=1) for e in edges]
    joined = cv2.dilate(edges[0] | edges[2] | edges[3], np.ones((3, 3), np.uint8))
    least = LEAST_AREA * small.shape[0] * small.shape[1]
    out = []
    kernel = np.ones((3, 3), np.uint8)
    for mask in [*masks, *(1 - (e > 0).astype(np.uint8) for e in (*closed, joined))]:
        opened = (cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel, iterations=k) for k in (2, 6))
        for m in (mask, *opened):  # what merely touches a sheet is cut off
            for contour in cv2.findContours(m, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]:
                if len(contour) > 60 and cv2.contourArea(contour) > 0.5 * least:
                    out.append(contour[:, 0])
    return out


def _four_sides(contour: np.ndarray, size: tuple[int, int]) -> np.ndarray | None:
    """(4, 2) corners, clockwise, of the four dominant sides of a contour's hull; None when there are no such four."""
    import cv2

    hull = cv2.convexHull(contour)
    around = cv2.arcLength(hull, True)
    polygon = cv2.approxPolyDP(hull, 0.012 * around, True)[:, 0].astype(float)
    area = cv2.contourArea(hull)
    if len(polygon) < 4 or len(polygon) > 9 or not LEAST_AREA <= area / (size[0] * size[1]) <= MOST_AREA:
        return None
    lengths = np.linalg.norm(np.roll(polygon, -1, axis=0) - polygon, axis=1)
    (_, (one, other), _) = cv2.minAreaRect(hull)
    if min(one, other) < LEAST_SLIM * max(one, other):
        return None
    sides = np.sort(np.argsort(-lengths, kind="stable")[:4])
    if lengths[sides].sum() < 0.8 * around:
        return None
    lines = [np.cross(np.append(polygon[k], 1), np.append(polygon[(k + 1) % len(polygon)], 1)) for k in sides]
    corners = np.empty((4, 2))
    for k in range(4):
        x = np.cross(lines[k - 1], lines[k])
        if abs(x[2]) < 1e-9:
            return None
        corners[k] = x[:2] / x[2]
    if not _convex(corners) or abs(_area(corners)) > 1.3 * area:
        return None
    h, w = size
    if corners.min() < -0.03 * w or (corners > np.array([1.03 * w, 1.03 * h])).any():
        return None
    return corners if _area(corners) > 0 else corners[::-1]


def _area(q: np.ndarray) -> float:
    """Signed; positive when clockwise as seen (y down)."""
    x, y = q[:, 0], q[:, 1]
    return 0.5 * float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def _convex(q: np.ndarray) -> bool:
    e = np.roll(q, -1, axis=0) - q
    f = np.roll(e, -1, axis=0)
    turn = e[:, 0] * f[:, 1] - e[:, 1] * f[:, 0]
    sine = turn / np.maximum(np.linalg.norm(e, axis=1) * np.linalg.norm(f, axis=1), 1e-9)
    return bool((sine > 0.25).all() or (sine < -0.25).all())


def _same(quad: np.ndarray, others: list[np.ndarray], part: float) -> np.ndarray:
    """(k,) which of `others` are `quad` up to which corner comes first, within a `part` of its size."""
    if not others:
        return np.zeros(0, bool)
    turned = np.stack([quad[[(k + t) % 4 for k in range(4)]] for t in range(4)])
    off = np.abs(np.array(others)[:, None] - turned).max(axis=(2, 3)).min(axis=1)
    return off < part * np.sqrt(abs(_area(quad)))


def refine_quad(light: np.ndarray, quad: np.ndarray) -> tuple[np.ndarray, float]:
    """Corners (4, 2) as crossings of lines fitted to the edges of `quad`, and the least part of an edge that was seen.

    `light` (h, w) float32 is linear in the light, where blur does not move an edge: its place is the centroid of the
    gradient across it. The line through most samples wins, so rounded corners and things lying across an edge do not
    count. Pixel centre at integers.
    """
    import cv2

    lines: list[np.ndarray] = []
    least = 1.0
    half = float(np.clip(0.04 * np.sqrt(abs(_area(quad))), 3.0, 9.0))
    for narrow in (1.0, 0.5):
        lines, least = [], 1.0
        reach = half * narrow
        steps = np.arange(-reach, reach + 0.25, 0.25)
        for k in range(4):
            a, b = quad[k], quad[(k + 1) % 4]
            length = float(np.linalg.norm(b - a))
            along = (b - a) / max(length, 1e-9)
            out = np.array([along[1], -along[0]])
            x = np.linspace(0.08, 0.92, int(np.clip(length / 2, 12, 100))) * length
            base = a + x[:, None] * along
            at = (base[:, None] + steps[None, :, None] * out).astype(np.float32)
            profile = cv2.remap(light, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            slope = np.gradient(cv2.GaussianBlur(profile, (9, 1), 1.5), axis=1)
            off, strength, sign = _steps(slope, steps)
            fit = _line(x, off, strength, sign, tolerance=0.6 if narrow < 1 else 1.2)
            if fit is None:
                return quad, 0.0
            tilt, shift, seen = fit
            least = min(least, seen)
            p, q = a + shift * out, b + (shift + tilt * length) * out
            lines.append(np.cross(np.append(p, 1.0), np.append(q, 1.0)))
        refined = np.empty((4, 2))
        for k in range(4):
            crossing = np.cross(lines[k - 1], lines[k])
            if abs(crossing[2]) < 1e-12:
                return quad, 0.0
            refined[k] = crossing[:2] / crossing[2]
        if np.linalg.norm(refined - quad, axis=1).max() > 3 * half or not _convex(refined):
            return quad, 0.0
        quad = refined
    return quad, least


def _steps(slope: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each profile (n, s) of gradients steps: offset (n,) [px], strength (n,), sign (n,)."""
    peak = np.abs(slope).argmax(axis=1)
    rows = np.arange(len(slope))
    sign = np.sign(slope[rows, peak])
    near = np.abs(np.arange(slope.shape[1])[None] - peak[:, None]) <= 8  # 2 px to either side
    weight = np.where(near, np.maximum(slope * sign[:, None], 0), 0)
    off = (weight * steps).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-12)
    return off, weight.sum(axis=1), sign


def _line(
    x: np.ndarray, off: np.ndarray, strength: np.ndarray, sign: np.ndarray, *, tolerance: float
) -> tuple[float, float, float] | None:
    """`(tilt, shift, seen)` of the line off = shift + tilt · x through most samples of one polarity; None without one."""
    enough = strength > max(0.004, 0.2 * float(np.median(strength)))
    best: tuple[int, np.ndarray] | None = None
    n = len(x)
    for polarity in (1.0, -1.0):
        able = np.nonzero(enough & (sign == polarity))[0]
        if len(able) < 5:
            continue
        some = able[:: max(1, len(able) // 12)]
        i, j = (g.ravel() for g in np.meshgrid(some, some, indexing="ij"))
        far = x[j] - x[i] >= 0.3 * (x[-1] - x[0])
        i, j = i[far], j[far]
        if len(i) == 0:
            continue
        tilt = (off[j] - off[i]) / (x[j] - x[i])
        on = np.abs(off[able] - off[i, None] - tilt[:, None] * (x[able] - x[i, None])) < tolerance
        k = int(on.sum(axis=1).argmax())
        if best is None or on[k].sum() > best[0]:
            best = int(on[k].sum()), able[on[k]]
    if best is None or best[0] < 5:
        return None
    inside = best[1]
    for _ in range(2):
        tilt, shift = np.polyfit(x[inside], off[inside], 1)
        residual = np.abs(off - shift - tilt * x)
        again = np.nonzero(enough & (sign == sign[best[1][0]]) & (residual < tolerance))[0]
        inside = again if len(again) >= 5 else inside
    return float(tilt), float(shift), len(inside) / n
