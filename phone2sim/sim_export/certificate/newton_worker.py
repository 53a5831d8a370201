"""Simulate an exported USD in Newton on the CPU. A plain script for a Python that has Newton and not this package.

Reads a job from stdin and writes the answer to stdout, both JSON; everything else goes to stderr.
Job: `usd` (the assembly), `seconds`, `support_friction`, and `slides`: per object `name`, `usd` (its own file),
`low_m` (its lowest point in the asset frame turned as captured), `quat_wxyz`, `friction`, `own_friction` (whether the
USD's value is that one), `velocity` (2,) [m/s].
Answer: `newton` (version), `steps_per_second`, `bodies`: name → `mass_kg`, `com`, `inertia`, `position`, `quat_wxyz` at
the end; `slides`: name → `slid_m`, `leaned_rad`. Exit code 3 when Newton cannot be imported.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

SETTLE_S = 0.1
"""Before a push."""
LANE_M = 5.0
"""Between the objects of the sliding trial, which all run in one simulation."""


def main() -> int:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    job = json.load(sys.stdin)
    try:
        import newton
        import warp as wp
        from pxr import Usd  # noqa: F401
    except ImportError as e:
        print(e, file=sys.stderr)
        return 3
    wp.config.quiet = True
    wp.init()
    wp.set_device("cpu")
    bodies, rate = rest(job["usd"], float(job["seconds"]))
    slides = slide(job["slides"], rate, float(job["support_friction"])) if job["slides"] else {}
    json.dump({"newton": newton.__version__, "steps_per_second": rate, "bodies": bodies, "slides": slides}, out)
    out.flush()
    return 0


def rest(usd: str, seconds: float) -> tuple[dict[str, Any], int]:
    """What each body of the stage weighs, and where it is after `seconds`; the steps per second that the stage asks for."""
    builder = _builder()
    found = _add(builder, usd)
    rate = int(
        found["scene_attributes"].get("newton:timeStepsPerSecond") or round(1 / (found.get("physics_dt") or 1 / 480))
    )
    model = builder.finalize(device="cpu")
    simulation = Simulation(model, rate)
    simulation.run(seconds)
    q, mass, com, inertia = (
        simulation.state.body_q.numpy(),
        model.body_mass.numpy(),
        model.body_com.numpy(),
        model.body_inertia.numpy(),
    )
    bodies = {}
    for path, i in found["path_body_map"].items():
        x, y, z, w = (float(v) for v in q[i, 3:])
        bodies[path.rsplit("/", 1)[1]] = {
            "mass_kg": float(mass[i]), "com": com[i].tolist(), "inertia": inertia[i].tolist(),
            "position": q[i, :3].tolist(), "quat_wxyz": [w, x, y, z],
        }  # fmt: skip
    return bodies, rate


def slide(trials: list[dict[str, Any]], rate: int, support_friction: float) -> dict[str, Any]:
    """Every object in its own lane of an endless plane, pushed off, after 2 s."""
    import newton
    import numpy as np
    import warp as wp

    builder = _builder()
    body = {}
    for k, t in enumerate(trials):
        w, x, y, z = t["quat_wxyz"]
        at = wp.transform(wp.vec3(0.0, LANE_M * k, -t["low_m"]), wp.quat(x, y, z, w))
        before = builder.body_count
        _add(builder, t["usd"], xform=at)
        body[t["name"]] = before
    ground = builder.default_shape_cfg.copy()
    ground.mu = support_friction
    builder.add_ground_plane(cfg=ground)
    model = builder.finalize(device="cpu")
    mu, owner = model.shape_material_mu.numpy(), model.shape_body.numpy()
    for t in trials:
        if not t["own_friction"]:
            mu[owner == body[t["name"]]] = t["friction"]
    model.shape_material_mu.assign(mu)
    simulation = Simulation(model, rate)
    simulation.run(SETTLE_S)
    com = model.body_com.numpy()

    def seen() -> dict[str, tuple[Any, Any]]:
        """Centre of mass and z axis of each object."""
        q, found = simulation.state.body_q.numpy(), {}
        for n, i in body.items():
            R = np.array(wp.quat_to_matrix(wp.quat(*(float(v) for v in q[i, 3:])))).reshape(3, 3)
            found[n] = (q[i, :3] + R @ com[i], R[:, 2])
        return found

    start = seen()
    child, first = model.joint_child.numpy().tolist(), model.joint_qd_start.numpy()
    speeds = simulation.state.joint_qd.numpy()
    for t in trials:
        k = first[child.index(body[t["name"]])]
        speeds[k : k + 2] = t["velocity"]
    simulation.state.joint_qd.assign(speeds)
    newton.eval_fk(model, simulation.state.joint_q, simulation.state.joint_qd, simulation.state)
    leaned = dict.fromkeys(body, 0.0)
    for _ in range(20):
        simulation.run(0.1)
        for n, (_, axis) in seen().items():
            leaned[n] = max(leaned[n], float(np.arccos(np.clip(axis @ start[n][1], -1, 1))))
    end = seen()
    return {n: {"slid_m": float(np.linalg.norm((end[n][0] - start[n][0])[:2])), "leaned_rad": leaned[n]} for n in body}


class Simulation:
    """MuJoCo's solver as Newton drives it, with several contacts per pair of convex bodies: one is not enough for a box."""

    def __init__(self, model: Any, rate: int) -> None:
        import newton

        self.model, self.rate = model, rate
        self.solver = newton.solvers.SolverMuJoCo(
            model, use_mujoco_cpu=True, use_mujoco_contacts=True, enable_multiccd=True, cone="elliptic", impratio=10.0
        )
        self.state, self._next, self._control = model.state(), model.state(), model.control()
        newton.eval_fk(model, model.joint_q, model.joint_qd, self.state)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * self.rate)):
            self.state.clear_forces()
            self.solver.step(self.state, self._next, self._control, None, 1.0 / self.rate)
            self.state, self._next = self._next, self.state


def _builder() -> Any:
    import newton

    return newton.ModelBuilder(up_axis=newton.Axis.Z)


def _add(builder: Any, usd: str, **options: Any) -> dict[str, Any]:
    """With the contact offsets that the stage gives for Newton and PhysX; otherwise they would be a decimetre."""
    from newton.usd import SchemaResolverNewton, SchemaResolverPhysx

    resolvers = [SchemaResolverNewton(), SchemaResolverPhysx()]
    return builder.add_usd(usd, load_visual_shapes=False, schema_resolvers=resolvers, **options)


if __name__ == "__main__":
    sys.exit(main())
