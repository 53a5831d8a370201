"""`Engine`: what a training backend must do. The trainer decides everything else, so every backend trains alike.

An engine owns the parameters of n Gaussians, their Adam moments and the gradients of the last `backward`. The trainer
(`train.py`) chooses pictures, resolutions, rates, backgrounds and exposure, and it densifies (`densify.py`) on host
copies that it takes with `read` and hands back with `replace`. Parameters are named as in `GROUPS`:

    means (n, 3)  quats (n, 4) wxyz, not normalised  log_scales (n, 3)  logits (n,) of opacity  sh (n, k, 3)

all float32, in the trainer's world (cameras within the unit ball). Pictures are planar (3, h, w) float32. What a picture
is made of is fixed, so that backends can be compared: 0.3 px² screen blur, contributions below 1/255 dropped, alpha at most
0.999, centres nearer than `near` not drawn, pixel centres at +0.5, colour max(0, 0.5 + SH), SH bands and signs of 3DGS.

`train(..., make_engine=CpuEngine)` takes any callable `(params: dict, config: SplatConfig) -> Engine`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from phone2sim.reconstruct.splat.views import TrainingView

GROUPS = ("means", "quats", "log_scales", "logits", "sh")
NEAR = 0.02
"""Nearest depth of a centre that is drawn while training [camera extents]."""


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """A forward pass, planar float32. The last four are None unless `geometry` was asked for."""

    rgb: np.ndarray
    """(3, h, w), over the background."""
    transmittance: np.ndarray
    """(h, w) share of the background that shows: 1 - alpha."""
    depth_median: np.ndarray | None = None
    """(h, w) z depth where the transmittance falls below one half; 0 where it never does. A backend without it may give
    the expected depth."""
    depth_expected: np.ndarray | None = None
    """(h, w) sum of weight · depth over alpha; 0 where alpha is below 1/255."""
    normals: np.ndarray | None = None
    """(3, h, w) sum of weight · normal, in the world: the shortest axis of each Gaussian, turned to face the camera. Its
    length is alpha where the normals agree, less where they do not."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One training picture and how it is compared. `backward` differentiates, with I the render and g, b below,

        (1 - ssim_share) · mean(w |g I + b - target|) + ssim_share · mean(w (1 - SSIM))
        + mean(clear · alpha)                                                       (over pixels, when `clear` is given)
        + opacity_weight · mean(opacity) + scale_weight · mean(scale) + flat_weight · mean(shortest scale)
                                                          (over the Gaussians seen here; scale: over all three axes)
        + depth_weight · sum(c |D - d| / d) / sum(c)  over `level.depth`: pixels, depth d, confidence c, where alpha > 1/2
        + normal_weight · mean(alpha - N · n(D))     N: `Rendered.normals`, n(D): unit normal of the expected depth D by
                                                       central differences, both as camera-facing; the alpha that stands
                                                       alone is a constant; over inner pixels where alpha > 1/2

    with level = view.levels[self.level], w = level.weight or 1.
    """

    view: TrainingView
    level: int
    """0 full, 1 half, 2 quarter resolution."""
    degree: int
    """Spherical-harmonic degree evaluated; higher bands get no gradient."""
    background: np.ndarray
    """(3,) or (3, h, w) float32."""
    gain: np.ndarray
    """(3,) float32."""
    bias: np.ndarray
    """(3,) float32."""
    ssim_share: float = 0.2
    opacity_weight: float = 0.0
    scale_weight: float = 0.0
    flat_weight: float = 0.0
    depth_weight: float = 0.0
    normal_weight: float = 0.0
    clear: np.ndarray | None = None
    """(h, w) float32 pull towards transparency."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the trainer learns from one `backward`."""

    loss: float
    """The photometric part."""
    g_gain: np.ndarray
    """(3,) derivative of the photometric loss by the gain."""
    g_bias: np.ndarray
    """(3,) derivative by the bias."""
    g_background: np.ndarray | None = None
    """(3, h, w) derivative by the background; None when the background was one colour."""


class Engine(Protocol):
    """See the module's docstring. Every method leaves the parameters alone unless it says otherwise."""

    def __len__(self) -> int:
        """n."""

    def render(
        self, view: TrainingView, level: int = 0, *, degree: int, background: np.ndarray, geometry: bool = False
    ) -> Rendered:
        """The view at a level; `geometry` adds depths and normals. For judging; need not be differentiable."""

    def backward(self, shot: Shot) -> Outcome:
        """Render, compare and differentiate; keep the gradients for `step` and add to what `pulls` tells."""

    def step(self, rates: dict[str, np.ndarray], step: int) -> None:
        """One Adam step (0.9, 0.999, eps 1e-15; bias-corrected by `step`, from 1) of the Gaussians seen in the last
        `backward`. The others keep parameters and moments. `rates`: group → learning rate per column (1-d; sh: 3 k)."""

    def jitter(self, size: float, seed: int) -> None:
        """Changes the means of the Gaussians seen in the last `backward`, the noise of Kheradmand et al. 2024, eq. 8: each
        mean moves by size · sigmoid(-100 (opacity - 0.005)) · covariance @ normal draw. Equal seeds, equal draws."""

    def pulls(self) -> tuple[np.ndarray, np.ndarray]:
        """(n,) sums since the last `replace` of |d loss / d centre|, in half picture sizes, over the pictures that saw a
        Gaussian, and (n,) how many pictures those were."""

    def contributions(self, view: TrainingView, level: int = 1) -> np.ndarray:
        """(n,) summed blending weights [px] of each Gaussian in a view."""

    def read(self) -> dict[str, np.ndarray]:
        """Host copies of the parameters, by the names in `GROUPS`."""

    def replace(self, params: dict[str, np.ndarray], source: np.ndarray) -> None:
        """New parameters (m Gaussians). `source` (m,): which of the present ones each continues, whose Adam moments it
        keeps; -1 starts with zero moments. Clears what `pulls` has summed."""
