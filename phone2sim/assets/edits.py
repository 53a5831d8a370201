"""What the user does to the objects in `assets.toml`: parts merged into one, objects dropped. Names of all others stay."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from phone2sim.assets.lift import Bodies
from phone2sim.assets.materials import friction, material
from phone2sim.assets.overrides import SUPPORT_KEYS, Override
from phone2sim.assets.scene import SupportSurface
from phone2sim.assets.solid import Solid, close_on_plane
from phone2sim.errors import AssetError, InputError, did_you_mean
from phone2sim.reconstruct.mesh.fusion import Grid

BRIDGE = 2.5
"""Parts nearer to each other than this many voxels are one body when they are merged."""


@dataclass(frozen=True, kw_only=True)
class Edited:
    """The bodies after the user's edits; ids and their order are those of before."""

    bodies: Bodies
    merged: frozenset[int]
    """Ids that are parts of another one now: no Gaussian and no pixel is theirs any more."""
    dropped: frozenset[int]
    """Ids of objects that leave the scene."""


def edited(bodies: Bodies, overrides: Mapping[str, Override], names: list[str], *, gone: Collection[str] = ()) -> Edited:
    """Apply `merge` and `drop`; `names` are those of `bodies.solids`, in order. Objects that are `gone` were there in an earlier build:
    there is nothing to merge of them.

    Raises `InputError` when an object to merge never existed, or is not beside what it should become a part of.
    """
    solids, labels, masks = list(bodies.solids), bodies.labels.copy(), bodies.masks.copy()
    merged: set[int] = set()
    for name, row in overrides.items():
        if name not in names or not row.merge:
            continue
        k = names.index(name)
        for other in row.merge:
            if other not in names and other not in gone:
                raise InputError(f"assets.toml [{name}]: no object {other!r} to merge;", hint=did_you_mean(other, names))
        parts = [names.index(other) for other in row.merge if other in names]
        if not parts:
            continue
        try:
            solids[k] = union([solids[k], *(solids[j] for j in parts)])
        except AssetError:
            raise InputError(
                f"assets.toml [{name}]: {', '.join(row.merge)} and {name} do not touch each other, so they are no single body.",
                hint="Merge only parts that touch, or give them one label.",
            ) from None
        for j in parts:
            labels[labels == j + 1] = k + 1
            masks[masks == j + 1] = k + 1
            merged.add(j + 1)
    dropped = frozenset(names.index(n) + 1 for n, row in overrides.items() if row.drop and n in names)
    return Edited(bodies=replace(bodies, solids=solids, labels=labels, masks=masks), merged=frozenset(merged), dropped=dropped)


def said_of(surface: SupportSurface, overrides: Mapping[str, Override]) -> SupportSurface:
    """The support with the material that the user gives for its name.

    Raises `InputError` for keys that only objects have.
    """
    row = overrides.get(surface.name)
    if row is None:
        return surface
    other = sorted(row.model_fields_set - SUPPORT_KEYS)
    if other:
        raise InputError(f"assets.toml [{surface.name}]: a support has no {other[0]!r}.", hint=f"It has {', '.join(sorted(SUPPORT_KEYS))}.")
    kind = material(row.material or "unknown")
    return replace(surface, material=kind.name, friction=friction("unknown", kind.name))


def union(parts: list[Solid]) -> Solid:
    """One body of several; gaps of up to `BRIDGE` voxels between them are closed. Raises `AssetError` when it is not one body."""
    from scipy import ndimage

    voxel = min(p.grid.voxel for p in parts)
    low = np.min([p.grid.origin for p in parts], axis=0)
    high = np.max([p.grid.origin + p.grid.voxel * (np.array(p.grid.shape) - 1) for p in parts], axis=0)
    grid = Grid.around(low, high, voxel, limit=6_000_000)
    nodes = np.asarray(grid.points(), np.float64)
    far = 4 * grid.voxel
    fields = []
    for p in parts:
        at = ((nodes - p.grid.origin) / p.grid.voxel).T
        fields.append(np.clip(ndimage.map_coordinates(p.distance, at, order=1, cval=far), -far, far).reshape(grid.shape))
    field = np.minimum.reduce(fields)
    # Where two parts face each other across a gap, both are near: there the gap is part of the body.
    second = np.sort(np.stack(fields), axis=0)[1]
    field = np.where(field + second < BRIDGE * grid.voxel, np.minimum(field, field + second - BRIDGE * grid.voxel), field)
    field = np.clip(ndimage.gaussian_filter(field, 0.7), -far, far).astype(np.float32)
    level = min(p.level for p in parts)
    labels, count = ndimage.label(field < 0)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    if count == 0 or sizes.max() < 0.97 * sizes.sum():
        raise AssetError("Merged parts do not touch.")
    solid = Solid(grid=grid, distance=field, mesh=None, level=level)
    return replace(solid, mesh=close_on_plane(*solid.surface(), level))
