"""Splitting by gradient and moving by MCMC: what a place shows stays the same, and counts are kept."""

from __future__ import annotations

import numpy as np
import pytest

from phone2sim.reconstruct.splat.config import SplatConfig
from phone2sim.reconstruct.splat.cpu import CpuEngine
from phone2sim.reconstruct.splat.densify import DEAD, densify, relocate, shared
from phone2sim.reconstruct.splat.gaussians import logit, sigmoid
from phone2sim.reconstruct.splat.views import make_view


def params(n: int = 40, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = {
        "means": np.column_stack([rng.uniform(-1, 1, (n, 2)), rng.uniform(2, 3, n)]), "quats": rng.normal(size=(n, 4)),
        "log_scales": np.log(rng.uniform(0.05, 0.2, (n, 3))), "logits": rng.normal(size=n), "sh": rng.normal(size=(n, 4, 3)) * 0.3,
    }  # fmt: skip
    return {k: v.astype(np.float32) for k, v in p.items()}


@pytest.mark.parametrize("copies", [1, 2, 3, 8, 30])
def test_copies_in_one_place_look_like_the_one(copies):
    """Kheradmand et al. 2024: the same opacity at the centre, the same light taken along a line through it."""
    o, s = np.array([0.1, 0.5, 0.9, 0.99]), np.tile([0.2, 0.3, 0.4], (4, 1))
    new_o, new_s = shared(o, s, np.full(4, copies))
    assert np.allclose(1 - (1 - new_o) ** copies, o)
    x = np.linspace(-8, 8, 20001)
    for i in range(4):
        one = o[i] * np.exp(-(x**2) / (2 * s[i, 0] ** 2))
        many = 1 - (1 - new_o[i] * np.exp(-(x**2) / (2 * new_s[i, 0] ** 2))) ** copies
        assert np.trapezoid(many, x) == pytest.approx(np.trapezoid(one, x), rel=1e-4)
    assert np.allclose(new_s / s, (new_s / s)[:, :1])


def test_the_dead_move_onto_the_living_and_more_are_born():
    p = params(200)
    dead = np.arange(200) % 5 == 0
    p["logits"][dead] = logit(0.001)
    new, source = relocate(p, grow=0.1, cap=215, rng=np.random.default_rng(0))
    assert len(new["means"]) == len(source) == 215
    assert (sigmoid(new["logits"]) >= DEAD * 0.999).all()
    living = {tuple(m) for m in p["means"][~dead]}
    assert all(tuple(m) in living for m in new["means"])
    assert (source[:200][dead] == -1).all() and (source[200:] == -1).all()
    same = source >= 0
    assert (source[same] == np.flatnonzero(same)).all()
    assert all(np.array_equal(new[k][same], p[k][source[same]]) for k in p)
    again, _ = relocate(p, grow=0.1, cap=215, rng=np.random.default_rng(0))
    assert all(np.array_equal(again[k], new[k]) for k in p)
    full, _ = relocate(p, grow=0.1, cap=150, rng=np.random.default_rng(0))
    assert len(full["means"]) == 200


def picture(p: dict[str, np.ndarray]) -> np.ndarray:
    K = np.array([[60.0, 0, 32], [0, 60.0, 24], [0, 0, 1]])
    view = make_view("a", np.zeros((48, 64, 3), np.uint8), K, np.eye(4), None)
    engine = CpuEngine(p, SplatConfig(threads=1))
    return engine.render(view, degree=1, background=np.zeros(3, np.float32)).rgb


@pytest.mark.parametrize("way", ["gradient", "mcmc"])
def test_the_picture_hardly_changes(way):
    p = params(60, seed=2)
    rng = np.random.default_rng(1)
    if way == "mcmc":
        new, _ = relocate(p, grow=0.3, cap=100, rng=rng)
    else:
        new, _ = densify(p, np.ones(60), grow=0.3, cap=100, largest=9.0, rng=rng)
    assert len(new["means"]) > 70
    before = picture(p)
    assert np.abs(picture(new) - before).mean() < (0.05 if way == "mcmc" else 0.12) * before.mean()


def test_splitting_obeys_score_and_cap():
    p = params(100)
    score = np.where(np.arange(100) < 10, 1.0, 0.0)
    new, source = densify(p, score, grow=0.5, cap=105, largest=9.0, rng=np.random.default_rng(0))
    assert len(new["means"]) == 105
    assert set(np.flatnonzero(source < 0)) <= set(range(10)) | set(range(100, 105)) and (source < 0).sum() == 10
    p["logits"][50:] = logit(0.001)
    new, source = densify(p, np.zeros(100), grow=0.5, cap=105, largest=9.0, rng=np.random.default_rng(0))
    assert len(new["means"]) == 50 and (source == np.arange(50)).all()


def test_replace_keeps_moments_by_source():
    p = params(6)
    engine = CpuEngine(p, SplatConfig(threads=1))
    for k in engine.m:
        engine.m[k][...] = np.arange(6).reshape(-1, *[1] * (engine.m[k].ndim - 1)) + 1
    engine.replace({k: v[[4, 0, 0]] for k, v in p.items()}, np.array([4, -1, 0]))
    assert len(engine) == 3 and [engine.m["means"][i, 0] for i in range(3)] == [5, 0, 1]
    assert np.array_equal(engine.read()["sh"], p["sh"][[4, 0, 0]]) and not engine.pulls()[1].any()
