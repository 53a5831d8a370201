"""`phone2sim doctor`: what this machine can run, and what to install for the rest."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from phone2sim.cli.options import Json, Quiet
from phone2sim.cli.output import output
from phone2sim.errors import GateError

CORE = {
    "numpy": "numpy", "scipy": "scipy", "pillow": "PIL", "pi-heif": "pi_heif", "lzfse": "lzfse", "av": "av",
    "opencv-python-headless": "cv2",
    "pycolmap": "pycolmap", "trimesh": "trimesh", "open3d": "open3d", "manifold3d": "manifold3d", "coacd": "coacd", "xatlas": "xatlas",
    "mujoco": "mujoco", "mink": "mink", "daqp": "daqp", "usd-core": "pxr", "pyarrow": "pyarrow", "gymnasium": "gymnasium",
    "viser": "viser",
}  # fmt: skip
"""Distribution → module."""


@dataclass(frozen=True, kw_only=True)
class Backend:
    """An optional backend: what it is for, what it needs, how to get it."""

    name: str
    job: str
    modules: tuple[str, ...] = ()
    executable: str = ""
    cuda: bool = False
    install: str = ""


BACKENDS = (
    Backend(
        name="gsplat",
        job="splat training on a CUDA GPU",
        modules=("torch", "gsplat"),
        cuda=True,
        install="pip install 'phone2sim[gsplat]'",
    ),
    Backend(
        name="nerfstudio",
        job="splatfacto, in its own environment",
        executable="ns-train",
        cuda=True,
        install="pip install nerfstudio, in an environment of its own",
    ),
    Backend(
        name="lpips",
        job="LPIPS of held-out pictures",
        modules=("torch", "torchvision", "lpips"),
        install="pip install 'phone2sim[lpips]'",
    ),
    Backend(name="mitsuba", job="path-traced reference pictures", modules=("mitsuba",), install="pip install 'phone2sim[pbr]'"),
    Backend(name="spz", job="compressed splats", modules=("gsply",), install="pip install 'phone2sim[spz]'"),
    Backend(
        name="sam",
        job="Segment Anything masks",
        modules=("torch", "torchvision", "segment_anything"),
        install="pip install 'phone2sim[sam]'",
    ),
    Backend(
        name="depth",
        job="metric depth for a single photo",
        modules=("torch", "transformers"),
        install="pip install 'phone2sim[depth]'",
    ),
    Backend(
        name="clip",
        job="what objects look like they are made of",
        modules=("torch", "transformers"),
        install="pip install 'phone2sim[clip]'",
    ),
    Backend(name="ray", job="episodes on several machines", modules=("ray",), install="pip install 'phone2sim[ray]'"),
)


def doctor(json: Json = False, quiet: Quiet = False) -> None:
    """What this machine can run, and how to get the rest.

    Exit 1 when a part of the core is missing.
    """
    with output(json=json, quiet=quiet) as o:
        found = examine()
        o.result(found)
        o.show(*_tables(found))
        broken = [p["name"] for p in found["core"] if not p["ok"]] + (
            [] if found["kernels"]["ok"] else ["compiled kernels"]
        )
        if broken:
            raise GateError(
                f"Core parts missing or broken: {', '.join(broken)}.", hint="pip install --force-reinstall phone2sim"
            )


def examine() -> dict[str, Any]:
    """Machine, kernels, core packages, optional backends and physics engines as plain data."""
    gpu = _gpu()
    return {
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "python": sys.version.split()[0],
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "memory_gib": _memory_gib(),
            "free_disk_gib": round(shutil.disk_usage(Path.cwd()).free / 2**30, 1),
            "gpu": gpu,
        },
        "kernels": _kernels(),
        "core": [_package(d, m) for d, m in CORE.items()],
        "backends": [_backend(b, gpu) for b in BACKENDS],
        "engines": _engines(),
    }


def _package(distribution: str, module: str) -> dict[str, Any]:
    """Present when its metadata and its module are; nothing is imported, so this is instant."""
    try:
        version: str | None = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        version = None
    ok = importlib.util.find_spec(module) is not None
    return {"name": distribution, "version": version, "ok": ok}


def _backend(b: Backend, gpu: str | None) -> dict[str, Any]:
    missing = [m for m in b.modules if importlib.util.find_spec(m) is None]
    if b.executable and not _nerfstudio():
        missing.append(b.executable)
    if b.cuda and gpu is None:
        missing.append("an NVIDIA GPU")
    if b.name == "gsplat" and not missing:
        from phone2sim.reconstruct.backends.gsplat_cuda import gsplat_missing

        missing += [why] if (why := gsplat_missing()) else []
    return {
        **{k: v for k, v in asdict(b).items() if k in ("name", "job", "install")},
        "ok": not missing,
        "missing": missing,
    }


def _engines() -> list[dict[str, Any]]:
    """Per engine beside MuJoCo: what is found where, what it can and cannot do from here, and how to get it."""
    from phone2sim.errors import MissingDependencyError
    from phone2sim.sim_export.engines import ENGINES, find_python, installed_version

    found = []
    for e in ENGINES.values():
        here: dict[str, Any] = {"python": None, "version": None, "why": ""}
        try:
            here |= {"version": installed_version(e), "python": find_python(e)}
        except MissingDependencyError as missing:
            here["why"] = missing.message
        found.append({
            "name": e.name, "title": e.title, "ok": here["version"] is not None, **here, "can": e.can, "cannot": e.cannot,
            "install": e.install,
        })  # fmt: skip
    return found


def _nerfstudio() -> bool:
    from phone2sim.errors import Phone2SimError
    from phone2sim.reconstruct.backends.nerfstudio import find_nerfstudio

    try:
        return bool(find_nerfstudio())
    except Phone2SimError:
        return False


def _kernels() -> dict[str, Any]:
    from phone2sim import _native

    builds = {}
    try:
        for name in ("splat", "mesh"):
            builds[name] = "x86-64-v3" if _native.load(name).__name__.endswith("_v3") else "baseline"
    except ImportError as e:
        return {"ok": False, "builds": builds, "error": str(e)}
    return {"ok": True, "builds": builds, "error": None}


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def _gpu() -> str | None:
    """Name of the first NVIDIA GPU, from the driver's own tool."""
    import subprocess

    if (tool := shutil.which("nvidia-smi")) is None:
        return None
    try:
        out = subprocess.run(
            [tool, "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return out.stdout.splitlines()[0].strip() if out.returncode == 0 and out.stdout.strip() else None


def _tables(found: dict[str, Any]) -> list[Any]:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    yes, no, dash = Text("✓", style="green"), Text("✗", style="red"), Text("–", style="dim")
    machine = Table.grid(padding=(0, 2))
    m = found["machine"]
    machine.add_row("machine", f"{m['system']}, Python {m['python']}")
    machine.add_row(
        "resources", f"{m['cores']} cores, {m['memory_gib']} GiB memory, {m['free_disk_gib']} GiB disk free"
    )
    machine.add_row("GPU", m["gpu"] or "none (none is needed)")
    k = found["kernels"]
    machine.add_row(
        "kernels", ", ".join(f"{n}: {b}" for n, b in k["builds"].items()) if k["ok"] else Text(k["error"], style="red")
    )
    core = Table(box=box.SIMPLE_HEAD, title="Core", title_justify="left", pad_edge=False)
    for column in ("", "package", "version", "", "package", "version"):
        core.add_column(column)
    rows = [(yes if p["ok"] else no, p["name"], p["version"] or "not installed") for p in found["core"]]
    half = (len(rows) + 1) // 2
    for i in range(half):
        core.add_row(*rows[i], *(rows[half + i] if half + i < len(rows) else ("", "", "")))
    backends = Table(box=box.SIMPLE_HEAD, title="Optional", title_justify="left", pad_edge=False)
    for column in ("", "backend", "for", "to get it"):
        backends.add_column(column)
    for b in found["backends"]:
        need = "" if b["ok"] else b["install"] + (" (needs an NVIDIA GPU)" if "an NVIDIA GPU" in b["missing"] else "")
        backends.add_row(yes if b["ok"] else dash, b["name"], b["job"], Text(need, style="cyan"))
    engines = Table(box=box.SIMPLE_HEAD, title="Physics engines beside MuJoCo", title_justify="left", pad_edge=False)
    for column in ("", "engine", ""):
        engines.add_column(column, overflow="fold")
    for e in found["engines"]:
        where = f"found   {e['version']} in {e['python']}" if e["ok"] else f"get it  {e['install']}"
        lines = Text("\n").join([
            Text(f"can     {e['can']}"), Text(f"cannot  {e['cannot']}"), Text(where, style="" if e["ok"] else "cyan"),
        ])  # fmt: skip
        engines.add_row(yes if e["ok"] else dash, e["name"], lines)
    return [machine, core, backends, engines]
