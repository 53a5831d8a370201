"""`TorchEngine`: the trainer's engine on torch tensors, around any differentiable way to draw Gaussians.

With gsplat's CUDA rasteriser (`gsplat_cuda.py`) it is the `gsplat` backend; the tests give it a plain torch one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from phone2sim.reconstruct.backends.torch_geometry import blended_depth, depth_planes, facing_normals, rotations
from phone2sim.reconstruct.backends.torch_loss import normal_loss, photometric_loss
from phone2sim.reconstruct.splat.backend import GROUPS, NEAR, Outcome, Rendered, Shot
from phone2sim.reconstruct.splat.config import SplatConfig
from phone2sim.reconstruct.splat.views import TrainingView

Tensor = Any
"""A `torch.Tensor`; torch is imported only where it is used."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Features of Gaussians blended front to back."""

    features: Tensor
    """(h, w, c) sums of weight · feature; nothing behind them."""
    alpha: Tensor
    """(h, w) sums of weights."""
    centres: Tensor
    """Projected centres [px]; after `backward`, `centres.grad` reshapes to (n, 2)."""
    seen: Tensor
    """(n,) bool: the Gaussian is in the picture."""


class Drawing(Protocol):
    """How Gaussians are drawn. Everything is a float32 tensor on one device and differentiable."""

    def colors(self, degree: int, directions: Tensor, sh: Tensor) -> Tensor:
        """(n, 3) spherical harmonics `sh` (n, k, 3) up to `degree`, at `directions` (n, 3) of any length."""

    def draw(
        self, means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, features: Tensor,
        *, T_camera_world: Tensor, K: Tensor, width: int, height: int, near: float, antialiased: bool,
    ) -> Drawn:
        """Blend `features` (n, c). quats are wxyz of any length. The constants are those of `backend.Engine`."""  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Pass:
    """A forward pass; the last three only with geometry."""

    rgb: Tensor
    """(3, h, w)."""
    alpha: Tensor
    drawn: Drawn
    scales: Tensor
    opacities: Tensor
    depth: Tensor = None
    """(h, w) expected depth, 0 where there is none."""
    normals: Tensor = None
    """(3, h, w)."""
    hung: Tensor = None
    """(n, 2) projected centres [px] as the depth knows them."""


class TorchEngine:
    """See `backend.Engine`. Parameters, moments and pictures stay on `device`."""

    def __init__(self, params: dict[str, np.ndarray], config: SplatConfig, *, drawing: Drawing, device: str) -> None:
        import torch

        self.torch, self.drawing, self.device = torch, drawing, torch.device(device)
        self.antialiased = config.antialiased
        self.p = {k: self._tensor(params[k]).requires_grad_() for k in GROUPS}
        self.m = {k: torch.zeros_like(v) for k, v in self.p.items()}
        self.v = {k: torch.zeros_like(v) for k, v in self.p.items()}
        self._cache: dict[tuple[str, int], dict[str, Tensor]] = {}
        self._clear()

    def __len__(self) -> int:
        return int(self.p["means"].shape[0])

    def _tensor(self, a: np.ndarray) -> Tensor:
        return self.torch.tensor(np.asarray(a, np.float32), device=self.device)

    def _clear(self) -> None:
        zeros = self.torch.zeros(len(self), device=self.device)
        self._pull, self._views = zeros, zeros.clone()
        self._seen = self.torch.zeros(len(self), dtype=self.torch.bool, device=self.device)

    def _view(self, view: TrainingView, level: int) -> dict[str, Tensor]:
        """A view's arrays on the device, uploaded once; the picture as bytes."""
        if (view.name, level) not in self._cache:
            l = view.levels[level]
            self._cache[view.name, level] = {
                "target": self.torch.tensor(np.asarray(l.target), device=self.device),
                "weight": None if l.weight is None else self._tensor(l.weight),
                "K": self._tensor(l.K), "T": self._tensor(view.T_camera_world),
            }  # fmt: skip
        return self._cache[view.name, level]

    def _forward(self, view: TrainingView, level: int, degree: int, background: np.ndarray, geometry: bool) -> _Pass:
        torch, p, known = self.torch, self.p, self._view(view, level)
        T, K = known["T"], known["K"]
        height, width = view.levels[level].target.shape[1:]
        offset = p["means"] + T[:3, :3].T @ T[:3, 3]  # from the camera's centre, world axes
        scales, opacities = torch.exp(p["log_scales"]), torch.sigmoid(p["logits"])
        features = [torch.clamp_min(0.5 + self.drawing.colors(degree, offset, p["sh"]), 0)]
        if geometry:
            R = rotations(p["quats"])
            planes, hung = depth_planes(
                p["means"], R, scales, opacities, T_camera_world=T, K=K, width=width, height=height, near=NEAR
            )
            features += [planes, facing_normals(R, scales, offset)]
        drawn = self.drawing.draw(
            p["means"], p["quats"], scales, opacities, torch.cat(features, dim=1),
            T_camera_world=T, K=K, width=width, height=height, near=NEAR, antialiased=self.antialiased,
        )  # fmt: skip
        out, alpha = drawn.features.permute(2, 0, 1), drawn.alpha
        behind = self._background(background)
        rgb = out[:3] + (1 - alpha) * behind
        if not geometry:
            return _Pass(rgb=rgb, alpha=alpha, drawn=drawn, scales=scales, opacities=opacities)
        if hung.requires_grad:
            hung.retain_grad()
        return _Pass(
            rgb=rgb, alpha=alpha, drawn=drawn, scales=scales, opacities=opacities, hung=hung,
            depth=blended_depth(out[3:6], alpha), normals=out[6:9],
        )  # fmt: skip

    def _background(self, background: np.ndarray) -> Tensor:
        b = self._tensor(background)
        return b[:, None, None] if b.ndim == 1 else b

    def render(
        self, view: TrainingView, level: int = 0, *, degree: int, background: np.ndarray, geometry: bool = False
    ) -> Rendered:
        with self.torch.no_grad():
            out = self._forward(view, level, degree, background, geometry)

        def host(a: Tensor) -> np.ndarray:
            return np.ascontiguousarray(a.cpu().numpy(), np.float32)

        depth = host(out.depth) if geometry else None
        return Rendered(
            rgb=host(out.rgb), transmittance=host(1 - out.alpha), depth_median=depth, depth_expected=depth,
            normals=host(out.normals) if geometry else None,
        )  # fmt: skip

    def backward(self, shot: Shot) -> Outcome:
        torch, known = self.torch, self._view(shot.view, shot.level)
        level = shot.view.levels[shot.level]
        sparse = getattr(level, "depth", None) if shot.depth_weight > 0 else None
        out = self._forward(shot.view, shot.level, shot.degree, shot.background, sparse is not None or shot.normal_weight > 0)
        rgb = out.rgb
        gain, bias = self._tensor(shot.gain).requires_grad_(), self._tensor(shot.bias).requires_grad_()
        exposed = gain[:, None, None] * rgb + bias[:, None, None]
        photometric = photometric_loss(exposed, known["target"].float() / 255, known["weight"], shot.ssim_share)
        loss = photometric
        if shot.clear is not None:
            loss = loss + (self._tensor(shot.clear) * out.alpha).mean()
        if sparse is not None:
            loss = loss + shot.depth_weight * self._depth_loss(out, sparse)
        if shot.normal_weight > 0:
            loss = loss + shot.normal_weight * normal_loss(out.depth, out.alpha, out.normals, known["K"], known["T"])
        seen = out.drawn.seen
        count = seen.sum().clamp_min(1)
        for weight, value in (
            (shot.opacity_weight, out.opacities), (shot.scale_weight, out.scales.mean(dim=1)),
            (shot.flat_weight, out.scales.min(dim=1).values),
        ):  # fmt: skip
            if weight:
                loss = loss + weight * torch.where(seen, value, torch.zeros_like(value)).sum() / count
        for tensor in self.p.values():
            tensor.grad = None
        rgb.retain_grad()
        loss.backward()
        self._count(out, level.target.shape[2], level.target.shape[1])
        g_background = None
        if np.ndim(shot.background) == 3:
            g_background = (rgb.grad * (1 - out.alpha)).detach().cpu().numpy()
        return Outcome(
            loss=float(photometric.detach()), g_gain=gain.grad.cpu().numpy(), g_bias=bias.grad.cpu().numpy(), g_background=g_background
        )

    def _depth_loss(self, out: _Pass, sparse: Any) -> Tensor:
        torch = self.torch
        pixels = torch.as_tensor(np.asarray(sparse.pixels, np.int64), device=self.device)
        depth, confidence = self._tensor(sparse.depth), self._tensor(sparse.confidence)
        error = (out.depth.reshape(-1)[pixels] - depth).abs() / depth * confidence
        on = out.alpha.detach().reshape(-1)[pixels] > 0.5
        return torch.where(on, error, torch.zeros_like(error)).sum() / confidence.sum().clamp_min(1e-9)

    def _count(self, out: _Pass, width: int, height: int) -> None:
        torch, seen = self.torch, out.drawn.seen
        self._seen = seen
        pull = torch.zeros(len(self), 2, device=self.device)
        for centres in (out.drawn.centres, out.hung):
            if centres is not None and centres.grad is not None:
                pull = pull + centres.grad.reshape(-1, 2)
        size = torch.tensor([0.5 * width, 0.5 * height], device=self.device)
        self._pull = self._pull + torch.where(seen, (pull * size).norm(dim=1), torch.zeros_like(self._pull))
        self._views = self._views + seen

    def step(self, rates: dict[str, np.ndarray], step: int) -> None:
        torch = self.torch
        rows = self._seen.nonzero()[:, 0]
        with torch.no_grad():
            for k, p in self.p.items():
                if p.grad is None:
                    continue
                rate = self._tensor(rates[k]).reshape(p.shape[1:])
                g = p.grad[rows]
                m = self.m[k][rows].lerp_(g, 0.1)
                v = self.v[k][rows].mul_(0.999).addcmul_(g, g, value=0.001)
                self.m[k][rows], self.v[k][rows] = m, v
                p[rows] -= rate * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-15)

    def jitter(self, size: float, seed: int) -> None:
        torch = self.torch
        source = torch.Generator(device=self.device).manual_seed(int(seed))
        with torch.no_grad():
            draw = torch.randn(self.p["means"].shape, generator=source, device=self.device)
            R, s = rotations(self.p["quats"]), torch.exp(self.p["log_scales"])
            local = s * s * torch.einsum("nji,nj->ni", R, draw)
            faint = torch.sigmoid(-100 * (torch.sigmoid(self.p["logits"]) - 0.005)) * self._seen
            self.p["means"] += size * faint[:, None] * torch.einsum("nij,nj->ni", R, local)

    def pulls(self) -> tuple[np.ndarray, np.ndarray]:
        return self._pull.cpu().numpy().astype(np.float64), self._views.cpu().numpy().astype(np.int32)

    def contributions(self, view: TrainingView, level: int = 1) -> np.ndarray:
        torch, known = self.torch, self._view(view, level)
        height, width = view.levels[level].target.shape[1:]
        p = {k: v.detach() for k, v in self.p.items()}
        ones = torch.ones(len(self), 1, device=self.device, requires_grad=True)
        drawn = self.drawing.draw(
            p["means"], p["quats"], torch.exp(p["log_scales"]), torch.sigmoid(p["logits"]), ones,
            T_camera_world=known["T"], K=known["K"], width=width, height=height, near=NEAR, antialiased=self.antialiased,
        )  # fmt: skip
        (weights,) = torch.autograd.grad(drawn.features.sum(), ones)
        return weights[:, 0].cpu().numpy()

    def read(self) -> dict[str, np.ndarray]:
        return {k: v.detach().cpu().numpy().copy() for k, v in self.p.items()}

    def replace(self, params: dict[str, np.ndarray], source: np.ndarray) -> None:
        torch = self.torch
        origin = torch.as_tensor(np.asarray(source, np.int64), device=self.device)
        fresh, old = origin < 0, origin.clamp_min(0)
        for k in GROUPS:
            had = len(self.p[k]) > 0
            self.p[k] = self._tensor(params[k]).requires_grad_()
            for moments in (self.m, self.v):
                kept = moments[k][old] if had else torch.zeros_like(self.p[k])
                kept[fresh] = 0
                moments[k] = kept
        self._clear()
