"""The `gsplat` backend: `TorchEngine` around the CUDA rasteriser of gsplat 1.5 (Ye et al. 2025)."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from typing import Any

import numpy as np

from phone2sim.errors import MissingDependencyError
from phone2sim.reconstruct.backends.torch_engine import Drawn, TorchEngine
from phone2sim.reconstruct.splat.config import SplatConfig

INSTALL = "pip install 'phone2sim[gsplat]'"
Tensor = Any


def gsplat_missing() -> str:
    """What this machine lacks to train with gsplat; "" when it lacks nothing.

    Asks torch for a CUDA device first: without one, importing gsplat's kernels tries to compile them and fails darkly.
    """
    absent = [m for m in ("torch", "gsplat") if importlib.util.find_spec(m) is None]
    if absent:
        return f"{' and '.join(absent)} {'is' if len(absent) == 1 else 'are'} not installed"
    try:
        import torch

        usable = torch.cuda.is_available()
    except (ImportError, OSError, RuntimeError) as e:
        return f"torch does not load ({e})"
    if not usable:
        built = getattr(torch.version, "cuda", None)
        return "torch sees no CUDA GPU" if built else "the installed torch is built without CUDA"
    version = importlib.metadata.version("gsplat")
    return "" if version.startswith("1.5.") else f"gsplat is {version}, 1.5 is needed"


def gsplat_engine(params: dict[str, np.ndarray], config: SplatConfig) -> TorchEngine:
    """An engine on the first CUDA device. Raises MissingDependencyError where it cannot be."""
    missing = gsplat_missing()
    if missing:
        raise MissingDependencyError(f"The gsplat backend cannot run here: {missing}.", hint=INSTALL)
    return TorchEngine(params, config, drawing=GsplatDrawing(), device="cuda")


class GsplatDrawing:
    """See `torch_engine.Drawing`. The sums of floats are unordered on a GPU: two runs differ in their last digits."""

    def __init__(self) -> None:
        from gsplat import rasterization, spherical_harmonics

        self._rasterization, self._harmonics = rasterization, spherical_harmonics

    def colors(self, degree: int, directions: Tensor, sh: Tensor) -> Tensor:
        return self._harmonics(degree, directions, sh)

    def draw(
        self, means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, features: Tensor,
        *, T_camera_world: Tensor, K: Tensor, width: int, height: int, near: float, antialiased: bool,
    ) -> Drawn:  # fmt: skip
        out, alpha, meta = self._rasterization(
            means, quats, scales, opacities, features, T_camera_world[None], K[None], width, height,
            near_plane=near, eps2d=0.3, radius_clip=0.0, sh_degree=None, packed=False, render_mode="RGB",
            rasterize_mode="antialiased" if antialiased else "classic", absgrad=False,
        )  # fmt: skip
        centres = meta["means2d"]
        if centres.requires_grad:
            centres.retain_grad()
        return Drawn(
            features=out[0], alpha=alpha[0, ..., 0], centres=centres, seen=(meta["radii"][0] > 0).reshape(len(means), -1).all(dim=1)
        )
