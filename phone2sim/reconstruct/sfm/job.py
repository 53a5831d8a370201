"""What one SfM attempt is asked, and how its report is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from phone2sim.config import Config


class Group(Config):
    """Frames that share one lens."""

    names: tuple[str, ...]
    width: int
    height: int
    focal_px: float
    prior: bool
    """True when the focal length was read from EXIF, False for a guess."""


class Job(Config):
    """Everything one attempt needs; the same job gives the same model."""

    frames: str
    work: str
    names: tuple[str, ...]
    """All frames in capture order."""
    groups: tuple[Group, ...]
    ordered: bool
    """True for a clip: neighbours in time overlap."""
    max_side: int
    max_features: int
    first_octave: int
    all_pairs: bool
    overlap: int
    loops: int
    neighbours: int
    threads: int
    seed: int


def stands_still(report: Mapping[str, Any]) -> bool:
    """True when well matched frames show (nearly) the same picture everywhere."""
    return report["verified_pairs"] >= 3 and report["largest_motion"] < 0.01
