"""A box, cylinder, sphere or capsule that is as good a collision shape as a convex hull: simulators are faster and steadier on those."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from phone2sim.errors import ShapeError
from phone2sim.poses import Pose

KINDS = {"box": 3, "cylinder": 2, "sphere": 1, "capsule": 2}
"""Kinds and how many lengths each has."""
WORSE = 0.04
"""How much less a primitive may overlap the body (intersection over union) than the body's convex hull does: reconstructed
edges are rounder than real ones."""
OFF = 0.05
"""How far the body's surface may be from the primitive's, relative to the body's longest side, for 95% of its area."""


@dataclass(frozen=True, kw_only=True)
class Primitive:
    """A solid in the asset frame."""

    kind: str
    """One of `KINDS`."""
    size_m: tuple[float, ...]
    """Box: half its sides x, y, z. Cylinder: radius, half its height. Sphere: radius. Capsule: radius, half its straight part."""
    T_asset_primitive: Pose
    """Its middle; z is the axis of a cylinder or capsule."""

    def __post_init__(self) -> None:
        if len(self.size_m) != KINDS.get(self.kind, -1) or min(self.size_m) <= 0:
            raise ShapeError(f"Primitive: {self.kind!r} of {list(self.size_m)} is none of {', '.join(KINDS)} with its positive lengths.")

    @property
    def rolls(self) -> bool:
        """Whether it rests on a curved side, so that nothing holds it where it is."""
        lies = abs(self.T_asset_primitive.rotation[2, 2]) < 0.9
        return self.kind in ("sphere", "capsule") or (self.kind == "cylinder" and bool(lies))

    def body(self) -> Any:
        """The solid as `manifold3d.Manifold` in the asset frame, balls with 48 sides around, cylinders with 16: PhysX
        keeps 64 triangles of a hull, and a foot of fewer corners tips at another slope."""
        import manifold3d

        Manifold, s = manifold3d.Manifold, self.size_m
        if self.kind == "box":
            m = Manifold.cube([2 * x for x in s], True)
        elif self.kind == "cylinder":
            m = Manifold.cylinder(2 * s[1], s[0], s[0], 16, True)
        elif self.kind == "sphere":
            m = Manifold.sphere(s[0], 48)
        else:
            ball = Manifold.sphere(s[0], 48)
            m = Manifold.batch_hull([ball.translate((0, 0, s[1])), ball.translate((0, 0, -s[1]))])
        return m.transform(self.T_asset_primitive.matrix[:3])

    def distance(self, points: np.ndarray) -> np.ndarray:
        """(n,) [m] outside (+) or inside (−) of the surface at points (n, 3), asset frame."""
        p, s = self.T_asset_primitive.inverse().apply(points), self.size_m
        if self.kind == "sphere":
            return np.asarray(np.linalg.norm(p, axis=1) - s[0])
        if self.kind == "capsule":
            p = p - np.clip(p[:, 2:], -s[1], s[1]) * [0, 0, 1]
            return np.asarray(np.linalg.norm(p, axis=1) - s[0])
        q = np.abs(p) - s if self.kind == "box" else np.column_stack([np.hypot(p[:, 0], p[:, 1]) - s[0], np.abs(p[:, 2]) - s[1]])
        return np.asarray(np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0))

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "size_m": list(self.size_m), "T_asset_primitive": self.T_asset_primitive.to_json()}

    @classmethod
    def from_json(cls, d: dict[str, Any]) -> Primitive:
        return cls(kind=d["kind"], size_m=tuple(d["size_m"]), T_asset_primitive=Pose.from_json(d["T_asset_primitive"]))


def fit_primitive(mesh: Any) -> Primitive | None:
    """The primitive that overlaps a closed `trimesh.Trimesh` (asset frame, on z = 0) best; None when its hull is clearly better.

    Sizes are those of the solid with the same second moments or volume, and its middle's height over the lowest point.
    """
    import manifold3d

    body = manifold3d.Manifold(manifold3d.Mesh(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.uint32)))
    if body.status() != manifold3d.Error.NoError or body.volume() <= 0:
        return None
    area = np.asarray(mesh.area_faces)
    hull = float(mesh.volume / mesh.convex_hull.volume)
    best: tuple[float, Primitive] | None = None
    for p in _candidates(mesh):
        solid = p.body()
        both = (body ^ solid).volume()
        overlap = both / (body.volume() + solid.volume() - both)
        gap = np.abs(p.distance(np.asarray(mesh.triangles_center)))
        order = np.argsort(gap)
        off = float(gap[order][np.searchsorted(area[order].cumsum(), 0.95 * area.sum())])
        if overlap >= hull - WORSE and off <= OFF * float(np.max(mesh.extents)) and (best is None or overlap > best[0]):
            best = overlap, p
    return None if best is None else best[1]


def _candidates(mesh: Any) -> list[Primitive]:
    """Upright ones about the vertical, lying ones along the longest direction, and a sphere."""
    c, low = np.asarray(mesh.center_mass), float(mesh.vertices[:, 2].min())
    moments = np.asarray(mesh.moment_inertia) / mesh.volume  # of unit density: tr/2 − I is the covariance
    spread = 0.5 * np.trace(moments) * np.eye(3) - moments
    half = float(c[2] - low)  # a uniform solid's middle is at half its height
    out = []
    var, axes = np.linalg.eigh(spread[:2, :2])
    for yaw in (0.0, float(np.arctan2(axes[1, 1], axes[0, 1]))):
        x, y = np.array([np.cos(yaw), np.sin(yaw)]), np.array([-np.sin(yaw), np.cos(yaw)])
        sides = [float(np.sqrt(3 * d @ spread[:2, :2] @ d)) for d in (x, y)]
        out.append(_at("box", (*sides, half), c, yaw=yaw))
    radius = float(np.sqrt(2 * var.sum()))
    out.append(_at("cylinder", (radius, half), c))
    ball = float(np.cbrt(3 * mesh.volume / (4 * np.pi)))
    out.append(_at("sphere", (ball,), [c[0], c[1], low + ball]))
    radii = np.linspace(0.02, 1, 400) * half
    volumes = np.pi * radii**2 * 2 * (half - radii) + 4 / 3 * np.pi * radii**3
    r = float(np.interp(mesh.volume, volumes, radii))
    if r < 0.95 * half:
        out.append(_at("capsule", (r, half - r), c))
    along = np.array([*axes[:, 1], 0.0])
    lying = np.column_stack([[0, 0, -1.0], np.cross(along, [0, 0, -1.0]), along])
    for kind, share, ends in (("cylinder", 0.25, 0.0), ("capsule", 0.24, 2 / 3)):  # of r² that the spread across is
        r = float(np.sqrt(var[0] / share))
        length = float(mesh.volume / (2 * np.pi * r**2)) - ends * r
        if length > 0.5 * r:
            out.append(_at(kind, (r, length), [c[0], c[1], low + r], R=lying))
    return out


def _at(kind: str, size: tuple[float, ...], middle: Any, *, yaw: float = 0.0, R: np.ndarray | None = None) -> Primitive:
    T = Pose.from_xyz_yaw(np.asarray(middle, float), yaw)
    if R is not None:
        T_matrix = np.eye(4)
        T_matrix[:3, :3], T_matrix[:3, 3] = R, middle
        T = Pose.from_matrix(T_matrix)
    return Primitive(kind=kind, size_m=size, T_asset_primitive=T)
