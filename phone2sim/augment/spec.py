"""`EpisodeSpec`: everything one episode needs, as plain data. Simulators only carry it out.

A spec with its scene folder fixes the episode to the byte: nothing else is drawn later.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from phone2sim.config import Config


class PoseSpec(Config):
    """T_world_x: metres, unit quaternion wxyz."""

    translation: tuple[float, float, float]
    quat_wxyz: tuple[float, float, float, float]


class TextureSpec(Config):
    """A picture drawn from numbers; `augment.textures.draw_texture` makes it."""

    kind: Literal["plain", "checker", "stripes", "speckle", "grain"]
    rgb: tuple[float, float, float]
    """Main colour, sRGB 0–1."""
    rgb_2: tuple[float, float, float]
    """The other colour."""
    repeats: float = 4.0
    """Features across the picture."""
    seed: int = 0


class ObjectSpec(Config):
    """One placed copy of a scene asset."""

    name: str
    """Unique in the episode (an asset placed twice is `mug`, `mug_2`)."""
    asset: str
    """Name of the asset in the scene or of the library (`shape:…`, `file:…`), `@1.1` behind it for a size factor:
    what `Scene.asset` takes."""
    role: Literal["target", "goal", "clutter"]
    pose: PoseSpec
    mass_kg: float
    friction: float
    rgb_gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Factor on the albedo, linear RGB."""
    restitution: float | None = None
    """Speed after a bounce by speed before; None leaves contacts as they are (no bounce)."""
    gloss: float = 0.0
    """Strength of the highlight: 0 matte, about 0.3 satin plastic."""
    texture: TextureSpec | None = None
    """Drawn instead of the asset's own texture."""
    physical: bool = True
    """False: only drawn, fixed at its pose. Added after the fact by a pair, and checked to touch nothing."""


class LightSpec(Config):
    """Lights of the episode, same meaning as `assets.scene.Light`; `relight_rgb` multiplies the background picture."""

    direction: tuple[float, float, float]
    key_rgb: tuple[float, float, float]
    ambient_sh: tuple[tuple[float, float, float], ...]
    """9 rows of RGB."""
    softness: float = 0.06
    relight_rgb: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shadow: float = 0.6
    """Share of the background's light that the key gives: how dark a cast shadow is, 0–1."""
    environment: str = ""
    """Where the light was taken from instead of the capture: `generated:…` or a file's name."""


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
    distortion: tuple[float, ...] = ()
    """k1 k2 p1 p2 (k3), OpenCV's model; empty for none."""
    mount: str = ""
    """Robot body that carries the camera; `pose` is then T_body_camera. Empty: fixed in the world."""


class SensorSpec(Config):
    """One sensor model over foreground and background."""

    exposure: float = 1.0
    white_balance_rgb: tuple[float, float, float] = (1.0, 1.0, 1.0)
    noise_std: float = 0.0
    """Standard deviation of additive noise, 0–1 scale."""
    blur_px: float = 0.0
    shutter_s: float = 0.0
    """Time one row is exposed: motion blur."""
    readout_s: float = 0.0
    """Time between the first row's exposure and the last one's: rolling shutter."""
    jpeg_quality: int = 0
    """JPEG quality 1–100 of the camera's stream; 0 for none."""
    depth_noise: float = 0.0
    """Standard deviation of recorded depth at 1 m [m], growing with the square of depth."""


class RobotSpec(Config):
    """Which robot, where it is bolted, how it starts."""

    model: str = "p2s_arm"
    base: PoseSpec
    qpos: tuple[float, ...]
    """Arm joints [rad]."""
    gripper: float = 1.0
    """Opening, 0 closed – 1 open."""
    gain: float = 1.0
    """Factor on the position servos' stiffness."""
    damping: float = 1.0
    """Factor on their damping."""
    latency_s: float = 0.0
    """Delay of each command, below one frame [s]."""


class SurfaceSpec(Config):
    """What the table and the room look like, and how high the table stands."""

    table: TextureSpec | None = None
    """Table top drawn anew; None leaves the captured one."""
    table_tile_m: float = 0.5
    """Size of one picture on the table."""
    wall_rgb_gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Factor on everything captured beyond and below the table, linear RGB."""
    height_m: float = 0.0
    """Height of the table above the robot's base; below 0 the robot stands on a riser."""


class GoalSpec(Config):
    """Where one object should end."""

    object: str
    """Name of the object."""
    xyz: tuple[float, float, float]
    """Of its origin, world [m]."""
    on: str | None = None
    """What it then stands on or in; when that moves, the goal moves with it."""
    tolerance_m: float = 0.04
    """Horizontally."""
    tolerance_z_m: float = 0.02
    drop: bool = False
    """Let go above the goal, as into a container."""


class TaskSpec(Config):
    """What to do, in data and in words. What it means is in `augment.tasks`."""

    kind: str = "place"
    """Name of a `Task`."""
    file: str = ""
    """Python file that registers it, for one that is not built in."""
    expert: str = "scripted"
    """Who solves it: the name of an expert, or a file of demonstrations."""
    target: str
    """Name of the object it is about."""
    goals: tuple[GoalSpec, ...]
    """In the order in which they are to be reached."""
    language: str = ""

    @property
    def goal_xy(self) -> tuple[float, float]:
        """Where the first object should end, world [m]. A task judged by itself alone has no such place: `IndexError`."""
        return self.goals[0].xyz[:2]

    @property
    def tolerance_m(self) -> float:
        """How near counts, of the first goal [m]."""
        return self.goals[0].tolerance_m


class EpisodeSpec(Config):
    """One episode as pure data."""

    schema_version: int = 2
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
    surfaces: SurfaceSpec = SurfaceSpec()
    robot: RobotSpec
    task: TaskSpec
    fps: int = Field(default=20, ge=1)
    duration_s: float = Field(default=10.0, gt=0)
    pair_id: str | None = None
    """Shared by all renderings of one trajectory."""
    variant: str = ""
    """Which rendering of the pair: axis and number, such as `views_1`; empty for the one that was simulated."""
    branch_id: str | None = None
    split: Literal["train", "ood"] = "train"
    """Which of the recipe's ranges it was drawn from."""
    asset_hashes: dict[str, str] = {}
    """Content of what is used of the scene, by asset name, `background` and `support`: `assets.fingerprint`."""

    @model_validator(mode="after")
    def _about_its_own_objects(self) -> EpisodeSpec:
        have = [o.name for o in self.objects]
        if missing := [n for n in (self.task.target, *(g.object for g in self.task.goals)) if n not in have]:
            raise ValueError(f"the task is about {missing[0]}, which is none of objects: {', '.join(have) or 'there are none'}")
        return self

    def physical(self) -> EpisodeSpec:
        """What the simulator sees: without the objects that are only drawn."""
        return self.model_copy(update={"objects": tuple(o for o in self.objects if o.physical)})
