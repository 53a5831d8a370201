"""MuJoCo's own USD reader (`mujoco-usd`): opens a USD stage, steps it, reads and writes bodies."""

from __future__ import annotations

from typing import Any

import mujoco
import mujoco._usd
import numpy as np

ENGINE = "mujoco-usd"


class World:
    """One stage at a time, as MuJoCo reads it; only the time step is ours."""

    def __init__(self) -> None:
        self.version = mujoco.__version__

    def load(self, stage: str, bodies: dict[str, str], robot: str | None, links: list[str], rate: float) -> dict[str, Any]:
        if robot:
            raise ValueError("MuJoCo's USD reader is not asked about robots")
        spec = mujoco.MjSpec.from_file(stage)
        spec.option.timestep = 1.0 / rate
        self._model = spec.compile()
        self._data = mujoco.MjData(self._model)
        names = {self._model.body(i).name: i for i in range(self._model.nbody)}
        self._body = {n: next((i for name, i in names.items() if _same(name, p)), -1) for n, p in bodies.items()}
        if missing := [n for n, i in self._body.items() if i < 0]:
            raise ValueError(f"no rigid body {', '.join(missing)} in the stage")
        mujoco.mj_forward(self._model, self._data)
        return {"bodies": self._facts(), "dofs": []}

    def step(self, steps: int, targets: list[float] | None = None, forces: dict[str, Any] | None = None) -> dict[str, Any]:
        self._data.xfrc_applied[:] = 0.0
        for name, f in (forces or {}).items():
            self._data.xfrc_applied[self._body[name], :3] = f
        mujoco.mj_step(self._model, self._data, steps)
        return self.state()

    def state(self) -> dict[str, Any]:
        rows = {}
        for n, i in self._body.items():
            q, v = self._at(i)
            rows[n] = [*self._data.qpos[q : q + 7].tolist(), *self._data.qvel[v : v + 6].tolist()]
        return {"bodies": rows, "dofs": [[], []], "links": [], "touching": []}

    def put(self, bodies: dict[str, Any], dofs: list[list[float]] | None = None) -> dict[str, Any]:
        for n, x in bodies.items():
            q, v = self._at(self._body[n])
            self._data.qpos[q : q + 7], self._data.qvel[v : v + 6] = x[:7], x[7:]
        mujoco.mj_forward(self._model, self._data)
        return self.state()

    def _at(self, body: int) -> tuple[int, int]:
        joint = int(self._model.body_jntadr[body])
        return int(self._model.jnt_qposadr[joint]), int(self._model.jnt_dofadr[joint])

    def _facts(self) -> dict[str, Any]:
        m, facts = self._model, {}
        for n, i in self._body.items():
            flat = np.empty(9)
            mujoco.mju_quat2Mat(flat, m.body_iquat[i])
            R = flat.reshape(3, 3)
            hulls = [g for g in range(m.ngeom) if m.geom_bodyid[g] == i and (m.geom_contype[g] or m.geom_conaffinity[g])]
            facts[n] = {
                "mass_kg": float(m.body_mass[i]), "com": m.body_ipos[i].tolist(),
                "inertia": (R @ np.diag(m.body_inertia[i]) @ R.T).tolist(), "hulls": len(hulls),
                "friction": float(m.geom_friction[hulls, 0].max(initial=0.0)),
            }  # fmt: skip
        return facts


def _same(name: str, path: str) -> bool:
    return name.strip("/") in (path.strip("/"), path.rpartition("/")[2])
