"""The sections of a recipe: what may vary, in which units and limits. Defaults are neutral: the scene as captured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import core_schema

from phone2sim.augment.textures import KINDS
from phone2sim.augment.variation import Choice, Constant, Integers, Mixture, Variation, as_variation
from phone2sim.config import Config

AXES = ("lighting", "clutter", "camera", "objects", "robot_start", "physics", "sensor", "surfaces", "task")


@dataclass(frozen=True)
class Drawn:
    """Marks a parameter as a `Variation` whose draws must stay inside [low, high]."""

    low: float = -math.inf
    high: float = math.inf
    number: bool = True
    whole: bool = False
    """Whole numbers only."""
    names: tuple[str, ...] = ()
    """Texts that mean something; none for any text. `.ending` stands for a file's path."""

    def check(self, data: Any) -> Variation:
        v = as_variation(data)
        a, b = v.support
        for part in parts_of(v):
            if self.whole and not _is_whole(part):
                raise ValueError(f"{part} is not a whole number; draw with integers: [low, high]")
            for text in part.options if isinstance(part, Choice) else (part.value,) if isinstance(part, Constant) else (part,):
                if self.names and not (isinstance(text, str) and any(_means(text, n) for n in self.names)):
                    raise ValueError(f"{text} is none of {', '.join(n if n[0] != '.' else f'a {n} file' for n in self.names)}")
        if self.number and math.isnan(a):
            raise ValueError(f"{v} is not a number")
        if self.number and not (a >= self.low and b <= self.high):
            raise ValueError(f"{v} can leave the range {self.low:g} to {self.high:g}")
        return v

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        out = core_schema.plain_serializer_function_ser_schema(lambda v: v.to_yaml())
        return core_schema.no_info_plain_validator_function(self.check, serialization=out)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        ends = [x if math.isfinite(x) else None for x in (self.low, self.high)]
        return {"x-variation": True, **({"x-range": ends} if self.number else {})}


def parts_of(v: Variation) -> list[Variation]:
    """A mixture's parts, all the way down; anything else is its own."""
    return [p for part in v.parts for p in parts_of(part)] if isinstance(v, Mixture) else [v]


def _is_whole(v: Variation) -> bool:
    values = v.options if isinstance(v, Choice) else (v.value,) if isinstance(v, Constant) else ()
    return isinstance(v, Integers) or (bool(values) and all(isinstance(x, (int, float)) and float(x).is_integer() for x in values))


def _means(text: str, name: str) -> bool:
    return text.lower().endswith(name) if name.startswith(".") else text == name


Number = Annotated[Variation, Drawn()]
Factor = Annotated[Variation, Drawn(0.01, 100)]
Share = Annotated[Variation, Drawn(0, 1)]
Count = Annotated[Variation, Drawn(0, 50, whole=True)]
Text = Annotated[Variation, Drawn(number=False)]
Texture = Annotated[Variation, Drawn(number=False, names=("own", "any", *KINDS))]
Environment = Annotated[Variation, Drawn(number=False, names=("captured", "generated", ".hdr", ".exr", ".jpg", ".jpeg", ".png"))]
CameraName = Annotated[str, Field(pattern="^[A-Za-z0-9_]+$")]


def _c(value: Any) -> Any:
    return Constant(value)


def _read_on(text: Any) -> Any:
    """YAML 1.1 reads the word `on` as true."""
    return "on" if text is True else text


class LightingRecipe(Config):
    """The key lamp, the ambient light and their colour; the background is relit by the same change."""

    key_azimuth_deg: Number = _c(0.0)
    """Turn of the key light about the vertical."""
    key_elevation_deg: Number = _c(0.0)
    """Raise (positive) or lower the key light; it stays 15 to 90 degrees above the horizon."""
    key_gain: Factor = _c(1.0)
    """Factor on the key light's strength."""
    ambient_gain: Factor = _c(1.0)
    """Factor on the ambient light."""
    softness_gain: Factor = _c(1.0)
    """Factor on the width of the key light, so of the soft edges of shadows."""
    temperature_mired: Annotated[Variation, Drawn(-150, 150)] = _c(0.0)
    """Shift of the light's colour temperature; positive is warmer, 10 is just visible."""
    environment: Environment = _c("captured")
    """Where light comes from: `captured`, `generated` (a made-up room), or a picture all around (.hdr, .exr, .jpg, .png; twice as
    wide as high). Strength stays the captured one, the gains above apply on top."""
    environment_turn_deg: Number = _c(0.0)
    """Turn of that picture about the vertical."""


class ClutterRecipe(Config):
    """Objects that are not the task's. Assets of the scene first, then copies of them."""

    count: Count = _c(0)
    """How many; in `captured` placement a count above the scene's other objects means all of them."""
    placement: Literal["random", "captured"] = "random"
    """`captured` leaves the other objects where the phone saw them, unless the task's object is there now."""
    clearance_m: Annotated[Variation, Drawn(0, 0.5)] = _c(0.02)
    """Least gap between footprints."""
    sources: tuple[str, ...] = Field(default=("scene",), min_length=1)
    """Where objects come from: `scene` (this one), `shapes` (made up), `scene:PATH` (another scene's assets), `folder:PATH`
    (its GLB and OBJ files, in metres, y up and z up). Relative paths start where the command is run."""
    distance_m: Annotated[Variation, Drawn(0, 0.5)] = _c(0.0)
    """Least gap to the task's objects and goals, where more than the clearance."""
    within_m: Annotated[Variation, Drawn(0.1, 2)] = _c(2.0)
    """Farthest from the task's object: with `count`, how dense it is."""


class ObjectsRecipe(Config):
    """Where the task's object stands, and how all objects look."""

    placement: Literal["random", "captured"] = "captured"
    """`random`: anywhere free on the support in reach."""
    yaw_deg: Number = _c(0.0)
    """Turn about the vertical from the captured orientation, for `random` placement (clutter too)."""
    clearance_m: Annotated[Variation, Drawn(0, 0.5)] = _c(0.035)
    """Room kept around the task's object and its goal, for the fingers."""
    albedo_gain: Factor = _c(1.0)
    """Factor on each colour channel of each object's albedo, drawn per channel and object."""
    scale: Annotated[Variation, Drawn(0.5, 2)] = _c(1.0)
    """Factor on the size, drawn per asset; mass follows the volume."""
    texture: Texture = _c("own")
    """`own`, or a drawn picture instead: `plain`, `checker`, `stripes`, `speckle`, `grain`, or `any` of these."""
    gloss: Annotated[Variation, Drawn(0, 1)] = _c(0.0)
    """Strength of highlights: 0 matte as reconstructed, 0.3 satin plastic, 0.8 glazed."""
    sources: tuple[str, ...] = Field(default=("scene",), min_length=1)
    """What the task may be about, as `clutter.sources`; another object then takes the place of a captured one."""


class CameraRecipe(Config):
    """Static cameras, always inside the region where the capture supports new views."""

    names: tuple[CameraName, ...] = Field(default=("front", "side"), min_length=1, max_length=16)
    """`front` looks towards the robot, `side` across, further ones spread around. Each names a video."""
    width: int = Field(default=256, ge=16, le=4096, multiple_of=2)
    """[px], even: videos ask for it."""
    height: int = Field(default=256, ge=16, le=4096, multiple_of=2)
    """[px], even."""
    radius: Share = _c(0.5)
    """Distance from the work space: 0 is the nearest supported, 1 the farthest."""
    elevation: Share = _c(0.5)
    """Height angle: 0 is the lowest supported, 1 the highest."""
    azimuth_deg: Number = _c(0.0)
    """Offset from the camera's nominal direction; mirrored back at the ends of the supported range."""
    roll_deg: Annotated[Variation, Drawn(-45, 45)] = _c(0.0)
    """Turn about the viewing axis."""
    look_at_jitter_m: Annotated[Variation, Drawn(-0.2, 0.2)] = _c(0.0)
    """Shift of the point looked at, per axis."""
    focal_gain: Annotated[Variation, Drawn(0.5, 2)] = _c(1.0)
    """Factor on the focal length that frames the work space."""
    principal_jitter_px: Annotated[Variation, Drawn(-32, 32)] = _c(0.0)
    """Shift of the principal point, per axis."""
    min_support: float = Field(default=0.5, ge=0, le=1)
    """Views that the capture supports less than this, 0-1, are drawn again; at last the nearest supported view is taken."""
    distortion: Annotated[Variation, Drawn(-0.2, 0.2)] = _c(0.0)
    """Radial distortion: how far corners are shifted outwards, as a share of their distance from the middle; negative is a
    barrel, as of wide lenses."""
    wrist: bool = False
    """One more camera, `wrist`, on the robot's hand."""
    wrist_shift_m: Annotated[Variation, Drawn(-0.03, 0.03)] = _c(0.0)
    """Shift of the wrist camera in its mount, per axis."""
    wrist_turn_deg: Annotated[Variation, Drawn(-10, 10)] = _c(0.0)
    """Turn of the wrist camera in its mount, about each axis."""

    @model_validator(mode="after")
    def _each_names_one_video(self) -> CameraRecipe:
        names = [*self.names, *(["wrist"] if self.wrist else [])]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"two cameras are named {', '.join(twice)}")
        return self


class RobotStartRecipe(Config):
    """How the arm is bolted and how it starts."""

    joint_noise_rad: Annotated[Variation, Drawn(-0.5, 0.5)] = _c(0.0)
    """Added to each joint of the home posture."""
    gripper: Share = _c(1.0)
    """Opening: 0 closed, 1 open."""
    base_shift_m: Annotated[Variation, Drawn(-0.1, 0.1)] = _c(0.0)
    """Shift of the base on the table, per axis."""
    base_yaw_deg: Annotated[Variation, Drawn(-30, 30)] = _c(0.0)
    """Turn of the base."""


class PhysicsRecipe(Config):
    """Mass, friction and bounce per object from the asset's intervals; the robot's servos."""

    mass: Literal["posterior", "value"] = "value"
    """`posterior` draws inside the asset's interval (triangular in the logarithm), `value` takes the best estimate."""
    mass_gain: Factor = _c(1.0)
    """Factor on top, to leave the interval on purpose."""
    friction: Literal["posterior", "value"] = "value"
    """As `mass`."""
    friction_gain: Factor = _c(1.0)
    """Factor on top."""
    restitution: Literal["posterior", "value", "none"] = "none"
    """As `mass`; `none` leaves contacts without bounce."""
    servo_gain: Annotated[Variation, Drawn(0.3, 3)] = _c(1.0)
    """Factor on the stiffness of the arm's position servos."""
    servo_damping: Annotated[Variation, Drawn(0.3, 3)] = _c(1.0)
    """Factor on their damping."""
    latency_s: Annotated[Variation, Drawn(0, 0.045)] = _c(0.0)
    """Delay between a command and its start; below one frame."""


class SensorRecipe(Config):
    """One camera model over the whole picture."""

    exposure: Factor = _c(1.0)
    """Factor on linear light."""
    white_balance: Factor = _c(1.0)
    """Factor on red and on blue, drawn each; green stays."""
    noise_std: Annotated[Variation, Drawn(0, 0.2)] = _c(0.0)
    """Additive noise on the 0–1 scale."""
    blur_px: Annotated[Variation, Drawn(0, 10)] = _c(0.0)
    """Standard deviation of the blur [px]."""
    shutter_s: Annotated[Variation, Drawn(0, 0.05)] = _c(0.0)
    """Exposure time: motion blur. With this or `readout_s` each picture is drawn several times."""
    readout_s: Annotated[Variation, Drawn(0, 0.05)] = _c(0.0)
    """Rolling shutter: time from the first row to the last."""
    jpeg_quality: Annotated[Variation, Drawn(0, 100)] = _c(0)
    """Of a camera that compresses; 0 for none."""
    depth_noise: Annotated[Variation, Drawn(0, 0.05)] = _c(0.0)
    """Standard deviation of recorded depth at 1 m [m], growing with its square as of stereo and structured light."""


class SurfacesRecipe(Config):
    """The table and the room around it."""

    table: Texture = _c("own")
    """Look of the table top: `own`, or drawn anew as `objects.texture`."""
    wall_gain: Factor = _c(1.0)
    """Factor per colour channel on everything captured beyond and below the table: paint."""
    height_m: Annotated[Variation, Drawn(-0.1, 0.1)] = _c(0.0)
    """Height of the table above the robot's base; below 0 the robot stands on a riser."""


class TaskRecipe(Config):
    """What is asked of the robot."""

    kind: str = "place"
    """`pick`, `place`, `push`, `stack`, `clear`, or the Python file of a task of your own."""
    expert: str = ""
    """Who solves it: `scripted`, `planner`, or a file of demonstrations (.csv, .zarr); empty for the task's own choice."""
    target: Text = _c("any")
    """Name of an asset, or `any` that fits the gripper."""
    relation: Annotated[
        Literal["", "on", "in", "left of", "right of", "in front of", "behind", "next to"], BeforeValidator(_read_on)
    ] = ""
    """Where to put it with respect to `reference`, as the robot sees it; empty for a free place on the table."""
    reference: Text = _c("any")
    """Name of the other asset, or `any` that fits."""
    where: str = ""
    """Direction to a free place: `to the left`, `farther away`, …; empty for any."""
    count: int = Field(default=2, ge=1, le=6)
    """How many objects `stack` and `clear` are about, at most."""
    travel_m: Annotated[Variation, Drawn(0.02, 2)] = _c(0.15)
    """Least distance from where the object stands to its goal."""
    tolerance_m: float = Field(default=0.04, gt=0, le=1)
    """How near the goal counts as done."""
    phrasing: Literal["plain", "varied"] = "plain"
    """`plain` always words the task the same way, `varied` draws from its sentences."""
    templates: tuple[str, ...] = ()
    """Sentences of your own instead of the task's; `{target}`, `{reference}` and `{where}` are filled in."""
    duration_s: float = Field(default=10.0, ge=0.5, le=600)
    """Time for each goal."""
    fps: int = Field(default=20, ge=1, le=240)
    """Control and picture rate."""


class PairsRecipe(Config):
    """Further renderings of each kept trajectory, which differ in one axis each. Draws come from the axis' section."""

    views: int = Field(default=0, ge=0, le=32)
    """Other cameras, from `camera`."""
    lights: int = Field(default=0, ge=0, le=32)
    """Other light, from `lighting`."""
    clutter: int = Field(default=0, ge=0, le=32)
    """More objects, from `clutter`; only where neither the robot nor a moved object comes near."""
    sensor: int = Field(default=0, ge=0, le=32)
    """Another camera response, from `sensor`."""


class JointRecipe(Config):
    """Parameters drawn together, so that few episodes cover their ranges evenly. Named `section.parameter`."""

    sobol: tuple[str, ...] = ()
    """By a shifted Sobol sequence (Sobol 1967): any number of episodes is even, powers of two most."""
    latin: tuple[str, ...] = ()
    """By Latin hypercubes of `strata` episodes: each slice of each range comes once."""
    strata: int = Field(default=64, ge=2, le=4096)
