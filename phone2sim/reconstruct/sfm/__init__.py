"""Structure from motion: frames → camera poses and sparse points, checked before anyone builds on them."""

from phone2sim.reconstruct.sfm.model import SparseModel, normalised, project, read_model
from phone2sim.reconstruct.sfm.solve import SfmConfig, SfmResult, solve

__all__ = ["SfmConfig", "SfmResult", "SparseModel", "normalised", "project", "read_model", "solve"]
