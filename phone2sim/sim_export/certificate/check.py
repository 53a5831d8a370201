"""One gate of a certificate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Check:
    """One gate: what was measured, against what."""

    subject: str
    """An asset's name, or `scene`."""
    name: str
    passed: bool
    measured: float
    limit: float
    unit: str
    why: str
    """One sentence with the numbers."""

    def to_json(self) -> dict[str, Any]:
        return {k: (round(v, 6) if isinstance(v, float) and np.isfinite(v) else v if not isinstance(v, float) else None)
                for k, v in self.__dict__.items()}  # fmt: skip


def at_most(subject: str, name: str, measured: float, limit: float, unit: str, why: str) -> Check:
    """Passed when the measure is finite and not beyond its limit."""
    passed = bool(np.isfinite(measured) and measured <= limit)
    return _check(subject, name, passed, measured, limit, unit, why, "at most")


def at_least(subject: str, name: str, measured: float, limit: float, unit: str, why: str) -> Check:
    """Passed when the measure is finite and reaches its limit."""
    passed = bool(np.isfinite(measured) and measured >= limit)
    return _check(subject, name, passed, measured, limit, unit, why, "at least")


def _check(subject: str, name: str, passed: bool, measured: float, limit: float, unit: str, why: str, allowed: str) -> Check:
    """A failure says its limit as well, where that has a unit."""
    said = why if passed or not unit else f"{why}, {allowed} {_quantity(limit, unit)} is allowed"
    return Check(subject=subject, name=name, passed=passed, measured=measured, limit=limit, unit=unit, why=said)


def _quantity(value: float, unit: str) -> str:
    return {"m": f"{1000 * value:.3g} mm", "deg": f"{value:.3g}°"}.get(unit, f"{value:.3g} {unit}")
