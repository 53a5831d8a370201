"""What a policy is compared with: the expert, which sees the simulator's state, and random motion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from phone2sim.keys import Key
from phone2sim.sim_export.experts import Command, Expert, Infeasible, make_expert
from phone2sim.sim_export.world import World

TURN = 0.15
"""How much of a random walk's direction is new at each step."""


class ScriptedPolicy:
    """The task's expert, from the settled scene. Commands joints, whatever the world's actions are called."""

    name = "scripted"
    needs_pictures = False

    def __init__(self) -> None:
        self._experts: dict[tuple[int, str], Expert] = {}

    def reset(self, world: World) -> None:
        kind = world.spec.task.expert
        key = (id(world.scene), kind)
        if key not in self._experts:
            self._experts[key] = make_expert(kind, world.scene)
        self._world = world
        self._commands: Iterator[Command] = self._experts[key].commands(world.simulator, world.spec, world.judge)
        self._last = np.r_[world.spec.robot.qpos, world.spec.robot.gripper]

    def act(self, observation: dict[str, Any]) -> np.ndarray:
        """One command; where there is no plan, or it is at its end, stand still."""
        try:
            command = next(self._commands, None)
        except Infeasible:
            command = None
        if command is not None:
            self._last = np.r_[command.joints_rad, command.gripper]
        return self._world.action_to(self._last)


class RandomPolicy:
    """A smooth random walk of the actions, the same for the same episode."""

    name = "random"
    needs_pictures = False

    def reset(self, world: World) -> None:
        self._low, self._high = world.bounds_of(world.robot)
        self._rng = Key(world.spec.seed).child("random policy", world.spec.index).rng()
        self._walk = np.zeros(len(self._low))
        start = np.r_[world.spec.robot.qpos, world.spec.robot.gripper]
        still = world.control == "ee_delta"
        self._middle = np.r_[np.zeros(6), 0.5] if still else start
        self._spread = (self._high - self._low) / (2 if still else 8)

    def act(self, observation: dict[str, Any]) -> np.ndarray:
        self._walk = (1 - TURN) * self._walk + np.sqrt(1 - (1 - TURN) ** 2) * self._rng.normal(size=len(self._walk))
        return np.clip(self._middle + self._spread * self._walk, self._low, self._high)
