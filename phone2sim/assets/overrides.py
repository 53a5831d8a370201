"""`assets.toml` in the scene folder: what the user knows about the objects. It wins over every estimate and survives rebuilds.

    [object_1]              # the name the build gave
    name = "mug"            # a better one
    material = "ceramic"    # a row of materials.yaml
    mass_kg = 0.31          # or [0.28, 0.34]
    friction = [0.4, 0.6]
    restitution = 0.2
    label = "mug"           # class name for semantics and language
    movable = true          # false leaves it in the background
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from phone2sim.config import Config, parse_config
from phone2sim.errors import InputError, MissingDependencyError
from phone2sim.intervals import Interval

Number = float | tuple[float, float]


class Override(Config):
    """One object's table; every key is optional."""

    name: str | None = None
    """New name: letters, digits and underscores."""
    label: str | None = None
    """Class name for semantics and language."""
    material: str | None = None
    """A row of the material table."""
    mass_kg: Number | None = None
    """[kg], a number or [low, high]."""
    friction: Number | None = None
    """Coulomb coefficient, a number or [low, high]."""
    restitution: Number | None = None
    """0–1, a number or [low, high]."""
    movable: bool = True
    """False leaves the object in the background."""


def read_overrides(path: Path) -> dict[str, Override]:
    """The user's tables by object name; empty when there is no file."""
    if not path.exists():
        return {}
    try:
        import tomllib  # type: ignore[import-not-found,unused-ignore]
    except ModuleNotFoundError:
        try:
            import tomli as tomllib  # type: ignore[import-not-found,no-redef,unused-ignore]
        except ModuleNotFoundError:
            raise MissingDependencyError("Reading assets.toml needs tomli on Python 3.10.", hint="pip install tomli") from None
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise InputError(f"{path} is not valid TOML: {e}.") from None
    out = {}
    for key, row in data.items():
        if not isinstance(row, dict):
            raise InputError(f"{path}: {key!r} must be a table.", hint=f"Write [{key}] and keys below it.")
        out[key] = parse_config(Override, row, where=f"{path} [{key}]")
        name = out[key].name
        if name is not None and not name.isidentifier():
            raise InputError(f"{path} [{key}]: name {name!r} must be letters, digits and underscores.")
    return out


def given(value: Number, *, path: str = "assets.toml") -> Interval:
    """What the user wrote as an interval."""
    if isinstance(value, tuple):
        low, high = sorted(value)
        return Interval(value=(low + high) / 2, low=low, high=high, why=f"given in {path}")
    return Interval.exact(value, why=f"given in {path}")
