"""Phone captures: clips and photos → upright, sharp frames on disk."""

from phone2sim.reconstruct.capture.ingest import CaptureConfig, capture_stage, find_source, ingest
from phone2sim.reconstruct.capture.record import Capture, Frame

__all__ = ["Capture", "CaptureConfig", "Frame", "capture_stage", "find_source", "ingest"]
