"""The room around the sample's table: floor, walls with pictures, shelves, a window, the table itself."""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from phone2sim._native.mesh import MeshPart
from phone2sim.keys import Key
from phone2sim.sample import prints
from phone2sim.sample.shapes import Shape, box, box_layout, quad

Table = Literal["terrazzo", "wood", "painted", "marble", "cloth"]

TABLE_M = (1.10, 0.80)
TABLE_THICK_M = 0.032
FLOOR_M = -0.74
ROOM_M = (4.4, 3.8, 2.5)
TABLE_PX_PER_M = 2600
MAT_M = (0.66, 0.56)


def part(shape: Shape, texture: np.ndarray | None = None, **options) -> MeshPart:
    return MeshPart(
        vertices=shape.vertices, faces=shape.faces, normals=shape.normals, uv=shape.uv, texture=texture, **options
    )  # fmt: skip


def moved(shape: Shape, at: tuple[float, float, float], yaw_rad: float = 0.0) -> Shape:
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    R = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    return Shape(vertices=shape.vertices @ R.T + at, faces=shape.faces, normals=shape.normals @ R.T, uv=shape.uv)


def table_picture(key: Key, kind: Table = "terrazzo") -> np.ndarray:
    """The table top: of wood with a placemat of chips printed on it, of wood alone, or of something plainer."""
    rng = key.rng()
    w, h = (round(s * TABLE_PX_PER_M) for s in TABLE_M)
    if kind == "painted":
        return prints.finish(np.full((h, w, 3), (176, 182, 178), np.uint8), rng)
    if kind == "marble":
        return prints.marble(h, w, rng, (226, 223, 216), (128, 126, 132))
    if kind == "cloth":
        return prints.checked(h, w, rng, (232, 228, 218), (86, 112, 150), px_per_m=TABLE_PX_PER_M)
    top = prints.wood(h, w, rng, (92, 56, 32), (168, 116, 70), planks=6, px_per_m=TABLE_PX_PER_M)
    if kind == "wood":
        return top
    mw, mh = (round(s * TABLE_PX_PER_M) for s in MAT_M)
    ground = [(214, 206, 190), (186, 196, 196), (206, 196, 204)][rng.integers(3)]
    chips = [(66, 88, 104), (178, 104, 74), (232, 226, 212), (120, 134, 104), (210, 168, 96), (84, 72, 70), (150, 160, 168)]
    mat = prints.terrazzo(mh, mw, rng, ground, chips, px_per_m=TABLE_PX_PER_M)
    im = Image.fromarray(mat)
    d = ImageDraw.Draw(im)
    inset = round(0.012 * TABLE_PX_PER_M)
    d.rectangle([inset, inset, mw - inset, mh - inset], outline=(96, 84, 78), width=round(0.0022 * TABLE_PX_PER_M))
    y, x = (h - mh) // 2, (w - mw) // 2
    top[y - 4 : y + mh + 5, x - 4 : x + mw + 5] = (top[y - 4 : y + mh + 5, x - 4 : x + mw + 5] * 0.5).astype(np.uint8)
    top[y : y + mh, x : x + mw] = np.asarray(im)
    return top


def _table(key: Key, kind: Table) -> list[MeshPart]:
    size = (*TABLE_M, TABLE_THICK_M)
    layout, (width, height) = box_layout(size)
    top = moved(box(size, bevel=0.003), (0, 0, -TABLE_THICK_M))
    picture = table_picture(key, kind)
    sheet = np.empty((round(height * TABLE_PX_PER_M), round(width * TABLE_PX_PER_M), 3), np.uint8)
    grain = prints.wood(sheet.shape[0], 600, key.child("edge").rng(), (92, 56, 32), (168, 116, 70), planks=30, px_per_m=2600)
    sheet[:] = np.tile(grain, (1, sheet.shape[1] // 600 + 1, 1))[:, : sheet.shape[1]]
    x, y, w, h = (round(v * TABLE_PX_PER_M) for v in layout["+z"])
    sheet[y : y + h, x : x + w] = picture[: sheet.shape[0] - y, : sheet.shape[1] - x]
    parts = [part(top, sheet[:, : round(2 * (TABLE_M[0] + TABLE_M[1]) * TABLE_PX_PER_M)])]
    leg_wood = prints.wood(256, 256, key.child("leg").rng(), (80, 48, 28), (140, 94, 56), planks=1, px_per_m=1200)
    for sx in (-1, 1):
        for sy in (-1, 1):
            leg = box((0.06, 0.06, -FLOOR_M - TABLE_THICK_M))
            parts.append(part(moved(leg, (sx * (TABLE_M[0] / 2 - 0.06), sy * (TABLE_M[1] / 2 - 0.06), FLOOR_M)), leg_wood))
    return parts


def _floor(key: Key) -> MeshPart:
    rng = key.rng()
    px = 500
    w, h = round(ROOM_M[0] * px), round(ROOM_M[1] * px)
    im = Image.fromarray(prints.wood(h, w, rng, (120, 88, 60), (186, 148, 106), planks=26, px_per_m=500))
    d = ImageDraw.Draw(im)
    for k in range(26):
        for _ in range(3):
            x, y = rng.uniform(0, w), h * k / 26
            d.line([(x, y), (x, y + h / 26)], fill=(60, 40, 26), width=2)
    rw, rh = round(2.3 * px), round(1.7 * px)
    x0, y0 = (w - rw) // 2, (h - rh) // 2
    hue = rng.uniform()
    rug = Image.new("RGB", (rw, rh), prints.hsv(hue, 0.45, 0.42))
    r = ImageDraw.Draw(rug)
    for k in range(9):
        m = k * rw * 0.018
        r.rectangle([m, m, rw - m, rh - m], outline=prints.hsv(hue + 0.08 * k, 0.45, 0.35 + 0.06 * (k % 5)), width=10)
    for _ in range(420):
        x, y, s = rng.uniform(rw * 0.17, rw * 0.83), rng.uniform(rh * 0.2, rh * 0.8), rng.uniform(6, 34)
        fill = prints.hsv(hue + rng.choice([0, 0.1, 0.5]), rng.uniform(0.2, 0.6), rng.uniform(0.3, 0.85))
        r.polygon([(x - s, y), (x, y - s), (x + s, y), (x, y + s)], fill=fill)
    im.paste(rug, (x0, y0))
    lx, ly = ROOM_M[0] / 2, ROOM_M[1] / 2
    return part(quad((-lx, -ly, FLOOR_M), (2 * lx, 0, 0), (0, 2 * ly, 0)), prints.finish(im, rng, mottle=4, grain=5))


def _wall_picture(width_m: float, key: Key, kind: int) -> np.ndarray:
    rng = key.rng()
    px = 420
    w, h = round(width_m * px), round(ROOM_M[2] * px)
    hue = (0.1, 0.55, 0.07, 0.3)[kind]
    im = Image.new("RGB", (w, h), prints.hsv(hue, 0.13, 0.80))
    d = ImageDraw.Draw(im)
    d.rectangle([0, h - round(0.1 * px), w, h], fill=(228, 222, 212))
    d.line([(0, h - round(0.1 * px)), (w, h - round(0.1 * px))], fill=(150, 140, 130), width=3)
    if kind % 2 == 0:
        x = 0.25
        while x + 0.55 < width_m:
            pw, ph = rng.uniform(0.42, 0.7), rng.uniform(0.5, 0.95)
            y = rng.uniform(0.95, 1.1)
            im.paste(prints.poster(round(pw * px), round(ph * px), rng, int(rng.integers(3))), (round(x * px), round(y * px)))
            small = prints.poster(round(0.35 * px), round(0.3 * px), rng, int(rng.integers(3)))
            im.paste(small, (round((x + 0.05) * px), round((y - 0.5) * px)))
            x += pw + rng.uniform(0.14, 0.3)
    else:
        im.paste(prints.window(round(1.3 * px), round(1.2 * px), rng), (round(0.5 * px), round(0.35 * px)))
        for k in range(5):
            board = prints.books(round(1.5 * px), round(0.28 * px), rng)
            x, y = width_m - 1.9, 0.45 + 0.36 * k
            im.paste(board, (round(x * px), round(y * px)))
            d.rectangle([x * px, (y + 0.28) * px, (x + 1.5) * px, (y + 0.31) * px], fill=(110, 78, 50))
        im.paste(prints.poster(round(0.45 * px), round(0.5 * px), rng, 1), (round(0.8 * px), round(1.65 * px)))
    return prints.finish(im, rng, mottle=5, grain=4)


def _furniture(key: Key) -> list[MeshPart]:
    """Low things along the walls: a sideboard, a crate, a pouf and a chest, so that parallax shows behind the table."""
    rng = key.rng()
    out = []
    places = [((-1.2, 1.6, FLOOR_M), (1.3, 0.4, 0.62)), ((1.75, 0.6, FLOOR_M), (0.45, 1.1, 0.48)),
              ((0.9, -1.55, FLOOR_M), (0.6, 0.5, 0.5)), ((-1.8, -0.7, FLOOR_M), (0.5, 0.9, 0.7)),
              ((0.75, 1.55, FLOOR_M), (0.45, 0.45, 0.4)), ((-0.7, -1.6, FLOOR_M), (0.5, 0.36, 0.36))]  # fmt: skip
    for k, (at, size) in enumerate(places):
        _, (width, height) = box_layout(size)
        px = 260
        hue = rng.uniform()
        im = Image.new("RGB", (round(width * px), round(height * px)), prints.hsv(hue, 0.4, 0.5))
        d = ImageDraw.Draw(im)
        w, h = im.size
        if k % 2 == 0:
            im = Image.fromarray(prints.wood(h, w, rng, (70, 46, 30), (150, 108, 70), planks=7, px_per_m=700))
            d = ImageDraw.Draw(im)
            for _ in range(14):
                x, y = rng.uniform(0, w), rng.uniform(0, h)
                d.rectangle([x, y, x + w * 0.06, y + h * 0.09], outline=(40, 26, 18), width=3)
                d.ellipse([x + w * 0.027, y + h * 0.03, x + w * 0.034, y + h * 0.05], fill=(210, 190, 140))
        else:
            for i in range(60):
                x = w * i / 60
                d.rectangle([x, 0, x + w / 130, h], fill=prints.hsv(hue + 0.1, 0.35, rng.uniform(0.4, 0.8)))
            for _ in range(150):
                x, y, s = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(3, 14)
                d.ellipse([x - s, y - s, x + s, y + s], fill=prints.hsv(hue + rng.uniform(0, 0.5), 0.5, rng.uniform(0.3, 0.9)))
        out.append(part(moved(box(size, bevel=0.01), at, rng.uniform(-0.1, 0.1)), prints.finish(im, rng)))
    return out


def make_room(key: Key, *, table: Table = "terrazzo") -> list[MeshPart]:
    """Everything that is not an object: the table first, its top at z = 0."""
    lx, ly, hz = ROOM_M[0] / 2, ROOM_M[1] / 2, ROOM_M[2]
    corners = [(lx, ly), (-lx, ly), (-lx, -ly), (lx, -ly)]
    parts = [*_table(key.child("table"), table), _floor(key.child("floor"))]
    for k in range(4):
        a, b = np.array([*corners[k], FLOOR_M]), np.array([*corners[(k + 1) % 4], FLOOR_M])
        picture = _wall_picture(float(np.linalg.norm(b - a)), key.child("wall", k), k)
        parts.append(part(quad(b, a - b, (0, 0, hz)), picture))
    return [*parts, *_furniture(key.child("furniture"))]
