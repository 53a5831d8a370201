"""Phone captures: clips, photos and what capture apps export → upright, sharp frames on disk."""

from phone2sim.reconstruct.capture.config import CaptureConfig
from phone2sim.reconstruct.capture.ingest import capture_stage, ingest
from phone2sim.reconstruct.capture.record import Capture, Device, Frame
from phone2sim.reconstruct.capture.source import find_source

__all__ = ["Capture", "CaptureConfig", "Device", "Frame", "capture_stage", "find_source", "ingest"]
