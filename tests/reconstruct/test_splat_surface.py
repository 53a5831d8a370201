"""Depth and normals: what they pull, where known depths come from, masks."""

from __future__ import annotations

import numpy as np
import pytest

from phone2sim.poses import look_at
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.reconstruct.splat.config import SplatConfig
from phone2sim.reconstruct.splat.rasterize import rasterize
from phone2sim.reconstruct.splat.train import train
from phone2sim.reconstruct.splat.views import LevelDepth, make_view, samples_of_depth, samples_of_points

W, H, N = 64, 48, 12
K = np.array([[70.0, 0, 32], [0, 70.0, 24], [0, 0, 1]])


def plain_table() -> SplatCloud:
    """A flat sheet, textured on one half and of one colour on the other: nothing but known depth tells where that lies."""
    g = np.linspace(-2.4, 2.4, 90)
    xy = np.stack(np.meshgrid(g, g), -1).reshape(-1, 2)
    color = 0.5 + 0.4 * np.stack([np.sin(7 * xy[:, 0]), np.cos(6 * xy[:, 1]), np.sin(5 * xy.sum(1))], 1)
    color[xy[:, 0] > 0] = (0.7, 0.6, 0.5)
    n = len(xy)
    return SplatCloud(
        means=np.column_stack([xy, np.zeros(n)]), quats_wxyz=np.tile([1.0, 0, 0, 0], (n, 1)),
        scales=np.tile([0.06, 0.06, 0.003], (n, 1)), opacities=np.full(n, 0.95), sh=((color - 0.5) / 0.28209479)[:, None],
    )  # fmt: skip


@pytest.fixture(scope="module")
def table():
    cloud = plain_table()
    poses = np.array([
        look_at(np.array([0.8 * np.cos(a), 0.8 * np.sin(a), 1.3]), np.zeros(3)).matrix
        for a in np.linspace(0, 2 * np.pi, N, endpoint=False)
    ])  # fmt: skip
    cameras = Cameras(
        T_world_camera=poses, K=np.tile(K, (N, 1, 1)), size_wh=np.tile([W, H], (N, 1)), distortion=np.zeros((N, 4)),
        names=tuple(f"{i:03d}.png" for i in range(N)),
    )  # fmt: skip
    views = [rasterize(cloud, K=K, T_camera_world=T, width=W, height=H, normals=True) for T in cameras.T_camera_world]
    images = [(np.clip(v.rgb, 0, 1) * 255 + 0.5).astype(np.uint8) for v in views]
    rng = np.random.default_rng(1)
    pick = rng.permutation(len(cloud))[:1200]
    # Points as an SfM that is unsure where nothing is to be matched: up to 0.25 off the sheet there.
    points = cloud.means[pick] + np.where(cloud.means[pick, :1] > 0, rng.uniform(-0.25, 0.25, (1200, 1)), 0) * [0, 0, 1]
    return images, cameras, points, (cloud.colors[pick] * 255).astype(np.uint8), views


CONFIG = SplatConfig(iterations=160, cap=1800, threads=2, held_out_every=0, prune=False)


def errors(cloud: SplatCloud, cameras: Cameras, views) -> tuple[float, float]:
    """Median error of the expected depth [m], and of the normals [degrees]."""
    depth, angle = [], []
    for i in range(0, N, 3):
        out = rasterize(cloud, K=K, T_camera_world=cameras.T_camera_world[i], width=W, height=H, normals=True)
        depth.append(np.abs(out.depth_expected - views[i].depth_expected)[6:-6, 6:-6].ravel())
        cosine = (out.normals * [0, 0, 1]).sum(-1)[6:-6, 6:-6]
        angle.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))).ravel())
    return float(np.median(np.concatenate(depth))), float(np.median(np.concatenate(angle)))


def test_rendered_normals_are_unit_and_face_the_camera(table):
    _, cameras, _, _, views = table
    for view in views:
        assert np.allclose(np.linalg.norm(view.normals, axis=-1), 1, atol=1e-5)
        assert np.allclose(view.normals, [0, 0, 1], atol=1e-3)
    below = look_at(np.array([0.1, 0.2, -1.3]), np.zeros(3)).inverse().matrix
    seen = rasterize(plain_table(), K=K, T_camera_world=below, width=W, height=H, normals=True)
    assert np.allclose(seen.normals, [0, 0, -1], atol=1e-3)
    assert rasterize(plain_table(), K=K, T_camera_world=below, width=W, height=H).normals is None


def test_depth_and_normal_terms_help_the_surface(table):
    *data, views = table
    cameras = data[1]
    plain = errors(train(*data, config=CONFIG).cloud, cameras, views)
    depths = [v.depth_expected[::2, ::2] for v in views]
    depths[1] = None  # a frame whose depth was lost
    config = CONFIG.model_copy(update={"depth_weight": 0.5, "geometry_from": 0.1})
    with_depth = errors(train(*data, config=config, depths=depths).cloud, cameras, views)
    assert with_depth[0] < 0.6 * plain[0]
    config = CONFIG.model_copy(update={"normal_weight": 0.1, "geometry_from": 0.1})
    with_normals = errors(train(*data, config=config).cloud, cameras, views)
    assert with_normals[1] < 0.7 * plain[1]


def test_depth_terms_do_not_depend_on_threads(table, tmp_path):
    *data, _ = table
    clouds = []
    for threads in (1, 3):
        config = SplatConfig(
            iterations=60, cap=1500, threads=threads, depth_weight=0.3, normal_weight=0.05, geometry_from=0.1, densify="mcmc",
            scale_weight=0.01, background="sky",
        )  # fmt: skip
        clouds.append(train(*data, config=config).cloud)
    for field in ("means", "quats_wxyz", "scales", "opacities", "sh"):
        assert np.array_equal(getattr(clouds[0], field), getattr(clouds[1], field))


def test_masked_pixels_neither_count_nor_give_depth(table):
    images, cameras, points, colors, views = table
    masks = [np.ones((H, W), bool) for _ in images]
    spoiled = [im.copy() for im in images]
    for m, im in zip(masks, spoiled):
        m[:, :20] = False
        im[:, :20] = (255, 0, 255)
    masks[2] = None
    spoiled[2] = images[2]
    share = []
    for given in (masks, None):
        cloud = train(spoiled, cameras, points, colors, config=CONFIG, masks=given).cloud
        purple = np.abs(cloud.colors - [1, 0, 1]).max(axis=1) < 0.15
        share.append(cloud.opacities[purple].sum() / cloud.opacities.sum())
    assert share[0] < 0.25 * share[1]
    samples = samples_of_depth(views[0].depth_expected, W, H)
    view = make_view("a", images[0], K, np.eye(4), masks[0], samples)
    for level in view.levels:
        _, h, w = level.target.shape
        assert level.depth is not None and (level.depth.pixels % w >= 20 * w // W - 1).all()
        assert len(np.unique(level.depth.pixels)) == len(level.depth.pixels)


def test_depth_samples_are_where_they_belong():
    rng = np.random.default_rng(0)
    z = rng.uniform(1, 3, (H, W))
    view = make_view("a", np.zeros((H, W, 3), np.uint8), K, np.eye(4), None, samples_of_depth(z, W, H))
    assert np.array_equal(view.levels[0].depth.pixels, np.arange(H * W))
    assert np.allclose(view.levels[0].depth.depth, z.ravel())
    quarter = view.levels[2].depth.depth.reshape(H // 4, W // 4)
    assert np.allclose(quarter, z.reshape(H // 4, 4, W // 4, 4).min(axis=(1, 3)))  # the nearest wins
    # A coarser picture of depth covers the same field of view.
    coarse = samples_of_depth(z[::2, ::2], W, H)
    assert np.allclose(coarse.uv.min(0), [1, 1]) and np.allclose(coarse.uv.max(0), [W - 1, H - 1])


def test_hidden_points_give_no_depth():
    front = np.column_stack([np.tile(np.linspace(-0.2, 0.2, 20), 20), np.repeat(np.linspace(-0.2, 0.2, 20), 20), np.ones(400)])
    behind = front * [2, 2, 2] + [0, 0, 0]
    away = front * [1, 1, -1]
    samples = samples_of_points(np.concatenate([front, behind, away]), K, np.eye(4), W, H, near=0.01)
    assert (samples.depth < 1.1).mean() > 0.9 and len(samples.depth) >= 380
    everything = samples_of_points(behind, K, np.eye(4), W, H, near=0.01)
    assert len(everything.depth) == 400 and np.allclose(everything.depth, 2)


def test_points_seen_through_something_are_dropped_once_it_has_formed(table):
    """Points a metre below the table: guessed as seen, they must not pull it down."""
    images, cameras, points, colors, views = table
    rng = np.random.default_rng(5)
    ghosts = np.column_stack([rng.uniform(-1, 1, (400, 2)), np.full(400, -1.0)])
    points, colors = np.concatenate([points, ghosts]), np.concatenate([colors, np.full((400, 3), 128, np.uint8)])
    config = CONFIG.model_copy(update={"depth_weight": 0.5, "geometry_from": 0.4, "iterations": 200})
    data = (images, cameras, points, colors)
    plain = errors(train(*data, config=config.model_copy(update={"depth_weight": 0.0})).cloud, cameras, views)[0]
    guessed = errors(train(*data, config=config).cloud, cameras, views)[0]
    told = errors(train(*data, config=config, observed=[np.arange(len(points))] * N).cloud, cameras, views)[0]
    assert guessed < 1.1 * plain and told > 1.3 * plain


def test_guesses_are_kept_where_they_agree():
    depth = LevelDepth(pixels=np.arange(4), depth=np.float32([1, 2, 3, 4]), confidence=np.ones(4, np.float32), guessed=True)
    kept = depth.agreeing(np.float32([[1.04, 2.2], [2.9, 0]]))
    assert list(kept.pixels) == [0, 2] and not kept.guessed
    assert depth.agreeing(np.zeros((2, 2), np.float32)) is None
