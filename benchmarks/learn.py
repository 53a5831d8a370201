"""Does a policy learn from generated data, and is it more robust to what was varied? Writes JSON, and curves as SVG.

    python benchmarks/learn.py SCENE -o OUT [--svg docs/img/learn.svg]

A small policy (`behaviour_cloning.py`) is trained on picks of one object, seen by one 64×64 camera: with nothing varied but the
object's place; and on the very same demonstrations with their pairs, which differ in the camera, or in the light. All see the same
number of pictures in the same number of steps. Each is examined on the task "touch the object", over the camera and the lighting
axis. One data set per seed; the policy of a seed is trained on the data of all other seeds, and the counts of all seeds are pooled.
The seed's own set is held out: `heldout_rad` is the error of the actions for its own pictures and for their pairs, by which to judge
the training before the exam: `--no-exam` stops there.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from behaviour_cloning import ClonedPolicy, action_error, train

from phone2sim.assets.scene import Scene
from phone2sim.augment.pairs import sample_variant
from phone2sim.augment.recipe import Recipe, load_recipe
from phone2sim.augment.sampler import workspace_of
from phone2sim.augment.spec import GoalSpec
from phone2sim.augment.tasks import Moment, register
from phone2sim.augment.tasks.pick import Pick
from phone2sim.config import read_json
from phone2sim.sim_export.episode import Episode
from phone2sim.sim_export.exam import ExamConfig
from phone2sim.sim_export.exam.curves import Line, curves_svg
from phone2sim.sim_export.exam.grid import EXAM_AXES
from phone2sim.sim_export.exam.run import curve, examine, wilson
from phone2sim.sim_export.generate import GenerateConfig, generate
from phone2sim.sim_export.pictures import SpecPictures
from phone2sim.sim_export.policies import load_policy
from phone2sim.sim_export.render.background import BackgroundCache

CAMERA = "front"
VARIED: dict[str, dict[str, Any]] = {
    "plain": {},
    "camera": {"camera": {"azimuth_deg": {"uniform": [-25, 25]}, "elevation": {"uniform": [0.25, 0.75]}}},
    "lighting": {
        "lighting": {
            "key_azimuth_deg": {"uniform": [-120, 120]}, "key_gain": {"log_uniform": [0.3, 3.3]},
            "ambient_gain": {"log_uniform": [0.55, 1.8]}, "temperature_mired": {"uniform": [-60, 60]},
        }
    },
}  # fmt: skip
AXIS = {"camera": "views", "lighting": "lights"}
"""Section that is varied → axis of the pairs."""
UNTIL = 0.62
"""Share of a pick after which the object is held; what follows is not imitated."""


@register
class Touch(Pick):
    """Done when the robot touches the object."""

    kind = "touch"
    templates = ("Touch the {target}.",)

    def goal_progress(self, now: Moment, goal: GoalSpec) -> float:
        return float(not self.goal_failure(now, goal))

    def goal_failure(self, now: Moment, goal: GoalSpec) -> str:
        return "" if now.touched[now.index(goal.object)] else "not_touched"


def recipe_file(folder: Path, name: str, *, target: str, size: int) -> Path:
    """The recipe of one kind of training data, as a file."""
    data: dict[str, Any] = {
        "extends": "none",
        "camera": {"names": [CAMERA], "width": size, "height": size},
        "clutter": {"count": 0, "placement": "random"},
        "objects": {"placement": "random"},
        "task": {"kind": "pick", "target": target, "duration_s": 5, "fps": 10},
    }
    for section, fields in VARIED[name].items():
        data[section] = {**data.get(section, {}), **fields}
    path = folder / f"{name}.yaml"
    partial = path.with_name(f".{name}-{os.getpid()}.yaml")  # several seeds may run side by side
    partial.write_text(yaml.safe_dump(data))
    return partial.rename(path)


def demonstrations(scene: Scene, dataset: Path, recipe: Recipe, name: str, pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """First pictures (d, p, 3, h, w) uint8, and actions until the object is held (d, t, a), of all d episodes: the episode's
    own picture, and those of its pairs along the axis of `name`, if it has one. Kept beside the data set."""
    kept = dataset.with_name(f"{dataset.name}-{name}{pairs if name in AXIS else ''}.npz")
    if kept.exists():
        with np.load(kept) as z:
            return z["images"], z["chunks"]
    ws, cache = workspace_of(scene, recipe), BackgroundCache()
    images, chunks = [], []
    for folder in read_json(dataset / "manifest.json")["episodes"]:
        e = Episode.read(dataset / folder)
        numbers = range(1, pairs + 1) if name in AXIS else ()
        specs = [e.spec, *(sample_variant(scene, recipe, e.spec, AXIS[name], n, workspace=ws) for n in numbers)]
        drawn = [SpecPictures(scene, s, e.robot_bodies, cache=cache).draw(e.object_poses[0], e.robot_poses[0], 0) for s in specs]
        images.append(np.stack([d[CAMERA].transpose(2, 0, 1) for d in drawn]))
        chunks.append(e.actions[: round(UNTIL * len(e))].astype(float))
    partial = kept.with_name(f".{kept.stem}-{os.getpid()}.npz")
    np.savez(partial, images=np.stack(images), chunks=np.stack(chunks))
    partial.rename(kept)
    return np.stack(images), np.stack(chunks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--target", default="any", help="asset to touch")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--train-seeds", type=int, nargs="+", help="only these of the seeds")
    parser.add_argument("--episodes", type=int, default=320, help="per data set")
    parser.add_argument(
        "--only",
        nargs="+",
        default=list(VARIED),
        help="train and examine these; a last run without it puts all together",
    )
    parser.add_argument("--pairs", type=int, default=4, help="further pictures of each demonstration, where varied")
    parser.add_argument("--steps", type=int, default=1500, help="of training")
    parser.add_argument("--no-exam", action="store_true", help="only train, and tell the error on held-out demonstrations")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--exam-episodes", type=int, default=10)
    parser.add_argument("--exam-seed", type=int, default=4711)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    scene = Scene.load(args.scene)
    plain = recipe_file(args.out, "plain", target=args.target, size=args.size)
    asked: Recipe = load_recipe(plain)
    asked = asked.model_copy(update={"task": asked.task.model_copy(update={"kind": "touch"})})
    results, heldout, cpu = [], [], {"generate": 0.0, "train": 0.0, "exam": 0.0}

    def exam(policy: Any, axes: tuple[str, ...], folder: str) -> dict[str, Any]:
        config = ExamConfig(axes=axes, episodes=args.exam_episodes, seed=args.exam_seed, execute=64, recipe="plain")
        return examine(scene, [policy], args.out / folder, config, recipe=asked)

    start = time.process_time()
    sets = [args.out / f"plain-{seed}" for seed in args.seeds]
    for seed, folder in zip(args.seeds, sets):
        config = GenerateConfig(recipe=str(plain), episodes=args.episodes, seed=seed, pictures=False)
        generate(args.scene, folder, config)
    cpu["generate"] += time.process_time() - start
    for seed in args.train_seeds or args.seeds:
        others = [f for f, s in zip(sets, args.seeds) if s != seed]
        for name in args.only:
            start = time.process_time()
            recipe = load_recipe(recipe_file(args.out, name, target=args.target, size=args.size))
            weights = args.out / f"{name}-{seed}-{args.steps}.pt"
            if weights.exists():
                model = torch.load(weights, weights_only=False)
            else:
                parts = [demonstrations(scene, f, recipe, name, args.pairs) for f in others]
                images, chunks = (np.concatenate(x) for x in zip(*parts))
                model = train(images, chunks, seed=seed, steps=args.steps)
                model["heldout_rad"] = {}
                for other in VARIED if name == "plain" else ("plain", name):
                    r = load_recipe(recipe_file(args.out, other, target=args.target, size=args.size))
                    pictures, chunks = demonstrations(scene, sets[args.seeds.index(seed)], r, other, args.pairs)
                    error = action_error(model, pictures, chunks)
                    model["heldout_rad"][other] = round(float(error[1:].mean() if other in AXIS else error[0]), 4)
                torch.save(model, weights)
            heldout.append({"name": name, "seed": seed, "loss": model["loss"], "heldout_rad": model["heldout_rad"]})
            print(f"seed {seed} {name}: loss {model['loss']:.3f} {model['heldout_rad']}", flush=True)
            cpu["train"] += time.process_time() - start
            if args.no_exam:
                continue
            start = time.process_time()
            axes = ("camera", "lighting") if name == "plain" else (name,)
            results.append(exam(ClonedPolicy(model, _title(name), CAMERA), axes, f"exam-{name}-{seed}"))
            cpu["exam"] += time.process_time() - start
            row = {c["axis"] + f" {c['value']:g}": c["rate"] for c in results[-1]["cells"]}
            print(f"seed {seed} {name}: {row}", flush=True)
    if args.no_exam or len(args.only) < len(VARIED) or args.train_seeds:
        return
    results.append(exam(load_policy("random"), ("camera", "lighting"), "exam-random"))

    pooled = pool(results)
    out = {
        "scene": args.scene.name, "seeds": args.seeds, "episodes": args.episodes, "steps": args.steps, "size_px": args.size,
        "exam_episodes": args.exam_episodes, "exam_seed": args.exam_seed, "target": args.target, "cpu_s": {k: round(v) for k, v in cpu.items()},
        "pairs": args.pairs, "heldout": heldout, "pooled": pooled, "by_seed": [r["cells"] for r in results],
    }  # fmt: skip
    (args.out / "learn.json").write_text(json.dumps(out, indent=1) + "\n")
    svg = curves_svg([panel(pooled, axis) for axis in ("camera", "lighting")])
    (args.out / "learn.svg").write_text(svg)
    if args.svg:
        args.svg.write_text(svg)


def _title(name: str) -> str:
    return "trained with nothing varied" if name == "plain" else f"trained with {name} varied"


def pool(results: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Axis → rows of policy and level with the counts of all seeds."""
    out: dict[str, list[dict[str, Any]]] = {}
    for axis in ("camera", "lighting"):
        counts: dict[tuple[str, float], list[int]] = {}
        for r in results:
            policy = r["cells"][0]["policy"]
            for c in curve(r, policy, axis) if any(c["axis"] == axis for c in r["cells"]) else ():
                n = counts.setdefault((policy, c["value"]), [0, 0])
                n[0], n[1] = n[0] + c["successes"], n[1] + c["n"]
        out[axis] = []
        for (policy, value), (k, n) in counts.items():
            low, high = wilson(k, n)
            row = {"policy": policy, "value": value, "successes": k, "n": n, "rate": k / n, "low": low, "high": high}
            out[axis].append(row)
    return out


def panel(pooled: dict[str, list[dict[str, Any]]], axis: str) -> tuple[str, str, list[Line]]:
    """One panel of the figure."""
    rows = pooled[axis]
    names = dict.fromkeys(r["policy"] for r in rows)
    lines = [
        Line(name=p, points=[(r["value"], r["rate"], r["low"], r["high"]) for r in rows if r["policy"] == p])
        for p in names
    ]
    return EXAM_AXES[axis].title, EXAM_AXES[axis].unit, lines


if __name__ == "__main__":
    main()
