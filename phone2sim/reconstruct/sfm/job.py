"""What one SfM attempt is asked."""

from __future__ import annotations

from typing import Literal

from phone2sim.config import Config

Method = Literal["incremental", "loose", "held", "global", "known", "device", "placed"]


class Group(Config):
    """Frames that share one lens."""

    names: tuple[str, ...]
    width: int
    height: int
    focal_px: float
    prior: bool
    """True when the focal length was read from EXIF, False for a guess."""
    lens: tuple[float, float, float, float] | None = None
    """fx fy cx cy [px] as the device calibrated them."""
    distortion: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """k1 k2 p1 p2 (OpenCV) that go with `lens`."""


class Posed(Config):
    """A frame and the camera pose its device told."""

    name: str
    T_world_camera: tuple[tuple[float, ...], ...]
    """(4, 4), OpenCV axes, in the device's world."""
    depth: str | None = None
    """Path of a `.npy` of distances along the camera's z axis, in units of the device's world."""


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
    method: Method = "incremental"
    """`incremental`; `loose`: for little parallax; `held`: loose with the focal length of the EXIF; `global`: all
    cameras at once; `known`: from the device's poses, refined; `device`: the device's poses as they are; `placed`:
    the told poses as they are, and the other frames against their points (`placing`)."""
    database: str = ""
    """Features and matches of an earlier attempt with the same settings; empty: make them."""
    features: str = ""
    """Database of an earlier attempt whose features count, but not its matches; only without `database`."""
    posed: tuple[Posed, ...] = ()
    """Frames with a pose of the device's own, for `known` and `device`; those that are solved, for `placed`."""
    points: str = ""
    """Path of a `.ply` of points in the device's world, for `device`."""
