"""`load_robot`: any arm from MJCF or URDF, with its own gripper, another file's, or none, as a `Robot`.

The file is read once, cleaned of what an episode has no use for, and measured: which joints are the arm, which the
fingers, how they open, where they pinch, how far the arm reaches over a table. Nothing of it is copied into data sets.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.errors import InputError, MissingDependencyError
from phone2sim.sim_export.robots.base import Robot
from phone2sim.sim_export.robots.gripper import measure_gripper
from phone2sim.sim_export.robots.posture import measure_posture
from phone2sim.sim_export.robots.visuals import visible_parts

LEAST_JOINTS = 4
SERVO_HZ = 9.0
"""Natural frequency of the servos given to joints that the file drives by torque."""
ROTOR = 0.1
"""Inertia of a geared motor [kg m²] where the file leaves it out: without it a small wrist chatters."""
TORQUE_NM = 80.0
"""Where the file names none."""
FIRM_SOLREF, FIRM_SOLIMP = [0.006, 1], [0.95, 0.99, 0.001, 0.5, 2]
"""Contact of fingers, as our own arm's pads: with MuJoCo's softer default what is held creeps out while it is carried."""


def load_robot(name: str) -> Robot:
    """The robot `ARM` or `ARM+GRIPPER`: files, or modules of `robot_descriptions` such as `panda_mj_description`.

    Raises `InputError` for a file that cannot be read or has no arm, `MissingDependencyError` when
    `robot_descriptions` is wanted and cannot deliver.
    """
    arm, _, gripper = name.partition("+")
    files = tuple(str(p) for p in (find_model(arm), find_model(gripper) if gripper else None) if p is not None)
    return _load(name, files)


def find_model(name: str) -> Path:
    """The model file of a path or of a `robot_descriptions` module."""
    path = Path(name)
    if path.suffix.lower() in (".xml", ".mjcf", ".urdf"):
        if not path.is_file():
            raise InputError(f"No robot file {path}.", hint="Give an MJCF (.xml) or URDF (.urdf) file.")
        return path.resolve()
    if name.endswith("_description"):
        return _described(name)
    raise InputError(
        f"{name!r} is not a robot file.", hint="Give an MJCF (.xml) or URDF (.urdf) file, or a robot_descriptions name."
    )


def _described(name: str) -> Path:
    from importlib import import_module
    from importlib.util import find_spec

    if find_spec("robot_descriptions") is None:
        raise MissingDependencyError(
            f"Robot {name!r} is a robot_descriptions model, and that package is missing.",
            hint="pip install 'phone2sim[robots]', or give a file: --robot arm.xml",
        )
    if find_spec(f"robot_descriptions.{name}") is None:
        raise InputError(f"robot_descriptions has no {name!r}.", hint="See its list of MJCF and URDF descriptions.")
    try:
        module = import_module(f"robot_descriptions.{name}")
    except Exception as e:  # it clones at import, and git fails in its own ways
        why = str(e).strip().splitlines()[-1] if str(e).strip() else type(e).__name__
        raise MissingDependencyError(
            f"robot_descriptions could not fetch {name!r}: {why}.",
            hint="It clones the model at first use and needs a network then; or give a file: --robot arm.xml",
        ) from None
    return Path(getattr(module, "MJCF_PATH", None) or module.URDF_PATH)


@lru_cache(maxsize=4)
def _load(name: str, files: tuple[str, ...]) -> Robot:
    arm = _read(files[0])
    found = _find_arm(arm, files[0])
    if len(files) > 1:
        _attach_gripper(arm, found, files)
        found = _find_arm(arm, files[0])
    _clean(arm, found)
    _drive_arm(arm, found)
    gripper = measure_gripper(arm, hand=found.hand, joints=found.fingers, reach=found.path)
    site = arm.body(found.hand).add_site(name="pinch", pos=gripper.pinch_m, size=[0.004] * 3, group=4)
    site.quat = gripper.pinch_quat
    model = arm.compile()
    limits = tuple((float(a), float(b)) for a, b in (_limits(model, j) for j in found.joints))
    visible = visible_parts(arm)
    built = _Built(spec=arm)
    home, near, far, angle = measure_posture(built.build, found.joints, limits)
    return Robot(
        name=name, joints=found.joints, fingers=gripper.joints, finger_closed=gripper.closed, finger_open=gripper.opened,
        grip_actuators=gripper.actuators, grip_closed=gripper.closed_controls, grip_open=gripper.open_controls,
        opening_m=gripper.opening_m, home_rad=home, limits_rad=limits, tip_below_pinch_m=gripper.tip_below_m,
        palm_above_pinch_m=gripper.palm_above_m, pad_half_m=gripper.pad_half_m, finger_m=gripper.finger_m,
        palm_half_m=gripper.palm_half_m, reach_m=(near, far), half_angle_rad=angle, base_radius_m=_base_radius(model),
        build=built.build, render_parts=lambda: visible,
    )  # fmt: skip


@dataclass(frozen=True)
class _Built:
    """Fresh copies of the cleaned spec."""

    spec: Any

    def build(self, *, visual: bool = False, collision: bool = True) -> Any:
        """As `Robot.build`."""
        spec = self.spec.copy()
        drop = [g for g in spec.geoms if (_shows(g) and not visual) or (not _shows(g) and not collision)]
        for geom in drop:
            spec.delete(geom)
        used = {g.meshname for g in spec.geoms}
        for mesh in [m for m in spec.meshes if m.name not in used]:
            spec.delete(mesh)
        return spec


def _shows(geom: Any) -> bool:
    return geom.contype == 0 and geom.conaffinity == 0


@dataclass(frozen=True, kw_only=True)
class _Arm:
    """Names in a spec."""

    root: str
    joints: tuple[str, ...]
    hand: str
    """Body that the fingers hang on, or the last one of the chain."""
    fingers: tuple[str, ...]
    path: tuple[str, ...]
    """Bodies from the root to the hand."""


def _read(file: str) -> Any:
    import mujoco

    try:
        spec = mujoco.MjSpec.from_file(file)
        if file.lower().endswith(".urdf"):
            spec.compiler.discardvisual = False
            spec.compiler.fusestatic = False
        spec.compile()
    except Exception as e:
        why = " ".join(str(e).split()) or type(e).__name__
        raise InputError(
            f"MuJoCo cannot read {file}: {why}.", hint="Meshes must lie where the file says; check paths and formats."
        ) from None
    for group in (spec.keys, spec.sensors, spec.cameras, spec.lights):
        for element in list(group):
            spec.delete(element)
    for body in spec.bodies:
        body.gravcomp = 1.0
    return spec


def _find_arm(spec: Any, file: str) -> _Arm:
    """Follow the moving branch with the longest chain of hinges from the world to where the fingers part."""
    import mujoco

    hinge, slide = mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE

    def below(body: Any) -> list[Any]:
        return [j for b in (body, *body.find_all("body")) for j in b.joints]

    def hinges(body: Any) -> int:
        own = sum(j.type == hinge for j in body.joints)
        return own + max((hinges(b) for b in body.bodies), default=0)

    roots = [b for b in spec.worldbody.bodies if hinges(b) >= LEAST_JOINTS]
    if not roots:
        most = max((hinges(b) for b in spec.worldbody.bodies), default=0)
        raise InputError(
            f"{file} has no arm: its longest chain has {most} turning joints, {LEAST_JOINTS} are needed.",
            hint="One fixed arm per file; legs, hands and free-floating robots are not arms.",
        )
    body = root = max(roots, key=hinges)
    if any(j.type == mujoco.mjtJoint.mjJNT_FREE for j in below(root)):
        raise InputError(f"{file} moves freely: a fixed arm is needed.")
    joints: list[str] = []
    path = [root.name]
    while True:
        joints += [j.name for j in body.joints if j.type == hinge]
        moving = [b for b in body.bodies if below(b)]
        long = [b for b in moving if hinges(b) >= 3] if len(joints) < LEAST_JOINTS else []
        follow = long if len(long) == 1 else moving
        if len(follow) != 1 or (len(joints) >= LEAST_JOINTS and any(j.type == slide for j in follow[0].joints)):
            break
        body = follow[0]
        path.append(body.name)
    while not moving and len(body.bodies) == 1:  # fixed flanges behind the last joint
        body = body.bodies[0]
        path.append(body.name)
    fingers = [j.name for b in body.bodies for j in below(b)] if len(joints) >= LEAST_JOINTS else []
    if len(joints) < LEAST_JOINTS:
        raise InputError(f"{file}: the arm parts after {len(joints)} joints; one arm per file.")
    return _Arm(root=root.name, joints=tuple(joints), hand=body.name, fingers=tuple(fingers), path=tuple(path))


def _attach_gripper(arm: Any, found: _Arm, files: tuple[str, ...]) -> None:
    if found.fingers:
        raise InputError(f"{files[0]} has a gripper of its own; give another arm, or no second file.")
    gripper = _read(files[1])
    sites = [s for s in arm.sites if "attachment" in s.name]
    frame = None if sites else arm.body(found.hand).add_frame()
    arm.attach(gripper, prefix="hand_", **({"site": sites[0]} if sites else {"frame": frame}))


def _clean(spec: Any, found: _Arm) -> None:
    """Keep the arm: no textures, no other moving parts; meshes as numbers, so that the spec needs no files."""
    import mujoco

    model = spec.compile()
    kept = {*found.joints, *found.fingers}
    for joint in [j for j in spec.joints if j.name not in kept]:
        spec.delete(joint)
    for body in [b for b in spec.worldbody.bodies if b.name != found.root]:
        spec.delete(body)
    for geom in list(spec.worldbody.geoms):
        spec.delete(geom)
    for geom in spec.geoms:
        if geom.material:
            geom.rgba = model.material(geom.material).rgba
            geom.material = ""
        geom.group = 2 if _shows(geom) else 3
        if not _shows(geom):
            geom.contype, geom.conaffinity = 2, 1  # touches objects and tables, never itself
    for geom in (g for b in spec.bodies if any(j.name in found.fingers for j in b.joints) for g in _geoms_below(b)):
        geom.solref, geom.solimp = FIRM_SOLREF, FIRM_SOLIMP
    for body in spec.bodies[1:]:  # as compiled, so that it stays when geoms go
        b = model.body(body.name).id
        body.mass, body.ipos, body.iquat = model.body_mass[b], model.body_ipos[b], model.body_iquat[b]
        body.inertia, body.fullinertia, body.explicitinertial = model.body_inertia[b], [np.nan] * 6, True
    for material in list(spec.materials):
        spec.delete(material)
    for texture in list(spec.textures):
        spec.delete(texture)
    for mesh in spec.meshes:
        i = model.mesh(mesh.name).id
        v0, nv = model.mesh_vertadr[i], model.mesh_vertnum[i]
        f0, nf = model.mesh_faceadr[i], model.mesh_facenum[i]
        R = np.zeros(9)
        mujoco.mju_quat2Mat(R, model.mesh_quat[i])
        mesh.uservert = (model.mesh_vert[v0 : v0 + nv] @ R.reshape(3, 3).T + model.mesh_pos[i]).ravel()
        mesh.userface = model.mesh_face[f0 : f0 + nf].ravel()
        mesh.file, mesh.content_type = "", ""
        mesh.scale, mesh.refpos, mesh.refquat = [1, 1, 1], [0, 0, 0], [1, 0, 0, 0]
    root = spec.body(found.root)
    for element in (*(b for b in spec.bodies if b.name == "base" != found.root), *(s for s in spec.sites if s.name == "pinch")):
        element.name = f"{element.name}_"  # our names
    root.name = "base"


def _geoms_below(body: Any) -> list[Any]:
    return [g for b in (body, *body.find_all("body")) for g in b.geoms]


def _drive_arm(spec: Any, found: _Arm) -> None:
    """A position servo per arm joint, named like it. Torque limits are the file's; gains follow the inertia it moves."""
    import mujoco

    torque = {j: TORQUE_NM for j in found.joints}
    for act in [a for a in spec.actuators if a.target in torque]:
        high = np.max(np.abs(act.forcerange)) if act.forcelimited else 0.0
        if not high and act.gaintype == mujoco.mjtGain.mjGAIN_FIXED and act.biastype == mujoco.mjtBias.mjBIAS_NONE:
            high = np.max(np.abs(act.ctrlrange)) * abs(act.gainprm[0] * act.gear[0])
        torque[act.target] = float(high or TORQUE_NM)
        spec.delete(act)
    for name in found.joints:
        joint = spec.joint(name)
        joint.armature = max(joint.armature, ROTOR)
        if np.any(joint.actfrcrange):
            torque[name] = float(np.max(np.abs(joint.actfrcrange)))
    model = spec.compile()
    data = mujoco.MjData(model)
    most = np.zeros(model.nv)
    middle = np.where(model.jnt_limited, model.jnt_range.mean(axis=1), 0.0)
    for share in (0.0, 0.5):
        data.qpos[model.jnt_qposadr] = middle + share * np.where(model.jnt_limited, np.ptp(model.jnt_range, axis=1) / 2, 0)
        mujoco.mj_forward(model, data)
        M = np.zeros((model.nv, model.nv))
        mujoco.mj_fullM(model, data, M)
        most = np.maximum(most, np.diag(M))
    w = 2 * np.pi * SERVO_HZ
    for name in found.joints:
        inertia = float(most[model.joint(name).dofadr[0]])
        act = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        act.set_to_position(kp=inertia * w**2, kv=2 * inertia * w)
        low, high = _limits(model, name)
        act.ctrlrange, act.ctrllimited = [low, high], 1
        act.forcerange, act.forcelimited = [-torque[name], torque[name]], 1


def _limits(model: Any, joint: str) -> tuple[float, float]:
    j = model.joint(joint)
    return (float(j.range[0]), float(j.range[1])) if model.jnt_limited[j.id] else (-np.pi, np.pi)


def _base_radius(model: Any) -> float:
    """Of what does not move, with some room [m]."""
    b = model.body("base").id
    fixed = [g for g in range(model.ngeom) if model.body_weldid[model.geom_bodyid[g]] == model.body_weldid[b]]
    reach = [float(np.linalg.norm(model.geom_pos[g][:2]) + model.geom_rbound[g]) for g in fixed]
    return float(np.clip(max(reach, default=0.1), 0.08, 0.16))

