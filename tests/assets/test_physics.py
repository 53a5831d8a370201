"""Mass, inertia, hulls, materials and the user's overrides."""

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from phone2sim.assets.hulls import STOOD_RAD, decompose, footed
from phone2sim.assets.mesh import TexturedMesh
from phone2sim.assets.overrides import Override, read_overrides
from phone2sim.assets.overrides import given as stated
from phone2sim.assets.physics import guess_material, inertia, mass_interval, material, materials
from phone2sim.errors import InputError


def test_table_is_sourced_and_ordered():
    for name, m in materials().items():
        assert m.density.low > 0 and name in materials()
        assert m.density.why.count("(") >= 1
    assert material("unknown").density.low <= 40 and material("unknown").density.high >= 2500


def test_named_materials_are_narrower_than_unknown():
    wide = material("unknown").density
    assert all(m.density.high / m.density.low <= 8 < wide.high / wide.low for n, m in materials().items() if n != "unknown")


def test_unknown_material_lists_the_table():
    with pytest.raises(InputError, match="No material 'ceramics'.*have .*Did you mean ceramic"):
        material("ceramics")


def test_material_from_a_name():
    assert guess_material("red_mug") == "ceramic" and guess_material("thing") == "unknown"


@given(st.floats(1e-6, 1e-1), st.sampled_from(sorted(materials())))
def test_mass_scales_with_volume(volume, name):
    a, b = mass_interval(volume, material(name)), mass_interval(2 * volume, material(name))
    for x in ("value", "low", "high"):
        assert getattr(b, x) == pytest.approx(2 * getattr(a, x))
    assert a.low <= a.value <= a.high and a.why


@settings(max_examples=25)
@given(st.tuples(*[st.floats(0.01, 0.3)] * 3), st.floats(0.05, 3), st.floats(0, 3))
def test_box_inertia(size, mass, yaw):
    box = trimesh.creation.box(size)
    box.apply_transform(trimesh.transformations.rotation_matrix(yaw, [0.3, 0.2, 1]))
    box.apply_translation([0.1, -0.2, 0.3])
    result = inertia(box, mass)
    assert np.allclose(result.center_of_mass, [0.1, -0.2, 0.3])
    w, q = result.principal()
    a, b, c = np.asarray(size) ** 2
    assert np.allclose(w, np.sort(mass / 12 * np.array([b + c, a + c, a + b])), rtol=1e-6)
    assert w[2] <= w[0] + w[1] + 1e-12 and np.linalg.norm(q) == pytest.approx(1)


def test_inertia_scales_with_mass():
    ball = trimesh.creation.icosphere(2, 0.05)
    assert np.allclose(inertia(ball, 2.0).moments, 2 * inertia(ball, 1.0).moments)


def test_convex_body_needs_one_hull():
    box = trimesh.creation.box((0.1, 0.05, 0.08))
    box.apply_translation([0, 0, 0.04])
    hulls = decompose(box)
    assert len(hulls.parts) == 1 and hulls.excess < 1e-6 and hulls.concavity is None
    assert hulls.parts[0].bounds[0, 2] == pytest.approx(0, abs=2e-4)


def test_concave_body_stays_concave():
    shape = trimesh.creation.annulus(0.03, 0.045, 0.06, sections=32)
    shape.apply_translation([0, 0, 0.03])
    hulls = decompose(shape)
    assert len(hulls.parts) >= 4
    middle = np.array([[0, 0, 0.03]])
    assert not any(trimesh.Trimesh(p.vertices, p.faces).contains(middle)[0] for p in hulls.parts)
    assert all(p.welded().is_convex for p in hulls.parts)
    assert min(p.bounds[0, 2] for p in hulls.parts) == pytest.approx(0, abs=2e-4)


def test_overrides_round_trip(tmp_path):
    f = tmp_path / "assets.toml"
    assert read_overrides(f) == {}
    f.write_text('[object_1]\nname = "mug"\nmass_kg = [0.2, 0.4]\nfriction = 0.5\nmovable = false\n')
    row = read_overrides(f)["object_1"]
    assert row == Override(name="mug", mass_kg=(0.2, 0.4), friction=0.5, movable=False)
    assert stated(row.mass_kg).value == pytest.approx(0.3) and stated(row.friction).low == 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[object_1\n", "not valid TOML"),
        ("[object_1]\nmas_kg = 1\n", "unknown key 'mas_kg'.*Did you mean mass_kg"),
        ('[object_1]\nname = "my mug"\n', "letters, digits and underscores"),
        ("object_1 = 3\n", "must be a table"),
    ],
)
def test_overrides_say_what_is_wrong(tmp_path, text, message):
    f = tmp_path / "assets.toml"
    f.write_text(text)
    with pytest.raises(InputError, match=message):
        read_overrides(f)


def test_what_stood_still_gets_a_foot_under_its_centre_of_mass():
    ball = trimesh.creation.icosphere(subdivisions=1, radius=0.03)
    turned = ball.vertices @ trimesh.transformations.rotation_matrix(0.3, [1, 2, 0])[:3, :3].T
    turned[:, 2] -= turned[:, 2].min()
    part = TexturedMesh(vertices=turned, faces=ball.faces)
    centre = turned.mean(axis=0)
    (widened,), changed = footed((part,), centre)
    feet = widened.vertices[widened.vertices[:, 2] < 1e-4][:, :2] - centre[:2]
    assert changed and np.linalg.norm(feet, axis=1).max() < 0.01
    assert np.linalg.norm(feet, axis=1).min() >= 0.9 * centre[2] * np.tan(STOOD_RAD)
    again, twice = footed((widened,), centre)
    assert not twice and again[0] is widened


@pytest.mark.parametrize("beside", [0.0, 0.03])
def test_no_foot_where_there_is_one_or_none_could_be(beside: float):
    box = trimesh.creation.box((0.02, 0.02, 0.04))
    part = TexturedMesh(vertices=box.vertices + [0, 0, 0.02], faces=box.faces)
    parts, changed = footed((part,), np.array([beside, 0, 0.02]))
    assert not changed and parts[0] is part
