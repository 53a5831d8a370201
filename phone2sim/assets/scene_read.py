"""Read a scene folder. People edit these files by hand, so whatever is wrong is one line that names the file and the asset."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from phone2sim.assets.mesh import TexturedMesh
from phone2sim.assets.primitives import Primitive
from phone2sim.assets.scene import SCHEMA, Asset, Inertia, Light, PlanarSurface, Scene, SupportSurface, Upright, Wall
from phone2sim.config import read_json
from phone2sim.errors import InputError, Phone2SimError
from phone2sim.intervals import Interval
from phone2sim.poses import Pose
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.splat.cloud import SplatCloud

HINT = "Undo the edit, or build it again: phone2sim assets SCENE --force"


def read_scene(folder: Path) -> Scene:
    """The scene in the folder of `scene.json`. Raises `InputError` for anything missing or malformed in it."""
    path = folder / "scene.json"
    with _reading(path):
        data = read_json(path)
        if data.get("schema") != SCHEMA:
            raise InputError(f"{path} has schema {data.get('schema')}, this version reads {SCHEMA}.")
        names = list(data["assets"])
        supports = tuple(_surface(SupportSurface, s) for s in data["supports"])
        walls = tuple(_surface(Wall, s) for s in data.get("walls", []))  # scenes made before walls were looked for have none
        uprights = tuple(_surface(Upright, s) for s in data.get("uprights", []))
        light = Light(
            direction=_array(data["light"], "direction", (3,)), key_rgb=_array(data["light"], "key_rgb", (3,)),
            ambient_sh=_array(data["light"], "ambient_sh", (9, 3)),
            softness=float(data["light"].get("softness", Light.softness)),  # older scenes do not say
        )  # fmt: skip
        metric, validity, notes = dict(data["metric"]), dict(data["validity"]), tuple(data["notes"])
    mesh = folder / "background" / "mesh.glb"
    with _reading(folder / "cameras.json"):
        cameras = Cameras.load(folder / "cameras.json")
    return Scene(
        cameras=cameras, metric=metric, supports=supports, walls=walls, uprights=uprights, assets=tuple(_asset(folder, n) for n in names),
        background=_splat(folder / "background" / "splat.ply"), background_mesh=_glb(mesh) if mesh.exists() else None,
        light=light, validity=validity, notes=notes,
    )  # fmt: skip


def _asset(scene: Path, name: str) -> Asset:
    folder = scene / name
    path = folder / "asset.json"
    if not path.exists():
        raise InputError(f"{scene}/scene.json lists the asset {name!r}, but {path} does not exist.", hint=HINT)
    with _reading(path, asset=name):
        d = read_json(path)
        mass = Interval.from_json(d["mass_kg"])
        if not mass.low > 0:
            raise InputError(
                f"{path}: {name} weighs {mass.low:g} to {mass.high:g} kg, but a mass must be positive.",
                hint="What you know of it belongs into assets.toml.",
            )
        for key, shape in (("center_of_mass", (3,)), ("inertia", (3, 3))):
            _array(d, key, shape)
        return Asset(
            name=d["name"],
            T_world_asset=Pose.from_json(d["T_world_asset"]),
            visual=_glb(folder / d["visual"]),
            hulls=_hulls(folder, d),
            splat=_splat(folder / d["splat"]) if d["splat"] else None,
            volume_m3=float(d["volume_m3"]),
            mass_kg=mass,
            inertia=Inertia.from_json(d),
            friction=Interval.from_json(d["friction"]),
            restitution=Interval.from_json(d["restitution"]),
            stiffness_pa=Interval.from_json(d["stiffness_pa"]) if d.get("stiffness_pa") else None,
            material=str(d["material"]),
            label=str(d["label"]),
            support=str(d.get("support", "")),
            seen_fraction=float(d["seen_fraction"]),
            notes=tuple(d["notes"]),
        )


S = TypeVar("S", bound=PlanarSurface)


def _surface(kind: type[S], s: dict[str, Any]) -> S:
    outline = np.array(s["outline"], dtype=float)
    if outline.ndim != 2 or outline.shape[1:] != (2,) or len(outline) < 3:
        raise InputError(f"the outline of {s['name']} is not a list of three or more points", hint=HINT)
    return kind(
        name=s["name"], T_world_surface=Pose.from_json(s["T_world_surface"]), outline=outline,
        friction=Interval.from_json(s["friction"]), material=s.get("material", "unknown"),
        thickness_m=s.get("thickness_m"),
    )  # fmt: skip


@contextmanager
def _reading(path: Path, *, asset: str = "") -> Iterator[None]:
    """Whatever goes wrong inside is an `InputError` about `path`, and the asset if there is one."""
    who = f"{path}: {asset}: " if asset else f"{path}: "
    try:
        yield
    except KeyError as e:
        raise InputError(f"{who}{e.args[0]!r} is missing.", hint=HINT) from None
    except FileNotFoundError as e:
        raise InputError(f"{who}{e.filename} does not exist.", hint=HINT) from None
    except Phone2SimError as e:
        if e.message.startswith(str(path)):
            raise
        raise InputError(f"{who}{e.message}", hint=e.hint or HINT) from None
    except (TypeError, ValueError, IndexError, AttributeError) as e:
        raise InputError(f"{who}{str(e).splitlines()[0]}.", hint=HINT) from None


def _array(data: dict[str, Any], key: str, shape: tuple[int, ...]) -> np.ndarray:
    try:
        a = np.array(data[key], dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{key!r} is not an array of numbers.") from None
    if a.shape != shape or not np.isfinite(a).all():
        raise InputError(f"{key!r} must be {' × '.join(str(n) for n in shape)} finite numbers, got shape {a.shape}.")
    return a


def _splat(path: Path) -> SplatCloud:
    if not path.exists():
        raise InputError(f"{path} does not exist.", hint=HINT)
    return SplatCloud.load_ply(path)


def _glb(path: Path) -> TexturedMesh:
    """Raises `InputError` for a picture outside the GLB that is not there; readers would leave it out in silence."""
    if not path.exists():
        raise InputError(f"{path} does not exist.", hint=HINT)
    for name in _pictures(path):
        if not (path.parent / name).exists():
            raise InputError(f"{path.name} has the texture {name}, which is missing.", hint=HINT)
    return TexturedMesh.load_glb(path)


def _pictures(path: Path) -> list[str]:
    """Files that a GLB names as its pictures (glTF 2.0 specification, section "GLB File Format")."""
    head = path.open("rb").read(20)
    if len(head) < 20 or head[:4] != b"glTF":
        return []
    with path.open("rb") as f:
        f.seek(20)
        text = f.read(struct.unpack("<I", head[12:16])[0])
    try:
        images = json.loads(text).get("images", [])
    except (json.JSONDecodeError, UnicodeDecodeError):
        return []
    return [i["uri"] for i in images if "uri" in i and not i["uri"].startswith("data:")]


def _hulls(folder: Path, d: dict[str, Any]) -> tuple[TexturedMesh, ...]:
    """The convex parts; `primitives` has one or null for each of them, and is absent in older scenes."""
    parts = [_obj(folder / h) for h in d["hulls"]]
    told = d.get("primitives") or [None] * len(parts)
    if parts and len(told) != len(parts):
        raise InputError(f"{folder}/asset.json has {len(parts)} hulls but {len(told)} primitives.", hint="Remove the primitives, or build again.")
    return tuple(m if p is None else replace(m, primitive=Primitive.from_json(p)) for m, p in zip(parts, told))


def _obj(path: Path) -> TexturedMesh:
    v, f = [], []
    for i, line in enumerate(path.read_text().splitlines(), start=1):
        parts = line.split()
        try:
            if parts[:1] == ["v"]:
                v.append([float(x) for x in parts[1:4]])
            elif parts[:1] == ["f"]:
                f.append([int(x.split("/")[0]) - 1 for x in parts[1:4]])
        except ValueError:
            raise InputError(f"{path.name}, line {i}: {line.strip()!r} is not OBJ.", hint=HINT) from None
    if len(v) < 4 or len(f) < 4:
        raise InputError(f"{path.name} has {len(v)} vertices and {len(f)} faces; a hull needs four of each.", hint=HINT)
    return TexturedMesh(vertices=np.array(v), faces=np.array(f))
