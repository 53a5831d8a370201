"""The task in words, as seen from the robot: left, right, nearer, farther."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Mapping, Sequence

import numpy as np

from phone2sim.assets.scene import Asset
from phone2sim.errors import RecipeError
from phone2sim.keys import Key

WHERE = (
    "farther away", "farther away to the left", "to the left", "closer on the left", "closer to the robot",
    "closer on the right", "to the right", "farther away to the right",
)  # fmt: skip
"""Directions of `direction_words`."""


def sample_sentence(templates: Sequence[str], key: Key, words: Mapping[str, str]) -> str:
    """One of the sentences with its fields filled in. Raises `RecipeError` for a field that the task has no word for."""
    text = templates[int(key.child("template").rng().integers(len(templates)))]
    try:
        sentence = text.format(**words)
    except (KeyError, IndexError, ValueError, AttributeError):
        raise RecipeError(
            f"task.templates: {text!r} asks for a word that is not there;",
            hint="have " + ", ".join(f"{{{w}}}" for w in sorted(words)) + ".",
        ) from None
    return sentence[:1].upper() + sentence[1:]


def noun_phrase(noun: str, at_base: np.ndarray, twins_base: np.ndarray) -> str:
    """The noun, told apart by place from other objects of the same name. Points (2,) and (n, 2) are in the robot's base
    frame (x forward, y left) [m]."""
    return f"{_superlative(at_base, twins_base)} {noun}" if len(twins_base) else noun


def direction_words(step: np.ndarray) -> str:
    """A step (2,) in the base frame in words, to 45 degrees."""
    return WHERE[int(np.round(np.arctan2(step[1], step[0]) / (np.pi / 4))) % 8]


def _superlative(p: np.ndarray, others: np.ndarray) -> str:
    rows = {
        "leftmost": p[1] - others[:, 1], "rightmost": others[:, 1] - p[1],
        "nearest": others[:, 0] - p[0], "farthest": p[0] - others[:, 0],
    }  # fmt: skip
    word, margin = max(((w, float(d.min())) for w, d in rows.items()), key=lambda r: r[1])
    return word if margin > 0.02 else "middle"


def nouns(assets: tuple[Asset, ...]) -> dict[str, str]:
    """What to call each asset: its class, with its colour where two share a class or the class is unknown."""
    base = {a.name: _class_words(a) for a in assets}
    out = {}
    for a in assets:
        shared = sum(b == base[a.name] for b in base.values()) > 1 or base[a.name] == "object"
        color = color_name(a) if shared else ""
        out[a.name] = f"{color} {base[a.name]}".strip()
    return out


def _class_words(asset: Asset) -> str:
    word = asset.label if asset.label not in ("", "object", "unknown") else asset.name
    return re.sub(r"[_\W]+", " ", re.sub(r"[_\s]*\d+$", "", word)).strip().lower() or "object"


def color_name(asset: Asset) -> str:
    """Everyday colour of the texture's mean, empty without a texture."""
    t = asset.visual.texture
    if t is None:
        return ""
    step = max(1, int(np.sqrt(t.shape[0] * t.shape[1]) / 96))
    pixels = t[::step, ::step].reshape(-1, 3)
    lit = pixels[pixels.sum(axis=1) > 24]
    r, g, b = (lit if len(lit) else pixels).mean(axis=0) / 255
    h, s, v = colorsys.rgb_to_hsv(float(r), float(g), float(b))
    if v < 0.2:
        return "black"
    if s < 0.18:
        return "white" if v > 0.75 else "grey"
    hue = 360 * h
    if hue < 45 and v < 0.55:
        return "brown"
    names = ((15, "red"), (42, "orange"), (68, "yellow"), (165, "green"), (200, "cyan"), (255, "blue"), (290, "purple"),
             (340, "pink"), (361, "red"))  # fmt: skip
    return next(n for top, n in names if hue < top)
