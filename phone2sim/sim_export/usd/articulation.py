"""A robot as a USD articulation, authored from the very `MjSpec` that MuJoCo runs: links, joints, drives, colliders."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.poses import Pose
from phone2sim.sim_export.robots.base import Robot
from phone2sim.sim_export.usd.layer import attribute, extents_hint, label, new_stage, set_pose, set_root, vec3f
from phone2sim.sim_export.usd.materials import CONTACT_OFFSET_M, bind, physics_material
from phone2sim.sim_export.usd.mesh import add_mesh
from phone2sim.sim_export.usd.robot import link_poses

POSITION_ITERATIONS = 32
DEGREE = np.pi / 180
"""UsdPhysics gives angular gains per degree."""


def write_articulation(robot: Robot, path: Path) -> Path:
    """One layer with the articulation `/<name>`, standing on its base at the origin, joints at home, fingers open.

    Links are siblings below the root, each at its pose; `joints/` holds a joint per degree of freedom, named as in
    `Robot`, its drive with the gains, limits, armature and damping of the MuJoCo actuator. The base is bolted to the root
    (`joints/bolt`), so a stage that moves the root moves the robot. Links that MuJoCo balances feel no gravity.
    """
    from pxr import UsdGeom, UsdPhysics

    model = _compiled(robot)
    names = [model.body(b).name for b in range(1, model.nbody)]
    poses = link_poses(robot, robot.home_rad, 1.0)
    with new_stage(path) as stage:
        at = f"/{robot.name}"
        root = UsdGeom.Xform.Define(stage, at).GetPrim()
        set_root(stage, root, "component")
        UsdPhysics.ArticulationRootAPI.Apply(root)
        attribute(
            root, "PhysxArticulationAPI", physxArticulation__enabledSelfCollisions=("Bool", False),
            physxArticulation__solverPositionIterationCount=("Int", POSITION_ITERATIONS),
        )  # fmt: skip
        attribute(root, "NewtonArticulationRootAPI", newton__selfCollisionEnabled=("Bool", False))
        label(root, "robot")
        UsdGeom.Scope.Define(stage, f"{at}/Looks")
        looks = _Looks(stage, f"{at}/Looks")
        for b, name in enumerate(names, start=1):
            link = UsdGeom.Xform.Define(stage, f"{at}/{name}")
            set_pose(link, poses[name])
            _mass(link.GetPrim(), model, b)
            _colliders(stage, f"{at}/{name}", model, b, looks)
        for part in robot.render_parts():
            mesh = add_mesh(stage, f"{at}/{part.body}/{part.name}", part.mesh)
            set_pose(mesh, part.T_body_part)
            bind(mesh.GetPrim(), looks.visual(part.rgb))
        UsdGeom.Scope.Define(stage, f"{at}/joints")
        _fix(stage, f"{at}/joints/bolt", at, f"{at}/{names[0]}", Pose.identity())
        for b in range(2, model.nbody):
            if not model.body_jntnum[b]:
                parent, name = model.body(int(model.body_parentid[b])).name, model.body(b).name
                here = Pose(model.body_pos[b].copy(), model.body_quat[b].copy())
                _fix(stage, f"{at}/joints/{name}", f"{at}/{parent}", f"{at}/{name}", here)
        for j in range(model.njnt):
            _joint(stage, at, model, j)
        _couple(stage, f"{at}/joints", model)
        extents_hint(root)
        set_start(stage.GetRootLayer(), at, robot, robot.home_rad, 1.0)
    return path


def set_start(
    layer: Any, at: str, robot: Robot, joints_rad: Sequence[float], gripper: float, *, gain: float = 1.0, damping: float = 1.0
) -> None:
    """In any layer over the articulation at `at`: where its joints are when physics starts, and that the drives hold them there.

    `gain` and `damping` are factors on the drives' stiffness and damping. Links are not moved.
    """
    from pxr import Sdf

    from phone2sim.sim_export.usd.opinions import prim, put

    start = dict(zip(robot.joints, joints_rad)) | dict(
        zip(robot.fingers, robot.finger_positions(gripper).tolist())
    )
    for name, value in start.items():
        joint = prim(layer, f"{at}/joints/{name}")
        kind, unit = ("angular", 1 / DEGREE) if name in robot.joints else ("linear", 1.0)
        if joint.specifier == Sdf.SpecifierDef:
            names = joint.GetInfo("apiSchemas").prependedItems
            joint.SetInfo("apiSchemas", Sdf.TokenListOp.Create(prependedItems=[*names, f"PhysicsJointStateAPI:{kind}"]))
        put(joint, "Float", f"state:{kind}:physics:position", float(value) * unit)
        put(joint, "Float", f"drive:{kind}:physics:targetPosition", float(value) * unit)
        if (gain, damping) != (1.0, 1.0):
            model = _compiled(robot)
            kp, kv, _ = _gains(model, model.joint(name).id)
            passive = float(model.dof_damping[model.joint(name).dofadr[0]])
            put(joint, "Float", f"drive:{kind}:physics:stiffness", gain * kp / unit)
            put(joint, "Float", f"drive:{kind}:physics:damping", (damping * kv + passive) / unit)


@lru_cache(maxsize=8)
def _compiled(robot: Robot) -> Any:
    return robot.build(visual=False).compile()


class _Looks:
    """Materials of one robot, made when they are first needed."""

    def __init__(self, stage: Any, path: str) -> None:
        self.stage, self.path = stage, path
        self._made: dict[Any, Any] = {}

    def visual(self, rgb: tuple[float, float, float]) -> Any:
        """Satin plastic of a linear colour."""
        from pxr import Sdf, UsdShade

        if rgb not in self._made:
            path = f"{self.path}/Visual_{len(self._made)}"
            material = UsdShade.Material.Define(self.stage, path)
            surface = UsdShade.Shader.Define(self.stage, f"{path}/PreviewSurface")
            surface.CreateIdAttr("UsdPreviewSurface")
            surface.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(0.5)
            surface.CreateInput("metallic", Sdf.ValueTypeNames.Float).Set(0.0)
            surface.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f).Set(vec3f(np.array(rgb)))
            material.CreateSurfaceOutput().ConnectToSource(surface.ConnectableAPI(), "surface")
            label(material.GetPrim(), "plastic", kind="material")
            self._made[rgb] = material
        return self._made[rgb]

    def physics(self, friction: float) -> Any:
        if friction not in self._made:
            path = f"{self.path}/Physics_{len(self._made)}"
            self._made[friction] = physics_material(self.stage, path, friction=friction, restitution=0.0, name="plastic")
        return self._made[friction]


def _mass(prim: Any, model: Any, b: int) -> None:
    from pxr import Gf, UsdPhysics

    UsdPhysics.RigidBodyAPI.Apply(prim)
    mass = UsdPhysics.MassAPI.Apply(prim)
    mass.CreateMassAttr(float(model.body_mass[b]))
    mass.CreateCenterOfMassAttr(vec3f(model.body_ipos[b]))
    mass.CreateDiagonalInertiaAttr(vec3f(model.body_inertia[b]))
    mass.CreatePrincipalAxesAttr(Gf.Quatf(*(float(x) for x in model.body_iquat[b])))
    attribute(prim, "PhysxRigidBodyAPI", physxRigidBody__disableGravity=("Bool", bool(model.body_gravcomp[b] > 0.5)))


def _colliders(stage: Any, at: str, model: Any, b: int, looks: _Looks) -> None:
    """Capsules and boxes of a body, below a scope of purpose guide."""
    import mujoco
    from pxr import UsdGeom, UsdPhysics

    geoms = [g for g in range(model.ngeom) if model.geom_bodyid[g] == b and model.geom_contype[g]]
    if not geoms:
        return
    group = UsdGeom.Xform.Define(stage, f"{at}/Collision")
    group.CreatePurposeAttr(UsdGeom.Tokens.guide)
    group.CreateVisibilityAttr(UsdGeom.Tokens.invisible)
    for g in geoms:
        path, size = f"{at}/Collision/{model.geom(g).name}", model.geom_size[g]
        if model.geom_type[g] == mujoco.mjtGeom.mjGEOM_CAPSULE:
            shape = UsdGeom.Capsule.Define(stage, path)
            shape.CreateAxisAttr("Z")
            shape.CreateRadiusAttr(float(size[0]))
            shape.CreateHeightAttr(2 * float(size[1]))
            far = np.array([size[0], size[0], size[0] + size[1]])
        else:
            shape = UsdGeom.Cube.Define(stage, path)
            shape.CreateSizeAttr(2.0)
            far = np.ones(3)
        shape.CreateExtentAttr([vec3f(-far), vec3f(far)])
        set_pose(shape, Pose(model.geom_pos[g].copy(), model.geom_quat[g].copy()))
        if model.geom_type[g] == mujoco.mjtGeom.mjGEOM_BOX:
            shape.AddScaleOp().Set(vec3f(size))
        UsdPhysics.CollisionAPI.Apply(shape.GetPrim())
        bind(shape.GetPrim(), looks.physics(float(model.geom_friction[g, 0])), physics=True)
        attribute(
            shape.GetPrim(), "PhysxCollisionAPI", physxCollision__contactOffset=("Float", CONTACT_OFFSET_M),
            physxCollision__restOffset=("Float", 0.0),
        )  # fmt: skip
        attribute(shape.GetPrim(), "NewtonCollisionAPI", newton__contactGap=("Float", CONTACT_OFFSET_M))


def _fix(stage: Any, path: str, outer: str, inner: str, T_outer_inner: Pose) -> None:
    from pxr import UsdPhysics

    joint = UsdPhysics.FixedJoint.Define(stage, path)
    _frames(joint, outer, inner, T_outer_inner, Pose.identity())


def _frames(joint: Any, outer: str, inner: str, T_outer_joint: Pose, T_inner_joint: Pose) -> None:
    from pxr import Gf

    joint.CreateBody0Rel().SetTargets([outer])
    joint.CreateBody1Rel().SetTargets([inner])
    joint.CreateLocalPos0Attr(vec3f(T_outer_joint.translation))
    joint.CreateLocalRot0Attr(Gf.Quatf(*(float(x) for x in T_outer_joint.quat_wxyz)))
    joint.CreateLocalPos1Attr(vec3f(T_inner_joint.translation))
    joint.CreateLocalRot1Attr(Gf.Quatf(*(float(x) for x in T_inner_joint.quat_wxyz)))


def _joint(stage: Any, at: str, model: Any, j: int) -> None:
    """A hinge or a slide about the x axis of frames that coincide at zero, with the drive of its actuator."""
    import mujoco
    from pxr import UsdPhysics

    joint, body = model.joint(j), int(model.jnt_bodyid[j])
    hinge = model.jnt_type[j] == mujoco.mjtJoint.mjJNT_HINGE
    path = f"{at}/joints/{joint.name}"
    prim = (UsdPhysics.RevoluteJoint if hinge else UsdPhysics.PrismaticJoint).Define(stage, path)
    prim.CreateAxisAttr("X")
    parent = model.body(int(model.body_parentid[body])).name
    local = Pose(model.jnt_pos[j].copy(), _from_x(model.jnt_axis[j]))
    T_parent_body = Pose(model.body_pos[body].copy(), model.body_quat[body].copy())
    _frames(prim, f"{at}/{parent}", f"{at}/{model.body(body).name}", T_parent_body @ local, local)
    unit = 1 / DEGREE if hinge else 1.0
    prim.CreateLowerLimitAttr(float(model.jnt_range[j, 0]) * unit)
    prim.CreateUpperLimitAttr(float(model.jnt_range[j, 1]) * unit)
    kp, kv, force = _gains(model, j)
    kind = "angular" if hinge else "linear"
    drive = UsdPhysics.DriveAPI.Apply(prim.GetPrim(), kind)
    drive.CreateTypeAttr("force")
    drive.CreateStiffnessAttr(kp / unit)
    drive.CreateDampingAttr((kv + float(model.dof_damping[model.jnt_dofadr[j]])) / unit)
    drive.CreateMaxForceAttr(force)
    armature = float(model.dof_armature[model.jnt_dofadr[j]])
    attribute(prim.GetPrim(), "PhysxJointAPI", physxJoint__armature=("Float", armature))
    attribute(prim.GetPrim(), "NewtonJointAPI", newton__armature=("Float", armature))


def _gains(model: Any, j: int) -> tuple[float, float, float]:
    """Position gain, velocity gain and greatest force of what drives joint `j`: its actuator, or its share of a tendon's."""
    import mujoco

    for a in range(model.nu):
        target, share = int(model.actuator_trnid[a, 0]), 0.0
        if model.actuator_trntype[a] == mujoco.mjtTrn.mjTRN_JOINT and target == j:
            share = 1.0
        elif model.actuator_trntype[a] == mujoco.mjtTrn.mjTRN_TENDON:
            first = int(model.tendon_adr[target])
            wraps = range(first, first + int(model.tendon_num[target]))
            share = sum(float(model.wrap_prm[w]) for w in wraps if int(model.wrap_objid[w]) == j)
        if share:
            gain = -float(model.actuator_biasprm[a, 1]), -float(model.actuator_biasprm[a, 2])
            return gain[0] * share, gain[1] * share, float(model.actuator_forcerange[a, 1]) * share
    return 0.0, 0.0, 0.0


def _couple(stage: Any, at: str, model: Any) -> None:
    """Joints that an equality ties to another follow it (`NewtonMimicAPI`, which PhysX reads too)."""
    import mujoco

    for e in range(model.neq):
        if model.eq_type[e] == mujoco.mjtEq.mjEQ_JOINT:
            follower, leader = model.joint(int(model.eq_obj1id[e])).name, model.joint(int(model.eq_obj2id[e])).name
            offset, factor = (float(x) for x in model.eq_data[e, :2])
            prim = stage.GetPrimAtPath(f"{at}/{follower}")
            attribute(prim, "NewtonMimicAPI", newton__mimicCoef0=("Float", offset), newton__mimicCoef1=("Float", factor))
            prim.CreateRelationship("newton:mimicJoint", custom=False).SetTargets([f"{at}/{leader}"])


def _from_x(axis: np.ndarray) -> np.ndarray:
    """(4,) quaternion wxyz that turns x to a unit axis."""
    x = np.array([1.0, 0.0, 0.0])
    c = float(x @ axis)
    if c < -0.999999:
        return np.array([0.0, 0.0, 0.0, 1.0])
    q = np.r_[1 + c, np.cross(x, axis)]
    return q / np.linalg.norm(q)
