"""Is the true mass inside the interval, and how wide is it? `python benchmarks/physics.py OUT.json [--scenes SCRATCH]`.

Every object of the sample, 20 seeds, with the errors of shape that reconstructions have, weighed when its user named it
(`soup can`), gave its material, or said nothing. With `--scenes` also the objects that `benchmarks/objects.py SCRATCH` has
cut out of rendered scenes. Prints Markdown.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from phone2sim.assets.evidence import physics
from phone2sim.assets.overrides import Override
from phone2sim.assets.scene import Scene
from phone2sim.config import read_json, write_json
from phone2sim.keys import Key
from phone2sim.progress import track
from phone2sim.sample.catalog import OBJECTS, make_object
from tests.assets.reconstructed import True3D

MATERIALS = {"metal": "metal_can", "fruit": "food"}
"""Sample materials that the table calls otherwise."""
SURFACE_M = 6e-4
FILLED = (0.0, 0.5, 1.0)


def weighed(mesh: Any, label: str, material: str, mass_kg: float, seen: float) -> dict[str, Any]:
    out: dict[str, Any] = {}
    told = {"named": (label, Override()), "material": ("", Override(material=MATERIALS.get(material, material))), "nothing": ("", Override())}
    for case, (name, override) in told.items():
        found = physics(mesh, name, override, surface_m=SURFACE_M, seen=seen, scale=(0.996, 1.004))
        m = found.mass_kg
        out[case] = {"inside": mass_kg in m, "ratio": m.high / m.low, "off": m.value / mass_kg, "low": m.low, "high": m.high}
    return out


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| object | true, g | named: inside | ratio | value/true | material only: inside | ratio | nothing: inside | ratio |", "|---|" + "---:|" * 8]
    for name in [*dict.fromkeys(r["name"] for r in rows), "all"]:
        some = [r for r in rows if name in ("all", r["name"])]
        cells = [name, "" if name == "all" else f"{1e3 * some[0]['mass_kg']:.0f}"]
        for case in ("named", "material", "nothing"):
            cells += [f"{np.mean([r[case]['inside'] for r in some]):.1%}", f"{np.max([r[case]['ratio'] for r in some]):.1f}"]
            if case == "named":
                cells.append(f"{np.median([r[case]['off'] for r in some]):.2f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def rendered(scratch: Path) -> list[dict[str, Any]]:
    """Objects of the scenes that `benchmarks/objects.py` left in `scratch`, as `objects.json` matched them."""
    rows = []
    for result in read_json(scratch / "objects.json")["scenes"]:
        folder = scratch / result["scene"].replace(", ", "_").replace(" ", "_")
        truth = {o["name"]: o for o in read_json(scratch / f"{folder.name}.truth.json")["objects"]}
        scene = Scene.load(folder)
        for row in result["rows"]:
            if row["match"] is None or row["mask_iou"] < 0.5:
                continue
            a, o = scene.asset(row["match"]), truth[row["name"]]
            rows.append({"name": row["name"], "scene": result["scene"], "mass_kg": o["mass_kg"], "volume_ratio": a.volume_m3 / o["volume_m3"]}
                        | weighed(a.visual.welded(), o["label"], o["material"], o["mass_kg"], a.seen_fraction))  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--scenes", type=Path, help="folder in which benchmarks/objects.py ran")
    args = parser.parse_args()
    start = time.process_time()
    rows = []
    for name in track(OBJECTS, "Weighing"):
        true, made = True3D.of(name), make_object(name, Key(0).child(name))
        for seed in range(args.seeds):
            mesh = true.seen_by(Key(seed).child(name), filled=FILLED[seed % 3])
            rows.append({"name": name, "seed": seed, "mass_kg": made.mass_kg} | weighed(mesh, made.label, made.material, made.mass_kg, 0.85))
    result = {"seeds": args.seeds, "synthetic": rows, "cpu_s": round(time.process_time() - start, 1)}
    print(table(rows))
    if args.scenes:
        result["rendered"] = rendered(args.scenes)
        print("\nRendered scenes\n\n" + table(result["rendered"]))
    write_json(args.out, result)


if __name__ == "__main__":
    main()
