"""Where low things end, on made reliefs: a grey leaf, paler towards its tip, on a speckled table."""

import numpy as np
import pytest
from scipy import ndimage

from phone2sim.assets.edges import likelihood, outlined, parted
from phone2sim.assets.relief import Relief

CELL, SHAPE = 0.0015, (150, 70)
X, Y = np.indices(SHAPE)
LEAF = (X >= 20) & (X < 120) & (np.abs(Y - 35) < np.minimum(8, 2.5 + 0.4 * (120 - X)))
PRINT = (X >= 120) & (X < 140) & (np.abs(Y - 35) < 8)


def relief(print_beside=False):
    rng = np.random.default_rng(3)
    table = ndimage.zoom(rng.uniform(170, 250, (38, 18, 3)), (4, 4, 1), order=0)[: SHAPE[0], : SHAPE[1]]
    grey = np.where(X > 95, 150 + 0.8 * (X - 95), 150.0)[..., None] + rng.normal(0, 3, (*SHAPE, 3))
    picture = np.where((LEAF | (PRINT & print_beside))[..., None], grey, table)
    nearby = np.where(LEAF, 0.1, -0.4) + rng.normal(0, 0.15, SHAPE)
    nearby[(X > 40) & (X < 80) & LEAF] = 1.2
    sure = np.where(nearby > 1, 1.5, np.where(ndimage.binary_dilation(LEAF, iterations=2), 0, -1.0))
    sure[PRINT] = -1.0
    sure[(X > 105) & LEAF] = -0.8  # squares of ground bleed over the narrow tip
    return Relief(origin=np.zeros(2), cell=CELL, height_m=np.full(SHAPE, 0.002, np.float32), sure=sure.astype(np.float32),
                  nearby=nearby.astype(np.float32), picture=np.clip(picture, 0, 255).astype(np.uint8))  # fmt: skip


def whole(r, barred=None):
    barred = np.zeros(SHAPE, bool) if barred is None else barred
    return outlined(r, r.raised & LEAF, r.flat, barred, reach_m=0.075)


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


def test_a_leaf_is_completed_to_its_tip():
    found = whole(relief())
    assert overlap(found, LEAF) > 0.95
    assert abs(np.argwhere(found)[:, 0].max() - np.argwhere(LEAF)[:, 0].max()) <= 2


def test_a_flat_print_of_the_same_colour_stays_out():
    found = whole(relief(print_beside=True))
    assert not found[PRINT & (X > 122)].any() and overlap(found, LEAF) > 0.93


def test_barred_cells_stay_out():
    barred = X > 100
    found = whole(relief(), barred)
    assert not found[barred].any() and overlap(found, LEAF & ~barred) > 0.93


def test_nothing_to_learn_from_nothing_found():
    r = relief()
    core = np.zeros(SHAPE, bool)
    core[60, 33:36] = True
    assert not outlined(r, core, r.flat, np.zeros(SHAPE, bool), reach_m=0.075).any()


def test_the_cut_follows_the_edge_that_says_nothing_misses():
    says = np.zeros((40, 40))
    says[18:22, 18:22], says[:3], says[-3:], says[:, :3], says[:, -3:] = 20, -20, -20, -20, -20
    disc = np.hypot(*(np.indices((40, 40)) - 19.5)) < 11
    picture = np.where(disc[..., None], 90, 200).astype(np.uint8).repeat(3, axis=2)
    assert overlap(parted(says, picture, np.zeros((40, 40), bool)), disc) > 0.9


def test_likelihood_is_antisymmetric_but_for_new_colours():
    r = relief()
    ground = ~ndimage.binary_dilation(LEAF, iterations=3)
    there = likelihood(r.picture, LEAF, ground)
    assert there[LEAF].mean() > 1 and there[ground].mean() < -1
    new = r.picture.copy()
    new[:5] = [10, 240, 20]
    assert likelihood(new, LEAF & (X > 5), ground & (X > 5))[:5].mean() == pytest.approx(np.log(10), abs=0.1)
