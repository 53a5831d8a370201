"""Phone captures: clips and photos → upright, sharp frames on disk."""

from phone2sim.reconstruct.capture.ingest import CaptureConfig, capture_stage, ingest
from phone2sim.reconstruct.capture.record import Capture, Device, Frame
from phone2sim.reconstruct.capture.source import find_source

__all__ = ["Capture", "CaptureConfig", "Device", "Frame", "capture_stage", "find_source", "ingest"]
