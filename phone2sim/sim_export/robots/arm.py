"""`p2s_arm`: a 7-joint arm with a parallel gripper, authored here in code.

Joint frames, limits and torques are the figures Franka Robotics publishes for its research arm (Franka Control
Interface documentation, "Robot and interface specifications": modified Denavit-Hartenberg parameters after Craig,
necessary limits). Shells, inertias, gains and the hand are our own; no vendor's model or mesh is used.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from phone2sim.assets.mesh import TexturedMesh
from phone2sim.poses import Pose
from phone2sim.sim_export.robots.base import Robot, RobotPart
from phone2sim.sim_export.robots.shells import loft, merge, rounded_box, turned

NAME = "p2s_arm"
DH = (
    (0.0, 0.333, 0.0), (0.0, 0.0, -np.pi / 2), (0.0, 0.316, np.pi / 2), (0.0825, 0.0, np.pi / 2),
    (-0.0825, 0.384, -np.pi / 2), (0.0, 0.0, np.pi / 2), (0.088, 0.0, np.pi / 2),
)  # fmt: skip
"""Per joint: a [m], d [m], alpha [rad]; modified convention, theta is the joint."""
FLANGE_M = 0.107
LIMITS_RAD = (
    (-2.8973, 2.8973), (-1.7628, 1.7628), (-2.8973, 2.8973), (-3.0718, -0.0698), (-2.8973, 2.8973), (-0.0175, 3.7525),
    (-2.8973, 2.8973),
)  # fmt: skip
TORQUE_NM = (87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0)
SPEED_RAD_S = (2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61)
HOME_RAD = (0.0, -0.1, 0.0, -2.2, 0.0, 2.1, 0.785)
JOINTS = tuple(f"joint{i}" for i in range(1, 8))
FINGER_TRAVEL_M = 0.04
"""Each of the two fingers; the opening is twice that."""
FINGER_ROOT_M = 0.058
PINCH_M = 0.122
"""From the hand's frame to the middle of the pads."""
TIP_M = 0.134
GRIP_FORCE_N = 45.0

# Links as (mass [kg], half-sizes of the box of equal inertia [m], its centre [m]) in the joint's frame: a share of the
# published 18 kg total by volume.
_BODIES = (
    (3.0, (0.07, 0.08, 0.10), (0, 0, -0.05)), (2.8, (0.06, 0.10, 0.07), (0, -0.09, 0)),
    (2.5, (0.06, 0.06, 0.08), (0.04, 0, -0.05)), (2.5, (0.07, 0.09, 0.06), (-0.05, 0.09, 0)),
    (2.6, (0.05, 0.05, 0.11), (0, 0, -0.09)), (1.5, (0.07, 0.06, 0.06), (0.05, 0, 0)),
    (0.6, (0.045, 0.045, 0.03), (0, 0, 0.07)),
)  # fmt: skip
# Gains are such that velocity gain × time step stays below the rotors' inertia: no chatter at the torque limit.
_KP = (2500.0, 2500.0, 2000.0, 2000.0, 800.0, 800.0, 600.0)
_KV = (100.0, 100.0, 80.0, 80.0, 28.0, 28.0, 22.0)
_ROTOR = (0.3, 0.3, 0.3, 0.3, 0.12, 0.12, 0.12)
_WHITE, _GREY, _DARK, _PAD = (0.64, 0.65, 0.66), (0.30, 0.32, 0.35), (0.07, 0.075, 0.085), (0.025, 0.025, 0.028)


@lru_cache(maxsize=1)
def render_parts() -> tuple[RobotPart, ...]:
    """Every visible shell, in draw order."""
    shells: list[tuple[str, str, tuple[float, float, float], TexturedMesh]] = [
        ("base", "foot", _GREY, turned([(0.098, 0), (0.098, 0.016), (0.088, 0.02)], sides=28)),
        ("base", "column", _WHITE, turned([(0.085, 0.018), (0.083, 0.06), (0.070, 0.178)], sides=28)),
        ("base", "seam", _DARK, turned([(0.065, 0.17), (0.065, 0.2)], fillet=0.0)),
        ("link1", "column", _WHITE, turned([(0.069, -0.147), (0.067, -0.06), (0.06, -0.01)])),
        ("link1", "housing", _WHITE, turned([(0.07, -0.078), (0.07, 0.078)], axis=(0, 1, 0), fillet=0.014, sides=28)),
        ("link2", "caps", _GREY, _caps(0.056, 0.076, 0.087)),
        ("link2", "tube", _WHITE, loft([(0, -0.02, 0), (0, -0.09, 0), (0, -0.185, 0)], [0.064, 0.061, 0.057],
                                       across=(0, 0, 1), samples=5, dome=0.1)),
        ("link2", "seam", _DARK, turned([(0.052, 0.18), (0.052, 0.205)], axis=(0, -1, 0), fillet=0.0)),
        ("link3", "elbow", _WHITE, loft([(0, 0, -0.118), (0, 0, -0.085), (0.022, 0, -0.04), (0.0825, 0, 0.004)],
                                        [0.056, 0.056, 0.056, 0.054], samples=9, dome=0.1)),
        ("link3", "housing", _WHITE, turned([(0.06, -0.066), (0.06, 0.066)], center=(0.0825, 0, 0), axis=(0, 1, 0),
                                            fillet=0.012)),
        ("link4", "caps", _GREY, _caps(0.047, 0.064, 0.075)),
        ("link4", "arm", _WHITE, loft([(0, 0, 0), (-0.055, 0.036, 0), (-0.0825, 0.09, 0), (-0.0825, 0.15, 0)],
                                      [0.053, 0.053, 0.052, 0.05], across=(0, 0, 1), samples=9, dome=0.1)),
        ("link4", "seam", _DARK, turned([(0.046, 0.145), (0.046, 0.168)], center=(-0.0825, 0, 0), axis=(0, 1, 0),
                                        fillet=0.0)),
        ("link5", "forearm", _WHITE, loft([(0, 0, -0.22), (0, 0, -0.15), (0, 0, -0.08), (0, 0, -0.01)],
                                          [0.05, 0.05, 0.047, 0.045], samples=7, dome=0.1)),
        ("link5", "housing", _WHITE, turned([(0.052, -0.056), (0.052, 0.056)], axis=(0, 1, 0), fillet=0.011)),
        ("link6", "caps", _GREY, _caps(0.041, 0.054, 0.065)),
        ("link6", "wrist", _WHITE, loft([(0, 0, 0), (0.045, 0, 0), (0.088, 0, 0)], [0.047, 0.046, 0.046],
                                        across=(0, 0, 1), samples=5, dome=0.3)),
        ("link6", "housing", _WHITE, turned([(0.047, -0.052), (0.05, 0.0), (0.048, 0.046)], center=(0.088, 0, 0),
                                            axis=(0, -1, 0), fillet=0.012)),
        ("link7", "seam", _DARK, turned([(0.043, 0.04), (0.043, 0.056)], fillet=0.0)),
        ("link7", "flange", _GREY, turned([(0.047, 0.054), (0.047, 0.088), (0.038, 0.1065)], fillet=0.005)),
        ("hand", "palm", _WHITE, loft([(0, 0, 0.006), (0, 0, 0.03), (0, 0, 0.048)],
                                      [(0.030, 0.062), (0.034, 0.098), (0.031, 0.104)], square=3.6, samples=6, dome=0.2)),
        ("hand", "rail", _DARK, rounded_box((0.034, 0.188, 0.014), center=(0, 0, 0.053))),
        ("left_finger", "finger", _GREY, _finger(1.0)),
        ("left_finger", "pad", _PAD, rounded_box((0.018, 0.006, 0.026), center=(0, 0.003, PINCH_M - FINGER_ROOT_M),
                                                 radius=0.001)),
        ("right_finger", "finger", _GREY, _finger(-1.0)),
        ("right_finger", "pad", _PAD, rounded_box((0.018, 0.006, 0.026), center=(0, -0.003, PINCH_M - FINGER_ROOT_M),
                                                  radius=0.001)),
    ]  # fmt: skip
    return tuple(
        RobotPart(name=f"{body}_{part}", mesh=mesh, rgb=rgb, body=body, T_body_part=Pose.identity())
        for body, part, rgb, mesh in shells
    )


def build_arm(*, visual: bool = False, collision: bool = True) -> Any:
    """A fresh `MjSpec` of the arm standing on its base at the origin, x forward, z up; position servos, gravity balanced.

    Bodies `base`, `link1` … `link7`, `hand`, `left_finger`, `right_finger`; joints and actuators `joint1` … `joint7`;
    actuator `gripper` (control: travel of one finger, 0–0.04 m); site `pinch` (z along the approach, y the closing
    direction). Arm shells touch objects and tables (contype 2, conaffinity 1), never each other.
    """
    import mujoco

    spec = mujoco.MjSpec()
    spec.modelname = NAME
    spec.compiler.degree = False
    base = spec.worldbody.add_body(name="base")
    _inertial(base, 3.0, (0.09, 0.09, 0.1), (0, 0, 0.09))
    body = base
    for i, (a, d, alpha) in enumerate(DH):
        pos = [a, -np.sin(alpha) * d, np.cos(alpha) * d]
        body = body.add_body(
            name=f"link{i + 1}", pos=pos, quat=[np.cos(alpha / 2), np.sin(alpha / 2), 0, 0], gravcomp=1
        )
        _inertial(body, *_BODIES[i])
        body.add_joint(
            name=JOINTS[i], type=mujoco.mjtJoint.mjJNT_HINGE, axis=[0, 0, 1], range=LIMITS_RAD[i], limited=1,
            armature=_ROTOR[i], damping=1.0,
        )  # fmt: skip
    q = np.pi / 8
    hand = body.add_body(name="hand", pos=[0, 0, FLANGE_M], quat=[np.cos(q), 0, 0, -np.sin(q)], gravcomp=1)
    _inertial(hand, 0.6, (0.03, 0.09, 0.03), (0, 0, 0.03))
    hand.add_site(name="pinch", pos=[0, 0, PINCH_M], size=[0.004] * 3, group=4)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        finger = hand.add_body(name=f"{side}_finger", pos=[0, 0, FINGER_ROOT_M], gravcomp=1)
        _inertial(finger, 0.06, (0.01, 0.006, 0.035), (0, sign * 0.012, 0.04))
        finger.add_joint(
            name=f"{side}_finger", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[0, sign, 0], range=[0, FINGER_TRAVEL_M],
            limited=1, armature=0.2, damping=20.0,
        )  # fmt: skip
    if collision:
        _add_collision(spec)
    if visual:
        _add_visual(spec)

    for i, joint in enumerate(JOINTS):
        act = spec.add_actuator(name=joint, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        act.set_to_position(kp=_KP[i], kv=_KV[i])
        act.ctrlrange, act.ctrllimited = LIMITS_RAD[i], 1
        act.forcerange, act.forcelimited = [-TORQUE_NM[i], TORQUE_NM[i]], 1
    tendon = spec.add_tendon(name="grip")
    tendon.wrap_joint("left_finger", 0.5)
    tendon.wrap_joint("right_finger", 0.5)
    act = spec.add_actuator(name="gripper", target="grip", trntype=mujoco.mjtTrn.mjTRN_TENDON)
    act.set_to_position(kp=4000.0, kv=150.0)
    act.ctrlrange, act.ctrllimited = [0, FINGER_TRAVEL_M], 1
    act.forcerange, act.forcelimited = [-2 * GRIP_FORCE_N, 2 * GRIP_FORCE_N], 1
    pair = spec.add_equality(name="fingers", type=mujoco.mjtEq.mjEQ_JOINT, name1="left_finger", name2="right_finger")
    pair.data[:5] = [0, 1, 0, 0, 0]
    pair.solref = [0.005, 1]
    return spec


def _add_collision(spec: Any) -> None:
    import mujoco

    common = {"contype": 2, "conaffinity": 1, "group": 3, "mass": 0.0, "condim": 3, "friction": [0.3, 0.005, 0.0001]}
    capsules = (
        ("base", (0, 0, 0.03), (0, 0, 0.15), 0.07), ("link1", (0, 0, -0.1), (0, 0, -0.02), 0.065),
        ("link1", (0, -0.03, 0), (0, 0.03, 0), 0.068), ("link2", (0, -0.05, 0), (0, -0.17, 0), 0.06),
        ("link3", (0, 0, -0.08), (0.06, 0, -0.01), 0.056), ("link4", (0, 0.01, 0), (-0.08, 0.1, 0), 0.054),
        ("link5", (0, 0, -0.19), (0, 0, -0.03), 0.049), ("link6", (0, 0, 0), (0.088, 0, 0), 0.05),
        ("link7", (0, 0, 0.04), (0, 0, 0.06), 0.045),
    )  # fmt: skip
    for i, (body, a, b, r) in enumerate(capsules):
        spec.body(body).add_geom(
            name=f"{body}_capsule{i}", type=mujoco.mjtGeom.mjGEOM_CAPSULE, fromto=[*a, *b], size=[r, 0, 0], **common
        )
    box = mujoco.mjtGeom.mjGEOM_BOX
    spec.body("hand").add_geom(name="palm_box", type=box, pos=[0, 0, 0.03], size=[0.032, 0.1, 0.03], **common)
    pad_z = PINCH_M - FINGER_ROOT_M
    for side, sign in (("left", 1.0), ("right", -1.0)):
        body = spec.body(f"{side}_finger")
        size = [0.009, 0.005, (TIP_M - FINGER_ROOT_M - 0.03) / 2]
        body.add_geom(name=f"{side}_blade", type=box, pos=[0, sign * 0.0115, 0.03 / 2 + 0.038], size=size, **common)
        body.add_geom(
            name=f"{side}_pad", type=box, pos=[0, sign * 0.003, pad_z], size=[0.009, 0.003, 0.012], contype=2,
            conaffinity=1, group=3, mass=0.0, condim=4, friction=[1.1, 0.02, 0.0005], solref=[0.006, 1],
            solimp=[0.95, 0.99, 0.001, 0.5, 2],
        )  # fmt: skip


def _add_visual(spec: Any) -> None:
    import mujoco

    for part in render_parts():
        m = part.mesh
        spec.add_mesh(
            name=part.name, uservert=m.vertices.ravel(), userface=m.faces.ravel(), usernormal=m.vertex_normals.ravel(),
            inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,
        )  # fmt: skip
        srgb = np.power(part.rgb, 1 / 2.2)
        spec.body(part.body).add_geom(
            name=f"{part.name}_visual", type=mujoco.mjtGeom.mjGEOM_MESH, meshname=part.name, contype=0, conaffinity=0,
            group=2, mass=0.0, rgba=[*srgb, 1],
        )  # fmt: skip


def _inertial(body: Any, mass: float, half: tuple[float, float, float], center: tuple[float, float, float]) -> None:
    sq = np.square(half)
    body.mass = mass
    body.ipos = center
    body.inertia = mass / 3 * np.array([sq[1] + sq[2], sq[0] + sq[2], sq[0] + sq[1]])
    body.explicitinertial = True


def _caps(radius: float, start: float, end: float) -> TexturedMesh:
    """A disc on each side of a joint's housing."""
    profile = [(radius, start - 0.006), (radius, end - 0.006), (0.98 * radius, end - 0.002), (0.9 * radius, end)]
    return merge([turned(profile, axis=(0, 0, s), fillet=0.0, sides=20) for s in (1, -1)])


def _finger(sign: float) -> TexturedMesh:
    y = sign * 0.0125
    tip = TIP_M - FINGER_ROOT_M
    return merge(
        [
            rounded_box((0.024, 0.022, 0.02), center=(0, sign * 0.013, 0.009), radius=0.003),
            loft([(0, y, 0.012), (0, y, 0.035), (0, sign * 0.0105, tip - 0.002)],
                 [(0.011, 0.0085), (0.010, 0.0075), (0.0085, 0.005)], square=4.0, samples=4, sides=12, dome=0.2),
        ]
    )  # fmt: skip


ARM = Robot(
    name=NAME, joints=JOINTS, fingers=("left_finger", "right_finger"), finger_closed=(0.0, 0.0),
    finger_open=(FINGER_TRAVEL_M, FINGER_TRAVEL_M), grip_actuators=("gripper",), grip_closed=(0.0,),
    grip_open=(FINGER_TRAVEL_M,), opening_m=2 * FINGER_TRAVEL_M, home_rad=HOME_RAD, limits_rad=LIMITS_RAD,
    tip_below_pinch_m=TIP_M - PINCH_M, palm_above_pinch_m=PINCH_M - 0.062, pad_half_m=(0.009, 0.012), reach_m=(0.30, 0.65),
    build=build_arm, render_parts=render_parts,
)  # fmt: skip
