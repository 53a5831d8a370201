"""The splatting kernels against an independent float64 reference, whose derivatives are taken by complex step."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import numpy as np
import pytest

from phone2sim._native import load

GROUPS = ("means", "quats", "log_scales", "logits", "sh")
BACKGROUND = np.array([0.2, 0.5, 0.3])


def _norm(v):
    return np.sqrt((v * v).sum(-1, keepdims=True))


def _rotation(q):
    w, x, y, z = (q / _norm(q)).T
    return np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
                     2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
                     2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1).reshape(-1, 3, 3)  # fmt: skip


def _harmonics(d, degree):
    """Real spherical harmonics from their definition: polynomials normalised over the sphere, in the 3DGS order and signs."""
    x, y, z = d.T
    one = np.ones_like(x)
    table = [(one, 1), (-y, 1 / 3), (z, 1 / 3), (-x, 1 / 3),
             (x * y, 1 / 15), (-y * z, 1 / 15), (2 * z * z - x * x - y * y, 4 / 5), (-x * z, 1 / 15), (x * x - y * y, 4 / 15),
             (-y * (3 * x * x - y * y), 8 / 35), (x * y * z, 1 / 105), (-y * (4 * z * z - x * x - y * y), 8 / 21),
             (z * (2 * z * z - 3 * x * x - 3 * y * y), 4 / 7), (-x * (4 * z * z - x * x - y * y), 8 / 21),
             (z * (x * x - y * y), 4 / 105), (-x * (x * x - 3 * y * y), 8 / 35)]  # fmt: skip
    # (polynomial, its mean square over the sphere)
    return np.stack([p / np.sqrt(4 * np.pi * m) for p, m in table[: (degree + 1) ** 2]], -1)


def reference(p, K, T, w, h, degree, antialiased=False):
    """Every Gaussian over every pixel in depth order; float64, or complex for a derivative along the imaginary part."""
    R, t = T[:3, :3], T[:3, 3]
    pc = p["means"] @ R.T + t
    z = pc[:, 2]
    S = np.einsum("nij,nj->nij", _rotation(p["quats"]), np.exp(p["log_scales"]))
    cov3 = S @ S.transpose(0, 2, 1)
    xr, yr = pc[:, 0] / z, pc[:, 1] / z
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]

    def hold(v, lo, hi):
        return np.where(v.real < lo, lo, np.where(v.real > hi, hi, v))

    xc, yc = hold(xr, -(cx + 0.15 * w) / fx, (1.15 * w - cx) / fx), hold(yr, -(cy + 0.15 * h) / fy, (1.15 * h - cy) / fy)
    J = np.zeros((len(z), 3, 3), z.dtype)
    J[:, 0, 0], J[:, 0, 2], J[:, 1, 1], J[:, 1, 2], J[:, 2, 2] = fx / z, -fx * xc / z, fy / z, -fy * yc / z, 1
    cov = J @ R @ cov3 @ R.T @ J.transpose(0, 2, 1)  # u, v, depth
    a, b, c = cov[:, 0, 0] + 0.3, cov[:, 0, 1], cov[:, 1, 1] + 0.3
    det = a * c - b * b
    opacity = 1 / (1 + np.exp(-p["logits"]))
    if antialiased:
        opacity = opacity * np.sqrt((cov[:, 0, 0] * cov[:, 1, 1] - b * b) / det)
    d = p["means"] - (-R.T @ t)
    Y = _harmonics(d / _norm(d), degree)
    col = 0.5 + np.einsum("nk,nkc->nc", Y, p["sh"][:, : (degree + 1) ** 2])
    col = np.where(col.real > 0, col, 0)
    zu, zv = (c * cov[:, 0, 2] - b * cov[:, 1, 2]) / det, (a * cov[:, 1, 2] - b * cov[:, 0, 2]) / det
    reach = (2 * np.log(255 * opacity.real.clip(1 / 255))) ** 0.5
    reach = reach * (abs(zu.real) * a.real**0.5 + abs(zv.real) * c.real**0.5)
    limit = 3 * np.exp(p["log_scales"].real).max(1)
    slope = np.minimum(1, limit / np.maximum(reach, 1e-12))
    X, Yp = np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5)
    trans, rgb = np.ones((h, w), z.dtype), np.zeros((h, w, 3), z.dtype)
    median, expected = np.zeros((h, w)), np.zeros((h, w))
    for i in np.argsort(z.real, kind="stable"):
        if z[i].real <= 0.01:
            continue
        dx, dy = X - (fx * xr[i] + cx), Yp - (fy * yr[i] + cy)
        alpha = opacity[i] * np.exp(-(c[i] * dx * dx - 2 * b[i] * dx * dy + a[i] * dy * dy) / (2 * det[i]))
        alpha = np.where(alpha.real > 0.999, 0.999, np.where(alpha.real < 1 / 255, 0, alpha))
        depth = (z[i] + slope[i] * (zu[i] * dx + zv[i] * dy)).real
        rgb = rgb + (alpha * trans)[..., None] * col[i]
        expected += (alpha * trans).real * depth
        after = trans * (1 - alpha)
        median = np.where((trans.real >= 0.5) & (after.real < 0.5), depth, median)
        trans = after
    cover = (1 - trans).real
    expected = np.where(cover > 1e-3, expected / np.maximum(cover, 1e-9), 0)
    return rgb + trans[..., None] * BACKGROUND, trans, median, expected


def scene(n=60, degree=3, seed=0, w=75, h=50):
    rng = np.random.default_rng(seed)
    z = rng.uniform(1.5, 4, n)
    K = np.array([[60.0, 0, 36], [0, 62.0, 27], [0, 0, 1]])
    uv = rng.uniform([-8, -8], [w + 8, h + 8], (n, 2))
    pc = np.stack([(uv[:, 0] - 36) / 60 * z, (uv[:, 1] - 27) / 62 * z, z], 1)
    T = np.eye(4)
    T[:3, :3] = _rotation(rng.normal(size=(1, 4)))[0]
    T[:3, 3] = rng.normal(size=3)
    p = {
        "means": (pc - T[:3, 3]) @ T[:3, :3],
        "quats": rng.normal(size=(n, 4)),
        "log_scales": np.log(rng.uniform(0.02, 0.35, (n, 3))),
        "logits": rng.normal(size=n) * 1.5,
        "sh": rng.normal(size=(n, (degree + 1) ** 2, 3)) * 0.25,
    }
    return {k: v.astype(np.float32).astype(np.float64) for k, v in p.items()}, K, T, w, h, degree


def f32(a):
    return np.ascontiguousarray(a, dtype=np.float32)


def kernel(s, *, antialiased=False, depth=True, threads=2, grad=None):
    p, K, T, w, h, degree = s
    r = load("splat").Rasterizer(w, h, threads)
    q = [f32(p[k]) for k in GROUPS]
    out = r.forward(*q, K=f32(K), T_camera_world=f32(T), background=f32(BACKGROUND), degree=degree, antialiased=antialiased, depth=depth)
    if grad is None:
        return out
    g = {k: np.full_like(a, 7) for k, a in zip(GROUPS, q)}
    screen = np.zeros(len(q[0]), np.float32)
    r.backward(out[0], f32(grad), *q, **{f"g_{k}": g[k] for k in GROUPS}, g_screen=screen)
    return out, g, screen


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("antialiased", [False, True])
def test_picture_matches_reference(degree, antialiased):
    s = scene(degree=degree, seed=degree)
    rgb, trans, median, expected, _ = kernel(s, antialiased=antialiased)
    r_rgb, r_trans, r_median, r_expected = reference(*s, antialiased=antialiased)
    assert np.abs(rgb.transpose(1, 2, 0) - r_rgb).mean() < 1e-4
    assert np.abs(trans - r_trans).mean() < 1e-4
    assert (np.abs(median - r_median) > 1e-2).mean() < 5e-3  # a pixel may cross one half at another Gaussian
    assert np.abs(expected - r_expected).mean() < 2e-3
    assert r_trans.min() < 0.1 < 0.5 < r_trans.max()


def _smooth_grad(h, w, seed=3):
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(np.random.default_rng(seed).normal(size=(3, h, w)), (0, 3, 3)) / (h * w)


@pytest.mark.parametrize("antialiased", [False, True])
def test_gradients_match_reference(antialiased):
    s = scene(n=24, degree=3, seed=5, w=40, h=34)
    p, K, T, w, h, degree = s
    grad = _smooth_grad(h, w)
    _, g, screen = kernel(s, grad=grad, antialiased=antialiased, depth=False)

    def slope(group, index):
        q = {k: v.astype(complex) for k, v in p.items()}
        q[group][index] += 1e-30j
        return (reference(q, K, T, w, h, degree, antialiased)[0].transpose(2, 0, 1) * grad).sum().imag / 1e-30

    for group in GROUPS:
        truth = np.zeros(p[group].shape)
        for index in np.ndindex(p[group].shape):
            if group != "sh" or index[0] % 4 == 0:
                truth[index] = slope(group, index)
            else:
                truth[index] = g[group][index]
        error = np.linalg.norm(g[group] - truth) / np.linalg.norm(truth)
        assert error < 1e-3, f"{group}: {error}"
    assert (screen >= 0).all() and screen.max() > 0


def test_reference_derivative_matches_finite_differences():
    s = scene(n=6, degree=1, seed=8, w=24, h=20)
    p, K, T, w, h, degree = s
    grad = _smooth_grad(h, w)

    def value(q):
        return (reference(q, K, T, w, h, degree)[0].transpose(2, 0, 1) * grad).sum()

    rng = np.random.default_rng(0)
    direction = {k: rng.normal(size=v.shape) for k, v in p.items()}
    exact = value({k: v + 1e-30j * direction[k] for k, v in p.items()}).imag / 1e-30
    e = 1e-6
    ends = [value({k: v + sign * e * direction[k] for k, v in p.items()}) for sign in (1, -1)]
    assert abs((ends[0] - ends[1]) / (2 * e) - exact) < 1e-3 * abs(exact) + 1e-9


def test_thread_count_does_not_change_a_bit():
    s = scene(n=400, seed=2, w=150, h=110)
    grad = _smooth_grad(110, 150)
    out1, g1, s1 = kernel(s, threads=1, grad=grad)
    for threads in (2, 3, 8):
        out, g, sc = kernel(s, threads=threads, grad=grad)
        assert all(np.array_equal(a, b) for a, b in zip(out, out1))
        assert all(np.array_equal(g[k], g1[k]) for k in GROUPS) and np.array_equal(sc, s1)


def test_empty_and_hidden_clouds_give_the_background():
    s = scene(n=5)
    empty = ({k: v[:0] for k, v in s[0].items()}, *s[1:])
    behind = ({**s[0], "means": s[0]["means"] - 50 * s[2][2, :3]}, *s[1:])
    for case in (empty, behind):
        (rgb, trans, median, expected, _), g, _ = kernel(case, grad=_smooth_grad(50, 75))
        assert np.allclose(rgb.transpose(1, 2, 0), BACKGROUND, atol=1e-6)
        assert (trans == 1).all() and not median.any() and not expected.any()
        assert not any(v.any() for v in g.values())


def test_wrong_shapes_are_refused():
    s = scene(n=5)
    with pytest.raises(ValueError, match="quats"):
        kernel(({**s[0], "quats": s[0]["quats"][:4]}, *s[1:]))


def test_baseline_and_v3_builds_agree():
    script = (
        "import sys, numpy as np; sys.path.insert(0, sys.argv[1]); import test_splat as t;"
        "s = t.scene(n=300, seed=4, w=120, h=90); g = t._smooth_grad(90, 120);"
        "o, g, c = t.kernel(s, grad=g); np.savez(sys.argv[2], rgb=o[0], **g)"
    )
    out = {}
    for build in ("base", "best"):
        with tempfile.TemporaryDirectory() as tmp:
            env = {**os.environ, "PHONE2SIM_NATIVE": build}
            subprocess.run([sys.executable, "-c", script, os.path.dirname(__file__), f"{tmp}/o.npz"], check=True, env=env)
            out[build] = dict(np.load(f"{tmp}/o.npz"))
    for key, a in out["base"].items():
        b = out["best"][key]
        assert np.linalg.norm(a - b) <= 2e-3 * np.linalg.norm(b), key
