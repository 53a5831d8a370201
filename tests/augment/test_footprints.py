"""Footprint geometry against sampled truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phone2sim.augment.footprints import area, convex_hull_2d, gap, inset, least_width, placed
from phone2sim.keys import Key

SQUARE = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])


def test_square():
    assert area(SQUARE) == pytest.approx(1)
    assert least_width(placed(SQUARE, np.array([3.0, 1.0]), 0.3)) == pytest.approx(1)
    assert gap(SQUARE, SQUARE + [1.2, 0.0]) == pytest.approx(0.2)
    assert gap(SQUARE, SQUARE + [0.9, 0.0]) == pytest.approx(-0.1)
    assert inset(SQUARE, np.array([[0, 0], [0.4, 0], [0.7, 0]])) == pytest.approx([0.5, 0.1, -0.2])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_gap_never_exceeds_the_true_distance(seed):
    rng = Key(seed).rng()
    a = convex_hull_2d(rng.normal(size=(12, 2)))
    b = convex_hull_2d(rng.normal(size=(12, 2)) * 0.5 + rng.normal(size=2) * 3)
    t = np.linspace(0, 1, 40)[:, None, None]
    edge_a, edge_b = ((p[None] * (1 - t) + np.roll(p, -1, axis=0)[None] * t).reshape(-1, 2) for p in (a, b))
    distance = np.linalg.norm(edge_a[:, None] - edge_b[None], axis=-1).min()
    crossing = (inset(a, edge_b) > 0).any() or (inset(b, edge_a) > 0).any()
    g = gap(a, b)
    assert g == pytest.approx(gap(b, a))
    assert g <= 1e-9 if crossing else g <= distance + 1e-9


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(-3, 3))
def test_hull_holds_its_points_and_turning_keeps_area_and_width(seed, yaw):
    p = Key(seed).rng().normal(size=(20, 2))
    h = convex_hull_2d(p)
    assert inset(h, p).min() > -1e-8
    moved = placed(h, np.array([1.0, 2.0]), yaw)
    assert area(moved) == pytest.approx(area(h)) and area(h) > 0
    assert least_width(moved) == pytest.approx(least_width(h))
