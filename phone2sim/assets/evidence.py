"""What an object is made of and how heavy it is: what the user knows, else what its name says, else what it looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from phone2sim.assets.materials import Material, friction, kind_of, kinds, material, restitution, stiffness
from phone2sim.assets.overrides import Override, given
from phone2sim.assets.physics import Belief, Body, Weighed, weigh
from phone2sim.assets.scene import Inertia
from phone2sim.errors import InputError
from phone2sim.intervals import Interval

THIN_M = 0.007
"""A body whose mean thickness is below this may be metal even where nothing says so; thicker, it is hardly."""
LIKELY = 0.05
"""Share below which what a picture looks like is not considered."""


@dataclass(frozen=True, kw_only=True)
class Looks:
    """What a classifier makes of an object's pictures."""

    kinds: Mapping[str, float]
    """Share by kind of thing, a row of `classes` in the table."""
    materials: Mapping[str, float]
    """Share by material."""
    by: str
    """Who says so."""


@dataclass(frozen=True, kw_only=True)
class Physics:
    """What the simulation needs to know of an object."""

    material: str
    mass_kg: Interval
    inertia: Inertia
    friction: Interval
    restitution: Interval
    stiffness_pa: Interval


def belief(name: str, override: Override, body: Body, looks: Looks | None = None) -> Belief:
    """The materials an object may be made of. `name` is what the user calls it, "" when nobody said."""
    kind, of = kind_of(name)
    if override.material is not None:
        made_of = material(override.material)
        found = Belief.sure(kind.material_of(made_of.name) if kind else made_of, f"material {override.why}")
    elif kind is not None:
        found = Belief.sure(kind.material_of(of), f"the name {name!r}")
    elif of is not None:
        found = Belief.sure(material(of), f"the name {name!r}")
    elif looks is not None:
        found = _by_looks(looks, body)
    else:
        found = Belief.sure(_unknown(body))
    if override.build is None:
        return found
    rows = [(replace(m, build=override.build), w) for m, w in found.materials]
    for m, _ in rows:
        if m.build != "fill" and m.wall_m[1] == 0:
            raise InputError(
                f'assets.toml: build = "{m.build}" needs a material that walls are made of, not {m.label}.', hint='Give one: material = "ceramic"'
            )
        if m.build == "container" and m.content[1] == 0:
            raise InputError(
                f'assets.toml: what is in a container of {m.label} is not known; build = "vessel" is one without content.',
                hint="Or weigh it: mass_kg = 0.3",
            )  # fmt: skip
    return Belief(materials=tuple(rows), why=f"{found.why}; built as {override.build}, {override.why}".lstrip("; "))


def physics(
    mesh: Any, name: str, override: Override, *, surface_m: float, seen: float, scale: tuple[float, float], support: str = "unknown",
    looks: Looks | None = None,
) -> Physics:  # fmt: skip
    """Everything about a closed `trimesh.Trimesh` in its own frame; what the user gives wins.

    `surface_m`, `seen` and `scale` as in `weigh`; `support` is the material it stands on.
    """
    body = Body.of(mesh)
    believed = belief(name, override, body, looks)
    kind = believed.best
    known = given(override.mass_kg, why=override.why) if override.mass_kg is not None else None
    weighed = _overridden(weigh(body, believed, surface_m=surface_m, seen=seen, scale=scale, known=known), override, mesh)
    label = "unknown" if kind.name.startswith("unknown") else kind.name
    return Physics(
        material=label, mass_kg=weighed.mass_kg, inertia=weighed.inertia, stiffness_pa=stiffness(kind),
        friction=given(override.friction, why=override.why) if override.friction is not None else friction(kind.name, support),
        restitution=given(override.restitution, why=override.why) if override.restitution is not None else restitution(kind),
    )  # fmt: skip


def _unknown(body: Body) -> Material:
    return material("unknown_thin" if body.thickness_m < THIN_M else "unknown")


def _by_looks(looks: Looks, body: Body) -> Belief:
    """A mixture: kinds of things made of their usual material, what is left of the certainty by material, the rest unknown."""
    rows: list[tuple[Material, float]] = []
    by_name = kinds()
    for k, share in looks.kinds.items():
        if share >= LIKELY:
            usual = by_name[k]
            fits = looks.materials.get(usual.material, 0.0)
            rows.append((usual.material_of(), share * max(fits, LIKELY)))
    left = max(0.0, 1 - sum(w for _, w in rows))
    rows += [(material(m), left * share) for m, share in looks.materials.items() if share >= LIKELY]
    rows.append((_unknown(body), max(LIKELY, 1 - sum(w for _, w in rows))))
    return Belief(materials=tuple(rows), why=f"looks like it to {looks.by}")


def _overridden(found: Weighed, override: Override, mesh: Any) -> Weighed:
    """Centre of mass and inertia that were given, instead of the estimated ones."""
    i = found.inertia
    if override.center_of_mass_m is not None:
        c = np.array(override.center_of_mass_m)
        low, high = mesh.bounds
        if not ((c > low) & (c < high)).all():
            raise InputError(
                f"assets.toml: center_of_mass_m {c.tolist()} is outside of the object, which reaches from {np.round(low, 3).tolist()} to {np.round(high, 3).tolist()} m.",
                hint="It is in the object's own frame: origin at the middle of its contact, z up.",
            )  # fmt: skip
        i = replace(i, center_of_mass=c, center_low=c, center_high=c, why=f"centre of mass {override.why}; {i.why}")
    moments = override.moments()
    if moments is not None:
        i = replace(i, moments=moments, moments_low=moments, moments_high=moments, why=f"inertia {override.why}")
    return replace(found, inertia=i)
