"""Settings of structure from motion."""

from __future__ import annotations

from phone2sim.config import Config


class SfmConfig(Config):
    """How cameras are recovered."""

    max_side: int = 960
    """Pictures are resized to this for feature detection [px]."""
    max_features: int = 4096
    """SIFT keypoints per frame in the first attempt; the retry takes twice as many of up to 30 frames."""
    overlap: int = 6
    """A clip frame is matched with this many following ones, then at doubling gaps."""
    loops: int = 3
    """Similar but distant frames of a clip matched with each frame."""
    neighbours: int = 14
    """Similar photos matched with each photo; small sets are matched completely."""
    clip_focal: float = 0.8
    """Assumed focal length of a lens without EXIF, as a part of the longer side."""
    min_registered: float = 0.5
    """A model with a smaller part of the frames is refused."""
    retry_below: float = 0.9
    """A smaller registered part causes the next attempt of the ladder."""
    all_pairs_up_to: int = 100
    """The retry matches all pairs of up to this many frames, and twice the neighbours of more."""
    device_poses: bool = True
    """Start from the poses that the device or another program told, when at least half of the frames have one."""
    threads: int = 0
    """Worker threads for features and matching; 0 takes every core. The result does not depend on it."""
    seed: int = 0
    """Seed of every random choice."""
    time_limit_s: float = 3600.0
    """An attempt is stopped after this long."""
