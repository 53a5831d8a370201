"""Texture atlas, ground filling and the point looked at."""

import numpy as np

from phone2sim.assets.inpaint import fill_by_copy
from phone2sim.assets.texture import texels
from phone2sim.assets.validity import looked_at
from phone2sim.poses import look_at


def test_texels_cover_the_triangle_with_its_own_barycentrics():
    uv = np.array([[0.1, 0.1], [0.9, 0.1], [0.1, 0.8]])
    flat, face, bary = texels(uv, np.array([[0, 1, 2]]), 64)
    assert len(np.unique(flat)) == len(flat) and (face == 0).all()
    assert np.allclose(bary.sum(1), 1) and 0.28 * 64**2 <= len(flat) < 0.34 * 64**2  # grown by up to a texel
    inside = bary.min(1) > 0.05
    centre = np.stack([flat % 64 + 0.5, flat // 64 + 0.5], 1) / 64
    assert np.allclose(bary[inside] @ uv, centre[inside], atol=1e-9)


def test_fill_continues_a_periodic_ground():
    i, j = np.indices((120, 120))
    ground = np.stack([127 + 100 * np.sin(i / 3), 127 + 100 * np.cos(j / 4), np.full(i.shape, 90.0)], -1).astype(np.uint8)
    hole = (i - 60) ** 2 + (j - 60) ** 2 < 100
    broken = np.where(hole[..., None], 0, ground).astype(np.uint8)
    out = fill_by_copy(broken, ~hole, hole)
    assert np.array_equal(out[~hole], ground[~hole])
    assert np.abs(out[hole].astype(float) - ground[hole]).mean() < 30


def test_looked_at_is_the_common_point():
    target = np.array([0.3, -0.2, 0.5])
    T = np.array([look_at(np.array([np.cos(a), np.sin(a), 1 + 0.1 * a]), target).matrix for a in np.linspace(0, 4, 9)])
    assert np.allclose(looked_at(T), target, atol=1e-3)
