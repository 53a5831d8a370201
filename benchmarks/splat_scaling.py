"""Time and memory of a training iteration against the number of Gaussians and of pixels, and against a peer.

    python benchmarks/splat_scaling.py CAPTURES/fox SCRATCH [--gaussians 10000 30000 …] [--sides 240 480 …] [--repeats N]
                                       [--threads N] [--plot docs/img/splat_scaling.svg] [--json]

Needs SCRATCH/fox_cloud.ply, which splat.py leaves there. Larger clouds are made by splitting it, smaller ones by thinning
it. Each point is a process of its own, so that its peak memory is its own; an iteration is forward, loss, backward and Adam
at full resolution. `stated` is the formula of `reconstruct/splat/cpu.py`, `held` what the engine counts, `grown` how
much the process grew at most while it trained.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from fox_data import fox_views
from line_plot import Curve, write_svg

from phone2sim.keys import Key
from phone2sim.reconstruct.splat.backend import GROUPS, Shot
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.reconstruct.splat.config import SplatConfig
from phone2sim.reconstruct.splat.cpu import CpuEngine
from phone2sim.reconstruct.splat.densify import densify
from phone2sim.reconstruct.splat.rasterize import raw_parameters
from phone2sim.reconstruct.splat.views import make_view

PEER = {"name": "OpenSplat, CPU build with -march=native", "date": "2026-11", "gaussians": 11_500, "cpu_seconds": 0.79}
"""A full-resolution iteration on fox at 270×480, two shared Zen 3 cores."""
PEER_GOAL = 8.0


def resized(p: dict[str, np.ndarray], n: int) -> dict[str, np.ndarray]:
    """About the same scene in n Gaussians."""
    key = Key(0).child("scaling", n)
    count = len(p["means"])
    if n < count:
        keep = np.sort(key.rng().permutation(count)[:n])
        p = {k: v[keep] for k, v in p.items()}
        p["log_scales"] = p["log_scales"] + np.float32(0.5 * np.log(count / n))
        return p
    for step in range(20):
        count = len(p["means"])
        if count >= n:
            break
        p, _ = densify(p, np.ones(count), grow=1.0, cap=n, largest=np.inf, rng=key.child("split", step).rng())
    return p


def measure(args: argparse.Namespace, n: int, side: int) -> dict[str, Any]:
    """One point of the curves, in this process."""
    images, cameras, _, _ = fox_views(args.capture, args.scratch, max_side=side, threads=args.threads)
    views = [make_view("", images[i], cameras.K[i], cameras.T_camera_world[i], None) for i in (1, 9, 17, 25, 33, 41)]
    cloud = SplatCloud.load_ply(args.scratch / "fox_cloud.ply")
    p = resized(dict(zip(GROUPS, raw_parameters(cloud))), n)
    k = p["sh"].shape[1]
    one, zero = np.ones(3, np.float32), np.zeros(3, np.float32)
    rates = {g: np.zeros(v[0].size, np.float32) for g, v in p.items()}
    h, w = images[0].shape[:2]
    del images
    start_peak()
    before = memory("VmRSS")
    engine = CpuEngine(p, SplatConfig(threads=args.threads))
    wall, cpu, entries = [], [], []
    for step in range(1, args.repeats + 2):
        start = time.perf_counter(), time.process_time()
        engine.backward(Shot(view=views[step % len(views)], level=0, degree=cloud.sh_degree, background=zero, gain=one, bias=zero))
        engine.step(rates, step)
        wall.append(time.perf_counter() - start[0])
        cpu.append(time.process_time() - start[1])
        entries.append(engine.rasterizer(w, h).entries)
    stated = 16 * n * (11 + 3 * k) + 105 * n + 55 * max(entries) + 40 * w * h
    return {
        "gaussians": len(engine), "pixels": w * h, "size": f"{w}x{h}", "entries": int(np.median(entries)),
        "wall_ms": round(1e3 * float(np.median(wall[1:])), 1), "cpu_ms": round(1e3 * float(np.median(cpu[1:])), 1),
        "stated_mb": round(stated / 1e6, 1), "held_mb": round((engine.memory + 40 * w * h) / 1e6, 1),
        "grown_mb": round((memory("VmHWM") - before) / 1e6, 1),
    }  # fmt: skip


def start_peak() -> None:
    """Forget how much this process has held so far, where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def memory(field: str) -> int:
    """Bytes held: at present (`VmRSS`) or at most (`VmHWM`); the peak of the whole process where the system tells only that."""
    try:
        line = next(l for l in Path("/proc/self/status").read_text().splitlines() if l.startswith(field))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture", type=Path)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--gaussians", type=int, nargs="*", default=[10_000, 30_000, 100_000, 200_000, 500_000])
    parser.add_argument("--sides", type=int, nargs="*", default=[240, 480, 960, 1440], help="longer side of the picture [px]")
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", type=int, nargs=2, metavar=("GAUSSIANS", "SIDE"), help="one point only, as JSON")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args, *args.one)))
        return 0

    def point(n: int, side: int) -> dict[str, Any]:
        options = ["--repeats", str(args.repeats), "--threads", str(args.threads)]
        command = [sys.executable, __file__, str(args.capture), str(args.scratch), "--one", str(n), str(side), *options]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])

    by_count = [point(n, 480) for n in args.gaussians]
    by_pixels = [point(30_000, side) for side in args.sides]
    peer = point(PEER["gaussians"], 480)
    ratio = PEER["cpu_seconds"] * 1e3 / peer["cpu_ms"]
    report = {"by_gaussians": by_count, "by_pixels": by_pixels, "peer": PEER | {"ours_cpu_ms": peer["cpu_ms"], "times": round(ratio, 1)}}
    if args.json:
        print(json.dumps(report, indent=1))
    else:
        for title, rows in (("by Gaussians", by_count), ("by pixels", by_pixels)):
            print(f"{title}\n| " + " | ".join(rows[0]) + " |\n|" + "---:|" * len(rows[0]))
            print("\n".join("| " + " | ".join(f"{v:,}" if isinstance(v, int) else str(v) for v in r.values()) + " |" for r in rows) + "\n")
        print(f"{PEER['name']} ({PEER['date']}): {PEER['cpu_seconds']} CPU-s with {PEER['gaussians']:,} Gaussians; ours "
              f"{peer['cpu_ms'] / 1e3:.3f}: {ratio:.1f} times fewer (goal {PEER_GOAL:g})")  # fmt: skip
    if args.plot:
        write_svg(
            args.plot,
            [
                ("Gaussians (270×480 px)", "ms per iteration", [Curve("wall", by_count, "gaussians", "wall_ms"), Curve("CPU", by_count, "gaussians", "cpu_ms")]),
                ("Gaussians (270×480 px)", "MB", [Curve("held", by_count, "gaussians", "held_mb"), Curve("formula", by_count, "gaussians", "stated_mb"), Curve("grown", by_count, "gaussians", "grown_mb")]),
                ("pixels (30k Gaussians)", "ms per iteration", [Curve("wall", by_pixels, "pixels", "wall_ms"), Curve("CPU", by_pixels, "pixels", "cpu_ms")]),
            ],
        )  # fmt: skip
    return 0 if ratio >= PEER_GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
