"""Primitives instead of hulls: found where they are as good, kept through files and exports, exact in a simulator."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from phone2sim.assets.hulls import decompose
from phone2sim.assets.primitives import Primitive, fit_primitive
from phone2sim.assets.scene import Scene
from phone2sim.errors import ShapeError
from phone2sim.poses import Pose


def rough(mesh, sigma=0.0003, seed=0):
    """The mesh finer and with a little noise, as a capture leaves it, standing on z = 0."""
    m = mesh.subdivide_to_size(0.012)
    v = m.vertices + np.random.default_rng(seed).normal(0, sigma, m.vertices.shape)
    v[:, 2] -= v[:, 2].min()
    return trimesh.Trimesh(v, m.faces, process=False)


def lying(mesh, yaw):
    return mesh.apply_transform(trimesh.transformations.euler_matrix(0, np.pi / 2, 0)).apply_transform(
        trimesh.transformations.rotation_matrix(yaw, [0, 0, 1])
    )


SHAPES = {
    "box": (trimesh.creation.box((0.09, 0.05, 0.12)), (0.045, 0.025, 0.06)),
    "cylinder": (trimesh.creation.cylinder(0.034, 0.1, sections=48), (0.034, 0.05)),
    "sphere": (trimesh.creation.icosphere(4, 0.032), (0.032,)),
    "capsule": (lying(trimesh.creation.capsule(0.12, 0.02, count=[32, 32]), 0.6), (0.02, 0.06)),
}


@pytest.mark.parametrize("kind", SHAPES)
def test_a_primitive_is_recognised_with_its_sizes(kind):
    mesh, sizes = SHAPES[kind]
    found = fit_primitive(rough(mesh))
    assert found is not None and found.kind == kind
    got, want = (np.sort(found.size_m), np.sort(sizes)) if kind == "box" else (found.size_m, sizes)
    assert np.allclose(got, want, atol=0.0012)
    assert found.body().volume() == pytest.approx(mesh.volume, rel=0.04)
    assert found.body().bounding_box()[2] == pytest.approx(0, abs=1e-3)


def test_a_lying_cylinder_keeps_its_direction():
    mesh = rough(lying(trimesh.creation.cylinder(0.02, 0.14, sections=48), 0.7))
    found = fit_primitive(mesh)
    assert found is not None and found.kind == "cylinder"
    axis = found.T_asset_primitive.rotation[:, 2]
    assert abs(axis @ [np.cos(0.7), np.sin(0.7), 0]) > 0.999


@pytest.mark.parametrize("kind", SHAPES)
def test_distance_agrees_with_the_body(kind):
    p = fit_primitive(rough(SHAPES[kind][0]))
    m = p.body().to_mesh()
    v = np.asarray(m.vert_properties[:, :3], float)
    assert np.abs(p.distance(v)).max() < 1e-6
    inside = v.mean(axis=0) + 0.5 * (v - v.mean(axis=0))
    assert (p.distance(inside) < 0).all() and (p.distance(v.mean(axis=0) + 1.5 * (v - v.mean(axis=0))) > 0).all()


def test_what_is_no_primitive_keeps_its_hull():
    cone = trimesh.creation.cone(0.04, 0.1, sections=40)
    assert fit_primitive(rough(cone)) is None
    hulls = decompose(rough(cone))
    assert len(hulls.parts) == 1 and hulls.parts[0].primitive is None


def test_what_stood_still_does_not_become_a_ball():
    ball = rough(SHAPES["sphere"][0])
    assert decompose(ball).parts[0].primitive is None
    assert decompose(ball, rolling=True).parts[0].primitive.kind == "sphere"
    assert [fit_primitive(rough(m)).rolls for m, _ in SHAPES.values()] == [False, False, True, True]


def test_a_hull_has_no_more_faces_than_asked():
    cone = rough(trimesh.creation.cone(0.04, 0.1, sections=40))
    assert len(decompose(cone, hull_faces=40).parts[0].faces) <= 40 < len(decompose(cone, hull_faces=124).parts[0].faces) <= 124


def test_lengths_that_fit_no_kind_are_refused():
    for kind, size in (("cone", (1.0, 1.0)), ("sphere", (1.0, 2.0)), ("box", (1.0, 0.0, 1.0))):
        with pytest.raises(ShapeError, match="Primitive"):
            Primitive(kind=kind, size_m=size, T_asset_primitive=Pose.identity())


def with_primitives(built):
    scene = Scene.load(built[0])
    return scene, {a.name: a.hulls[0].primitive for a in scene.assets}


def test_the_stage_finds_them_and_a_scene_keeps_them(built, tmp_path):
    scene, kinds = with_primitives(built)
    found = sorted(p.kind for p in kinds.values() if p is not None)
    assert found == ["box", "cylinder"]
    scene.save(tmp_path)
    again = Scene.load(tmp_path)
    for a, b in zip(scene.assets, again.assets):
        assert (a.hulls[0].primitive is None) == (b.hulls[0].primitive is None)
        if a.hulls[0].primitive is not None:
            assert a.hulls[0].primitive.to_json() == b.hulls[0].primitive.to_json()


def test_mujoco_gets_the_same_solid(built):
    import mujoco

    from phone2sim.sim_export.mjcf import add_object

    scene, _ = with_primitives(built)
    for a in scene.assets:
        p = a.hulls[0].primitive
        if p is None:
            continue
        spec, files = mujoco.MjSpec(), {}
        add_object(spec, a, a.name, files)
        model = spec.compile()
        assert model.ngeom == 1 and not files
        assert model.geom_type[0] == getattr(mujoco.mjtGeom, f"mjGEOM_{p.kind.upper()}")
        assert np.allclose(model.geom_size[0][: len(p.size_m)], p.size_m, atol=1e-6)
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        points = a.hulls[0].vertices.astype(float)
        local = (points - data.geom_xpos[0]) @ data.geom_xmat[0].reshape(3, 3)
        still = replace(p, T_asset_primitive=Pose.identity())
        assert np.abs(still.distance(local)).max() < 1e-5


def test_urdf_names_the_same_solid(built):
    from phone2sim.sim_export.urdf import build_urdf

    scene, kinds = with_primitives(built)
    for a in scene.assets:
        geometry = build_urdf(a).find("link/collision/geometry")
        p = kinds[a.name]
        if p is None:
            assert geometry.find("mesh") is not None
        elif p.kind == "box":
            assert np.allclose([float(x) for x in geometry.find("box").get("size").split()], 2 * np.array(p.size_m))
        else:
            assert float(geometry.find(p.kind).get("radius")) == pytest.approx(p.size_m[0])
