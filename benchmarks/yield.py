"""How many attempts of each task succeed in a scene, and why the others fail; no pictures. JSON on stdout.

    python benchmarks/yield.py SCENE --episodes 200 --task place --task push
    python benchmarks/yield.py SCENE --task place --robot arm.xml+gripper.xml --expert hand.csv
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

from phone2sim.augment.workspace import PlacementError
from phone2sim.sim_export.workers import Job, Maker

TASKS = ("pick", "place", "put any object on any object", "stack", "clear", "push")


def measure(maker: Maker, episodes: int) -> dict[str, object]:
    """Outcomes of attempts 0 … episodes - 1; `tried` leaves out arrangements that could not be drawn."""
    reasons: Counter[str] = Counter()
    targets: dict[str, Counter[str]] = {}
    start = time.process_time()
    for i in range(episodes):
        try:
            spec = maker.sample(i)
        except PlacementError:
            reasons["placement"] += 1
            continue
        outcome = maker.simulate(spec).reason or "success"
        reasons[outcome] += 1
        targets.setdefault(spec.task.target, Counter())[outcome] += 1
    good, tried = reasons.pop("success", 0), episodes - reasons["placement"]
    return {
        "episodes": episodes, "tried": tried, "success": good, "yield": round(good / max(tried, 1), 3),
        "reasons": dict(+reasons), "by_target": {k: dict(v) for k, v in sorted(targets.items())},
        "cpu_s_per_episode": round((time.process_time() - start) / max(episodes, 1), 2),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--task", action="append", help="kind, sentence or file; may be given several times")
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--robot", default="")
    parser.add_argument("--expert", default="")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rows = {}
    for task in args.task or TASKS:
        job = Job(
            scene_dir=args.scene, dataset_dir=args.scene, recipe=args.recipe, seed=args.seed, scene_fingerprint="",
            simulator="mujoco", pictures=False, task=task, robot=args.robot, expert=args.expert,
        )  # fmt: skip
        rows[task] = measure(Maker(job), args.episodes)
        print(f"{task}: {rows[task]['success']} of {rows[task]['tried']}, {rows[task]['reasons']}", file=sys.stderr)
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
