"""`Recipe`: which parts of a scene vary, and how, in Python or YAML.

Every parameter takes a constant or a `Variation`. The defaults here are neutral (the scene as captured); the shipped
recipes `default`, `wam`, `vla` and `none` are YAML files beside this module.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import core_schema

from phone2sim.augment.variation import VARIATION_JSON_SCHEMA, Constant, Variation, as_variation
from phone2sim.config import Config
from phone2sim.errors import RecipeError, did_you_mean


@dataclass(frozen=True)
class Drawn:
    """Marks a parameter as a `Variation` whose draws must stay inside [low, high]."""

    low: float = -math.inf
    high: float = math.inf
    number: bool = True

    def check(self, data: Any) -> Variation:
        v = as_variation(data)
        a, b = v.support
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


Number = Annotated[Variation, Drawn()]
Factor = Annotated[Variation, Drawn(0.01, 100)]
Share = Annotated[Variation, Drawn(0, 1)]
Count = Annotated[Variation, Drawn(0, 50)]
Text = Annotated[Variation, Drawn(number=False)]


def _c(value: Any) -> Any:
    return Constant(value)


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
    temperature_mired: Annotated[Variation, Drawn(-150, 150)] = _c(0.0)
    """Shift of the light's colour temperature; positive is warmer, 10 is just visible."""


class ClutterRecipe(Config):
    """Objects that are not the task's. Assets of the scene first, then copies of them."""

    count: Count = _c(0)
    """How many; in `captured` placement a count above the scene's other objects means all of them."""
    placement: Literal["random", "captured"] = "random"
    """`captured` leaves the other objects where the phone saw them, unless the task's object is there now."""
    clearance_m: Annotated[Variation, Drawn(0, 0.5)] = _c(0.02)
    """Least gap between footprints."""


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


class CameraRecipe(Config):
    """Static cameras, always inside the region where the capture supports new views."""

    names: tuple[str, ...] = ("front", "side")
    """`front` looks towards the robot, `side` across, further ones spread around."""
    width: int = 256
    """[px]"""
    height: int = 256
    """[px]"""
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
    """Mass and friction per object, from the asset's interval."""

    mass: Literal["posterior", "value"] = "value"
    """`posterior` draws inside the asset's interval (triangular in the logarithm), `value` takes the best estimate."""
    mass_gain: Factor = _c(1.0)
    """Factor on top, to leave the interval on purpose."""
    friction: Literal["posterior", "value"] = "value"
    """As `mass`."""
    friction_gain: Factor = _c(1.0)
    """Factor on top."""


class SensorRecipe(Config):
    """One camera model over the whole picture."""

    exposure: Factor = _c(1.0)
    """Factor on linear light."""
    white_balance: Factor = _c(1.0)
    """Factor per channel, normalised to keep green."""
    noise_std: Annotated[Variation, Drawn(0, 0.2)] = _c(0.0)
    """Additive noise on the 0–1 scale."""
    blur_px: Annotated[Variation, Drawn(0, 10)] = _c(0.0)
    """Standard deviation of the blur [px]."""


class TaskRecipe(Config):
    """What is asked of the robot."""

    kind: str = "place"
    """`pick`, `place`, `push`, `stack`, `clear`, or a task of your own."""
    target: Text = _c("any")
    """Name of an asset, or `any` that fits the gripper."""
    relation: Literal["", "on", "in", "left of", "right of", "in front of", "behind", "next to"] = ""
    """Where to put it with respect to `reference`, as the robot sees it; empty for a free place on the table."""
    reference: Text = _c("any")
    """Name of the other asset, or `any` that fits."""
    where: str = ""
    """Direction to a free place: `to the left`, `farther away`, …; empty for any."""
    count: int = Field(default=2, ge=1, le=6)
    """How many objects `stack` and `clear` are about, at most."""
    travel_m: Annotated[Variation, Drawn(0.02, 2)] = _c(0.15)
    """Least distance from where the object stands to its goal."""
    tolerance_m: float = 0.04
    """How near the goal counts as done."""
    phrasing: Literal["plain", "varied"] = "plain"
    """`plain` always words the task the same way, `varied` draws from its sentences."""
    templates: tuple[str, ...] = ()
    """Sentences of your own instead of the task's; `{target}`, `{reference}` and `{where}` are filled in."""
    duration_s: float = 10.0
    """Time for each goal."""
    fps: int = 20
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


class Recipe(Config):
    """Named distributions over a scene. Sections left out are neutral."""

    name: str = "custom"
    """Written into each episode's spec."""
    description: str = ""
    """For people."""
    lighting: LightingRecipe = LightingRecipe()
    """Light."""
    clutter: ClutterRecipe = ClutterRecipe()
    """Other objects."""
    camera: CameraRecipe = CameraRecipe()
    """View points and lenses."""
    objects: ObjectsRecipe = ObjectsRecipe()
    """The task's object."""
    robot_start: RobotStartRecipe = RobotStartRecipe()
    """The arm."""
    physics: PhysicsRecipe = PhysicsRecipe()
    """Mass and friction."""
    sensor: SensorRecipe = SensorRecipe()
    """Picture noise."""
    task: TaskRecipe = TaskRecipe()
    """The task."""
    pairs: PairsRecipe = PairsRecipe()
    """Renderings of the same trajectory."""

    def without(self, *axes: str) -> Recipe:
        """The recipe with these sections neutral, as in an ablation."""
        for axis in axes:
            if axis not in AXES:
                raise RecipeError(f"No axis {axis!r};", hint=did_you_mean(axis, AXES))
        return self.model_copy(update={a: type(getattr(self, a))() for a in axes})

    def to_yaml(self) -> str:
        """The whole recipe as YAML that `load_recipe` reads back to an equal one."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


AXES = ("lighting", "clutter", "camera", "objects", "robot_start", "physics", "sensor", "task")
SECTIONS = (*AXES, "pairs")


def recipe_names() -> list[str]:
    """The shipped recipes."""
    folder = resources.files("phone2sim.augment") / "recipes"
    return sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml"))


def load_recipe(name_or_path: str | Path) -> Recipe:
    """A shipped recipe by name, or a YAML file. `extends: NAME` starts from another one; a section set to `false`
    becomes neutral again.

    Raises `RecipeError` naming the file, the line, the key and the valid keys.
    """
    return _load(str(name_or_path), ())


def _load(name: str, chain: tuple[str, ...]) -> Recipe:
    path = Path(name)
    if name in recipe_names():
        text, label = (resources.files("phone2sim.augment") / "recipes" / f"{name}.yaml").read_text(), f"recipe {name}"
    elif path.suffix in (".yaml", ".yml") or path.exists():
        try:
            text, label = path.read_text(), str(path)
        except (OSError, UnicodeDecodeError):
            raise RecipeError(f"{path} does not exist or is not a text file.") from None
    else:
        raise RecipeError(
            f"No recipe {name!r};", hint=did_you_mean(name, recipe_names()) + " A path must end in .yaml."
        )
    if name in chain:
        raise RecipeError(f"{label}: extends itself through {' → '.join([*chain, name])}.")
    return _parse(text, label=label, stem=path.stem, folder=path.parent, chain=(*chain, name))


def parse_recipe(text: str, *, label: str = "recipe") -> Recipe:
    """A recipe from YAML text; `label` names it in errors."""
    return _parse(text, label=label, stem="custom", folder=Path("."), chain=())


def _parse(text: str, *, label: str, stem: str, folder: Path, chain: tuple[str, ...]) -> Recipe:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text) or {}
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise RecipeError(f"{label}{line}: not valid YAML: {getattr(e, 'problem', e)}.") from None
    lines: dict[tuple[Any, ...], int] = {}
    _lines(node, (), lines)
    if not isinstance(data, dict):
        raise RecipeError(f"{label}: expected sections such as 'lighting:', got {type(data).__name__}.")
    parent: dict[str, Any] = {}
    if "extends" in data:
        base = str(data.pop("extends"))
        beside = folder / base
        parent = _load(str(beside) if base.endswith((".yaml", ".yml")) else base, chain).model_dump(mode="json")
        parent.pop("name"), parent.pop("description")
    merged: dict[str, Any] = {"name": stem, **parent}
    for key, value in data.items():
        if key in SECTIONS and value in (False, None):
            merged[key] = {}
        elif key in SECTIONS and isinstance(value, dict):
            merged[key] = {**parent.get(key, {}), **value}
        else:
            merged[key] = value
    try:
        return Recipe.model_validate(merged)
    except RecipeError as e:  # raised by a Variation; pydantic lets it through
        raise RecipeError(f"{label}{_blame(data, lines)}: {e.message}", hint=e.hint) from None
    except ValidationError as e:
        raise _explain(e, label, lines) from None


def _explain(e: ValidationError, label: str, lines: dict[tuple[Any, ...], int]) -> RecipeError:
    error = e.errors()[0]
    loc = tuple(error["loc"])
    known = next((lines[loc[:n]] for n in range(len(loc), 0, -1) if loc[:n] in lines), None)
    where = f"{label}:{known}" if known else label
    key = ".".join(str(p) for p in loc)
    if error["type"] == "extra_forbidden":
        model: type[BaseModel] = Recipe
        for part in loc[:-1]:
            model = type(model.model_fields[str(part)].default)
        return RecipeError(f"{where}: unknown key {key!r};", hint=did_you_mean(str(loc[-1]), model.model_fields))
    return RecipeError(f"{where}: {key}: {error['msg'].removeprefix('Value error, ')}.")


def _blame(data: dict[str, Any], lines: dict[tuple[Any, ...], int]) -> str:
    """`:7: camera.radius` for the first parameter that is not a variation."""
    for section, values in data.items():
        for key, value in values.items() if isinstance(values, dict) else ():
            if isinstance(value, (dict, list)):
                try:
                    as_variation(value)
                except RecipeError:
                    return f":{lines.get((section, key), '?')}: {section}.{key}"
    return ""


def _lines(node: Any, path: tuple[Any, ...], into: dict[tuple[Any, ...], int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for k, v in node.value:
            into[(*path, k.value)] = k.start_mark.line + 1
            _lines(v, (*path, k.value), into)


def recipe_schema() -> dict[str, Any]:
    """JSON schema of a recipe file, for editors."""
    schema = Recipe.model_json_schema()
    schema["properties"]["extends"] = {"type": "string", "description": "name or path of the recipe to start from"}
    for axis in SECTIONS:
        schema["properties"][axis] = {"anyOf": [{"$ref": schema["properties"][axis]["$ref"]}, {"const": False}]}
    _refer(schema)
    schema["$defs"]["Variation"] = VARIATION_JSON_SCHEMA
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema


def _refer(node: Any) -> None:
    if isinstance(node, dict):
        if node.pop("x-variation", False):
            node["$ref"] = "#/$defs/Variation"
            if isinstance(node.get("default"), dict):
                node["default"] = node["default"].get("value")
        for value in node.values():
            _refer(value)
