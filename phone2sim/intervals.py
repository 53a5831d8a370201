"""A value with the interval it is believed to lie in. Estimates carry their uncertainty instead of hiding it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from phone2sim.errors import ShapeError


@dataclass(frozen=True, kw_only=True)
class Interval:
    """`low <= value <= high`, all in the same unit; `why` names the evidence."""

    value: float
    low: float
    high: float
    why: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and self.low <= self.value <= self.high):
            raise ShapeError(f"Interval: expected low <= value <= high, got {self.low}, {self.value}, {self.high}.")

    @classmethod
    def exact(cls, value: float, why: str = "") -> Interval:
        return cls(value=value, low=value, high=value, why=why)

    def __contains__(self, x: float) -> bool:
        return self.low <= x <= self.high

    def scaled(self, factor: float) -> Interval:
        """Value and both ends multiplied by a positive factor."""
        return Interval(value=self.value * factor, low=self.low * factor, high=self.high * factor, why=self.why)

    def to_json(self) -> dict[str, float | str]:
        return {"value": self.value, "low": self.low, "high": self.high, "why": self.why}

    @classmethod
    def from_json(cls, data: dict) -> Interval:
        return cls(value=data["value"], low=data["low"], high=data["high"], why=data.get("why", ""))
