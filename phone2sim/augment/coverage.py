"""What was sampled, as numbers by axis: for plots of what a data set covers and of what was rejected."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from phone2sim.augment.spec import CameraSpec, EpisodeSpec, ObjectSpec, PoseSpec
from phone2sim.poses import quat_to_matrix

Pair = tuple[str, float]


def parameters(spec: EpisodeSpec) -> dict[str, float]:
    """`axis: what [unit]` → the spec's value. Every parameter of a recipe moves one of them; the task's object stands for all."""
    target = next(o for o in spec.objects if o.name == spec.task.target)
    rows: dict[str, Iterator[Pair]] = {
        "lighting": _lighting(spec), "clutter": _clutter(spec, target), "objects": _objects(target), "physics": _physics(spec, target),
        "robot_start": _robot_start(spec), "sensor": _sensor(spec), "surfaces": _surfaces(spec), "task": _task(spec, target),
        "camera": _cameras(spec),
    }  # fmt: skip
    return {f"{axis}: {name}": round(float(v), 6) for axis, pairs in rows.items() for name, v in pairs}


def _lighting(spec: EpisodeSpec) -> Iterator[Pair]:
    light = spec.lights
    ambient = np.mean(light.ambient_sh, axis=1)  # bands: 0, then y, z, x
    yield "lamp azimuth [°]", np.degrees(np.arctan2(-light.direction[1], -light.direction[0]))
    yield "lamp elevation [°]", np.degrees(np.arcsin(np.clip(-light.direction[2], -1, 1)))
    yield "lamp", float(np.mean(light.key_rgb))
    yield "lamp width [°]", 2 * np.degrees(np.arctan(light.softness))
    yield "ambient", ambient[0]
    yield "ambient from [°]", np.degrees(np.arctan2(ambient[1], ambient[3]))
    yield "background ×", float(np.mean(light.relight_rgb))
    yield "red to blue", _red_to_blue(light.relight_rgb)
    yield "from an environment", bool(light.environment)


def _clutter(spec: EpisodeSpec, target: ObjectSpec) -> Iterator[Pair]:
    others = np.array([o.pose.translation[:2] for o in spec.objects if o.role == "clutter"]).reshape(-1, 2)
    away = np.linalg.norm(others - target.pose.translation[:2], axis=1)
    yield "objects", len(others)
    if len(others):
        yield "nearest to the task's [m]", away.min()
        yield "farthest from it [m]", away.max()
    if len(others) > 1:
        between = np.linalg.norm(others[:, None] - others, axis=2)[np.triu_indices(len(others), 1)]
        yield "nearest to each other [m]", between.min()


def _objects(target: ObjectSpec) -> Iterator[Pair]:
    yield "target x [m]", target.pose.translation[0]
    yield "target y [m]", target.pose.translation[1]
    yield "target turned [°]", _turn(target.pose)
    yield "target size ×", _size(target)
    yield "target colour ×", target.rgb_gain[0]
    yield "target gloss", target.gloss
    yield "target painted anew", target.texture is not None


def _physics(spec: EpisodeSpec, target: ObjectSpec) -> Iterator[Pair]:
    yield "target mass [g]", 1000 * target.mass_kg
    yield "target friction", target.friction
    yield "target bounce", target.restitution or 0.0
    yield "servo stiffness ×", spec.robot.gain
    yield "servo damping ×", spec.robot.damping
    yield "latency [ms]", 1000 * spec.robot.latency_s


def _robot_start(spec: EpisodeSpec) -> Iterator[Pair]:
    robot = spec.robot
    yield "first joint [rad]", robot.qpos[0] if robot.qpos else 0.0
    yield "gripper", robot.gripper
    yield "base x [m]", robot.base.translation[0]
    yield "base y [m]", robot.base.translation[1]
    yield "base turned [°]", _turn(robot.base)


def _sensor(spec: EpisodeSpec) -> Iterator[Pair]:
    s = spec.sensor
    yield "exposure ×", s.exposure
    yield "red to blue", _red_to_blue(s.white_balance_rgb)
    yield "noise", s.noise_std
    yield "blur [px]", s.blur_px
    yield "shutter [ms]", 1000 * s.shutter_s
    yield "read-out [ms]", 1000 * s.readout_s
    yield "JPEG quality", s.jpeg_quality
    yield "depth noise at 1 m [mm]", 1000 * s.depth_noise


def _surfaces(spec: EpisodeSpec) -> Iterator[Pair]:
    yield "table painted anew", spec.surfaces.table is not None
    yield "walls ×", spec.surfaces.wall_rgb_gain[0]
    yield "table height [cm]", 100 * spec.surfaces.height_m


def _task(spec: EpisodeSpec, target: ObjectSpec) -> Iterator[Pair]:
    yield "goals", len(spec.task.goals)
    if spec.task.goals:
        yield "way to the goal [m]", float(np.linalg.norm(np.subtract(spec.task.goal_xy, target.pose.translation[:2])))


def _cameras(spec: EpisodeSpec) -> Iterator[Pair]:
    for c in spec.cameras:
        yield from ((f"{c.name} {name}", v) for name, v in (_mounted(c) if c.mount else _static(c)))


def _static(c: CameraSpec) -> Iterator[Pair]:
    R = quat_to_matrix(np.array(c.pose.quat_wxyz))
    x, y, z = c.pose.translation
    yield "x [m]", x
    yield "y [m]", y
    yield "height [m]", z
    yield "looks towards [°]", np.degrees(np.arctan2(R[1, 2], R[0, 2]))
    yield "looks down [°]", np.degrees(np.arcsin(np.clip(-R[2, 2], -1, 1)))
    yield "rolled [°]", np.degrees(np.arcsin(np.clip(R[2, 0], -1, 1)))
    yield "focal [px]", c.K[0][0]
    yield "centre x [px]", c.K[0][2]
    yield "distortion k1", c.distortion[0] if c.distortion else 0.0


def _mounted(c: CameraSpec) -> Iterator[Pair]:
    x, y, z = c.pose.translation
    yield "x in its mount [m]", x
    yield "y in its mount [m]", y
    yield "z in its mount [m]", z
    yield "turned in its mount [°]", np.degrees(2 * np.arccos(np.clip(abs(c.pose.quat_wxyz[0]), 0, 1)))


def _turn(pose: PoseSpec) -> float:
    """About the vertical [°]."""
    R = quat_to_matrix(np.array(pose.quat_wxyz))
    return float(np.degrees(np.arctan2(R[1, 0], R[0, 0])))


def _size(o: ObjectSpec) -> float:
    """Factor on its asset's size, as its name says."""
    _, _, factor = o.asset.partition("@")
    return float(factor) if factor else 1.0


def _red_to_blue(rgb: tuple[float, float, float]) -> float:
    return rgb[0] / max(rgb[2], 1e-6)
