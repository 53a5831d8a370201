"""Structure from motion: frames → camera poses and sparse points, checked before anyone builds on them."""

from phone2sim.reconstruct.sfm.config import SfmConfig
from phone2sim.reconstruct.sfm.device import DeviceAlignment, device_alignment
from phone2sim.reconstruct.sfm.model import SparseModel, normalised, project, read_model
from phone2sim.reconstruct.sfm.solve import SfmResult, solve

__all__ = [
    "DeviceAlignment", "SfmConfig", "SfmResult", "SparseModel", "device_alignment", "normalised", "project",
    "read_model", "solve",
]  # fmt: skip
