"""What validators let pass: each sin, done to a sound export, is named with its asset."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from pxr import Gf, Sdf, Usd, UsdGeom, UsdPhysics, Vt

from phone2sim.assets.mesh import TexturedMesh
from phone2sim.sim_export.usd import asset_file, lint_usd, write_usd
from phone2sim.sim_export.usd.lint import count_open_edges
from tests.sim_export.scenes import box_asset, can_asset, scene_of

SCENE = scene_of(box_asset("cube"), can_asset("mug", xy=(0.2, 0.1)))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    out = tmp_path_factory.mktemp("sound")
    write_usd(SCENE, out)
    return out


def test_an_export_is_sound(sound):
    assert lint_usd(sound / "scene.usda") == []
    assert lint_usd(sound / asset_file("mug")) == []


def hole(stage):
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/mug/Geometry/mesh"))
    for attribute in (mesh.GetFaceVertexCountsAttr(), mesh.GetFaceVertexIndicesAttr()):
        drop = 1 if attribute.GetName() == "faceVertexCounts" else 3
        attribute.Set(Vt.IntArray(list(attribute.Get())[:-drop]))


def nested(stage):
    UsdPhysics.RigidBodyAPI.Apply(stage.GetPrimAtPath("/mug/Geometry"))


def unknown(stage):
    stage.GetPrimAtPath("/mug").AddAppliedSchema("PhysxFooAPI")


def frictionless(stage):
    stage.GetPrimAtPath("/mug/Looks/Physics").RemoveProperty("physics:dynamicFriction")


def in_hulls(act):
    def change(stage):
        variants = stage.GetDefaultPrim().GetVariantSet("collision")
        variants.SetVariantSelection("hulls")
        with variants.GetVariantEditContext():
            act(stage)

    return change


@in_hulls
def triangles(stage):
    UsdPhysics.MeshCollisionAPI(stage.GetPrimAtPath("/mug/Collision/hull_000")).GetApproximationAttr().Set("none")


@in_hulls
def no_collider(stage):
    stage.GetPrimAtPath("/mug/Collision").SetActive(False)


def bare_sdf(stage):
    variants = stage.GetDefaultPrim().GetVariantSet("collision")
    variants.SetVariantSelection("sdf")
    with variants.GetVariantEditContext():
        prim = stage.GetPrimAtPath("/mug/Collision/mesh")
        prim.RemoveAppliedSchema("PhysxSDFMeshCollisionAPI")
    variants.SetVariantSelection("hulls")


def kindless(stage):
    stage.GetPrimAtPath("/mug").ClearMetadata("kind")


def unlabelled(stage):
    stage.GetPrimAtPath("/mug").RemoveProperty("semantics:labels:class")


def negative(stage):
    UsdPhysics.MassAPI(stage.GetPrimAtPath("/mug")).GetMassAttr().Set(-0.2)


def impossible(stage):
    UsdPhysics.MassAPI(stage.GetPrimAtPath("/mug")).GetDiagonalInertiaAttr().Set(Gf.Vec3f(1, 1, 5))


def rounded(stage):
    ball = trimesh.creation.icosphere(subdivisions=1, radius=0.03)
    mesh = UsdGeom.Mesh(next(p for p in stage.Traverse() if p.GetName() == "hull_000"))
    mesh.GetPointsAttr().Set([tuple(v) for v in ball.vertices.tolist()])
    mesh.GetFaceVertexCountsAttr().Set([3] * len(ball.faces))
    mesh.GetFaceVertexIndicesAttr().Set(ball.faces.ravel().tolist())


@pytest.mark.parametrize(("sin", "rule", "said"), [
    (hole, "open mesh", "/Geometry/mesh is open: 3 edges"), (nested, "nested body", "is a rigid body inside"),
    (unknown, "schema", "applies the unknown PhysxFooAPI"), (frictionless, "friction", "has no friction"),
    (triangles, "approximation", "approximation none"), (no_collider, "no collider", "has no collider"),
    (bare_sdf, "approximation", "sdf without PhysxSDFMeshCollisionAPI"), (kindless, "kind", "has no kind"),
    (unlabelled, "label", "has no class label"), (negative, "mass", "weighs -0.2 kg"),
    (impossible, "inertia", "that no body can have"), (rounded, "hull faces", "has 80 triangles, of which PhysX keeps 64"),
])  # fmt: skip
def test_each_sin_is_named_with_its_asset(sound, tmp_path, sin, rule, said):
    folder = tmp_path / "export"
    shutil.copytree(sound, folder)
    stage = Usd.Stage.Open(str(folder / asset_file("mug")))
    sin(stage)
    stage.Save()
    found = lint_usd(folder / "scene.usda")
    assert {f.subject for f in found} == {"mug"}
    rules = {f.rule for f in found}
    incomplete = {"mass", "label", "no collider"} if sin is nested else set()  # the inner body has nothing of its own
    assert rules == {rule} | incomplete, found
    assert all(said in str(f) for f in found if f.rule == rule)


def test_a_missing_texture_and_a_path_that_leads_away_are_named(sound, tmp_path):
    folder = tmp_path / "export"
    shutil.copytree(sound, folder)
    ((folder / asset_file("mug")).parent / "textures" / "mug.png").unlink()
    (found,) = lint_usd(folder / "scene.usda")
    assert (found.subject, found.rule) == ("mug", "missing file") and "mug.png is missing" in found.text
    shutil.copytree(sound / "assets" / "cube" / "usd", tmp_path / "elsewhere")
    layer = Sdf.Layer.FindOrOpen(str(folder / "scene.usda"))
    layer.GetPrimAtPath("/World/Props/cube").payloadList.prependedItems = [Sdf.Payload("../elsewhere/cube.usd")]
    layer.Save()
    rules = {(f.subject, f.rule) for f in lint_usd(folder / "scene.usda")}
    assert ("cube", "outside") in rules


def test_an_open_mesh_of_a_scene_is_named_when_exported(tmp_path):
    cube = SCENE.asset("cube")
    v = cube.visual
    pierced = TexturedMesh(vertices=v.vertices, faces=v.faces[1:], uv=v.uv, texture=v.texture)
    write_usd(scene_of(replace(cube, visual=pierced)), tmp_path)
    (found,) = lint_usd(tmp_path / "scene.usda")
    assert found.subject == "cube" and found.rule == "open mesh"


def test_open_edges_of_polygons():
    quads = np.array([[0, 3, 2, 1], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]])
    assert count_open_edges(np.full(6, 4), quads.ravel()) == 0
    assert count_open_edges(np.full(5, 4), quads[1:].ravel()) == 4
