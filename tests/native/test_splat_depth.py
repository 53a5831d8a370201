"""Depth of the densest layer: where the median gives in to faint Gaussians, the mode stays on the surface."""

from __future__ import annotations

import numpy as np
import pytest

from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.reconstruct.splat.rasterize import rasterize

K = np.array([[60.0, 0, 32], [0, 60.0, 24], [0, 0, 1]])


def plates(*layers: tuple[float, float]) -> SplatCloud:
    """Flat walls across the view: (depth [m], opacity) each."""
    n = len(layers)
    return SplatCloud(
        means=[[0, 0, z] for z, _ in layers], quats_wxyz=np.tile([1.0, 0, 0, 0], (n, 1)), scales=[[9 * z, 9 * z, 1e-4] for z, _ in layers],
        opacities=[o for _, o in layers], sh=np.zeros((n, 1, 3)),
    )  # fmt: skip


def see(cloud: SplatCloud, **options):
    return rasterize(cloud, K=K, T_camera_world=np.eye(4), width=64, height=48, **options)


@pytest.mark.parametrize("z", [0.5, 2.0, 30.0])
def test_faint_walls_do_not_shift_the_surface(z):
    # The surface is three layers within 0.4 %; a veil before it and a strong wall behind it.
    out = see(plates((0.9 * z, 0.3), (0.998 * z, 0.3), (z, 0.3), (1.002 * z, 0.3), (1.1 * z, 0.99)))
    assert abs(out.depth_mode / z - 1).max() < 2e-3
    assert abs(see(plates((0.9 * z, 0.3), (z, 0.25), (1.1 * z, 0.99))).depth_mode / (1.1 * z) - 1).max() < 1e-3


def test_a_layer_is_the_mean_of_what_absorbs_in_it():
    out = see(plates((1.0, 0.5), (1.004, 0.5)))
    weight = 1 - (1 - 0.5) ** np.array([1.0, 1.0])
    mean = (weight[0] * 1.0 + weight[1] * (1 - weight[0]) * 1.004) / (weight[0] + weight[1] * (1 - weight[0]))
    assert out.depth_mode[24, 32] == pytest.approx(mean, abs=1e-5)


def test_nothing_where_less_than_half_is_absorbed():
    assert (see(plates((1.0, 0.4))).depth_mode == 0).all()
    assert (see(plates((1.0, 0.6))).depth_mode > 0).all()


def test_the_layer_does_not_depend_on_threads_or_on_normals():
    rng = np.random.default_rng(3)
    n = 400
    z = rng.uniform(1, 3, n)
    cloud = SplatCloud(
        means=np.c_[rng.uniform(-0.5, 0.5, (n, 2)) * z[:, None], z], quats_wxyz=rng.normal(size=(n, 4)), scales=rng.uniform(0.02, 0.2, (n, 3)),
        opacities=rng.uniform(0.05, 0.95, n), sh=rng.normal(size=(n, 4, 3)),
    )  # fmt: skip
    one = see(cloud, threads=1)
    for other in (see(cloud, threads=3), see(cloud, normals=True)):
        assert np.array_equal(one.depth_mode, other.depth_mode) and np.array_equal(one.rgb, other.rgb)
    seen = one.depth_mode > 0
    assert seen.any() and (one.depth_mode[seen] > 0.5).all() and (one.depth_mode[seen] < 5).all()
