"""A rasteriser of plain torch operations, every Gaussian at every pixel: slow, readable, differentiable."""

from __future__ import annotations

import torch

from phone2sim.reconstruct.backends.torch_engine import Drawn
from phone2sim.reconstruct.backends.torch_geometry import jacobians, rotations

BLUR, ALPHA_MIN, ALPHA_MAX = 0.3, 1 / 255, 0.999


class PlainDrawing:
    """See `torch_engine.Drawing`."""

    def colors(self, degree, directions, sh):
        x, y, z = torch.nn.functional.normalize(directions, dim=1).unbind(dim=1)
        basis = [torch.full_like(x, 0.28209479177387814)]
        if degree >= 1:
            basis += [0.4886025119029199 * v for v in (-y, z, -x)]
        if degree >= 2:
            a = 1.0925484305920792
            basis += [a * x * y, -a * y * z, 0.31539156525252005 * (3 * z * z - 1), -a * x * z, a / 2 * (x * x - y * y)]
        if degree >= 3:
            a, b, c = 0.5900435899266435, 2.890611442640554, 0.4570457994644658
            basis += [
                -a * y * (3 * x * x - y * y), b * x * y * z, -c * y * (5 * z * z - 1), 0.3731763325901154 * z * (5 * z * z - 3),
                -c * x * (5 * z * z - 1), b / 2 * z * (x * x - y * y), -a * x * (x * x - 3 * y * y),
            ]  # fmt: skip
        return torch.einsum("nk,nkc->nc", torch.stack(basis, dim=1), sh[:, : len(basis)])

    def draw(self, means, quats, scales, opacities, features, *, T_camera_world, K, width, height, near, antialiased):
        R, t = T_camera_world[:3, :3], T_camera_world[:3, 3]
        p = means @ R.T + t
        centres, J = jacobians(p, K, width, height, near)
        if centres.requires_grad:
            centres.retain_grad()
        M = J @ R @ rotations(quats) * scales[:, None, :]
        sharp = M @ M.transpose(1, 2)
        cov = sharp + BLUR * torch.eye(2, device=means.device)
        det = cov[:, 0, 0] * cov[:, 1, 1] - cov[:, 0, 1] ** 2
        if antialiased:
            bare = sharp[:, 0, 0] * sharp[:, 1, 1] - sharp[:, 0, 1] ** 2
            opacities = opacities * torch.sqrt(torch.maximum(bare, 1e-6 * det) / det)
        conic = torch.stack([cov[:, 1, 1], -cov[:, 0, 1], cov[:, 0, 0]], dim=1) / det[:, None]
        v, u = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        d = torch.stack([u, v], dim=-1).reshape(-1, 1, 2).to(means) - centres
        power = 0.5 * (conic[:, 0] * d[..., 0] ** 2 + conic[:, 2] * d[..., 1] ** 2) + conic[:, 1] * d[..., 0] * d[..., 1]
        alpha = (opacities * torch.exp(-power)).clamp_max(ALPHA_MAX)
        alpha = torch.where((alpha >= ALPHA_MIN) & (p[:, 2] > near), alpha, torch.zeros_like(alpha))
        alpha = alpha[:, (order := torch.argsort(p[:, 2]))]
        before = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha], dim=1), dim=1)[:, :-1]
        weights = torch.where(before > 1e-4, alpha * before, torch.zeros_like(alpha))
        return Drawn(
            features=(weights @ features[order]).reshape(height, width, -1), alpha=weights.sum(dim=1).reshape(height, width),
            centres=centres, seen=torch.zeros(len(means), dtype=torch.bool).index_put((order,), (alpha > 0).any(dim=0)),
        )  # fmt: skip
