"""All objects of the sample by name."""

from __future__ import annotations

from collections.abc import Callable

from phone2sim.errors import InputError, did_you_mean
from phone2sim.keys import Key
from phone2sim.sample.kitchen import banana, book, bowl, brick, jar, knife, plate, sponge, tin
from phone2sim.sample.objects import SampleObject, ball, block, bottle, can, mug, pear, tea_box

OBJECTS: dict[str, Callable[[Key], SampleObject]] = {
    "tea_box": tea_box, "can": can, "mug": mug, "ball": ball, "block": block, "pear": pear, "bottle": bottle,
    "plate": plate, "bowl": bowl, "knife": knife, "book": book, "sponge": sponge, "banana": banana, "jar": jar, "tin": tin,
    "brick": brick,
}  # fmt: skip


def make_object(name: str, key: Key) -> SampleObject:
    """The named object, its colours drawn from `key`."""
    if name not in OBJECTS:
        raise InputError(f"No sample object {name!r};", hint=did_you_mean(name, OBJECTS))
    return OBJECTS[name](key)
