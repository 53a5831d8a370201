"""The losses of `backend.Shot` in torch; the same definitions as the C++ kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

Tensor = Any
"""A `torch.Tensor`; torch is imported only where it is used."""


_X = np.arange(-5, 6)
_WINDOW = np.exp(-(_X**2) / (2 * 1.5**2))
WINDOW = tuple(float(v) for v in _WINDOW / _WINDOW.sum())


def ssim_map(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity per pixel and channel of planar pictures (3, h, w): 11×11 Gaussian window of sigma 1.5, zero
    outside the picture (Wang et al. 2004). Sums of shifted pictures: a GPU would run a convolution in reduced precision,
    which the differences of means below do not survive."""
    import torch

    fields: Tensor = torch.stack([a, b, a * a, a * b, b * b])
    h, w = a.shape[1:]
    for pad, axis, size in (((5, 5), 3, w), ((0, 0, 5, 5), 2, h)):
        padded = torch.nn.functional.pad(fields, pad)
        fields = sum(k * padded.narrow(axis, i, size) for i, k in enumerate(WINDOW))
    ma, mb, aa, ab, bb = fields
    va, vb, cov = aa - ma * ma, bb - mb * mb, ab - ma * mb
    return (2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma * ma + mb * mb + 1e-4) * (va + vb + 9e-4))


def photometric_loss(picture: Tensor, target: Tensor, weight: Tensor | None, ssim_share: float) -> Tensor:
    """(1 - share) · mean(w |picture - target|) + share · mean(w (1 - SSIM)) of pictures (3, h, w); w (h, w) or None."""
    l1, dissimilar = (picture - target).abs(), 1 - ssim_map(picture, target)
    if weight is not None:
        l1, dissimilar = weight * l1, weight * dissimilar
    return (1 - ssim_share) * l1.mean() + ssim_share * dissimilar.mean()


def normal_loss(depth: Tensor, alpha: Tensor, normals: Tensor, K: Tensor, T_camera_world: Tensor) -> Tensor:
    """sum(alpha - N · n(D)) / (h w) over the inner pixels that, with their four neighbours, have an alpha above one half.

    depth, alpha: (h, w); normals N: (3, h, w) in the world; n(D): unit normals of the depth by central differences.
    """
    import torch

    h, w = depth.shape
    v, u = torch.meshgrid(
        torch.arange(h, device=depth.device) + 0.5, torch.arange(w, device=depth.device) + 0.5, indexing="ij"
    )
    points = torch.stack([(u - K[0, 2]) / K[0, 0] * depth, (v - K[1, 2]) / K[1, 1] * depth, depth])
    across, down = points[:, 1:-1, 2:] - points[:, 1:-1, :-2], points[:, 2:, 1:-1] - points[:, :-2, 1:-1]
    n = torch.nn.functional.normalize(torch.linalg.cross(down, across, dim=0), dim=0, eps=1e-12)  # faces the camera
    n = torch.einsum("ji,jhw->ihw", T_camera_world[:3, :3], n)
    a = alpha.detach()
    solid = (a > 0.5)[1:-1, 1:-1]
    for beside in (a[1:-1, 2:], a[1:-1, :-2], a[2:, 1:-1], a[:-2, 1:-1]):
        solid = solid & (beside > 0.5)
    error = a[1:-1, 1:-1] - (normals[:, 1:-1, 1:-1] * n).sum(dim=0)
    return torch.where(solid, error, torch.zeros_like(error)).sum() / (h * w)
