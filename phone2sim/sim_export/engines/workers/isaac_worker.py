"""Isaac Sim: opens an episode's layer, steps PhysX, and draws with Replicator. Not a line that could be judged elsewhere.

Written for Isaac Sim 6 (and 5.1), from its documentation and the published source of its tensor API; see docs/engines.md for
what was run.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np
from isaacsim import SimulationApp

ENGINE = "isaac"
SUBFRAMES = 8
"""Rendered per picture, for light that has settled."""


class World:
    """One stage at a time. Quaternions are xyzw in PhysX and wxyz here."""

    def __init__(self) -> None:
        self._app = SimulationApp({"headless": True})  # before anything of omni or pxr is imported
        import omni.physics.tensors
        import omni.physx
        import omni.usd

        try:
            self.version = importlib.metadata.version("isaacsim")
        except importlib.metadata.PackageNotFoundError:  # an installation folder
            self.version = str(self._app.app.get_build_version())
        self._usd, self._tensors = omni.usd, omni.physics.tensors
        self._physics = omni.physx.get_physx_simulation_interface()
        self._attached = False
        self._annotators: dict[str, dict[str, Any]] = {}
        self._bodies: Any = None
        self._robot: Any = None
        self._contacts: Any = None

    def load(self, stage: str, bodies: dict[str, str], robot: str | None, links: list[str], rate: float) -> dict[str, Any]:
        self._open(stage)
        self._physics.attach_stage(self._stage_id())
        self._attached = True
        self._dt, self._time = 1.0 / rate, 0.0
        self._names, paths = list(bodies), list(bodies.values())
        self._advance(1)  # the tensor API sees what has been stepped once
        view = self._tensors.create_simulation_view("numpy", stage_id=self._stage_id())
        self._bodies = view.create_rigid_body_view(paths) if paths else None
        self._robot = view.create_articulation_view(robot) if robot else None
        self._contacts = None
        self._link: list[int] = []
        if self._bodies is not None:
            found = list(self._bodies.prim_paths)
            if missing := [n for n, p in bodies.items() if p not in found]:
                raise ValueError(f"no rigid body {', '.join(missing)} in the stage")
            self._row = [found.index(p) for p in paths]
        if self._robot is not None:
            have = list(self._robot.shared_metatype.link_names)
            self._link = [have.index(n) for n in links]
            if paths:
                others = [[f"{robot}/{n}" for n in links]] * len(paths)
                self._contacts = view.create_rigid_contact_view(paths, filter_patterns=others)
        dofs = list(self._robot.shared_metatype.dof_names) if self._robot is not None else []
        return {"bodies": self._facts(), "dofs": dofs}

    def step(self, steps: int, targets: list[float] | None = None, forces: dict[str, Any] | None = None) -> dict[str, Any]:
        if targets is not None:
            self._robot.set_dof_position_targets(np.array([targets], np.float32), np.arange(1, dtype=np.uint32))
        for _ in range(steps):
            if forces:
                push = np.zeros((self._bodies.count, 3), np.float32)
                for name, f in forces.items():
                    push[self._row[self._names.index(name)]] = f
                self._bodies.apply_forces(push, np.arange(self._bodies.count, dtype=np.uint32), True)
            self._advance(1)
        return self.state()

    def state(self) -> dict[str, Any]:
        out: dict[str, Any] = {"bodies": {}, "dofs": [[], []], "links": [], "touching": []}
        if self._bodies is not None:
            pose, speed = self._bodies.get_transforms(), self._bodies.get_velocities()
            rows = np.concatenate([pose[:, [0, 1, 2, 6, 3, 4, 5]], speed], axis=1)
            out["bodies"] = {n: rows[r].tolist() for n, r in zip(self._names, self._row)}
        if self._robot is not None:
            out["dofs"] = [self._robot.get_dof_positions()[0].tolist(), self._robot.get_dof_velocities()[0].tolist()]
            out["links"] = self._robot.get_link_transforms()[0][self._link][:, [0, 1, 2, 6, 3, 4, 5]].tolist()
        if self._contacts is not None:
            force = np.abs(np.asarray(self._contacts.get_contact_force_matrix(self._dt))).reshape(len(self._names), -1)
            touched = dict(zip(self._contacts.sensor_paths, (force.max(axis=1) > 0).tolist()))
            paths = list(self._bodies.prim_paths)
            out["touching"] = [n for n, r in zip(self._names, self._row) if touched.get(paths[r])]
        return out

    def put(self, bodies: dict[str, Any], dofs: list[list[float]] | None = None) -> dict[str, Any]:
        if bodies:
            pose, speed = self._bodies.get_transforms().copy(), self._bodies.get_velocities().copy()
            for name, x in bodies.items():
                row = self._row[self._names.index(name)]
                pose[row], speed[row] = np.array(x)[[0, 1, 2, 4, 5, 6, 3]], x[7:]
            every = np.arange(len(pose), dtype=np.uint32)
            self._bodies.set_transforms(pose.astype(np.float32), every)
            self._bodies.set_velocities(speed.astype(np.float32), every)
        if dofs is not None:
            first = np.arange(1, dtype=np.uint32)
            self._robot.set_dof_positions(np.array([dofs[0]], np.float32), first)
            self._robot.set_dof_velocities(np.array([dofs[1]], np.float32), first)
        return self.state()

    def film(self, stage: str, cameras: dict[str, Any]) -> dict[str, Any]:
        import omni.replicator.core as rep

        self._open(stage)
        rep.orchestrator.set_capture_on_play(False)
        for name, (path, width, height) in cameras.items():
            product = rep.create.render_product(path, (width, height))
            found = {"product": product}
            for kind in ("rgb", "distance_to_image_plane", "instance_id_segmentation"):
                found[kind] = rep.AnnotatorRegistry.get_annotator(kind)
                found[kind].attach(product)
            self._annotators[name] = found
        return {}

    def draw(self, poses: dict[str, Any], folder: str) -> dict[str, Any]:
        import omni.replicator.core as rep
        from pxr import Gf

        stage = self._usd.get_context().get_stage()
        for path, x in poses.items():
            prim = stage.GetPrimAtPath(path)
            prim.GetAttribute("xformOp:translate").Set(Gf.Vec3d(*x[:3]))
            prim.GetAttribute("xformOp:orient").Set(Gf.Quatd(*x[3:]))
        rep.orchestrator.step(rt_subframes=SUBFRAMES, delta_time=0.0, pause_timeline=False)
        labels = {}
        for name, found in self._annotators.items():
            ids = found["instance_id_segmentation"].get_data()
            rgb, depth = found["rgb"].get_data(), found["distance_to_image_plane"].get_data()
            np.savez(Path(folder) / f"{name}.npz", rgb=rgb[..., :3], depth=depth, ids=ids["data"])
            labels[name] = {str(k): v for k, v in ids["info"]["idToLabels"].items()}
        return {"labels": labels}

    def close(self) -> None:
        self._release()
        self._app.close()

    def _open(self, stage: str) -> None:
        self._release()
        context = self._usd.get_context()
        context.open_stage(stage)
        while context.get_stage_loading_status()[2] > 0:
            self._app.update()
        self._app.update()

    def _release(self) -> None:
        for found in self._annotators.values():
            for kind, annotator in found.items():
                if kind != "product":
                    annotator.detach()
            found["product"].destroy()
        self._annotators = {}
        if self._attached:
            self._bodies = self._robot = self._contacts = None
            self._physics.detach_stage()
            self._attached = False

    def _stage_id(self) -> int:
        return int(self._usd.get_context().get_stage_id())

    def _advance(self, steps: int) -> None:
        for _ in range(steps):
            self._physics.simulate(self._dt, self._time)
            self._physics.fetch_results()
            self._time += self._dt

    def _facts(self) -> dict[str, Any]:
        if self._bodies is None:
            return {}
        v = self._bodies
        mass, inertia, com = v.get_masses().reshape(-1), v.get_inertias().reshape(-1, 3, 3), v.get_coms()
        surface = v.get_material_properties()
        return {
            n: {
                "mass_kg": float(mass[r]), "com": com[r, :3].tolist(), "inertia": inertia[r].tolist(),
                "hulls": int(v.max_shapes), "friction": float(np.asarray(surface)[r, 0, 1]),
            }
            for n, r in zip(self._names, self._row)
        }  # fmt: skip
