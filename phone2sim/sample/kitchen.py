"""More household objects: flat, thin, hollow, curved and long ones."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from phone2sim.keys import Key
from phone2sim.sample import prints
from phone2sim.sample.objects import PX_PER_M, SampleObject, lengths, sheet_of, wrap
from phone2sim.sample.shapes import Shape, arc, box, box_layout, join, lathe, placed, sweep


def _total(profile: list[np.ndarray]) -> float:
    return float(sum(np.linalg.norm(np.diff(p, axis=0), axis=1).sum() for p in profile))


def _line(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points, float)


def plate(key: Key) -> SampleObject:
    """A dessert plate: 14 cm across, 16 mm high, 4 mm thin."""
    rng = key.rng()
    r, h, wall = 0.070, 0.016, 0.004
    t = np.linspace(0, 1, 12)
    under = np.stack([0.040 + (r - wall / 2 - 0.040) * t, 0.0005 + (h - wall - 0.0005) * t**1.4], 1)
    over = np.stack([r - wall / 2 - (r - wall / 2 - 0.042) * t, h - (h - wall) * (1 - (1 - t) ** 1.8)], 1)
    under[-1], over[0] = (r - wall / 2, h - wall), (r - wall / 2, h)
    rim = arc((r - wall / 2, h - wall / 2), wall / 2, -90, 90, 7)
    profile = [_line((0, 0), (0.039, 0)), _line((0.039, 0), (0.040, 0.0005)), under, rim, over, _line(over[-1], (0, over[-1][1]))]
    at, total = lengths(profile), _total(profile)
    im, d, w, hh = wrap(2 * np.pi * r * 0.7, total, (232, 230, 222))
    hue = rng.uniform(0.52, 0.66)
    inks = [prints.hsv(hue + rng.normal(0, 0.02), s, v) for s, v in ((0.8, 0.4), (0.65, 0.6), (0.4, 0.8))]
    top, well = (1 - at[5]) * hh, (1 - at[4]) * hh  # rows of the upper side: rim at `well`, centre at 0
    prints.leaves(d, (0, top, w, well), rng, [*inks, (198, 120, 60)], 90, w * 0.02)
    d.rectangle([0, well - 0.012 * hh, w, well + 0.012 * hh], fill=inks[0])
    d.rectangle([0, top - 0.012 * hh, w, top + 0.006 * hh], fill=inks[1])
    for k in range(24):  # rays in the well
        x = w * (k + 0.5) / 24
        d.polygon([(x - w * 0.012, top * 0.9), (x + w * 0.012, top * 0.9), (x, top * 0.25)], fill=inks[k % 3])
    _speckle(d, rng, w, hh, 500)
    shape = lathe(profile, around=96)
    return SampleObject(
        name="plate", label="plate", material="ceramic", mass_kg=0.114, shape=shape, texture=prints.finish(im, rng), footprint_m=r,
    )  # fmt: skip


def _speckle(d: ImageDraw.ImageDraw, rng: np.random.Generator, w: int, h: int, n: int, fill: prints.RGB = (104, 88, 70)) -> None:
    for _ in range(n):
        x, y, s = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(1.0, 3.5)
        d.ellipse([x - s, y - s, x + s, y + s], fill=fill)


def bowl(key: Key) -> SampleObject:
    """Open and hollow: a cereal bowl of 11 cm."""
    rng = key.rng()
    r, h, wall, foot = 0.055, 0.048, 0.0042, 0.026
    t = np.linspace(0, 1, 22)
    bulge = lambda big, low, high: np.stack([foot + (big - foot) * np.sin(np.pi / 2 * t) ** 0.9, low + (high - low) * t**1.7], 1)  # noqa: E731
    outer = bulge(r - 1e-9, 0.003, h - wall / 2)
    inner = bulge(r - wall, 0.0078, h - wall / 2)[::-1]
    inner[:, 0] -= np.linspace(0, 0.001, len(inner))
    outer[0] = (foot, 0.003)
    profile = [
        _line((0, 0), (foot - 0.001, 0)), _line((foot - 0.001, 0), (foot, 0.001), (foot, 0.003)), outer,
        arc((r - wall / 2, h - wall / 2), wall / 2, 0, 180, 9), inner, _line(inner[-1], (0, inner[-1][1])),
    ]  # fmt: skip
    profile[3][0], profile[3][-1] = outer[-1], inner[0]
    at, total = lengths(profile), _total(profile)
    hue = rng.uniform(0.02, 0.1)
    im, d, w, hh = wrap(2 * np.pi * r, total, prints.hsv(hue, 0.35, 0.78))
    glaze = [prints.hsv(hue + rng.normal(0, 0.02), s, v) for s, v in ((0.75, 0.5), (0.6, 0.65), (0.25, 0.9))]
    bottom, rim, centre = (1 - at[2]) * hh, (1 - at[3]) * hh, (1 - at[5]) * hh
    for k in range(18):  # dabs around the outside
        x = w * (k + 0.5) / 18
        d.ellipse([x - w * 0.022, rim + 0.25 * (bottom - rim), x + w * 0.022, rim + 0.75 * (bottom - rim)], fill=glaze[k % 2])
        d.ellipse([x - w * 0.008, rim + 0.42 * (bottom - rim), x + w * 0.008, rim + 0.58 * (bottom - rim)], fill=glaze[2])
    for k in range(5):
        y = centre + (rim - centre) * (0.15 + 0.17 * k)
        d.line([(x, y + 8 * np.sin(x / w * 2 * np.pi * 9 + k)) for x in range(0, w + 8, 8)], fill=glaze[k % 3], width=9)
    _speckle(d, rng, w, hh, 900, (92, 60, 40))
    return SampleObject(
        name="bowl", label="bowl", material="ceramic", mass_kg=0.206, shape=lathe(profile, around=84), texture=prints.finish(im, rng),
        footprint_m=r,
    )  # fmt: skip


def _soft_end(s: np.ndarray, length: float, blunt: float) -> np.ndarray:
    """0 at both ends of `s` (0–1), 1 further than `blunt` [m] from them: a rounded tip."""
    from_end = np.clip(np.minimum(s, 1 - s) * length / blunt, 0, 1)
    return np.sqrt(np.clip(1 - (1 - from_end) ** 2, 0, 1))


def _stations(length: float, tip: float, n: int) -> np.ndarray:
    """Positions 0–1 along a body, close together at the tips."""
    near = tip / length * (1 - np.cos(np.linspace(0, np.pi / 2, 9)))
    return np.concatenate([near, np.linspace(near[-1], 1 - near[-1], n)[1:-1], 1 - near[::-1]])


def knife(key: Key) -> SampleObject:
    """A table knife lying flat: 17 cm long, a handle 11 mm thick, a blade of 2 mm."""
    rng = key.rng()
    length, tip = 0.170, 0.006
    s = _stations(length, tip, 60)
    into = np.clip((s - 0.50) / 0.05, 0, 1)
    blade = into * into * (3 - 2 * into)
    half_w = (0.0078 + 0.0014 * np.cos(6 * s)) * (1 - blade) + (0.0105 - 0.006 * np.clip((s - 0.7) / 0.3, 0, 1) ** 2) * blade
    half_h = 0.0056 * (1 - blade) + 0.0012 * blade
    soft = _soft_end(s, length, tip)
    path = np.stack([s * length, 0.004 * np.clip((s - 0.5) / 0.5, 0, 1) ** 2], 1)
    shape = sweep(path, half_w * soft, half_h * soft, flat=0.0005, power=2.6)
    w, h = round(length * PX_PER_M), round(0.05 * PX_PER_M)
    grain = prints.wood(h, w, rng, (70, 36, 20), (128, 72, 40), planks=1, px_per_m=PX_PER_M)
    im = Image.fromarray(grain)
    d = ImageDraw.Draw(im)
    x0 = round(0.515 * w)
    d.rectangle([x0, 0, w, h], fill=(172, 176, 182))
    for _ in range(260):
        y = rng.uniform(0, h)
        d.line([(x0, y), (w, y)], fill=(int(rng.uniform(140, 205)),) * 3)
    for k in range(3):
        x = w * (0.1 + 0.16 * k)
        d.ellipse([x - 11, h * 0.5 - 11, x + 11, h * 0.5 + 11], fill=(206, 190, 140))
    d.rectangle([round(0.475 * w), 0, x0, h], fill=(148, 120, 70))
    prints.text(d, (0.72 * w, h * 0.5), "INOX", h * 0.16, (70, 74, 80))
    return SampleObject(
        name="knife", label="knife", material="steel", mass_kg=0.092, shape=shape, texture=prints.finish(im, rng),
        footprint_m=_radius(shape),
    )  # fmt: skip


def _radius(shape: Shape) -> float:
    return float(np.linalg.norm(shape.vertices[:, :2], axis=1).max())


def banana(key: Key) -> SampleObject:
    """Curved, lying on its side."""
    rng = key.rng()
    length, bend = 0.150, np.deg2rad(85)
    s = _stations(length, 0.004, 48)
    body = 0.0165 * np.clip(1 - np.abs(2 * s - 1.05) ** 3.2, 0, 1)
    half = np.maximum(body, 0.0048 - 0.0012 * s) * _soft_end(s, length, 0.004)
    a = (s - 0.5) * bend
    radius = length / bend
    path = radius * np.stack([np.sin(a), np.cos(a)], 1)
    shape = sweep(path, half, half, flat=0.0008, around=40)
    w, h = round(length * PX_PER_M), round(0.10 * PX_PER_M)
    yellow = np.asarray(prints.hsv(rng.uniform(0.125, 0.15), 0.78, 0.92), np.float32)
    green = np.asarray((148, 160, 60), np.float32)
    along = np.abs(np.linspace(-1, 1, w))[None, :, None] ** 6
    ripe = (1 + 0.06 * prints.noise(h, w, rng, (8, 14), 4))[..., None]
    a_pixels = (yellow * (1 - 0.6 * along) + green * 0.6 * along) * ripe
    im = Image.fromarray(np.clip(a_pixels, 0, 255).astype(np.uint8))
    d = ImageDraw.Draw(im)
    for k in range(5):  # edges of the peel
        y = h * (k + 0.5) / 5
        d.line([(x, y + 5 * np.sin(x / 90 + k)) for x in range(0, w + 10, 10)], fill=(176, 140, 40), width=5)
    for _ in range(420):
        x, y, q = rng.uniform(0, w), rng.uniform(0, h), rng.exponential(3.0) + 1
        d.ellipse([x - 1.6 * q, y - q, x + 1.6 * q, y + q], fill=(104, 66, 28) if rng.uniform() < 0.8 else (140, 100, 40))
    d.rectangle([0, 0, round(0.035 * w), h], fill=(70, 54, 32))
    d.rectangle([round(0.975 * w), 0, w, h], fill=(52, 40, 28))
    return SampleObject(
        name="banana", label="banana", material="food", mass_kg=0.088, shape=shape, texture=prints.finish(im, rng),
        footprint_m=_radius(shape),
    )  # fmt: skip


def book(key: Key) -> SampleObject:
    """A pocket book, 22 mm thick."""
    rng = key.rng()
    size = (0.118, 0.086, 0.022)
    hue = rng.uniform()
    cover, light = prints.hsv(hue, 0.6, 0.45), prints.hsv(hue + 0.1, 0.2, 0.95)
    small = prints.poster(340, 300, rng, 0)

    def paint(side: str, d: ImageDraw.ImageDraw, wh: tuple[float, float]) -> None:
        w, h = wh
        if side in ("+x", "+y", "-y"):
            d.rectangle([0, 0, w, h], fill=(228, 220, 200))
            for k in range(int(h / 3)):  # edges of the pages
                shade = int(rng.uniform(160, 222))
                d.line([(0, 3 * k), (w, 3 * k)], fill=(shade, shade - 6, shade - 24), width=1)
            d.rectangle([0, 0, w, h * 0.09], fill=cover)
            d.rectangle([0, h * 0.91, w, h], fill=cover)
        elif side == "-x":
            prints.text(d, (w / 2, h / 2), "THE SHORE · A. LINDQVIST", h * 0.34, light)
        elif side == "+z":
            d.rectangle([w * 0.04, h * 0.06, w * 0.96, h * 0.94], outline=light, width=6)
            prints.text(d, (w * 0.7, h * 0.26), "THE", w * 0.07, light)
            prints.text(d, (w * 0.7, h * 0.46), "SHORE", w * 0.10, light)
            prints.text(d, (w * 0.7, h * 0.76), "A. Lindqvist", w * 0.045, light, bold=False)
            for _ in range(40):
                x, y, q = rng.uniform(w * 0.5, w * 0.94), rng.uniform(h * 0.1, h * 0.9), rng.uniform(2, 5)
                d.ellipse([x - q, y - q, x + q, y + q], fill=light)
        else:
            prints.small_print(d, (w * 0.1, h * 0.1, w * 0.9, h * 0.8), rng, light, w * 0.05)

    sheet = sheet_of(size, paint, cover)
    layout, _ = box_layout(size)
    x, y, w, h = layout["+z"]
    sheet.paste(small.resize((round(0.36 * w * PX_PER_M), round(0.78 * h * PX_PER_M))),
                (round((x + 0.07 * w) * PX_PER_M), round((y + 0.11 * h) * PX_PER_M)))  # fmt: skip
    return SampleObject(
        name="book", label="book", material="paper", mass_kg=0.178, shape=box(size, bevel=0.0006), texture=prints.finish(sheet, rng),
        footprint_m=float(np.hypot(*size[:2]) / 2), flat_top_m=(size[0] - 0.002, size[1] - 0.002),
    )  # fmt: skip


def sponge(key: Key) -> SampleObject:
    """A kitchen sponge with a rough green side."""
    rng = key.rng()
    size = (0.096, 0.064, 0.030)
    yellow, green = prints.hsv(rng.uniform(0.11, 0.15), 0.65, 0.9), prints.hsv(rng.uniform(0.33, 0.42), 0.6, 0.42)

    def paint(side: str, d: ImageDraw.ImageDraw, wh: tuple[float, float]) -> None:
        w, h = wh
        for _ in range(int(w * h / 500)):
            x, y, q = rng.uniform(0, w), rng.uniform(0, h), rng.exponential(3.5) + 1
            d.ellipse([x - q, y - 0.8 * q, x + q, y + 0.8 * q], fill=prints.hsv(0.11, 0.7, rng.uniform(0.45, 0.75)))
        if side[1] == "z" and side[0] == "-":
            return
        d.rectangle([0, 0, w, h if side == "+z" else h * 0.27], fill=green)
        for _ in range(int(w * h / 120)):
            x, y = rng.uniform(0, w), rng.uniform(0, h if side == "+z" else h * 0.25)
            a, q = rng.uniform(0, 2 * np.pi), rng.uniform(6, 22)
            tone = prints.hsv(0.38 + rng.normal(0, 0.03), 0.55, rng.uniform(0.25, 0.65))
            d.line([(x, y), (x + q * np.cos(a), y + 0.4 * q * np.sin(a))], fill=tone, width=2)

    return SampleObject(
        name="sponge", label="sponge", material="foam", mass_kg=0.0062, shape=box(size, bevel=0.0025),
        texture=prints.finish(sheet_of(size, paint, yellow), rng), footprint_m=float(np.hypot(*size[:2]) / 2),
        flat_top_m=(size[0] - 0.006, size[1] - 0.006),
    )  # fmt: skip


def jar(key: Key) -> SampleObject:
    """A jar of jam with a chequered lid."""
    rng = key.rng()
    r, neck, h, lid = 0.0335, 0.0285, 0.088, 0.030
    t = np.linspace(0, 1, 10)
    shoulder = np.stack([neck + (r - neck) * (0.5 + 0.5 * np.cos(np.pi * t)), 0.060 + 0.009 * t], 1)
    profile = [
        _line((0, 0), (r - 0.004, 0)), arc((r - 0.004, 0.004), 0.004, -90, 0, 6), _line((r, 0.004), (r, 0.03), (r, 0.060)), shoulder,
        _line((neck, 0.069), (lid, 0.0691)), _line((lid, 0.0691), (lid, 0.078), (lid, h - 0.0015)),
        _line((lid, h - 0.0015), (lid - 0.0015, h)), _line((lid - 0.0015, h), (0, h)),
    ]  # fmt: skip
    at, total = lengths(profile), _total(profile)
    im, d, w, hh = wrap(2 * np.pi * r, total, prints.hsv(rng.uniform(0.93, 1.0), 0.85, 0.40))
    for _ in range(260):  # fruit in the jam
        x, y, q = rng.uniform(0, w), rng.uniform(0, hh), rng.uniform(4, 20)
        d.ellipse([x - q, y - q, x + q, y + q], fill=prints.hsv(rng.uniform(0.94, 1.02), 0.85, rng.uniform(0.25, 0.6)))
    top, bottom = (1 - at[3]) * hh, (1 - at[2]) * hh
    for x0 in (0.06, 0.56):
        d.rounded_rectangle([w * x0, top + 0.1 * (bottom - top), w * (x0 + 0.38), bottom - 0.12 * (bottom - top)], 24, fill=(246, 240, 222))
        cx, cy = w * (x0 + 0.19), top + 0.3 * (bottom - top)
        prints.text(d, (cx, cy), "CHERRY", w * 0.055, (150, 30, 50))
        prints.text(d, (cx, cy + 0.2 * (bottom - top)), "JAM", w * 0.06, (60, 90, 50))
        prints.text(d, (cx, cy + 0.38 * (bottom - top)), "250 g", w * 0.03, (70, 60, 50), bold=False)
    cover = (1 - at[4]) * hh
    n, rows = 28, 9
    for i in range(n):
        for j in range(rows):
            fill = (236, 232, 226) if (i + j) % 2 else (196, 60, 66)
            d.rectangle([w * i / n, cover * j / rows, w * (i + 1) / n, cover * (j + 1) / rows], fill=fill)
    return SampleObject(
        name="jar", label="jam jar", material="glass", mass_kg=0.37, shape=lathe(profile), texture=prints.finish(im, rng), footprint_m=r,
    )  # fmt: skip


def tin(key: Key) -> SampleObject:
    """A low tin of fish."""
    rng = key.rng()
    r, h, lip = 0.042, 0.036, 0.003
    rim = r + 0.001
    profile = [
        _line((0, 0), (rim - 0.002, 0)), _line((rim - 0.002, 0), (rim, 0.001), (rim, lip), (r, lip + 0.001)),
        _line((r, lip + 0.001), (r, h / 2), (r, h - lip - 0.001)),
        _line((r, h - lip - 0.001), (rim, h - lip), (rim, h - 0.001), (rim - 0.001, h), (rim - 0.002, h - 0.001)),
        _line((rim - 0.002, h - 0.001), (rim - 0.003, h - 0.003), (0.034, h - 0.003)), _line((0.034, h - 0.003), (0, h - 0.003)),
    ]  # fmt: skip
    at, total = lengths(profile), _total(profile)
    im, d, w, hh = wrap(2 * np.pi * r, total, (196, 178, 120))
    blue = prints.hsv(rng.uniform(0.55, 0.62), 0.75, 0.5)
    for _ in range(300):
        y = rng.uniform(0, hh)
        d.line([(0, y), (w, y)], fill=(int(rng.uniform(180, 225)), int(rng.uniform(160, 200)), int(rng.uniform(90, 140))))
    top, bottom = (1 - at[3]) * hh, (1 - at[2]) * hh
    d.rectangle([0, top, w, bottom], fill=blue)
    for k in range(9):
        x, y, q = w * (k + 0.5) / 9, (top + bottom) / 2, (bottom - top) * 0.3
        tone = (226, 214, 160) if k % 3 else (240, 120, 70)
        d.ellipse([x - 2 * q, y - q, x + 1.4 * q, y + q], fill=tone)
        d.polygon([(x + 1.2 * q, y), (x + 2.2 * q, y - q), (x + 2.2 * q, y + q)], fill=tone)
        d.ellipse([x - 1.5 * q, y - 0.35 * q, x - 1.2 * q, y - 0.05 * q], fill=(20, 20, 30))
    lid = (1 - at[5]) * hh  # the lid's disc is the last row of the picture: 0 is its centre
    for k in range(36):
        x = w * k / 36
        d.polygon([(x, lid), (x + w / 72, lid), (x + w / 144, 0.3 * lid)], fill=(blue, (226, 90, 50), (244, 236, 210))[k % 3])
    d.rectangle([0, 0, w, 0.28 * lid], fill=(240, 232, 200))
    return SampleObject(
        name="tin", label="fish tin", material="metal_can", mass_kg=0.205, shape=lathe(profile), texture=prints.finish(im, rng),
        footprint_m=rim,
    )  # fmt: skip


def brick(key: Key) -> SampleObject:
    """A big toy brick with eight studs."""
    rng = key.rng()
    size, stud_r, stud_h = (0.064, 0.032, 0.038), 0.0048, 0.0045
    hue = rng.choice([0.0, 0.58, 0.33])
    ground, dark = prints.hsv(hue, 0.8, 0.8), prints.hsv(hue, 0.85, 0.6)

    def paint(side: str, d: ImageDraw.ImageDraw, wh: tuple[float, float]) -> None:
        w, h = wh
        if side[1] == "z":
            return
        for k in range(3):
            d.line([(0, h * (0.2 + 0.3 * k)), (w, h * (0.2 + 0.3 * k))], fill=dark, width=5)
        cx, cy, q = w / 2, h / 2, h * 0.27
        d.ellipse([cx - q, cy - q, cx + q, cy + q], fill=(246, 238, 214))
        if side[1] == "y":
            for e in (-0.4, 0.4):
                d.ellipse([cx + q * (e - 0.13), cy - q * 0.45, cx + q * (e + 0.13), cy - q * 0.1], fill=(30, 30, 36))
            d.arc([cx - q * 0.55, cy - q * 0.5, cx + q * 0.55, cy + q * 0.6], 20, 160, fill=(30, 30, 36), width=8)
        else:
            prints.text(d, (cx, cy), str(int(rng.integers(2, 10))), q * 1.3, dark)
        for _ in range(60):  # scratches of long use
            x, y, a = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(0, np.pi)
            d.line([(x, y), (x + 14 * np.cos(a), y + 14 * np.sin(a))], fill=dark, width=2)

    profile = [_line((0, 0), (stud_r, 0)), _line((stud_r, 0), (stud_r, stud_h + 0.002)), _line((stud_r, stud_h + 0.002), (0, stud_h + 0.002))]
    stud = lathe(profile, around=24)
    layout, (width, height) = box_layout(size)
    x, y, w, h = layout["+z"]
    inside = (x + 0.1 * w) / width, 1 - (y + 0.9 * h) / height, (x + 0.9 * w) / width, 1 - (y + 0.1 * h) / height
    places = [(0.016 * i - 0.024, 0.016 * j - 0.008, size[2] - 0.002) for i in range(4) for j in range(2)]
    shape = join([box(size, bevel=0.0008), *(placed(stud, p, inside) for p in places)])
    return SampleObject(
        name="brick", label="toy brick", material="plastic", mass_kg=0.033, shape=shape,
        texture=prints.finish(sheet_of(size, paint, ground), rng), footprint_m=float(np.hypot(*size[:2]) / 2),
    )  # fmt: skip
