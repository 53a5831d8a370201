"""`Recipe`: which parts of a scene vary, and how, in Python or YAML.

Every parameter takes a constant or a `Variation`. The defaults here are neutral (the scene as captured); the shipped
recipes `default`, `wam`, `vla`, `exam` and `none` are YAML files beside this module.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError

from phone2sim.augment.joint import check_joint
from phone2sim.augment.named import first_missing
from phone2sim.augment.sections import (
    AXES,
    CameraRecipe,
    ClutterRecipe,
    JointRecipe,
    LightingRecipe,
    ObjectsRecipe,
    PairsRecipe,
    PhysicsRecipe,
    RobotStartRecipe,
    SensorRecipe,
    SurfacesRecipe,
    TaskRecipe,
)
from phone2sim.augment.variation import VARIATION_JSON_SCHEMA, Variation, as_variation
from phone2sim.config import Config
from phone2sim.errors import RecipeError, did_you_mean


class Recipe(Config):
    """Named distributions over a scene. Sections left out are neutral."""

    name: str = "custom"
    """Written into each episode's spec."""
    description: str = ""
    """For people."""
    robot: str = "p2s_arm"
    """A built-in one, an MJCF or URDF file (`arm.xml`, `arm.xml+gripper.xml`), or a robot_descriptions name."""
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
    surfaces: SurfacesRecipe = SurfacesRecipe()
    """Table and room."""
    pairs: PairsRecipe = PairsRecipe()
    """Renderings of the same trajectory."""
    joint: JointRecipe = JointRecipe()
    """Parameters drawn together."""
    ood: dict[str, dict[str, Any]] = {}
    """Section → parameter → range out of distribution; the rest stays as above. What `split: ood` draws from."""
    split: Literal["train", "ood"] = Field(default="train", exclude=True)
    """Which of the two ranges this is; set by `for_split`."""

    def for_split(self, split: str) -> Recipe:
        """The recipe itself, or with its ranges out of distribution. Raises `RecipeError` when it names none."""
        if split == "train":
            return self
        if split != "ood":
            raise RecipeError(f"No split {split!r};", hint=did_you_mean(split, ("train", "ood")))
        if not self.ood:
            raise RecipeError(
                f"Recipe {self.name} has no ranges out of distribution.", hint="Add a section 'ood:', or use --recipe exam."
            )
        data = self.model_dump(mode="json")
        for section, values in self.ood.items():
            data[section] = {**data[section], **values}
        return Recipe.model_validate({**data, "split": "ood"})

    def without(self, *axes: str) -> Recipe:
        """The recipe with these sections neutral, as in an ablation."""
        for axis in axes:
            if axis not in AXES:
                raise RecipeError(f"No axis {axis!r};", hint=did_you_mean(axis, AXES))
        return self.model_copy(update={a: type(getattr(self, a))() for a in axes})

    def to_yaml(self) -> str:
        """The whole recipe as YAML that `load_recipe` reads back to an equal one."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


SECTIONS = (*AXES, "pairs", "joint")
INT_TAG = "tag:yaml.org,2002:int"
DIGITS = 300
"""Whole numbers of more are no floating-point numbers."""


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
            what = "is a folder" if path.is_dir() else "is not a text file" if path.exists() else "does not exist"
            raise RecipeError(
                f"Recipe {path} {what}.", hint="Give a .yaml file, or one of " + ", ".join(recipe_names()) + "."
            ) from None
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
    lines: dict[tuple[Any, ...], int] = {}
    try:
        data = yaml.safe_load(text) or {}
        _lines(yaml.compose(text, Loader=yaml.SafeLoader), (), lines, label)
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise RecipeError(f"{label}{line}: not valid YAML: {getattr(e, 'problem', e)}.") from None
    except RecursionError:
        raise RecipeError(f"{label}: not valid YAML: nested too deeply, or inside of itself.") from None
    if not isinstance(data, dict):
        raise RecipeError(f"{label}: expected sections such as 'lighting:', got {type(data).__name__}.")
    parent: dict[str, Any] = {}
    if "extends" in data:
        base, at = data.pop("extends"), f"{label}:{lines[('extends',)]}: extends"
        if not isinstance(base, str):
            raise RecipeError(f"{at}: expected the name or file of a recipe, got {base!r}.")
        beside = folder / base
        try:
            parent = _load(str(beside) if base.endswith((".yaml", ".yml")) else base, chain).model_dump(mode="json")
        except RecipeError as e:
            raise RecipeError(f"{at}: {e.message}", hint=e.hint) from None
        parent.pop("name"), parent.pop("description")
    merged: dict[str, Any] = {"name": stem, **parent}
    if "split" in data:
        raise RecipeError(f"{label}:{lines[('split',)]}: split is chosen when episodes are made: --split train|ood.")
    for key, value in data.items():
        if key in SECTIONS and value in (False, None):
            merged[key] = {}
        elif key in SECTIONS and isinstance(value, dict):
            merged[key] = {**parent.get(key, {}), **value}
        elif key == "ood" and isinstance(value, dict) and all(isinstance(v, (dict, type(None))) for v in value.values()):
            merged[key] = {**parent.get(key, {}), **{k: {**parent.get(key, {}).get(k, {}), **(v or {})} for k, v in value.items()}}
        else:
            merged[key] = value
    try:
        recipe = Recipe.model_validate(merged)
        check_joint(recipe)
    except RecipeError as e:  # raised by a Variation; pydantic lets it through
        raise RecipeError(f"{label}{_blame(data, lines)}: {e.message}", hint=e.hint) from None
    except ValidationError as e:
        raise _explain(e, label, lines) from None
    _check_names(recipe, label, lines)
    _check_ood(recipe, data.get("ood") or {}, label, lines)
    return recipe


def _check_names(recipe: Recipe, label: str, lines: dict[tuple[Any, ...], int]) -> None:
    """Raises `RecipeError` at the line of a task or a source of objects that does not exist."""
    if missing := first_missing(recipe):
        section, key, e = missing
        line = lines.get((section, key))
        raise RecipeError(f"{label}{f':{line}' if line else ''}: {section}.{key}: {e.message}", hint=e.hint) from None


def _check_ood(recipe: Recipe, own: dict[str, Any], label: str, lines: dict[tuple[Any, ...], int]) -> None:
    """Errors of a file's `ood:` ranges, at their lines."""
    if not recipe.ood:
        return
    below = {path[1:]: line for path, line in lines.items() if path[:1] == ("ood",)}
    for section in recipe.ood:
        if section not in AXES:
            at = lines.get(("ood", section), "?")
            raise RecipeError(f"{label}:{at}: unknown key 'ood.{section}';", hint=did_you_mean(section, AXES))
    try:
        other = recipe.for_split("ood")
    except RecipeError as e:
        raise RecipeError(f"{label}{_blame(own, below)}: ood: {e.message}", hint=e.hint) from None
    except ValidationError as e:
        raise _explain(e, label, below) from None
    _check_names(other, label, below)


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
        for key, value in values.items() if isinstance(values, dict) and section in AXES else ():
            if isinstance(getattr(Recipe.model_fields[section].default, str(key), None), Variation):
                try:
                    as_variation(value)
                except RecipeError:
                    return f":{lines.get((section, key), '?')}: {section}.{key}"
    return ""


def _lines(node: Any, path: tuple[Any, ...], into: dict[tuple[Any, ...], int], label: str) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: dict[Any, int] = {}
        for k, v in node.value:
            line = into[(*path, k.value)] = k.start_mark.line + 1
            if k.value in seen:  # YAML would keep the last one in silence
                raise RecipeError(f"{label}:{line}: {'.'.join(map(str, [*path, k.value]))} is there twice; first in line {seen[k.value]}.")
            seen[k.value] = line
            _lines(v, (*path, k.value), into, label)
    elif isinstance(node, yaml.SequenceNode):
        for i, v in enumerate(node.value):
            into[(*path, i)] = v.start_mark.line + 1
            _lines(v, (*path, i), into, label)
    elif isinstance(node, yaml.ScalarNode) and node.tag == INT_TAG and len(node.value) > DIGITS:
        raise RecipeError(f"{label}:{node.start_mark.line + 1}: {'.'.join(map(str, path))}: a number of {len(node.value)} digits.")


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
