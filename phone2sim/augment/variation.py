"""`Variation`: a small frozen value that draws numbers. Any recipe parameter may be a constant or one of these.

Uniform(0.1, 0.3)(rng)            one float
Uniform(0.1, 0.3)(rng, 3)         array (3,)
as_variation({"uniform": [0.1, 0.3]}) == Uniform(0.1, 0.3)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from phone2sim.errors import RecipeError, did_you_mean


@dataclass(frozen=True)
class Variation(ABC):
    """Base: call with a generator to draw; equal values draw equal numbers from equal generators."""

    @abstractmethod
    def __call__(self, rng: np.random.Generator, size: int | None = None) -> Any:
        """One draw, or an array of `size` draws."""

    @abstractmethod
    def quantile(self, u: float) -> Any:
        """The value below which a share `u`, 0–1, of the draws lies (inverse distribution function)."""

    @property
    @abstractmethod
    def support(self) -> tuple[float, float]:
        """Lowest and highest value that can be drawn; NaN where values are not numbers."""

    @abstractmethod
    def to_yaml(self) -> Any:
        """The form `as_variation` reads back."""

    def __str__(self) -> str:
        return str(self.to_yaml())

    @property
    def is_constant(self) -> bool:
        low, high = self.support
        return low == high


@dataclass(frozen=True)
class Constant(Variation):
    """Always the same value (a number, a text, or None)."""

    value: Any

    def __call__(self, rng: np.random.Generator, size: int | None = None) -> Any:
        return self.value if size is None else np.full(size, self.value)

    def quantile(self, u: float) -> Any:
        return self.value

    @property
    def support(self) -> tuple[float, float]:
        return (float(self.value),) * 2 if isinstance(self.value, (int, float)) else (math.nan, math.nan)

    @property
    def is_constant(self) -> bool:
        return True

    def to_yaml(self) -> Any:
        return self.value


@dataclass(frozen=True)
class Uniform(Variation):
    """Evenly in [low, high)."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _ordered("uniform", self.low, self.high)

    def __call__(self, rng: np.random.Generator, size: int | None = None) -> Any:
        return _plain(rng.uniform(self.low, self.high, size))

    def quantile(self, u: float) -> float:
        return float(self.low + u * (self.high - self.low))

    @property
    def support(self) -> tuple[float, float]:
        return float(self.low), float(self.high)

    def to_yaml(self) -> Any:
        return {"uniform": [self.low, self.high]}


@dataclass(frozen=True)
class Integers(Variation):
    """Whole numbers, evenly in low … high, both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        _ordered("integers", self.low, self.high)
        if int(self.low) != self.low or int(self.high) != self.high:
            raise RecipeError(f"integers: [{self.low}, {self.high}] must be whole numbers.")

    def __call__(self, rng: np.random.Generator, size: int | None = None) -> Any:
        return _plain(rng.integers(int(self.low), int(self.high) + 1, size))

    def quantile(self, u: float) -> int:
        return min(int(self.low) + int(u * (int(self.high) - int(self.low) + 1)), int(self.high))

    @property
    def support(self) -> tuple[float, float]:
        return float(self.low), float(self.high)

    def to_yaml(self) -> Any:
        return {"integers": [self.low, self.high]}


@dataclass(frozen=True)
class Normal(Variation):
    """Gaussian; unbounded, so parameters with limits want `TruncatedNormal`."""

    mean: float
    std: float

    def __post_init__(self) -> None:
        if not self.std >= 0:
            raise RecipeError(f"normal: standard deviation {self.std} must not be negative.")

    def __call__(self, rng: np.random.Generator, size: int | None = None) -> Any:
        return _plain(self.mean + self.std * rng.standard_normal(size))

    def quantile(self, u: float) -> float:
        from scipy.special import ndtri

        return float(self.mean + self.std * ndtri(np.clip(u, 1e-12, 1 - 1e-12))) if self.std else float(self.mean)

    @property
    def support(self) -> tuple[float, float]:
        return (float(self.mean),) * 2 if self.std == 0 else (-math.inf, math.inf)

    def to_yaml(self) -> Any:
        return {"normal": [self.mean, self.std]}


@dataclass(frozen=True)
class TruncatedNormal(Variation):
    """Gaussian kept inside [low, high], by inverting the distribution function (one uniform draw per value)."""

    mean: float
    std: float
    low: float
    high: float

    def __post_init__(self) -> None:
        _ordered("truncated_normal", self.low, self.high)
        if not self.std > 0:
            raise RecipeError(f"truncated_normal: standard deviation {self.std} must be positive.")

    def __call__(self, rng: np.random.Generator, size: int | None = None) -> Any:
        from scipy.special import ndtr, ndtri

        a, b = (ndtr((x - self.mean) / self.std) for x in (self.low, self.high))
        x = self.mean + self.std * ndtri(a + (b - a) * rng.random(size))
        return _plain(np.clip(x, self.low, self.high))

    def quantile(self, u: float) -> float:
        from scipy.special import ndtr, ndtri

        a, b = (ndtr((x - self.mean) / self.std) for x in (self.low, self.high))
        return float(np.clip(self.mean + self.std * ndtri(a + (b - a) * u), self.low, self.high))

    @property
    def support(self) -> tuple[float, float]:
        return float(self.low), float(self.high)

    def to_yaml(self) -> Any:
        return {"truncated_normal": [self.mean, self.std, self.low, self.high]}


@dataclass(frozen=True)
class LogUniform(Variation):
    """Evenly in the logarithm, for factors: `LogUniform(0.5, 2)` halves as often as it doubles."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _ordered("log_uniform", self.low, self.high)
        if not self.low > 0:
            raise RecipeError(f"log_uniform: lower end {self.low} must be positive.")

    def __call__(self, rng: np.random.Generator, size: int | None = None) -> Any:
        x = np.exp(rng.uniform(math.log(self.low), math.log(self.high), size))
        return _plain(np.clip(x, self.low, self.high))

    def quantile(self, u: float) -> float:
        return float(np.clip(self.low * (self.high / self.low) ** u, self.low, self.high))

    @property
    def support(self) -> tuple[float, float]:
        return float(self.low), float(self.high)

    def to_yaml(self) -> Any:
        return {"log_uniform": [self.low, self.high]}


@dataclass(frozen=True)
class Choice(Variation):
    """One of the options, with optional weights."""

    options: tuple[Any, ...]
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", tuple(self.options))
        object.__setattr__(self, "weights", _weights("choice", self.options, self.weights))

    def __call__(self, rng: np.random.Generator, size: int | None = None) -> Any:
        i = _pick(rng, len(self.options), self.weights, size)
        return self.options[int(i)] if size is None else np.array([self.options[int(k)] for k in i])

    def quantile(self, u: float) -> Any:
        return self.options[_slot(u, len(self.options), self.weights)[0]]

    @property
    def support(self) -> tuple[float, float]:
        if not all(isinstance(x, (int, float)) for x in self.options):
            return math.nan, math.nan
        return float(min(self.options)), float(max(self.options))

    @property
    def is_constant(self) -> bool:
        return len(set(self.options)) == 1

    def to_yaml(self) -> Any:
        return {"choice": list(self.options), **({"weights": list(self.weights)} if self.weights else {})}


@dataclass(frozen=True)
class Mixture(Variation):
    """One of several variations, with optional weights; for example usually near the capture, sometimes far."""

    parts: tuple[Variation, ...]
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(as_variation(p) for p in self.parts))
        object.__setattr__(self, "weights", _weights("mixture", self.parts, self.weights))

    def __call__(self, rng: np.random.Generator, size: int | None = None) -> Any:
        i = _pick(rng, len(self.parts), self.weights, size)
        return self.parts[int(i)](rng) if size is None else np.array([self.parts[int(k)](rng) for k in i])

    def quantile(self, u: float) -> Any:
        """Of the parts one after the other, not of their values in order."""
        i, inside = _slot(u, len(self.parts), self.weights)
        return self.parts[i].quantile(inside)

    @property
    def support(self) -> tuple[float, float]:
        ends = [p.support for p in self.parts]
        return min(e[0] for e in ends), max(e[1] for e in ends)

    def to_yaml(self) -> Any:
        rows = [p.to_yaml() for p in self.parts]
        return {"mixture": rows, **({"weights": list(self.weights)} if self.weights else {})}


_FORMS: dict[str, tuple[type[Variation], tuple[str, ...]]] = {
    "uniform": (Uniform, ("low", "high")),
    "integers": (Integers, ("low", "high")),
    "normal": (Normal, ("mean", "std")),
    "truncated_normal": (TruncatedNormal, ("mean", "std", "low", "high")),
    "log_uniform": (LogUniform, ("low", "high")),
    "choice": (Choice, ()),
    "mixture": (Mixture, ()),
}


def as_variation(data: Any) -> Variation:
    """A `Variation` from one, from a plain value (a constant), or from a YAML form like `{uniform: [0.1, 0.3]}`."""
    if isinstance(data, Variation):
        return data
    if data is None or (isinstance(data, (int, float, str)) and not isinstance(data, bool)):
        return Constant(data)
    if not isinstance(data, dict):
        raise RecipeError(f"{data!r} is neither a number nor a variation such as {{uniform: [0.1, 0.3]}}.")
    kinds = [k for k in data if k != "weights"]
    if len(kinds) != 1:
        raise RecipeError(f"a variation has one kind, got {sorted(map(str, kinds))};", hint=did_you_mean("", _FORMS))
    kind = str(kinds[0])
    if kind not in _FORMS:
        raise RecipeError(f"unknown variation {kind!r};", hint=did_you_mean(kind, _FORMS))
    cls, names = _FORMS[kind]
    values = data[kind]
    if not isinstance(values, (list, tuple)) or not values:
        raise RecipeError(f"{kind}: expected a list, got {values!r}.")
    if not names:
        return cls(tuple(values), data.get("weights"))  # type: ignore[call-arg]
    if "weights" in data:
        raise RecipeError(f"{kind}: weights belong to choice and mixture only.")
    if len(values) != len(names) or not all(_is_number(v) for v in values):
        raise RecipeError(f"{kind}: expected [{', '.join(names)}], got {list(values)}.")
    return cls(*values)


VARIATION_JSON_SCHEMA: dict[str, Any] = {
    "title": "a value or a variation",
    "anyOf": [
        {"type": ["number", "string", "null"]},
        *(
            {
                "type": "object",
                "properties": {
                    kind: {
                        "type": "array",
                        "minItems": len(names) or 1,
                        **({"maxItems": len(names), "items": {"type": "number"}} if names else {}),
                        "description": f"[{', '.join(names)}]" if names else "a list",
                    },
                    **({} if names else {"weights": {"type": "array", "items": {"type": "number", "minimum": 0}}}),
                },
                "required": [kind],
                "additionalProperties": False,
            }
            for kind, (_, names) in _FORMS.items()
        ),
    ],
}


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x)


def _ordered(kind: str, low: float, high: float) -> None:
    if not low <= high:
        raise RecipeError(f"{kind}: lower end {low} is above upper end {high}.")


def _weights(kind: str, options: tuple[Any, ...], weights: Any) -> tuple[float, ...] | None:
    if not options:
        raise RecipeError(f"{kind}: needs at least one option.")
    if weights is None:
        return None
    if not isinstance(weights, (list, tuple)):
        raise RecipeError(f"{kind}: expected {len(options)} weights, got {weights!r}.")
    if len(weights) != len(options) or not all(_is_number(w) and w >= 0 for w in weights) or not sum(weights) > 0:
        raise RecipeError(f"{kind}: expected {len(options)} weights, none negative, got {list(weights)}.")
    return tuple(float(w) for w in weights)


def _pick(rng: np.random.Generator, n: int, weights: tuple[float, ...] | None, size: int | None) -> Any:
    edges = np.cumsum(np.ones(n) if weights is None else np.array(weights))
    return np.minimum(np.searchsorted(edges / edges[-1], rng.random(size), side="right"), n - 1)


def _slot(u: float, n: int, weights: tuple[float, ...] | None) -> tuple[int, float]:
    """Which of n shares `u` falls into, and where in it, 0–1."""
    edges = np.r_[0.0, np.cumsum(np.ones(n) if weights is None else np.array(weights))]
    edges = edges / edges[-1]
    i = min(int(np.searchsorted(edges, u, side="right")) - 1, n - 1)
    while edges[i + 1] == edges[i]:
        i -= 1
    return i, float(np.clip((u - edges[i]) / (edges[i + 1] - edges[i]), 0, 1))


def _plain(x: Any) -> Any:
    return x.item() if isinstance(x, np.generic) or (isinstance(x, np.ndarray) and x.ndim == 0) else x
