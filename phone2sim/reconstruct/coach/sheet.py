"""The thumbnail sheet: findings above, every frame below with a border of the colour of what was found on it."""

from __future__ import annotations

from math import ceil

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from phone2sim.reconstruct.coach.coverage import Coverage
from phone2sim.reconstruct.coach.finding import CoachReport, Finding

COLOUR = {"cannot work": (192, 28, 40), "bad": (214, 98, 10), "advice": (201, 155, 0)}
WORD = {"cannot work": "CANNOT WORK", "bad": "BAD", "advice": "ADVICE"}
FINE, INK, SOFT, LINE, PAPER = (46, 125, 80), (28, 30, 34), (110, 116, 124), (222, 225, 229), (250, 250, 248)
WIDTH, MARGIN, GAP = 1600, 48, 14
MOST = 96
"""More frames than this are thinned to those with a finding and an even choice of the rest."""


def contact_sheet(report: CoachReport, thumbs: list[np.ndarray]) -> Image.Image:
    """The sheet of a report; `thumbs` are (h, w, 3) uint8, one a frame."""
    marks = report.marks()
    shown = chosen(len(thumbs), sorted(marks))
    head = _head(report)
    portrait = np.median([t.shape[0] / t.shape[1] for t in thumbs]) > 1
    columns = min(max(len(shown), 4), 12 if portrait else 8)
    cell = (WIDTH - 2 * MARGIN - (columns - 1) * GAP) // columns
    cell = min(cell, 250)
    tall = max(round(cell * min(max(t.shape[0] / t.shape[1] for t in thumbs), 1.8)), 60)
    row = tall + 46
    rows = ceil(len(shown) / columns)
    page = Image.new("RGB", (WIDTH, head.height + rows * row + (rows - 1) * GAP + MARGIN), PAPER)
    page.paste(head, (0, 0))
    draw = ImageDraw.Draw(page)
    for k, i in enumerate(shown):
        x = MARGIN + (k % columns) * (cell + GAP)
        y = head.height + (k // columns) * (row + GAP)
        _frame(page, draw, thumbs[i], report.frames[i].name, marks.get(i), (x, y, cell, tall))
    return page


def chosen(count: int, marked: list[int], most: int = MOST) -> list[int]:
    """Frames to show, ascending: all, or the marked ones and an even choice of the rest."""
    if count <= most:
        return list(range(count))
    keep = marked if len(marked) <= most else [marked[round(k * (len(marked) - 1) / (most - 1))] for k in range(most)]
    rest = [i for i in range(count) if i not in set(marked)]
    room = min(most - len(keep), len(rest))
    even = [rest[round(k * (len(rest) - 1) / max(room - 1, 1))] for k in range(room)]
    return sorted({*keep, *even})


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _head(report: CoachReport) -> Image.Image:
    """Title, verdict, findings, and a rose of the directions seen on the right."""
    rose = report.coverage is not None
    room = WIDTH - 2 * MARGIN - 148 - (280 if rose else 0)
    lines = [(f, _wrap(f.seen, room, 21), _wrap(f.do, room, 19)) for f in report.findings]
    tall = 124 + sum(27 * (len(seen) + len(do)) + 13 for _, seen, do in lines) + 40
    image = Image.new("RGB", (WIDTH, max(tall, 118 + 300 if rose else 200)), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((MARGIN, 36), report.source, fill=INK, font=_font(34))
    verdict, colour = _verdict(report)
    draw.text((WIDTH - MARGIN, 36), verdict, fill=colour, font=_font(30), anchor="ra")
    draw.text((MARGIN, 82), " · ".join(report.good), fill=SOFT, font=_font(20))
    y = 124
    for finding, seen, do in lines:
        draw.rounded_rectangle([MARGIN, y + 1, MARGIN + 130, y + 27], 6, fill=COLOUR[finding.severity])
        draw.text((MARGIN + 65, y + 14), WORD[finding.severity], fill="white", font=_font(15), anchor="mm")
        for text in seen:
            draw.text((MARGIN + 148, y), text, fill=INK, font=_font(21))
            y += 27
        for text in do:
            draw.text((MARGIN + 148, y), text, fill=SOFT, font=_font(19))
            y += 27
        y += 13
    if not lines:
        draw.text((MARGIN, y), "Nothing to improve.", fill=FINE, font=_font(21))
    if report.coverage is not None:
        _rose(draw, report.coverage, report.marks(), (WIDTH - MARGIN - 120, 118 + 126), 108)
    draw.line([MARGIN, image.height - 22, WIDTH - MARGIN, image.height - 22], fill=LINE, width=2)
    return image


def _wrap(text: str, width: int, size: int) -> list[str]:
    """Lines of at most `width` pixels."""
    font = _font(size)
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _verdict(report: CoachReport) -> tuple[str, tuple[int, int, int]]:
    if not report.works:
        return "cannot work like this", COLOUR["cannot work"]
    if any(f.severity == "bad" for f in report.findings):
        return "may work, badly", COLOUR["bad"]
    return "fit to build", FINE


def _frame(
    page: Image.Image, draw: ImageDraw.ImageDraw, thumb: np.ndarray, name: str, mark: Finding | None,
    box: tuple[int, int, int, int],
) -> None:  # fmt: skip
    x, y, w, h = box
    picture = Image.fromarray(thumb)
    s = min((w - 8) / picture.width, (h - 8) / picture.height)
    picture = picture.resize(
        (max(1, round(picture.width * s)), max(1, round(picture.height * s))), Image.Resampling.LANCZOS
    )
    left, top = x + (w - picture.width) // 2, y + (h - picture.height) // 2
    if mark is not None:
        draw.rectangle(
            [left - 4, top - 4, left + picture.width + 3, top + picture.height + 3], fill=COLOUR[mark.severity]
        )
    page.paste(picture, (left, top))
    draw.text((x + w // 2, y + h + 4), _short(name, w, 15), fill=SOFT, font=_font(15), anchor="ma")
    if mark is not None:
        draw.text(
            (x + w // 2, y + h + 23), _short(mark.label, w, 15), fill=COLOUR[mark.severity], font=_font(15), anchor="ma"
        )


def _short(text: str, width: int, size: int) -> str:
    font = _font(size)
    while len(text) > 4 and font.getlength(text) > width:
        text = text[:-2].rstrip() + "…" if not text.endswith("…") else text[:-2].rstrip() + "…"
    return text


def _rose(
    draw: ImageDraw.ImageDraw, c: Coverage, marks: dict[int, Finding], middle: tuple[int, int], radius: int
) -> None:
    """Cameras seen from above: the middle of the scene in the centre, higher cameras nearer to it."""
    x, y = middle
    for part in (1.0, 2 / 3, 1 / 3):
        r = round(radius * part)
        draw.ellipse([x - r, y - r, x + r, y + r], outline=LINE, width=2)
    for frame, a, e in zip(c.frames, np.radians(c.azimuth_deg), c.elevation_deg):
        r = radius * (1 - np.clip(e, 0, 90) / 90)
        px, py = x + r * np.cos(a), y - r * np.sin(a)
        mark = marks.get(frame)
        colour = FINE if mark is None else COLOUR[mark.severity]
        draw.ellipse([px - 5, py - 5, px + 5, py + 5], fill=colour, outline=PAPER)
    text = "seen from above" + (", a guess" if c.guess else "")
    draw.text((x, y + radius + 10), text, fill=SOFT, font=_font(17), anchor="ma")
