"""How good a cloud is: PSNR, SSIM and LPIPS on frames it never saw, with and without help for their exposure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from phone2sim._native import load
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.splat.perceptual import Perceptual, load_perceptual

if TYPE_CHECKING:
    from phone2sim.reconstruct.splat.cloud import SplatCloud
    from phone2sim.reconstruct.splat.train import Trainer

MEANS = ("psnr", "ssim", "lpips", "psnr_raw", "psnr_corrected")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A held-out frame beside its render. Pictures are planar (3, h, w) float32 in 0–1."""

    name: str
    photo: np.ndarray
    render: np.ndarray
    """In the cloud's own colours."""
    gain: np.ndarray
    """(3,) exposure of the frame, known without looking at it."""
    bias: np.ndarray
    """(3,)."""
    weight: np.ndarray | None = None
    """(h, w) share of a pixel that counts; None for all."""

    @property
    def exposed(self) -> np.ndarray:
        """The render under the frame's exposure."""
        return self.gain[:, None, None] * self.render + self.bias[:, None, None]


def psnr(picture: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Peak signal-to-noise ratio [dB] of pictures (3, h, w) in 0–1, over the pixels that count; the first is clipped."""
    error = np.mean((np.clip(picture, 0, 1) - target) ** 2, axis=0, dtype=np.float64)
    return -10 * float(np.log10(max(float(np.average(error, weights=weight)), 1e-10)))


def ssim(picture: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Structural similarity of planar pictures (3, h, w) in 0–1 (Wang et al. 2004; 11×11 Gaussian window, zero border)."""
    picture = np.ascontiguousarray(np.clip(picture, 0, 1), np.float32)
    one, zero = np.ones(3, np.float32), np.zeros(3, np.float32)
    loss = load("splat").photometric_loss(picture, target, weight, one, zero, 0.2, np.empty_like(picture), 0)
    return 1 - (1 - float(loss[2])) / (1 if weight is None else max(float(weight.mean(dtype=np.float64)), 1e-9))


def color_corrected(picture: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """`picture` (3, h, w) under the affine map of colours (3×4, least squares) that brings it nearest `target`."""
    x = np.concatenate([picture.reshape(3, -1), np.ones((1, picture[0].size), picture.dtype)]).astype(np.float64)
    wx = x if weight is None else x * weight.reshape(1, -1)
    A = np.linalg.solve(wx @ x.T + 1e-9 * np.eye(4), wx @ target.reshape(3, -1).T.astype(np.float64))
    return (A.T @ x).reshape(picture.shape)


def measure(pairs: Iterable[Comparison]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Metrics of held-out frames, `{psnr, ssim, lpips, psnr_raw, psnr_corrected, heldout: [row]}`, and renders by name.

    psnr, ssim, lpips: the render under the frame's exposure. psnr_raw: the cloud's own colours. psnr_corrected: colours
    fitted to the held-out frame. Where LPIPS cannot be had, it is left out and `lpips_missing` says why. A render is
    (h, w, 3) float32 under the frame's exposure.
    """
    perceptual, missing = load_perceptual()
    rows, renders = [], {}
    for pair in pairs:
        rows.append(_row(pair, perceptual))
        renders[pair.name] = np.ascontiguousarray(pair.exposed.transpose(1, 2, 0))
    metrics: dict[str, Any] = {}
    for k in MEANS:
        values = [r[k] for r in rows if k in r]
        if k != "lpips" or perceptual:
            metrics[k] = round(float(np.mean(values)), 4) if values else None
    if missing:
        metrics["lpips_missing"] = missing
    return metrics | {"heldout": rows}, renders


def _row(pair: Comparison, perceptual: Perceptual | None) -> dict[str, Any]:
    exposed, photo, w = pair.exposed, pair.photo, pair.weight
    row: dict[str, Any] = {"psnr": psnr(exposed, photo, w), "ssim": ssim(exposed, photo, w)}
    if perceptual:
        shown = exposed if w is None else w * exposed + (1 - w) * photo
        row["lpips"] = perceptual(shown, photo)
    row |= {
        "psnr_raw": psnr(pair.render, photo, w),
        "psnr_corrected": psnr(color_corrected(pair.render, photo, w), photo, w),
    }
    return {"name": pair.name, **{k: round(v, 4) for k, v in row.items()}}


def judge(trainer: Trainer, held: list[int], kept: list[int]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """`measure` over the held-out frames of a training run, and `train_psnr` over some training frames.

    The exposure of a held-out frame is interpolated between the neighbouring training frames: nothing of the frame is
    used. Without `kept`, only psnr is computed.
    """
    if not kept:
        pairs = [_held_out(trainer, i) for i in held]
        values = [psnr(p.exposed, p.photo, p.weight) for p in pairs]
        return {"psnr": round(float(np.mean(values)), 4) if values else None}, {}
    metrics, renders = measure(_held_out(trainer, i) for i in held)
    train = []
    for i in kept[:: max(1, len(kept) // 8)]:
        gain, bias = trainer.exposure.of(i)
        level = trainer.views[i].levels[0]
        picture = gain[:, None, None] * _picture(trainer, i) + bias[:, None, None]
        train.append(psnr(picture, level.picture, level.weight))
    rows = metrics.pop("heldout")
    return metrics | {"train_psnr": round(float(np.mean(train)), 4) if train else None, "heldout": rows}, renders


def judge_cloud(
    cloud: SplatCloud, images: list[np.ndarray], cameras: Cameras, held: list[int], masks: list[np.ndarray] | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """`measure` for a cloud that another program trained, over frames `held` of pinhole `cameras`; no exposure is known.

    images: (h, w, 3) uint8 per camera; masks: (h, w) per camera, true where the picture counts.
    """
    from phone2sim.reconstruct.splat.rasterize import rasterize

    def pair(i: int) -> Comparison:
        w, h = (int(v) for v in cameras.size_wh[i])
        rgb = rasterize(cloud, K=cameras.K[i], T_camera_world=cameras.T_camera_world[i], width=w, height=h).rgb
        return Comparison(
            name=cameras.names[i], photo=np.ascontiguousarray(images[i].transpose(2, 0, 1) / np.float32(255)),
            render=np.ascontiguousarray(rgb.transpose(2, 0, 1)), gain=np.ones(3, np.float32), bias=np.zeros(3, np.float32),
            weight=None if masks is None else np.ascontiguousarray(masks[i], np.float32),
        )  # fmt: skip

    return measure(pair(i) for i in held)


def _held_out(trainer: Trainer, i: int) -> Comparison:
    level = trainer.views[i].levels[0]
    gain, bias = trainer.exposure.between(i, trainer.kept)
    return Comparison(
        name=trainer.views[i].name, photo=level.picture, render=_picture(trainer, i), gain=gain, bias=bias, weight=level.weight
    )


def _picture(trainer: Trainer, i: int) -> np.ndarray:
    return trainer.render(trainer.views[i])[0]
