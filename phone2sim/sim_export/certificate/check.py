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
    return Check(subject=subject, name=name, passed=passed, measured=measured, limit=limit, unit=unit, why=why)


def at_least(subject: str, name: str, measured: float, limit: float, unit: str, why: str) -> Check:
    """Passed when the measure reaches its limit."""
    return Check(
        subject=subject, name=name, passed=measured >= limit, measured=measured, limit=limit, unit=unit, why=why
    )
