"""Outdoors: a learned sky instead of floaters that imitate one."""

from __future__ import annotations

import numpy as np
import pytest

from phone2sim.poses import look_at
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.reconstruct.splat.config import SplatConfig
from phone2sim.reconstruct.splat.rasterize import rasterize
from phone2sim.reconstruct.splat.sky import Sky
from phone2sim.reconstruct.splat.train import train

W, H, N = 64, 48, 16
K = np.array([[60.0, 0, 32], [0, 60.0, 24], [0, 0, 1]])


def sky_colors(directions: np.ndarray) -> np.ndarray:
    """Blue overhead, paler towards the horizon and the sun."""
    up = directions[..., 2:3]
    return np.array([0.62, 0.75, 0.9]) + up * np.array([-0.35, -0.25, -0.05]) + 0.05 * directions[..., :1]


def rays(T_world_camera: np.ndarray) -> np.ndarray:
    x, y = np.meshgrid((np.arange(W) + 0.5 - 32) / 60, (np.arange(H) + 0.5 - 24) / 60)
    d = np.stack([x, y, np.ones_like(x)], -1) @ T_world_camera[:3, :3].T
    return d / np.linalg.norm(d, axis=-1, keepdims=True)


def field() -> SplatCloud:
    """A patch of coloured ground with a wall on it, seen from its side."""
    rng = np.random.default_rng(0)
    ground = np.column_stack([rng.uniform(-2, 2, (5000, 2)), np.zeros(5000)])
    wall = np.column_stack([rng.uniform(-0.4, 0.4, 1500), 0.05 * rng.normal(size=1500), rng.uniform(0, 0.5, 1500)])
    means = np.concatenate([ground, wall])
    color = 0.4 + 0.35 * np.stack([np.sin(5 * means[:, 0]), np.cos(4 * means[:, 1]), np.sin(9 * means[:, 2] + 1)], 1)
    n = len(means)
    return SplatCloud(
        means=means, quats_wxyz=np.tile([1.0, 0, 0, 0], (n, 1)), scales=np.full((n, 3), 0.04), opacities=np.full(n, 0.95),
        sh=((color - 0.5) / 0.28209479)[:, None],
    )  # fmt: skip


@pytest.fixture(scope="module")
def outdoors():
    cloud = field()
    poses = np.array([
        look_at(np.array([1.6 * np.cos(a), 1.6 * np.sin(a), 0.5 + 0.15 * np.sin(3 * a)]), np.array([0, 0, 0.25])).matrix
        for a in np.linspace(0, 2 * np.pi, N, endpoint=False)
    ])  # fmt: skip
    cameras = Cameras(
        T_world_camera=poses, K=np.tile(K, (N, 1, 1)), size_wh=np.tile([W, H], (N, 1)), distortion=np.zeros((N, 4)),
        names=tuple(f"{i:03d}.png" for i in range(N)),
    )  # fmt: skip
    images, clear = [], []
    for i in range(N):
        out = rasterize(cloud, K=K, T_camera_world=cameras.T_camera_world[i], width=W, height=H)
        rgb = out.rgb + (1 - out.alpha[..., None]) * sky_colors(rays(poses[i]))
        images.append((np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8))
        clear.append(out.alpha < 0.02)
    pick = np.random.default_rng(1).permutation(len(cloud))[:1500]
    return images, cameras, cloud.means[pick], (cloud.colors[pick] * 255).astype(np.uint8), clear


def in_front_of_the_sky(cloud: SplatCloud, cameras: Cameras, clear: list[np.ndarray]) -> float:
    """Mean opacity, where photos show only sky, of what is nearer than the sky's sphere."""
    near = np.linalg.norm(cloud.means, axis=1) < 4
    there = SplatCloud(
        means=cloud.means[near], quats_wxyz=cloud.quats_wxyz[near], scales=cloud.scales[near], opacities=cloud.opacities[near],
        sh=cloud.sh[near],
    )  # fmt: skip
    alphas = [
        rasterize(there, K=K, T_camera_world=cameras.T_camera_world[i], width=W, height=H).alpha[clear[i]] for i in range(N)
    ]
    return float(np.concatenate(alphas).mean())


def test_no_floaters_imitate_the_sky(outdoors):
    *data, clear = outdoors
    cameras = data[1]
    config = SplatConfig(iterations=300, cap=3000, threads=2, background="sky")
    with_sky = train(*data, config=config)
    without = train(*data, config=config.model_copy(update={"background": "random"}))
    assert np.concatenate([c.ravel() for c in clear]).mean() > 0.15
    assert in_front_of_the_sky(with_sky.cloud, cameras, clear) < 0.03
    assert in_front_of_the_sky(without.cloud, cameras, clear) > 0.3
    assert with_sky.metrics["psnr"] > without.metrics["psnr"]
    # The cloud carries its sky: over black, what was sky is as bright as in the photos, and far.
    view = rasterize(with_sky.cloud, K=K, T_camera_world=cameras.T_camera_world[8], width=W, height=H)
    inner = clear[8]
    assert np.abs(view.rgb[inner] - data[0][8][inner] / 255).mean() < 0.05
    assert np.median(view.depth_median[inner]) > 5


def test_a_closed_room_gets_no_sphere(outdoors):
    images, cameras, points, colors, _ = outdoors
    # The same pictures, the sky painted on a dome of points: everything is opaque, so nothing of the sky shows.
    rng = np.random.default_rng(2)
    d = rng.normal(size=(6000, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    points = np.concatenate([points, 3 * d])
    colors = np.concatenate([colors, (sky_colors(d) * 255).astype(np.uint8)])
    config = SplatConfig(iterations=250, cap=9000, threads=2, background="sky", sky_weight=0.0, prune=False)
    cloud = train(images, cameras, points, colors, config=config).cloud
    assert (np.linalg.norm(cloud.means, axis=1) > 6).mean() < 0.02


def test_sky_gradient_matches_finite_differences():
    from phone2sim.reconstruct.splat.views import make_view

    rng = np.random.default_rng(3)
    view = make_view("a", rng.integers(0, 255, (12, 16, 3), dtype=np.uint8), K / 4, look_at(np.ones(3), np.zeros(3)).inverse().matrix, None)
    level, g = view.levels[0], rng.normal(size=(3, 12, 16))
    sky = Sky()
    sky.value = 0.2 * rng.normal(size=(4, 3))
    before = sky.value.copy()
    sky.step(view, level, g, 0.0)
    analytic = sky._m / 0.1
    for index in np.ndindex(4, 3):
        ends = []
        for e in (1e-3, -1e-3):
            sky.value = before.copy()
            sky.value[index] += e
            ends.append((sky.picture(view, level) * g).sum())
        assert analytic[index] == pytest.approx((ends[0] - ends[1]) / 2e-3, rel=1e-3, abs=1e-4)
