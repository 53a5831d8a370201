"""Mass, inertia, hulls, materials and the user's overrides."""

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from reconstructed import True3D

from phone2sim.assets.evidence import physics
from phone2sim.assets.fewer import PHYSX_FACES, with_few_corners
from phone2sim.assets.hulls import STOOD_RAD, decompose, footed
from phone2sim.assets.joined import Outside
from phone2sim.assets.materials import friction, kind_of, kinds, material, materials
from phone2sim.assets.mesh import TexturedMesh
from phone2sim.assets.overrides import Override, read_overrides
from phone2sim.assets.overrides import given as stated
from phone2sim.assets.physics import Belief, Body, inertia, weigh
from phone2sim.errors import InputError
from phone2sim.keys import Key


def test_table_is_sourced_and_ordered():
    for m in materials().values():
        for ends in (m.density, m.fill, m.wall_m, m.content, m.level, m.friction, m.restitution, m.stiffness_pa):
            assert 0 <= ends[0] <= ends[1]
        assert m.density[0] > 0 and m.stiffness_pa[0] > 0 and m.source
        assert m.build in ("fill", "vessel", "container", "anyhow")
        assert m.build in ("fill", "anyhow") or m.wall_m[0] > 0
        assert m.build != "container" or m.content[0] > 0 < m.level[1]
    words = [w for k in kinds().values() for w in k.words]
    assert len(words) == len(set(words))
    assert all(k.material_of().density[0] > 0 for k in kinds().values())


def test_unknown_material_lists_the_table():
    with pytest.raises(InputError, match="No material 'ceramics'.*have .*Did you mean ceramic"):
        material("ceramics")


@pytest.mark.parametrize(
    ("name", "kind", "of"),
    [
        ("red_mug", "mug", None), ("thing", None, None), ("glass", "drinking glass", None), ("glass bowl", "bowl", "glass"),
        ("jam-jar", "jar", None), ("soup can", "can", None), ("steel_mug", "mug", "steel"), ("wooden thing", None, "wood"),
    ],
)  # fmt: skip
def test_what_a_name_says(name, kind, of):
    found, made_of = kind_of(name)
    assert (found.name if found else None, made_of) == (kind, of)


def test_a_vessel_of_another_material_is_still_one():
    mug, _ = kind_of("mug")
    steel = mug.material_of("steel")
    assert steel.build == "vessel" and steel.density == material("steel").density and steel.wall_m == material("steel").wall_m
    can, _ = kind_of("can")
    assert can.material_of("steel") == can.material_of()


@given(st.sampled_from(sorted(materials())), st.sampled_from(sorted(materials())))
def test_friction_of_a_pair(a, b):
    one, other = friction(a, b), friction(b, a)
    assert (one.low, one.value, one.high) == (other.low, other.value, other.high)
    assert 0 < one.low <= one.value <= one.high < 2 and one.why


def test_tabulated_pairs_and_those_that_are_not():
    assert friction("rubber", "wood").low > friction("plastic", "wood").low
    assert "Marks" in friction("wood", "steel").why
    assert friction("wood", "unknown").low == material("wood").friction[0]
    between = friction("foam", "glass")
    assert "not tabulated" in between.why and between.low == pytest.approx((0.4 * 0.25) ** 0.5)


def mesh_of(size=(0.06, 0.05, 0.08)):
    box = trimesh.creation.box(size)
    box.apply_translation([0.01, -0.02, size[2] / 2])
    return box


@pytest.fixture(scope="module")
def box_body():
    return Body.of(mesh_of())


@pytest.mark.parametrize("name", sorted(materials()))
def test_a_posterior_holds_bodies_that_can_exist(name, box_body):
    found = weigh(box_body, Belief.sure(material(name)), surface_m=5e-4)
    m, i = found.mass_kg, found.inertia
    assert 0 < m.low < m.value < m.high and m.why
    assert name.startswith("unknown") or m.high / m.low <= 4
    assert (i.center_low <= i.center_of_mass).all() and (i.center_of_mass <= i.center_high).all()
    assert (i.moments_low <= i.moments).all() and (i.moments <= i.moments_high).all()
    low, high = box_body.mesh.bounds
    assert (i.center_low > low).all() and (i.center_high < high).all()
    w, _ = i.principal()
    assert w[0] > 0 and w[0] + w[1] >= w[2]
    solid, shell = (np.sum(np.array([0.06, 0.05]) ** 2) / k * m.value for k in (12, 3))
    assert 0.3 * solid < i.moments[2, 2] < shell
    assert found.inertia.posterior()["inertia"]["why"]


@pytest.mark.parametrize("factor", [1.3, 3.0])
def test_mass_goes_with_the_cube_of_lengths(factor):
    """Of what fills its volume; a vessel's goes with the square, its wall stays what it is."""
    small, large = Body.of(mesh_of()), Body.of(mesh_of(tuple(factor * x for x in (0.06, 0.05, 0.08))))
    for name, power in (("wood", 3), ("ceramic", 2)):
        a, b = (weigh(x, Belief.sure(material(name)), surface_m=0.0).mass_kg for x in (small, large))
        for end in ("low", "value", "high"):
            assert getattr(b, end) == pytest.approx(factor**power * getattr(a, end), rel=0.02 if power == 2 else 1e-6)


def test_what_fills_evenly_has_the_inertia_of_the_formula(box_body):
    found = weigh(box_body, Belief.sure(material("foam")), surface_m=5e-4)
    a, b, c = np.array([0.06, 0.05, 0.08]) ** 2
    assert np.diag(found.inertia.moments) == pytest.approx(found.mass_kg.value / 12 * np.array([b + c, a + c, a + b]), rel=0.03)
    assert found.inertia.center_of_mass == pytest.approx([0.01, -0.02, 0.04])


def test_contents_and_walls_move_the_centre_of_mass(box_body):
    jar, brick, mug = (weigh(box_body, Belief.sure(material(n)), surface_m=5e-4).inertia for n in ("glass", "stone", "ceramic"))
    assert jar.center_low[2] < jar.center_of_mass[2] < 0.039 < brick.center_of_mass[2] == pytest.approx(0.04, abs=1e-3)
    assert mug.center_of_mass[2] < 0.038  # no lid
    assert jar.center_high[2] - jar.center_low[2] > 5 * (brick.center_high[2] - brick.center_low[2])


def test_less_seen_and_less_sure_lengths_widen_the_mass(box_body):
    kind = Belief.sure(material("stone"))
    ratios = []
    for change in ({}, {"seen": 0.5}, {"scale": (0.9, 1.1)}, {"surface_m": 3e-3}):
        m = weigh(box_body, kind, **({"surface_m": 5e-4} | change)).mass_kg
        ratios.append(m.high / m.low)
    assert all(r > 1.2 * ratios[0] for r in ratios[1:])


def test_a_mixture_is_wider_than_its_parts(box_body):
    stone, foam = material("stone"), material("foam")
    both = weigh(box_body, Belief(materials=((stone, 0.7), (foam, 0.3))), surface_m=5e-4).mass_kg
    a, b = (weigh(box_body, Belief.sure(k), surface_m=5e-4).mass_kg for k in (stone, foam))
    assert both.low < 1.1 * b.low * 1.5 and both.high == pytest.approx(a.high, rel=0.05) and "foam" in both.why


def told(**row):
    return physics(mesh_of(), "mug", Override(**row), surface_m=5e-4, seen=0.9, scale=(0.99, 1.01))


def test_what_the_user_gives_wins_and_says_so():
    free, given_mass = told(), told(mass_kg=0.31, source="kitchen scale")
    assert given_mass.mass_kg.low == given_mass.mass_kg.high == 0.31 and "kitchen scale" in given_mass.mass_kg.why
    assert given_mass.inertia.moments == pytest.approx(free.inertia.moments * 0.31 / free.mass_kg.value, rel=0.1, abs=1e-6)
    width = given_mass.inertia.moments_high - given_mass.inertia.moments_low
    assert (np.diag(width) < np.diag(free.inertia.moments_high - free.inertia.moments_low)).all()
    placed = told(center_of_mass_m=(0.0, 0.0, 0.03)).inertia
    assert (placed.center_low == placed.center_high).all() and placed.center_of_mass[2] == 0.03
    measured = told(inertia_kg_m2=(4e-4, 4e-4, 3e-4)).inertia
    assert np.diag(measured.moments) == pytest.approx([4e-4, 4e-4, 3e-4]) and (measured.moments_low == measured.moments_high).all()
    assert told(friction=0.5, restitution=0.1).friction.value == 0.5
    assert told(material="steel").mass_kg.value != free.mass_kg.value
    assert told(build="fill").mass_kg.value > 1.5 * free.mass_kg.value


def test_impossible_statements_are_refused():
    with pytest.raises(InputError, match="center_of_mass_m.*is outside of the object"):
        told(center_of_mass_m=(0.0, 0.0, 0.3))
    with pytest.raises(InputError, match='build = "vessel" needs a material'):
        physics(mesh_of(), "", Override(build="vessel"), surface_m=5e-4, seen=0.9, scale=(1, 1))
    with pytest.raises(InputError, match="what is in a container of ceramic is not known"):
        told(build="container")


def test_true_masses_are_inside_and_intervals_of_named_things_are_narrow():
    """The law of the posterior, on few of the objects and seeds of `benchmarks/physics.py`."""
    inside, ratios = [], []
    for name, filled in (("mug", 1.0), ("mug", 0.0), ("can", 0.0), ("block", 0.0), ("plate", 0.0), ("jar", 0.0)):
        true = True3D.of(name)
        for seed in range(2):
            mesh = true.seen_by(Key(seed).child(name), filled=filled)
            m = physics(mesh, true.made.label, Override(), surface_m=6e-4, seen=0.85, scale=(0.996, 1.004)).mass_kg
            inside.append(true.made.mass_kg in m)
            ratios.append(m.high / m.low)
    assert np.mean(inside) >= 0.95 and max(ratios) <= 4


def test_a_thin_body_is_in_doubt_on_its_free_side_only():
    """A knife lies on its support: 0.6 mm of doubt on both sides of a blade of 2.4 mm would make its interval too wide."""
    true = True3D.of("knife")
    for seed in range(2):
        mesh = true.seen_by(Key(seed).child("knife"), filled=0.0)
        body = Body.of(mesh)
        assert mesh.extents[0] > 0.16 and body.free_area < 0.75 * body.area
        for name, override in (("knife", Override()), ("", Override(material="steel"))):
            m = physics(mesh, name, override, surface_m=6e-4, seen=0.85, scale=(0.996, 1.004)).mass_kg
            assert true.made.mass_kg in m and m.high / m.low <= 4


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


def corner(long=0.1, thick=0.02):
    """An L, three parts of which are two."""
    parts = [trimesh.creation.box((long, thick, 0.03)), trimesh.creation.box((thick, long, 0.03))]
    for p, at in zip(parts, ([long / 2, thick / 2, 0.015], [thick / 2, long / 2, 0.015])):
        p.apply_translation(at)
    return trimesh.boolean.union(parts, engine="manifold")


@pytest.mark.parametrize(("shape", "least"), [(corner(), 2), (trimesh.creation.annulus(0.03, 0.045, 0.06, sections=32), 4)])
def test_hulls_keep_the_bound_that_they_state_and_no_two_of_them_can_be_one(shape, least):
    shape.apply_translation([0, 0, -shape.bounds[0, 2]])
    hulls = decompose(shape)
    assert len(hulls.parts) >= least
    assert hulls.bound_m == pytest.approx(0.03 * shape.extents.max())  # 0.06 of half the longest side
    outside = Outside.of(shape)
    assert hulls.stray_m == outside.most(hulls.parts) <= 1.05 * hulls.bound_m
    for i, a in enumerate(hulls.parts):
        for b in hulls.parts[:i]:
            both = trimesh.convex.convex_hull(np.concatenate([a.vertices, b.vertices]))
            assert outside.most([both]) > hulls.bound_m
    assert f"stray from it by {1000 * hulls.stray_m:.1f} mm at most" in hulls.said


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
        ("[object_1]\nmass_kg = 0\n", "mass_kg = 0 must be positive"),
        ("[object_1]\nmass_kg = nan\n", "mass_kg = nan must be finite"),
        ("[object_1]\nfriction = [0.6, 0.4]\n", r"friction = \[0.6, 0.4\] must be \[low, high\]"),
        ("[object_1]\nrestitution = 9\n", "restitution = 9 must be at most 1"),
        ("[object_1]\ncenter_of_mass_m = [0, 0, inf]\n", "center_of_mass_m .* must be finite"),
        ("[object_1]\ninertia_kg_m2 = [nan, 1e-4, 1e-4]\n", "inertia_kg_m2 .* must be finite"),
        ('[object_1]\nmaterial = "ceramik"\n', r"\[object_1\]: No material 'ceramik'.*ceramic"),
        ("[object_1]\ninertia_kg_m2 = [1e-4, 1e-4, 3e-4]\n", "no body has the principal moments"),
        ('[object_1]\nmerge = ["object_1"]\n', "cannot be merged into 'object_1'"),
        ('[object_1]\nmerge = ["object_3"]\n[object_2]\nmerge = ["object_3"]\n', "it is part of 'object_1'"),
        ('[object_1]\nmerge = ["object_3"]\n[object_3]\nname = "lid"\n', "has a table of its own"),
        ('[object_1]\ndrop = true\nmerge = ["object_3"]\n', "exclude each other"),
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


def test_a_round_table_keeps_its_size_with_few_corners():
    t = np.linspace(0, 2 * np.pi, 26, endpoint=False)
    few = with_few_corners(np.stack([np.cos(t), np.sin(t)], axis=1)[::-1])
    x, y = few.T
    area = (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2
    assert len(few) == 16 and 0.95 * np.pi * 0.99 < area < np.pi
    square = np.array([[0, 0], [0, 1], [1, 1], [1, 0], [0.5, 0]])
    assert np.array_equal(np.sort(with_few_corners(square), axis=0), np.sort(square[:4], axis=0))


def test_a_hull_with_a_foot_keeps_to_the_faces_that_physx_takes():
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.03)
    (part,) = decompose(ball).parts
    (widened,), changed = footed((part,), np.array([0, 0, 0.01]))
    for p in (part, widened):
        assert 40 < len(p.welded().convex_hull.faces) <= PHYSX_FACES
    assert changed and widened.welded().volume > 0.95 * part.welded().volume
    assert 0.82 * ball.volume < part.welded().volume < ball.volume  # the best of 34 corners


@pytest.mark.parametrize("beside", [0.0, 0.03])
def test_no_foot_where_there_is_one_or_none_could_be(beside: float):
    box = trimesh.creation.box((0.02, 0.02, 0.04))
    part = TexturedMesh(vertices=box.vertices + [0, 0, 0.02], faces=box.faces)
    parts, changed = footed((part,), np.array([beside, 0, 0.02]))
    assert not changed and parts[0] is part
