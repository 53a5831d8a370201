"""Which backend trains a splat, and training with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.errors import MissingDependencyError
from phone2sim.reconstruct.backends.gsplat_cuda import INSTALL, gsplat_engine, gsplat_missing
from phone2sim.reconstruct.backends.nerfstudio import find_nerfstudio, train_nerfstudio
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.splat.config import SplatConfig

GPU_DEFAULTS: dict[str, dict[str, Any]] = {
    "gsplat": {"max_side": 1600, "iterations": 7000, "cap": 500_000, "sh_degree": 3},
    "nerfstudio": {"max_side": 1600, "iterations": 30_000, "sh_degree": 3},
}
"""What a GPU backend takes for settings that the user left alone: the defaults of `SplatConfig` suit two cores."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A backend that can run here."""

    name: str
    why: str


def choose_backend(config: SplatConfig) -> Choice:
    """`config.backend`, or for `auto` the best that this machine can run.

    Raises MissingDependencyError when the one asked for cannot run here.
    """
    missing = gsplat_missing() if config.backend in ("auto", "gsplat") else ""
    if config.backend == "auto":
        if missing:
            return Choice(name="cpu", why=f"gsplat cannot run here: {missing}")
        return Choice(name="gsplat", why="a CUDA GPU and gsplat are here")
    if config.backend == "gsplat" and missing:
        raise MissingDependencyError(f"The gsplat backend cannot run here: {missing}.", hint=INSTALL)
    if config.backend == "nerfstudio":
        find_nerfstudio(Path(config.nerfstudio_env) if config.nerfstudio_env else None)
    return Choice(name=config.backend, why="asked for")


def settled(config: SplatConfig, choice: Choice) -> SplatConfig:
    """`config` with what the user left alone set as suits the backend."""
    defaults = GPU_DEFAULTS.get(choice.name, {})
    return config.model_copy(update={k: v for k, v in defaults.items() if k not in config.model_fields_set})


def train_with(
    choice: Choice, images: list[np.ndarray], cameras: Cameras, points: np.ndarray, colors: np.ndarray,
    *, config: SplatConfig, masks: list[np.ndarray | None] | None = None, depths: list[np.ndarray | None] | None = None,
    observed: list[np.ndarray] | None = None,
) -> Any:  # fmt: skip
    """`splat.train.train` on the chosen backend; its metrics also name the backend. nerfstudio uses no depth."""
    from phone2sim.reconstruct.splat.cpu import CpuEngine
    from phone2sim.reconstruct.splat.train import train

    if choice.name == "nerfstudio":
        result = train_nerfstudio(images, cameras, points, colors, config=config, masks=masks)
    else:
        engine = gsplat_engine if choice.name == "gsplat" else CpuEngine
        result = train(images, cameras, points, colors, config=config, masks=masks, depths=depths, observed=observed, make_engine=engine)
    result.metrics["backend"] = {"name": choice.name, "why": choice.why}
    return result
