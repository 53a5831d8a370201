"""What MuJoCo says of a scene, and the sliding trials of its certificate, for other engines to repeat.

usage: engine_trials.py SCENE > trials.json      in the environment of phone2sim; brings SCENE/export up to date
"""

import json
import sys
from pathlib import Path

from phone2sim.assets.scene import Scene
from phone2sim.sim_export.certificate import newton, trials
from phone2sim.sim_export.friction import SUPPORT_FRICTION


def main(folder):
    scene, export = Scene.load(folder), newton.exported(folder)
    rest = newton.mujoco_rest(scene, seconds=2.0)
    slides, rolls = [], []
    for a in scene.assets:
        stands = trials.footing(a)
        if stands.rolls:
            rolls.append(a.name)
            continue
        slid = trials.slide(a, stands)
        slides.append({**newton.slide_job(a, stands, slid, export), "mujoco_slid_m": slid["slid_m"]})
    poses = {n: [*p.translation.tolist(), *p.quat_wxyz.tolist()] for n, p in rest.items()}
    print(json.dumps({"rest": poses, "rolls": rolls, "slides": slides, "support_friction": SUPPORT_FRICTION}, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
