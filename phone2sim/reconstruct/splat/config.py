"""Settings of splat training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from phone2sim.config import Config


class SplatConfig(Config):
    """What a splat is trained with. The defaults suit a minute or so on two cores."""

    backend: Literal["auto", "cpu", "gsplat", "nerfstudio"] = "auto"
    """What trains: the C++ kernels, gsplat on a CUDA GPU, or splatfacto of the user's nerfstudio; auto takes gsplat where
    it can run, else the kernels. The GPU backends take finer settings for what is left at its default here."""
    nerfstudio_env: str | None = None
    """Folder of the environment that nerfstudio is installed in; None looks in PHONE2SIM_NERFSTUDIO and on the PATH."""
    max_side: int = Field(default=480, ge=32, le=4096)
    """Longer side of the training pictures [px]."""
    iterations: int = Field(default=2200, ge=1)
    """Pictures looked at."""
    cap: int = Field(default=50_000, ge=100)
    """Most Gaussians."""
    sh_degree: int = Field(default=1, ge=0, le=3)
    """Spherical-harmonic degree of the colour."""
    seed: int = 0
    """Order of pictures and the places of new Gaussians."""
    held_out_every: int = Field(default=8, ge=0)
    """Every so-manieth frame, from the first, is kept for judging; 0 trains on all."""
    quarter_until: float = Field(default=0.12, ge=0, le=1)
    """Share of the iterations at a quarter of the resolution."""
    half_until: float = Field(default=0.35, ge=0, le=1)
    """Share of the iterations after which the resolution is full."""
    ssim_share: float = Field(default=0.2, ge=0, le=1)
    """Weight of 1 - SSIM against L1."""
    exposure: bool = True
    """Fit a gain and an offset per colour channel to each training frame."""
    densify: Literal["gradient", "mcmc"] = "gradient"
    """Where Gaussians are added: split where the picture pulls hardest, or moved and born by opacity, with noise
    (Kheradmand et al. 2024)."""
    background: Literal["random", "sky"] = "random"
    """Behind the scene: a colour that is never the same twice, so that nothing stays transparent (rooms, tables), or a
    sky learned by direction (outdoors), which ends up in the cloud as a far sphere where it showed."""
    sky_weight: float = Field(default=0.05, ge=0)
    """With a sky: pull towards transparency where a photo shows just its colour."""
    opacity_weight: float = Field(default=0.01, ge=0)
    """Pull on the mean opacity, so that what does not help fades and is removed."""
    scale_weight: float = Field(default=0.0, ge=0)
    """Pull on the mean of all axes (in camera extents)."""
    flat_weight: float = Field(default=1.0, ge=0)
    """Pull on the mean shortest axis (in camera extents), so that Gaussians lie in surfaces."""
    depth_weight: float = Field(default=0.3, ge=0)
    """Pull of the rendered depth to known depths (relative error): the device's where there are any, else sparse points."""
    normal_weight: float = Field(default=0.0, ge=0)
    """Pull between the rendered normals and those of the rendered depth, from `geometry_from` on."""
    geometry_from: float = Field(default=0.1, ge=0, le=1)
    """Share of the iterations after which depth and normals count."""
    antialiased: bool = False
    """Dim Gaussians smaller than a pixel instead of widening them."""
    prune: bool = True
    """At the end, remove what hangs in front of cameras, is huge, or helps fewer than three views."""
    threads: int = Field(default=0, ge=0)
    """Worker threads; 0 takes what OpenMP offers. The result does not depend on it."""
