"""What a segmenter is given and gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from phone2sim.assets.segment import Cluster, Rejected
from phone2sim.assets.segmenters.prompts import Placed
from phone2sim.assets.views import View
from phone2sim.reconstruct.splat.cloud import SplatCloud


@dataclass(frozen=True, kw_only=True)
class Proposals:
    """Objects as geometry sees them."""

    cloud: SplatCloud
    labels: np.ndarray
    """(n Gaussians,) int, 0 for the background, else 1 + index of an object."""
    boxes: list[np.ndarray]
    """(2, 3) corners [m] per object, world; what lies outside is none of its Gaussians."""
    floor_z: float
    """Height [m] up to which everything is the support."""


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """The same objects after a segmenter looked at the photos."""

    labels: np.ndarray
    """As in `Proposals`."""
    masks: np.ndarray
    """(n views, h, w) uint8, the same ids; they agree across views: renders of the labelled splat, or close to these."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Lengths and heights of the place the objects stand on."""

    level: float
    """Height of the support [m]."""
    clear_m: float
    """Height above it from which something is not the support [m]."""
    cell: float
    """Spacing of clusters' points [m]."""


class Segmenter(Protocol):
    """Decides which Gaussians and pixels are which object."""

    @property
    def name(self) -> str: ...

    def segment(self, proposals: Proposals, views: list[View]) -> Segmentation:
        """Labels of the splat and the masks of `views` that follow from them."""
        ...

    def pointed(
        self, prompts: Sequence[Placed], clusters: list[Cluster], refused: list[Rejected], views: list[View], place: Surroundings
    ) -> tuple[list[Cluster], list[Rejected]]:
        """The clusters and the refused ones, once the user has pointed at `prompts` (places in `views`): what they point at
        is a cluster of its own as far as the segmenter can tell."""
        ...
