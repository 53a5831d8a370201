"""Results of a scene or dataset folder as JSON for machines and as tables for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from phone2sim.sim_export.report.dataset_sections import attempts
from phone2sim.sim_export.report.facts import read_dataset, read_scene
from phone2sim.stage import read_manifest


def reconstruct_json(folder: Path) -> dict[str, Any]:
    """`scene`, `cameras`, `metric`, `splat`, as `reconstruct --json` prints them."""
    facts = read_scene(folder)
    return {
        "scene": str(folder),
        "cameras": {k: facts.registration.get(k) for k in ("total", "registered", "reprojection_px")},
        "metric": {k: facts.metric.get(k) for k in ("scale_source", "scale_interval", "up_source")},
        "splat": {
            **{k: facts.splat.get(k, facts.result("splat").get(k)) for k in ("psnr", "ssim", "gaussians", "seconds")},
            "backend": facts.result("splat").get("backend"),
        },
    }


def assets_json(folder: Path) -> list[dict[str, Any]]:
    """One row an object; `visual` and `hulls` are paths relative to the scene folder, `T_world_asset` a pose with
    `translation` [m] and `quat_wxyz`."""
    rows = []
    for a in read_scene(folder).assets:
        base = f"scene/{a['name']}"
        rows.append(
            {
                "name": a["name"],
                "mass_kg": {k: a["mass_kg"][k] for k in ("value", "low", "high")},
                "volume_m3": a["volume_m3"],
                "extents_m": a["extents_m"],
                "T_world_asset": a["T_world_asset"],
                "visual": f"{base}/{a['visual']}",
                "hulls": [f"{base}/{h}" for h in a["hulls"]],
            }
        )
    return rows


def build_json(folder: Path) -> dict[str, Any]:
    """What `build --json` prints."""
    return {**reconstruct_json(folder), "assets": assets_json(folder)}


def export_files(folder: Path) -> dict[str, Any]:
    """Format → path of the file to open (a list for URDF, one an object)."""
    export = folder / "export"
    made = (read_manifest(export) or {}).get("result", {})
    return {k: [str(export / x) for x in v] if isinstance(v, list) else str(export / v) for k, v in made.items()}


def scene_panel(folder: Path) -> RenderableType:
    """Cameras, scale and splat in three lines."""
    r = reconstruct_json(folder)
    c, m, s = r["cameras"], r["metric"], r["splat"]
    t = Table.grid(padding=(0, 2))
    if c["registered"] is not None:
        error = f", {c['reprojection_px']:.2f} px" if c["reprojection_px"] is not None else ""
        t.add_row("cameras", f"{c['registered']} of {c['total']} pictures registered{error}")
    if m["scale_source"] is not None:
        spread = ""
        if m["scale_interval"]:
            low, high = m["scale_interval"]
            spread = f" ± {50 * (high - low):.1f} %"
        t.add_row("metric", f"scale from {m['scale_source']}{spread}, up from {m['up_source']}")
    if s["psnr"] is not None:
        t.add_row("splat", f"{s['psnr']:.1f} dB on held-out pictures, {s['gaussians']:,} Gaussians")
    return Panel(t, title=f"scene {folder}", title_align="left", box=box.ROUNDED, expand=False)


def assets_table(folder: Path) -> RenderableType:
    """Objects with what physics needs."""
    rows = read_scene(folder).assets
    if not rows:
        return Text("No objects: a background-only scene.", style="yellow")
    t = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, justify in (
        ("object", "left"),
        ("material", "left"),
        ("size, cm", "right"),
        ("mass, g", "right"),
        ("hulls", "right"),
    ):
        t.add_column(name, justify=justify)  # type: ignore[arg-type]
    for a in rows:
        m = a["mass_kg"]
        size = " × ".join(f"{100 * x:.1f}" for x in a["extents_m"])
        mass = f"{1000 * m['value']:.0f} ({1000 * m['low']:.0f}–{1000 * m['high']:.0f})"
        t.add_row(a["name"], a["material"], size, mass, str(len(a["hulls"])))
    return t


def dataset_panel(folder: Path) -> RenderableType:
    """Episodes and yield."""
    facts = read_dataset(folder)
    tried, kept = attempts(facts)
    t = Table.grid(padding=(0, 2))
    t.add_row("episodes", str(len(facts.episodes)))
    if tried:
        t.add_row("yield", f"{kept} of {tried} attempts succeeded ({100 * kept / tried:.0f} %)")
    for e in facts.episodes[:3]:
        t.add_row("e.g.", f"“{e.spec.get('task', {}).get('language', '')}”")
    return Panel(t, title=f"dataset {folder}", title_align="left", box=box.ROUNDED, expand=False)


def files_panel(files: dict[str, Any], *, seconds: float) -> RenderableType:
    t = Table.grid(padding=(0, 2))
    for key, path in files.items():
        if isinstance(path, str):
            t.add_row(key, Text(path, style="bold"))
    return Panel(
        t, title=f"made in {seconds:.0f} s", title_align="left", border_style="green", box=box.ROUNDED, expand=False
    )


def next_steps(commands: list[str]) -> RenderableType:
    return Group(Text("Try next:"), *[Text(f"  {c}", style="cyan") for c in commands])


def exam_table(result: dict[str, Any]) -> RenderableType:
    """A row per axis and policy: success in percent at each level."""
    from phone2sim.sim_export.exam.grid import EXAM_AXES
    from phone2sim.sim_export.exam.run import curve

    t = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("axis", "policy", "success, from the scene as captured outwards"):
        t.add_column(name)
    cells = result["cells"]
    for axis in [a for a in EXAM_AXES if any(c["axis"] == a for c in cells)]:
        for policy in dict.fromkeys(c["policy"] for c in cells):
            points = curve(result, policy, axis)
            t.add_row(
                EXAM_AXES[axis].title, policy, "  ".join(f"{c['value']:g}: {100 * c['rate']:.0f} %" for c in points)
            )
    return t
