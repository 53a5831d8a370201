"""What a recipe names outside of itself: a task, a direction, and where objects come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from phone2sim.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from phone2sim.augment.recipe import Recipe


def first_missing(recipe: Recipe) -> tuple[str, str, InputError] | None:
    """Section, parameter and error of the first name that stands for nothing; a task's Python file is looked for, not run."""
    from phone2sim.assets.library import references
    from phone2sim.augment.language import WHERE
    from phone2sim.augment.tasks import get_task

    def task(kind: str) -> None:
        if not (kind.endswith(".py") and Path(kind).is_file()):
            get_task(kind)

    def direction(words: str) -> None:
        if words and words not in WHERE and not recipe.task.kind.endswith(".py"):
            raise InputError(f"No direction {words!r};", hint=did_you_mean(words, WHERE))

    asked: list[tuple[str, str, str, Callable[[str], object]]] = [("task", "kind", recipe.task.kind, task), ("task", "where", recipe.task.where, direction)]
    asked += [(s, "sources", x, references) for s in ("objects", "clutter") for x in getattr(recipe, s).sources]
    for section, key, name, look_for in asked:
        try:
            look_for(name)
        except InputError as e:
            return section, key, e
    return None
