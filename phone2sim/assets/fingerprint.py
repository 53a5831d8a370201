"""What a scene's parts are, as short hashes: whether a colleague's scene is the one a spec was made with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

import numpy as np

from phone2sim.assets.scene import PlanarSurface, Scene
from phone2sim.errors import InputError


class AssetHashes:
    """16 hex digits per part of a scene, each computed once.

    Over what pictures and physics depend on: meshes, textures, hulls, splats, inertia. Where an asset was captured and
    how sure its numbers are is left out; a spec holds its own poses, masses and friction.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._known: dict[str, str] = {}

    def of(self, support: str, assets: Iterable[str]) -> dict[str, str]:
        """By asset name, and for `background` and `support` (the surface of that name, and all others)."""
        return {
            "background": self._one("background"),
            "support": self._one(f"support {support}"),
            **{a: self._one(f"asset {a}") for a in sorted(set(assets))},
        }

    def check(self, support: str, wanted: Mapping[str, str], *, where: str) -> None:
        """Raises `InputError` naming the first part of the scene at `where` that is not the one hashed in `wanted`."""
        have = self.of(support, [n for n in wanted if n not in ("background", "support")])
        for name, digest in wanted.items():
            if have[name] != digest:
                what = name if name in ("background", "support") else f"asset {name!r}"
                raise InputError(
                    f"The {what} of {where} is not the one the episode was made with (hash {have[name]}, wanted {digest}).",
                    hint="Use the scene that the spec was generated from, or generate a new dataset.",
                )

    def _one(self, what: str) -> str:
        if what not in self._known:
            kind, _, name = what.partition(" ")
            if kind == "asset":
                a = self.scene.asset(name)
                shapes = [x for m in (a.visual, *a.hulls) for x in (m.vertices, m.faces, m.uv, m.texture)]
                parts = [*shapes, a.inertia.center_of_mass, a.inertia.moments, np.float64(a.mass_kg.value)]
            elif kind == "support":
                # The named surface first, then all others: what else is static is part of an episode's physics.
                surfaces = sorted(self.scene.surfaces, key=lambda s: s.name != name)
                parts = [x for s in surfaces for x in _plate(s)]
            else:
                b = self.scene.background
                parts = [b.means, b.quats_wxyz, b.scales, b.opacities, b.sh]
            self._known[what] = _hash(*parts)
        return self._known[what]


def _plate(s: PlanarSurface) -> list[np.ndarray]:
    return [s.outline, s.T_world_surface.matrix] + ([] if s.thickness_m is None else [np.array([s.thickness_m])])


def _hash(*arrays: np.ndarray | np.generic | None) -> str:
    h = hashlib.sha256()
    for a in arrays:
        a = np.zeros(0) if a is None else np.ascontiguousarray(a)
        h.update(json.dumps([a.dtype.str, list(a.shape)]).encode() + a.tobytes())
    return h.hexdigest()[:16]
