"""An interval holds its value, keeps it under scaling, and survives JSON."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phone2sim.errors import ShapeError
from phone2sim.intervals import Interval

numbers = st.floats(-1e6, 1e6)


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    low, value, high = sorted(draw(st.tuples(numbers, numbers, numbers)))
    return Interval(value=value, low=low, high=high, why=draw(st.text(max_size=5)))


@given(intervals())
def test_round_trip(i: Interval) -> None:
    assert Interval.from_json(i.to_json()) == i


@given(intervals(), st.floats(1e-3, 1e3))
def test_scaling_keeps_the_value_inside(i: Interval, factor: float) -> None:
    s = i.scaled(factor)
    assert s.value in s and s.low in s and s.high in s
    assert math.isclose(s.high - s.low, factor * (i.high - i.low), rel_tol=1e-6, abs_tol=1e-6)


@given(intervals())
def test_membership_is_closed(i: Interval) -> None:
    assert i.value in i and i.low in i and i.high in i
    assert math.nextafter(i.high, math.inf) not in i
    assert math.nextafter(i.low, -math.inf) not in i


@pytest.mark.parametrize(
    ("value", "low", "high"), [(0, 1, 2), (3, 1, 2), (math.nan, 0, 1), (1, 2, 0), (math.inf, 0, math.inf)]
)
def test_nonsense_is_refused(value: float, low: float, high: float) -> None:
    with pytest.raises(ShapeError, match="expected low <= value <= high"):
        Interval(value=value, low=low, high=high)


def test_exact() -> None:
    i = Interval.exact(0.3, why="weighed")
    assert (i.low, i.value, i.high, i.why) == (0.3, 0.3, 0.3, "weighed")
