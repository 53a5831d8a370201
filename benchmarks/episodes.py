"""CPU-seconds of a dataset's episodes by stage, and what they depend on. One thread; CPU time, so a busy machine tells little less.

    python benchmarks/episodes.py SCENE                          table, and episodes/h on two cores
    python benchmarks/episodes.py SCENE --sweep                  also cost against cameras, resolution, objects; wrist camera
    python benchmarks/episodes.py SCENE --episodes 1000 --memory memory over many episodes (hours)
    python benchmarks/episodes.py SCENE --json out.json
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from phone2sim.sim_export.datasets.lerobot import write_lerobot
from phone2sim.sim_export.episode import StoredEpisodes
from phone2sim.sim_export.workers import Job, Maker, episode_folder

VARIANTS = {
    "1 camera": "camera: {names: [front]}",
    "2 cameras": "camera: {names: [front, side]}",
    "4 cameras": "camera: {names: [front, side, left, right]}",
    "128²": "camera: {width: 128, height: 128}",
    "256²": "camera: {width: 256, height: 256}",
    "512²": "camera: {width: 512, height: 512}",
    "2 + wrist": "camera: {wrist: true}",
    "0 other objects": "clutter: {count: 0}",
    "5 other objects": "clutter: {count: 5}",
    "motion blur": "sensor: {shutter_s: 0.03}",
}


def run(scene: Path, recipe: str, episodes: int, *, seed: int = 0, memory: bool = False) -> dict:
    """Make `episodes` successes; seconds by stage per success, the failed attempts' included, LeRobot written at the end."""
    with tempfile.TemporaryDirectory() as tmp:
        folder = Path(tmp) / "d"
        job = Job(
            scene_dir=scene, dataset_dir=folder, recipe=recipe, seed=seed, scene_fingerprint="benchmark", simulator="mujoco",
            pictures=True,
        )  # fmt: skip
        maker = Maker(job)
        warm = next(i for i in range(100) if maker.attempt(10_000 + i).success)  # imports, models, first touches
        total: Counter[str] = Counter()
        kept, index, sizes = [], 0, []
        del warm
        while len(kept) < episodes:
            a = maker.attempt(index)
            total.update(a.cpu_s)
            if a.success:
                kept.append(index)
            if memory and len(kept) % 10 == 0 and a.success:
                sizes.append(resident_mb())
            index += 1
        start = time.process_time()
        write_lerobot(StoredEpisodes(episode_folder(folder, i) for i in kept), folder / "lerobot")
        total["lerobot"] = time.process_time() - start
    table = {k: round(v / episodes, 3) for k, v in total.items()}
    each = sum(total.values()) / episodes
    return {
        "episodes": episodes, "attempts": index, "cpu_s": table, "total_cpu_s": round(each, 3),
        "per_hour_2_cores": round(2 * 3600 / each), **({"resident_mb": sizes} if memory else {}),
    }  # fmt: skip


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * resource.getpagesize() / 2**20, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--json", type=Path)
    a = parser.parse_args()
    out = {a.recipe: run(a.scene, a.recipe, a.episodes, memory=a.memory)}
    if a.sweep:
        with tempfile.TemporaryDirectory() as tmp:
            for name, text in VARIANTS.items():
                path = Path(tmp) / "r.yaml"
                path.write_text(f"extends: {a.recipe}\n{text}\n")
                out[name] = run(a.scene, str(path), max(2, a.episodes // 3))
    stages = list(dict.fromkeys(k for r in out.values() for k in r["cpu_s"]))
    print("CPU s an episode".ljust(20) + "".join(s.rjust(9) for s in stages) + "    total   1/h on 2 cores")
    for name, r in out.items():
        row = "".join(f"{r['cpu_s'].get(s, 0):9.2f}" for s in stages)
        print(f"{name:20}{row}{r['total_cpu_s']:9.2f}   {r['per_hour_2_cores']:6d}   ({r['episodes']} of {r['attempts']} attempts)")
        if "resident_mb" in r:
            print("resident MB every 10 episodes:", *r["resident_mb"])
    if a.json:
        a.json.write_text(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
