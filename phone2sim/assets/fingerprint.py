"""What a scene's parts are, as short hashes: whether a colleague's scene is the one a spec was made with."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from phone2sim.assets.scene import Scene
from phone2sim.errors import InputError, did_you_mean


def asset_hashes(scene: Scene, support: str) -> dict[str, str]:
    """16 hex digits by asset name, and for `background` and `support` (the surface of that name).

    Over what pictures and physics depend on: meshes, textures, hulls, splats, inertia. Where an asset was captured and
    how sure its numbers are is left out; a spec holds its own poses, masses and friction.
    """
    out = {}
    for a in scene.assets:
        shapes = [x for m in (a.visual, *a.hulls) for x in (m.vertices, m.faces, m.uv, m.texture)]
        out[a.name] = _hash(*shapes, a.inertia.center_of_mass, a.inertia.moments, np.float64(a.mass_kg.value))
    b = scene.background
    out["background"] = _hash(b.means, b.quats_wxyz, b.scales, b.opacities, b.sh)
    for s in scene.supports:
        if s.name == support:
            out["support"] = _hash(s.outline, s.T_world_surface.matrix)
    return out


def check_hashes(scene: Scene, support: str, wanted: dict[str, str], *, where: str) -> None:
    """Raises `InputError` naming the first part of the scene at `where` that is not the one hashed in `wanted`."""
    have = asset_hashes(scene, support)
    for name, digest in wanted.items():
        if name not in have:
            raise InputError(f"{where} has no asset {name!r}, which the episode shows;", hint=did_you_mean(name, have))
        if have[name] != digest:
            what = name if name in ("background", "support") else f"asset {name!r}"
            raise InputError(
                f"The {what} of {where} is not the one the episode was made with (hash {have[name]}, wanted {digest}).",
                hint="Use the scene that the spec was generated from, or generate a new dataset.",
            )


def _hash(*arrays: np.ndarray | np.generic | None) -> str:
    h = hashlib.sha256()
    for a in arrays:
        a = np.zeros(0) if a is None else np.ascontiguousarray(a)
        h.update(json.dumps([a.dtype.str, list(a.shape)]).encode() + a.tobytes())
    return h.hexdigest()[:16]
