"""Depth and normals of Gaussians in torch, as features a rasteriser can blend; the definitions are the C++ kernels'."""

from __future__ import annotations

import math
from typing import Any

Tensor = Any
"""A `torch.Tensor`; torch is imported only where it is used."""

BLUR = 0.3  # px²


def rotations(quats: Tensor) -> Tensor:
    """(n, 3, 3) rotation matrices of quaternions wxyz (n, 4) of any length."""
    import torch

    w, x, y, z = torch.nn.functional.normalize(quats, dim=1).unbind(dim=1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def facing_normals(R: Tensor, scales: Tensor, offset: Tensor) -> Tensor:
    """(n, 3) shortest axes in the world of Gaussians turned by `R` (n, 3, 3), towards a camera from which the means lie at
    `offset` (n, 3)."""
    import torch

    axis = torch.argmin(scales, dim=1)
    normal = torch.gather(R, 2, axis[:, None, None].expand(-1, 3, 1))[..., 0]
    return torch.where((normal * offset).sum(dim=1, keepdim=True) > 0, -normal, normal)


def jacobians(points: Tensor, K: Tensor, width: int, height: int, near: float) -> tuple[Tensor, Tensor]:
    """Projections (n, 2) [px] of camera points (n, 3), and their derivatives (n, 2, 3) with the direction held within
    0.15 pictures of the picture (Zwicker et al. 2001). What lies nearer than `near` is taken at depth 1."""
    import torch

    z = torch.where(points[:, 2] > near, points[:, 2], torch.ones_like(points[:, 2]))
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    x, y = points[:, 0] / z, points[:, 1] / z
    centres = torch.stack([fx * x + cx, fy * y + cy], dim=1)
    x = x.clamp(-(0.15 * width + cx) / fx, (1.15 * width - cx) / fx)
    y = y.clamp(-(0.15 * height + cy) / fy, (1.15 * height - cy) / fy)
    zero = torch.zeros_like(z)
    return centres, torch.stack([fx / z, zero, -fx * x / z, zero, fy / z, -fy * y / z], dim=1).reshape(-1, 2, 3)


def depth_planes(
    means: Tensor, R: Tensor, scales: Tensor, opacities: Tensor, *, T_camera_world: Tensor, K: Tensor, width: int, height: int, near: float
) -> tuple[Tensor, Tensor]:
    """(n, 3) planes and the (n, 2) projected centres [px] they hang on.

    A plane is the depth at the picture's centre and its slopes [1/px] across and down, on the surface of highest density:
    the mean of the Gaussian's depth given the pixel. The slopes are held so that within the visible ellipse it stays
    within three standard deviations of the longest axis.
    """
    import torch

    T = T_camera_world
    points = means @ T[:3, :3].T + T[:3, 3]
    centres, J = jacobians(points, K, width, height, near)
    M = T[:3, :3] @ R * scales[:, None, :]
    E = J @ M
    A, B, C = (E[:, 0] ** 2).sum(dim=1) + BLUR, (E[:, 0] * E[:, 1]).sum(dim=1), (E[:, 1] ** 2).sum(dim=1) + BLUR
    zu, zv = (E[:, 0] * M[:, 2]).sum(dim=1), (E[:, 1] * M[:, 2]).sum(dim=1)
    slope = torch.stack([C * zu - B * zv, A * zv - B * zu], dim=1) / (A * C - B * B)[:, None]  # cov(uv)⁻¹ cov(uv, z)
    with torch.no_grad():
        extent = (2 * (math.log(255) + torch.log(opacities))).clamp_min(0)[:, None] * torch.stack([A, C], dim=1)
        reach = (slope.abs() * extent.sqrt()).sum(dim=1)
        limit = 3 * scales.max(dim=1).values
        held = torch.where(reach > limit, limit / reach.clamp_min(1e-20), torch.ones_like(reach))
    slope = slope * held[:, None]
    middle = torch.tensor([0.5 * width, 0.5 * height], device=means.device)
    return torch.cat([points[:, 2:] + (slope * (middle - centres)).sum(dim=1, keepdim=True), slope], dim=1), centres


def blended_depth(planes: Tensor, alpha: Tensor) -> Tensor:
    """(h, w) expected depth from `depth_planes` blended to (3, h, w); 0 where alpha is below 1/255."""
    import torch

    h, w = alpha.shape
    u = torch.arange(w, device=alpha.device) + 0.5 - 0.5 * w
    v = torch.arange(h, device=alpha.device)[:, None] + 0.5 - 0.5 * h
    some = alpha > 1 / 255
    depth = (planes[0] + u * planes[1] + v * planes[2]) / torch.where(some, alpha, torch.ones_like(alpha))
    return torch.where(some, depth, torch.zeros_like(depth))
