"""Splat training on the fox capture at 270×480: seconds to each held-out PSNR, and milliseconds per kernel.

    python benchmarks/splat.py CAPTURES/fox SCRATCH [--iterations N] [--cap N] [--threads N] [--json]

`seconds` is wall time; `cpu/threads` is processor time over threads, what quiet cores would take. Exit 1 below 28 dB.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from fox_data import fox_views

from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.reconstruct.splat.config import SplatConfig
from phone2sim.reconstruct.splat.gaussians import GROUPS, Gaussians
from phone2sim.reconstruct.splat.rasterize import NEAR, raw_parameters
from phone2sim.reconstruct.splat.train import train

GOALS_DB = (28.0, 29.0, 29.8, 30.0)


def kernel_times(cloud: SplatCloud, images: list[np.ndarray], cameras: Cameras, threads: int) -> dict[str, float]:
    """Median processor time [ms] of each part of a full-resolution iteration."""
    g = Gaussians(dict(zip(GROUPS, raw_parameters(cloud))), threads=threads)
    h, w = images[0].shape[:2]
    raster = g.kernels.Rasterizer(w, h, threads)
    one, zero = np.ones(3, np.float32), np.zeros(3, np.float32)
    still = {k: np.zeros(g.p[k][0].size, np.float32) for k in GROUPS}
    times: dict[str, list[float]] = {}
    for i in (1, 9, 17, 25, 33, 41, 1, 9, 17):
        target = np.ascontiguousarray(images[i].transpose(2, 0, 1), np.float32) / 255
        K, T = cameras.K[i].astype(np.float32), cameras.T_camera_world[i].astype(np.float32)
        marks = [("", time.process_time())]
        rgb = raster.forward(*g.arrays, K=K, T_camera_world=T, background=zero, degree=cloud.sh_degree, near=NEAR)[0]
        marks.append(("forward", time.process_time()))
        grad = np.empty_like(rgb)
        g.kernels.photometric_loss(rgb, target, None, one, zero, 0.2, grad, threads)
        marks.append(("loss", time.process_time()))
        g.backward(raster, rgb, grad)
        marks.append(("backward", time.process_time()))
        g.step(still, 1)
        marks.append(("adam", time.process_time()))
        for (_, before), (name, after) in zip(marks, marks[1:]):
            times.setdefault(name, []).append((after - before) * 1e3)
    return {name: round(float(np.median(v)), 2) for name, v in times.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture", type=Path)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--iterations", type=int, default=SplatConfig().iterations)
    parser.add_argument("--cap", type=int, default=SplatConfig().cap)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    images, cameras, points, colors = fox_views(args.capture, args.scratch, threads=args.threads)
    config = SplatConfig(iterations=args.iterations, cap=args.cap, threads=args.threads)
    result = train(images, cameras, points, colors, config=config, judge_every=2)
    m = result.metrics
    end = {"seconds": m["seconds"], "cpu_seconds": m["cpu_seconds"], "psnr": m["psnr"]}
    history = [*m["history"], end]
    reached: dict[str, Any] = {}
    for goal in GOALS_DB:
        row = next((r for r in history if r["psnr"] >= goal), None)
        reached[f"{goal:g} dB"] = row and {"seconds": row["seconds"], "cpu/threads": round(row["cpu_seconds"] / args.threads, 1)}
    keys = ("psnr", "psnr_raw", "psnr_corrected", "ssim", "train_psnr", "gaussians", "iterations", "seconds", "cpu_seconds")
    report = {
        "result": {k: m[k] for k in keys}, "reached": reached,
        "cpu_ms_per_iteration": kernel_times(result.cloud, images, cameras, args.threads),
    }  # fmt: skip
    print(json.dumps(report, indent=1) if args.json else "\n".join(f"{k}: {v}" for part in report.values() for k, v in part.items()))
    return 0 if m["psnr"] >= 28 else 1


if __name__ == "__main__":
    sys.exit(main())
