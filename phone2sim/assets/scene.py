"""`Scene` and `Asset`: the twin as data. `Scene.load(folder)` reads everything later stages need."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.assets.mesh import TexturedMesh
from phone2sim.config import write_json
from phone2sim.errors import InputError, ShapeError, did_you_mean
from phone2sim.intervals import Interval
from phone2sim.poses import Pose
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.splat.cloud import SplatCloud

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Inertia:
    """Rigid-body inertia for the mass posterior's value: about the centre of mass, in the asset frame."""

    center_of_mass: np.ndarray
    """(3,) [m]."""
    moments: np.ndarray
    """(3, 3) [kg m²], symmetric, about the centre of mass."""
    center_low: np.ndarray | None = None
    """(3,) [m] lowest and highest believed, by axis; None where it is not known how far off it may be."""
    center_high: np.ndarray | None = None
    moments_low: np.ndarray | None = None
    """(3, 3) [kg m²] lowest and highest believed, by element, the mass's own interval included."""
    moments_high: np.ndarray | None = None
    why: str = ""
    """What the interval rests on."""

    def posterior(self) -> dict[str, Any]:
        """`{center_of_mass: {low, high, why}, inertia: {low, high, why}}`, both empty where nothing is known of them."""
        if self.center_low is None or self.center_high is None or self.moments_low is None or self.moments_high is None:
            return {}
        rows = {"center_of_mass": (self.center_low, self.center_high), "inertia": (self.moments_low, self.moments_high)}
        return {k: {"low": low.tolist(), "high": high.tolist(), "why": self.why} for k, (low, high) in rows.items()}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Inertia:
        """Of an asset's description, as `asset_json` writes it."""
        known = row.get("posterior") or {}
        center, moments = known.get("center_of_mass", {}), known.get("inertia", {})
        ends = {"center_low": center, "center_high": center, "moments_low": moments, "moments_high": moments}
        return cls(
            center_of_mass=np.array(row["center_of_mass"]), moments=np.array(row["inertia"]), why=moments.get("why", ""),
            **{k: np.array(v[k.split("_")[1]]) for k, v in ends.items() if v},
        )  # fmt: skip

    def principal(self) -> tuple[np.ndarray, np.ndarray]:
        """Principal moments (3,) [kg m²] ascending, and quaternion wxyz (4,): asset frame from principal axes."""
        from phone2sim.poses import matrix_to_quat

        w, R = np.linalg.eigh(self.moments)
        if np.linalg.det(R) < 0:
            R[:, 0] *= -1
        q = matrix_to_quat(R)
        return w, q if q[0] >= 0 else -q


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One movable object. Asset frame: origin at the centre of the contact footprint, z up, metres."""

    name: str
    """Unique in the scene; letters, digits and underscore (a valid USD prim and MJCF name)."""
    T_world_asset: Pose
    """Captured pose."""
    visual: TexturedMesh
    """Watertight, textured."""
    hulls: tuple[TexturedMesh, ...]
    """Convex parts for collision, without texture."""
    splat: SplatCloud | None
    """Its own Gaussians in the asset frame, or None."""
    volume_m3: float
    mass_kg: Interval
    inertia: Inertia
    """For `mass_kg.value`; scales linearly with mass."""
    friction: Interval
    """Coulomb friction coefficient against the support."""
    restitution: Interval
    stiffness_pa: Interval | None = None
    """Young's modulus of the material [Pa]."""
    material: str = "unknown"
    label: str = "object"
    """Class name for semantics and language."""
    support: str = ""
    """Name of the surface it was captured on; empty for the scene's first."""
    seen_fraction: float = 1.0
    """Share of the surface that some camera saw."""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ShapeError(f"Asset.name: {self.name!r} must be letters, digits and underscores.")
        if not self.hulls:
            raise ShapeError(f"Asset {self.name}: needs at least one convex hull.")

    @property
    def extents_m(self) -> np.ndarray:
        """(3,) size of the visual mesh's axis-aligned box in the asset frame [m]."""
        b = self.visual.bounds
        return b[1] - b[0]


@dataclass(frozen=True, kw_only=True)
class PlanarSurface:
    """A flat part of the static world: z of its own frame is the outward normal, the outline lies in its xy plane."""

    name: str
    T_world_surface: Pose
    outline: np.ndarray
    """(k, 2) convex outline in the surface frame, counter-clockwise [m]: where it was actually seen."""
    friction: Interval = field(default_factory=lambda: Interval(value=0.6, low=0.3, high=0.9, why="unknown surface"))
    material: str = "unknown"
    thickness_m: float | None = None
    """Of what it is the front of; None where nobody saw how thick that is."""

    def beside(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far world points (n, 3) lie before the surface, and how far inside its outline: two (n,) [m]."""
        local = self.T_world_surface.inverse().apply(np.asarray(points, float))
        edge = np.roll(self.outline, -1, axis=0) - self.outline
        inward = np.stack([-edge[:, 1], edge[:, 0]], axis=1) / np.maximum(np.linalg.norm(edge, axis=1, keepdims=True), 1e-12)
        inside = np.full(len(local), np.inf)
        for corner, n in zip(self.outline, inward):
            inside = np.minimum(inside, (local[:, :2] - corner) @ n)
        return local[:, 2], inside


@dataclass(frozen=True, kw_only=True)
class SupportSurface(PlanarSurface):
    """A horizontal surface that things stand on: a table, a shelf board, the floor."""

    @property
    def height_m(self) -> float:
        return float(self.T_world_surface.translation[2])


@dataclass(frozen=True, kw_only=True)
class Wall(PlanarSurface):
    """An upright surface: things bump into it, nothing stands on it. y of its frame points up."""


@dataclass(frozen=True, kw_only=True)
class Upright(PlanarSurface):
    """Something solid that stays: the front of a shelf's side, a leg or a post (y of its frame up), or the top of an object that is not to
    move (z up). A prism of known thickness that things bump into."""

    def corners(self) -> np.ndarray:
        """(2k, 3) corners of the prism in the world [m]."""
        front = np.c_[self.outline, np.zeros(len(self.outline))]
        return self.T_world_surface.apply(np.concatenate([front, front - [0, 0, self.thickness_m or 0.0]]))


@dataclass(frozen=True, kw_only=True)
class Light:
    """Captured light: one directional key and second-order SH irradiance (Ramamoorthi & Hanrahan 2001)."""

    direction: np.ndarray
    """(3,) unit vector along which the key light travels (pointing down for a ceiling lamp), world frame."""
    key_rgb: np.ndarray
    """(3,) linear irradiance of the key on a surface facing it, relative to albedo 1 = white."""
    ambient_sh: np.ndarray
    """(9, 3) irradiance SH, real, order l m = 00, 1-1, 10, 11, 2-2 … 22; `E(n) = Σ c_i Y_i(n)`."""
    softness: float = 0.06
    """Tangent of the half angle that the key is seen under, a lamp's radius over its distance: how fast shadows grow soft."""

    @classmethod
    def default(cls) -> Light:
        sh = np.zeros((9, 3))
        sh[0] = 0.55 / 0.282095
        sh[2] = 0.12 / 0.488603
        d = np.array([0.3, 0.4, -1.0])
        return cls(direction=d / np.linalg.norm(d), key_rgb=np.array([0.5, 0.48, 0.45]), ambient_sh=sh)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Background + support surfaces + placed assets + captured light, metric and z up."""

    cameras: Cameras
    metric: dict[str, Any]
    """Scale and up with intervals and the evidence, as in `cameras/metric.json`."""
    supports: tuple[SupportSurface, ...]
    """The main one first, the one that was filmed; empty for a background-only scene."""
    assets: tuple[Asset, ...]
    background: SplatCloud
    """Splats of everything that does not move, with the uncovered table filled in."""
    background_mesh: TexturedMesh | None
    light: Light = field(default_factory=Light.default)
    validity: dict[str, Any] = field(default_factory=dict)
    """Where novel views are supported, around the main support's middle: `{"center": [3], "radius_m": [lo, hi],
    "elevation_rad": [lo, hi], "azimuth_rad": [lo, hi], "map": …}`, the shell that holds all supported views and the map by
    direction and distance (`assets.validity.validity_of` reads it); empty when unknown."""
    walls: tuple[Wall, ...] = ()
    uprights: tuple[Upright, ...] = ()
    """What carries the supports, and objects that are not to move."""
    notes: tuple[str, ...] = ()

    @property
    def surfaces(self) -> tuple[PlanarSurface, ...]:
        """Everything static that physics knows of: supports, walls, then what stands there for good."""
        return (*self.supports, *self.walls, *self.uprights)

    def support_of(self, asset: Asset) -> SupportSurface:
        """The surface it was captured on. Raises `InputError` when the scene has none of that name."""
        for s in self.supports:
            if asset.support in ("", s.name):
                return s
        raise InputError(
            f"{asset.name} stands on {asset.support!r}, which is no support of the scene;",
            hint=did_you_mean(asset.support, [s.name for s in self.supports]),
        )

    def asset(self, name: str) -> Asset:
        """The asset of that name, or of the library (`assets.library`: `shape:can:3`); `@1.1` behind it is a size factor."""
        from phone2sim.assets.library import library_asset, scaled

        base, _, factor = name.rpartition("@") if "@" in name else (name, "", "1")
        if ":" in base:
            return scaled(library_asset(base), float(factor))
        for a in self.assets:
            if a.name == base:
                return scaled(a, float(factor))
        raise InputError(f"No asset {name!r} in the scene;", hint=did_you_mean(name, [a.name for a in self.assets]))

    def save(self, folder: Path) -> None:
        """Write `scene.json`, a folder per asset, and `background/` into an empty or existing folder."""
        rows = []
        for a in self.assets:
            d = folder / a.name
            a.visual.save_glb(d / "visual.glb")
            for i, hull in enumerate(a.hulls):
                _write_obj(d / "hulls" / f"hull_{i:03d}.obj", hull)
            if a.splat is not None:
                a.splat.save_ply(d / "splat.ply")
            row = asset_json(a)
            write_json(d / "asset.json", row)
            rows.append(row)
        self.background.save_ply(folder / "background" / "splat.ply")
        if self.background_mesh is not None:
            self.background_mesh.save_glb(folder / "background" / "mesh.glb")
        self.cameras.save(folder / "cameras.json", ply="../cameras/points.ply")
        write_json(
            folder / "scene.json",
            {
                "schema": SCHEMA,
                "metric": self.metric,
                "supports": [surface_json(s) for s in self.supports],
                "walls": [surface_json(w) for w in self.walls],
                "uprights": [surface_json(u) for u in self.uprights],
                "assets": [r["name"] for r in rows],
                "light": {
                    "direction": self.light.direction.tolist(),
                    "key_rgb": self.light.key_rgb.tolist(),
                    "ambient_sh": self.light.ambient_sh.tolist(),
                    "softness": self.light.softness,
                },
                "validity": self.validity,
                "notes": list(self.notes),
            },
        )

    @classmethod
    def load(cls, folder: Path) -> Scene:
        """Read a scene folder: the one with `scene.json`, or its parent."""
        from phone2sim.assets.scene_read import read_scene

        if not (folder / "scene.json").exists() and (folder / "scene" / "scene.json").exists():
            folder = folder / "scene"
        if not (folder / "scene.json").exists():
            raise InputError(f"{folder} is not a scene (no scene.json).", hint="Make one: phone2sim build CAPTURE -o SCENE")
        return read_scene(folder)


def surface_json(s: PlanarSurface) -> dict[str, Any]:
    return {
        "name": s.name,
        "T_world_surface": s.T_world_surface.to_json(),
        "outline": s.outline.tolist(),
        "friction": s.friction.to_json(),
        "material": s.material,
        **({} if s.thickness_m is None else {"thickness_m": s.thickness_m}),
    }


def asset_json(a: Asset) -> dict[str, Any]:
    """The public description of an asset, as in `asset.json` and `build --json`; paths relative to its folder."""
    return {
        "name": a.name,
        "label": a.label,
        "material": a.material,
        "mass_kg": a.mass_kg.to_json(),
        "friction": a.friction.to_json(),
        "restitution": a.restitution.to_json(),
        "stiffness_pa": a.stiffness_pa.to_json() if a.stiffness_pa is not None else None,
        "volume_m3": a.volume_m3,
        "extents_m": [float(x) for x in a.extents_m],
        "center_of_mass": a.inertia.center_of_mass.tolist(),
        "inertia": a.inertia.moments.tolist(),
        "posterior": a.inertia.posterior(),
        "T_world_asset": a.T_world_asset.to_json(),
        "support": a.support,
        "seen_fraction": a.seen_fraction,
        "visual": "visual.glb",
        "hulls": [f"hulls/hull_{i:03d}.obj" for i in range(len(a.hulls))],
        "primitives": [None if h.primitive is None else h.primitive.to_json() for h in a.hulls],
        "splat": "splat.ply" if a.splat is not None else None,
        "notes": list(a.notes),
    }


def _write_obj(path: Path, mesh: TexturedMesh) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in mesh.vertices.tolist()]
    lines += [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in mesh.faces.tolist()]
    path.write_text("\n".join(lines) + "\n")
