"""`EpisodeSpec`: everything one episode needs, as plain data. Simulators only carry it out.

A spec with its scene folder fixes the episode to the byte: nothing else is drawn later.
"""

from __future__ import annotations

from typing import Literal

from phone2sim.config import Config


class PoseSpec(Config):
    """T_world_x: metres, unit quaternion wxyz."""

    translation: tuple[float, float, float]
    quat_wxyz: tuple[float, float, float, float]


class ObjectSpec(Config):
    """One placed copy of a scene asset."""

    name: str
    """Unique in the episode (an asset placed twice is `mug`, `mug_2`)."""
    asset: str
    """Name of the asset in the scene."""
    role: Literal["target", "goal", "clutter"]
    pose: PoseSpec
    mass_kg: float
    friction: float
    rgb_gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Factor on the albedo, linear RGB."""


class LightSpec(Config):
    """Lights of the episode, same meaning as `assets.scene.Light`; `relight_rgb` multiplies the background picture."""

    direction: tuple[float, float, float]
    key_rgb: tuple[float, float, float]
    ambient_sh: tuple[tuple[float, float, float], ...]
    """9 rows of RGB."""
    relight_rgb: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shadow: float = 0.6
    """Share of the background's light that the key gives: how dark a cast shadow is, 0–1."""


class CameraSpec(Config):
    """A static pinhole camera of the episode (OpenCV axes)."""

    name: str
    pose: PoseSpec
    """T_world_camera."""
    K: tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
    width: int
    height: int
    support: float | None = None
    """How well the capture supports this view, 0–1; None where the scene has no validity map."""
    redrawn: int = 0
    """Draws that were thrown away because the capture does not support them."""


class SensorSpec(Config):
    """One sensor model over foreground and background."""

    exposure: float = 1.0
    white_balance_rgb: tuple[float, float, float] = (1.0, 1.0, 1.0)
    noise_std: float = 0.0
    """Standard deviation of additive noise, 0–1 scale."""
    blur_px: float = 0.0


class RobotSpec(Config):
    """Which robot, where it is bolted, how it starts."""

    model: str = "p2s_arm"
    base: PoseSpec
    qpos: tuple[float, ...]
    """Arm joints [rad]."""
    gripper: float = 1.0
    """Opening, 0 closed – 1 open."""


class TaskSpec(Config):
    """What to do, in data and in words."""

    kind: Literal["pick_place"] = "pick_place"
    target: str
    """Name of the object."""
    goal_xy: tuple[float, float]
    """Where its origin should end, world [m]."""
    tolerance_m: float = 0.04
    language: str = ""


class EpisodeSpec(Config):
    """One episode as pure data."""

    schema_version: int = 1
    index: int
    key: str
    """The `Key` it was drawn from, printed."""
    seed: int
    scene_fingerprint: str
    recipe: str
    support: str
    """Name of the support surface worked on."""
    objects: tuple[ObjectSpec, ...]
    lights: LightSpec
    cameras: tuple[CameraSpec, ...]
    sensor: SensorSpec = SensorSpec()
    robot: RobotSpec
    task: TaskSpec
    fps: int = 20
    duration_s: float = 10.0
    pair_id: str | None = None
    branch_id: str | None = None
