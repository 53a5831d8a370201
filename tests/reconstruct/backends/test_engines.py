"""The contract of `backend.Engine`: every backend gives the pictures, gradients and steps of the C++ kernels.

The torch engine is run with plain torch operations on the processor where torch is at hand, and with gsplat where a CUDA
GPU is too; elsewhere these tests are skipped with the reason.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from phone2sim.errors import MissingDependencyError
from phone2sim.poses import look_at
from phone2sim.reconstruct.backends.gsplat_cuda import gsplat_engine, gsplat_missing
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.splat.backend import GROUPS, Engine, Shot
from phone2sim.reconstruct.splat.config import SplatConfig
from phone2sim.reconstruct.splat.cpu import CpuEngine
from phone2sim.reconstruct.splat.rasterize import rasterize
from phone2sim.reconstruct.splat.train import train
from phone2sim.reconstruct.splat.views import DepthSamples, make_view

W, H = 48, 36
K = np.array([[50.0, 0, 24.5], [0, 52.0, 17.5], [0, 0, 1]])


@dataclass(frozen=True)
class Backend:
    make: Callable
    picture: float
    """Largest mean difference of pictures."""
    gradient: float
    """Largest relative difference of gradients."""


def plain(params, config):
    from phone2sim.reconstruct.backends.torch_engine import TorchEngine
    from tests.reconstruct.backends.plain import PlainDrawing

    return TorchEngine(params, config, drawing=PlainDrawing(), device="cpu")


NO_TORCH = "" if importlib.util.find_spec("torch") else "torch is not installed"
BACKENDS = [
    pytest.param(Backend(plain, 2e-5, 2e-3), id="torch", marks=pytest.mark.skipif(bool(NO_TORCH), reason=NO_TORCH)),
    pytest.param(
        Backend(gsplat_engine, 1e-4, 1e-2), id="gsplat",
        marks=pytest.mark.skipif(bool(gsplat_missing()), reason=f"no gsplat here: {gsplat_missing()}"),
    ),
]  # fmt: skip
backends = pytest.mark.parametrize("backend", BACKENDS)


def gaussians(n: int = 150, degree: int = 3, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    sh = 0.1 * rng.normal(size=(n, (degree + 1) ** 2, 3))
    sh[:, 0] = rng.uniform(-0.5, 1.2, (n, 3))
    params = {
        "means": rng.uniform(-0.45, 0.45, (n, 3)), "quats": 2 * rng.normal(size=(n, 4)),
        "log_scales": rng.uniform(-4.2, -2.0, (n, 3)), "logits": rng.uniform(-2, 3, n), "sh": sh,
    }  # fmt: skip
    params["means"][:5] = [0, 0, 5]  # behind the camera: never seen
    return {k: v.astype(np.float32) for k, v in params.items()}


def view(seed: int = 1, mask: bool = True):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (H, W, 3), dtype=np.uint8)
    weight = (rng.random((H, W)) > 0.2).astype(np.float32) if mask else None
    T = look_at(np.array([0.3, 0.7, 0.8]), np.zeros(3)).inverse().matrix
    uv = rng.uniform(4, 32, (60, 2))
    samples = DepthSamples(uv=uv, depth=rng.uniform(0.8, 1.2, 60), confidence=rng.uniform(0.2, 1, 60))
    return make_view("a.png", image, K, T, weight, samples)


SHOT = Shot(
    view=view(), level=0, degree=3, background=np.array([0.2, 0.5, 0.7], np.float32), gain=np.array([1.1, 0.9, 1.0], np.float32),
    bias=np.array([0.02, 0, -0.03], np.float32),
)  # fmt: skip
rng = np.random.default_rng(2)
SHOTS = {
    "photometric": SHOT,
    "half": replace(SHOT, level=1, degree=1, view=view(mask=False)),
    "l1": replace(SHOT, ssim_share=0.0),
    "regularised": replace(SHOT, opacity_weight=0.3, scale_weight=2.0, flat_weight=4.0),
    "sky": replace(
        SHOT, background=rng.random((3, H, W), dtype=np.float32), clear=rng.random((H, W), dtype=np.float32)
    ),
    "normals": replace(SHOT, normal_weight=0.5),
    "depth": replace(SHOT, depth_weight=0.5),
}


def gradients(engine: Engine) -> dict[str, np.ndarray]:
    if isinstance(engine, CpuEngine):
        return {k: v.copy() for k, v in engine.g.items()}
    return {k: v.grad.cpu().numpy() for k, v in engine.p.items()}  # type: ignore[attr-defined]


def relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-12))


@backends
@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_pictures(backend, degree, antialiased):
    config = SplatConfig(sh_degree=3, antialiased=antialiased)
    ours, theirs = (make(gaussians(), config) for make in (CpuEngine, backend.make))
    for level in (0, 2):
        a, b = (e.render(SHOT.view, level, degree=degree, background=SHOT.background, geometry=True) for e in (ours, theirs))
        assert a.rgb.std() > 0.05 and np.abs(a.rgb - b.rgb).mean() < backend.picture
        assert np.abs(a.transmittance - b.transmittance).mean() < 5 * backend.picture
        assert np.abs(a.normals - b.normals).mean() < 4 * backend.picture
        on = a.transmittance < 0.5
        assert on.mean() > 0.3 and np.abs(a.depth_expected - b.depth_expected)[on].mean() < 5 * backend.picture


@backends
@pytest.mark.parametrize("name", SHOTS)
def test_loss_and_gradients(backend, name):
    shot, config = SHOTS[name], SplatConfig(sh_degree=3)
    ours, theirs = (make(gaussians(), config) for make in (CpuEngine, backend.make))
    a, b = ours.backward(shot), theirs.backward(shot)
    assert b.loss == pytest.approx(a.loss, rel=1e-4)
    assert np.allclose(a.g_gain, b.g_gain, rtol=1e-2, atol=1e-5) and np.allclose(a.g_bias, b.g_bias, rtol=1e-2, atol=1e-5)
    assert (a.g_background is None) == (b.g_background is None) == (np.ndim(shot.background) == 1)
    if a.g_background is not None:
        assert relative(b.g_background, a.g_background) < 5 * backend.gradient
    mine, other = gradients(ours), gradients(theirs)
    for k in GROUPS:
        assert relative(other[k], mine[k]) < backend.gradient, k
    (pull_a, seen_a), (pull_b, seen_b) = ours.pulls(), theirs.pulls()
    assert relative(pull_b, pull_a) < backend.gradient and (seen_a != seen_b).mean() < 0.05
    assert not pull_b[:5].any() and not seen_b[:5].any()


@backends
def test_steps(backend):
    config = SplatConfig(sh_degree=1)
    ours, theirs = (make(gaussians(degree=1), config) for make in (CpuEngine, backend.make))
    rates = {"means": 1e-3, "quats": 2e-3, "log_scales": 5e-3, "logits": 0.05, "sh": 5e-3}
    columns = {"means": 3, "quats": 4, "log_scales": 3, "logits": 1, "sh": 12}
    rate = {k: np.full(columns[k], v, np.float32) for k, v in rates.items()}
    losses = []
    for step in range(1, 6):
        pair = [e.backward(replace(SHOT, degree=1)).loss for e in (ours, theirs)]
        losses.append(pair)
        ours.step(rate, step)
        theirs.step(rate, step)
        if step == 1:
            a, b, start = ours.read(), theirs.read(), gaussians(degree=1)
            for k in GROUPS:
                assert np.array_equal(b[k][:5], start[k][:5]), k  # not seen: not moved
                # A first step of Adam is the sign of the gradient; a few signs of gradients near zero may differ.
                assert (np.abs(a[k] - b[k]) > 0.02 * rates[k]).mean() < 0.03, k
    losses = np.array(losses)
    assert losses[-1, 0] < losses[0, 0] and np.allclose(losses[:, 0], losses[:, 1], rtol=2e-3)


@backends
def test_contributions(backend):
    a, b = (make(gaussians(), SplatConfig(sh_degree=3)).contributions(SHOT.view) for make in (CpuEngine, backend.make))
    assert a.sum() > 100 and relative(b, a) < backend.gradient and not b[:5].any()


@backends
def test_replace_keeps_the_moments_of_what_goes_on(backend):
    engine = backend.make(gaussians(degree=0), SplatConfig(sh_degree=0))
    rate = {"means": np.full(3, 1e-3), "quats": np.full(4, 1e-3), "log_scales": np.full(3, 1e-3), "logits": np.full(1, 1e-2)}
    rate = {k: v.astype(np.float32) for k, v in {**rate, "sh": np.full(3, 1e-3)}.items()}
    shot = replace(SHOT, degree=0)
    engine.backward(shot)
    engine.step(rate, 1)
    before = engine.read()
    source = np.array([-1, 20, 60, 20])
    engine.replace({k: v[np.maximum(source, 0)] for k, v in before.items()}, source)
    assert len(engine) == 4 and not engine.pulls()[0].any()
    moments = engine.m["means"].cpu().numpy()
    assert not moments[0].any() and np.array_equal(moments[1], moments[3]) and moments[2].any()
    engine.backward(shot)
    engine.step(rate, 2)
    assert all(np.isfinite(v).all() for v in engine.read().values())


@backends
def test_jitter_is_named_by_its_seed_and_spares_the_opaque(backend):
    def jittered(seed):
        engine = backend.make(gaussians(), SplatConfig(sh_degree=3))
        engine.backward(SHOT)
        engine.jitter(1000.0, seed)
        return engine.read()["means"] - gaussians()["means"]

    a, b, c = jittered(1), jittered(1), jittered(2)
    assert np.array_equal(a, b) and not np.array_equal(a, c)
    opaque = gaussians()["logits"] > 0
    assert np.abs(a[opaque]).max() < 1e-6 < np.abs(a[~opaque]).max() and not a[:5].any()


def scene():
    from tests.reconstruct.splat.test_cloud import cloud

    truth = cloud(n=60, degree=0, seed=3)
    truth = replace(truth, scales=np.full((60, 3), 0.09), opacities=np.full(60, 0.95))
    poses = np.array([look_at(np.array([1.1 * np.cos(a), 1.1 * np.sin(a), 0.7]), np.zeros(3)).matrix for a in range(7)])
    cameras = Cameras(
        T_world_camera=poses, K=np.tile(K, (7, 1, 1)), size_wh=np.tile([W, H], (7, 1)), distortion=np.zeros((7, 4)),
        names=tuple(f"{i}.png" for i in range(7)),
    )  # fmt: skip
    images = [
        (rasterize(truth, K=K, T_camera_world=T, width=W, height=H, background=(0.4, 0.4, 0.4)).rgb.clip(0, 1) * 255 + 0.5).astype(np.uint8)
        for T in cameras.T_camera_world
    ]
    return images, cameras, truth.means, (truth.colors * 255).astype(np.uint8)


@backends
@pytest.mark.parametrize("densify", ["gradient", "mcmc"])
def test_training_is_alike(backend, densify):
    config = SplatConfig(iterations=40, cap=200, sh_degree=1, threads=2, densify=densify, prune=False)
    a, b = (train(*scene(), config=config, make_engine=make).metrics for make in (CpuEngine, backend.make))
    start = train(*scene(), config=config.model_copy(update={"iterations": 1})).metrics
    assert a["train_psnr"] > start["train_psnr"] + 3 and abs(a["train_psnr"] - b["train_psnr"]) < 1.0
    assert abs(a["psnr"] - b["psnr"]) < 1.0


@pytest.mark.skipif(not gsplat_missing(), reason="gsplat runs here")
def test_gsplat_says_what_is_missing():
    with pytest.raises(MissingDependencyError, match=r"gsplat backend cannot run here: .*phone2sim\[gsplat\]") as e:
        gsplat_engine(gaussians(), SplatConfig())
    assert e.value.exit_code == 3


def test_importing_the_backend_loads_no_torch():
    import subprocess
    import sys

    code = "import sys, phone2sim.reconstruct.backends.gsplat_cuda, phone2sim.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
