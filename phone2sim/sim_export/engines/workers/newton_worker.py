"""Newton on the CPU: opens a USD stage, steps it with MuJoCo's solver as Newton drives it, reads and writes bodies."""

from __future__ import annotations

from typing import Any

import newton
import numpy as np
import warp as wp
from newton.usd import SchemaResolverNewton, SchemaResolverPhysx
from pxr import Usd  # noqa: F401  (without it a stage cannot be read)

ENGINE = "newton"


class World:
    """One stage at a time. Quaternions are xyzw in Newton and wxyz here."""

    def __init__(self) -> None:
        wp.config.quiet = True
        wp.init()
        wp.set_device("cpu")
        self.version = newton.__version__

    def load(self, stage: str, bodies: dict[str, str], robot: str | None, links: list[str], rate: float) -> dict[str, Any]:
        if robot:
            raise ValueError("Newton's worker carries no robot")
        builder = newton.ModelBuilder(up_axis=newton.Axis.Z)
        newton.solvers.SolverMuJoCo.register_custom_attributes(builder)  # so that `mjc:solimp` is read
        # With the contact offsets that the stage gives for Newton and PhysX; otherwise they would be a decimetre.
        resolvers = [SchemaResolverNewton(), SchemaResolverPhysx()]
        found = builder.add_usd(stage, load_visual_shapes=False, schema_resolvers=resolvers)["path_body_map"]
        if missing := [n for n, p in bodies.items() if p not in found]:
            raise ValueError(f"no rigid body {', '.join(missing)} in the stage")
        self._body = {n: found[p] for n, p in bodies.items()}
        self._dt = 1.0 / rate
        self._model = builder.finalize(device="cpu")
        # Several contacts per pair of convex bodies: one is not enough for a box.
        self._solver = newton.solvers.SolverMuJoCo(
            self._model, use_mujoco_cpu=True, use_mujoco_contacts=True, enable_multiccd=True, cone="elliptic", impratio=10.0
        )
        self._state, self._spare, self._control = self._model.state(), self._model.state(), self._model.control()
        newton.eval_fk(self._model, self._model.joint_q, self._model.joint_qd, self._state)
        return {"bodies": self._facts(), "dofs": []}

    def step(self, steps: int, targets: list[float] | None = None, forces: dict[str, Any] | None = None) -> dict[str, Any]:
        push = np.zeros((self._model.body_count, 6), np.float32)
        for name, f in (forces or {}).items():
            push[self._body[name], :3] = f
        for _ in range(steps):
            self._state.clear_forces()
            if forces:
                self._state.body_f.assign(push)
            self._solver.step(self._state, self._spare, self._control, None, self._dt)
            self._state, self._spare = self._spare, self._state
        return self.state()

    def state(self) -> dict[str, Any]:
        q, v = self._state.body_q.numpy(), self._state.body_qd.numpy()
        rows = np.concatenate([q[:, [0, 1, 2, 6, 3, 4, 5]], v], axis=1)
        return {"bodies": {n: rows[i].tolist() for n, i in self._body.items()}, "dofs": [[], []], "links": [], "touching": []}

    def put(self, bodies: dict[str, Any], dofs: list[list[float]] | None = None) -> dict[str, Any]:
        model, state = self._model, self._state
        child = model.joint_child.numpy().tolist()
        q, v = state.joint_q.numpy(), state.joint_qd.numpy()
        at, speed = model.joint_q_start.numpy(), model.joint_qd_start.numpy()
        for name, x in bodies.items():
            joint = child.index(self._body[name])
            q[at[joint] : at[joint] + 7] = np.array(x)[[0, 1, 2, 4, 5, 6, 3]]
            v[speed[joint] : speed[joint] + 6] = x[7:]
        state.joint_q.assign(q)
        state.joint_qd.assign(v)
        newton.eval_fk(model, state.joint_q, state.joint_qd, state)
        return self.state()

    def _facts(self) -> dict[str, Any]:
        m = self._model
        mass, com, inertia = m.body_mass.numpy(), m.body_com.numpy(), m.body_inertia.numpy()
        mu, owner = m.shape_material_mu.numpy(), m.shape_body.numpy()
        return {
            n: {
                "mass_kg": float(mass[i]), "com": com[i].tolist(), "inertia": inertia[i].tolist(),
                "hulls": int((owner == i).sum()), "friction": float(mu[owner == i].max(initial=0.0)),
            }
            for n, i in self._body.items()
        }  # fmt: skip
