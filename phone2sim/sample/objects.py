"""The household objects of the sample: closed shapes of realistic size and mass with printed surfaces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from phone2sim.keys import Key
from phone2sim.sample import prints
from phone2sim.sample.shapes import Shape, arc, box, box_layout, join, lathe, tube

PX_PER_M = 4000


@dataclass(frozen=True, kw_only=True)
class SampleObject:
    """One object in its own frame: origin at the centre of the contact footprint, z up."""

    name: str
    label: str
    material: str
    mass_kg: float
    shape: Shape
    texture: np.ndarray
    """(h, w, 3) uint8 sRGB."""
    footprint_m: float
    """Radius of the circle around its plan view."""
    flat_top_m: tuple[float, float] | None = None
    """Sides (x, y) of the flat top that something may stand on, or None."""

    @property
    def extents_m(self) -> np.ndarray:
        return np.ptp(self.shape.vertices, axis=0)

    def volume_m3(self) -> float:
        """Volume of the material's outer surface, the union of its closed parts."""
        import trimesh

        mesh = trimesh.Trimesh(self.shape.vertices, self.shape.faces, process=False)
        mesh.merge_vertices(merge_tex=True, merge_norm=True, digits_vertex=7)
        parts = mesh.split(only_watertight=True)
        if len(parts) < 2:
            return float(mesh.volume)
        return float(trimesh.boolean.union(parts, engine="manifold").volume)

    def save_glb(self, path) -> None:
        import trimesh

        s = self.shape
        mesh = trimesh.Trimesh(s.vertices, s.faces, vertex_normals=s.normals, process=False)
        material = trimesh.visual.material.PBRMaterial(
            baseColorTexture=Image.fromarray(self.texture), roughnessFactor=0.7, metallicFactor=0.0
        )
        mesh.visual = trimesh.visual.TextureVisuals(uv=s.uv, material=material)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(trimesh.Scene(mesh).export(file_type="glb"))


def sheet_of(size: tuple[float, float, float], paint: Callable[[str, ImageDraw.ImageDraw, tuple[float, float]], None], ground) -> Image.Image:
    """A box's sheet; `paint(side, draw, (w, h))` draws each side in pixels on a picture of `ground` colour."""
    layout, (width, height) = box_layout(size)
    sheet = Image.new("RGB", (round(width * PX_PER_M), round(height * PX_PER_M)), ground)
    for side, (x, y, w, h) in layout.items():
        im = Image.new("RGB", (round(w * PX_PER_M), round(h * PX_PER_M)), ground)
        paint(side, ImageDraw.Draw(im), im.size)
        sheet.paste(im, (round(x * PX_PER_M), round(y * PX_PER_M)))
    return sheet


def tea_box(key: Key) -> SampleObject:
    rng = key.rng()
    size = (0.070, 0.048, 0.118)
    hue = rng.uniform(0.28, 0.45)
    ground, cream = prints.hsv(hue, 0.62, 0.42), (243, 234, 208)
    tones = [prints.hsv(hue + rng.normal(0, 0.03), 0.5, v) for v in (0.3, 0.55, 0.65, 0.75)]

    def paint(side: str, d: ImageDraw.ImageDraw, wh: tuple[float, float]) -> None:
        w, h = wh
        prints.leaves(d, (0, 0, w, h), rng, tones, 26, w * 0.1)
        if side[1] == "y":
            d.rounded_rectangle([w * 0.12, h * 0.2, w * 0.88, h * 0.6], w * 0.06, fill=cream)
            prints.text(d, (w / 2, h * 0.3), "GREEN", w * 0.17, ground)
            prints.text(d, (w / 2, h * 0.42), "TEA", w * 0.24, (200, 92, 40))
            prints.text(d, (w / 2, h * 0.53), "20 bags · 40 g", w * 0.075, (70, 70, 60), bold=False)
            d.ellipse([w * 0.3, h * 0.68, w * 0.7, h * 0.68 + w * 0.4], fill=(214, 150, 60), outline=cream, width=6)
            prints.leaves(d, (w * 0.38, h * 0.74, w * 0.62, h * 0.84), rng, tones[:2], 5, w * 0.07)
        elif side[1] == "x":
            d.rectangle([w * 0.1, h * 0.12, w * 0.9, h * 0.72], fill=cream)
            prints.small_print(d, (w * 0.15, h * 0.14, w * 0.86, h * 0.5), rng, (60, 60, 55), w * 0.065)
            for k in range(24):
                x = w * (0.2 + 0.025 * k)
                d.rectangle([x, h * 0.54, x + w * 0.025 * rng.uniform(0.2, 0.9), h * 0.68], fill=(20, 20, 20))
        else:
            prints.text(d, (w / 2, h / 2), "TEA", w * 0.22, cream)

    picture = prints.finish(sheet_of(size, paint, ground), rng)
    return SampleObject(
        name="tea_box", label="tea box", material="cardboard", mass_kg=0.072, shape=box(size, bevel=0.0007), texture=picture,
        footprint_m=float(np.hypot(*size[:2]) / 2), flat_top_m=(size[0] - 0.0014, size[1] - 0.0014),
    )  # fmt: skip


def block(key: Key) -> SampleObject:
    rng = key.rng()
    edge = 0.048
    letters = [chr(65 + i) for i in rng.permutation(26)[:6]]
    n = round(edge * PX_PER_M)
    grain = Image.fromarray(prints.wood(3 * n, 6 * n, rng, (176, 130, 84), (226, 188, 138), planks=1, px_per_m=PX_PER_M))
    hues = rng.uniform() + np.arange(6) / 6
    layout, _ = box_layout((edge, edge, edge))
    sheet = sheet_of((edge, edge, edge), lambda *_: None, (200, 160, 110))
    for k, (x, y, *_) in enumerate(layout.values()):
        im = grain.crop((k * n % (5 * n), k % 3 * n, k * n % (5 * n) + n, k % 3 * n + n))
        d = ImageDraw.Draw(im)
        color = prints.hsv(hues[k], 0.72, 0.68)
        d.rounded_rectangle([n * 0.09, n * 0.09, n * 0.91, n * 0.91], n * 0.1, outline=color, width=max(2, n // 18))
        prints.text(d, (n / 2, n / 2), letters[k], n * 0.56, color)
        for cx, cy in ((0.2, 0.2), (0.8, 0.2), (0.2, 0.8), (0.8, 0.8)):
            d.ellipse([n * (cx - 0.03), n * (cy - 0.03), n * (cx + 0.03), n * (cy + 0.03)], fill=prints.hsv(hues[k] + 0.4, 0.7, 0.6))
        sheet.paste(im, (round(x * PX_PER_M), round(y * PX_PER_M)))
    return SampleObject(
        name="block", label="letter block", material="wood", mass_kg=0.066, shape=box((edge, edge, edge), bevel=0.002),
        texture=prints.finish(sheet, rng), footprint_m=edge * np.sqrt(0.5), flat_top_m=(edge - 0.004, edge - 0.004),
    )  # fmt: skip


def wrap(w_m: float, h_m: float, ground: prints.RGB) -> tuple[Image.Image, ImageDraw.ImageDraw, int, int]:
    im = Image.new("RGB", (round(w_m * PX_PER_M), round(h_m * PX_PER_M)), ground)
    return im, ImageDraw.Draw(im), *im.size


def lengths(profile: list[np.ndarray]) -> np.ndarray:
    """Arc length at the end of each piece, as a share of the whole, from 0."""
    steps = [np.linalg.norm(np.diff(p, axis=0), axis=1).sum() for p in profile]
    return np.concatenate([[0], np.cumsum(steps)]) / sum(steps)


def can(key: Key) -> SampleObject:
    rng = key.rng()
    r, h = 0.033, 0.100
    rim, lip = r + 0.0008, 0.0035
    profile = [
        np.array([[0, 0.0], [rim - 0.004, 0.0]]), np.array([[rim - 0.004, 0], [rim, 0.0015], [rim, lip], [r, lip + 0.001]]),
        np.array([[r, lip + 0.001], [r, h / 2], [r, h - lip - 0.001]]),
        np.array([[r, h - lip - 0.001], [rim, h - lip], [rim, h - 0.001], [rim - 0.001, h], [rim - 0.002, h - 0.001]]),
        np.array([[rim - 0.002, h - 0.001], [rim - 0.003, h - 0.0035], [0.024, h - 0.0035]]),
        np.array([[0.024, h - 0.0035], [0.0, h - 0.0035]]),
    ]  # fmt: skip
    at = lengths(profile)
    total = float(sum(np.linalg.norm(np.diff(p, axis=0), axis=1).sum() for p in profile))
    im, d, w, hh = wrap(2 * np.pi * r, total, (176, 178, 180))
    for _ in range(400):  # brushed metal on lid and rims
        y = rng.uniform(0, hh)
        d.line([(0, y), (w, y)], fill=(int(rng.uniform(130, 215)),) * 3)
    top, bottom = (1 - at[3]) * hh, (1 - at[2]) * hh
    hue = rng.uniform(-0.03, 0.05)
    red, cream = prints.hsv(hue, 0.82, 0.70), (242, 203, 104)
    d.rectangle([0, top, w, bottom], fill=red)
    span = bottom - top
    d.rectangle([0, top + span * 0.62, w, top + span * 0.66], fill=(228, 182, 66))
    for _ in range(44):
        x = rng.uniform(0, w)
        y = top + span * rng.uniform(0.70, 0.95)
        s = span * rng.uniform(0.03, 0.07)
        d.ellipse([x - s, y - s, x + s, y + s], fill=prints.hsv(hue + rng.normal(0.02, 0.02), 0.85, rng.uniform(0.5, 0.95)))
        d.polygon([(x - s * 0.5, y - s * 0.8), (x, y - s * 1.3), (x + s * 0.5, y - s * 0.8)], fill=(60, 120, 50))
    for cx in (0.25, 0.75):
        x = cx * w
        d.ellipse([x - w * 0.17, top + span * 0.07, x + w * 0.17, top + span * 0.58], fill=cream)
        prints.text(d, (x, top + span * 0.25), "TOMATO", w * 0.062, red)
        prints.text(d, (x, top + span * 0.4), "SOUP", w * 0.075, (40, 90, 40))
        prints.text(d, (x, top + span * 0.5), "400 g", w * 0.03, (70, 60, 50), bold=False)
    prints.small_print(d, (w * 0.43, top + span * 0.08, w * 0.57, top + span * 0.6), rng, cream, w * 0.015)
    prints.leaves(d, (w * 0.93, top + span * 0.1, w, top + span * 0.6), rng, [(70, 130, 60), (40, 95, 45)], 8, w * 0.03)
    prints.leaves(d, (0, top + span * 0.1, w * 0.07, top + span * 0.6), rng, [(70, 130, 60), (40, 95, 45)], 8, w * 0.03)
    return SampleObject(
        name="can", label="soup can", material="metal", mass_kg=0.37, shape=lathe(profile), texture=prints.finish(im, rng),
        footprint_m=rim,
    )  # fmt: skip


def mug(key: Key) -> SampleObject:
    rng = key.rng()
    r, h, wall, base = 0.0385, 0.092, 0.0042, 0.006
    i = r - wall
    rim = arc((r - wall / 2, h - wall / 2), wall / 2, 0, 180, 9)
    profile = [
        np.array([[0, 0.0], [r - 0.004, 0.0]]), arc((r - 0.004, 0.004), 0.004, -90, 0, 6),
        np.array([[r, 0.004], [r, h / 2], [r, h - wall / 2]]), rim,
        np.array([[i, h - wall / 2], [i, h / 2], [i, base + 0.006]]),
        arc((i - 0.006, base + 0.006), 0.006, 0, -90, 6), np.array([[i - 0.006, base], [0, base]]),
    ]  # fmt: skip
    strip = 0.08  # share of the sheet kept for the handle
    body = lathe(profile, v_range=(strip, 1.0))
    at = strip + (1 - strip) * lengths(profile)
    a = np.linspace(-np.pi / 2, np.pi / 2, 25)
    path = np.stack([r - 0.002 + 0.030 * np.cos(a), np.zeros(25), 0.048 + 0.027 * np.sin(a)], 1)
    handle = tube(path, np.array([0, 1.0, 0]), width=0.013, height=0.008, uv_box=(0, 0.01, 1, strip - 0.01))
    total = float(sum(np.linalg.norm(np.diff(p, axis=0), axis=1).sum() for p in profile))
    white = (238, 234, 226)
    im, d, w, hh = wrap(2 * np.pi * r, total / (1 - strip), white)
    hue = rng.uniform(0.5, 0.65)
    blues = [prints.hsv(hue + rng.normal(0, 0.03), s, v) for s, v in ((0.75, 0.45), (0.6, 0.65), (0.35, 0.85))]
    top, bottom = (1 - at[3]) * hh, (1 - at[2]) * hh
    prints.leaves(d, (0, top + 0.1 * (bottom - top), w, bottom), rng, [*blues, (216, 120, 70)], 70, w * 0.035)
    for _ in range(130):
        x, y, s = rng.uniform(0, w), rng.uniform(top, bottom), w * rng.uniform(0.003, 0.008)
        d.ellipse([x - s, y - s, x + s, y + s], fill=(blues + [(222, 160, 60)])[rng.integers(4)])
    d.rectangle([0, top, w, top + 0.05 * (bottom - top)], fill=blues[0])
    for _ in range(700):  # speckled glaze inside, outside and on the handle
        x, y, s = rng.uniform(0, w), rng.uniform(0, hh), w * rng.uniform(0.0008, 0.0028)
        d.ellipse([x - s, y - s, x + s, y + s], fill=(104, 88, 70))
    return SampleObject(
        name="mug", label="mug", material="ceramic", mass_kg=0.29, shape=join([body, handle]), texture=prints.finish(im, rng),
        footprint_m=r + 0.034,
    )  # fmt: skip


def ball(key: Key) -> SampleObject:
    """A juggling ball, pressed flat by 0.6 mm so that it rests."""
    rng = key.rng()
    r, flat = 0.032, 0.0006
    start = -90 + np.rad2deg(np.arccos((r - flat) / r))
    profile = [np.array([[0, 0.0], [np.sqrt(r**2 - (r - flat) ** 2), 0]]), arc((0, r - flat), r, start, 90, 41)]
    profile[1][0] = profile[0][1]
    profile[1][-1, 0] = 0.0
    im, d, w, h = wrap(2 * np.pi * r, np.pi * r, (240, 232, 215))
    hue = rng.uniform()
    for k in range(6):
        d.rectangle([w * k / 6, 0, w * (k + 1) / 6, h], fill=prints.hsv(hue + (0.0, 0.12, 0.55)[k % 3], 0.72, (0.85, 0.9, 0.7)[k % 3]))
        d.line([(w * k / 6, 0), (w * k / 6, h)], fill=(250, 245, 230), width=7)
    for _ in range(60):
        y = rng.uniform(0, h)
        x, s = rng.uniform(0, w), h * rng.uniform(0.015, 0.05)
        stretch = 1 / max(0.2, np.sin(np.pi * y / h))
        pts = [(x + s * stretch * q * np.cos(a), y + s * q * np.sin(a)) for a, q in zip(np.arange(10) * np.pi / 5, [1, 0.45] * 5)]
        d.polygon(pts, fill=prints.hsv(hue + rng.choice([0.33, 0.5, 0.8]), 0.4, 0.95) if rng.uniform() < 0.6 else (40, 40, 60))
    return SampleObject(
        name="ball", label="ball", material="rubber", mass_kg=0.120, shape=lathe(profile), texture=prints.finish(im, rng), footprint_m=r,
    )  # fmt: skip


def pear(key: Key) -> SampleObject:
    rng = key.rng()
    t = np.linspace(0, 1, 60)
    z = np.array([0.0, 0.004, 0.014, 0.028, 0.045, 0.060, 0.072, 0.082, 0.089, 0.092])
    r = np.array([0.014, 0.0225, 0.0315, 0.0355, 0.0325, 0.0245, 0.0190, 0.0155, 0.0095, 0.0])
    s = np.linspace(0, 1, len(z))
    from scipy.interpolate import PchipInterpolator

    body = np.stack([PchipInterpolator(s, r)(t), PchipInterpolator(s, z)(t)], 1)
    profile = [np.array([[0, 0.0], [0.007, 0.0], [0.014, 0.0]]), body]
    im, d, w, h = wrap(2 * np.pi * 0.0355, 0.150, (0, 0, 0))
    a = np.zeros((h, w, 3), np.float32)
    across = np.linspace(0, 2 * np.pi, w)[None]
    blush = np.clip(0.5 + 0.6 * np.cos(across - rng.uniform(0, 6)) + 0.25 * prints.noise(h, w, rng, (6, 8), 4), 0, 1)[..., None]
    green = np.asarray(prints.hsv(rng.uniform(0.16, 0.23), 0.65, 0.75), np.float32)
    a[:] = green * (1 - 0.75 * blush) + np.asarray((196, 92, 52), np.float32) * 0.75 * blush
    a *= (1 + 0.07 * prints.noise(h, w, rng, (14, 20), 4))[..., None]
    im = Image.fromarray(np.clip(a, 0, 255).astype(np.uint8))
    d = ImageDraw.Draw(im)
    for _ in range(1500):  # lenticels
        x, y, q = rng.uniform(0, w), rng.uniform(0, h), w * rng.uniform(0.001, 0.0035)
        d.ellipse([x - q, y - q, x + q, y + q], fill=(112, 84, 40) if rng.uniform() < 0.7 else (226, 214, 150))
    for _ in range(26):  # russet patches and scars
        x, y, q = rng.uniform(0, w), rng.uniform(0, h), w * rng.uniform(0.006, 0.018)
        d.ellipse([x - q, y - q * 0.6, x + q, y + q * 0.6], fill=(134, 98, 52))
    prints.text(d, (w * 0.3, h * 0.62), "4409", w * 0.05, (250, 250, 245))
    return SampleObject(
        name="pear", label="pear", material="fruit", mass_kg=0.18, shape=lathe(profile), texture=prints.finish(im, rng),
        footprint_m=0.0355,
    )  # fmt: skip


def bottle(key: Key) -> SampleObject:
    rng = key.rng()
    r, h = 0.029, 0.150
    t = np.linspace(0, 1, 16)
    shoulder = np.stack([0.012 + (r - 0.012) * (0.5 + 0.5 * np.cos(np.pi * t)), 0.098 + 0.026 * t], 1)
    profile = [
        np.array([[0, 0.0], [r - 0.003, 0.0]]), arc((r - 0.003, 0.003), 0.003, -90, 0, 6),
        np.array([[r, 0.003], [r, 0.05], [r, 0.098]]), shoulder,
        np.array([[0.012, 0.124], [0.0145, 0.1241]]), np.array([[0.0145, 0.1241], [0.0145, 0.13], [0.0145, h - 0.001]]),
        np.array([[0.0145, h - 0.001], [0.0135, h], [0, h]]),
    ]  # fmt: skip
    at = lengths(profile)
    total = float(sum(np.linalg.norm(np.diff(p, axis=0), axis=1).sum() for p in profile))
    hue = rng.uniform(0.08, 0.13)
    im, d, w, hh = wrap(2 * np.pi * r, total, prints.hsv(hue, 0.8, 0.85))
    top, bottom = (1 - at[3]) * hh, (1 - at[2]) * hh
    span = bottom - top
    for _ in range(160):
        x, y, s = rng.uniform(0, w), rng.uniform(0, hh), w * rng.uniform(0.004, 0.015)
        d.ellipse([x - s, y - s, x + s, y + s], fill=prints.hsv(hue + rng.normal(0, 0.02), 0.85, rng.uniform(0.55, 0.98)))
    d.rectangle([0, top + span * 0.15, w, top + span * 0.85], fill=(44, 52, 74))
    for cx in (0.25, 0.75):
        prints.text(d, (w * cx, top + span * 0.36), "MUSTARD", w * 0.058, (250, 220, 120))
        prints.text(d, (w * cx, top + span * 0.54), "fine & mild", w * 0.04, (240, 240, 230), bold=False)
        d.ellipse([w * (cx - 0.05), top + span * 0.62, w * (cx + 0.05), top + span * 0.8], fill=(214, 160, 40))
    for cx in (0.0, 0.5, 1.0):
        prints.small_print(d, (w * (cx - 0.06), top + span * 0.2, w * (cx + 0.06), top + span * 0.8), rng, (230, 230, 220), w * 0.014)
    cap = (1 - at[4]) * hh
    d.rectangle([0, 0, w, cap], fill=(150, 40, 36))
    for k in range(60):
        d.line([(w * k / 60, 0), (w * k / 60, cap)], fill=(110, 26, 26), width=4)
    return SampleObject(
        name="bottle", label="mustard bottle", material="plastic", mass_kg=0.31, shape=lathe(profile),
        texture=prints.finish(im, rng), footprint_m=r,
    )  # fmt: skip
