"""Every parameter of every axis, alone: it changes its own fields of the spec, in some episode of six, and no other."""

from functools import lru_cache

import pytest

from phone2sim.augment import parse_recipe, sample_episode, workspace_of
from phone2sim.augment.coverage import parameters as covered
from phone2sim.augment.joint import parameters
from phone2sim.augment.recipe import Recipe
from phone2sim.keys import Key
from tests.sim_export.scenes import cube_scene

SCENE = cube_scene(cans=2, boxes=2)
BASE = "objects: {placement: random}\nclutter: {count: 2}\n"
PLACES = {"objects.pose", "task.goals", "task.language", "objects.set"}

CHANGES = {
    "lighting.key_azimuth_deg": ("{uniform: [-90, 90]}", {"lights"}),
    "lighting.key_elevation_deg": ("{uniform: [-30, 30]}", {"lights"}),
    "lighting.key_gain": ("{log_uniform: [0.5, 2]}", {"lights"}),
    "lighting.ambient_gain": ("{log_uniform: [0.5, 2]}", {"lights"}),
    "lighting.softness_gain": ("{log_uniform: [0.5, 2]}", {"lights"}),
    "lighting.temperature_mired": ("{uniform: [-90, 90]}", {"lights"}),
    "lighting.environment": ("generated", {"lights"}),
    "clutter.count": ("{integers: [0, 4]}", {"objects.set", "task.language"}),
    "clutter.clearance_m": ("0.12", {"objects.pose", "task.language"}),
    "clutter.distance_m": ("0.12", {"objects.pose", "task.language"}),
    "clutter.within_m": ("0.2", {"objects.pose", "task.language"}),
    "objects.yaw_deg": ("{uniform: [-180, 180]}", PLACES),
    "objects.clearance_m": ("0.15", PLACES),
    "objects.albedo_gain": ("{uniform: [0.8, 1.2]}", {"objects.rgb_gain"}),
    "objects.scale": ("{uniform: [0.9, 1.1]}", PLACES | {"objects.asset", "objects.mass_kg", "objects.physics", "asset_hashes"}),
    "objects.texture": ("any", {"objects.texture"}),
    "objects.gloss": ("{uniform: [0, 0.8]}", {"objects.gloss"}),
    "camera.radius": ("{uniform: [0, 1]}", {"cameras"}),
    "camera.elevation": ("{uniform: [0, 1]}", {"cameras"}),
    "camera.azimuth_deg": ("{uniform: [-40, 40]}", {"cameras"}),
    "camera.roll_deg": ("{uniform: [-5, 5]}", {"cameras"}),
    "camera.look_at_jitter_m": ("{uniform: [-0.05, 0.05]}", {"cameras"}),
    "camera.focal_gain": ("{uniform: [0.8, 1.2]}", {"cameras"}),
    "camera.principal_jitter_px": ("{uniform: [-5, 5]}", {"cameras"}),
    "camera.distortion": ("{uniform: [-0.1, 0.05]}", {"cameras"}),
    "robot_start.joint_noise_rad": ("{uniform: [-0.1, 0.1]}", {"robot"}),
    "robot_start.gripper": ("{uniform: [0, 1]}", {"robot"}),
    "robot_start.base_shift_m": ("{uniform: [-0.02, 0.02]}", {"robot"}),
    "robot_start.base_yaw_deg": ("{uniform: [-10, 10]}", {"robot"}),
    "physics.mass_gain": ("{log_uniform: [0.5, 2]}", {"objects.mass_kg"}),
    "physics.friction_gain": ("{log_uniform: [0.5, 2]}", {"objects.physics"}),
    "physics.servo_gain": ("{uniform: [0.7, 1.3]}", {"robot"}),
    "physics.servo_damping": ("{uniform: [0.7, 1.3]}", {"robot"}),
    "physics.latency_s": ("{uniform: [0, 0.04]}", {"robot"}),
    "sensor.exposure": ("{log_uniform: [0.7, 1.4]}", {"sensor"}),
    "sensor.white_balance": ("{uniform: [0.9, 1.1]}", {"sensor"}),
    "sensor.noise_std": ("{uniform: [0, 0.03]}", {"sensor"}),
    "sensor.blur_px": ("{uniform: [0, 1]}", {"sensor"}),
    "sensor.shutter_s": ("{uniform: [0, 0.03]}", {"sensor"}),
    "sensor.readout_s": ("{uniform: [0, 0.03]}", {"sensor"}),
    "sensor.jpeg_quality": ("{integers: [20, 90]}", {"sensor"}),
    "sensor.depth_noise": ("{uniform: [0, 0.01]}", {"sensor"}),
    "surfaces.table": ("any", {"surfaces"}),
    "surfaces.wall_gain": ("{uniform: [0.8, 1.2]}", {"surfaces"}),
    "surfaces.height_m": ("{uniform: [-0.08, 0.02]}", {"surfaces", "robot"}),
    "task.target": ("can_0", PLACES | {"objects.role", "objects.mass_kg", "objects.physics", "task.target", "asset_hashes"}),
    "task.travel_m": ("{uniform: [0.1, 0.25]}", PLACES),
    "task.reference": None,  # of tasks with two objects
    "camera.wrist_shift_m": None,  # of a wrist camera, below
    "camera.wrist_turn_deg": None,
    "lighting.environment_turn_deg": None,  # of an environment, below
}


def fields(spec) -> dict:
    """What a spec says, by field; objects by name."""
    objects = {o.name: o for o in spec.objects}
    def each(*names):
        return {n: [getattr(o, k) for k in names] for n, o in objects.items()}

    return {
        "lights": spec.lights, "cameras": spec.cameras, "sensor": spec.sensor, "robot": spec.robot, "surfaces": spec.surfaces,
        "objects.set": sorted(objects), "objects.pose": each("pose"), "objects.rgb_gain": each("rgb_gain"),
        "objects.asset": each("asset"), "objects.texture": each("texture"), "objects.gloss": each("gloss"),
        "objects.mass_kg": each("mass_kg"), "objects.physics": each("friction", "restitution"), "objects.role": each("role"),
        "task.target": spec.task.target, "task.goals": spec.task.goals, "task.language": spec.task.language,
        "asset_hashes": spec.asset_hashes,
        "rest": (spec.index, spec.key, spec.seed, spec.support, spec.fps, spec.duration_s, spec.recipe, spec.split, spec.pair_id),
    }  # fmt: skip


def changed(a, b) -> set[str]:
    """Fields that differ; those of objects only for objects that both have."""
    out = set()
    for name, x in fields(a).items():
        y = fields(b)[name]
        if isinstance(x, dict):
            both = set(x) & set(y)
            x, y = {k: x[k] for k in both}, {k: y[k] for k in both}
        if x != y:
            out.add(name)
    return out


WORKSPACE = workspace_of(SCENE, parse_recipe(BASE))


@lru_cache
def draw(text: str) -> tuple:
    recipe = parse_recipe(text)
    return tuple(sample_episode(SCENE, recipe, Key(2), i, workspace=WORKSPACE) for i in range(6))


def compare(base: str, more: str) -> set[str]:
    return set().union(*(changed(a, b) for a, b in zip(draw(base), draw(more), strict=True)))


def with_value(base: str, name: str, value: str) -> str:
    import yaml

    data = yaml.safe_load(base)
    section, field = name.split(".")
    data.setdefault(section, {})[field] = yaml.safe_load(value)
    return yaml.safe_dump(data)


def test_no_parameter_is_forgotten():
    assert set(parameters(Recipe())) == set(CHANGES)


@pytest.mark.parametrize("name", [n for n, row in CHANGES.items() if row])
def test_a_parameter_alone_changes_its_own_fields_and_no_other(name):
    value, own = CHANGES[name]
    found = compare(BASE, with_value(BASE, name, value))
    assert found, f"{name} changes nothing"
    assert found <= own, f"{name} also changes {sorted(found - own)}"


@pytest.mark.parametrize("name", ["camera.wrist_shift_m", "camera.wrist_turn_deg"])
def test_the_wrist_cameras_mount_moves_that_camera_only(name):
    base = with_value(BASE, "camera.wrist", "true")
    more = with_value(base, name, "{uniform: [-0.01, 0.01]}")
    assert compare(BASE, base) == {"cameras"} and compare(base, more) == {"cameras"}
    for a, b in zip(draw(base), draw(more)):
        assert a.cameras[:-1] == b.cameras[:-1] and a.cameras[-1] != b.cameras[-1]
        assert a.cameras[-1].mount == "hand"


def test_an_environments_turn_turns_its_light():
    base = with_value(BASE, "lighting.environment", "generated")
    assert compare(base, with_value(base, "lighting.environment_turn_deg", "90")) == {"lights"}


@pytest.mark.parametrize("how", ["mass", "friction", "restitution"])
def test_posteriors_change_their_own_number(how):
    own = {"mass": "objects.mass_kg", "friction": "objects.physics", "restitution": "objects.physics"}[how]
    assert compare(BASE, with_value(BASE, f"physics.{how}", "posterior")) == {own}


def test_other_sources_bring_other_objects():
    more = draw(with_value(BASE, "clutter.sources", "[shapes]"))
    for a, b in zip(draw(BASE), more):
        assert changed(a, b) <= {"objects.set", "task.language", "asset_hashes"}
        assert all(o.asset.startswith("shape:") for o in b.objects if o.role == "clutter")
    swapped = draw(with_value(BASE, "objects.sources", "[shapes]"))
    assert all(s.objects[0].asset.startswith("shape:") for s in swapped)


UNSEEN = {"objects.clearance_m": "clutter", "task.target": "objects", "task.reference": "", "lighting.environment_turn_deg": ""}
"""Parameters that show under another axis in the coverage, or that have a test of their own."""


@pytest.mark.parametrize("name", [n for n, change in CHANGES.items() if change])
def test_coverage_shows_every_parameter_under_its_axis(name):
    more = draw(with_value(BASE, name, CHANGES[name][0]))
    moved = set()
    for a, b in zip(map(covered, draw(BASE)), map(covered, more)):
        moved |= {k.split(":")[0] for k in a.keys() | b.keys() if a.get(k) != b.get(k)}
    assert UNSEEN.get(name, name.split(".")[0]) in moved


def test_coverage_follows_one_parameter_alone():
    more = draw(with_value(BASE, "sensor.exposure", "{log_uniform: [0.7, 1.4]}"))
    a, b = covered(draw(BASE)[0]), covered(more[0])
    assert {k for k in a if a[k] != b[k]} == {"sensor: exposure ×"}
    assert b["sensor: exposure ×"] == pytest.approx(more[0].sensor.exposure, abs=1e-6)
    assert {k.split(":")[0] for k in a} == {"lighting", "clutter", "objects", "physics", "robot_start", "sensor", "surfaces", "task", "camera"}


def test_coverage_shows_posteriors_environments_and_wrist_cameras():
    for name, value, row in (
        ("physics.mass", "posterior", "physics: target mass [g]"), ("physics.friction", "posterior", "physics: target friction"),
        ("physics.restitution", "posterior", "physics: target bounce"),
    ):  # fmt: skip
        more = draw(with_value(BASE, name, value))
        assert {k for k, v in covered(more[0]).items() if v != covered(draw(BASE)[0])[k]} == {row}
    lit = with_value(BASE, "lighting.environment", "generated")
    turned = with_value(lit, "lighting.environment_turn_deg", "90")
    assert covered(draw(lit)[0])["lighting: ambient from [°]"] != covered(draw(turned)[0])["lighting: ambient from [°]"]
    wrist = with_value(BASE, "camera.wrist", "true")
    for name in ("camera.wrist_shift_m", "camera.wrist_turn_deg"):
        more = draw(with_value(wrist, name, "{uniform: [-0.01, 0.01]}"))
        assert any("in its mount" in k and v != covered(draw(wrist)[0])[k] for k, v in covered(more[0]).items())
