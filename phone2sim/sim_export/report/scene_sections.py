"""Sections about a scene: capture, cameras and scale, splat, objects, time spent."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from phone2sim.sim_export.report.facts import SceneFacts
from phone2sim.sim_export.report.figures import bars, camera_plot, interval_bar
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
    cameras = scene.result("cameras")
    if cameras.get("registered") is not None:
        rows.append(("pictures registered", f"{cameras['registered']} / {cameras.get('total', cameras['registered'])}"))
    if cameras.get("reprojection_px") is not None:
        rows.append(("reprojection error", f"{cameras['reprojection_px']:.2f} px"))
    if (scale := scale_interval(scene.metric)) is not None and scale["value"]:
        rows.append(("scale uncertainty", f"± {50 * (scale['high'] - scale['low']) / scale['value']:.1f} %"))
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
        ("time", "Time", time),
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
    source = facts.get("source", "")
    source = (
        Path(str(source.get("name") or source.get("path") or "")).name
        if isinstance(source, dict)
        else Path(str(source)).name
    )
    text = (
        f"{len(names)} upright, sharp frames of {w}×{h} px"
        + (f" from <code>{escape(source)}</code>" if source else "")
        + "."
    )
    images = "".join(f'<img src="{u}" alt="frame">' for u in shown)
    return f'<p class="soft">{text}</p>{_notes(facts)}<div class="thumbs" style="--ratio:{ratio}">{images}</div>'


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
    if scene.metric:
        parts.append("<h3>Why this scale, why this up</h3>" + _metric(scene.metric))
    return "".join(parts)


def scale_interval(metric: dict[str, Any]) -> dict[str, float] | None:
    """`{value, low, high}` of the scale, however the metric document spells it."""
    scale = metric.get("scale_interval", metric.get("scale"))
    if isinstance(scale, (list, tuple)) and len(scale) == 2:
        low, high = map(float, scale)
        value = metric.get("scale")
        return {
            "value": float(value) if isinstance(value, (int, float)) else (low + high) / 2,
            "low": low,
            "high": high,
        }
    if isinstance(scale, dict) and {"low", "high"} <= scale.keys():
        return {
            "value": float(scale.get("value", (scale["low"] + scale["high"]) / 2)),
            "low": scale["low"],
            "high": scale["high"],
        }
    return None


def _metric(metric: dict[str, Any]) -> str:
    rows = []
    for part in ("scale", "up"):
        source = metric.get(f"{part}_source")
        if source:
            flagged = str(source) in ("estimate", "guess", "assumed", "camera_height", "none")
            rows.append(
                f'<tr><th>{part}</th><td><span class="chip{" warn" if flagged else ""}">{escape(str(source))}</span></td></tr>'
            )
    if (s := scale_interval(metric)) is not None:
        rows.append(
            f"<tr><th>metres per reconstruction unit</th><td>{s['value']:.5g} in [{s['low']:.5g}, {s['high']:.5g}]"
            f"{interval_bar(s['value'], s['low'], s['high'])}</td></tr>"
        )
    for vote in _votes(metric):
        name = vote.get("name") or vote.get("source") or vote.get("kind") or "vote"
        rest = {k: v for k, v in vote.items() if k not in ("name", "source", "kind")}
        rows.append(f"<tr><th>{escape(str(name))}</th><td>{_inline(rest)}</td></tr>")
    return f'<div class="wide"><table>{"".join(rows)}</table></div>{_notes(metric)}'


def _votes(metric: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for key in ("votes", "evidence", "scale_votes", "up_votes", "scale_evidence", "up_evidence"):
        value = metric.get(key, [])
        if isinstance(value, dict):
            value = [{"name": k, **(v if isinstance(v, dict) else {"value": v})} for k, v in value.items()]
        found += [v if isinstance(v, dict) else {"name": str(v)} for v in value]
    return found


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
    found = [str(t) for key in ("flags", "warnings", "advice", "notes") for t in (document.get(key) or [])]
    return "".join(f'<div class="note">{escape(t)}</div>' for t in dict.fromkeys(found))


def _inline(values: dict[str, Any]) -> str:
    """`key value · key value`, numbers short."""

    def text(v: Any) -> str:
        if isinstance(v, float):
            return f"{v:.4g}"
        if isinstance(v, (list, tuple)):
            return "[" + ", ".join(text(x) for x in v[:6]) + ("…" if len(v) > 6 else "") + "]"
        if isinstance(v, dict):
            return "{" + ", ".join(f"{k} {text(x)}" for k, x in list(v.items())[:6]) + "}"
        return str(v)

    return " · ".join(f'<span class="soft">{escape(k)}</span> {escape(text(v))}' for k, v in values.items())
