"""Pictures drawn from numbers, for objects and surfaces: equal specs give equal pixels."""

from __future__ import annotations

import numpy as np

from phone2sim.augment.spec import TextureSpec
from phone2sim.augment.variation import Variation
from phone2sim.errors import RecipeError, did_you_mean
from phone2sim.keys import Key

KINDS = ("plain", "checker", "stripes", "speckle", "grain")


def sample_texture(choice: Variation, key: Key) -> TextureSpec | None:
    """What the recipe's `texture` draws; None for `own`. Colours are of everyday saturation, the second near the first."""
    kind = str(choice(key.child("kind").rng()))
    rng = key.child("look").rng()
    if kind == "own":
        return None
    if kind == "any":
        kind = KINDS[int(rng.integers(len(KINDS)))]
    if kind not in KINDS:
        raise RecipeError(f"No texture {kind!r};", hint=did_you_mean(kind, ("own", "any", *KINDS)))
    import colorsys

    hue, saturation, value = rng.random(), rng.uniform(0.05, 0.75), rng.uniform(0.25, 0.9)
    other = (hue + rng.normal(0, 0.08)) % 1, saturation * rng.uniform(0.5, 1.1), float(np.clip(value + rng.choice([-1, 1]) * rng.uniform(0.12, 0.4), 0.08, 0.97))
    colors = [tuple(round(c, 6) for c in colorsys.hsv_to_rgb(h, min(s, 1.0), v)) for h, s, v in ((hue, saturation, value), other)]
    return TextureSpec(
        kind=kind, rgb=colors[0], rgb_2=colors[1], repeats=round(float(np.exp(rng.uniform(np.log(2), np.log(12)))), 6),  # type: ignore[arg-type]
        seed=int(rng.integers(2**31)),
    )  # fmt: skip


def draw_texture(spec: TextureSpec, size: int = 256) -> np.ndarray:
    """(size, size, 3) uint8 sRGB; its left and right, top and bottom fit together."""
    y, x = (np.mgrid[0:size, 0:size] + 0.5) / size
    rng = Key(spec.seed).child("texture").rng()
    n = max(1, round(spec.repeats))
    if spec.kind == "plain":
        share = np.zeros((size, size))
    elif spec.kind == "checker":
        share = (np.floor(2 * n * x) + np.floor(2 * n * y)) % 2
    elif spec.kind == "stripes":
        share = np.floor(2 * n * x) % 2
    elif spec.kind == "speckle":
        share = _speckle(rng, size, n)
    else:
        wobble = _waves(rng, x, y, 3, 2)
        share = 0.5 + 0.5 * np.sin(2 * np.pi * (n * x + 0.9 * wobble)) * (0.6 + 0.4 * _waves(rng, x, y, 24, 1))
    fine = rng.normal(0, 0.015, (size, size))[..., None]
    rgb = np.array(spec.rgb) * (1 - share[..., None]) + np.array(spec.rgb_2) * share[..., None]
    return np.clip(255 * (rgb + fine) + 0.5, 0, 255).astype(np.uint8)


def _speckle(rng: np.random.Generator, size: int, n: int) -> np.ndarray:
    """Chips of random size on a ground."""
    out = np.zeros((size, size))
    y, x = np.mgrid[0:size, 0:size]
    for _ in range(12 * n):
        cx, cy, r, tone = rng.uniform(0, size), rng.uniform(0, size), rng.uniform(0.1, 0.35) * size / n, rng.uniform(0.4, 1)
        dx = (x - cx + size / 2) % size - size / 2
        dy = (y - cy + size / 2) % size - size / 2
        out[dx * dx + dy * dy < r * r] = tone
    return out


def _waves(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, across: int, count: int) -> np.ndarray:
    """A sum of periodic waves in about -1 … 1, more of them across than along."""
    out = np.zeros_like(x)
    for _ in range(2 * count):
        a, b, phase = rng.integers(0, across + 1), rng.integers(1, 4), rng.uniform(0, 2 * np.pi)
        out += np.sin(2 * np.pi * (a * x + b * y) + phase) / (2 * count)
    return out
