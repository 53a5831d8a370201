"""Laws of variations: equal values draw equally, stay in their support, survive YAML, and sizes agree."""

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from phone2sim.augment import (
    Choice,
    Constant,
    Integers,
    LogUniform,
    Mixture,
    Normal,
    TruncatedNormal,
    Uniform,
    as_variation,
)  # fmt: skip
from phone2sim.errors import RecipeError
from phone2sim.keys import Key

EXAMPLES = [
    Constant(3.0), Uniform(0.1, 0.3), Integers(1, 4), Normal(0.0, 2.0), TruncatedNormal(0.0, 1.0, -0.5, 2.0),
    LogUniform(0.5, 2.0), Choice((1.0, 2.0, 5.0), (1, 1, 2)), Mixture((Uniform(0, 1), Constant(4.0)), (3, 1)),
]  # fmt: skip


@pytest.mark.parametrize("v", EXAMPLES, ids=str)
def test_laws(v):
    draws = v(Key(0).rng(), 4000)
    low, high = v.support
    assert draws.shape == (4000,)
    assert np.array_equal(draws, v(Key(0).rng(), 4000))
    assert low <= draws.min() and draws.max() <= high
    assert low <= v(Key(1).rng()) <= high and not isinstance(v(Key(1).rng()), np.generic)
    again = as_variation(yaml.safe_load(yaml.safe_dump(v.to_yaml())))
    assert again == v and hash(again) == hash(v) and str(again) == str(v)
    if np.isfinite([low, high]).all() and high > low:
        assert draws.max() - draws.min() > 0.5 * (high - low), "the support is not filled"


def test_moments():
    n = 40000
    assert np.mean(Normal(2, 3)(Key(1).rng(), n)) == pytest.approx(2, abs=0.05)
    assert np.std(Normal(2, 3)(Key(1).rng(), n)) == pytest.approx(3, abs=0.05)
    x = np.log(LogUniform(0.5, 2.0)(Key(2).rng(), n))
    assert np.mean(x) == pytest.approx(0, abs=0.01)
    t = TruncatedNormal(0, 1, -1, 1)(Key(3).rng(), n)
    assert np.std(t) == pytest.approx(0.5396, abs=0.01)  # of a unit Gaussian cut at one sigma
    c = Choice(("a", "b"), (3, 1))(Key(4).rng(), n)
    assert np.mean(c == "a") == pytest.approx(0.75, abs=0.01)


@settings(max_examples=50, deadline=None)
@given(st.floats(-1e3, 1e3), st.floats(0, 1e3), st.integers(0, 2**31))
def test_uniform_stays_inside(low, width, seed):
    x = Uniform(low, low + width)(Key(seed).rng())
    assert low <= x <= low + width


@pytest.mark.parametrize(
    "data, text",
    [
        ({"unifrm": [0, 1]}, "unknown variation 'unifrm'; have choice, integers"),
        ({"unifrm": [0, 1]}, "Did you mean uniform?"),
        ({"uniform": [1, 0]}, "uniform: lower end 1 is above upper end 0."),
        ({"uniform": [1]}, "uniform: expected [low, high], got [1]."),
        ({"normal": [0, -1]}, "must not be negative"),
        ({"log_uniform": [0, 1]}, "must be positive"),
        ({"choice": []}, "choice: expected a list"),
        ({"choice": [1, 2], "weights": [1]}, "expected 2 weights"),
        ({"uniform": [0, 1], "normal": [0, 1]}, "a variation has one kind"),
        ([0, 1], "neither a number nor a variation"),
    ],
)
def test_errors(data, text):
    with pytest.raises(RecipeError) as e:
        as_variation(data)
    assert text in str(e.value)


EVERY_KIND = [
    Uniform(-1, 2), Integers(0, 4), Normal(1, 2), TruncatedNormal(0, 1, -0.5, 2), LogUniform(0.5, 2),
    Choice((1.0, 5.0, 9.0), (1, 0, 3)), Mixture((Uniform(0, 1), Uniform(4, 5)), (3, 1)), Constant(3.0),
]  # fmt: skip


@pytest.mark.parametrize("v", EVERY_KIND, ids=str)
def test_quantiles_of_even_points_are_distributed_as_the_draws(v):
    u = (np.arange(4000) + 0.5) / 4000
    a, b = np.array([v.quantile(x) for x in u], float), np.array(v(np.random.default_rng(0), 4000), float)
    low, high = v.support
    assert a.min() >= low and a.max() <= high
    for x in np.linspace(min(a.min(), b.min()), max(a.max(), b.max()), 13):
        assert abs((a <= x).mean() - (b <= x).mean()) < 0.04
    assert [v.quantile(0.0), v.quantile(1.0)] == [v.quantile(0.0), v.quantile(1.0)]
