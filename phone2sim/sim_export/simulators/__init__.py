"""Simulators by name: `SIMULATORS["mujoco"]()` gives the class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from phone2sim.sim_export.simulators.base import Simulator

__all__ = ["SIMULATORS", "Simulator"]


def _mujoco() -> Any:
    from phone2sim.sim_export.simulators.mujoco import MujocoSimulator

    return MujocoSimulator


SIMULATORS: dict[str, Callable[[], Any]] = {"mujoco": _mujoco}
"""Lazy: a simulator is imported when it is asked for."""
