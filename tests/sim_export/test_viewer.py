"""The browser viewer: what is sent is what the scene and the episodes hold."""

import os
import re
import signal
import subprocess
import sys
import urllib.request

import numpy as np
import pytest

from phone2sim.cli import main
from phone2sim.poses import Pose, quat_to_matrix
from phone2sim.sim_export.generate import GenerateConfig, generate
from phone2sim.sim_export.pictures import PartPoses
from phone2sim.sim_export.viewer import show_dataset, show_scene
from phone2sim.sim_export.viewer.draw import covariances
from phone2sim.sim_export.viewer.scene import describe
from tests.sim_export.scenes import box_asset, cube_scene


@pytest.fixture
def server():
    import viser

    s = viser.ViserServer(host="127.0.0.1", port=18080, verbose=False)
    yield s
    s.stop()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("viewer")
    cube_scene().save(folder / "scene" / "scene")
    generate(folder / "scene", folder / "picks", GenerateConfig(episodes=2, seed=3, pictures=False))
    return folder


def test_a_host_that_is_no_address_of_this_machine(tmp_path, capfd):
    cube_scene().save(tmp_path / "scene" / "scene")
    assert main(["view", str(tmp_path / "scene"), "--host", "203.0.113.7"]) == 2
    assert capfd.readouterr().err.startswith("error: --host 203.0.113.7 cannot be listened on (Cannot assign requested address).")


def test_covariances_have_the_gaussians_axes_and_widths():
    cloud = cube_scene().background
    rng = np.random.default_rng(0)
    q = rng.normal(size=(len(cloud), 4))
    cloud = type(cloud)(means=cloud.means, quats_wxyz=q / np.linalg.norm(q, axis=1, keepdims=True), scales=cloud.scales, opacities=cloud.opacities, sh=cloud.sh)
    got = covariances(cloud)
    width, _ = np.linalg.eigh(got)
    assert np.allclose(width, np.sort(cloud.scales**2, axis=1), rtol=1e-3, atol=1e-10)
    axis = quat_to_matrix(cloud.quats_wxyz)[:, :, 0]
    assert np.allclose(np.einsum("nij,nj->ni", got, axis), cloud.scales[:, :1] ** 2 * axis, atol=1e-8)


def test_objects_are_shown_one_way_at_a_time(server):
    scene = cube_scene()
    view = show_scene(server, scene)
    for how in ("hulls", "splats", "none", "meshes"):
        view.how.value = how
        shown = {name for name, nodes in view.objects.items() if any(n.visible for n in nodes)}
        assert shown == ({how} if view.objects.get(how) else set())
    assert len(view.objects["meshes"]) == len(scene.assets)
    for node, a in zip(view.objects["meshes"], scene.assets):
        assert np.allclose(node.position, a.T_world_asset.translation) and np.allclose(node.wxyz, a.T_world_asset.quat_wxyz)


def test_an_estimate_is_told_with_its_interval():
    a = box_asset("crate")
    text = describe(a)
    assert "**crate**" in text
    assert f"{1e3 * a.mass_kg.value:.0f} ({1e3 * a.mass_kg.low:.0f} to {1e3 * a.mass_kg.high:.0f}) g" in text


def test_playing_moves_everything_where_the_episode_says(server, dataset):
    from phone2sim.assets.scene import Scene

    folders = sorted((dataset / "picks" / "episodes").iterdir())
    view = show_dataset(server, Scene.load(dataset / "scene"), folders)
    view.frame.value = 100
    e = view.episode
    for node, T in zip(view.nodes, PartPoses(e.spec, e.robot_bodies).of(e.object_poses[100], e.robot_poses[100]), strict=True):
        assert np.allclose(Pose(np.array(node.position), np.array(node.wxyz)).matrix, T, atol=1e-6)
    for node, pose in zip(view.nodes, e.object_poses[100]):
        assert np.allclose(node.position, pose[:3], atol=1e-6)
    view.step()
    assert view.frame.value == 101
    view.frame.value = len(view.episode) - 1
    view.step()
    assert view.frame.value == 0
    first = view.episode.spec.index
    view.which.value = folders[1].name
    assert view.episode.spec.index != first and len(view.nodes) == view.poses.shape[1]


def test_the_command_serves_a_page_until_interrupted(dataset):
    program = "import sys; from phone2sim.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "view", str(dataset / "picks"), "--port", "18123"]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, "COLUMNS": "200"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )  # fmt: skip
    try:
        url = re.search(r"http://\S+\d", child.stdout.readline())[0]
        with urllib.request.urlopen(url, timeout=30) as page:
            assert page.status == 200 and b"<html" in page.read()
    finally:
        child.send_signal(signal.SIGINT)
        try:
            code = child.wait(timeout=60)
        finally:
            child.kill()
    assert code == 0


def test_mistakes_get_one_line(dataset, tmp_path, capsys):
    assert main(["view", str(tmp_path / "none")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert main(["view", str(tmp_path)]) == 2
    assert "is not a finished scene" in capsys.readouterr().err
    (dataset / "picks").rename(tmp_path / "picks")
    assert main(["view", str(tmp_path / "picks")]) == 2
    assert "--scene" in capsys.readouterr().err
    (tmp_path / "picks").rename(dataset / "picks")
