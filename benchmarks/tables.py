"""What lies under removed objects, on usual tables: `python benchmarks/tables.py SCRATCH [TABLE …]`.

The sample's six objects on tables of several kinds, each cut out of a scene whose views are perfect (see `objects.py`), and the
background that is left against the true table without them: PSNR over the pixels which objects covered, and over those of them where
no photo saw the table. Writes `SCRATCH/tables.json` and `SCRATCH/<table>.png` (true, filled), and prints a Markdown table.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.objects import write_scene
from phone2sim.assets import pipeline
from phone2sim.assets.pipeline import AssetsConfig, build_assets
from phone2sim.config import write_json
from phone2sim.sample import SampleConfig, make_scene
from phone2sim.sample.room import Table
from tests.e2e.looks import uncovered


def run(table: str, scratch: Path, *, n: int, threads: int, keep: bool) -> dict[str, Any]:
    config = SampleConfig(table=table, sheet=False, seed=1)
    scene, folder = make_scene(config, threads=threads), scratch / table
    truth_json = scratch / f"{table}.truth.json"
    if not (keep and truth_json.exists()):
        write_scene(scene, config, folder, n=n, threads=threads)
    build_assets(folder, AssetsConfig(), force=True)
    found = uncovered(folder, truth_json, truth=scene)
    want, got, ids = found["pictures"][len(found["pictures"]) // 2]
    pair = np.concatenate([want, np.clip(got, 0, 1)], axis=2).transpose(1, 2, 0)
    Image.fromarray((255 * pair + 0.5).astype(np.uint8)).save(scratch / f"{table}.png")
    hidden = found["hidden"]
    return {"table": table, "all": found["all"], "objects": found["psnr"], "hidden": hidden}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("tables", nargs="*", default=list(get_args(Table)))
    parser.add_argument("--views", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="use views made before")
    args = parser.parse_args()
    pipeline._validity = lambda *_, **__: {}
    rows = []
    print("| table | under objects, dB | by object | never seen, share | there, dB | seen, dB |\n|---|---:|---:|---:|---:|---:|")
    for table in args.tables:
        r = run(table, args.scratch, n=args.views, threads=args.threads, keep=args.keep)
        rows.append(r)
        low, high = min(r["objects"].values()), max(r["objects"].values())
        h = r["hidden"]
        print(f"| {table} | {r['all']:.1f} | {low:.1f} to {high:.1f} | {h['share']:.0%} | {h['psnr']:.1f} | {h['seen_psnr']:.1f} |", flush=True)
        write_json(args.scratch / "tables.json", {"tables": rows})


if __name__ == "__main__":
    main()
