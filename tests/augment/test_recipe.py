"""Recipes: round trip, inheritance, and errors that name file, line, key and the valid keys."""

import jsonschema
import pytest
import yaml

from phone2sim.augment import (
    AXES,
    Constant,
    Recipe,
    Uniform,
    load_recipe,
    parse_recipe,
    recipe_names,
    recipe_schema,
)  # fmt: skip
from phone2sim.augment.recipe import CameraRecipe
from phone2sim.errors import RecipeError


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_round_trip_and_match_the_schema(name):
    recipe = load_recipe(name)
    assert recipe.name == name and recipe.description
    assert parse_recipe(recipe.to_yaml()) == recipe
    jsonschema.validate(yaml.safe_load(recipe.to_yaml()), recipe_schema())


def test_schema_refuses_what_the_parser_refuses():
    for bad in ({"camera": {"radus": 1}}, {"camera": {"radius": {"unifrm": [0, 1]}}}, {"lightning": {}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, recipe_schema())


def test_the_four_are_there():
    assert set(recipe_names()) >= {"default", "none", "vla", "wam"}


def test_none_varies_nothing_and_default_varies_every_axis():
    def varied(recipe, axis):
        section = getattr(recipe, axis)
        return [
            k
            for k in type(section).model_fields
            if hasattr(getattr(section, k), "is_constant") and not getattr(section, k).is_constant
        ]

    assert not any(varied(load_recipe("none"), a) for a in AXES)
    for axis in set(AXES) - {"physics"}:
        assert varied(load_recipe("default"), axis), axis
    assert load_recipe("default").physics.mass == "posterior"


def test_extends_keeps_what_it_does_not_name(tmp_path):
    base = load_recipe("default")
    (tmp_path / "mine.yaml").write_text("extends: default\ncamera:\n  radius: 0.25\nsensor: false\n")
    mine = load_recipe(tmp_path / "mine.yaml")
    assert mine.name == "mine"
    assert mine.camera.radius == Constant(0.25) and mine.camera.elevation == base.camera.elevation
    assert mine.sensor == Recipe().sensor and mine.lighting == base.lighting
    (tmp_path / "next.yaml").write_text("extends: mine.yaml\nclutter: {count: 2}\n")
    assert load_recipe(tmp_path / "next.yaml").camera.radius == Constant(0.25)
    (tmp_path / "loop.yaml").write_text("extends: loop.yaml\n")
    with pytest.raises(RecipeError, match="extends itself"):
        load_recipe(tmp_path / "loop.yaml")


def test_python_and_yaml_are_the_same():
    assert parse_recipe("camera: {radius: {uniform: [0.1, 0.9]}}") == Recipe(
        camera=CameraRecipe(radius=Uniform(0.1, 0.9))
    )


def test_without():
    recipe = load_recipe("default").without("lighting", "sensor")
    assert recipe.lighting == Recipe().lighting and recipe.camera == load_recipe("default").camera
    with pytest.raises(RecipeError, match="No axis 'lightning'.*Did you mean lighting"):
        recipe.without("lightning")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("lightning:\n  key_gain: 1\n", "r.yaml:1: unknown key 'lightning'; have camera, clutter,"),
        ("sensor:\n  noise_std: 0\ncamera:\n  radus: 1\n", "r.yaml:4: unknown key 'camera.radus'; have azimuth_deg,"),
        ("camera:\n  radus: 1\n", "Did you mean radius?"),
        (
            "camera:\n\n  radius: {uniform: [0, 2]}\n",
            "r.yaml:3: camera.radius: {'uniform': [0, 2]} can leave the range 0 to 1.",
        ),
        ("camera:\n  radius: near\n", "r.yaml:2: camera.radius: near is not a number."),
        ("camera:\n  radius: {unifrm: [0, 1]}\n", "r.yaml:2: camera.radius: unknown variation 'unifrm';"),
        ("physics:\n  mass: heavy\n", "r.yaml:2: physics.mass: Input should be 'posterior' or 'value'."),
        ("camera: [\n", "not valid YAML"),
        ("- 1\n", "expected sections such as 'lighting:'"),
        ("extends: defalt\n", "No recipe 'defalt'; have default,"),
    ],
)
def test_errors(tmp_path, text, expected):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError) as e:
        load_recipe(path)
    assert expected in str(e.value)


def test_a_missing_file_and_a_wrong_name():
    with pytest.raises(RecipeError, match="does not exist"):
        load_recipe("nowhere.yaml")
    with pytest.raises(RecipeError, match="Did you mean default"):
        load_recipe("defaults")
