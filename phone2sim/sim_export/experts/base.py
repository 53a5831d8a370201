"""`Expert`: what moves the robot when there is no policy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np

from phone2sim.augment.spec import EpisodeSpec
from phone2sim.sim_export.judge import Judge
from phone2sim.sim_export.simulators.base import Simulator


class Infeasible(Exception):
    """No plan exists for this episode; `reason` is a short machine-readable word or two."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Command(NamedTuple):
    """What the robot is told for one frame."""

    joints_rad: np.ndarray
    """(j,)."""
    gripper: float
    """Opening 0–1."""


class Expert(Protocol):
    """Solves episodes of one scene. Keeps only what depends on assets and robots, so the order of episodes does not
    matter."""

    def commands(self, sim: Simulator, spec: EpisodeSpec, judge: Judge) -> Iterator[Command]:
        """Commands, frame by frame; when the next is asked for, `sim` has carried out the last. Raises `Infeasible`."""
        ...
