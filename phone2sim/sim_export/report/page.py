"""The page around the sections: style, navigation, and the one file."""

from __future__ import annotations

from html import escape
from pathlib import Path

from phone2sim import __version__
from phone2sim.errors import InputError
from phone2sim.sim_export.report import dataset_sections, scene_sections
from phone2sim.sim_export.report.facts import read_dataset, read_scene
from phone2sim.sim_export.report.overview import overview

STYLE = """
:root{color-scheme:light dark;--bg:#f6f5f2;--card:#fff;--ink:#1b1c1e;--soft:#6a6d73;--line:#e3e1dc;--accent:#2563eb;
--wash:#eef2fb;--good:#0f9d6b;--bad:#d9483b;--warn:#b7791f}
@media(prefers-color-scheme:dark){:root{--bg:#131416;--card:#1c1e21;--ink:#ececea;--soft:#9a9da3;--line:#2d3035;
--accent:#6ea0ff;--wash:#1d2637;--good:#3ecf97;--bad:#ff7a6b;--warn:#e3b04b}}
*{box-sizing:border-box}html{scroll-behavior:smooth;scroll-padding-top:64px}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.55 ui-sans-serif,system-ui,-apple-system,"Segoe UI",Inter,sans-serif}
main{max-width:1120px;margin:0 auto;padding:0 24px 72px}
header{max-width:1120px;margin:0 auto;padding:44px 24px 8px}
h1{font-size:34px;line-height:1.15;margin:0 0 6px;letter-spacing:-.02em}
h2{font-size:22px;margin:0 0 4px;letter-spacing:-.01em}h3{font-size:16px;margin:22px 0 8px}
p{margin:4px 0 12px}.lead{color:var(--soft);font-size:17px;margin:0}.soft{color:var(--soft)}
nav{position:sticky;top:0;z-index:5;background:color-mix(in srgb,var(--bg) 88%,transparent);backdrop-filter:blur(8px);
border-bottom:1px solid var(--line)}nav div{max-width:1120px;margin:0 auto;padding:10px 24px;display:flex;gap:20px;flex-wrap:wrap}
nav a{color:var(--soft);text-decoration:none;font-size:14px}nav a:hover{color:var(--accent)}
section{background:var(--card);border:1px solid var(--line);border-radius:16px;padding:26px 28px;margin-top:24px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(148px,1fr));gap:12px;margin-top:24px}
.tile{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:14px 16px}
.tile b{display:block;font-size:25px;line-height:1.2;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:13px}
figure{margin:0}figcaption{color:var(--soft);font-size:13px;margin-top:6px}
img{display:block;max-width:100%;border-radius:8px;background:var(--line)}
.strip{display:grid;grid-auto-flow:column;grid-auto-columns:minmax(0,1fr);gap:6px}.strip img{width:100%;border-radius:6px}
.thumbs{display:grid;grid-template-columns:repeat(auto-fill,minmax(104px,1fr));gap:8px;margin-top:14px}
.thumbs img{width:100%;aspect-ratio:var(--ratio,3/4);object-fit:cover}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(320px,1fr));gap:24px;margin-top:14px}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:4px}.pair img{width:100%}
.pairs{display:grid;grid-template-columns:repeat(auto-fit,minmax(230px,1fr));gap:18px;margin-top:14px}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(228px,1fr));gap:16px;margin-top:14px}
.card{border:1px solid var(--line);border-radius:14px;overflow:hidden}.card>img{width:100%;aspect-ratio:1;object-fit:cover;border-radius:0}
.card .in{padding:12px 16px 14px}.card h3{margin:0 0 2px}
dl{display:grid;grid-template-columns:auto 1fr;gap:2px 14px;margin:8px 0 0;font-size:14px}
dt{color:var(--soft)}dd{margin:0;text-align:right;font-variant-numeric:tabular-nums}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th{color:var(--soft);font-weight:500;text-align:left}th,td{padding:5px 12px 5px 0;border-bottom:1px solid var(--line);vertical-align:top}
.wide{overflow-x:auto}td.end{text-align:right}td.range{width:45%}td.range svg{display:block;width:100%}
.coverage th{width:32%}.coverage td.end{white-space:nowrap}.coverage tr.axis th{color:var(--ink);font-weight:600;padding-top:14px}
.chip{display:inline-block;padding:1px 9px;border-radius:99px;font-size:12.5px;background:var(--wash);color:var(--accent);margin-right:6px}
.chip.good{color:var(--good);background:color-mix(in srgb,var(--good) 12%,transparent)}
.chip.bad{color:var(--bad);background:color-mix(in srgb,var(--bad) 12%,transparent)}
.chip.warn{color:var(--warn);background:color-mix(in srgb,var(--warn) 14%,transparent)}
.note{border-left:3px solid var(--warn);padding:2px 0 2px 12px;margin:8px 0;color:var(--soft);font-size:14px}
.note.said{border-left-color:var(--line)}
.plot{width:100%;height:auto;background:var(--bg);border-radius:10px;border:1px solid var(--line)}
.cam{stroke-width:.9;fill-opacity:.9}.support{fill:var(--line);stroke:var(--soft);stroke-width:1;stroke-dasharray:5 4;fill-opacity:.55}
.scale{fill:none;stroke:var(--soft);stroke-width:1.4}.tick{fill:var(--soft);font-size:11px}.base{fill:var(--soft)}
.interval{width:100%;height:14px;display:block;margin-top:4px}.track{fill:var(--line)}.band{fill:var(--accent);opacity:.35}.mark{fill:var(--accent)}
.bars{display:grid;grid-template-columns:auto 1fr;gap:5px 14px;align-items:center;font-size:14px;margin-top:10px}
.bar-label{color:var(--soft);white-space:nowrap}.bar-cell{display:flex;align-items:center;gap:8px}.bar-cell span{white-space:nowrap}
.bar{height:13px;border-radius:4px;background:var(--accent);min-width:2px;max-width:calc(100% - 74px)}
.episode{padding:16px 0;border-top:1px solid var(--line)}.episode:first-of-type{border-top:0}
.episode .head{display:flex;gap:10px;align-items:baseline;flex-wrap:wrap;margin-bottom:8px}.episode .strip+.strip{margin-top:6px}
footer{max-width:1120px;margin:0 auto;padding:0 24px 40px;color:var(--soft);font-size:13px}
code{background:var(--bg);border:1px solid var(--line);border-radius:5px;padding:0 5px;font-size:.92em}
.hero{display:grid;grid-template-columns:repeat(auto-fit,minmax(200px,1fr));gap:14px;margin-top:24px}
.hero img{width:100%;height:300px;object-fit:cover;border-radius:14px}
@media(max-width:640px){main,header{padding-left:14px;padding-right:14px}section{padding:18px 16px}h1{font-size:27px}}
"""


def write_report(scene_dir: Path | None, dataset_dir: Path | None, out: Path) -> Path:
    """Write one self-contained HTML file about a scene folder, a dataset folder, or both; what is missing is left out.

    Raises `InputError` when neither folder holds anything to report.
    """
    scene = read_scene(scene_dir) if scene_dir is not None else None
    dataset = read_dataset(dataset_dir) if dataset_dir is not None else None
    tiles: list[tuple[str, str]] = []
    sections: list[tuple[str, str, str]] = []
    if scene is not None:
        tiles += scene_sections.tiles(scene)
        sections += scene_sections.sections(scene)
    if dataset is not None:
        tiles += dataset_sections.tiles(dataset)
        sections += dataset_sections.sections(dataset, scene)
    if scene is not None and (html := scene_sections.time(scene)):
        sections.append(("time", "Time", html))
    if not sections:
        where = " and ".join(str(p) for p in (scene_dir, dataset_dir) if p is not None)
        raise InputError(f"{where}: nothing to report.", hint="Make a scene: phone2sim build CAPTURE -o SCENE")
    folders = [p.resolve() for p in (scene_dir, dataset_dir) if p is not None]
    title = (
        folders[0].parent.name
        if len({f.parent for f in folders}) < len(folders)
        else " + ".join(f.name for f in folders)
    )
    hero = overview(scene, dataset)
    lead = scene_sections.lead(scene) if scene is not None and scene.manifests else dataset_sections.lead(dataset)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial")
    try:
        partial.write_text(page(title, lead, hero, tiles, sections), encoding="utf-8")
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)  # of a full disk
    return out


def page(title: str, lead: str, hero: str, tiles: list[tuple[str, str]], sections: list[tuple[str, str, str]]) -> str:
    """A self-contained page: a heading, tiles of (name, value), sections of (id, name, HTML)."""
    links = "".join(f'<a href="#{key}">{escape(name)}</a>' for key, name, _ in sections)
    numbers = "".join(f'<div class="tile"><b>{escape(v)}</b><span>{escape(k)}</span></div>' for k, v in tiles)
    body = "".join(f'<section id="{key}"><h2>{escape(name)}</h2>{html}</section>' for key, name, html in sections)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)} · phone2sim</title><style>{STYLE}</style></head><body>"
        f'<header><h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p></header><nav><div>{links}</div></nav>'
        f'<main>{hero}<div class="tiles">{numbers}</div>{body}</main>'
        f"<footer>Written by phone2sim {__version__}. Lengths in metres, masses in kilograms, z up; "
        f"intervals are what the evidence allows, not a guarantee.</footer></body></html>\n"
    )
