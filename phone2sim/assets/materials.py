"""The table of materials: what things are made of, how they are made, and how two of them rub. Sources in `materials.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from typing import Any, Literal

from phone2sim.errors import InputError, did_you_mean
from phone2sim.intervals import Interval

Build = Literal["fill", "vessel", "container"]
Range = tuple[float, float]
_METALS = {"steel", "aluminium", "metal_can"}


@dataclass(frozen=True, kw_only=True)
class Material:
    """A row of the table."""

    name: str
    density: Range
    """[kg/m³] of the material itself."""
    typical: float | None
    """Median density [kg/m³]; None is the geometric middle."""
    build: Build | Literal["anyhow"]
    """How a thing of it is made: a share of its volume, an open wall, or a closed wall around a content."""
    fill: Range = (1.0, 1.0)
    """Share of the outer volume that is material, of a `fill`."""
    wall_m: Range = (0.0, 0.0)
    """Thickness of the wall of a vessel or container [m]."""
    content: Range = (0.0, 0.0)
    """Density of a container's content [kg/m³]."""
    level: Range = (0.0, 0.0)
    """Share of a container's inside that is filled."""
    friction: Range
    """Coulomb, against an ordinary table top."""
    restitution: Range
    stiffness_pa: Range
    """Young's modulus [Pa]."""
    source: str

    @property
    def label(self) -> str:
        return {"unknown": "unknown material", "unknown_thin": "unknown material, thin"}.get(self.name, self.name.replace("_", " "))


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a name implies."""

    name: str
    words: tuple[str, ...]
    material: str
    made: Mapping[str, Any]
    """Fields of `Material` that differ for such a thing."""

    def material_of(self, other: str | None = None) -> Material:
        """The row of its material, made as such a thing is; of `other` instead it is still a vessel or container, with the
        walls that such things have of that."""
        own = replace(material(self.material), **self.made)
        if other is None or other == self.material or {other, self.material} <= _METALS:
            return own
        row = material(other)
        if own.build == "fill" or row.wall_m[1] == 0:
            return row
        return replace(row, build=own.build, content=own.content, level=own.level)


@lru_cache
def _tables() -> dict[str, Any]:
    import yaml

    data: dict[str, Any] = yaml.safe_load(resources.files("phone2sim.assets").joinpath("materials.yaml").read_text())
    return data


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {k: (float(v[0]), float(v[1])) if isinstance(v, list) else v for k, v in row.items()}
    if "wall_mm" in out:
        out["wall_m"] = tuple(x / 1000 for x in out.pop("wall_mm"))
    if "stiffness" in out:
        out["stiffness_pa"] = out.pop("stiffness")
    return out


@lru_cache
def materials() -> Mapping[str, Material]:
    """The material table by name."""
    return {n: Material(name=n, **{"typical": None, **_fields(row)}) for n, row in _tables()["materials"].items()}


@lru_cache
def kinds() -> Mapping[str, Kind]:
    """What names imply, by the kind of thing."""
    out = {}
    for n, row in _tables()["classes"].items():
        made = _fields({k: v for k, v in row.items() if k not in ("words", "material")})
        out[n] = Kind(name=n, words=tuple(row["words"]), material=row["material"], made=made)
    return out


def material(name: str) -> Material:
    """One row; an unknown name is an `InputError` listing the table."""
    table = materials()
    if name not in table:
        raise InputError(f"No material {name!r};", hint=did_you_mean(name, [n for n in table if n != "unknown_thin"]))
    return table[name]


def kind_of(name: str) -> tuple[Kind | None, str | None]:
    """The kind of thing that a name's last telling word names, and the material that any of its words names."""
    words = name.lower().replace("-", "_").replace(" ", "_").split("_")
    by_word = {w: k for k in kinds().values() for w in k.words}
    kind = next((by_word[w] for w in reversed(words) if w in by_word), None)
    named = {"wooden": "wood", "metal": "steel", "cotton": "fabric", "glazed": "ceramic", **{m: m for m in materials() if "unknown" not in m}}
    of = next((named[w] for w in words if w in named and (kind is None or by_word.get(w) is not kind)), None)
    return kind, of


def friction(a: str, b: str) -> Interval:
    """Coulomb friction of two materials of the table, in either order.

    A tabulated pair; else the one that is known against an ordinary table top; of two that are known but not
    tabulated together, the geometric mean of the ends of both against a table top.
    """
    for row in _tables()["pairs"]:
        if sorted(row["of"]) == sorted((a, b)):
            return _middle(row["friction"], f"{material(a).label} on {material(b).label} ({row['source']})")
    ra, rb = material(a), material(b)
    if b.startswith("unknown"):
        return _middle(ra.friction, f"{ra.label} on a table top ({ra.source})")
    if a.startswith("unknown"):
        return _middle(rb.friction, f"{ra.label} on {rb.label} ({rb.source})")
    ends = [(x * y) ** 0.5 for x, y in zip(ra.friction, rb.friction)]
    return _middle(ends, f"{ra.label} on {rb.label}, not tabulated: the mean of both on a table top")


def restitution(kind: Material) -> Interval:
    return _middle(kind.restitution, f"{kind.label} on a table top ({kind.source})")


def stiffness(kind: Material) -> Interval:
    """Young's modulus [Pa]; the value is the geometric mean."""
    low, high = kind.stiffness_pa
    return Interval(value=float((low * high) ** 0.5), low=low, high=high, why=f"{kind.label} ({kind.source})")


def _middle(ends: Any, why: str) -> Interval:
    low, high = (float(x) for x in ends)
    return Interval(value=(low + high) / 2, low=low, high=high, why=why)
