"""Laws of the vote on scale and up."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from phone2sim.intervals import Interval
from phone2sim.poses import Pose
from phone2sim.reconstruct.metric.votes import TRUST, ScaleVote, UpVote, angle_deg, combine_scale, combine_up, trust

MEASURING = [s for s in TRUST if s not in ("support plane", "device", "imu", "cameras", "paper", "monocular depth", "handheld prior")]


def vote(source: str, value: float, half: float, *, floor: float = 0.0, guess: bool = False) -> ScaleVote:
    interval = Interval(value=value, low=value / (1 + half), high=value * (1 + half), why=f"{source} says so")
    return ScaleVote(source=source, interval=interval, floor=floor, guess=guess)


PRIOR = vote("handheld prior", 1.0, 1.5, guess=True)


@st.composite
def ballots(draw: st.DrawFn) -> list[ScaleVote]:
    names = draw(st.lists(st.sampled_from(MEASURING), min_size=1, max_size=6))
    votes = []
    for name in names:
        value = math.exp(draw(st.floats(-0.3, 0.3)))
        half = draw(st.floats(0.002, 0.3))
        votes.append(vote(name, value, half, floor=draw(st.floats(0, 0.01))))
    if draw(st.booleans()):
        votes.append(PRIOR)
    return votes


@given(ballots(), st.randoms(use_true_random=False))
def test_the_order_of_votes_does_not_matter(votes: list[ScaleVote], random) -> None:
    mixed = list(votes)
    random.shuffle(mixed)
    a, b = combine_scale(votes), combine_scale(mixed)
    assert a.scale == b.scale and a.sources == b.sources and sorted(a.flagged) == sorted(b.flagged)


def test_a_tie_within_one_source_does_not_depend_on_the_order() -> None:
    pair = [vote("device poses", v, 0.125) for v in (1.284, 1.0)]
    assert combine_scale(pair).scale == combine_scale(pair[::-1]).scale


@given(ballots(), st.floats(0.01, 100))
def test_other_units_multiply_the_answer_and_nothing_else(votes: list[ScaleVote], k: float) -> None:
    a, b = combine_scale(votes), combine_scale([replace(v, interval=v.interval.scaled(k)) for v in votes])
    assert b.sources == a.sources and [v.used for v in b.verdicts] == [v.used for v in a.verdicts]
    for end in ("low", "value", "high"):
        assert getattr(b.scale, end) == pytest.approx(k * getattr(a.scale, end), rel=1e-9)


@given(ballots())
def test_the_answer_lies_where_the_winners_agree_and_is_never_wider_than_the_best(votes: list[ScaleVote]) -> None:
    decision = combine_scale(votes)
    used = [v for v, d in zip(votes, decision.verdicts, strict=True) if d.used]
    x = math.log(decision.scale.value)
    assert used and all(v.log[0] - 1e-9 <= x <= v.log[2] + 1e-9 for v in used)
    assert decision.scale.low <= decision.scale.value <= decision.scale.high
    width = math.log(decision.scale.high / decision.scale.low)
    assert width <= min(v.log[2] - v.log[0] for v in used) + 1e-9
    assert width >= 2 * math.log1p(min(v.floor for v in used)) - 1e-9
    assert len(decision.flagged) >= sum(not d.used and d.why.startswith("outvoted") for d in decision.verdicts)


@given(st.floats(0.5, 2), st.floats(0.003, 0.1), st.floats(0.003, 0.1))
def test_agreement_narrows(value: float, a: float, b: float) -> None:
    one, both = combine_scale([vote("sheet", value, a)]), combine_scale([vote("sheet", value, a), vote("card", value, b)])
    assert both.scale.value == pytest.approx(value)
    assert both.scale.high / both.scale.low <= one.scale.high / one.scale.low
    assert both.sources[0] == ("sheet" if a <= b else "card")


@given(st.permutations(MEASURING), st.floats(1.2, 50), st.booleans())
def test_one_liar_among_three_loses_whoever_it_is(names: list[str], off: float, high: bool) -> None:
    liar = vote(names[2], off if high else 1 / off, 0.01)
    decision = combine_scale([vote(names[0], 1.002, 0.01), liar, vote(names[1], 0.998, 0.02), PRIOR])
    assert decision.scale.value == pytest.approx(1.0, rel=0.003)
    assert [d.used for d in decision.verdicts] == [True, False, True, False]
    ratio = f"{(off if high else 1 / off) / decision.scale.value:.3g}"
    assert any(f"the {names[2]} says {ratio} times" in f for f in decision.flagged)


def test_two_against_each_other_the_guesses_tip_the_scale_then_trust() -> None:
    centimetres = vote("length", 100.0, 0.02)
    decision = combine_scale([centimetres, vote("card", 1.0, 0.01), PRIOR])
    assert decision.sources == ("card",) and "the length says 100 times the card's scale" in decision.flagged
    decision = combine_scale([vote("device poses", 100.0, 0.02), vote("card", 1.0, 0.01), PRIOR])
    assert decision.sources == ("card",), "phones are not held at thirty metres"
    decision = combine_scale([vote("tag", 1.06, 0.005), vote("device poses", 1.0, 0.01), PRIOR])
    assert decision.sources == ("device poses",) and trust("device poses") < trust("tag")
    assert "more trusted than tag" in decision.verdicts[1].why


def test_guesses_never_outvote_a_measurement() -> None:
    guesses = [vote("monocular depth", 2.0, 0.15, guess=True), vote("paper", 2.0, 0.3, guess=True), PRIOR]
    decision = combine_scale([vote("tag", 1.0, 0.005), *guesses])
    assert decision.scale.value == pytest.approx(1.0) and decision.sources == ("tag",) and len(decision.flagged) == 2


def test_what_looks_like_paper_does_not_win_over_what_hands_can_do() -> None:
    decision = combine_scale([vote("paper", 5.6, 0.45, guess=True), PRIOR])
    assert decision.sources == ("handheld prior",) and "the paper says 5.6 times the handheld prior's scale" in decision.flagged


def test_a_lone_prior_keeps_its_wide_interval() -> None:
    decision = combine_scale([PRIOR])
    assert decision.scale == PRIOR.interval and decision.sources == ("handheld prior",)


def test_predicted_depth_narrows_the_prior() -> None:
    decision = combine_scale([vote("monocular depth", 1.3, 0.15, floor=0.15, guess=True), PRIOR])
    assert set(decision.sources) == {"monocular depth", "handheld prior"}
    assert decision.scale.value == pytest.approx(1.3, rel=0.05) and decision.scale.high / decision.scale.low < 1.16**2


def tilted(deg: float, towards: float = 0.0) -> np.ndarray:
    a = np.radians(deg)
    return np.array([np.sin(a) * np.cos(towards), np.sin(a) * np.sin(towards), np.cos(a)])


CAMERAS = UpVote(source="cameras", up=tilted(4), within_deg=5, guess=True)


def test_the_support_plane_gives_the_direction_where_gravity_agrees() -> None:
    plane = UpVote(source="support plane", up=tilted(1.5), within_deg=0.5, level_deg=2)
    device = UpVote(source="device", up=tilted(0), within_deg=1.5)
    decision = combine_up([CAMERAS, device, plane])
    assert np.allclose(decision.up, plane.up) and decision.sources[0] == "support plane" and decision.within_deg == 0.5
    assert not decision.flagged


def test_a_sloping_surface_is_outvoted_by_gravity() -> None:
    plane = UpVote(source="support plane", up=tilted(14), within_deg=0.5, level_deg=2)
    gravity = [UpVote(source="device", up=tilted(0.4), within_deg=1.5), UpVote(source="imu", up=tilted(0.4, 2), within_deg=1.5)]
    decision = combine_up([plane, *gravity, CAMERAS])
    assert angle_deg(decision.up, tilted(0)) < 0.5 and "support plane" not in decision.sources
    assert any("the support plane is tilted by 1" in f for f in decision.flagged)


@pytest.mark.parametrize("seed", range(3))
def test_up_turns_with_the_world_and_ignores_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    votes = [UpVote(source=s, up=tilted(rng.uniform(0, 3), rng.uniform(0, 6)), within_deg=2) for s in ("device", "imu", "board")]
    R = Pose(np.zeros(3), rng.normal(size=4)).rotation
    a = combine_up([*votes, CAMERAS])
    b = combine_up([replace(v, up=R @ v.up) for v in (CAMERAS, *votes[::-1])])
    assert np.allclose(R @ a.up, b.up) and set(a.sources) == set(b.sources) and a.within_deg == pytest.approx(b.within_deg)


@given(st.floats(0, 180), st.floats(0, 6.28))
def test_angles(deg: float, towards: float) -> None:
    assume(deg > 1e-6)
    assert angle_deg(tilted(deg, towards), tilted(0)) == pytest.approx(deg, abs=1e-6)
