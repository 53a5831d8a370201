"""Objects lifted out of a reconstruction: clusters on the support become closed, textured bodies with hulls and physics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from phone2sim.assets.backs import Closing, close_back
from phone2sim.assets.carving import slant
from phone2sim.assets.evidence import Looks, Physics, physics
from phone2sim.assets.fairing import faired
from phone2sim.assets.flips import flipped
from phone2sim.assets.hulls import decompose, footed
from phone2sim.assets.labels import label_by_clusters, label_by_solids, label_low
from phone2sim.assets.low import least_height, with_low_parts
from phone2sim.assets.mesh import TexturedMesh
from phone2sim.assets.outline import moved_to_photos
from phone2sim.assets.overrides import Override
from phone2sim.assets.relief import photo_relief
from phone2sim.assets.scene import Asset, PlanarSurface
from phone2sim.assets.segment import Cluster, Rejected, clearance, find_clusters
from phone2sim.assets.segmenters import GeometricSegmenter, Proposals, Segmenter
from phone2sim.assets.solid import Solid, build_solid, close_on_plane, separated, simplify
from phone2sim.assets.support import Support, find_support, region
from phone2sim.assets.texture import bake
from phone2sim.assets.views import View, spread
from phone2sim.assets.walls import walled
from phone2sim.errors import AssetError
from phone2sim.poses import Pose
from phone2sim.progress import abreast, message
from phone2sim.reconstruct.mesh.fusion import Field, fuse
from phone2sim.reconstruct.splat.cloud import SplatCloud

SURFACE = 0.3
"""Voxels that a closed surface is off (1 sigma), the same everywhere."""
BUMP, BUMP_ROUNDS = 1.5, 10
"""Depth errs alike over about so many voxels: what is taken off as a bump, before triangles are simplified, no more than one voxel,"""
CRINKLE, CRINKLE_ROUNDS = 2.0, 2
"""and what simplifying and outlines add, no more than the surface is off."""
THIN = 4 * BUMP
"""A body whose walls are thinner than this [voxels], two sigma of what is averaged over on both sides, keeps its bumps: it would be worn."""
MIN_SEEN = 0.5
"""Least share of a body's surface that two views must have seen: less is a bump grown from badly seen ground."""


@dataclass(frozen=True, kw_only=True)
class Scales:
    """Lengths that every step derives from the capture: the distance it was filmed from and its pixels [m]."""

    distance: float
    """Median distance from the cameras to the support's middle."""
    voxel: float
    """Edge of an object's voxels: about one pixel, and no finer than the surface is known."""
    scene_voxel: float
    """Edge of the whole support's voxels."""

    @classmethod
    def of(cls, views: list[View], distance: float) -> Scales:
        pixel = distance / float(np.median([v.K[0, 0] for v in views]))
        return cls(distance=distance, voxel=max(1.25 * pixel, distance / 450), scene_voxel=max(2.2 * pixel, distance / 300))


@dataclass(frozen=True, kw_only=True)
class Found:
    """What stands on the support."""

    support: Support
    origin: np.ndarray
    """(2,) world position of the support rasters' first cell [m]."""
    cell: float
    """Their cell [m]."""
    clear_m: float
    """Height from which something is not the support."""
    clusters: list[Cluster]
    refused: list[Rejected]
    scales: Scales
    others: tuple[PlanarSurface, ...] = ()
    """Higher supports and walls around it."""
    low_cell: float = 0.0
    """Cell of the raster that `Cluster.low` is on [m]."""
    once: np.ndarray | None = None
    """(h, w) int, where a single picture is all there is: 1 + index of the cluster of each of its pixels."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A support and the fused surface around it."""

    field: Field
    support: Support
    scales: Scales


def see_support(views: list[View]) -> Seen | None:
    """Fuse the depth around the place the cameras look at, z ≈ 0; None where it shows no plane."""
    middle, distance = region(views)
    scales = Scales.of(views, distance)
    half = 0.85 * distance
    low = np.array([middle[0] - half, middle[1] - half, -0.1 * distance])
    high = np.array([middle[0] + half, middle[1] + half, 0.5 * distance])
    field = fuse(views, low, high, voxel=scales.scene_voxel)
    support = find_support(field, middle, search_m=0.03 * distance)
    return None if support is None else Seen(field=field, support=support, scales=scales)


def on_support(
    seen: Seen, views: list[View], *, min_size: float, max_share: float, others: Sequence[PlanarSurface] = ()
) -> Found:
    """Cluster what stands on a support, without what is of the `others` around it. Sizes as in `find_objects`."""
    field, support, distance = seen.field, seen.support, seen.scales.distance
    scales = replace(seen.scales, voxel=max(seen.scales.voxel, 0.7 * support.noise_m))
    clear = clearance(support, field.grid.voxel, 0.011 * distance)
    clusters, refused = find_clusters(
        field, support, views, clear_m=clear, min_size_m=min_size * distance, max_share=max_share, others=others
    )
    cell, most = field.grid.voxel, 3 * least_height(support, field.grid.voxel)
    relief = photo_relief(views, support, origin=field.grid.origin[:2], cell=cell, distance=distance, most_m=most)
    clusters = with_low_parts(clusters, relief, field, support, views, clear_m=clear, min_size_m=min_size * distance)
    return Found(
        support=support, origin=field.grid.origin[:2], cell=field.grid.voxel, clear_m=clear, clusters=clusters,
        refused=refused, scales=scales, others=tuple(others), low_cell=relief.cell,
    )  # fmt: skip


def find_objects(views: list[View], *, min_size: float = 0.02, max_share: float = 0.35) -> Found | None:
    """What stands on the plane the cameras look at, whatever else there is (`everywhere` looks there too); None without one.

    `min_size` is the least height and width relative to the filming distance, `max_share` the largest share of the
    support's area one object may cover.
    """
    seen = see_support(views)
    return None if seen is None else on_support(seen, views, min_size=min_size, max_share=max_share)


@dataclass(frozen=True, kw_only=True)
class Bodies:
    """Closed bodies of the clusters, with the Gaussians and pixels that are theirs."""

    solids: list[Solid]
    labels: np.ndarray
    """(n Gaussians,) int, 0 for the background, else 1 + index into `solids`."""
    masks: np.ndarray
    """(n views, h, w) uint8, the same ids."""
    notes: tuple[str, ...]
    """How the hidden side of each solid was closed, "" where there was none."""


def close_bodies(
    cloud: SplatCloud, found: Found, views: list[View], *, max_views: int, segmenter: Segmenter | None = None
) -> Bodies:
    """Two rounds: masks from the Gaussians near each cluster carve a first body, whose own Gaussians give better masks.

    In both the segmenter (default: geometry alone) has the last word on which Gaussians are whose.
    """
    segmenter = segmenter or GeometricSegmenter()
    level, scales, clear = found.support.surface.height_m, found.scales, found.clear_m
    some = spread(len(views), max_views)
    chosen = [views[i] for i in some]
    grown = 1.5 * clear + 2 * found.cell
    boxes = [c.bounds + [[-grown] * 3, [grown] * 3] for c in found.clusters]
    depth = least_height(found.support, found.cell)
    labels = label_by_clusters(cloud, found.clusters, reach_m=clear + 1.5 * found.cell, level=level, floor_m=0.4 * clear)
    labels = label_low(cloud, labels, [c.low for c in found.clusters], cell=found.low_cell, level=level, depth_m=depth)
    floor_z = level + 0.35 * clear
    masks = segmenter.segment(Proposals(cloud=cloud, labels=labels, boxes=boxes, floor_z=floor_z), chosen).masks
    slants = list(abreast(slant, chosen, "Looking at slopes"))
    solids: list[Solid] = []
    notes: list[str] = []
    low_parts: list[np.ndarray] = []

    def closed(k: int) -> tuple[Solid, str] | AssetError:
        cluster = found.clusters[k]
        low, high = cluster.bounds
        pad, own = 6 * scales.voxel + 0.5 * found.cell, [m == k + 1 for m in masks]
        base = level if cluster.base_m is None else cluster.base_m
        skirt_m = skirt(cluster, scales.voxel, found.support.noise_m)

        def body(low: np.ndarray, high: np.ndarray, closing: Closing | None = None) -> Solid:
            return build_solid(
                low - pad, high + pad, chosen, slants, own, level=base, voxel=scales.voxel, skirt_m=skirt_m, seed=cluster.points,
                others=beside(cluster, found.clusters, low - pad, high + pad), top_m=cluster.top_m, low_parts=cluster.low, cell=found.low_cell,
                behind=None if closing is None else closing.field,
            )  # fmt: skip

        try:
            solid = body(low, high)
            closing = close_back(solid, chosen, slants, own, voxel=scales.voxel, low_m=base + skirt_m)
            if closing is None:
                return solid, ""
            return body(np.minimum(low, closing.bounds[0]), np.maximum(high, closing.bounds[1]), closing), closing.why
        except AssetError as e:
            return e

    every = abreast(closed, range(len(found.clusters)), "Closing bodies")
    for cluster, one in zip(found.clusters, every, strict=True):
        if isinstance(one, AssetError):
            message(f"An object near {cluster.points.mean(0).round(3).tolist()} was left out: {one.message}")
            continue
        solid, why = one
        if seen_share(solid.mesh, chosen, tolerance_m=2.5 * scales.voxel) < MIN_SEEN:
            centre, size = cluster.points.mean(axis=0), np.ptp(cluster.points, axis=0)
            found.refused.append(Rejected(reason="most of its surface was never seen", centre=centre, extents=size))
            continue
        solids.append(solid)
        notes.append(why)
        low_parts.append(cluster.low)
    order = np.argsort([-s.mesh.volume for s in solids], kind="stable")
    solids = [solids[i] for i in order]
    labels = label_by_solids(cloud, solids, reach_m=2.5 * scales.voxel, level=level, floor_m=0.35 * clear)
    labels = label_low(cloud, labels, [low_parts[i] for i in order], cell=found.low_cell, level=level, depth_m=depth)
    boxes = [s.mesh.bounds + [[-grown] * 3, [grown] * 3] for s in solids]
    last = segmenter.segment(Proposals(cloud=cloud, labels=labels, boxes=boxes, floor_z=floor_z), views)
    return Bodies(solids=solids, labels=last.labels, masks=last.masks, notes=tuple(notes[i] for i in order))


def skirt(cluster: Cluster, voxel: float, noise_m: float) -> float:
    """Height [m] below which a body is continued down rather than looked at: the support's noise and the shadow at its foot
    fray what is seen there. Four voxels of something tall; of something low no more than an eighth of it, but above the noise."""
    height = float(np.ptp(cluster.points[:, 2]))
    return max(2 * voxel, 4 * noise_m, min(4 * voxel, height / 8))


def beside(cluster: Cluster, clusters: list[Cluster], low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(n, 3) points of other clusters in the box low–high, without those that stand on this one or it on them."""
    points = [np.zeros((0, 3))]
    for other in clusters:
        stacked = _stands_on(cluster, other) or _stands_on(other, cluster)
        if other is not cluster and not stacked:
            points.append(other.points[((other.points > low) & (other.points < high)).all(axis=1)])
    return np.concatenate(points)


def _stands_on(upper: Cluster, lower: Cluster) -> bool:
    return upper.base_m is not None and upper.base_m == lower.top_m


def seen_share(mesh: Any, views: list[View], *, tolerance_m: float) -> float:
    """Share of a closed mesh's vertices that at least two views see: facing them, and at the depth they render there."""
    step = max(1, len(mesh.vertices) // 3000)
    points, normals = np.asarray(mesh.vertices)[::step], np.asarray(mesh.vertex_normals)[::step]
    count = np.zeros(len(points), int)
    for view in views:
        index, z, inside = view.pixels(points)
        d = view.depth.ravel()[index]
        facing = ((view.centre - points) * normals).sum(axis=1) > 0
        count += inside & facing & (d > 0) & (np.abs(d - z) < tolerance_m + 0.005 * z)
    return float((count >= 2).mean())


def contact_frame(mesh: Any, level: float) -> Pose:
    """T_world_asset: origin at the middle of the contact with the plane z = `level`, z up, x along the longer side.

    The yaw is the one of the smallest rectangle around the body seen from above, in (−45°, 45°]; 0 for round bodies.
    """
    import cv2

    v, f = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    flat = (v[f][:, :, 2] < level + 1e-3).all(axis=1) & (mesh.face_normals[:, 2] < -0.9)
    if flat.any():
        weights = mesh.area_faces[flat]
        centre = (v[f[flat]].mean(axis=1)[:, :2] * weights[:, None]).sum(axis=0) / weights.sum()
    else:
        low = v[v[:, 2] < v[:, 2].min() + 2e-3]
        centre = low[:, :2].mean(axis=0)
    outline = cv2.convexHull(v[:, :2].astype(np.float32))
    _, (w, h), angle = cv2.minAreaRect(outline)
    box_area = (np.ptp(v[:, 0])) * np.ptp(v[:, 1])
    yaw = np.deg2rad((angle + 45) % 90 - 45) if w * h < 0.93 * box_area else 0.0
    return Pose.from_xyz_yaw(np.array([*centre, level]), float(yaw))


def stand(solid: Solid, *, faces: int) -> Any:
    """A simplified `trimesh.Trimesh` of at most `faces` triangles (half more where nothing else closes), exactly flat on the support, watertight also once equal vertices are welded.

    A surface too rough to simplify is taken from a smoother, coarser field. Raises `AssetError` when nothing closes.
    """
    import trimesh

    spare = None
    for coarser in (1.0, 1.5, 2.2, 3.2):
        voxel = coarser * solid.grid.voxel
        raw = trimesh.Trimesh(*solid.surface(coarser), process=False)
        if _thick(raw, voxel):
            raw = faired(raw, radius_m=BUMP * voxel, most_m=voxel, rounds=BUMP_ROUNDS)
        for share in (0.2, 0.3, 0.12):
            most = faces  # closing on the plane adds a few again
            for _ in range(3):
                small = simplify(raw, faces=most, tolerance=share * voxel)
                mesh = flipped(separated(close_on_plane(small.vertices, small.faces, solid.level)), off_m=SURFACE * solid.grid.voxel)
                if not TexturedMesh(vertices=mesh.vertices, faces=mesh.faces).welded().is_watertight or len(mesh.faces) > 1.5 * faces:
                    break
                if len(mesh.faces) <= faces:
                    return mesh
                spare = spare or mesh
                most -= len(mesh.faces) - faces + faces // 20
    if spare is not None:
        return spare
    raise AssetError("An object's surface could not be closed.", hint="Film it from more sides.")


def _thick(mesh: Any, voxel: float) -> bool:
    """Twice the volume over the area is the thickness of a shell or a plate."""
    return bool(2 * mesh.volume / mesh.area > THIN * voxel)


def finish(
    name: str, solid: Solid, cloud: SplatCloud, views: list[View], masks: list[np.ndarray], *, level: float, voxel: float,
    override: Override, faces: int, texture_px: int, concavity: float, hull_faces: int, hull_parts: int,
    scale: tuple[float, float], closed_as: str = "",
    support: str = "unknown", looks: Looks | None = None,
) -> Asset:  # fmt: skip
    """Simplify, fit to the photos, texture, decompose and weigh one body; `cloud` are its own Gaussians in the world frame.

    `closed_as` says how the hidden side of a body seen from one side was closed; such a side is coloured plainly. `support` is
    the material it stands on, `looks` what a classifier makes of it.
    """
    mesh, foot = stand(solid, faces=faces), 4 * voxel
    if len(views) > 1:
        mesh = moved_to_photos(mesh, views, masks, level=solid.level, foot_m=foot, voxel=voxel)
    if _thick(mesh, voxel):
        smooth = faired(mesh, radius_m=CRINKLE * voxel, most_m=SURFACE * voxel, rounds=CRINKLE_ROUNDS, level=solid.level)
        mesh = smooth if TexturedMesh(vertices=smooth.vertices, faces=smooth.faces).welded().is_volume else mesh
    if len(views) > 1:
        mesh = walled(mesh, solid, views, masks, voxel=voxel)
    baked = bake(
        mesh, views, masks, size=texture_px, tolerance_m=5 * voxel, plain_m=4 * voxel if closed_as else None,
        foot_z=solid.level + foot, level=solid.level,
    )  # fmt: skip
    T_world_asset = contact_frame(mesh, solid.level)
    inverse = T_world_asset.inverse()
    closed = mesh.copy()
    closed.vertices = inverse.apply(np.asarray(mesh.vertices))
    visual = TexturedMesh(
        vertices=inverse.apply(baked.mesh.vertices.astype(np.float64)), faces=baked.mesh.faces, uv=baked.mesh.uv,
        texture=baked.mesh.texture,
    )  # fmt: skip
    hulls = decompose(closed, concavity=concavity, max_parts=hull_parts, hull_faces=hull_faces)
    weighed: Physics = physics(
        closed, override.name or override.label or "", override, surface_m=SURFACE * voxel, seen=baked.seen_fraction, scale=scale,
        support=support, looks=looks,
    )  # fmt: skip
    parts, widened = footed(hulls.parts, weighed.inertia.center_of_mass, hull_faces=hull_faces)
    notes = (hulls.said,) if hulls.said else ()
    if widened:
        notes = ("it stood still while it was filmed: a foot under its centre of mass was added to its hull", *notes)
    if closed_as:
        notes = (f"{baked.seen_fraction:.0%} of the surface was seen; {closed_as}", *notes)
    return Asset(
        name=override.name or name, label=override.label or override.name or "object", material=weighed.material, T_world_asset=T_world_asset,
        visual=visual, hulls=parts, splat=cloud.moved(inverse), volume_m3=float(closed.volume), mass_kg=weighed.mass_kg, inertia=weighed.inertia,
        friction=weighed.friction, restitution=weighed.restitution, stiffness_pa=weighed.stiffness_pa, seen_fraction=baked.seen_fraction,
        notes=notes,
    )  # fmt: skip
