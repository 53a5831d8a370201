"""Mass, inertia and contact as posteriors: volume × density × fill of a sourced material table, or what the user says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np

from phone2sim.assets.scene import Inertia
from phone2sim.errors import InputError, did_you_mean
from phone2sim.intervals import Interval


@dataclass(frozen=True, kw_only=True)
class Material:
    """A row of `materials.yaml`: intervals, and where they come from."""

    name: str
    density: Interval
    """[kg/m³] of the object's outer volume: material density × fill."""
    friction: Interval
    restitution: Interval


# Words in a user's name that say the material; anything else stays unknown.
_WORDS = {
    "mug": "ceramic", "cup": "ceramic", "bowl": "ceramic", "plate": "ceramic", "vase": "ceramic", "glass": "glass",
    "jar": "glass", "block": "wood", "spoon": "wood", "box": "cardboard", "carton": "cardboard", "book": "paper",
    "bottle": "plastic", "can": "metal_can", "tin": "metal_can", "banana": "food", "bananas": "food", "apple": "food",
    "orange": "food", "lemon": "food", "tennis": "rubber", "plush": "fabric", "towel": "fabric", "sponge": "foam",
}  # fmt: skip


@lru_cache
def materials() -> Mapping[str, Material]:
    """The material table by name."""
    import yaml

    rows = yaml.safe_load(resources.files("phone2sim.assets").joinpath("materials.yaml").read_text())
    return {name: _material(name, row) for name, row in rows.items()}


def material(name: str) -> Material:
    """One row; an unknown name is an `InputError` listing the table."""
    table = materials()
    if name not in table:
        raise InputError(f"No material {name!r};", hint=did_you_mean(name, table))
    return table[name]


def guess_material(name: str) -> str:
    """The material that the words of a user's name imply, else `unknown`."""
    for word in name.lower().replace("-", "_").split("_"):
        if word in _WORDS:
            return _WORDS[word]
    return "unknown"


def mass_interval(volume_m3: float, kind: Material, *, shape_error: float = 0.1, scale: tuple[float, float] = (1.0, 1.0)) -> Interval:
    """Mass [kg] of a closed volume [m³] whose shape is known to within the relative `shape_error`.

    `scale` are the factors (low, high) between which true lengths lie, relative to reported ones; volume goes with
    their cubes.
    """
    d = kind.density
    small, large = (1 - shape_error) * scale[0] ** 3, (1 + shape_error) * scale[1] ** 3
    return Interval(
        value=volume_m3 * d.value, low=volume_m3 * small * d.low, high=volume_m3 * large * d.high,
        why=f"{volume_m3 * 1e6:.0f} cm3 ({small:.2g} to {large:.2g} times) x {d.low:.0f}-{d.high:.0f} kg/m3, {d.why}",
    )  # fmt: skip


def inertia(mesh: Any, mass_kg: float) -> Inertia:
    """Of a closed `trimesh.Trimesh` filled evenly, scaled to `mass_kg`; about its centre of mass, in its own frame."""
    m = mesh.copy()
    m.density = 1.0
    moments = np.asarray(m.moment_inertia, np.float64) * (mass_kg / m.volume)
    return Inertia(center_of_mass=np.asarray(m.center_mass, np.float64), moments=(moments + moments.T) / 2)


def _material(name: str, row: dict[str, Any]) -> Material:
    (dl, dh), (fl, fh) = row["density"], row["fill"]
    low, high = float(dl * fl), float(dh * fh)
    source = str(row["source"])
    label = "unknown material" if name == "unknown" else name.replace("_", " ")

    def middle(key: str) -> Interval:
        a, b = (float(x) for x in row[key])
        return Interval(value=(a + b) / 2, low=a, high=b, why=f"{label} on a table top")

    return Material(
        name=name,
        density=Interval(value=float(row["value"]) if "value" in row else float(np.sqrt(low * high)), low=low, high=high, why=f"{label} ({source})"),
        friction=middle("friction"), restitution=middle("restitution"),
    )  # fmt: skip
