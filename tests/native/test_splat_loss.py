"""The fused photometric loss against SSIM and L1 written with scipy, and Adam against its formula."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import correlate1d

from phone2sim._native import load

WINDOW = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
WINDOW /= WINDOW.sum()


def _blur(a):
    return correlate1d(correlate1d(a, WINDOW, axis=1, mode="constant"), WINDOW, axis=2, mode="constant")


def reference(image, target, weight, share):
    """Loss, and its gradient through the adjoint of the blur (the window is symmetric, so the blur is its own adjoint)."""
    a, b = image.astype(float), target.astype(float)
    ma, mb = _blur(a), _blur(b)
    va, vb, cov = _blur(a * a) - ma * ma, _blur(b * b) - mb * mb, _blur(a * b) - ma * mb
    A, B, C, D = 2 * ma * mb + 1e-4, 2 * cov + 9e-4, ma * ma + mb * mb + 1e-4, va + vb + 9e-4
    s = A * B / (C * D)
    n = a.size
    loss = (1 - share) * (weight * abs(a - b)).sum() / n + share * (weight * (1 - s)).sum() / n
    ds = -share * weight / n
    d_ma = ds * (2 * mb * B / (C * D) - 2 * mb * A / (C * D) - 2 * ma * s / C + 2 * ma * s / D)
    d_aa, d_ab = -ds * s / D, 2 * ds * A / (C * D)
    grad = _blur(d_ma) + 2 * a * _blur(d_aa) + b * _blur(d_ab) + (1 - share) * weight * np.sign(a - b) / n
    return loss, grad, (weight * s + 1 - weight).sum() / n


def _case(h=71, w=53, seed=0):
    rng = np.random.default_rng(seed)
    target = _blur(rng.random((3, h, w))) + 0.1
    image = (target + 0.1 * rng.normal(size=(3, h, w))).clip(0, 1)
    return image.astype(np.float32), target.astype(np.float32), rng.random((h, w)).astype(np.float32)


ONE, ZERO = np.ones(3, np.float32), np.zeros(3, np.float32)


def _kernel(image, target, weight, share=0.2, gain=ONE, bias=ZERO, threads=2):
    grad = np.full_like(image, 9)
    return load("splat").photometric_loss(image, target, weight, gain, bias, share, grad, threads), grad


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("size", [(71, 53), (9, 7), (96, 40), (49, 130)])
def test_loss_and_gradient_match_scipy(share, weighted, size):
    image, target, weight = _case(*size)
    (loss, l1, ssim, _, _), grad = _kernel(image, target, weight if weighted else None, share)
    r_loss, r_grad, r_ssim = reference(image, target, weight if weighted else np.ones_like(weight), share)
    assert loss == pytest.approx(r_loss, rel=1e-4)
    assert ssim == pytest.approx(r_ssim, abs=1e-4)
    assert np.linalg.norm(grad - r_grad) < 1e-3 * np.linalg.norm(r_grad)


def test_reference_gradient_matches_finite_differences():
    image, target, weight = (a.astype(float) for a in _case(20, 18))
    direction = np.random.default_rng(1).normal(size=image.shape)
    e = 1e-7
    ends = [reference(image + k * e * direction, target, weight, 0.2)[0] for k in (1, -1)]
    assert (ends[0] - ends[1]) / (2 * e) == pytest.approx((reference(image, target, weight, 0.2)[1] * direction).sum(), rel=1e-4)


def test_gain_and_bias_and_their_gradients():
    image, target, _ = _case()
    gain, bias = np.array([1.1, 0.9, 1.05], np.float32), np.array([0.02, -0.03, 0.01], np.float32)
    moved = image * gain[:, None, None] + bias[:, None, None]
    (loss, _, _, g_gain, g_bias), grad = _kernel(image, target, None, gain=gain, bias=bias)
    r_loss, r_grad, _ = reference(moved, target, np.ones(image.shape[1:]), 0.2)
    assert loss == pytest.approx(r_loss, rel=1e-4)
    assert np.linalg.norm(grad - r_grad * gain[:, None, None]) < 2e-3 * np.linalg.norm(grad)
    assert np.allclose(g_gain, (r_grad * image).sum((1, 2)), rtol=1e-3, atol=1e-6)
    assert np.allclose(g_bias, r_grad.sum((1, 2)), rtol=1e-3, atol=1e-6)


def test_equal_pictures_cost_nothing():
    _, target, _ = _case()
    (loss, l1, ssim, _, _), grad = _kernel(target, target, None)
    assert l1 == 0 and ssim == pytest.approx(1, abs=1e-5) and abs(loss) < 1e-5 and abs(grad).max() < 1e-6


def test_thread_count_does_not_change_a_bit():
    image, target, weight = _case(200, 90)
    first, grad = _kernel(image, target, weight, threads=1)
    for threads in (2, 5):
        again, g = _kernel(image, target, weight, threads=threads)
        assert again == first and np.array_equal(g, grad)


def test_adam_moves_only_the_visible():
    rng = np.random.default_rng(0)
    p, g = rng.normal(size=(40, 3)).astype(np.float32), rng.normal(size=(40, 3)).astype(np.float32)
    m, v = rng.normal(size=(40, 3)).astype(np.float32), rng.random((40, 3)).astype(np.float32)
    rates, visible = np.array([0.1, 0.2, 0.3], np.float32), (rng.random(40) < 0.5).astype(np.uint8)
    p1, m1, v1 = p.copy(), m.copy(), v.copy()
    load("splat").adam(p1, g, m1, v1, rates, visible, 0.9, 0.999, 7, 1e-15)
    m2, v2 = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    p2 = p - rates * (m2 / (1 - 0.9**7)) / np.sqrt(v2 / (1 - 0.999**7))
    on = visible > 0
    assert np.allclose(p1[on], p2[on], rtol=1e-4, atol=1e-5) and np.allclose(m1[on], m2[on], atol=1e-6)
    assert np.array_equal(p1[~on], p[~on]) and np.array_equal(m1[~on], m[~on]) and np.array_equal(v1[~on], v[~on])


def test_regulariser_pulls_the_shortest_axis_and_the_opacity():
    log_scales = np.log(np.array([[1, 2, 3], [5, 0.5, 4]], np.float32))
    logits = np.array([0.0, 2.0], np.float32)
    gs, go = np.zeros((2, 3), np.float32), np.zeros(2, np.float32)
    load("splat").regularise(log_scales, logits, gs, go, np.array([1, 0], np.uint8), 0.4, 0.0, 0.1)
    assert np.allclose(gs, [[0.1, 0, 0], [0, 0, 0]]) and np.allclose(go, [0.1, 0])
