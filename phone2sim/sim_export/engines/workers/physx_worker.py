"""PhysX on the CPU through `ovphysx`: opens a USD stage, steps it, reads and writes bodies and one articulation."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import ovphysx
import ovstage
from ovphysx import PhysX, set_global_config
from ovphysx.samples.python_samples.schema_support import physx_schema_paths
from ovphysx.types import GlobalConfigKey, TensorType

ENGINE = "physx"


class World:
    """One stage at a time. Quaternions are xyzw in PhysX and wxyz here."""

    def __init__(self) -> None:
        warnings.simplefilter("ignore", DeprecationWarning)  # the tensor bindings of 0.7 are to be replaced one day
        set_global_config(GlobalConfigKey.NUM_THREADS, 0)  # a few small bodies: handing them to threads costs more
        PhysX.set_cpu_mode(True)
        self.version = ovphysx.__version__
        self._px = PhysX()
        schemas = [*[str(p) for p in physx_schema_paths()], str(ovphysx.newton_schema_root())]
        ovstage.population.register_usd_schemas(schemas)
        self._stage: Any = None
        self._count = 0

    def load(self, stage: str, bodies: dict[str, str], robot: str | None, links: list[str], rate: float) -> dict[str, Any]:
        self.close()
        self._count += 1
        self._stage = ovstage.Stage(f"stage{self._count}")
        domains = ovstage.PopulationDomain.ALL
        ovstage.population.open_usd(self._stage, stage, ordinal=1, domains=domains)
        self._stage.advance_write_floor(ordinal=1).wait()
        self._px.wait_task(self._px.attach_ovstage(self._stage, read_ordinal=1))
        self._dt = 1.0 / rate
        self._bound: dict[str, Any] = {}
        self._robot = robot
        self._names = list(bodies)
        self._paths = [bodies[n] for n in self._names]
        self._contacts = None
        if bodies:
            found = self._bind("RIGID_BODY_POSE").prim_paths
            if missing := [n for n in self._names if bodies[n] not in found]:
                raise ValueError(f"no rigid body {', '.join(missing)} in the stage")
            self._row = [found.index(p) for p in self._paths]
        if robot:
            have = self._bind("ARTICULATION_LINK_POSE").body_names
            self._link = [have.index(n) for n in links]
        if robot and bodies:
            self._contacts = self._px.create_contact_binding(
                sensor_patterns=self._paths, filter_patterns=[f"{robot}/{n}" for n in links] * len(self._paths),
                filters_per_sensor=len(links),
            )  # fmt: skip
        dofs = self._bind("ARTICULATION_DOF_POSITION").dof_names if robot else []
        return {"bodies": self._facts(), "dofs": list(dofs)}

    def step(self, steps: int, targets: list[float] | None = None, forces: dict[str, Any] | None = None) -> dict[str, Any]:
        if targets is not None:
            self._write("ARTICULATION_DOF_POSITION_TARGET", np.array([targets], np.float32))
        push = None
        if forces:
            push = np.zeros(self._bind("RIGID_BODY_FORCE").shape, np.float32)
            for name, f in forces.items():
                push[self._row[self._names.index(name)]] = f
        for _ in range(steps):
            if push is not None:  # lasts for one step
                self._write("RIGID_BODY_FORCE", push)
            self._px.step_sync(self._dt)
        return self.state()

    def state(self) -> dict[str, Any]:
        out: dict[str, Any] = {"bodies": {}, "dofs": [[], []], "links": [], "touching": []}
        if self._names:
            pose, speed = self._read("RIGID_BODY_POSE"), self._read("RIGID_BODY_VELOCITY")
            rows = np.concatenate([pose[:, [0, 1, 2, 6, 3, 4, 5]], speed], axis=1)
            out["bodies"] = {n: rows[r].tolist() for n, r in zip(self._names, self._row)}
        if self._robot:
            out["dofs"] = [self._read(f"ARTICULATION_DOF_{k}")[0].tolist() for k in ("POSITION", "VELOCITY")]
            out["links"] = self._read("ARTICULATION_LINK_POSE")[0][self._link][:, [0, 1, 2, 6, 3, 4, 5]].tolist()
        if self._contacts is not None:
            force = np.zeros((self._contacts.sensor_count, self._contacts.filter_count, 3), np.float32)
            self._contacts.read_normal_force_matrix(force)
            touched = np.abs(force).max(axis=(1, 2)) > 0
            by_path = dict(zip(self._contacts.sensor_paths, touched.tolist()))
            out["touching"] = [n for n, p in zip(self._names, self._paths) if by_path.get(p)]
        return out

    def put(self, bodies: dict[str, Any], dofs: list[list[float]] | None = None) -> dict[str, Any]:
        if bodies:
            pose, speed = self._read("RIGID_BODY_POSE"), self._read("RIGID_BODY_VELOCITY")
            for name, x in bodies.items():
                row = self._row[self._names.index(name)]
                pose[row], speed[row] = np.array(x)[[0, 1, 2, 4, 5, 6, 3]], x[7:]
            self._write("RIGID_BODY_POSE", pose)
            self._write("RIGID_BODY_VELOCITY", speed)
        if dofs is not None:
            for what, x in zip(("POSITION", "VELOCITY"), dofs):
                self._write(f"ARTICULATION_DOF_{what}", np.array([x], np.float32))
        return self.state()

    def close(self) -> None:
        if self._stage is not None:
            for binding in self._bound.values():
                binding.destroy()
            if self._contacts is not None:
                self._contacts.destroy()
            self._px.wait_task(self._px.detach_ovstage())
            self._stage.destroy()
            self._stage = None

    def _facts(self) -> dict[str, Any]:
        """What PhysX made of each body; it gives the inertia in the body's axes."""
        if not self._names:
            return {}
        mass, inertia = self._read("RIGID_BODY_MASS"), self._read("RIGID_BODY_INERTIA").reshape(-1, 3, 3)
        com, surface = self._read("RIGID_BODY_COM_POSE"), self._read("RIGID_BODY_SHAPE_FRICTION_AND_RESTITUTION")
        facts = {}
        for n, p, r in zip(self._names, self._paths, self._row):
            one = self._px.create_tensor_binding(
                prim_paths=[p], tensor_type=TensorType.RIGID_BODY_SHAPE_FRICTION_AND_RESTITUTION
            )
            hulls = int(one.shape[1])
            one.destroy()
            facts[n] = {
                "mass_kg": float(mass.reshape(-1)[r]), "com": com[r, :3].tolist(), "inertia": inertia[r].tolist(),
                "hulls": hulls, "friction": float(surface[r, :hulls, 1].max()),
            }  # fmt: skip
        return facts

    def _bind(self, what: str) -> Any:
        if what not in self._bound:
            paths = [self._robot] if what.startswith("ARTICULATION") else self._paths
            kind = getattr(TensorType, what)
            self._bound[what] = self._px.create_tensor_binding(prim_paths=paths, tensor_type=kind, raise_if_empty=True)
        return self._bound[what]

    def _read(self, what: str) -> np.ndarray:
        binding = self._bind(what)
        out = np.zeros(binding.shape, np.float32)
        binding.read(out)
        return out

    def _write(self, what: str, x: np.ndarray) -> None:
        self._bind(what).write(np.ascontiguousarray(x, np.float32))

