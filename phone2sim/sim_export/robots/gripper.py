"""`measure_gripper`: how a file's fingers open, where they pinch, and how much room they need."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from phone2sim.poses import matrix_to_quat

PAD_M = 0.012
"""The pinch is this far above the finger tips."""
SETTLE_S = 1.0
MOST_ACTUATORS = 4
FINGER_GROUP, HAND_GROUP = 4, 5


@dataclass(frozen=True, kw_only=True)
class Gripper:
    """Measured in the frame of the hand's body [m]."""

    joints: tuple[str, ...] = ()
    closed: tuple[float, ...] = ()
    opened: tuple[float, ...] = ()
    actuators: tuple[str, ...] = ()
    closed_controls: tuple[float, ...] = ()
    open_controls: tuple[float, ...] = ()
    opening_m: float = 0.0
    pinch_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    pinch_quat: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    """z along the approach, y the closing direction."""
    tip_below_m: float = 0.0
    palm_above_m: float = 0.04
    pad_half_m: tuple[float, float] = (0.008, 0.01)
    finger_m: tuple[float, float] = (0.023, 0.014)
    palm_half_m: tuple[float, float] = (0.04, 0.08)


def measure_gripper(spec: Any, *, hand: str, joints: tuple[str, ...], reach: tuple[str, ...]) -> Gripper:
    """Try what each end of the finger actuators' ranges does, and look at the fingers' geometry. Finger joints that
    nothing drives get a servo. Without `joints` the tool is the tip of the hand itself.

    Raises `InputError` when the fingers do not open, or their pads do not face each other then.
    """
    from phone2sim.errors import InputError

    hand = "base" if hand == reach[0] else hand
    if not joints:
        return _tip_only(spec, hand)
    _drive(spec, joints)
    probe = _Probe(spec, hand, joints)
    names = [a.name for a in spec.actuators if _moves(a, spec, joints)]
    ranges = [probe.control_range(n) for n in names]
    tried = []
    for ends in product((0, 1), repeat=min(len(names), MOST_ACTUATORS)):
        controls = [ranges[i][ends[i] if i < len(ends) else 0] for i in range(len(names))]
        tried.append((*probe.settle(names, controls), tuple(controls)))
    opening, q_open, c_open = max(tried, key=lambda t: t[0])
    closed, q_closed, c_closed = min(tried, key=lambda t: t[0])
    # The end opposite in every control is the other end of the same motion, where it is as closed.
    opposite = tuple(r[1] if c == r[0] else r[0] for c, r in zip(c_open, ranges))
    for gap, q, c in tried:
        if c == opposite and gap < closed + 0.004:
            closed, q_closed, c_closed = gap, q, c
    if opening - closed < 0.01:
        raise InputError(
            f"The gripper on {hand!r} does not open: its fingers move {1000 * (opening - closed):.0f} mm between the ends "
            "of its actuators' ranges."
        )
    moving = [i for i in range(len(joints)) if abs(q_open[i] - q_closed[i]) > 1e-4]
    shape = probe.shape(q_open)
    if shape["opening_m"] < 0.01:
        raise InputError(
            f"The pads of the gripper on {hand!r} do not face each other when it is open: {1000 * shape['opening_m']:.0f} mm between them."
        )
    return Gripper(
        joints=tuple(joints[i] for i in moving), closed=tuple(float(q_closed[i]) for i in moving),
        opened=tuple(float(q_open[i]) for i in moving), actuators=tuple(names), closed_controls=c_closed,
        open_controls=c_open, **shape,
    )  # fmt: skip


def _moves(act: Any, spec: Any, joints: tuple[str, ...]) -> bool:
    """Whether an actuator drives a finger, directly or by a tendon: whatever is not one of the arm's servos."""
    return act.name != act.target or act.target in joints


def _drive(spec: Any, joints: tuple[str, ...]) -> None:
    import mujoco

    if any(_moves(a, spec, joints) for a in spec.actuators):
        return
    model = spec.compile()
    for name in joints:
        joint = spec.joint(name)
        slides = joint.type == mujoco.mjtJoint.mjJNT_SLIDE
        joint.armature = max(joint.armature, 0.2 if slides else 0.005)
        joint.damping[0] = max(joint.damping[0], 20.0 if slides else 0.1)
        act = spec.add_actuator(name=f"{name}_servo", target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        act.set_to_position(kp=2000.0 if slides else 20.0, kv=100.0 if slides else 0.5)
        force = 40.0 if slides else 3.0
        act.forcerange, act.forcelimited = [-force, force], 1
        act.ctrlrange, act.ctrllimited = model.joint(name).range, 1


class _Probe:
    """A model whose finger geoms are in one group and everything else solid in another, for looking with rays."""

    def __init__(self, spec: Any, hand: str, joints: tuple[str, ...]) -> None:
        import mujoco

        self._mj = mujoco
        copy = spec.copy()
        branches = [b for b in copy.body(hand).bodies if any(j.name in joints for c in (b, *b.find_all("body")) for j in c.joints)]
        self.branches = [{b.name, *(c.name for c in b.find_all("body"))} for b in branches]
        fingers = set().union(*self.branches)
        for g in copy.geoms:
            solid = g.contype or g.conaffinity
            g.group = (FINGER_GROUP if g.parent.name in fingers else HAND_GROUP) if solid else 0
        self.model = copy.compile()
        self.model.opt.gravity[:] = 0
        self.data = mujoco.MjData(self.model)
        self.hand = self.model.body(hand).id
        self.joints = np.array([self.model.joint(j).qposadr[0] for j in joints])

    def control_range(self, name: str) -> tuple[float, float]:
        a = self.model.actuator(name)
        if self.model.actuator_ctrllimited[a.id]:
            return float(a.ctrlrange[0]), float(a.ctrlrange[1])
        joint = self.model.actuator_trnid[a.id, 0]
        return tuple(float(x) for x in self.model.jnt_range[joint])  # type: ignore[return-value]

    def settle(self, names: list[str], controls: list[float]) -> tuple[float, np.ndarray]:
        """(how far the fingers are apart [m], their joints) once the actuators have done what they can."""
        m, d = self.model, self.data
        self._mj.mj_resetData(m, d)
        for i in range(m.nu):
            joint = m.actuator_trnid[i, 0]
            if m.actuator_trntype[i] == self._mj.mjtTrn.mjTRN_JOINT and m.jnt_limited[joint]:
                middle = float(np.clip(0.0, *m.jnt_range[joint]))
                d.qpos[m.jnt_qposadr[joint]] = d.ctrl[i] = middle
        for name, c in zip(names, controls):
            d.ctrl[m.actuator(name).id] = c
        self._mj.mj_step(m, d, round(SETTLE_S / m.opt.timestep))
        return self._apart(), d.qpos[self.joints].copy()

    def _apart(self) -> float:
        """Between the middles of the two outermost fingers; from the hand, for a single finger [m]."""
        middles = [np.concatenate([self._points(g) for g in self._geoms(b)]).mean(axis=0) for b in self.branches]
        if len(middles) == 1:
            middles.append(self.data.xpos[self.hand])
        return max(float(np.linalg.norm(a - b)) for i, a in enumerate(middles) for b in middles[i + 1 :])

    def _geoms(self, bodies: set[str]) -> list[int]:
        return [
            g for g in range(self.model.ngeom)
            if self.model.geom_group[g] == FINGER_GROUP and self.model.body(self.model.geom_bodyid[g]).name in bodies
        ]  # fmt: skip

    def shape(self, q_open: np.ndarray) -> dict[str, Any]:
        """Pinch frame and sizes with the fingers open, in the hand's frame."""
        m, d = self.model, self.data
        d.qpos[self.joints] = q_open
        self._mj.mj_forward(m, d)
        R, t = d.xmat[self.hand].reshape(3, 3), d.xpos[self.hand]
        clouds = [np.concatenate([self._points(g) for g in self._geoms(b)]) for b in self.branches]
        clouds = [(c - t) @ R for c in clouds]
        middles = [c.mean(axis=0) for c in clouds]
        close = _axis(middles[0] - middles[1] if len(middles) > 1 else middles[0])
        reach = np.concatenate(clouds).mean(axis=0)
        reach = _axis(reach - close * (reach @ close))
        across = np.cross(close, reach)
        frame = np.stack([across, close, reach], axis=1)  # x, y (closing), z (approach) in the hand's frame
        local = [c @ frame for c in clouds]
        everything = np.concatenate(local)
        tip = float(everything[:, 2].max())
        near = everything[everything[:, 2] > tip - 0.03]
        v0 = float(np.median(everything[everything[:, 2] > tip - 0.02][:, 0]))
        best = (0.0, 0.0, 0.0)
        for down in (PAD_M, 0.008, 0.016, 0.022):
            for v in (v0, 0.0, v0 + 0.004, v0 - 0.004):
                middle = np.array([v, 0.5 * (local[0].mean(axis=0)[1] + local[-1].mean(axis=0)[1]), tip - down])
                p = t + R @ (frame @ middle)
                y = R @ frame[:, 1]
                a, b = self._ray(p, y, FINGER_GROUP), self._ray(p, -y, FINGER_GROUP)
                if a > 0 and b > 0 and not best[0]:
                    best = (a + b, middle[1] + 0.5 * (a - b), down)
                    v0 = v
            if best[0]:
                break
        if not best[0]:
            from phone2sim.errors import InputError

            raise InputError("The gripper's fingers do not face each other; only parallel grippers are understood.")
        opening, u0, down = best
        pinch = np.array([v0, u0, tip - down])
        p = t + R @ (frame @ pinch)
        palm = self._ray(p, -(R @ frame[:, 2]), HAND_GROUP)
        palm = palm if palm > 0 else tip
        pad = self._pad_width(p, R @ frame[:, 0], R @ frame[:, 1], opening)
        depth = float(np.abs(near[:, 1] - u0).max()) - opening / 2
        hand = [(self._points(g) - t) @ R @ frame for g in range(m.ngeom) if m.geom_group[g] == HAND_GROUP and self._last(g)]
        box = np.concatenate(hand) if hand else everything
        return {
            "opening_m": round(opening, 5), "pinch_m": tuple(float(x) for x in frame @ pinch),
            "pinch_quat": tuple(float(x) for x in matrix_to_quat(frame)), "tip_below_m": round(down, 5),
            "palm_above_m": round(float(np.clip(palm, 0.01, 0.2)), 5), "pad_half_m": (pad, min(0.012, down)),
            "finger_m": (round(float(np.clip(depth + 0.008, 0.012, 0.06)), 5),
                         round(float(np.clip(np.abs(near[:, 0] - v0).max() + 0.004, 0.008, 0.04)), 5)),
            "palm_half_m": (round(float(np.clip(np.abs(box[:, 0] - v0).max() + 0.005, 0.02, 0.12)), 5),
                            round(float(np.clip(np.abs(box[:, 1] - u0).max() + 0.005, 0.03, 0.15)), 5)),
        }  # fmt: skip

    def _pad_width(self, p: np.ndarray, x: np.ndarray, y: np.ndarray, opening: float) -> float:
        """Half width over which the fingers stay as near to each other as in the middle."""
        half = 0.003
        for v in np.arange(0.003, 0.015, 0.001):
            for s in (-1, 1):
                a, b = self._ray(p + s * v * x, y, FINGER_GROUP), self._ray(p + s * v * x, -y, FINGER_GROUP)
                if a <= 0 or b <= 0 or a + b > opening + 0.002:
                    return round(float(half), 5)
            half = v
        return round(float(half), 5)

    def _ray(self, p: np.ndarray, direction: np.ndarray, group: int) -> float:
        groups = np.zeros(6, np.uint8)
        groups[group] = 1
        hit = np.zeros(1, np.int32)
        return float(self._mj.mj_ray(self.model, self.data, p, direction, groups, 1, -1, hit))

    def _last(self, geom: int) -> bool:
        """Whether a geom is fixed to the hand."""
        m = self.model
        return bool(m.body_weldid[m.geom_bodyid[geom]] == m.body_weldid[self.hand])

    def _points(self, geom: int) -> np.ndarray:
        """Vertices of a mesh, corners of the box of anything else, world frame."""
        m, d = self.model, self.data
        R, t = d.geom_xmat[geom].reshape(3, 3), d.geom_xpos[geom]
        if m.geom_type[geom] == self._mj.mjtGeom.mjGEOM_MESH:
            i = m.geom_dataid[geom]
            local = m.mesh_vert[m.mesh_vertadr[i] : m.mesh_vertadr[i] + m.mesh_vertnum[i]]
        else:
            center, half = m.geom_aabb[geom, :3], m.geom_aabb[geom, 3:]
            local = center + half * np.array(list(product((-1, 1), repeat=3)))
        return local @ R.T + t


def _axis(v: np.ndarray) -> np.ndarray:
    """Unit vector; along a frame axis where it nearly is."""
    v = v / np.linalg.norm(v)
    k = int(np.argmax(np.abs(v)))
    return np.eye(3)[k] * np.sign(v[k]) if abs(v[k]) > 0.97 else v


def _tip_only(spec: Any, hand: str) -> Gripper:
    """The tool of a bare arm: the farthest point of its last body along that body's z axis."""
    import mujoco

    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    b = model.body(hand).id
    R, t = data.xmat[b].reshape(3, 3), data.xpos[b]
    far = 0.0
    for g in range(model.ngeom):
        if model.body_weldid[model.geom_bodyid[g]] == model.body_weldid[b]:
            center = R.T @ (data.geom_xpos[g] - t)
            far = max(far, float(center[2] + model.geom_rbound[g]))
    return Gripper(pinch_m=(0.0, 0.0, far), tip_below_m=0.0, opening_m=0.0)
