"""Simulators by name: `SIMULATORS["mujoco"]()` gives the class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from phone2sim.sim_export.simulators.base import Futures, Simulator

__all__ = ["SIMULATORS", "Futures", "Simulator"]


def _mujoco() -> Any:
    from phone2sim.sim_export.simulators.mujoco import MujocoSimulator

    return MujocoSimulator


def _remote(engine: str) -> Callable[[], Any]:
    def load() -> Any:
        from functools import partial

        from phone2sim.sim_export.simulators.remote import RemoteSimulator

        return partial(RemoteSimulator, engine=engine)

    return load


SIMULATORS: dict[str, Callable[[], Any]] = {"mujoco": _mujoco, "physx": _remote("physx"), "isaac": _remote("isaac")}
"""Lazy: a simulator is imported when it is asked for."""
