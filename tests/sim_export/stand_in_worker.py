"""A worker that takes an engine's place: reads the stage with pxr, simulates it in MuJoCo, speaks the same protocol.

STAND_IN says how it misbehaves: `die:DO`, `hang:DO`, `refuse:DO` at a request, `protocol` of another version, `absent`,
`chatter` on stdout; `factor:KEY=F` multiplies a fact of every body, `shift` moves what is read after the first second.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np

WORKERS = Path(__file__).parents[2] / "phone2sim" / "sim_export" / "engines" / "workers"
ENGINE = "stand-in"


class World:
    def __init__(self) -> None:
        self.version = "1"
        self.how = os.environ.get("STAND_IN", "")
        if self.how == "absent":
            raise ImportError("no engine here")
        if self.how == "chatter":
            os.write(3, b"a library says hello\n{not json\n")

    def load(self, stage, bodies, robot, links, rate):
        self._fault("load")
        import mujoco
        from pxr import Usd, UsdGeom

        opened = Usd.Stage.Open(stage)
        self.cache = UsdGeom.XformCache()
        from phone2sim.sim_export.mjcf import base_spec

        spec, self.bodies, facts = base_spec("stand_in"), bodies, {}
        spec.option.timestep = 1.0 / rate
        moving = [f"{p}/" for p in (*bodies.values(), robot or "/nowhere")]
        for prim in opened.Traverse(Usd.TraverseInstanceProxies()):
            static = not any(str(prim.GetPath()).startswith(p) for p in moving)
            if static and prim.GetTypeName() in ("Mesh", "Cube", "Plane") and prim.HasAPI("PhysicsCollisionAPI"):
                self._collider(spec, spec.worldbody, prim, self._pose(prim), _friction(prim))
        for name, path in bodies.items():
            if not opened.GetPrimAtPath(path):
                raise ValueError(f"no rigid body {name} in the stage")
            facts[name] = self._body(spec, name, opened.GetPrimAtPath(path))
        self.robot = None
        if robot:
            from phone2sim.sim_export.robots import get_robot

            self.robot = get_robot("p2s_arm")
            at, turn = self._pose(opened.GetPrimAtPath(robot))
            frame = spec.worldbody.add_frame(pos=at, quat=turn)
            frame.attach_body(self.robot.build(visual=False).body("base"), "robot/", "")
            self.links = links
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        mujoco.mj_forward(self.model, self.data)
        for name in facts:
            for key, factor in _factors(self.how):
                facts[name][key] = (np.array(facts[name][key]) * factor).tolist()
        return {"bodies": facts, "dofs": [*self.robot.joints, *self.robot.fingers] if self.robot else []}

    def step(self, steps, targets=None, forces=None):
        self._fault("step")
        import mujoco

        self.data.xfrc_applied[:] = 0
        for name, f in (forces or {}).items():
            self.data.xfrc_applied[self.model.body(name).id, :3] = f
        if targets is not None:
            self.data.ctrl[:] = [*targets[:-2], np.mean(targets[-2:])]
        mujoco.mj_step(self.model, self.data, steps)
        return self.state()

    def state(self):
        out = {"bodies": {}, "dofs": [[], []], "links": [], "touching": []}
        for name in self.bodies:
            joint = self.data.joint(name)
            row = [*joint.qpos.tolist(), *joint.qvel.tolist()]
            if self.how == "shift" and self.data.time > 1:
                row[0] += 0.01
            out["bodies"][name] = row
        if self.robot:
            joints = [self.data.joint(f"robot/{n}") for n in (*self.robot.joints, *self.robot.fingers)]
            out["dofs"] = [[float(j.qpos[0]) for j in joints], [float(j.qvel[0]) for j in joints]]
            found = [self.data.body(f"robot/{n}") for n in self.links]
            out["links"] = [[*b.xpos.tolist(), *b.xquat.tolist()] for b in found]
            out["touching"] = [n for n in self.bodies if self._touched(n)]
        return out

    def put(self, bodies, dofs=None):
        self._fault("put")
        import mujoco

        for name, x in bodies.items():
            joint = self.data.joint(name)
            joint.qpos[:], joint.qvel[:] = x[:7], x[7:]
        if dofs is not None:
            for name, q, v in zip((*self.robot.joints, *self.robot.fingers), *dofs):
                self.data.joint(f"robot/{name}").qpos, self.data.joint(f"robot/{name}").qvel = q, v
        mujoco.mj_forward(self.model, self.data)
        return self.state()

    def film(self, stage, cameras):
        from pxr import Usd

        self.filmed, self.cameras = Usd.Stage.Open(stage), cameras
        for path, _, _ in cameras.values():
            if self.filmed.GetPrimAtPath(path).GetTypeName() != "Camera":
                raise ValueError(f"no camera at {path}")
        self.drawn = 0
        return {}

    def draw(self, poses, folder):
        """Id 7 where the first moved prim is, 9 for a wall; the picture's grey is the number of the frame."""
        self._fault("draw")
        if missing := [p for p in poses if not self.filmed.GetPrimAtPath(p)]:
            raise ValueError(f"no prim at {missing[0]}")
        for name, (_, w, h) in self.cameras.items():
            ids = np.full((h, w), 9, np.uint32)
            ids[: h // 2] = 7
            depth = np.full((h, w), 1.5, np.float32)
            depth[0] = np.inf
            side = w // 2 if self.how == "small" else w
            rgb = np.full((h, side, 3), self.drawn % 256, np.uint8)
            np.savez(Path(folder) / f"{name}.npz", rgb=rgb, depth=depth, ids=ids)
        self.drawn += 1
        labels = {"7": f"{next(iter(poses))}/Geometry/mesh", "9": "/World/Wall"}
        return {"labels": {name: labels for name in self.cameras}}

    def _touched(self, name):
        body = self.model.body(name).id
        for c in self.data.contact:
            pair = [int(self.model.geom_bodyid[g]) for g in (c.geom1, c.geom2)]
            if body in pair and self.model.body(sum(pair) - body).name.startswith("robot/"):
                return True
        return False

    def _fault(self, do):
        if self.how == f"die:{do}":
            print("out of memory", file=sys.stderr, flush=True)
            os._exit(9)
        if self.how == f"hang:{do}":
            time.sleep(3600)
        if self.how == f"refuse:{do}":
            raise RuntimeError("a strange mesh")

    def _pose(self, prim):
        M = np.array(self.cache.GetLocalToWorldTransform(prim)).T
        from phone2sim.poses import Pose

        R = M[:3, :3] / np.linalg.norm(M[:3, :3], axis=0)
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = R, M[:3, 3]
        pose = Pose.from_matrix(T)
        return pose.translation, pose.quat_wxyz

    def _body(self, spec, name, prim):
        from pxr import Gf, UsdPhysics

        from phone2sim.poses import quat_to_matrix

        api = UsdPhysics.MassAPI(prim)
        body = spec.worldbody.add_body(name=name)
        body.pos, body.quat = self._pose(prim)
        body.add_freejoint(name=name)
        body.mass, body.ipos = api.GetMassAttr().Get(), list(api.GetCenterOfMassAttr().Get())
        q = api.GetPrincipalAxesAttr().Get() or Gf.Quatf(1)
        body.iquat = axes = [q.GetReal(), *q.GetImaginary()]
        body.inertia = moments = list(api.GetDiagonalInertiaAttr().Get())
        body.explicitinertial = True
        hulls = [p for p in _below(prim) if p.HasAPI("PhysicsCollisionAPI")]
        for hull in hulls:
            self._collider(spec, body, hull, ([0, 0, 0], [1, 0, 0, 0]), _friction(hull))
        R = quat_to_matrix(np.array(axes))
        return {
            "mass_kg": body.mass, "com": list(body.ipos), "inertia": (R @ np.diag(moments) @ R.T).tolist(),
            "hulls": len(hulls), "friction": _friction(hulls[0]),
        }  # fmt: skip

    def _collider(self, spec, body, prim, pose, friction):
        import mujoco
        from pxr import UsdGeom

        geom = {"pos": pose[0], "quat": pose[1], "friction": [friction, 0.005, 0.0005], "condim": 4, "mass": 0.0}
        if prim.GetTypeName() == "Plane":
            body.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], **geom)
            return
        if prim.GetTypeName() == "Cube":
            half = np.linalg.norm(np.array(self.cache.GetLocalToWorldTransform(prim))[:3, :3], axis=1)
            body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=half, **geom)
            return
        name, points = str(prim.GetPath()), np.array(UsdGeom.Mesh(prim).GetPointsAttr().Get())
        spec.add_mesh(name=name, uservert=points.ravel(), inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX)
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, **geom)


def _below(prim):
    from pxr import Usd

    return Usd.PrimRange(prim)


def _friction(prim):
    from pxr import UsdPhysics, UsdShade

    material, _ = UsdShade.MaterialBindingAPI(prim).ComputeBoundMaterial("physics")
    return float(UsdPhysics.MaterialAPI(material.GetPrim()).GetDynamicFrictionAttr().Get())


def _factors(how):
    for part in how.split(","):
        if part.startswith("factor:"):
            key, value = part.removeprefix("factor:").split("=")
            yield key, float(value)


if __name__ == "__main__":
    sys.path[:0] = [str(WORKERS), str(Path(__file__).parent)]
    import wire

    if os.environ.get("STAND_IN") == "protocol":
        wire.PROTOCOL = 99
    sys.exit(wire.serve("stand_in_worker"))
