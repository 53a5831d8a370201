"""Draws depend on names, never on the order or the number of other draws."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from phone2sim.keys import Key

names = st.lists(st.one_of(st.text(max_size=8), st.integers(0, 999)), max_size=4)
seeds = st.integers(0, 2**63)


def draws(key: Key) -> np.ndarray:
    return key.rng().random(8)


@given(seeds, names)
def test_same_key_same_stream(seed: int, path: list[str | int]) -> None:
    np.testing.assert_array_equal(draws(Key(seed).child(*path)), draws(Key(seed).child(*path)))


@given(seeds, names, names)
def test_children_compose(seed: int, a: list[str | int], b: list[str | int]) -> None:
    assert Key(seed).child(*a).child(*b) == Key(seed).child(*a, *b)


@given(seeds, names, names)
def test_different_paths_differ(seed: int, a: list[str | int], b: list[str | int]) -> None:
    same = [(type(x), x) for x in a] == [(type(x), x) for x in b]
    assert np.array_equal(draws(Key(seed).child(*a)), draws(Key(seed).child(*b))) == same


def test_a_number_is_not_its_text_and_a_pair_is_not_its_join() -> None:
    k = Key(3)
    streams = [draws(k.child(*p)) for p in ((1,), ("1",), ("a", "b"), ("ab",), ("a", "", "b"))]
    assert len({s.tobytes() for s in streams}) == len(streams)


def test_drawing_elsewhere_changes_nothing() -> None:
    k = Key(5).child("episode", 417)
    before = draws(k.child("lighting"))
    k.child("camera").rng().random(1000)
    k.rng().random(3)
    np.testing.assert_array_equal(draws(k.child("lighting")), before)


def test_the_global_generator_is_left_alone() -> None:
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    draws(Key(1).child("x"))
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_stable_across_processes() -> None:
    code = "from phone2sim.keys import Key; print(Key(7).child('episode', 417).integer())"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "1"}
    )
    assert int(out.stdout) == Key(7).child("episode", 417).integer()
    assert 0 <= Key(7).child("episode", 417).integer() < 2**31


def test_printed_path() -> None:
    assert str(Key(7).child("episode", 417, "lighting")) == "7/episode/417/lighting"
