"""The worker's side of the protocol: JSON lines on stdin and stdout; whatever an engine prints goes to stderr.

A worker module has `ENGINE` and `World(...)`; the requests are its methods (the last two where an engine draws):

    load   stage (path), bodies {name: prim path}, robot (prim path or null), links [names], rate [1/s]
           → bodies {name: {mass_kg, com (3,), inertia (3, 3) about com in the body's axes, hulls, friction}}, dofs [names]
    step   steps, targets (d,) or null, forces {name: (3,) [N], world, at the centre of mass}  → as `state`
    state  → bodies {name: (13,)}, dofs (2, d), links (l, 7), touching [names of bodies that touch the robot]
    put    bodies {name: (13,)}, dofs (2, d) or null → as `state`
    film   stage (path), cameras {name: [prim path, width, height]}  opens it for drawing, without physics
    draw   poses {prim path: (7,) in its parent's frame}, folder  → labels {camera: {id: prim path}}; writes folder/<camera>.npz:
           rgb (h, w, 3) uint8, depth (h, w) float32 along the camera's axis [m], ids (h, w)

A body's 13 numbers: x y z [m], quaternion wxyz, velocity of the centre of mass [m/s], angular velocity [rad/s], world.
A dof's two: position and velocity in rad or m. Units are SI throughout.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

PROTOCOL = 1
MISSING = 3
REQUESTS = ("load", "step", "state", "put", "film", "draw")


def serve(worker: str) -> int:
    """Answer until the input ends. Exit code 3 when the engine cannot be imported."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        module = importlib.import_module(worker)
        world = module.World()
    except ImportError as e:
        print(e, file=sys.stderr)
        return MISSING

    def say(what: dict[str, Any]) -> None:
        out.write(json.dumps(what, separators=(",", ":")) + "\n")
        out.flush()

    say({"protocol": PROTOCOL, "engine": module.ENGINE, "version": world.version})
    for line in sys.stdin:
        request = json.loads(line)
        number, do = request.pop("id"), request.pop("do")
        try:
            if do not in REQUESTS or not hasattr(world, do):
                raise ValueError(f"{module.ENGINE} does not know '{do}'")
            say({"id": number, "ok": getattr(world, do)(**request)})
        except Exception as e:
            said = " ".join(str(e).split())
            say({"id": number, "error": {"kind": type(e).__name__, "message": said[:2000]}})
    if hasattr(world, "close"):
        world.close()
    return 0
