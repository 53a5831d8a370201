"""Assets from elsewhere, by reference, and assets of another size.

    shape:can:3              a made-up object of the sample's catalogue, colours from seed 3
    scene:/path#mug          an asset of another scene
    file:/path/cup.glb       a mesh file, in metres (GLB is y up, OBJ z up)
    mug@1.1                  any of these, 1.1 times as large
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phone2sim.assets.mesh import TexturedMesh
from phone2sim.errors import InputError, did_you_mean
from phone2sim.intervals import Interval
from phone2sim.poses import Pose

if TYPE_CHECKING:
    from phone2sim.assets.scene import Asset

MESH_FILES = (".glb", ".obj")
SHAPES = ("tea_box", "can", "ball", "block", "pear", "bottle", "sponge", "jar", "tin", "brick")
"""Kinds of the sample's catalogue that are small enough to stand around and convex enough to need no decomposition."""
SHAPE_SEEDS = 16
_ENDS = ("center_low", "center_high", "moments_low", "moments_high")


def references(source: str) -> tuple[str, ...]:
    """The assets that a recipe's source stands for, sorted; empty for `scene`, whose assets the scene itself knows.

    Raises `InputError` for a source that is not there or of no known kind.
    """
    kind, _, path = source.partition(":")
    if source == "scene":
        return ()
    if source == "shapes":
        return tuple(f"shape:{k}:{n}" for k in SHAPES for n in range(SHAPE_SEEDS))
    if kind == "scene":
        return tuple(f"scene:{path}#{a.name}" for a in _scene(path).assets)
    if kind == "folder":
        if not Path(path).is_dir():
            raise InputError(f"{path} is not a folder (source {source!r} of the recipe).")
        files = sorted(p for p in Path(path).iterdir() if p.suffix.lower() in MESH_FILES)
        if not files:
            raise InputError(f"{path} has no {' or '.join(MESH_FILES)} files (source {source!r} of the recipe).")
        return tuple(f"file:{p}" for p in files)
    raise InputError(f"No source {source!r};", hint=did_you_mean(source, ("scene", "shapes", "scene:PATH", "folder:PATH")))


@lru_cache(maxsize=256)
def library_asset(reference: str) -> Asset:
    """The asset of a reference with a colon, upright at the origin. Raises `InputError`."""
    kind, _, rest = reference.partition(":")
    if kind == "shape":
        return _shape(*rest.rsplit(":", 1))
    if kind == "scene":
        path, _, name = rest.rpartition("#")
        return replace(_scene(path).asset(name), T_world_asset=Pose.identity())
    if kind == "file":
        return _file(Path(rest))
    raise InputError(f"No asset {reference!r}; a reference starts with shape:, scene: or file:.")


def scaled(asset: Asset, factor: float) -> Asset:
    """The asset `factor` times as large, of the same density; its pose stays."""
    if factor == 1.0:
        return asset
    mesh = [TexturedMesh(vertices=m.vertices * factor, faces=m.faces, uv=m.uv, texture=m.texture) for m in (asset.visual, *asset.hulls)]
    i, mass = asset.inertia, asset.mass_kg
    splat = asset.splat
    return replace(
        asset, visual=mesh[0], hulls=tuple(mesh[1:]), volume_m3=asset.volume_m3 * factor**3,
        mass_kg=Interval(value=mass.value * factor**3, low=mass.low * factor**3, high=mass.high * factor**3, why=mass.why),
        inertia=replace(
            i, center_of_mass=i.center_of_mass * factor, moments=i.moments * factor**5,
            **{k: v * factor ** (1 if k.startswith("center") else 5) for k in _ENDS if (v := getattr(i, k)) is not None},
        ),  # fmt: skip
        splat=None if splat is None else replace(splat, means=splat.means * factor, scales=splat.scales * factor),
    )  # fmt: skip


@lru_cache(maxsize=8)
def _scene(path: str) -> Any:
    from phone2sim.assets.scene import Scene

    return Scene.load(Path(path))


@lru_cache(maxsize=64)
def _shape_hulls(kind: str) -> tuple[TexturedMesh, ...]:
    from phone2sim.assets.hulls import decompose
    from phone2sim.keys import Key
    from phone2sim.sample.catalog import make_object

    s = make_object(kind, Key(0).child(kind)).shape
    return decompose(TexturedMesh(vertices=s.vertices, faces=s.faces).welded()).parts


def _shape(kind: str, seed: str) -> Asset:
    from phone2sim.keys import Key
    from phone2sim.sample.catalog import make_object

    o = make_object(kind, Key(int(seed)).child(kind))
    visual = TexturedMesh(vertices=o.shape.vertices, faces=o.shape.faces, uv=o.shape.uv, texture=o.texture)
    mass = Interval(value=o.mass_kg, low=0.7 * o.mass_kg, high=1.4 * o.mass_kg, why="catalogue")
    return _asset(f"{kind}_{seed}", o.label, visual, _shape_hulls(kind), f"{o.material}_{kind}", mass=mass)


def _file(path: Path) -> Asset:
    import trimesh

    from phone2sim.assets.hulls import decompose

    if not path.is_file():
        raise InputError(f"{path} does not exist.")
    m = TexturedMesh.load_glb(path)
    v = m.vertices.astype(float)
    if path.suffix.lower() == ".glb":
        v = v @ trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0])[:3, :3].T
    size = float(np.ptp(v, axis=0).max())
    if not 0.005 < size < 0.5:
        raise InputError(f"{path} is {size:.3g} m large; clutter is 0.005 to 0.5 m.", hint="Export it in metres.")
    v -= [*(v[:, :2].min(0) + v[:, :2].max(0)) / 2, v[:, 2].min()]
    visual = TexturedMesh(vertices=v, faces=m.faces, uv=m.uv, texture=m.texture)
    name = "".join(c if c.isalnum() else "_" for c in path.stem) or "object"
    name = name if name.isidentifier() else f"object_{name}"
    label = name.rstrip("_0123456789").lower() or "object"
    return _asset(name, label, visual, decompose(_closed(visual)).parts, path.stem)


def _asset(name: str, label: str, visual: TexturedMesh, hulls: tuple[TexturedMesh, ...], words: str, *, mass: Interval | None = None) -> Asset:
    """`words` say what it is and of what it is made."""
    from phone2sim.assets.evidence import physics
    from phone2sim.assets.overrides import Override
    from phone2sim.assets.physics import inertia
    from phone2sim.assets.scene import Asset

    body = _closed(visual)
    found = physics(body, words, Override(), surface_m=0.0, seen=1.0, scale=(1.0, 1.0))
    return Asset(
        name=name, label=label, T_world_asset=Pose.identity(), visual=visual, hulls=hulls, splat=None,
        volume_m3=float(body.volume), mass_kg=mass or found.mass_kg, inertia=inertia(body, mass.value) if mass else found.inertia,
        friction=found.friction, restitution=found.restitution, stiffness_pa=found.stiffness_pa, material=found.material,
    )  # fmt: skip


def _closed(mesh: TexturedMesh) -> Any:
    """The mesh itself where it is closed, else its convex hull."""
    body = mesh.welded()
    return body if body.is_watertight and body.volume > 0 else body.convex_hull
