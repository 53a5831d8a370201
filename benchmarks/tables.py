"""What lies under removed objects, on usual tables: `python benchmarks/tables.py SCRATCH [TABLE …]`.

The sample's six objects on tables of several kinds, each cut out of a scene whose views are perfect (see `objects.py`), and the
background that is left against the true table without them: PSNR over the pixels which objects covered, and over those of them where
no photo saw the table. With `--empty` the same again with photos of the table without the objects. Writes `SCRATCH/tables.json` and
`SCRATCH/<table>.png` (true, filled, from the empty photos), and prints a Markdown table.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.objects import SIZE, write_scene
from phone2sim._native.mesh import to_srgb8
from phone2sim.assets import pipeline
from phone2sim.assets.pipeline import AssetsConfig, build_assets
from phone2sim.config import write_json
from phone2sim.images import write_rgb
from phone2sim.keys import Key
from phone2sim.sample import SampleConfig, SampleScene, make_scene
from phone2sim.sample.clip import filming_distance, intrinsics, trajectory
from phone2sim.sample.room import Table
from tests.e2e.looks import uncovered


def run(table: str, scratch: Path, *, n: int, threads: int, keep: bool, empty: bool) -> list[dict[str, Any]]:
    config = SampleConfig(table=table, sheet=False, seed=1)
    scene, folder = make_scene(config, threads=threads), scratch / table
    truth_json = scratch / f"{table}.truth.json"
    if not (keep and truth_json.exists()):
        write_scene(scene, config, folder, n=n, threads=threads)
    rows: list[dict[str, Any]] = []
    pictures: list[np.ndarray] = []
    for photos in [None, *([without_objects(scene, config, scratch / f"{table}.empty", n=n // 2, threads=threads)] if empty else [])]:
        build_assets(folder, AssetsConfig(empty=photos), force=True)
        found = uncovered(folder, truth_json, truth=scene)
        want, got, _ = found["pictures"][len(found["pictures"]) // 2]
        pictures += [np.clip(got, 0, 1)] if pictures else [want, np.clip(got, 0, 1)]
        rows.append({"table": table, "empty": photos is not None, "all": found["all"], "objects": found["psnr"], "hidden": found["hidden"]})
    Image.fromarray((255 * np.concatenate(pictures, axis=2).transpose(1, 2, 0) + 0.5).astype(np.uint8)).save(scratch / f"{table}.png")
    return rows


def without_objects(scene: SampleScene, config: SampleConfig, folder: Path, *, n: int, threads: int) -> str:
    """A folder of photos of the bare table by another path of the hand, a little brighter and warmer."""
    w, h = SIZE
    K, bare = intrinsics(config.model_copy(update={"width": w, "height": h})), scene.bare(threads=threads)
    poses = trajectory(np.linspace(0, 8, n), 8.0, Key(config.seed).child("empty"), radius_m=filming_distance(scene))
    for i, T in enumerate(poses):
        write_rgb(folder / f"{i:03d}.jpg", to_srgb8(bare.view(K, T, w, h, threads=threads).rgb, gain_rgb=(1.15, 1.1, 1.0)))
    return str(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("tables", nargs="*", default=list(get_args(Table)))
    parser.add_argument("--views", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--empty", action="store_true", help="also with photos of the table without the objects")
    parser.add_argument("--keep", action="store_true", help="use views made before")
    args = parser.parse_intermixed_args()
    pipeline._validity = lambda *_, **__: {}
    rows = []
    print("| table | under objects, dB | by object | never seen, share | there, dB | seen, dB |\n|---|---:|---:|---:|---:|---:|")
    for table in args.tables:
        new = run(table, args.scratch, n=args.views, threads=args.threads, keep=args.keep, empty=args.empty)
        rows += new
        for r in new:
            low, high, h = min(r["objects"].values()), max(r["objects"].values()), r["hidden"]
            name = f"{table}, with empty photos" if r["empty"] else table
            print(f"| {name} | {r['all']:.1f} | {low:.1f} to {high:.1f} | {h['share']:.0%} | {h['psnr']:.1f} | {h['seen_psnr']:.1f} |", flush=True)
        write_json(args.scratch / "tables.json", {"tables": rows})


if __name__ == "__main__":
    main()
