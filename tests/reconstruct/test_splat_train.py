"""Training on a small synthetic scene, and the stage around it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from phone2sim.errors import ReconstructionError, ShapeError
from phone2sim.images import write_rgb
from phone2sim.poses import Pose, look_at
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.points import read_points_ply, write_points_ply
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.reconstruct.splat.config import SplatConfig
from phone2sim.reconstruct.splat.rasterize import rasterize
from phone2sim.reconstruct.splat.stage import train_splat_stage
from phone2sim.reconstruct.splat.train import train

W, H, N = 64, 48, 17
K = np.array([[70.0, 0, 32], [0, 70.0, 24], [0, 0, 1]])


def truth(n: int = 6000, seed: int = 0) -> SplatCloud:
    """A bumpy coloured sheet of opaque discs that fills every view, as a room fills a photo."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(-2.6, 2.6, (n, 2))
    z = 0.1 * np.sin(4 * xy[:, 0]) * np.cos(3 * xy[:, 1])
    color = 0.5 + 0.4 * np.stack([np.sin(7 * xy[:, 0]), np.cos(6 * xy[:, 1]), np.sin(5 * xy.sum(1))], 1)
    return SplatCloud(
        means=np.column_stack([xy, z]), quats_wxyz=np.tile([1.0, 0, 0, 0], (n, 1)), scales=np.tile([0.06, 0.06, 0.005], (n, 1)),
        opacities=np.full(n, 0.95), sh=((color - 0.5) / 0.28209479)[:, None],
    )  # fmt: skip


def capture(gain=None):
    cloud = truth()
    poses = [
        look_at(np.array([1.1 * np.cos(a), 1.1 * np.sin(a), 1.2 + 0.2 * np.sin(3 * a)]), np.zeros(3)).matrix
        for a in np.linspace(0, 2 * np.pi, N, endpoint=False)
    ]
    cameras = Cameras(
        T_world_camera=np.array(poses), K=np.tile(K, (N, 1, 1)), size_wh=np.tile([W, H], (N, 1)), distortion=np.zeros((N, 4)),
        names=tuple(f"{i:03d}.png" for i in range(N)),
    )  # fmt: skip
    images = []
    for i in range(N):
        rgb = rasterize(cloud, K=K, T_camera_world=cameras.T_camera_world[i], width=W, height=H).rgb
        images.append((np.clip(rgb * (1 if gain is None else gain[i]), 0, 1) * 255 + 0.5).astype(np.uint8))
    pick = np.random.default_rng(1).permutation(len(cloud))[:2000]
    return images, cameras, cloud.means[pick], (cloud.colors[pick] * 255).astype(np.uint8)


CONFIG = SplatConfig(iterations=300, cap=4000, threads=2)


@pytest.fixture(scope="module")
def trained():
    return train(*capture(), config=CONFIG)


def test_training_raises_held_out_psnr(trained):
    start = train(*capture(), config=CONFIG.model_copy(update={"iterations": 1, "prune": False}))
    assert trained.metrics["psnr"] > start.metrics["psnr"] + 6
    assert trained.metrics["psnr"] > 24 and trained.metrics["ssim"] > 0.8
    assert [row["name"] for row in trained.metrics["heldout"]] == ["000.png", "008.png", "016.png"]
    assert set(trained.renders) == {"000.png", "008.png", "016.png"}
    assert trained.metrics["gaussians"] == len(trained.cloud) <= CONFIG.cap


def test_median_depth_is_on_the_surface(trained):
    _, cameras, _, _ = capture()
    T = cameras.T_camera_world[8]
    a = rasterize(trained.cloud, K=K, T_camera_world=T, width=W, height=H).depth_median[16:32, 20:44]
    b = rasterize(truth(), K=K, T_camera_world=T, width=W, height=H).depth_median[16:32, 20:44]
    assert np.median(np.abs(a - b) / b) < 0.02


def test_same_bytes_at_any_thread_count(tmp_path):
    files = []
    for threads in (1, 2, 3):
        config = SplatConfig(iterations=120, cap=600, threads=threads)
        result = train(*capture(), config=config)
        result.cloud.save_ply(tmp_path / f"{threads}.ply")
        files.append((tmp_path / f"{threads}.ply").read_bytes())
    assert files[0] == files[1] == files[2]


def test_unit_of_length_does_not_matter():
    images, cameras, points, colors = capture()
    config = SplatConfig(iterations=60, cap=600, threads=2)
    one = train(images, cameras, points, colors, config=config)
    big = train(images, cameras.transformed(64.0, np.eye(4)), 64 * points, colors, config=config)
    assert abs(one.metrics["psnr"] - big.metrics["psnr"]) < 0.3
    assert np.median(big.cloud.scales) == pytest.approx(64 * np.median(one.cloud.scales), rel=0.05)


def test_exposure_of_frames_is_explained():
    gain = 1 + 0.2 * np.sin(np.arange(N) * 0.7)
    data = capture(gain)
    config = CONFIG.model_copy(update={"sh_degree": 0})
    with_it = train(*data, config=config).metrics
    without = train(*data, config=config.model_copy(update={"exposure": False})).metrics
    assert with_it["psnr"] > without["psnr"] + 1
    assert with_it["psnr"] > with_it["psnr_raw"] + 1


def test_masked_pixels_do_not_count():
    images, cameras, points, colors = capture()
    masks = [np.ones((H, W), bool) for _ in images]
    spoiled = [im.copy() for im in images]
    for m, im in zip(masks, spoiled):
        m[:, :20] = False
        im[:, :20] = (255, 0, 255)
    config = CONFIG.model_copy(update={"held_out_every": 0, "iterations": 150})
    cloud = train(spoiled, cameras, points, colors, config=config, masks=masks).cloud
    rgb = rasterize(cloud, K=K, T_camera_world=cameras.T_camera_world[3], width=W, height=H).rgb
    assert np.abs(rgb[16:32, 20:44] * 255 - images[3][16:32, 20:44]).mean() < 12


def test_moving_cloud_and_camera_leaves_the_picture():
    rng = np.random.default_rng(4)
    cloud = truth(200)
    cloud = SplatCloud(
        means=cloud.means, quats_wxyz=cloud.quats_wxyz, scales=cloud.scales, opacities=cloud.opacities,
        sh=np.concatenate([cloud.sh, rng.normal(size=(200, 3, 3)) * 0.1], axis=1),
    )  # fmt: skip
    T = look_at(np.array([0.3, 1.0, 1.4]), np.zeros(3)).inverse().matrix
    move = Pose(np.array([2.0, -1.0, 0.5]), rng.normal(size=4))
    a = rasterize(cloud, K=K, T_camera_world=T, width=W, height=H)
    b = rasterize(cloud.moved(move), K=K, T_camera_world=T @ move.inverse().matrix, width=W, height=H)
    assert np.abs(a.rgb - b.rgb).max() < 5e-3 and np.abs(a.alpha - b.alpha).max() < 5e-3
    assert (np.abs(a.depth_median - b.depth_median) > 1e-3).mean() < 0.01


def test_depth_of_a_tilted_disc_is_its_plane():
    """One large flat Gaussian: the depth follows the plane, not the centre."""
    pose = Pose(np.zeros(3), np.array([np.cos(0.4), np.sin(0.4), 0, 0]))
    cloud = SplatCloud(
        means=np.array([[0, 0, 2.0]]), quats_wxyz=pose.quat_wxyz[None], scales=np.array([[0.4, 0.4, 0.002]]),
        opacities=np.array([0.98]), sh=np.zeros((1, 1, 3)),
    )  # fmt: skip
    depth = rasterize(cloud, K=K, T_camera_world=np.eye(4), width=W, height=H).depth_median
    v, u = np.nonzero(depth)
    ray = np.column_stack([(u + 0.5 - 32) / 70, (v + 0.5 - 24) / 70, np.ones(len(u))])
    normal = pose.rotation[:, 2]
    exact = 2 * normal[2] / (ray @ normal)
    assert len(u) > 50 and np.abs(depth[v, u] / exact - 1).max() < 0.05


def test_ply_round_trip(tmp_path, trained):
    trained.cloud.save_ply(tmp_path / "a.ply")
    again = SplatCloud.load_ply(tmp_path / "a.ply")
    for field in ("means", "quats_wxyz", "scales", "opacities", "sh"):
        assert np.allclose(getattr(again, field), getattr(trained.cloud, field), rtol=1e-4, atol=1e-5), field


def test_points_round_trip(tmp_path):
    rng = np.random.default_rng(0)
    xyz, rgb = rng.normal(size=(9, 3)).astype(np.float32), rng.integers(0, 256, (9, 3), dtype=np.uint8)
    write_points_ply(tmp_path / "p.ply", xyz, rgb)
    a, b = read_points_ply(tmp_path / "p.ply")
    assert np.array_equal(a, xyz) and np.array_equal(b, rgb)


def test_bad_input_says_so():
    images, cameras, points, colors = capture()
    with pytest.raises(ReconstructionError, match="too few for a splat"):
        train(images[:2], cameras.take([0, 1]), points, colors, config=CONFIG)
    with pytest.raises(ShapeError, match="17 cameras"):
        train(images[:3], cameras, points, colors, config=CONFIG)
    with pytest.raises(ShapeError, match="its camera wants"):
        train([im[:10] for im in images], cameras, points, colors, config=CONFIG)


def test_stage_writes_its_files_and_skips(tmp_path):
    images, cameras, points, colors = capture()
    for name, im in zip(cameras.names, images):
        write_rgb(tmp_path / "capture" / "frames" / name, im)
    cameras.save(tmp_path / "cameras" / "transforms.json")
    write_points_ply(tmp_path / "cameras" / "points.ply", points, colors)
    config = SplatConfig(iterations=20, cap=500, threads=2)
    first = train_splat_stage(tmp_path, config, cameras_fingerprint="a")
    assert set(first.manifest["result"]) == {"psnr", "ssim", "gaussians", "seconds", "backend"}
    assert len(SplatCloud.load_ply(tmp_path / "splat" / "splat.ply")) == first.manifest["result"]["gaussians"]
    assert json.loads((tmp_path / "splat" / "metrics.json").read_text())["iterations"] == 20
    assert {p.name for p in (tmp_path / "splat" / "heldout").iterdir()} == {
        f"{i}_{kind}.png" for i in ("000", "008", "016") for kind in ("photo", "render", "error")
    }
    assert train_splat_stage(tmp_path, config.model_copy(update={"threads": 1}), cameras_fingerprint="a").skipped
    assert not train_splat_stage(tmp_path, config, cameras_fingerprint="b").skipped
