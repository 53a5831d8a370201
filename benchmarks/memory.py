"""Resident memory over many episodes, made by `generate` in this process: small pictures, so that a thousand take minutes.

    python benchmarks/memory.py SCENE --episodes 1000 --json docs/img/memory.json --plot docs/img/memory.svg
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from episodes import resident_mb
from line_plot import Curve, write_svg

from phone2sim.sim_export.generate import GenerateConfig, generate

RECIPE = """extends: default
camera: {names: [front], width: 64, height: 64}
task: {kind: pick, duration_s: 6.0, fps: 10}
"""


def run(scene: Path, episodes: int) -> dict:
    """Committed episodes and resident MB, sampled about 200 times."""
    with tempfile.TemporaryDirectory() as tmp:
        recipe, folder = Path(tmp) / "small.yaml", Path(tmp) / "d"
        recipe.write_text(RECIPE)
        rows: list[tuple[int, float]] = []
        done = threading.Event()

        def watch() -> None:
            step, last = max(1, episodes // 200), 0
            while not done.wait(0.25):
                made = sum(1 for _ in (folder / "episodes").glob("[0-9]*")) if (folder / "episodes").exists() else 0
                if made >= last + step:
                    rows.append((made, resident_mb()))
                    last = made

        watcher = threading.Thread(target=watch)
        watcher.start()
        start = time.process_time()
        try:
            generate(scene, folder, GenerateConfig(recipe=str(recipe), episodes=episodes, workers=0))
        except KeyboardInterrupt:
            print("interrupted: what was made until now")
        finally:
            done.set()
            watcher.join()
        n, mb = np.array(rows).T
        late = n > 0.1 * n[-1]
        slope = float(np.polyfit(n[late], mb[late], 1)[0]) * 1000
        return {
            "episodes": int(n[-1]), "cpu_s": round(time.process_time() - start, 1),
            "made": n.astype(int).tolist(), "resident_mb": mb.tolist(), "mb_per_1000_episodes_after_a_tenth": round(slope, 1),
            "resident_mb_with_lerobot_written": resident_mb(),
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    a = parser.parse_args()
    out = run(a.scene, a.episodes)
    print({k: v for k, v in out.items() if k not in ("made", "resident_mb")})
    if a.json:
        a.json.write_text(json.dumps(out))
    if a.plot:
        rows = [{"made": n, "mb": mb} for n, mb in zip(out["made"], out["resident_mb"])]
        write_svg(a.plot, [("episodes made", "resident memory, MB", [Curve("", rows[:: max(1, len(rows) // 12)], "made", "mb")])])


if __name__ == "__main__":
    main()
