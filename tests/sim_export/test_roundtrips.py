"""Every format read back by a reader that is not ours says the same thing again: MuJoCo for MJCF and URDF, trimesh for GLB."""

import shutil
from dataclasses import replace
from xml.etree import ElementTree as ET

import mujoco
import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from phone2sim.assets.mesh import TexturedMesh
from phone2sim.assets.scene import Inertia
from phone2sim.keys import Key
from phone2sim.poses import Pose, quat_to_matrix
from phone2sim.reconstruct.cameras import evenly
from phone2sim.sim_export.glb import write_glb
from phone2sim.sim_export.mjcf import ROLLING, build_mjcf, write_mjcf
from phone2sim.sim_export.urdf import write_urdf
from tests.sim_export.scenes import box_asset, can_asset, scene_of


def turned(asset, seed):
    """The asset in a skew pose, its mass off-centre and its inertia turned away from the axes."""
    rng = Key(seed).rng()
    q = rng.normal(size=4)
    R = quat_to_matrix(q / np.linalg.norm(q))
    inertia = Inertia(
        center_of_mass=rng.uniform(-0.01, 0.01, 3), moments=R @ np.diag(np.diag(asset.inertia.moments)) @ R.T
    )
    p = rng.normal(size=4)
    return replace(asset, T_world_asset=Pose(rng.uniform(-1, 1, 3), p / np.linalg.norm(p)), inertia=inertia)


CUBE, CAN = turned(box_asset("cube", size=(0.05, 0.06, 0.09)), 1), turned(can_asset("can"), 2)
TWO = replace(CAN, name="two", hulls=(*CAN.hulls, box_asset("x", size=(0.02, 0.02, 0.03)).hulls[0]))
SCENE = scene_of(CUBE, CAN, TWO)


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """MJCF written in one place and read in another."""
    root = tmp_path_factory.mktemp("mjcf")
    write_mjcf(SCENE, root / "first", cameras=3)
    shutil.move(root / "first", root / "second")
    return mujoco.MjModel.from_xml_path(str(root / "second" / "scene.xml"))


def mesh_of(model, geom) -> np.ndarray:
    """(v, 3) vertices of a mesh geom in its body's frame."""
    g = model.geom(geom)
    m = int(g.dataid[0])
    v = model.mesh_vert[model.mesh_vertadr[m] : model.mesh_vertadr[m] + model.mesh_vertnum[m]]
    return v @ quat_to_matrix(g.quat).T + g.pos


def same_points(a: np.ndarray, b: np.ndarray, atol: float) -> bool:
    """Each point of one is near one of the other."""
    d = np.linalg.norm(a[:, None].astype(float) - b[None], axis=-1)
    return bool(d.min(axis=0).max() < atol and d.min(axis=1).max() < atol)


@pytest.mark.parametrize("asset", SCENE.assets, ids=lambda a: a.name)
def test_mjcf_keeps_every_hull_visual_and_picture(moved, asset):
    for i, hull in enumerate(asset.hulls):
        assert same_points(mesh_of(moved, f"{asset.name}_hull_{i:03d}"), hull.vertices, 1e-5)
    assert same_points(mesh_of(moved, f"{asset.name}_visual"), asset.visual.vertices, 1e-5)
    geom = moved.geom(f"{asset.name}_visual")
    texture = int(moved.mat_texid[int(geom.matid[0])][mujoco.mjtTextureRole.mjTEXROLE_RGB])
    h, w = int(moved.tex_height[texture]), int(moved.tex_width[texture])
    start = int(moved.tex_adr[texture])
    picture = moved.tex_data[start : start + 3 * h * w].reshape(h, w, 3)
    assert np.array_equal(picture, asset.visual.texture) or np.array_equal(picture[::-1], asset.visual.texture)


@pytest.mark.parametrize("asset", SCENE.assets, ids=lambda a: a.name)
def test_mjcf_keeps_mass_centre_and_inertia(moved, asset):
    body = moved.body(asset.name)
    assert body.mass[0] == pytest.approx(asset.mass_kg.value, rel=1e-5)
    assert np.allclose(body.ipos, asset.inertia.center_of_mass, atol=1e-6)
    R = quat_to_matrix(body.iquat)
    assert np.allclose(R @ np.diag(body.inertia) @ R.T, asset.inertia.moments, atol=1e-4 * asset.inertia.moments.max())
    got = Pose(body.pos.copy(), body.quat.copy())
    assert np.allclose(got.matrix, asset.T_world_asset.matrix, atol=1e-6)


def test_mjcf_writes_the_friction_of_each_pair(moved):
    assert moved.npair == sum(len(a.hulls) for a in SCENE.assets)
    for a in SCENE.assets:
        for i in range(len(a.hulls)):
            p = moved.pair(f"{a.name}_hull_{i:03d}_table")
            assert np.allclose(p.friction, [a.friction.value] * 2 + [ROLLING[0], ROLLING[1], ROLLING[1]])


def test_the_pairs_change_nothing_but_what_is_added_later():
    """The same contacts as by the rule of the larger friction, until a surface is made sticky."""
    scene = scene_of(box_asset("cube"), can_asset("can", xy=(0.2, 0.1)))

    def run(pairs, sticky):
        spec = build_mjcf(scene)
        if not pairs:
            for p in list(spec.pairs):
                spec.delete(p)
        if sticky:
            spec.geom("table").friction[0] = 3.0
        spec.option.gravity = [8.0, 0.0, -6.0]
        model = spec.compile()
        data = mujoco.MjData(model)
        mujoco.mj_step(model, data, 300)
        return data.qpos.copy()

    assert np.allclose(run(True, False), run(False, False), atol=1e-6)
    assert np.allclose(run(True, True), run(True, False), atol=1e-6)
    assert not np.allclose(run(False, True), run(False, False), atol=1e-2)


def test_mjcf_cameras_see_as_the_capture(moved):
    chosen = evenly(len(SCENE.cameras), 3)
    assert moved.ncam == len(chosen) == 3
    data = mujoco.MjData(moved)
    mujoco.mj_forward(moved, data)
    for i in chosen:
        scene, view = mujoco.MjvScene(moved, 200), mujoco.MjvCamera()
        view.type, view.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, moved.camera(f"frame_{i:05d}").id
        mujoco.mjv_updateScene(moved, data, mujoco.MjvOption(), None, view, mujoco.mjtCatBit.mjCAT_ALL, scene)
        c = scene.camera[0]
        forward, up = np.array(c.forward), np.array(c.up)
        eye = (np.array(scene.camera[0].pos) + np.array(scene.camera[1].pos)) / 2  # between a pair's two
        p = Key(i).rng().uniform(-0.3, 0.3, (20, 3))
        local = (p - eye) @ np.stack([np.cross(forward, up), up, forward]).T
        x, y = local[:, 0] / local[:, 2] * c.frustum_near, local[:, 1] / local[:, 2] * c.frustum_near
        w, h = SCENE.cameras.size_wh[i]
        u = (x - c.frustum_center + c.frustum_width) / (2 * c.frustum_width) * w
        v = (c.frustum_top - y) / (c.frustum_top - c.frustum_bottom) * h
        seen = (np.c_[p, np.ones(20)] @ SCENE.cameras.T_camera_world[i].T)[:, :3] @ SCENE.cameras.K[i].T
        assert np.allclose(np.c_[u, v], seen[:, :2] / seen[:, 2:], atol=0.02)


@pytest.mark.parametrize("asset", SCENE.assets, ids=lambda a: a.name)
def test_urdf_read_by_mujoco(tmp_path, asset):
    """A URDF's root link is bolted down; hung on a floating joint, MuJoCo gives its body back."""
    path = write_urdf(asset, tmp_path / "first")
    folder = shutil.move(tmp_path / "first", tmp_path / "second")
    robot = ET.parse(f"{folder}/{path.name}").getroot()
    ET.SubElement(robot, "link", name="world")
    joint = ET.SubElement(robot, "joint", name="free", type="floating")
    ET.SubElement(joint, "parent", link="world")
    ET.SubElement(joint, "child", link=asset.name)
    compiler = ET.SubElement(ET.SubElement(robot, "mujoco"), "compiler", strippath="false", balanceinertia="false")
    assert compiler is not None
    (tmp_path / "second" / "hung.urdf").write_text(ET.tostring(robot, encoding="unicode"))
    model = mujoco.MjModel.from_xml_path(f"{folder}/hung.urdf")
    body = model.body(asset.name)
    assert body.mass[0] == pytest.approx(asset.mass_kg.value, rel=1e-6)
    assert np.allclose(body.ipos, asset.inertia.center_of_mass, atol=1e-7)
    R = quat_to_matrix(body.iquat)
    assert np.allclose(R @ np.diag(body.inertia) @ R.T, asset.inertia.moments, atol=1e-5 * asset.inertia.moments.max())
    geoms = [g for g in range(model.ngeom) if model.geom_bodyid[g] == body.id]
    assert len(geoms) == len(asset.hulls)
    for g, hull in zip(geoms, asset.hulls):
        assert same_points(mesh_of(model, g), hull.vertices, 1e-6)
    visual = robot.find("link/visual/geometry/mesh").get("filename")
    assert np.array_equal(TexturedMesh.load_glb(tmp_path / "second" / visual).texture, asset.visual.texture)


def test_glb_of_the_scene_read_by_trimesh(tmp_path):
    scene = replace(SCENE, background_mesh=CUBE.visual)
    glb = trimesh.load(write_glb(scene, tmp_path / "scene.glb"), process=False)
    z_up = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    rows = [(a.name, a.visual, a.T_world_asset.matrix) for a in SCENE.assets] + [("background", CUBE.visual, np.eye(4))]
    for name, mesh, T in rows:
        node, geometry = glb.graph[name]
        back = glb.geometry[geometry]
        assert np.allclose(z_up @ node, T, atol=1e-6)
        assert np.allclose(back.vertices, mesh.vertices, atol=1e-7) and np.array_equal(back.faces, mesh.faces)
        assert np.allclose(back.visual.uv, mesh.uv, atol=1e-6)
        assert np.array_equal(np.asarray(back.visual.material.baseColorTexture.convert("RGB")), mesh.texture)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_glb_of_a_mesh_is_the_mesh(tmp_path_factory, seed, textured):
    rng = Key(seed).rng()
    v = rng.uniform(-1, 1, (12, 3)).astype(np.float32)
    f = rng.integers(0, 12, (20, 3))
    extra = {"uv": rng.uniform(0, 1, (12, 2)), "texture": rng.integers(0, 256, (8, 16, 3)).astype(np.uint8)}
    mesh = TexturedMesh(vertices=v, faces=f, **(extra if textured else {}))
    path = tmp_path_factory.mktemp("glb") / "m.glb"
    mesh.save_glb(path)
    back = TexturedMesh.load_glb(path)
    assert np.array_equal(back.vertices, mesh.vertices) and np.array_equal(back.faces, mesh.faces)
    if textured:
        assert np.allclose(back.uv, mesh.uv, atol=1e-6) and np.array_equal(back.texture, mesh.texture)
    else:
        assert back.texture is None
