"""CPU-seconds of a dataset's episodes by stage, and what they depend on. One thread; CPU time, so a busy machine tells little less.

    python benchmarks/episodes.py SCENE                          table, and episodes/h on two cores
    python benchmarks/episodes.py SCENE --variants               also with a wrist camera, and with motion blur
    python benchmarks/episodes.py SCENE --wrist --rounds 5       with and without a wrist camera in turn, five times: medians
    python benchmarks/episodes.py SCENE --sweep --plot cost.svg  also cost against episodes, cameras, resolution and objects
    python benchmarks/episodes.py SCENE --json out.json          (memory over many episodes: memory.py)
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

from line_plot import Curve, write_svg

from phone2sim.sim_export.datasets.lerobot import write_lerobot
from phone2sim.sim_export.episode import StoredEpisodes
from phone2sim.sim_export.workers import Job, Maker, episode_folder

SWEEPS = {
    "cameras": [(n, f"camera: {{names: [{', '.join(('front', 'side', 'left', 'right')[:n])}]}}") for n in (1, 2, 4)],
    "picture side, px": [(n, f"camera: {{width: {n}, height: {n}}}") for n in (128, 256, 512)],
    "objects": [(n, f"clutter: {{count: {n - 1}}}") for n in (1, 2, 4, 8)],
}
"""What is varied → (its value, the recipe's change)."""
WRIST = "wrist camera too"
VARIANTS = {WRIST: "camera: {wrist: true}", "motion blur": "sensor: {shutter_s: 0.03}"}


def run(scene: Path, recipe: str, episodes: int, *, seed: int = 0) -> dict:
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
        kept: list[int] = []
        index, after = 0, {}
        del warm
        while len(kept) < episodes:
            a = maker.attempt(index)
            total.update(a.cpu_s)
            if a.success:
                kept.append(index)
                after[len(kept)] = round(sum(total.values()), 3)
            index += 1
        start = time.process_time()
        write_lerobot(StoredEpisodes(episode_folder(folder, i) for i in kept), folder / "lerobot")
        total["lerobot"] = time.process_time() - start
    table = {k: round(v / episodes, 3) for k, v in total.items()}
    each = sum(total.values()) / episodes
    return {
        "episodes": episodes, "attempts": index, "cpu_s": table, "total_cpu_s": round(each, 3),
        "per_hour_2_cores": round(2 * 3600 / each), "cpu_s_after": after,
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
    parser.add_argument("--variants", action="store_true")
    parser.add_argument("--wrist", action="store_true", help="of the variants the wrist camera alone, as many episodes as without")
    parser.add_argument("--rounds", type=int, default=1, help="all recipes so many times in turn; the run of median cost counts")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    a = parser.parse_args()
    changes = {n: v for n, v in VARIANTS.items() if a.variants or (a.wrist and n == WRIST)}
    if a.sweep:
        changes = {**changes, **{f"{n} {axis}": text for axis, points in SWEEPS.items() for n, text in points}}
    runs: dict[str, list[dict]] = {}
    with tempfile.TemporaryDirectory() as tmp:
        for i, text in enumerate(changes.values()):
            (Path(tmp) / f"{i}.yaml").write_text(f"extends: {a.recipe}\n{text}\n")
        recipes = {a.recipe: a.recipe, **{name: str(Path(tmp) / f"{i}.yaml") for i, name in enumerate(changes)}}
        for _ in range(a.rounds):
            for name, recipe in recipes.items():
                alike = name == a.recipe or a.wrist
                runs.setdefault(name, []).append(run(a.scene, recipe, a.episodes if alike else max(2, a.episodes // 2)))
                print(name, runs[name][-1]["total_cpu_s"], flush=True)
    out = {}
    for name, made in runs.items():
        ordered = sorted(made, key=lambda r: r["total_cpu_s"])
        out[name] = {**ordered[len(ordered) // 2], "rounds_total_cpu_s": [r["total_cpu_s"] for r in made]}
    if WRIST in out:
        print(f"with a wrist camera {out[WRIST]['total_cpu_s'] / out[a.recipe]['total_cpu_s']:.2f} times")
    stages = list(dict.fromkeys(k for r in out.values() for k in r["cpu_s"]))
    print("CPU s an episode".ljust(20) + "".join(s.rjust(9) for s in stages) + "    total   1/h on 2 cores")
    for name, r in out.items():
        row = "".join(f"{r['cpu_s'].get(s, 0):9.2f}" for s in stages)
        print(f"{name:20}{row}{r['total_cpu_s']:9.2f}   {r['per_hour_2_cores']:6d}   ({r['episodes']} of {r['attempts']} attempts)")
    if a.json:
        a.json.write_text(json.dumps(out, indent=1))
    if a.plot and a.sweep:
        plot(a.plot, a.recipe, out)


def plot(path: Path, recipe: str, out: dict) -> None:
    """CPU seconds against what was varied; the first panel's are of all episodes, LeRobot left out."""
    made = [{"x": int(n), "y": s} for n, s in out[recipe]["cpu_s_after"].items()]
    panels = [("episodes", "CPU s of all", [Curve("", made, "x", "y")])]
    for axis, points in SWEEPS.items():
        rows = [{"x": n, "y": out[f"{n} {axis}"]["total_cpu_s"]} for n, _ in points]
        panels.append((axis, "CPU s an episode", [Curve("", rows, "x", "y")]))
    write_svg(path, panels)


if __name__ == "__main__":
    main()
