"""The USD against USD's own validators, and read back: what the scene says is what an engine will read."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pxr import Gf, Usd, UsdGeom, UsdLux, UsdPhysics, UsdShade, UsdUtils, UsdValidation

from phone2sim._native.mesh import srgb_to_linear
from phone2sim.assets.scene import Inertia, Light
from phone2sim.errors import AssetError
from phone2sim.intervals import Interval
from phone2sim.keys import Key
from phone2sim.poses import Pose, quat_to_matrix
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.sim_export.contact import SUPPORT_FRICTION
from phone2sim.sim_export.usd import UsdConfig, asset_file, write_usd
from phone2sim.sim_export.usd.mesh import weld
from phone2sim.sim_export.usd.props import slab
from phone2sim.sim_export.usd.splat import read_splat, write_splat
from phone2sim.sim_export.usd.views import add_cameras, add_lights
from tests.sim_export.scenes import box_asset, box_mesh, can_asset, scene_of, table_splat


def tilted(asset, quat, xyz):
    return replace(asset, T_world_asset=Pose(np.array(xyz, float), np.array(quat, float)))


def skewed(asset):
    """The same asset with an off-centre mass and inertia turned away from its axes."""
    R = quat_to_matrix(np.array([0.8, 0.3, 0.4, np.sqrt(1 - 0.8**2 - 0.3**2 - 0.4**2)]))
    w = np.diag(asset.inertia.moments)
    moments = R @ np.diag(w) @ R.T
    return replace(
        asset,
        inertia=Inertia(center_of_mass=np.array([0.004, -0.003, 0.02]), moments=moments),
        notes=("seen from above",),
    )


SCENE = replace(
    scene_of(
        skewed(box_asset("cube", size=(0.05, 0.06, 0.09))), tilted(can_asset("can"), (0.7, 0.7, 0.1, 0), (0.2, 0.1, 0.03)),
        replace(tilted(box_asset("block"), (0.9, 0, 0, -0.4), (-0.2, -0.1, 0)), splat=table_splat(0.2), label="box"),
    ),
    background_mesh=box_mesh((1.0, 0.7, 0.02), (120, 100, 80)),
)  # fmt: skip


CONFIG = UsdConfig(date="2026-01-31")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("usd")
    write_usd(SCENE, out, CONFIG)
    return out


def issues(path) -> list[str]:
    context = UsdValidation.ValidationContext(list(UsdValidation.ValidationRegistry().GetOrLoadAllValidators()))
    return [f"{e.GetName()}: {e.GetMessage()}" for e in context.Validate(Usd.Stage.Open(str(path)))]


def test_every_usd_validator_is_silent(folder):
    files = [folder / "scene.usda", folder / "scene.usdz", *folder.rglob("*.usd")]
    assert len(files) == 2 + 3 + 1 + 2 + 1
    for f in files:
        assert issues(f) == [], f


def test_the_validators_would_have_spoken(folder, tmp_path):
    shutil.copytree(folder / "assets" / "can" / "usd", tmp_path / "can")
    (tmp_path / "can" / "textures" / "can.png").unlink()
    stage = Usd.Stage.Open(str(tmp_path / "can" / "can.usd"))
    UsdPhysics.MassAPI(stage.GetDefaultPrim()).GetMassAttr().Set(-1.0)
    stage.Save()
    found = " ".join(issues(tmp_path / "can" / "can.usd"))
    assert "Mass" in found and "can.png" in found


def test_units_and_structure(folder):
    for f in [folder / "scene.usda", *folder.rglob("*.usd")]:
        stage = Usd.Stage.Open(str(f))
        assert UsdGeom.GetStageUpAxis(stage) == "Z" and UsdGeom.GetStageMetersPerUnit(stage) == 1.0
        assert UsdPhysics.GetStageKilogramsPerUnit(stage) == 1.0
        kind = "assembly" if f.name == "scene.usda" else "subcomponent" if f.name == "block_splat.usd" else "component"
        assert stage.GetDefaultPrim() and Usd.ModelAPI(stage.GetDefaultPrim()).GetKind() == kind
    stage = Usd.Stage.Open(str(folder / "scene.usda"))
    bodies = [p for p in stage.Traverse() if p.HasAPI(UsdPhysics.RigidBodyAPI)]
    assert [p.GetPath().pathString for p in bodies] == [f"/World/Props/{a.name}" for a in SCENE.assets]


def test_masses_poses_inertia_friction_read_back(folder):
    stage = Usd.Stage.Open(str(folder / "scene.usda"))
    for asset in SCENE.assets:
        prim = stage.GetPrimAtPath(f"/World/Props/{asset.name}")
        mass = UsdPhysics.MassAPI(prim)
        assert mass.GetMassAttr().Get() == pytest.approx(asset.mass_kg.value, rel=1e-6)
        assert np.allclose(mass.GetCenterOfMassAttr().Get(), asset.inertia.center_of_mass, atol=1e-8)
        q = mass.GetPrincipalAxesAttr().Get()
        R = quat_to_matrix(np.array([q.GetReal(), *q.GetImaginary()]))
        moments = R @ np.diag(np.array(mass.GetDiagonalInertiaAttr().Get())) @ R.T
        assert np.allclose(moments, asset.inertia.moments, atol=1e-5 * asset.inertia.moments.max())
        T = np.array(UsdGeom.Xformable(prim).ComputeLocalToWorldTransform(Usd.TimeCode.Default())).T
        assert np.allclose(T, asset.T_world_asset.matrix, atol=1e-9)
        colliders = [p for p in Usd.PrimRange(prim) if p.HasAPI(UsdPhysics.CollisionAPI)]
        assert len(colliders) == len(asset.hulls)
        for p, hull in zip(colliders, asset.hulls):
            assert UsdPhysics.MeshCollisionAPI(p).GetApproximationAttr().Get() == "convexHull"
            assert (
                UsdGeom.Imageable(p).ComputePurpose() == "guide"
                and UsdGeom.Imageable(p).ComputeVisibility() == "invisible"
            )
            points = np.array(UsdGeom.Mesh(p).GetPointsAttr().Get())
            assert np.allclose([points.min(0), points.max(0)], hull.bounds)
            for purpose in ("physics", ""):
                bound, _ = UsdShade.MaterialBindingAPI(p).ComputeBoundMaterial(purpose)
                material = UsdPhysics.MaterialAPI(bound.GetPrim())
                assert material.GetDynamicFrictionAttr().Get() == pytest.approx(asset.friction.value)
                assert material.GetStaticFrictionAttr().Get() == pytest.approx(asset.friction.value)
                assert material.GetRestitutionAttr().Get() == pytest.approx(asset.restitution.value)
        data = prim.GetCustomDataByKey("phone2sim:mass_kg")
        assert (data["low"], data["high"]) == (asset.mass_kg.low, asset.mass_kg.high)


def test_of_two_frictions_the_larger_counts_and_a_support_is_slick(folder):
    """The rule MuJoCo has by itself, so that an object on a support has its own friction in every engine."""
    stage = Usd.Stage.Open(str(folder / "scene.usda"))
    found = {}
    for p in stage.Traverse(Usd.TraverseInstanceProxies()):
        if not p.HasAPI(UsdPhysics.CollisionAPI):
            continue
        for purpose in ("physics", ""):
            material = UsdShade.MaterialBindingAPI(p).ComputeBoundMaterial(purpose)[0].GetPrim()
            assert material.GetAttribute("physxMaterial:frictionCombineMode").Get() == "max"
            api = UsdPhysics.MaterialAPI(material)
            assert api.GetStaticFrictionAttr().Get() == api.GetDynamicFrictionAttr().Get()
            found[p.GetPath().pathString.split("/")[3]] = api.GetDynamicFrictionAttr().Get()
    own = {a.name: a.friction.value for a in SCENE.assets}
    assert found == pytest.approx({**own, "table": SUPPORT_FRICTION})
    assert {n: max(f, found["table"]) for n, f in found.items() if n != "table"} == pytest.approx(own)


def test_visual_mesh_is_closed_textured_and_where_it_was(folder):
    stage = Usd.Stage.Open(str(folder / "scene.usda"))
    for asset in SCENE.assets:
        prim = stage.GetPrimAtPath(f"/World/Props/{asset.name}/Geometry/mesh")
        mesh = UsdGeom.Mesh(prim)
        points, faces = (
            np.array(mesh.GetPointsAttr().Get()),
            np.array(mesh.GetFaceVertexIndicesAttr().Get()).reshape(-1, 3),
        )
        edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
        assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
        assert len(np.unique(points, axis=0)) == len(points)
        tri = points[faces].astype(float)
        volume = np.einsum("ij,ij->i", tri[:, 0], np.cross(tri[:, 1], tri[:, 2])).sum() / 6
        assert volume == pytest.approx(asset.visual.welded().volume, rel=1e-4)
        uv = UsdGeom.PrimvarsAPI(prim).GetPrimvar("st").ComputeFlattened()
        assert np.allclose(np.array(uv), asset.visual.uv[asset.visual.faces.ravel()])
        normals = np.array(UsdGeom.PrimvarsAPI(prim).GetPrimvar("normals").ComputeFlattened()).reshape(-1, 3, 3)
        face = np.cross(tri[:, 1] - tri[:, 0], tri[:, 2] - tri[:, 0])
        assert (np.einsum("fkc,fc->fk", normals, face) > 0).all()
        bound, _ = UsdShade.MaterialBindingAPI(prim).ComputeBoundMaterial()
        source = bound.ComputeSurfaceSource()[0]
        assert source.GetIdAttr().Get() == "UsdPreviewSurface"


def test_the_picture_in_the_texture_is_the_assets(folder):
    from phone2sim.images import read_rgb

    for asset in SCENE.assets:
        assert np.array_equal(
            read_rgb((folder / asset_file(asset.name)).parent / "textures" / f"{asset.name}.png"), asset.visual.texture
        )


def test_moving_the_folder_changes_nothing_and_everything_is_inside(folder, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder, moved)
    layers, assets, unresolved = UsdUtils.ComputeAllDependencies(str(moved / "scene.usda"))
    assert not unresolved
    paths = [layer.realPath for layer in layers] + [str(a) for a in assets]
    assert len(paths) >= 10 and all(p.startswith(str(moved)) for p in paths)
    assert str(folder) not in (moved / "scene.usda").read_text()


def test_same_scene_same_bytes(folder, tmp_path):
    write_usd(SCENE, tmp_path, CONFIG)
    for f in sorted(folder.rglob("*")):
        if f.is_file() and f.suffix != ".usdz":  # a zip keeps the clock
            assert f.read_bytes() == (tmp_path / f.relative_to(folder)).read_bytes(), f


def test_cameras_project_as_the_capture_does(tmp_path):
    cameras = replace(SCENE.cameras, K=SCENE.cameras.K + np.array([[3.0, 0, 11], [0, -7, -5], [0, 0, 0]]))
    stage = Usd.Stage.CreateInMemory()
    assert add_cameras(stage, "/C", cameras, most=2) == [0, 3]
    p = Key(0).rng().uniform(-0.2, 0.2, (20, 3))
    for i in (0, 3):
        frustum = UsdGeom.Camera(stage.GetPrimAtPath(f"/C/frame_{i:05d}")).GetCamera(Usd.TimeCode.Default()).frustum
        M = np.array(frustum.ComputeViewMatrix() * frustum.ComputeProjectionMatrix())
        clip = np.c_[p, np.ones(20)] @ M
        ndc = clip[:, :2] / clip[:, 3:]
        w, h = cameras.size_wh[i]
        got = np.stack([(ndc[:, 0] + 1) / 2 * w, (1 - ndc[:, 1]) / 2 * h], axis=1)
        pc = (np.c_[p, np.ones(20)] @ cameras.T_camera_world[i].T)[:, :3]
        want = (pc @ cameras.K[i].T)[:, :2] / pc[:, 2:]
        assert np.allclose(got, want, atol=0.01)


@given(st.floats(-np.pi, np.pi), st.floats(0.2, 1.57), st.floats(0.005, 0.25))
def test_the_key_light_shines_along_its_direction_as_wide_as_it_is(azimuth, elevation, softness):
    d = -np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    stage = Usd.Stage.CreateInMemory()
    light = replace(Light.default(), direction=d, softness=softness)
    add_lights(stage, "/L", light)
    T = UsdGeom.Xformable(stage.GetPrimAtPath("/L/key")).ComputeLocalToWorldTransform(Usd.TimeCode.Default())
    assert np.allclose(T.TransformDir(Gf.Vec3d(0, 0, -1)), d, atol=1e-6)
    stage.GetPrimAtPath("/L").GetVariantSet("exposure").SetVariantSelection("unit")
    key = UsdLux.DistantLight(stage.GetPrimAtPath("/L/key"))
    assert np.tan(np.radians(key.GetAngleAttr().Get() / 2)) == pytest.approx(softness, rel=1e-3)
    assert np.allclose(
        np.array(key.GetColorAttr().Get()) * key.GetIntensityAttr().Get(), np.pi * light.key_rgb, rtol=1e-5
    )


@pytest.mark.parametrize("k", [1, 4, 16])
def test_splats_read_back(tmp_path, k):
    rng = Key(1).rng()
    q = rng.normal(size=(50, 4))
    cloud = SplatCloud(
        means=rng.normal(size=(50, 3)), quats_wxyz=q / np.linalg.norm(q, axis=1, keepdims=True),
        scales=rng.uniform(0.01, 0.1, (50, 3)), opacities=rng.uniform(0, 1, 50), sh=rng.normal(size=(50, k, 3)),
    )  # fmt: skip
    back = read_splat(write_splat(cloud, tmp_path / "s.usd", name="S", text="background"))
    for field in ("means", "quats_wxyz", "scales", "opacities"):
        assert np.array_equal(getattr(back, field), getattr(cloud, field)), field
    assert np.array_equal(back.sh[:, :k], cloud.sh) and not back.sh[:, k:].any()


def drawn(stage) -> dict[str, set[str]]:
    """Top prim → types of what it draws."""
    tops = [stage.GetPrimAtPath("/World/Background"), *stage.GetPrimAtPath("/World/Props").GetChildren()]
    return {
        t.GetName(): {
            p.GetTypeName()
            for p in Usd.PrimRange(t)
            if UsdGeom.Gprim(p) and UsdGeom.Imageable(p).ComputeVisibility() == "inherited"
        }
        for t in tops
    }  # fmt: skip


def test_one_variant_set_says_how_everything_appears(folder):
    splat, mesh = {"ParticleField3DGaussianSplat"}, {"Mesh"}
    stage = Usd.Stage.Open(str(folder / "scene.usda"))
    variants = stage.GetDefaultPrim().GetVariantSet("appearance")
    assert set(variants.GetVariantNames()) == {"splat", "mesh", "both", "mixed"}
    assert variants.GetVariantSelection() == "mixed"
    want = {
        "mixed": {"Background": splat, "block": mesh}, "mesh": {"Background": mesh, "block": mesh},
        "splat": {"Background": splat, "block": splat}, "both": {"Background": splat | mesh, "block": splat | mesh},
    }  # fmt: skip
    for name, parts in want.items():
        variants.SetVariantSelection(name)
        assert drawn(stage) == {**parts, "cube": mesh, "can": mesh}, name
        bodies = [p for p in Usd.PrimRange(stage.GetPrimAtPath("/World/Props/block")) if p.HasAPI(UsdPhysics.CollisionAPI)]
        assert len(bodies) == 1


def test_an_assets_splat_reads_back_in_its_frame(folder):
    block = SCENE.asset("block")
    back = read_splat((folder / asset_file("block")).parent / "splat" / "block_splat.usd")
    assert np.array_equal(back.means, block.splat.means) and np.array_equal(back.sh, block.splat.sh)
    stage = Usd.Stage.Open(str(folder / "scene.usda"))
    stage.GetDefaultPrim().GetVariantSet("appearance").SetVariantSelection("splat")
    prim = stage.GetPrimAtPath("/World/Props/block/Splat/gaussians")
    T = np.array(UsdGeom.Xformable(prim).ComputeLocalToWorldTransform(Usd.TimeCode.Default())).T
    assert np.allclose(T, block.T_world_asset.matrix, atol=1e-9)


@pytest.mark.parametrize(("variant", "token", "schema"), [
    ("sdf", "sdf", "PhysxSDFMeshCollisionAPI"),
    ("decomposition", "convexDecomposition", "PhysxConvexDecompositionCollisionAPI"),
    ("hulls", "convexHull", "PhysxConvexHullCollisionAPI"),
])  # fmt: skip
def test_collision_variants(folder, variant, token, schema):
    stage = Usd.Stage.Open(str(folder / asset_file("can")))
    root = stage.GetDefaultPrim()
    assert root.GetVariantSet("collision").GetVariantSelection() == "hulls"
    root.GetVariantSet("collision").SetVariantSelection(variant)
    (prim,) = [p for p in stage.Traverse() if p.HasAPI(UsdPhysics.CollisionAPI)]
    assert UsdPhysics.MeshCollisionAPI(prim).GetApproximationAttr().Get() == token
    assert schema in prim.GetPrimTypeInfo().GetAppliedAPISchemas()
    assert UsdGeom.Imageable(prim).ComputePurpose() == "guide"
    for purpose in ("physics", ""):
        bound = UsdShade.MaterialBindingAPI(prim).ComputeBoundMaterial(purpose)[0]
        assert bound.GetPrim().HasAPI(UsdPhysics.MaterialAPI)
    points = np.array(UsdGeom.Mesh(prim).GetPointsAttr().Get())
    assert np.allclose([points.min(0), points.max(0)], SCENE.asset("can").visual.bounds, atol=1e-6)
    assert issues(folder / asset_file("can")) == []


def test_what_simready_asks_of_a_prop(folder):
    for asset in SCENE.assets:
        file = folder / asset_file(asset.name)
        assert [p.name for p in file.parent.glob("*.usd*")] == [file.name]
        stage = Usd.Stage.Open(str(file))
        facts = stage.GetRootLayer().customLayerData["SimReady_Metadata"]
        assert facts["mass"] == pytest.approx(asset.mass_kg.value) and facts["rigid_body_count"] == 1
        assert np.allclose(facts["asset_extents"], asset.extents_m)
        assert facts["qcode"] == ("Q188075" if asset.name == "block" else "Q223557")
        from phone2sim.images import read_rgb

        thumbnail = read_rgb(file.parent / ".thumbs" / "256x256" / f"{file.name}.png")
        assert thumbnail.shape == (256, 256, 3) and thumbnail.std() > 5
        colors = UsdGeom.Mesh(stage.GetPrimAtPath(f"/{asset.name}/Geometry/mesh")).GetDisplayColorAttr().Get()
        want = srgb_to_linear(asset.visual.texture / 255.0).reshape(-1, 3).mean(axis=0)
        assert np.allclose(colors[0], want, atol=0.02)


@pytest.mark.parametrize("turn", [1, -1])
def test_slab_is_closed_outward_and_right(turn):
    outline = np.array([[0, 0], [1, 0], [1.2, 0.5], [0.5, 1], [0, 0.7]])[::turn]
    m = slab(outline).welded()
    assert m.is_watertight and m.volume == pytest.approx(0.06 * 0.9, rel=1e-6)


def test_weld_drops_doubles_and_collapsed_faces():
    v = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0], [5, 5, 5]])
    points, faces, kept = weld(v, np.array([[0, 1, 2], [0, 3, 1]]))
    assert (
        len(points) == 3
        and faces.tolist() == [[points.tolist().index(v[i].tolist()) for i in (0, 1, 2)]]
        and kept.tolist() == [0]
    )


def test_impossible_bodies_are_named(tmp_path):
    bad = replace(box_asset("cube"), inertia=Inertia(center_of_mass=np.zeros(3), moments=np.diag([1.0, 1, 5])))
    with pytest.raises(AssetError, match="cube: principal moments .* break the triangle inequality"):
        write_usd(scene_of(bad), tmp_path)
    weightless = replace(box_asset("cube"), mass_kg=Interval.exact(0.0))
    with pytest.raises(AssetError, match="cube: mass 0 kg must be positive"):
        write_usd(scene_of(weightless), tmp_path)


def test_a_nurec_volume_says_the_same_splats(tmp_path):
    from phone2sim.sim_export.usd.nurec import read_nurec, write_nurec

    rng = Key(2).rng()
    q = rng.normal(size=(40, 4))
    cloud = SplatCloud(
        means=rng.uniform(-1, 1, (40, 3)), quats_wxyz=q / np.linalg.norm(q, axis=1, keepdims=True),
        scales=rng.uniform(0.003, 0.1, (40, 3)), opacities=rng.uniform(0.01, 0.99, 40), sh=rng.normal(size=(40, 4, 3)),
    )  # fmt: skip
    write_usd(replace(SCENE, background=cloud), tmp_path, CONFIG)
    stage = Usd.Stage.Open(str(write_nurec(cloud, tmp_path)))
    volume = stage.GetPrimAtPath("/World/Background/nurec/gauss")
    assert volume.GetAttribute("omni:nurec:isNuRecVolume").Get() is True
    assert not [p for p in stage.Traverse() if p.GetTypeName().startswith("ParticleField")]
    payload = volume.GetChild("density_field").GetAttribute("filePath").Get()
    back = read_nurec(open(payload.resolvedPath, "rb").read())
    for field, atol in (("means", 1e-3), ("quats_wxyz", 1e-3), ("opacities", 2e-3)):
        assert np.allclose(getattr(back, field), getattr(cloud, field), atol=atol), field
    assert np.allclose(back.scales, cloud.scales, rtol=3e-3)
    assert np.allclose(back.sh[:, :4], cloud.sh, atol=2e-3) and not back.sh[:, 4:].any()
    packed = Usd.Stage.Open(str(tmp_path / "nurec" / "background.usdz"))
    assert packed.GetDefaultPrim().GetName() == "BackgroundNuRec"
    import zipfile

    assert "background.nurec" in zipfile.ZipFile(tmp_path / "nurec" / "background.usdz").namelist()
    assert not any("nurec" in n for n in zipfile.ZipFile(tmp_path / "scene.usdz").namelist())
