"""How good a cloud is: PSNR and SSIM on frames it never saw, with and without help for their exposure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from phone2sim._native import load

if TYPE_CHECKING:
    from phone2sim.reconstruct.splat.train import Trainer


def psnr(picture: np.ndarray, target: np.ndarray) -> float:
    """Peak signal-to-noise ratio [dB] of pictures in 0–1; the first one is clipped."""
    error = float(np.mean((np.clip(picture, 0, 1) - target) ** 2, dtype=np.float64))
    return -10 * float(np.log10(max(error, 1e-10)))


def ssim(picture: np.ndarray, target: np.ndarray) -> float:
    """Structural similarity of planar pictures (3, h, w) in 0–1 (Wang et al. 2004; 11×11 Gaussian window, zero border)."""
    picture = np.ascontiguousarray(np.clip(picture, 0, 1), np.float32)
    one, zero = np.ones(3, np.float32), np.zeros(3, np.float32)
    return float(load("splat").photometric_loss(picture, target, None, one, zero, 0.2, np.empty_like(picture), 0)[2])


def color_corrected(picture: np.ndarray, target: np.ndarray) -> np.ndarray:
    """`picture` (3, h, w) under the affine map of colours (3×4, least squares) that brings it nearest `target`."""
    x = np.concatenate([picture.reshape(3, -1), np.ones((1, picture[0].size), picture.dtype)]).astype(np.float64)
    A = np.linalg.solve(x @ x.T + 1e-9 * np.eye(4), x @ target.reshape(3, -1).T.astype(np.float64))
    return (A.T @ x).reshape(picture.shape)


def judge(trainer: Trainer, held: list[int], kept: list[int]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Metrics over held-out frames and over some training frames, and the held-out renders (h, w, 3) by name.

    psnr, ssim: the render with the exposure interpolated between the neighbouring training frames; nothing of the
    held-out frame is used. psnr_raw: the cloud's own colours. psnr_corrected: colours fitted to the held-out frame.
    """
    rows, renders = [], {}
    for i in held:
        view = trainer.views[i]
        target = view.levels[0].picture
        rgb, _ = trainer.render(view)
        gain, bias = trainer.exposure.between(i, trainer.kept)
        exposed = gain[:, None, None] * rgb + bias[:, None, None]
        row: dict[str, Any] = {"name": view.name, "psnr": psnr(exposed, target)}
        if kept:
            corrected = psnr(color_corrected(rgb, target), target)
            row |= {"ssim": ssim(exposed, target), "psnr_raw": psnr(rgb, target), "psnr_corrected": corrected}
        rows.append({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()})
        renders[view.name] = np.ascontiguousarray(exposed.transpose(1, 2, 0))
    metrics: dict[str, Any] = {}
    for k in ("psnr", "ssim", "psnr_raw", "psnr_corrected"):
        values = [r[k] for r in rows if k in r]
        metrics[k] = round(float(np.mean(values)), 4) if values else None
    train = []
    for i in kept[:: max(1, len(kept) // 8)]:
        gain, bias = trainer.exposure.of(i)
        rgb = trainer.render(trainer.views[i])[0]
        train.append(psnr(gain[:, None, None] * rgb + bias[:, None, None], trainer.views[i].levels[0].picture))
    metrics["train_psnr"] = round(float(np.mean(train)), 4) if train else None
    metrics["heldout"] = rows
    return metrics, renders
