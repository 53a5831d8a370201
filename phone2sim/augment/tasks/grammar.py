"""`understand`: a task in words, such as "put the mug left of the box", as values of a recipe's `task` section.

    pick up NOUN
    put | move | push NOUN  on | in | left of | right of | in front of | behind | next to  NOUN
    put | move | push NOUN  to the left | to the right | farther away | closer to the robot | …
    stack NOUN on NOUN  (and NOUN on …: three or more are `stack` with `task.count`)
    clear the table

A NOUN is what the scene calls the object (its name, class, or class with colour), or "any object".
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

from phone2sim.assets.scene import Scene
from phone2sim.augment.language import WHERE, nouns
from phone2sim.augment.recipe import Recipe
from phone2sim.augment.tasks import TASKS, load_task
from phone2sim.errors import InputError

VERBS = {
    "pick": ("pick up", "pick", "grab", "grasp", "lift", "take"),
    "place": ("put down", "put", "place", "move", "bring", "set down", "set", "carry"),
    "push": ("push", "slide", "shove"),
    "stack": ("stack", "pile"),
    "clear": ("clear", "tidy up", "tidy", "clean up", "clean"),
}
RELATION_WORDS = {
    "on top of": "on", "onto": "on", "on": "on", "into": "in", "inside": "in", "in front of": "in front of", "in": "in",
    "to the left of": "left of", "left of": "left of", "to the right of": "right of", "right of": "right of",
    "behind": "behind", "next to": "next to", "beside": "next to",
}  # fmt: skip
WHERE_WORDS = {
    **{w: w for w in WHERE}, "left": "to the left", "right": "to the right", "away": "farther away",
    "closer": "closer to the robot", "nearer": "closer to the robot",
}  # fmt: skip
ANY = ("any object", "an object", "anything", "something", "any", "it", "everything", "all objects", "objects")


def with_task(recipe: Recipe, text: str, scene: Scene) -> Recipe:
    """The recipe with its task replaced by `text`: a kind of task, a Python file that registers one, or a sentence.

    Raises `InputError` naming what is understood, and the scene's nouns.
    """
    if not text:
        return recipe
    if text.endswith(".py"):
        load_task(Path(text))
        found: dict[str, Any] = {"kind": str(Path(text).resolve())}
    elif text in TASKS:
        found = {"kind": text}
    else:
        found = understand(text, scene)
    clean = {"relation": "", "where": "", "templates": ()}
    return recipe.model_copy(update={"task": recipe.task.model_copy(update={**clean, **found})})


def understand(text: str, scene: Scene) -> dict[str, Any]:
    """Values for `TaskRecipe`: kind, target, and relation and reference, or where. Raises `InputError`."""
    words = re.sub(r"[^\w\s]", " ", text.lower())
    words = re.sub(r"\b(the|a|please|then|down)\b", " ", words)
    words = re.sub(r"\s+", " ", words).strip()
    kind, rest = _verb(words)
    if kind is None:
        raise _not_understood(text, scene)
    if kind == "clear":
        where = next((w for said, w in WHERE_WORDS.items() if re.search(rf"\b{_bare(said)}$", rest)), "")
        if not where and rest not in ("", "table", "everything", "up", "up table"):
            raise _not_understood(text, scene)
        return {"kind": kind, "where": where}
    if kind == "pick" and " and " in rest:
        first, _, second = rest.partition(" and ")
        kind, rest = _verb(second)
        if kind not in ("place", "push", "stack"):
            raise _not_understood(text, scene)
        rest = f"{first} {re.sub(r'^it ', '', rest)}"
    relation, where, target, reference = _split(rest)
    if kind in ("pick",) and (relation or where):
        raise _not_understood(text, scene)
    if kind in ("place", "push") and not relation and not where:
        raise InputError(f"{text!r} does not say where.", hint=_help(scene))
    if kind == "stack" and relation != "on" or kind == "push" and relation in ("on", "in"):
        raise _not_understood(text, scene)
    asset = _noun(target, scene)
    found: dict[str, Any] = {"kind": kind, "target": _constant(asset)}
    other = "any"
    if relation:
        other = _noun(reference, scene)
        if other == asset != "any":
            raise InputError(f"{text!r} names {target!r} twice.", hint=_help(scene))
        found |= {"reference": _constant(other)} | ({} if kind == "stack" else {"relation": relation})
    if where:
        found["where"] = where
    if asset != "any" and (not relation or other != "any"):
        sentence = text.strip().rstrip(".!")
        found["templates"] = (f"{sentence[:1].upper()}{sentence[1:]}.".replace("{", "").replace("}", ""),)
    return found


def _verb(words: str) -> tuple[str | None, str]:
    options = sorted(((v, k) for k, vs in VERBS.items() for v in vs), key=lambda r: -len(r[0]))
    for verb, kind in options:
        if words == verb or words.startswith(verb + " "):
            return kind, words[len(verb) :].strip()
    return None, words


def _split(rest: str) -> tuple[str, str, str, str]:
    """(relation, where, target, reference); empty for what is not said."""
    for said, relation in sorted(RELATION_WORDS.items(), key=lambda r: -len(r[0])):
        m = re.match(rf"^(.+?) {_bare(said)} (.+)$", rest)
        if m:
            return relation, "", m[1], m[2]
    for said, where in sorted(WHERE_WORDS.items(), key=lambda r: -len(r[0])):
        m = re.match(rf"^(.+?) {_bare(said)}$", rest)
        if m:
            return "", where, m[1], ""
    return "", "", rest, ""


def _bare(said: str) -> str:
    """A phrase as it looks once articles are gone."""
    return re.sub(r"\s+", " ", re.sub(r"\b(the|a)\b", " ", said)).strip()


def _noun(said: str, scene: Scene) -> str:
    """Name of the asset that is meant, or `any`."""
    if said in ANY:
        return "any"
    called = nouns(scene.assets)
    options: dict[str, set[str]] = {}
    for a in scene.assets:
        for word in (a.name.replace("_", " "), called[a.name], a.label):
            options.setdefault(word.lower(), set()).add(a.name)
    found = options.get(said.replace("_", " "), set())
    if len(found) == 1:
        return next(iter(found))
    known = ", ".join(_names(scene))
    if len(found) > 1:
        either = " or ".join(sorted(f"{called[n]} ({n})" if called[n] == said else called[n] for n in found))
        raise InputError(f"{said!r} could be {either}; say which.", hint=f"The scene has {known}.")
    close = difflib.get_close_matches(said, options, n=1)
    raise InputError(
        f"No {said!r} in the scene; it has {known}.", hint=f"Did you mean {close[0]}?" if close else 'Or say "any object".'
    )


def _names(scene: Scene) -> list[str]:
    called = nouns(scene.assets)
    every = list(called.values())
    return sorted(c if every.count(c) == 1 else f"{name.replace('_', ' ')} ({c})" for name, c in called.items())


def _constant(value: str) -> Any:
    from phone2sim.augment.variation import Constant

    return Constant(value)


def _help(scene: Scene) -> str:
    return (
        "Understood are: pick up X; put|push X on|in|left of|right of|in front of|behind|next to Y; "
        "put|push X to the left|to the right|farther away|closer; stack X on Y; clear the table. "
        f"X and Y: {', '.join(_names(scene))}, or any object."
    )


def _not_understood(text: str, scene: Scene) -> InputError:
    return InputError(f"Cannot understand {text!r}.", hint=_help(scene))
