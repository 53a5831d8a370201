"""Recipes: round trip, inheritance, and errors that name file, line, key and the valid keys."""

import json
import re
from pathlib import Path

import jsonschema
import numpy as np
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
from phone2sim.augment.joint import joint_points, settle_joint
from phone2sim.augment.noise import sample_sensor
from phone2sim.augment.sections import CameraRecipe
from phone2sim.augment.variation import Choice, Mixture
from phone2sim.errors import RecipeError
from phone2sim.keys import Key


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
        ("camera:\n  width: 0\n", "r.yaml:2: camera.width: Input should be greater than or equal to 16."),
        ("camera:\n  width: 129\n", "r.yaml:2: camera.width: Input should be a multiple of 2."),
        ("camera:\n  names: []\n", "r.yaml:2: camera.names: Tuple should have at least 1 item"),
        ("camera:\n  names: [a/b]\n", "r.yaml:2: camera.names.0: String should match pattern"),
        ("camera:\n  names: [front, wrist]\n  wrist: true\n", "r.yaml:1: camera: two cameras are named wrist."),
        ("task:\n  fps: 0\n", "r.yaml:2: task.fps: Input should be greater than or equal to 1."),
        ("camera:\n  radius: 0.1\n  elevation: 0.2\n  radius: 0.3\n", "r.yaml:4: camera.radius is there twice; first in line 2."),
        ("sensor: false\nsensor:\n  noise_std: 0\n", "r.yaml:2: sensor is there twice; first in line 1."),
        ("lighting:\n  key_gain: true\n", "r.yaml:2: lighting.key_gain: True is neither a number nor a variation"),
        ("lighting:\n  key_gain: {choice: [1, 2], weights: [a, b]}\n", "r.yaml:2: lighting.key_gain: choice: expected 2 weights, none"),
        ("camera:\n  names: [front]\n  radius: {unifrm: [0, 1]}\n", "r.yaml:3: camera.radius: unknown variation 'unifrm';"),
        ("clutter:\n  count: 1.5\n", "r.yaml:2: clutter.count: 1.5 is not a whole number; draw with integers: [low, high]."),
        ("clutter:\n  count: {mixture: [1, {uniform: [0, 3]}]}\n", "r.yaml:2: clutter.count: {'uniform': [0, 3]} is not a whole number"),
        ("objects:\n  texture: {choice: [own, wod]}\n", "r.yaml:2: objects.texture: wod is none of own, any, plain, checker,"),
        ("surfaces:\n  table: 5\n", "r.yaml:2: surfaces.table: 5 is none of own, any, plain,"),
        ("lighting:\n  environment: sunny\n", "r.yaml:2: lighting.environment: sunny is none of captured, generated, a .hdr file"),
        ("task:\n  fps: 10\n  kind: plcae\n", "r.yaml:3: task.kind: No task 'plcae'; have clear, pick, place, push, stack. Did you mean place?"),
        ("task: {kind: none.py}\n", "r.yaml:1: task.kind: No task file none.py. A task is a Python file"),
        ("clutter:\n  sources: [scene, shaps]\n", "r.yaml:2: clutter.sources: No source 'shaps'; have folder:PATH, scene, scene:PATH, shapes. Did you"),
        ("objects:\n  sources: ['folder:/none']\n", "r.yaml:2: objects.sources: /none is not a folder (source 'folder:/none' of the recipe)."),
        ("clutter:\n  sources: ['scene:/none']\n", "r.yaml:2: clutter.sources: /none"),
        ("extends: none\nood:\n  task:\n    kind: plcae\n", "r.yaml:4: task.kind: No task 'plcae';"),
        ("ood:\n  lighting: 5\n", "r.yaml:2: ood.lighting: Input should be a valid dictionary."),
        ("\nextends: 5\n", "r.yaml:2: extends: expected the name or file of a recipe, got 5."),
        ("extends: defalt\n", "r.yaml:1: extends: No recipe 'defalt'; have default,"),
        ("clutter:\n  sources: []\n", "r.yaml:2: clutter.sources: Tuple should have at least 1 item"),
        ("task:\n  where: leftwards\n", "r.yaml:2: task.where: No direction 'leftwards'; have closer on the left,"),
        ("camera: {[a]: 2}\n", "r.yaml:1: not valid YAML: found unhashable key."),
        ("camera: [\n", "not valid YAML"),
        ("camera: &x {radius: *x}\n", "r.yaml: not valid YAML: nested too deeply, or inside of itself."),
        ("[" * 2000, "r.yaml: not valid YAML: nested too deeply, or inside of itself."),
        (f"camera:\n  radius: {10**400}\n", "r.yaml:2: camera.radius: a number of 401 digits."),
        ("camera:\n  names:\n  - front\n  - a/b\n", "r.yaml:4: camera.names.1: String should match pattern"),
        ("lighting: {key_gain: {choice: [1, 2], weights: 3}}\n", "r.yaml:1: lighting.key_gain: choice: expected 2 weights, got 3."),
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


def test_the_word_on_needs_no_quotes():
    assert parse_recipe("task: {relation: on}").task.relation == parse_recipe("task: {relation: 'on'}").task.relation == "on"


def test_a_missing_file_and_a_wrong_name():
    with pytest.raises(RecipeError, match="Recipe nowhere.yaml does not exist. Give a .yaml file, or one of default, exam"):
        load_recipe("nowhere.yaml")
    with pytest.raises(RecipeError, match="Did you mean default"):
        load_recipe("defaults")


def test_ood_ranges_are_used_for_their_split_only():
    r = parse_recipe("extends: default\nood:\n  lighting: {key_gain: {uniform: [3, 4]}}\n")
    far = r.for_split("ood")
    assert far.lighting.key_gain == Uniform(3, 4) and far.split == "ood"
    assert r.for_split("train") == r and r.lighting.key_gain == load_recipe("default").lighting.key_gain
    assert far.camera == r.camera and far.lighting.ambient_gain == r.lighting.ambient_gain
    assert parse_recipe(r.to_yaml()) == r
    with pytest.raises(RecipeError, match="Recipe none has no ranges out of distribution"):
        load_recipe("none").for_split("ood")


@pytest.mark.parametrize(
    "text, message",
    [
        ("ood:\n  lighting:\n    key_gian: 1\n", r"r\.yaml:3: unknown key 'lighting.key_gian'; .*key_gain"),
        ("ood:\n  lightning:\n    key_gain: 1\n", r"r\.yaml:2: unknown key 'ood.lightning'; .*lighting"),
        ("ood:\n  lighting:\n    key_gain: {uniform: [2, 1]}\n", r"r\.yaml:3: lighting.key_gain: ood: uniform: lower end 2"),
        ("ood:\n  sensor:\n    noise_std: 0.5\n", r"r\.yaml:3: sensor.noise_std: .*can leave the range 0 to 0.2"),
        ("split: ood\n", r"r\.yaml:1: split is chosen when episodes are made"),
        ("joint: {sobol: [camera.azimut]}\n", "joint: no parameter 'camera.azimut'; .*camera.azimuth_deg"),
        ("joint: {sobol: [camera.radius], latin: [camera.radius]}\n", "joint: camera.radius is named twice"),
    ],
)
def test_errors_of_ood_and_joint_name_file_line_and_key(text, message):
    with pytest.raises(RecipeError, match=message):
        parse_recipe(text, label="r.yaml")


JOINT = "extends: default\njoint:\n  {kind}: [{names}]\n"


@pytest.mark.parametrize("kind", ["sobol", "latin"])
def test_joint_draws_fill_the_ranges_evenly_and_adding_one_shifts_no_other(kind):
    names = ["camera.azimuth_deg", "lighting.key_gain"]
    two, three = (
        parse_recipe(JOINT.format(kind=kind, names=", ".join(n))) for n in (names, [*names, "sensor.exposure"])
    )  # fmt: skip
    points = np.array([joint_points(two, Key(3), i)[1] for i in range(64)])
    more = np.array([joint_points(three, Key(3), i)[1] for i in range(64)])
    np.testing.assert_array_equal(points, more[:, :2])
    for column in more.T:  # each of 16 slices of each range gets its share
        counts = np.bincount((column * 16).astype(int), minlength=16)
        assert counts.min() >= 3 and counts.max() <= 5
    settled = settle_joint(two, Key(3), 7)
    assert settled.camera.azimuth_deg == Constant(two.camera.azimuth_deg.quantile(points[7, 0]))
    assert settled.camera.radius == two.camera.radius


def test_the_published_schema_is_the_present_one():
    path = Path(__file__).parents[2] / "docs" / "recipe.schema.json"
    assert json.loads(path.read_text()) == recipe_schema(), "run: phone2sim recipe --schema > docs/recipe.schema.json"


def pieces(v):
    """What a parameter may become: intervals of numbers, or a set of names."""
    if isinstance(v, Mixture):
        return [p for part in v.parts for p in pieces(part)]
    if isinstance(v, Choice):
        return [(x, x) for x in v.options]
    a, b = v.support
    return [(v.value, v.value)] if isinstance(v, Constant) else [(a, b)]


def test_the_exams_ood_ranges_lie_outside_of_its_training_ranges():
    """Each parameter of `ood` by itself: nothing that training may have drawn."""
    exam = load_recipe("exam")
    far = exam.for_split("ood")
    for section, values in exam.ood.items():
        for name in values:
            near, away = (getattr(getattr(r, section), name) for r in (exam, far))
            if not hasattr(near, "support"):
                assert not set(near) & set(away), f"{section}.{name}"
                continue
            for a, b in pieces(near):
                for c, d in pieces(away):
                    assert b != c if isinstance(a, str) else (b < c or d < a), f"{section}.{name}: {near} and {away}"


def test_every_range_of_a_shipped_recipe_says_why():
    """A comment beside, or above, each parameter that varies."""
    folder = Path(__file__).parents[2] / "phone2sim" / "augment" / "recipes"
    kinds = "uniform|integers|normal|truncated_normal|log_uniform|choice|mixture"
    bare = [
        f"{path.name}: {line.strip()}" for path in folder.glob("*.yaml") for line in path.read_text().splitlines()
        if re.search(rf"\{{({kinds}):", line) and "#" not in line
    ]  # fmt: skip
    assert bare == []


def test_out_of_distribution_white_balance_is_off_in_every_episode():
    recipe = load_recipe("exam").for_split("ood").sensor
    train = load_recipe("exam").sensor.white_balance.support
    for i in range(50):
        r, g, b = sample_sensor(recipe, Key(i)).white_balance_rgb
        assert g == 1 and not train[0] <= r <= train[1] and not train[0] <= b <= train[1]
