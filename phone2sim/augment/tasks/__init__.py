"""Tasks by kind: `get_task("push")`. A task of your own is a subclass of `Task` under `@register` in a Python file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from phone2sim.augment.tasks.base import Draft, Goal, Moment, Task
from phone2sim.augment.tasks.clear import Clear
from phone2sim.augment.tasks.pick import Pick
from phone2sim.augment.tasks.place import Place
from phone2sim.augment.tasks.push import Push
from phone2sim.augment.tasks.stack import Stack
from phone2sim.augment.tasks.stage import Stage
from phone2sim.errors import InputError, did_you_mean

__all__ = ["TASKS", "Draft", "Goal", "Moment", "Stage", "Task", "get_task", "load_task", "register"]

TASKS: dict[str, Task] = {t.kind: t for t in (Pick(), Place(), Push(), Stack(), Clear())}

_LOADED: dict[str, tuple[str, Task]] = {}


def register(cls: type[Task]) -> type[Task]:
    """Class decorator: make the task known under its `kind`. The last one of a name wins."""
    TASKS[cls.kind] = cls()
    return cls


def get_task(kind: str, file: str = "") -> Task:
    """The task of that kind, or of that Python file; `file` says where a kind that is not known yet is registered.

    Raises `InputError` listing the known ones, or as `load_task`.
    """
    if kind.endswith(".py"):
        return load_task(Path(kind))
    if kind not in TASKS and file:
        return load_task(Path(file))
    if kind not in TASKS:
        raise InputError(f"No task {kind!r};", hint=did_you_mean(kind, TASKS))
    return TASKS[kind]


def load_task(path: Path) -> Task:
    """Run a Python file that registers a task, and return it; the last, where it registers several.

    Raises `InputError` when the file is missing, fails, or registers none.
    """
    if not path.is_file():
        raise InputError(f"No task file {path}.", hint="A task is a Python file with a class under @register.")
    text = path.read_text()
    if str(path) in _LOADED and _LOADED[str(path)][0] == text:
        return _LOADED[str(path)][1]
    before = dict(TASKS)
    spec = importlib.util.spec_from_file_location(f"phone2sim_task_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as e:
        raise InputError(f"{path} failed: {type(e).__name__}: {e}.", hint="Run it alone to see where.") from None
    new = [t for kind, t in TASKS.items() if before.get(kind) is not t]
    if not new:
        raise InputError(f"{path} registers no task.", hint="Put @register above its class.")
    _LOADED[str(path)] = text, new[-1]
    return new[-1]
