"""An episode as a USD layer: composed over the scene it says what the spec says, and nothing of the scene is lost."""

import time
from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest
from pxr import Usd, UsdGeom, UsdLux, UsdPhysics, UsdShade, UsdUtils, UsdValidation

from phone2sim.augment.recipe import load_recipe
from phone2sim.augment.sampler import sample_episode, workspace_of
from phone2sim.augment.spec import ObjectSpec, PoseSpec, SurfaceSpec, TextureSpec
from phone2sim.errors import InputError
from phone2sim.images import read_rgb
from phone2sim.keys import Key
from phone2sim.poses import Pose, quat_to_matrix
from phone2sim.sim_export.render.retexture import painted
from phone2sim.sim_export.robots import get_robot
from phone2sim.sim_export.usd import (
    RobotReference,
    build_episode_layer,
    write_articulation,
    write_episode_layer,
    write_usd,
)
from phone2sim.sim_export.usd.config import UsdConfig
from phone2sim.sim_export.usd.dataset import write_strangers
from phone2sim.sim_export.usd.robot import link_poses
from tests.sim_export.scenes import box_asset, cube_scene

SCENE = cube_scene(cans=2, boxes=2)
OWN = RobotReference(path="./robot/p2s_arm.usd", own=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("dataset")
    write_usd(SCENE, out / "scene")
    write_articulation(get_robot("p2s_arm"), out / "robot" / "p2s_arm.usd")
    return out


def spec_of(index=0, **clutter):
    recipe = load_recipe("default")
    return sample_episode(SCENE, recipe, Key(3), index, workspace=workspace_of(SCENE, recipe))


def crowded(n=12):
    """A spec with copies of assets in a row."""
    spec = spec_of()
    extra = tuple(
        ObjectSpec(
            name=f"can_0_{i}", asset="can_0", role="clutter", mass_kg=0.1 + 0.01 * i, friction=0.5,
            pose=PoseSpec(translation=(0.05 * i, 0.3, 0.0), quat_wxyz=(1, 0, 0, 0)), rgb_gain=(1.1, 0.9, 1.0),
        )
        for i in range(2, 2 + n)
    )  # fmt: skip
    return spec.model_copy(update={"objects": spec.objects + extra})


def matrix(prim) -> np.ndarray:
    return np.array(UsdGeom.Xformable(prim).ComputeLocalToWorldTransform(Usd.TimeCode.Default())).T


def bodies_of(stage) -> dict:
    """Name → prim of every rigid body that is not a robot's."""
    props = Usd.PrimRange(stage.GetPrimAtPath("/World/Props"))
    return {p.GetName(): p for p in props if p.HasAPI(UsdPhysics.RigidBodyAPI)}


@pytest.mark.parametrize("make", [spec_of, crowded])
def test_the_stage_says_what_the_spec_says(folder, make):
    spec = make()
    path = write_episode_layer(spec, SCENE, folder / f"{make.__name__}.usda", robot=OWN)
    assert path.stat().st_size < 20_000
    stage = Usd.Stage.Open(str(path))
    bodies = bodies_of(stage)
    assert set(bodies) == {o.name for o in spec.objects}
    for o in spec.objects:
        prim, asset = bodies[o.name], SCENE.asset(o.asset)
        want = Pose(np.array(o.pose.translation), np.array(o.pose.quat_wxyz)).matrix
        assert np.allclose(matrix(prim), want, atol=1e-8)
        mass = UsdPhysics.MassAPI(prim)
        assert mass.GetMassAttr().Get() == pytest.approx(o.mass_kg)
        q = mass.GetPrincipalAxesAttr().Get()
        R = quat_to_matrix(np.array([q.GetReal(), *q.GetImaginary()]))
        inertia = R @ np.diag(np.array(mass.GetDiagonalInertiaAttr().Get())) @ R.T
        scaled = asset.inertia.moments * o.mass_kg / asset.mass_kg.value
        assert np.allclose(inertia, scaled, atol=1e-5 * scaled.max())
        colliders = [p for p in Usd.PrimRange(prim) if p.HasAPI(UsdPhysics.CollisionAPI)]
        assert len(colliders) == len(asset.hulls)
        for purpose in ("physics", ""):
            bound = UsdShade.MaterialBindingAPI(colliders[0]).ComputeBoundMaterial(purpose)[0]
            assert UsdPhysics.MaterialAPI(bound).GetDynamicFrictionAttr().Get() == pytest.approx(o.friction)
        look = UsdShade.Shader(prim.GetPrimAtPath("Looks/Visual/Albedo"))
        assert np.allclose(look.GetInput("scale").Get(), [*o.rgb_gain, 1])
    group = UsdPhysics.CollisionGroup(stage.GetPrimAtPath("/World/CollisionGroups/props"))
    members = group.GetCollidersCollectionAPI().ComputeMembershipQuery()
    assert all(members.IsPathIncluded(p.GetPath()) for p in bodies.values())
    about = stage.GetPrimAtPath("/World/Episode").GetCustomDataByKey("phone2sim")
    assert (about["task"]["language"], about["key"]) == (spec.task.language, spec.key)
    assert about["sensor"]["noise_std"] == spec.sensor.noise_std
    for i, goal in enumerate(spec.task.goals):
        assert np.allclose(matrix(stage.GetPrimAtPath(f"/World/Episode/Goals/goal_{i}"))[:3, 3], goal.xyz)
    _, _, unresolved = UsdUtils.ComputeAllDependencies(str(path))
    assert not unresolved


def test_lights_follow_the_spec_in_both_exposures(folder):
    spec = spec_of(1)
    stage = Usd.Stage.Open(str(write_episode_layer(spec, SCENE, folder / "light.usda")))
    lights = stage.GetPrimAtPath("/World/Lights")
    for exposure, unit in (("rtx", 1000.0), ("unit", 1.0)):
        lights.GetVariantSet("exposure").SetVariantSelection(exposure)
        key, dome = (UsdLux.LightAPI(stage.GetPrimAtPath(f"/World/Lights/{n}")) for n in ("key", "dome"))
        level = np.array(key.GetColorAttr().Get()) * key.GetIntensityAttr().Get()
        assert np.allclose(level, np.pi * np.array(spec.lights.key_rgb) * unit, rtol=1e-5)
        ambient = np.array(spec.lights.ambient_sh[0]) * 0.282095 * unit
        assert np.allclose(np.array(dome.GetColorAttr().Get()) * dome.GetIntensityAttr().Get(), ambient, rtol=1e-5)
    shines = matrix(stage.GetPrimAtPath("/World/Lights/key"))[:3, :3] @ [0, 0, -1]
    assert np.allclose(shines, spec.lights.direction, atol=1e-6)
    angle = UsdLux.DistantLight(stage.GetPrimAtPath("/World/Lights/key")).GetAngleAttr().Get()
    assert np.tan(np.radians(angle / 2)) == pytest.approx(spec.lights.softness, rel=1e-3)


def test_cameras_project_as_the_spec_does(folder):
    spec = spec_of(2)
    stage = Usd.Stage.Open(str(write_episode_layer(spec, SCENE, folder / "camera.usda")))
    p = Key(0).rng().uniform(-0.2, 0.2, (20, 3))
    for c in spec.cameras:
        prim = stage.GetPrimAtPath(f"/World/Episode/Cameras/{c.name}")
        frustum = UsdGeom.Camera(prim).GetCamera(Usd.TimeCode.Default()).frustum
        clip = np.c_[p, np.ones(20)] @ np.array(frustum.ComputeViewMatrix() * frustum.ComputeProjectionMatrix())
        ndc = clip[:, :2] / clip[:, 3:]
        got = np.stack([(ndc[:, 0] + 1) / 2 * c.width, (1 - ndc[:, 1]) / 2 * c.height], axis=1)
        T = Pose(np.array(c.pose.translation), np.array(c.pose.quat_wxyz)).inverse()
        pixel = T.apply(p) @ np.array(c.K).T
        assert np.allclose(got, pixel[:, :2] / pixel[:, 2:], atol=0.01)
        assert tuple(prim.GetCustomDataByKey("phone2sim:size_wh")) == (c.width, c.height)


def test_the_arm_stands_as_mujoco_stands_it(folder):
    spec = spec_of(4)
    robot = get_robot("p2s_arm")
    model = robot.build(visual=False).compile()
    data = mujoco.MjData(model)
    data.qpos[: len(robot.joints)] = spec.robot.qpos
    data.qpos[len(robot.joints) :] = robot.finger_positions(spec.robot.gripper)
    mujoco.mj_kinematics(model, data)
    base = Pose(np.array(spec.robot.base.translation), np.array(spec.robot.base.quat_wxyz)).matrix
    stage = Usd.Stage.Open(str(write_episode_layer(spec, SCENE, folder / "arm.usda", robot=OWN)))
    for body in link_poses(robot, spec.robot.qpos, spec.robot.gripper):
        got = matrix(stage.GetPrimAtPath(f"/World/Episode/Robot/{body}"))
        want = np.eye(4)
        want[:3, :3], want[:3, 3] = data.body(body).xmat.reshape(3, 3), data.body(body).xpos
        assert np.allclose(got, base @ want, atol=1e-6), body
    meshes = [p for p in Usd.PrimRange(stage.GetPrimAtPath("/World/Episode/Robot")) if p.GetTypeName() == "Mesh"]
    assert len(meshes) == len(robot.render_parts())


def test_a_users_robot_is_referenced_and_told_how_it_starts(folder):
    spec = spec_of()
    layer = build_episode_layer(spec, SCENE, robot=RobotReference(path="https://robots.example/franka.usd"))
    robot = layer.GetPrimAtPath("/World/Episode/Robot")
    assert [r.assetPath for r in robot.referenceList.prependedItems] == ["https://robots.example/franka.usd"]
    assert list(robot.customData["phone2sim"]["qpos"]) == list(spec.robot.qpos) and not robot.nameChildren


def test_a_spec_the_scene_cannot_give_is_named(folder):
    spec = spec_of()
    with pytest.raises(InputError, match="No support surface 'shelf'"):
        build_episode_layer(spec.model_copy(update={"support": "shelf"}), SCENE)
    stranger = replace(SCENE, assets=(box_asset("stone"),))
    with pytest.raises(InputError, match="No asset"):
        build_episode_layer(spec, stranger)


def test_an_object_may_have_the_name_of_another_asset(folder):
    spec = spec_of()
    odd = spec.objects[0].model_copy(update={"asset": "block_0", "name": "cube"})
    spec = spec.model_copy(update={"objects": (odd,)})
    stage = Usd.Stage.Open(str(write_episode_layer(spec, SCENE, folder / "odd.usda")))
    (body,) = bodies_of(stage).values()
    points = np.array(UsdGeom.Mesh(body.GetPrimAtPath("Geometry/mesh")).GetPointsAttr().Get())
    assert np.allclose(np.ptp(points, axis=0), SCENE.asset("block_0").extents_m, atol=1e-6)


def test_what_is_only_drawn_touches_nothing_and_looks_change(folder):
    spec = spec_of()
    changes = {"physical": False, "restitution": 0.4, "gloss": 0.2}
    spec = spec.model_copy(update={"objects": (spec.objects[0].model_copy(update=changes),)})
    stage = Usd.Stage.Open(str(write_episode_layer(spec, SCENE, folder / "ghost.usda")))
    (body,) = bodies_of(stage).values()
    assert UsdPhysics.RigidBodyAPI(body).GetRigidBodyEnabledAttr().Get() is False
    assert not [p for p in Usd.PrimRange(body) if p.HasAPI(UsdPhysics.CollisionAPI)]
    assert body.GetPrimAtPath("Geometry/mesh")
    bounce = UsdPhysics.MaterialAPI(body.GetPrimAtPath("Looks/Physics")).GetRestitutionAttr().Get()
    assert bounce == pytest.approx(0.4)
    shader = UsdShade.Shader(body.GetPrimAtPath("Looks/Visual/PreviewSurface"))
    assert 0.1 < shader.GetInput("roughness").Get() < 0.6


PAINT = TextureSpec(kind="checker", rgb=(0.8, 0.2, 0.1), rgb_2=(0.1, 0.1, 0.7), repeats=3)


def test_drawn_textures_lie_as_our_renderer_lays_them(folder):
    spec = spec_of()
    changes = {"texture": PAINT, "rgb_gain": (1.0, 1.0, 1.0)}
    target = spec.objects[0].model_copy(update=changes)
    copy = target.model_copy(update={"name": "grown", "asset": f"{target.asset}@1.2"})
    surfaces = SurfaceSpec(table=PAINT, table_tile_m=0.4)
    spec = spec.model_copy(update={"objects": (target, copy), "surfaces": surfaces})
    write_strangers(spec, SCENE, folder / "library", UsdConfig())
    path = write_episode_layer(spec, SCENE, folder / "painted.usda")
    stage = Usd.Stage.Open(str(path))
    assert not stage.GetCompositionErrors() and not UsdUtils.ComputeAllDependencies(str(path))[2]
    want = painted(SCENE.asset(target.asset).visual, PAINT)
    for name in (target.name, "grown"):
        prim = stage.GetPrimAtPath(f"/World/Props/{name}")
        mesh = prim.GetPrimAtPath("Geometry/mesh")
        uv = np.array(UsdGeom.PrimvarsAPI(mesh).GetPrimvar("st").ComputeFlattened())
        assert np.allclose(uv, want.uv, atol=1e-5)
        file = UsdShade.Shader(prim.GetPrimAtPath("Looks/Visual/Albedo")).GetInput("file").Get().resolvedPath
        assert np.array_equal(read_rgb(Path(file)), want.texture)
        size = np.ptp(np.array(UsdGeom.Mesh(mesh).GetPointsAttr().Get()), axis=0)
        assert np.allclose(size, SCENE.asset(target.asset).extents_m * (1.2 if name == "grown" else 1), atol=1e-5)
    table = stage.GetPrimAtPath("/World/Episode/Table")
    st = np.array(UsdGeom.PrimvarsAPI(table).GetPrimvar("st").Get())
    assert np.allclose(st * [0.4, -0.4], SCENE.supports[0].outline, atol=1e-6)
    bound = UsdShade.MaterialBindingAPI(table).ComputeBoundMaterial()[0]
    assert bound.ComputeSurfaceSource()[0].GetIdAttr().Get() == "UsdPreviewSurface"
    context = UsdValidation.ValidationContext(list(UsdValidation.ValidationRegistry().GetOrLoadAllValidators()))
    assert [e.GetMessage() for e in context.Validate(stage)] == []
    assert path.stat().st_size < 20_000


@pytest.mark.parametrize("reference", [OWN, None])
def test_a_wrist_camera_rides_on_its_link(folder, reference):
    spec = spec_of()
    mounted = spec.cameras[0].model_copy(update={"name": "wrist", "mount": "hand", "distortion": (0.1, 0.0, 0.0, 0.0)})
    spec = spec.model_copy(update={"cameras": (mounted,)})
    path = write_episode_layer(spec, SCENE, folder / "wrist.usda", robot=reference)
    stage = Usd.Stage.Open(str(path))
    (camera,) = [p for p in Usd.PrimRange(stage.GetPrimAtPath("/World/Episode")) if p.GetTypeName() == "Camera"]
    base, local = (Pose(np.array(p.translation), np.array(p.quat_wxyz)) for p in (spec.robot.base, mounted.pose))
    hand = link_poses(get_robot("p2s_arm"), spec.robot.qpos, spec.robot.gripper)["hand"]
    want = (base @ hand @ local).matrix @ np.diag([1, -1, -1, 1])
    assert np.allclose(matrix(camera), want, atol=1e-6)
    assert (camera.GetParent().GetName() == "hand") == (reference is OWN)
    assert list(camera.GetCustomDataByKey("phone2sim:distortion")) == [0.1, 0, 0, 0]


def test_the_drives_hold_the_start(folder):
    spec = spec_of(3)
    stage = Usd.Stage.Open(str(write_episode_layer(spec, SCENE, folder / "drives.usda", robot=OWN)))
    robot = get_robot("p2s_arm")
    for joint, angle in zip(robot.joints, spec.robot.qpos):
        drive = UsdPhysics.DriveAPI(stage.GetPrimAtPath(f"/World/Episode/Robot/joints/{joint}"), "angular")
        assert np.radians(drive.GetTargetPositionAttr().Get()) == pytest.approx(angle, abs=1e-6)
    for finger, position in zip(robot.fingers, robot.finger_positions(spec.robot.gripper)):
        drive = UsdPhysics.DriveAPI(stage.GetPrimAtPath(f"/World/Episode/Robot/joints/{finger}"), "linear")
        assert drive.GetTargetPositionAttr().Get() == pytest.approx(position)


def test_a_layer_takes_under_20_ms(folder):
    spec = crowded()
    build_episode_layer(spec, SCENE, robot=OWN)
    start = time.process_time()
    for _ in range(10):
        write_episode_layer(spec, SCENE, folder / "timed.usda", robot=OWN)
    assert (time.process_time() - start) / 10 < 0.02
