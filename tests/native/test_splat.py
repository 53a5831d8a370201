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
    turn = _rotation(p["quats"])
    S = np.einsum("nij,nj->nij", turn, np.exp(p["log_scales"]))
    axis = turn[np.arange(len(z)), :, p["log_scales"].real.argmin(1)]
    axis = np.where(((axis @ R.T) * pc).sum(1, keepdims=True).real > 0, -axis, axis)
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
    median, expected, normals = np.zeros((h, w)), np.zeros((h, w), z.dtype), np.zeros((h, w, 3), z.dtype)
    for i in np.argsort(z.real, kind="stable"):
        if z[i].real <= 0.01:
            continue
        dx, dy = X - (fx * xr[i] + cx), Yp - (fy * yr[i] + cy)
        alpha = opacity[i] * np.exp(-(c[i] * dx * dx - 2 * b[i] * dx * dy + a[i] * dy * dy) / (2 * det[i]))
        alpha = np.where(alpha.real > 0.999, 0.999, np.where(alpha.real < 1 / 255, 0, alpha))
        depth = z[i] + slope[i] * (zu[i] * dx + zv[i] * dy)
        rgb = rgb + (alpha * trans)[..., None] * col[i]
        expected = expected + alpha * trans * depth
        normals = normals + (alpha * trans)[..., None] * axis[i]
        after = trans * (1 - alpha)
        median = np.where((trans.real >= 0.5) & (after.real < 0.5), depth.real, median)
        trans = after
    cover = 1 - trans
    expected = np.where(cover.real > 1 / 255, expected / np.where(cover.real > 1e-9, cover, 1), 0)
    return rgb + trans[..., None] * BACKGROUND, trans, median, expected, normals


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


def kernel(s, *, antialiased=False, depth=True, normals=False, threads=2, grad=None, surface=None, background=BACKGROUND):
    """The forward pass, and with `grad` the gradients; `surface`: derivatives by transmittance, expected depth, normals."""
    p, K, T, w, h, degree = s
    r = load("splat").Rasterizer(w, h, threads)
    q = [f32(p[k]) for k in GROUPS]
    out = r.forward(*q, K=f32(K), T_camera_world=f32(T), background=f32(background), degree=degree, antialiased=antialiased,
                    depth=depth, normals=normals or surface is not None)  # fmt: skip
    if grad is None:
        return out
    g = {k: np.full_like(a, 7) for k, a in zip(GROUPS, q)}
    screen = np.zeros(len(q[0]), np.float32)
    extra = {}
    if surface is not None:
        extra = {"transmittance": out[1], "depth": out[3], "normals": out[4]}
        extra |= {f"grad_{k}": None if v is None else f32(v) for k, v in zip(extra, surface)}
    r.backward(out[0], f32(grad), *q, **{f"g_{k}": g[k] for k in GROUPS}, g_screen=screen, **extra)
    return out, g, screen


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("antialiased", [False, True])
def test_picture_matches_reference(degree, antialiased):
    s = scene(degree=degree, seed=degree)
    rgb, trans, median, expected, normals = kernel(s, antialiased=antialiased, normals=True)
    r_rgb, r_trans, r_median, r_expected, r_normals = reference(*s, antialiased=antialiased)
    assert np.abs(rgb.transpose(1, 2, 0) - r_rgb).mean() < 1e-4
    assert np.abs(trans - r_trans).mean() < 1e-4
    assert (np.abs(median - r_median) > 1e-2).mean() < 5e-3  # a pixel may cross one half at another Gaussian
    assert np.abs(expected - r_expected).mean() < 2e-3
    assert np.abs(normals.transpose(1, 2, 0) - r_normals).mean() < 2e-4 and np.abs(r_normals).mean() > 0.05
    assert r_trans.min() < 0.1 < 0.5 < r_trans.max()


def _smooth_grad(h, w, seed=3):
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(np.random.default_rng(seed).normal(size=(3, h, w)), (0, 3, 3)) / (h * w)


SURFACES = {"color": (), "transmittance": (0,), "depth": (1,), "normals": (2,), "all": (0, 1, 2)}


@pytest.mark.parametrize(("terms", "antialiased"), [(t, False) for t in SURFACES] + [("color", True), ("all", True)])
def test_gradients_match_reference(antialiased, terms):
    s = scene(n=24, degree=3 if terms == "color" else 1, seed=5, w=40, h=34)
    p, K, T, w, h, degree = s
    grad = _smooth_grad(h, w) * (terms in ("color", "all"))
    surface = None
    if terms != "color":
        by = (_smooth_grad(h, w, 4)[0], _smooth_grad(h, w, 5)[0], _smooth_grad(h, w, 6))
        surface = [by[k] if k in SURFACES[terms] else None for k in range(3)]
    _, g, screen = kernel(s, grad=grad, antialiased=antialiased, depth=False, surface=surface)

    def slope(group, index):
        q = {k: v.astype(complex) for k, v in p.items()}
        q[group][index] += 1e-30j
        out = reference(q, K, T, w, h, degree, antialiased)
        value = (out[0].transpose(2, 0, 1) * grad).sum()
        for k, picture in enumerate((out[1], out[3], out[4].transpose(2, 0, 1))):
            if surface is not None and surface[k] is not None:
                value = value + (picture * surface[k]).sum()
        return value.imag / 1e-30

    for group in GROUPS:
        if group == "sh" and terms not in ("color", "all"):
            assert not g["sh"].any()
            continue
        truth = np.zeros(p[group].shape)
        for index in np.ndindex(p[group].shape):
            if index[0] % (4 if group == "sh" else 1 if terms == "color" else 3) == 0:
                truth[index] = slope(group, index)
            else:
                truth[index] = g[group][index]
        error = np.linalg.norm(g[group] - truth) / np.linalg.norm(truth)
        assert error < 2e-3, f"{group}: {error}"  # expected depth divides by alpha, which may be as small as 1/255
    assert (screen >= 0).all() and screen.max() > 0


def normal_loss_reference(depth, trans, normals, K, T):
    """The normal term of `backend.Shot`, written out; (h, w, 3) normals."""
    h, w = depth.shape
    X, Y = np.meshgrid((np.arange(w) + 0.5 - K[0, 2]) / K[0, 0], (np.arange(h) + 0.5 - K[1, 2]) / K[1, 1])
    P = np.stack([X, Y, np.ones_like(X)], -1) * depth[..., None]
    n = np.cross(P[2:, 1:-1] - P[:-2, 1:-1], P[1:-1, 2:] - P[1:-1, :-2])
    n = n / np.sqrt((n * n).sum(-1, keepdims=True))
    solid = trans < 0.5
    solid = solid[1:-1, 1:-1] & solid[:-2, 1:-1] & solid[2:, 1:-1] & solid[1:-1, :-2] & solid[1:-1, 2:]
    term = 1 - trans[1:-1, 1:-1] - ((normals @ T[:3, :3].T)[1:-1, 1:-1] * n).sum(-1)
    return (term * solid).sum() / (h * w)


def test_normal_loss_matches_reference():
    s = scene(n=200, seed=6)
    _, K, T, w, h, _ = s
    r = load("splat").Rasterizer(w, h, 2)
    rgb, trans, _, depth, normals = r.forward(*[f32(s[0][k]) for k in GROUPS], K=f32(K), T_camera_world=f32(T),
                                              background=f32(BACKGROUND), degree=3, normals=True)  # fmt: skip
    g_depth, g_normals = np.zeros_like(depth), np.zeros_like(normals)
    loss = r.normal_loss(depth, trans, normals, 0.5, g_depth, g_normals)
    D, N = depth.astype(float), normals.transpose(1, 2, 0).astype(float)
    assert loss == pytest.approx(0.5 * normal_loss_reference(D, trans, N, K, T), rel=1e-4) and loss > 0.01
    rng = np.random.default_rng(0)
    for direction in (rng.normal(size=D.shape) * 1e-4, 0), (0, rng.normal(size=N.shape) * 1e-4):
        ends = [0.5 * normal_loss_reference(D + k * direction[0], trans, N + k * direction[1], K, T) for k in (1e-2, -1e-2)]
        predicted = (g_depth * direction[0]).sum() + (g_normals.transpose(1, 2, 0) * direction[1]).sum()
        assert predicted == pytest.approx((ends[0] - ends[1]) / 2e-2, rel=2e-3)
    g2 = np.zeros_like(depth), np.zeros_like(normals)
    r1 = load("splat").Rasterizer(w, h, 1)
    r1.forward(*[f32(s[0][k]) for k in GROUPS], K=f32(K), T_camera_world=f32(T), background=f32(BACKGROUND), degree=3, normals=True)
    assert r1.normal_loss(depth, trans, normals, 0.5, *g2) == loss
    assert np.array_equal(g2[0], g_depth) and np.array_equal(g2[1], g_normals)


def test_background_may_differ_per_pixel():
    s = scene()
    _, _, _, w, h, _ = s
    picture = np.random.default_rng(1).random((3, h, w))
    plain, varied = kernel(s)[0], kernel(s, background=picture)[0]
    trans = kernel(s)[1]
    assert np.allclose(varied - plain, trans * (picture - BACKGROUND[:, None, None]), atol=1e-6)


def test_jitter_moves_the_transparent_along_their_covariance():
    rng = np.random.default_rng(0)
    n = 4000
    q = np.tile(rng.normal(size=4), (n, 1))
    scales = np.array([0.5, 0.1, 0.02])
    logits = np.where(np.arange(n) % 2 == 0, -8.0, 3.0)  # opacity 0.0003 and 0.95
    args = [f32(a) for a in (np.zeros((n, 3)), q, np.log(np.tile(scales, (n, 1))), logits)]
    visible = (np.arange(n) % 4 < 2).astype(np.uint8)
    moved = {}
    for threads in (1, 3):
        means = args[0].copy()
        load("splat").jitter(means, *args[1:], visible, 2.0, 77, threads)
        moved[threads] = means
    assert np.array_equal(moved[1], moved[3])
    assert not moved[1][(np.arange(n) % 2 == 1) | (visible == 0)].any()
    R = _rotation(q[:1])[0]
    got = moved[1][(np.arange(n) % 4) == 0] @ R
    share = 1 / (1 + np.exp(100 * (1 / (1 + np.exp(8)) - 0.005)))
    assert np.allclose(got.std(0), 2 * share * scales**2, rtol=0.1) and np.abs(got.mean(0) / got.std(0)).max() < 0.12
    other = args[0].copy()
    load("splat").jitter(other, *args[1:], visible, 2.0, 78, 2)
    assert not np.array_equal(other, moved[1])


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
    surface = _smooth_grad(110, 150, 4)[0], _smooth_grad(110, 150, 5)[0], _smooth_grad(110, 150, 6)
    out1, g1, s1 = kernel(s, threads=1, grad=grad, surface=surface)
    for threads in (2, 3, 8):
        out, g, sc = kernel(s, threads=threads, grad=grad, surface=surface)
        assert all(np.array_equal(a, b) for a, b in zip(out, out1)) and out[4] is not None
        assert all(np.array_equal(g[k], g1[k]) for k in GROUPS) and np.array_equal(sc, s1)


def test_a_derivative_without_its_forward_pass_is_refused():
    s = scene(n=5)
    p, K, T, w, h, degree = s
    r = load("splat").Rasterizer(w, h, 1)
    q = [f32(p[k]) for k in GROUPS]
    out = r.forward(*q, K=f32(K), T_camera_world=f32(T), background=f32(BACKGROUND), degree=3, depth=True)
    g = {f"g_{k}": np.zeros_like(a) for k, a in zip(GROUPS, q)}
    with pytest.raises(ValueError, match="normals=True"):
        r.backward(out[0], out[0], *q, **g, g_screen=np.zeros(5, np.float32), transmittance=out[1], depth=out[3], grad_depth=out[3])


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
        "o, g, c = t.kernel(s, grad=g, surface=(g[0], g[1], g)); np.savez(sys.argv[2], rgb=o[0], depth=o[3], normals=o[4], **g)"
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


def test_the_baseline_build_passes_these_tests_too():
    here = os.path.dirname(__file__)
    files = [f"{here}/test_splat_loss.py", f"{here}/test_splat.py"]
    pick = "test_splat_loss or picture_matches or normal_loss or jitter or thread_count"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", pick, *files]
    done = subprocess.run(command, env={**os.environ, "PHONE2SIM_NATIVE": "base"}, capture_output=True, text=True)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout[-2000:]
