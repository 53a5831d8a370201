"""The metrics, against their definitions written plainly."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
from scipy.ndimage import correlate1d

from phone2sim.errors import MissingDependencyError
from phone2sim.poses import look_at
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.splat import perceptual
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.reconstruct.splat.judge import Comparison, color_corrected, judge_cloud, measure, psnr, ssim
from phone2sim.reconstruct.splat.rasterize import rasterize

rng = np.random.default_rng(0)
PHOTO = np.clip(0.5 + 0.2 * correlate1d(rng.normal(size=(3, 40, 56)), np.ones(5) / 2, axis=1), 0, 1).astype(np.float32)
NOISY = np.clip(PHOTO + 0.08 * rng.normal(size=PHOTO.shape), 0, 1).astype(np.float32)


def reference_ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Wang et al. 2004, eq. 13, per pixel (3, h, w)."""
    x = np.arange(-5, 6)
    window = np.exp(-(x**2) / (2 * 1.5**2))
    window /= window.sum()

    def blur(p):
        return correlate1d(correlate1d(p, window, axis=1, mode="constant"), window, axis=2, mode="constant")

    a, b = a.astype(np.float64), b.astype(np.float64)
    ma, mb = blur(a), blur(b)
    va, vb, cov = blur(a * a) - ma**2, blur(b * b) - mb**2, blur(a * b) - ma * mb
    return (2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4))


def test_psnr_and_ssim_by_definition():
    mse = np.mean((NOISY.astype(np.float64) - PHOTO) ** 2)
    assert psnr(NOISY, PHOTO) == pytest.approx(10 * np.log10(1 / mse), abs=1e-6)
    assert ssim(NOISY, PHOTO) == pytest.approx(reference_ssim(NOISY, PHOTO).mean(), abs=1e-5)
    assert ssim(PHOTO, PHOTO) == pytest.approx(1, abs=1e-6) and psnr(PHOTO, PHOTO) == 100
    assert psnr(PHOTO + 9, PHOTO) == psnr(np.ones_like(PHOTO), PHOTO)


def test_only_the_pixels_that_count_count():
    weight = np.zeros((40, 56), np.float32)
    weight[:, 20:] = 1
    spoiled = NOISY.copy()
    spoiled[:, :, :20] = 0
    assert psnr(spoiled, PHOTO, weight) == pytest.approx(psnr(NOISY[:, :, 20:], PHOTO[:, :, 20:]), abs=1e-5)
    assert ssim(NOISY, PHOTO, weight) == pytest.approx(reference_ssim(NOISY, PHOTO)[:, :, 20:].mean(), abs=1e-5)
    tinted = np.stack([0.8 * PHOTO[0] + 0.1, 0.9 * PHOTO[1], PHOTO[2] - 0.05])
    tinted[:, :, :20] = 0.3
    assert np.allclose(color_corrected(tinted, PHOTO, weight)[:, :, 20:], PHOTO[:, :, 20:], atol=1e-4)


def pair(name="a.png", render=NOISY, gain=1.0):
    return Comparison(
        name=name, photo=PHOTO, render=render, gain=np.full(3, gain, np.float32), bias=np.zeros(3, np.float32)
    )


def test_measure_has_a_row_and_a_render_of_every_view():
    metrics, renders = measure([pair("a.png"), pair("b.png", render=PHOTO / 2, gain=2)])
    assert [r["name"] for r in metrics["heldout"]] == ["a.png", "b.png"] and set(renders) == {"a.png", "b.png"}
    assert metrics["heldout"][1]["psnr"] > 60 > metrics["heldout"][1]["psnr_raw"]
    assert metrics["heldout"][1]["psnr_corrected"] > 60
    assert metrics["psnr"] == pytest.approx(np.mean([r["psnr"] for r in metrics["heldout"]]), abs=1e-3)
    assert np.allclose(renders["b.png"], PHOTO.transpose(1, 2, 0), atol=1e-6)
    assert measure([])[0]["psnr"] is None


def test_missing_lpips_is_left_out_and_says_why(monkeypatch):
    monkeypatch.setattr(perceptual.importlib.util, "find_spec", lambda name: None)
    metrics, _ = measure([pair()])
    assert "lpips" not in metrics and "lpips" not in metrics["heldout"][0]
    assert metrics["lpips_missing"] == "LPIPS needs torch, torchvision, lpips. pip install 'phone2sim[lpips]'"


def stand_in(monkeypatch, tmp_path):
    """A torch and an lpips that hold arrays: the call as the real packages take it (see tests/side/lpips_check.sh)."""

    class Tensor(np.ndarray):
        def to(self, device):
            return self

    class Net:
        def __init__(self, net, verbose):
            assert net == "alex" and verbose is False

        def to(self, device):
            return self

        def eval(self):
            return self

        def __call__(self, a, b):
            assert a.shape == b.shape == (1, *PHOTO.shape) and a.dtype == np.float32 and a.min() >= -1 and a.max() > 0.5
            return np.abs(a - b).mean()

    class NoGrad:
        def __enter__(self): ...
        def __exit__(self, *error): ...

    torch = types.SimpleNamespace(
        hub=types.SimpleNamespace(get_dir=lambda: str(tmp_path)), cuda=types.SimpleNamespace(is_available=lambda: False),
        from_numpy=lambda a: a.view(Tensor), no_grad=NoGrad,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "lpips", types.SimpleNamespace(LPIPS=Net))
    monkeypatch.setattr(perceptual.importlib.util, "find_spec", lambda name: object())


def test_lpips_is_measured_where_it_is(monkeypatch, tmp_path):
    stand_in(monkeypatch, tmp_path)
    with pytest.raises(MissingDependencyError, match="AlexNet's weights, which are not on this machine"):
        perceptual.Perceptual()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / perceptual.WEIGHTS).touch()
    metrics, _ = measure([pair(), pair("b.png", render=PHOTO)])
    assert metrics["heldout"][1]["lpips"] == 0 < metrics["heldout"][0]["lpips"] and "lpips_missing" not in metrics
    assert metrics["lpips"] == pytest.approx(metrics["heldout"][0]["lpips"] / 2, abs=1e-4)


def test_a_cloud_is_judged_by_its_own_pictures():
    cloud = SplatCloud(
        means=rng.uniform(-0.4, 0.4, (80, 3)), quats_wxyz=np.tile([1.0, 0, 0, 0], (80, 1)), scales=np.full((80, 3), 0.08),
        opacities=np.full(80, 0.9), sh=rng.uniform(-1, 1, (80, 1, 3)),
    )  # fmt: skip
    K = np.array([[50.0, 0, 24], [0, 50, 16], [0, 0, 1]])
    poses = [look_at(np.array([np.cos(a), np.sin(a), 0.6]), np.zeros(3)).matrix for a in (0, 1, 2)]
    cameras = Cameras(
        T_world_camera=np.array(poses), K=np.tile(K, (3, 1, 1)), size_wh=np.tile([48, 32], (3, 1)), distortion=np.zeros((3, 4)),
        names=("0.png", "1.png", "2.png"),
    )  # fmt: skip
    images = [
        (rasterize(cloud, K=K, T_camera_world=T, width=48, height=32).rgb.clip(0, 1) * 255 + 0.5).astype(np.uint8)
        for T in cameras.T_camera_world
    ]
    metrics, renders = judge_cloud(cloud, images, cameras, [0, 2])
    assert metrics["psnr"] > 50 and metrics["ssim"] > 0.99 and set(renders) == {"0.png", "2.png"}
    worse, _ = judge_cloud(cloud.take(np.arange(40)), images, cameras, [0, 2])
    assert worse["psnr"] < 30
