"""`assets.toml` in the scene folder: what the user knows about the objects. It wins over every estimate and survives rebuilds.

    [object_1]              # the name the build gave
    name = "mug"            # a better one
    material = "ceramic"    # a row of materials.yaml
    mass_kg = 0.31          # or [0.28, 0.34]
    friction = [0.4, 0.6]
    restitution = 0.2
    label = "mug"           # class name for semantics and language
    movable = true          # false leaves it in the background, solid
    build = "vessel"        # fill, vessel or container: how it is made
    center_of_mass_m = [0.0, 0.0, 0.041]       # in its own frame
    inertia_kg_m2 = [4e-4, 4e-4, 2e-4]         # about its centre of mass: xx, yy, zz, or also xy, xz, yz
    source = "kitchen scale"                   # who measured it; goes into every "why"
    merge = ["object_3"]    # these are parts of it
    drop = true             # not wanted: gone from the scene, background included

    [table]                 # a support
    material = "wood"
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.assets.materials import Build, material
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
    """False leaves the object in the background, where things bump into it."""
    build: Build | None = None
    """How it is made: `fill`, `vessel` or `container`."""
    center_of_mass_m: tuple[float, float, float] | None = None
    """[m], in the object's frame: origin at the middle of its contact, z up."""
    inertia_kg_m2: tuple[float, float, float] | tuple[float, float, float, float, float, float] | None = None
    """[kg m²] about the centre of mass, axes of the object's frame: xx, yy, zz, or also xy, xz, yz."""
    source: str = ""
    """Who says so: a scale, a robot's wrist."""
    merge: tuple[str, ...] = ()
    """Other objects that are parts of this one."""
    drop: bool = False
    """Leaves it out of the scene, background included."""

    @property
    def why(self) -> str:
        return f"given in assets.toml ({self.source})" if self.source else "given in assets.toml"

    def moments(self) -> np.ndarray | None:
        """(3, 3) [kg m²]; None when not given."""
        if self.inertia_kg_m2 is None:
            return None
        xx, yy, zz, xy, xz, yz = (*self.inertia_kg_m2, 0.0, 0.0, 0.0)[:6]
        return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


SUPPORT_KEYS = {"material"}
"""What may be said of a support."""


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
        _check(out[key], f"{path} [{key}]")
    _check_merges(out, path)
    return out


def _check(row: Override, where: str) -> None:
    """Numbers that no body can have."""
    for key, most in (("mass_kg", np.inf), ("friction", np.inf), ("restitution", 1.0)):
        value = getattr(row, key)
        ends = [] if value is None else list(value) if isinstance(value, tuple) else [value, value]
        if not np.isfinite(ends).all():
            raise InputError(f"{where}: {key} = {value} must be finite.")
        if ends and (min(ends) < 0 or (key == "mass_kg" and min(ends) == 0)):
            raise InputError(f"{where}: {key} = {min(ends):g} must be positive.")
        if ends and max(ends) > most:
            raise InputError(f"{where}: {key} = {max(ends):g} must be at most {most:g}.")
        if ends != sorted(ends):
            raise InputError(f"{where}: {key} = {ends} must be [low, high].")
    if row.material is not None:
        try:
            material(row.material)
        except InputError as e:
            raise InputError(f"{where}: {e.message}", hint=e.hint) from None
    if row.center_of_mass_m is not None and not np.isfinite(row.center_of_mass_m).all():
        raise InputError(f"{where}: center_of_mass_m = {list(row.center_of_mass_m)} must be finite.")
    moments = row.moments()
    if moments is not None:
        if not np.isfinite(moments).all():
            raise InputError(f"{where}: inertia_kg_m2 = {list(row.inertia_kg_m2 or ())} must be finite.")
        m = np.sort(np.linalg.eigvalsh(moments))
        if m[0] <= 0 or m[0] + m[1] < m[2] * (1 - 1e-6):
            raise InputError(
                f"{where}: no body has the principal moments {', '.join(f'{x:.3g}' for x in m)} kg m²: the two smaller must add up to the largest.",
                hint="Give xx, yy, zz, xy, xz, yz about the centre of mass.",
            )  # fmt: skip
    if row.drop and row.merge:
        raise InputError(f"{where}: drop and merge exclude each other.")


def _check_merges(rows: dict[str, Override], path: Path) -> None:
    """Everything is part of at most one object, and a part has no table that says otherwise."""
    owner: dict[str, str] = {}
    for name, row in rows.items():
        for part in row.merge:
            if part == name or part in owner:
                raise InputError(f"{path} [{name}]: {part!r} cannot be merged into {name!r}" + (f", it is part of {owner[part]!r}." if part in owner else "."))
            owner[part] = name
    for part, name in owner.items():
        if part in rows or name in owner:
            raise InputError(
                f"{path}: {part if part in rows else name!r} is merged into another object and has a table of its own.", hint="Keep one of them."
            )


def given(value: Number, *, why: str = "given in assets.toml") -> Interval:
    """What the user wrote as an interval."""
    if isinstance(value, tuple):
        low, high = value
        return Interval(value=(low + high) / 2, low=low, high=high, why=why)
    return Interval.exact(value, why=why)
