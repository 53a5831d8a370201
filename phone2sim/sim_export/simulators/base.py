"""`Simulator`: carries out an `EpisodeSpec`; it decides nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from phone2sim.augment.spec import EpisodeSpec
from phone2sim.sim_export.episode import Episode


class Futures(NamedTuple):
    """How k imagined futures end."""

    poses: np.ndarray
    """(k, n, 7)."""
    speeds: np.ndarray
    """(k, n) [m/s]."""
    touched: np.ndarray
    """(k, n) bool."""


class Simulator(Protocol):
    """One world with a robot, controlled at the episode's frame rate."""

    def load(self, spec: EpisodeSpec) -> None:
        """Place everything as `spec` says, let objects come to rest, set the clock to zero."""
        ...

    def step(self, joints_rad: np.ndarray, gripper: float) -> None:
        """Advance one frame (1 / fps) towards commanded arm joints (j,) and gripper opening 0–1."""
        ...

    def joints(self) -> np.ndarray:
        """(j + 1,) measured arm joints [rad] and gripper opening 0–1 (0 without a gripper)."""
        ...

    def object_poses(self) -> np.ndarray:
        """(n, 7) x y z [m] and quaternion wxyz of each object's frame in the world, in the spec's order."""
        ...

    def object_speeds(self) -> np.ndarray:
        """(n,) linear speed of each object's frame [m/s]."""
        ...

    def touched(self) -> np.ndarray:
        """(n,) bool: whether the robot touches each object now."""
        ...

    def clash(self, joints_rad: np.ndarray, gripper: np.ndarray, *, ignore: tuple[str, ...] = (), carried: str = "",
              held: np.ndarray | None = None) -> str:  # fmt: skip
        """What the robot would run into along commands (t, j), (t,) with every object where it is now: a name, or empty.

        Objects in `ignore` may be touched. During the frames `held` (t,) bool the object `carried` moves with the hand,
        and must not run into other objects either. Nothing is moved.
        """
        ...

    def imagine(self, joints_rad: np.ndarray, gripper: np.ndarray) -> Futures:
        """Where commands (k, t, j), (k, t) would lead from the present state; the present state stays."""
        ...

    def robot_poses(self, bodies: tuple[str, ...]) -> np.ndarray:
        """(n, 7) world poses of robot bodies, as `object_poses`."""
        ...

    def state(self) -> np.ndarray:
        """Everything that the future depends on, besides the loaded spec; for `set_state`."""
        ...

    def set_state(self, state: np.ndarray) -> None:
        """Return to a saved state of the same spec."""
        ...

    def frames(self, episode: Episode, folder: Path) -> Iterator[dict[str, np.ndarray]] | None:
        """The engine's own pictures of a recorded episode, per step camera → (h, w, 3) uint8; None where ours are drawn.
        What else it records of each picture is in `folder` at the end."""
        ...

    def close(self) -> None:
        """Let go of what it holds beyond this process."""
        ...
