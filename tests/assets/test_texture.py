"""Texture atlas, ground filling and the point looked at."""

import numpy as np
import trimesh

from phone2sim.assets.background import evened
from phone2sim.assets.inpaint import fill_by_copy, fill_by_pieces
from phone2sim.assets.texture import bake, texels
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


def test_a_needle_gives_no_colour_beyond_its_ends_nor_to_its_neighbours():
    """A needle 10 texels long and 0.05 wide, listed first, on the upper edge of a triangle that goes on 40 texels to its right."""
    uv = np.array([[10, 20], [20, 20], [20, 20.05], [60, 20], [20, 4]]) / 64
    flat, face, bary = texels(uv, np.array([[0, 1, 2], [0, 4, 3]]), 64)
    y, x = np.divmod(flat, 64)
    at = np.einsum("nk,nkc->nc", bary, uv[np.array([[0, 1, 2], [0, 4, 3]])[face]]) * 64
    assert np.hypot(at[:, 0] - x - 0.5, at[:, 1] - y - 0.5).max() < 0.76
    assert (face[y + 0.5 < 19.9] == 1).all()


def test_charts_fill_their_atlas_in_metres_as_in_any_unit():
    mesh = trimesh.creation.icosphere(3, 0.04)
    out = bake(mesh, [], [], size=256, tolerance_m=0.01).mesh
    assert out.uv is not None
    a, b, c = out.uv[out.faces].transpose(1, 2, 0).astype(float)
    area = np.abs((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])).sum() / 2
    assert area > 0.45


def test_fill_continues_a_periodic_ground():
    i, j = np.indices((120, 120))
    ground = np.stack([127 + 100 * np.sin(i / 3), 127 + 100 * np.cos(j / 4), np.full(i.shape, 90.0)], -1).astype(np.uint8)
    hole = (i - 60) ** 2 + (j - 60) ** 2 < 100
    broken = np.where(hole[..., None], 0, ground).astype(np.uint8)
    out = fill_by_copy(broken, ~hole, hole)
    assert np.array_equal(out[~hole], ground[~hole])
    assert np.abs(out[hole].astype(float) - ground[hole]).mean() < 30


def test_pieces_continue_a_pattern_better_than_its_mean_colour():
    i, j = np.indices((140, 140))
    ground = np.stack([127 + 100 * np.sin(i / 3), 127 + 100 * np.cos(j / 4), np.full(i.shape, 90.0)], -1).astype(np.uint8)
    hole = (i - 70) ** 2 + (j - 60) ** 2 < 150
    out = fill_by_pieces(np.where(hole[..., None], 0, ground).astype(np.uint8), ~hole, hole, half=7)
    assert np.array_equal(out[~hole], ground[~hole])
    error = np.abs(out[hole].astype(float) - ground[hole]).mean()
    assert error < 0.6 * np.abs(ground[hole] - ground[~hole].astype(float).mean(axis=0)).mean()


def test_rings_around_feet_go_and_the_pattern_stays():
    """Ground with chips, three quarters as bright right at a foot and getting brighter over 12 mm."""
    from phone2sim._native.mesh import srgb_to_linear
    from phone2sim.assets.deshade import linear_to_srgb
    from phone2sim.keys import Key

    spacing = 0.0017
    i, j = np.indices((120, 120))
    chips = np.kron(Key(3).child("chips").rng().choice([0.9, 1.0, 1.1], (30, 30)), np.ones((4, 4)))
    true = np.clip(255 * linear_to_srgb(0.4 * chips[..., None] * np.array([1.0, 0.9, 0.8])), 0, 255)
    away = spacing * (np.hypot(i - 60, j - 60) - 15)
    foot = away <= 0
    dark = 0.75 + 0.25 * np.clip(away / 0.012, 0, 1)
    seen = (255 * linear_to_srgb(srgb_to_linear((true / 255).astype(np.float32)) * dark[..., None])).astype(np.uint8)
    out, sure = evened(seen, ~foot, [foot], spacing=spacing, reach_m=0.018)
    assert sure[~foot].mean() > 0.98
    near = ~foot & (away < 0.012)
    before, after = (np.abs(x.astype(float) - true)[near].mean() for x in (seen, out))
    assert after < 0.25 * before
    assert np.array_equal(out[away > 0.02], seen[away > 0.02])


def test_a_ring_of_the_objects_own_colour_is_not_trusted():
    spacing = 0.0017
    i, j = np.indices((120, 120))
    away = spacing * (np.hypot(i - 60, j - 60) - 15)
    foot, ring = away <= 0, (away > 0) & (away < 0.005)
    seen = np.full((120, 120, 3), 150, np.uint8)
    seen[ring] = (150, 140, 60)
    speck = (abs(i - 60) < 1) & (abs(j - 60) < 2)
    known = ~foot | speck
    out, sure = evened(seen, known, [foot], spacing=spacing, reach_m=0.018)
    assert not sure[ring & (away < 0.0035)].any() and not sure[speck].any() and sure[away > 0.009].all()
    assert np.abs(out[sure & known].astype(int) - 150).max() < 40


def test_looked_at_is_the_common_point():
    target = np.array([0.3, -0.2, 0.5])
    T = np.array([look_at(np.array([np.cos(a), np.sin(a), 1 + 0.1 * a]), target).matrix for a in np.linspace(0, 4, 9)])
    assert np.allclose(looked_at(T), target, atol=1e-3)
