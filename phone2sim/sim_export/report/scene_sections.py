"""Sections about a scene: capture, cameras and scale, splat, objects, time spent."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from phone2sim.reconstruct.coach import read_coach
from phone2sim.sim_export.report.certificate import certificate
from phone2sim.sim_export.report.facts import SceneFacts
from phone2sim.sim_export.report.figures import bars, camera_plot, interval_bar, validity_plot
from phone2sim.sim_export.report.metric import metric_html
from phone2sim.sim_export.report.pictures import embed, spread

Section = tuple[str, str, str]
"""Anchor, title, HTML."""


def lead(scene: SceneFacts) -> str:
    n = len(scene.assets)
    objects = f"{n} object{'s' if n != 1 else ''} cut out" if n else "background only"
    frames = len(scene.cameras) if scene.cameras else scene.result("capture").get("frames", 0)
    return f"{frames} posed pictures, {objects}, {sum(scene.seconds.values()):.0f} seconds of computing."


def tiles(scene: SceneFacts) -> list[tuple[str, str]]:
    rows = []
    cameras = scene.registration
    if cameras.get("registered") is not None:
        rows.append(("pictures registered", f"{cameras['registered']} / {cameras.get('total', cameras['registered'])}"))
    if cameras.get("reprojection_px") is not None:
        rows.append(("reprojection error", f"{cameras['reprojection_px']:.2f} px"))
    if scene.metric.get("scale_interval"):
        low, high = scene.metric["scale_interval"]
        rows.append(("scale uncertainty", f"± {50 * (high - low):.1f} %"))
    if scene.splat.get("psnr") is not None:
        rows.append(("held-out PSNR", f"{scene.splat['psnr']:.1f} dB"))
    if scene.splat.get("gaussians") is not None:
        rows.append(("Gaussians", f"{scene.splat['gaussians']:,}"))
    if scene.scene:
        rows.append(("objects", str(len(scene.assets))))
    return rows


def sections(scene: SceneFacts) -> list[Section]:
    makers = (
        ("capture", "Capture", capture),
        ("cameras", "Cameras and scale", cameras_and_scale),
        ("splat", "Splat against held-out photos", splat),
        ("objects", "Objects", objects),
        ("certificate", "Twin certificate", certificate),
    )
    return [(key, title, html) for key, title, make in makers if (html := make(scene))]


def capture(scene: SceneFacts) -> str:
    folder = scene.folder / "capture" / "frames"
    names = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in (".jpg", ".png")] if folder.is_dir() else []
    if not names:
        return ""
    shown = [uri for p in spread(names, 16) if (uri := embed(p, max_side=240, quality=72))]
    w, h = _size(names[0])
    ratio = f"{w}/{h}" if w and h else "3/4"
    facts = scene.capture
    source = Path(str(facts.get("source", ""))).name
    text = (
        f"{len(names)} upright, sharp frames of {w}×{h} px"
        + (f" from <code>{escape(source)}</code>" if source else "")
        + "."
    )
    images = "".join(f'<img src="{u}" alt="frame">' for u in shown)
    refused = "".join(
        f'<div class="note">{escape(r["file"])} left out: {escape(r["why"])}</div>'
        for r in facts.get("refused", [])[:8]
    )
    coach = [
        f'<div class="note"><b>{escape(f["severity"])}</b> {escape(f["seen"])} {escape(f["do"])}</div>'
        for f in read_coach(scene.folder / "capture").get("findings", [])
        if f["id"] not in ("reading", "unreadable")
    ]
    refused += "".join(coach)
    return (
        f'<p class="soft">{text}</p>{_notes(facts)}{refused}<div class="thumbs" style="--ratio:{ratio}">{images}</div>'
    )


def cameras_and_scale(scene: SceneFacts) -> str:
    parts = []
    if scene.cameras is not None:
        args = (scene.cameras, scene.scene, scene.assets)
        top = camera_plot(*args, axes=(0, 1))
        side = camera_plot(*args, axes=(0, 2))
        parts.append(
            f'<div class="two"><figure>{top}<figcaption>From above: cameras from first (blue) to last (violet), the support '
            f"surface where it was seen, and the objects.</figcaption></figure>"
            f"<figure>{side}<figcaption>From the side, z up.</figcaption></figure></div>"
        )
        if views := validity_plot(scene.scene.get("validity", {}), scene.cameras):
            parts.append(
                f'<h3>Where new views are supported</h3><div class="two"><figure>{views}</figure><p class="soft">Directions seen from above: zenith in the '
                f"middle, horizon at the rim. Green: covered by several pictures, without holes, and expected to look like the held-out "
                f"ones. Episodes draw their cameras there. Dots: the pictures.</p></div>"
            )
    if scene.metric:
        parts.append("<h3>Why this scale, why this up</h3>" + metric_html(scene.metric) + _notes(scene.metric))
    return "".join(parts)


def splat(scene: SceneFacts) -> str:
    folder = scene.folder / "splat" / "heldout"
    photos = sorted(folder.glob("*_photo.*")) if folder.is_dir() else []
    views = scene.splat.get("views", scene.splat.get("heldout", []))
    psnr = {str(v.get("name", "")).rsplit(".", 1)[0]: v.get("psnr") for v in views if isinstance(v, dict)}
    pairs = []
    for photo in spread(photos, 4):
        stem = photo.stem.removesuffix("_photo")
        renders = sorted(folder.glob(f"{stem}_render.*"))
        if not renders:
            continue
        text = escape(stem) + (f" · {psnr[stem]:.1f} dB" if psnr.get(stem) else "")
        pairs.append(
            f'<figure><div class="pair"><img src="{embed(photo, max_side=520)}" alt="photo"><img src="{embed(renders[0], max_side=520)}" '
            f'alt="splat"></div><figcaption>{text} — photo left, splat right</figcaption></figure>'
        )
    if not pairs and not scene.splat:
        return ""
    m = scene.splat
    text = " · ".join(
        t
        for t in (
            f"PSNR {m['psnr']:.2f} dB" if m.get("psnr") is not None else "",
            f"SSIM {m['ssim']:.3f}" if m.get("ssim") is not None else "",
            f"{m['gaussians']:,} Gaussians" if m.get("gaussians") is not None else "",
            f"trained in {m['seconds']:.0f} s" if m.get("seconds") is not None else "",
        )
        if t
    )
    return f'<p class="soft">{text}. The photos below were kept out of training.</p><div class="pairs">{"".join(pairs)}</div>'


def objects(scene: SceneFacts) -> str:
    if not scene.scene:
        return ""
    parts = [_notes(scene.scene)]
    if not scene.assets:
        parts.append("<p>No objects: the scene is its background only.</p>")
    preview = scene.folder / "scene" / "preview"
    cards = []
    top = max((a["mass_kg"]["high"] for a in scene.assets), default=1.0)
    for a in scene.assets:
        picture = _picture(preview, a["name"])
        image = f'<img src="{picture}" alt="{escape(a["name"])}">' if picture else ""
        m, f, e = a["mass_kg"], a["friction"], a["extents_m"]
        cards.append(
            f'<div class="card">{image}<div class="in"><h3>{escape(a["name"])}</h3><span class="chip">{escape(a["material"])}</span>'
            f"<dl><dt>mass</dt><dd>{_grams(m['value'])} <span class='soft'>({_grams(m['low'])} – {_grams(m['high'])})</span></dd></dl>"
            f"{interval_bar(m['value'], m['low'], m['high'], span=(0, top))}"
            f"<dl><dt>size</dt><dd>{' × '.join(f'{100 * x:.1f}' for x in e)} cm</dd>"
            f"<dt>volume</dt><dd>{1e6 * a['volume_m3']:.0f} cm³</dd>"
            f"<dt>friction</dt><dd>{f['value']:.2f} <span class='soft'>({f['low']:.2f} – {f['high']:.2f})</span></dd>"
            f"<dt>convex hulls</dt><dd>{len(a['hulls'])}</dd>"
            f"<dt>surface seen</dt><dd>{100 * a.get('seen_fraction', 1):.0f} %</dd></dl>{_notes(a)}</div></div>"
        )
    parts.append(f'<div class="cards">{"".join(cards)}</div>')
    background = [f'<figure><img src="{u}" alt="{t}"><figcaption>{t}</figcaption></figure>'
                  for name, t in (("background", "The background with every object taken out and the table filled in"),
                                  ("scene", "Everything placed back")) if (u := _picture(preview, name, 720))]  # fmt: skip
    if background:
        parts.append(f'<h3>What is left without them</h3><div class="two">{"".join(background)}</div>')
    return "".join(parts)


def time(scene: SceneFacts) -> str:
    if not scene.seconds:
        return ""
    return bars([(name, s, f"{s:.1f} s") for name, s in scene.seconds.items()])


def _picture(folder: Path, name: str, max_side: int = 480) -> str:
    for suffix in (".png", ".jpg"):
        if (folder / f"{name}{suffix}").exists():
            return embed(folder / f"{name}{suffix}", max_side=max_side)
    return ""


def _size(path: Path) -> tuple[int, int]:
    from PIL import Image

    try:
        with Image.open(path) as im:
            return im.size
    except OSError:
        return 0, 0


def _grams(kg: float) -> str:
    return f"{1000 * kg:.0f} g" if kg < 1 else f"{kg:.2f} kg"


def _notes(document: dict[str, Any]) -> str:
    found = [str(t) for key in ("flagged", "advice", "notes") for t in (document.get(key) or [])]
    return "".join(f'<div class="note">{escape(t)}</div>' for t in dict.fromkeys(found))
