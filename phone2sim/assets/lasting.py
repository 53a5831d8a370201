"""Names that last: what `assets.toml` says of `object_2` is meant for the same thing after a rebuild, in whatever order things are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.assets.overrides import Override
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.stage import read_manifest

LIKE = 2.5
"""Volumes of one thing in two builds differ by this factor at most."""
OTHER = 0.1
"""Cameras that differ by more of their spread between two builds took other pictures."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """An object under the name that a build gave it."""

    name: str
    centre: np.ndarray
    """(3,) of its volume, world [m]."""
    size_m: float
    """Longest side of its box in the world."""
    volume_m3: float

    @classmethod
    def of(cls, name: str, mesh: Any) -> Known:
        """Of a closed `trimesh.Trimesh` in the world."""
        return cls(name=name, centre=np.asarray(mesh.center_mass), size_m=float(np.max(mesh.extents)), volume_m3=float(mesh.volume))

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "centre": self.centre.tolist(), "size_m": self.size_m, "volume_m3": self.volume_m3}


def last_known(scene: Path, cameras: Cameras, overrides: Mapping[str, Override]) -> list[Known]:
    """The objects of the build in the folder `scene`, in the world of `cameras`: the capture may have been placed or measured anew.

    Empty when there was none, when no picture is common to both, and as long as the user says nothing of any object: then names
    follow from this build alone.
    """
    rows = ((read_manifest(scene) or {}).get("result") or {}).get("objects") or []
    if not overrides or not rows or not (scene / "cameras.json").exists():
        return []
    before = Cameras.load(scene / "cameras.json")
    common = [n for n in before.names if n in set(cameras.names)]
    if not common:
        return []
    old, new = (c.T_world_camera[[c.names.index(n) for n in common]] for c in (before, cameras))
    scale, R, t = _between(old, new)
    off = np.linalg.norm(scale * old[:, :3, 3] @ R.T + t - new[:, :3, 3], axis=1)
    if float(np.median(off)) > OTHER * float(np.linalg.norm(np.ptp(new[:, :3, 3], axis=0))):
        return []  # pictures of other places under the same names
    return [
        Known(name=r["name"], centre=scale * R @ r["centre"] + t, size_m=scale * r["size_m"], volume_m3=scale**3 * r["volume_m3"]) for r in rows
    ]


def named(meshes: Sequence[Any], known: Sequence[Known]) -> tuple[list[str], list[Known]]:
    """A name for each closed mesh in the world, that of the known object it is or the next free `object_k`; and all that is known now.

    What is not there this time stays known, so that its name is nobody else's.
    """
    found = [Known.of("", m) for m in meshes]
    pairs = sorted(
        (float(np.linalg.norm(f.centre - k.centre)), i, j)
        for i, f in enumerate(found) for j, k in enumerate(known)
        if max(f.volume_m3, k.volume_m3) < LIKE * min(f.volume_m3, k.volume_m3)
    )  # fmt: skip
    names: dict[int, str] = {}
    taken: set[int] = set()
    for far, i, j in pairs:
        if i not in names and j not in taken and far < 0.5 * min(found[i].size_m, known[j].size_m):
            names[i] = known[j].name
            taken.add(j)
    used = {k.name for k in known}
    free = (n for k in range(1, len(found) + len(used) + 1) if (n := f"object_{k}") not in used)
    every = [names.get(i) or next(free) for i in range(len(found))]
    now = [replace(f, name=n) for f, n in zip(found, every)]
    return every, [*now, *(k for j, k in enumerate(known) if j not in taken)]


def _between(old: np.ndarray, new: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale, rotation (3, 3) and translation (3,) from one world to another, of the same cameras' T_world_camera (n, 4, 4) in both."""
    U, _, Vt = np.linalg.svd(np.einsum("nij,nkj->ik", new[:, :3, :3], old[:, :3, :3]))
    R = U @ np.diag([1.0, 1.0, np.linalg.det(U @ Vt)]) @ Vt
    a, b = old[:, :3, 3], new[:, :3, 3]
    spread = [float(np.linalg.norm(x - x.mean(axis=0))) for x in (a, b)]
    scale = spread[1] / spread[0] if min(spread) > 1e-6 else 1.0
    return scale, R, b.mean(axis=0) - scale * R @ a.mean(axis=0)
