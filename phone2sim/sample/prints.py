"""Procedural pictures for the sample's surfaces: (h, w, 3) uint8 sRGB, each drawn from its own generator."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

RGB = tuple[int, int, int]


def noise(h: int, w: int, rng: np.random.Generator, cells: tuple[float, float], octaves: int = 4) -> np.ndarray:
    """(h, w) float32 smooth noise of zero mean and unit deviation; `cells` (rows, columns) of the first octave."""
    total: np.ndarray = np.zeros((h, w), np.float32)
    for k in range(octaves):
        gh, gw = (int(min(max(2, c * 2**k), m)) for c, m in zip(cells, (h, w)))
        grid = Image.fromarray(rng.standard_normal((gh, gw)).astype(np.float32))
        total += np.asarray(grid.resize((w, h), Image.Resampling.BICUBIC)) * 0.55**k
    total -= total.mean()
    return np.asarray(total / max(float(total.std()), 1e-6), np.float32)


def hsv(h: float, s: float, v: float) -> RGB:
    r, g, b = colorsys.hsv_to_rgb(h % 1, min(1, max(0, s)), min(1, max(0, v)))
    return round(255 * r), round(255 * g), round(255 * b)


def finish(picture: Image.Image | np.ndarray, rng: np.random.Generator, *, mottle: float = 5.0, grain: float = 3.0) -> np.ndarray:
    """Paper and paint are never flat: soft mottling and fine grain, in 8-bit steps."""
    a: np.ndarray = np.asarray(picture, np.float32)
    h, w = a.shape[:2]
    a = a + mottle * noise(h, w, rng, (max(2, h / 60), max(2, w / 60)), 4)[..., None]
    a = a + grain * rng.standard_normal((h, w, 1)).astype(np.float32)
    return np.clip(a + 0.5, 0, 255).astype(np.uint8)


def font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=max(6, round(size)))


def text(draw: ImageDraw.ImageDraw, at: tuple[float, float], words: str, size: float, fill: RGB, *, bold: bool = True) -> None:
    """Centred at `at`."""
    draw.text(at, words, fill=fill, font=font(size), anchor="mm", stroke_width=round(size / 22) if bold else 0, stroke_fill=fill)


def wood(h: int, w: int, rng: np.random.Generator, dark: RGB, light: RGB, *, planks: int = 5, px_per_m: float = 2500) -> np.ndarray:
    """Boards along x with grain, knots and gaps."""
    out = np.zeros((h, w, 3), np.float32)
    edges = np.linspace(0, h, planks + 1).astype(int)
    for y0, y1 in zip(edges[:-1], edges[1:]):
        n = y1 - y0
        y = np.linspace(0, n / px_per_m, n, dtype=np.float32)[:, None] + rng.uniform(0, 9)
        x = np.linspace(0, w / px_per_m, w, dtype=np.float32)[None]
        bend = noise(n, w, rng, (2, 4), 3)
        d = y + 0.006 * bend
        for _ in range(rng.integers(1, 3)):
            ky, kx = y[0, 0] + rng.uniform(0.2, 0.8) * n / px_per_m, rng.uniform(0, w / px_per_m)
            r2 = ((y - ky) / 0.012) ** 2 + ((x - kx) / 0.03) ** 2
            d = d + 0.008 * np.exp(-r2)
        rings = 0.5 + 0.5 * np.sin(d * rng.uniform(420, 620))
        fibre = noise(n, w, rng, (n / 3, w / 90), 2)
        pores = noise(n, w, rng, (n / 2, w / 30), 1) > 2.0
        t = np.clip(0.25 + 0.38 * rings + 0.13 * fibre + 0.1 * bend + rng.uniform(-0.15, 0.15), 0, 1)[..., None]
        board = np.asarray(dark, np.float32) * (1 - t) + np.asarray(light, np.float32) * t
        board[pores] *= 0.7
        board[: max(1, n // 150)] *= 0.45
        out[y0:y1] = board
    return np.clip(out, 0, 255).astype(np.uint8)


def _blob(center: tuple[float, float], radius: float, rng: np.random.Generator, corners: int) -> list[tuple[float, float]]:
    a = np.sort(rng.uniform(0, 2 * np.pi, corners))
    r = radius * rng.uniform(0.6, 1.3, corners)
    return [(center[0] + q * np.cos(t), center[1] + q * np.sin(t)) for t, q in zip(a, r)]


def terrazzo(h: int, w: int, rng: np.random.Generator, ground: RGB, chips: Sequence[RGB], *, px_per_m: float) -> np.ndarray:
    """Chips of stone-like colour scattered without repetition on a woven ground."""
    im = Image.new("RGB", (w, h), ground)
    draw = ImageDraw.Draw(im)
    area = h * w / px_per_m**2
    for low, high, count in ((0.006, 0.013, 900), (0.003, 0.006, 2600), (0.001, 0.003, 7000)):
        for _ in range(int(count * area)):
            radius = rng.uniform(low, high) * px_per_m
            chip = np.asarray(chips[int(rng.integers(len(chips)))]) + rng.uniform(-14, 14)
            color = tuple(int(v) for v in np.clip(chip, 0, 255))
            draw.polygon(_blob((rng.uniform(0, w), rng.uniform(0, h)), radius, rng, int(rng.integers(5, 9))), fill=color)
    a = np.asarray(im, np.float32)
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    weave = np.sin(x * (2 * np.pi * 600 / px_per_m)) * np.sin(y * (2 * np.pi * 600 / px_per_m))
    return finish(a + 5 * weave[..., None], rng, mottle=5, grain=4)


def marble(h: int, w: int, rng: np.random.Generator, ground: RGB, vein: RGB) -> np.ndarray:
    """Soft clouds, and veins where a smooth noise crosses zero."""
    cloud = noise(h, w, rng, (3, 4), 5)
    strength = np.clip(0.6 + 0.4 * noise(h, w, rng, (4, 5), 2), 0.1, 1)
    t = np.clip(0.9 * strength * np.exp(-np.abs(noise(h, w, rng, (4, 6), 5)) / 0.05) + 0.08 * cloud, 0, 1)[..., None]
    return finish(np.asarray(ground, np.float32) * (1 - t) + np.asarray(vein, np.float32) * t, rng, mottle=2, grain=2)


def checked(h: int, w: int, rng: np.random.Generator, ground: RGB, stripe: RGB, *, px_per_m: float) -> np.ndarray:
    """A checked cloth: stripes of 12 mm both ways, darker where they cross."""
    y, x = ((np.arange(n) / px_per_m / 0.012).astype(int) % 2 for n in (h, w))
    t = 0.5 * (y[:, None] + x[None]).astype(np.float32)[..., None]
    return finish(np.asarray(ground, np.float32) * (1 - t) + np.asarray(stripe, np.float32) * t, rng, mottle=4, grain=5)


def leaves(draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float], rng: np.random.Generator, colors: Sequence[RGB], n: int, size: float) -> None:
    """Scatter simple leaves over a rectangle."""
    for _ in range(n):
        cx, cy = rng.uniform(box[0], box[2]), rng.uniform(box[1], box[3])
        a, s = rng.uniform(0, 2 * np.pi), size * rng.uniform(0.6, 1.4)
        t = np.linspace(-1, 1, 12)
        half = 0.32 * (1 - t**2)
        pts = [(s * u, s * v) for u, v in [*zip(t, half), *zip(t[::-1], -half[::-1])]]
        c, sn = np.cos(a), np.sin(a)
        fill = colors[int(rng.integers(len(colors)))]
        draw.polygon([(cx + c * u - sn * v, cy + sn * u + c * v) for u, v in pts], fill=fill)
        dark = tuple(int(0.6 * v) for v in fill)
        draw.line([(cx - c * s, cy - sn * s), (cx + c * s, cy + sn * s)], fill=dark, width=max(1, int(s / 14)))


def small_print(draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float], rng: np.random.Generator, fill: RGB, size: float) -> None:
    """Lines of made-up words, as on the back of a package."""
    syllables = ("ta", "re", "mo", "li", "sun", "ka", "ver", "no", "pi", "en", "dor", "mi")
    y = box[1] + size
    while y < box[3]:
        words, f = "", font(size)
        while f.getlength(words) < (box[2] - box[0]) * rng.uniform(0.75, 0.95):
            words += "".join(syllables[i] for i in rng.integers(0, 12, rng.integers(1, 4))) + " "
        draw.text((box[0], y), words.rstrip()[: max(1, len(words) - 3)], fill=fill, font=f, anchor="lm")
        y += 1.35 * size


def poster(w: int, h: int, rng: np.random.Generator, style: int) -> Image.Image:
    """Framed geometric art."""
    hue = rng.uniform()
    im = Image.new("RGB", (w, h), hsv(hue, 0.12, 0.93))
    d = ImageDraw.Draw(im)
    if style == 0:  # hills and a sun
        d.ellipse([w * 0.52, h * 0.14, w * 0.82, h * 0.14 + w * 0.3], fill=hsv(0.06, 0.7, 0.93))
        for k in range(6):
            y = h * (0.38 + 0.1 * k)
            xs = np.linspace(0, w, 40)
            ridge = y - h * 0.07 * np.sin(xs / w * rng.uniform(3, 9) + rng.uniform(0, 6)) + rng.normal(0, h * 0.008, 40)
            d.polygon([(0, h), *zip(xs, ridge), (w, h)], fill=hsv(hue + 0.03 * k, 0.35 + 0.08 * k, 0.85 - 0.11 * k))
    elif style == 1:  # circles and bars
        for _ in range(26):
            r = w * rng.uniform(0.03, 0.17)
            x, y = rng.uniform(0, w), rng.uniform(0, h)
            fill = hsv(hue + rng.normal(0, 0.12), rng.uniform(0.3, 0.8), rng.uniform(0.35, 0.95))
            if rng.uniform() < 0.5:
                d.ellipse([x - r, y - r, x + r, y + r], fill=fill)
            else:
                d.rectangle([x - r, y - r * 0.3, x + r, y + r * 0.3], fill=fill)
    else:  # botanical
        leaves(d, (w * 0.1, h * 0.1, w * 0.9, h * 0.9), rng, [hsv(0.3 + rng.normal(0, 0.05), 0.5, 0.5) for _ in range(5)], 60, w * 0.09)
        text(d, (w / 2, h * 0.93), "HERBARIUM", w * 0.09, (60, 60, 50))
    border = max(4, w // 26)
    frame = Image.new("RGB", (w + 2 * border, h + 2 * border), hsv(0.08, 0.5, rng.uniform(0.12, 0.4)))
    frame.paste(im, (border, border))
    return frame


def books(w: int, h: int, rng: np.random.Generator) -> Image.Image:
    """A shelf board full of spines."""
    im = Image.new("RGB", (w, h), (38, 30, 26))
    d = ImageDraw.Draw(im)
    x = 2.0
    while x < w - 4:
        bw, bh = rng.uniform(0.05, 0.14) * h, h * rng.uniform(0.62, 0.94)
        fill = hsv(rng.uniform(), rng.uniform(0.2, 0.75), rng.uniform(0.3, 0.9))
        d.rectangle([x, h - bh, x + bw - 1, h], fill=fill)
        light = tuple(min(255, int(v * 1.5 + 40)) for v in fill)
        for k in range(rng.integers(1, 4)):
            y = h - bh * rng.uniform(0.1, 0.9)
            d.rectangle([x + 2, y, x + bw - 3, y + h * 0.02 * (k + 1)], fill=light)
        x += bw
    return im


def window(w: int, h: int, rng: np.random.Generator) -> Image.Image:
    """A window with sky and trees outside."""
    im = Image.new("RGB", (w, h))
    a = np.linspace(0, 1, h)[:, None, None]
    sky = np.array([150, 190, 235]) * (1 - a) + np.array([225, 235, 245]) * a
    im.paste(Image.fromarray(np.broadcast_to(sky, (h, w, 3)).astype(np.uint8)))
    d = ImageDraw.Draw(im)
    for _ in range(160):
        x, y, r = rng.uniform(0, w), h * rng.uniform(0.5, 1.0), w * rng.uniform(0.015, 0.06)
        d.ellipse([x - r, y - r, x + r, y + r], fill=hsv(rng.uniform(0.22, 0.36), 0.5, rng.uniform(0.3, 0.75)))
    im = im.filter(ImageFilter.GaussianBlur(max(1, w // 250)))
    d = ImageDraw.Draw(im)
    bar, white = max(3, w // 28), (236, 233, 226)
    for x in (0, w / 2 - bar / 2, w - bar):
        d.rectangle([x, 0, x + bar, h], fill=white)
    for y in (0, h * 0.45, h - bar):
        d.rectangle([0, y, w, y + bar], fill=white)
    return im
