"""LPIPS (Zhang et al. 2018), where the package `lpips` and its AlexNet weights are on this machine."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.errors import MissingDependencyError

WEIGHTS = "alexnet-owt-7be5be79.pth"
"""torchvision's file of AlexNet weights, in the checkpoints folder of `torch.hub`."""


class Perceptual:
    """Perceptual distance of two pictures, 0 for equal ones, smaller is better."""

    def __init__(self) -> None:
        """Raises MissingDependencyError when the package or the weights are missing; nothing is downloaded."""
        missing = [m for m in ("torch", "torchvision", "lpips") if importlib.util.find_spec(m) is None]
        if missing:
            raise MissingDependencyError(f"LPIPS needs {', '.join(missing)}.", hint="pip install 'phone2sim[lpips]'")
        import torch

        if not (Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS).exists():
            raise MissingDependencyError(
                "LPIPS needs AlexNet's weights, which are not on this machine.",
                hint="Fetch them once (240 MB): python -c \"import lpips; lpips.LPIPS(net='alex')\"",
            )
        import lpips

        self._torch = torch
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._net: Any = lpips.LPIPS(net="alex", verbose=False).to(self._device).eval()

    def __call__(self, picture: np.ndarray, target: np.ndarray) -> float:
        """Of planar pictures (3, h, w) in 0–1; the first one is clipped."""
        a, b = (
            self._torch.from_numpy(np.ascontiguousarray(2 * np.clip(p, 0, 1) - 1, np.float32))[None].to(self._device)
            for p in (picture, target)
        )
        with self._torch.no_grad():
            return float(self._net(a, b).item())


def load_perceptual() -> tuple[Perceptual | None, str]:
    """LPIPS and "", or None and why there is none. A metric that is missing must not stop a reconstruction."""
    try:
        return Perceptual(), ""
    except MissingDependencyError as e:
        return None, str(e)
    except (ImportError, OSError, RuntimeError) as e:  # an installation that does not load
        return None, f"LPIPS could not be loaded: {e}"
