"""`Policy`: decides actions from observations. And how an episode is run with one."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from phone2sim.augment.spec import EpisodeSpec
from phone2sim.errors import InputError, Phone2SimError, did_you_mean
from phone2sim.sim_export.world import World


class Policy(Protocol):
    """Whatever acts in a `World`."""

    name: str
    needs_pictures: bool
    """False lets the world leave its cameras out."""

    def reset(self, world: World) -> None:
        """A new episode begins. Only references look at `world`; a policy under test must not."""
        ...

    def act(self, observation: dict[str, Any]) -> np.ndarray:
        """(h, a) actions to carry out, or (a,) for one; the observation is `World.observe`'s."""
        ...


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one episode ended."""

    success: bool
    reason: str
    """Empty on success."""
    progress: float
    """Best reached, 0–1."""
    steps: int


def run_episode(world: World, policy: Policy, spec: EpisodeSpec, *, execute: int = 8) -> Outcome:
    """Until the task is done or time is up. Of each chunk of actions the first `execute` are carried out."""
    observation = world.reset(spec)
    if world.reason.startswith("unsettled"):
        return Outcome(success=False, reason=world.reason, progress=0.0, steps=0)
    policy.reset(world)
    best = world.progress
    while not world.over and world.reason:
        actions = np.atleast_2d(np.asarray(policy.act(observation), float))
        for action in actions[:execute]:
            world.step(action)
            best = max(best, world.progress)
            if world.over or not world.reason:
                break
        observation = world.observe()
    return Outcome(success=not world.reason, reason=world.reason, progress=round(best, 4), steps=world.step_index)


@dataclass(kw_only=True)
class CallablePolicy:
    """A Python callable: observation → actions, or a dictionary with `actions`."""

    name: str
    function: Callable[[dict[str, Any]], Any]
    needs_pictures: bool = True

    def reset(self, world: World) -> None:
        reset = getattr(self.function, "reset", None)
        if reset is not None:
            reset()

    def act(self, observation: dict[str, Any]) -> np.ndarray:
        out = self.function(observation)
        return np.asarray(out["actions"] if isinstance(out, dict) else out, float)


def load_policy(text: str, *, layout: str = "libero") -> Policy:
    """`host:port` or `ws://…` of a policy server, `module:function` (or a class, made without arguments), or one of
    `scripted` and `random`. `layout` names the keys that the server expects.

    Raises `InputError` for anything else, or when the server does not answer.
    """
    from phone2sim.sim_export.policies import references, server

    known: dict[str, Callable[[], Policy]] = {"scripted": references.ScriptedPolicy, "random": references.RandomPolicy}
    if layout not in server.LAYOUTS:
        raise InputError(f"No observation layout {layout!r};", hint=did_you_mean(layout, server.LAYOUTS))
    if text in known:
        return known[text]()
    if text.startswith(("ws://", "wss://")) or re.fullmatch(r"[^:]*:\d+", text):
        return server.ServerPolicy(text, layout=layout)
    module, _, name = text.partition(":")
    if not name or not module or module.startswith("."):
        raise InputError(f"Policy {text!r} is neither host:port nor module:function;", hint=did_you_mean(text, known))
    sys.path.insert(0, os.getcwd())
    try:
        there = importlib.import_module(module)
        if not hasattr(there, name):
            raise InputError(f"{module} has no {name!r};", hint=did_you_mean(name, [n for n in vars(there) if not n.startswith("_")]))
        function = getattr(there, name)
        function = function() if isinstance(function, type) else function
    except Phone2SimError:
        raise
    except ModuleNotFoundError as e:
        raise InputError(
            f"Policy {text!r}: no module {e.name!r}.", hint="It is looked for here and among what is installed."
        ) from None
    except Exception as e:
        raise InputError(f"Policy {text!r} failed: {type(e).__name__}: {e}.", hint="Run it alone to see where.") from None
    finally:
        sys.path.remove(os.getcwd())
    if not callable(function):
        raise InputError(f"Policy {text!r} is no function but of type {type(function).__name__}.")
    return CallablePolicy(name=text, function=function)
