"""Does a value model rank futures better than progress alone? Prints JSON.

    python benchmarks/value.py SCENE -o OUT [--episodes 40] [--seeds 0 1 2]

Episodes are generated and branched without pictures, with heavier and slipperier objects than captured, so that futures fail in
several ways. Per seed a fifth of the episodes, drawn anew, is held out; the model is trained on the futures of the others.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.keys import Key
from phone2sim.sim_export.branches import BranchConfig, ValueModel, branch
from phone2sim.sim_export.branches.value import rank_table
from phone2sim.sim_export.generate import GenerateConfig, generate

RECIPE = """
extends: default
physics: {mass_gain: {log_uniform: [1, 6]}, friction_gain: {log_uniform: [0.3, 1]}}
task: {duration_s: 6, fps: 10}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--episodes", type=int, default=40)
    parser.add_argument("--states", type=int, default=4)
    parser.add_argument("--branches", type=int, default=8)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    data, recipe = args.out / "episodes", args.out / "hard.yaml"
    recipe.write_text(RECIPE)
    kept = generate(args.scene, data, GenerateConfig(recipe=str(recipe), episodes=args.episodes, pictures=False, seed=5))
    config = BranchConfig(episodes=args.episodes, states=args.states, branches=args.branches, pictures=False)
    made = branch(data, args.out / "branches", config)
    rows = [json.loads(line) for line in (args.out / "branches" / "branches.jsonl").read_text().splitlines()]
    by_seed = [split(rows, seed) for seed in args.seeds]
    mean = {
        who: {k: round(float(np.mean([t[who][k] for t in by_seed])), 3) for k in ("pairs", "best")}
        for who in ("model", "progress", "chance")
    }
    kinds = {k: [r["success"] for r in rows if r["kind"] == k] for k in sorted({r["kind"] for r in rows})}
    result: dict[str, Any] = {
        "episodes": kept["kept"], "attempts": kept["attempts"], "futures": made["branches"], "states": made["states"], "successes": made["successes"], "seeds": args.seeds,
        "success_by_kind": {k: [sum(v), len(v)] for k, v in kinds.items()}, "mean": mean, "by_seed": by_seed,
    }  # fmt: skip
    (args.out / "value.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def split(rows: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    """The ranking of a fifth of the episodes by a model of the others."""
    names = sorted({r["episode"] for r in rows})
    held_out = set(Key(seed).child("held out").rng().permutation(names)[: len(names) // 5].tolist())
    train = [r for r in rows if r["episode"] not in held_out]
    model = ValueModel.fit(np.array([r["features"] for r in train]), np.array([r["value"] for r in train]), seed=seed)
    return rank_table([r for r in rows if r["episode"] in held_out], model)


if __name__ == "__main__":
    main()
