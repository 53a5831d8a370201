"""Sampled arrangements of a scene, settled: interpenetration at rest, cameras against the validity map, and what was rejected and why.

    python benchmarks/arrangements.py SCENE --n 1000 --json out.json
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.assets.scene import Scene
from phone2sim.assets.validity import validity_of
from phone2sim.augment.camera import ViewRange
from phone2sim.augment.recipe import Recipe, load_recipe
from phone2sim.augment.sampler import sample_episode
from phone2sim.augment.spec import EpisodeSpec
from phone2sim.augment.workspace import PlacementError
from phone2sim.keys import Key
from phone2sim.sim_export.judge import unsettled
from phone2sim.sim_export.robots import robot_workspace
from phone2sim.sim_export.simulators.mujoco import MujocoSimulator

REST_M = 1e-3
"""Bodies at rest may overlap by this much."""


def deepest(sim: MujocoSimulator) -> float:
    """Deepest overlap of two bodies of the settled world [m], the robot's own contacts left out."""
    m, c = sim.model, sim.data.contact
    own = np.array([m.body(int(b)).name.startswith("robot/") for b in range(m.nbody)])
    pairs = m.geom_bodyid[c.geom[: sim.data.ncon]]
    between = ~(own[pairs].all(axis=1)) if len(pairs) else np.zeros(0, bool)
    return float(max(0.0, -c.dist[: sim.data.ncon][between].min(initial=0.0)))


def outside(scene: Scene, spec: EpisodeSpec, min_support: float, ws: Any) -> list[str]:
    """Cameras of the spec that the capture does not support."""
    view, validity = ViewRange.of(scene, ws), validity_of(scene.validity)
    out = []
    for c in spec.cameras:
        eye = np.array(c.pose.translation)
        ok = view.contains(eye, tolerance=1e-6) if validity is None else float(validity.support_at(eye)) >= min_support - 1e-6
        if not ok and not c.mount:
            out.append(c.name)
    return out


def sample(scene: Scene, recipe: Recipe, n: int, *, seed: int = 0) -> dict[str, Any]:
    """Statistics of n arrangements that could be placed and came to rest."""
    ws, sim = robot_workspace(scene, recipe), MujocoSimulator(scene)
    rejected: Counter[str] = Counter()
    depths, views, redrawn, cameras, index = [], 0, 0, 0, 0
    while len(depths) < n:
        try:
            spec = sample_episode(scene, recipe, Key(seed), index, workspace=ws)
        except PlacementError:
            rejected["placement"] += 1
        else:
            sim.load(spec)
            views += len(outside(scene, spec, recipe.camera.min_support, ws))
            cameras += len(spec.cameras)
            redrawn += sum(c.redrawn for c in spec.cameras)
            reason = unsettled(spec, sim.object_poses())
            if reason:
                rejected[reason.split(":")[0]] += 1
            else:
                depths.append(deepest(sim))
        index += 1
    d = np.array(depths)
    return {
        "arrangements": n, "drawn": index, "rejected": dict(rejected), "rejection_rate": round(1 - n / index, 4),
        "overlap_mm": {"median": round(1e3 * float(np.median(d)), 4), "max": round(1e3 * float(d.max()), 4)},
        "over_1_mm": int((d > REST_M).sum()), "cameras": cameras, "cameras_outside": views, "camera_redraws": redrawn,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    a = parser.parse_args()
    result = sample(Scene.load(a.scene), load_recipe(a.recipe), a.n)
    print(json.dumps(result, indent=1))
    if a.json:
        a.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
