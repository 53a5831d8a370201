"""Who says which pixels are an object: geometry alone, or Segment Anything prompted by it."""

from phone2sim.assets.segmenters.base import Proposals, Segmentation, Segmenter, Surroundings
from phone2sim.assets.segmenters.geometric import GeometricSegmenter
from phone2sim.assets.segmenters.prompts import Placed, Prompt, choose, locate, parse_box, parse_pick, place

__all__ = [
    "GeometricSegmenter", "Placed", "Prompt", "Proposals", "Segmentation", "Segmenter", "Surroundings", "choose", "locate",
    "open_segmenter", "parse_box", "parse_pick", "place",
]  # fmt: skip

NAMES = ("geometric", "sam", "sam-automatic")
"""`sam` prompts with the geometric silhouettes, `sam-automatic` takes its masks from the automatic generator."""


def open_segmenter(name: str, *, model: str = "vit_b", checkpoint: str | None = None) -> Segmenter:
    """The segmenter called `name`, with its weights loaded.

    Raises `InputError` for unknown names and files, `MissingDependencyError` for a missing extra or weights that cannot
    be had.
    """
    from pathlib import Path

    from phone2sim.errors import InputError, did_you_mean

    if name not in NAMES:
        raise InputError(f"No segmenter {name!r};", hint=did_you_mean(name, NAMES))
    if name == "geometric":
        return GeometricSegmenter()
    from phone2sim.assets.segmenters.sam import SamSegmenter
    from phone2sim.assets.segmenters.weights import load_sam

    sam = load_sam(model, checkpoint=None if checkpoint is None else Path(checkpoint))
    return SamSegmenter.of(sam, automatic=name == "sam-automatic")
