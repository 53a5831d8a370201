"""A closed body from fused depth and silhouettes: seen free space and what falls outside the masks is carved away,
what nobody saw stays solid, and the support closes the bottom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from phone2sim.assets.carving import seen_distance, silhouette_distance
from phone2sim.assets.cavity import hollowed
from phone2sim.assets.dish import undercut
from phone2sim.assets.low import low_field
from phone2sim.assets.odd import odd_parts
from phone2sim.assets.pits import filled
from phone2sim.assets.symmetry import Field, Symmetry
from phone2sim.assets.views import View
from phone2sim.errors import AssetError
from phone2sim.reconstruct.mesh.fusion import Grid
from phone2sim.reconstruct.mesh.isosurface import isosurface

SMOOTH = 0.85
"""Width of the smoothing [voxels]: more would dissolve a wall two voxels thick."""
FINE = 4
"""Points between nodes at which a section's outline is measured."""
LEAST_FOOT = 0.12
"""Least area of a foot relative to the lowest section that was seen."""
SURE, SURELY = 0.1, 0.12
"""Share of the views that must vouch for matter where the rest of the body says that there is none: in a part that stands out of it, and
elsewhere, counted less the more slanted they see it."""


@dataclass(frozen=True, kw_only=True)
class Solid:
    """Signed distance of one object on a grid (world frame), negative inside, and its closed surface."""

    grid: Grid
    distance: np.ndarray
    """(shape) float32 [m], truncated."""
    mesh: Any
    """`trimesh.Trimesh`, watertight, world frame [m], flat on the support."""
    level: float
    """Height of the support [m]."""
    emptied: np.ndarray | None = None
    """(shape) bool: its hollow that no camera saw to be empty."""

    def surface(self, coarser: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """Vertices [m] and faces before the cut at the support, from a field smoothed and resampled `coarser` times."""
        from scipy import ndimage

        field = self.distance
        if coarser > 1:
            field = ndimage.zoom(ndimage.gaussian_filter(field, 0.7 * coarser), 1 / coarser, order=1)
        scale = self.grid.voxel * (np.array(self.grid.shape) - 1) / (np.array(field.shape) - 1)
        v, f = isosurface(np.pad(field, 1, constant_values=float(field.max())))
        return self.grid.origin + scale * (v - 1), f

    def signed_distance(self, points: np.ndarray) -> np.ndarray:
        """(n,) [m] by nearest node; large outside of the grid. What a splat has in a hollow that was only inferred is the object's."""
        flat, ok = self.grid.index(points)
        distance = np.where(ok, self.distance.ravel()[flat], 1.0)
        return distance if self.emptied is None else np.where(ok & self.emptied.ravel()[flat], -self.grid.voxel, distance)


def build_solid(
    low: np.ndarray, high: np.ndarray, views: list[View], slants: list[np.ndarray], masks: list[np.ndarray], *, level: float,
    voxel: float, skirt_m: float, seed: np.ndarray, others: np.ndarray | None = None, top_m: float | None = None, low_parts: np.ndarray | None = None,
    cell: float = 0.0, behind: Field | None = None,
) -> Solid:  # fmt: skip
    """The solid inside the box low–high [m] standing on the plane z = `level`; `slants` are `carving.slant` of the views.

    Below `skirt_m` above the plane the field is continued downwards: there the plane's own noise hides the
    object. `seed` (n, 3) are points of the object; the connected body nearest to them is kept. What is nearer to
    `others` (m, 3), points of objects in contact, is theirs, what nobody saw beside them stays within the outline of
    `seed` from above, and what is higher than `top_m` belongs to what stands on it. `low_parts` (k, 3) are surface points on
    cells of edge `cell` that may be lower than the skirt; they reach down to the support. `behind` says how far outside (+) of the
    body world points are that nobody saw; without it all of them are inside.
    """
    low = np.array([*low[:2], level - 4 * voxel])
    grid = Grid.around(low, high, voxel, limit=6_000_000)
    points = grid.points()
    truncation = 4 * grid.voxel
    above = points[:, 2] > level + 0.5 * grid.voxel
    tsdf = np.full(len(points), truncation, np.float32)
    seen_points = points.T[:, above].T
    hull = silhouette_distance(seen_points, views, masks, truncation=truncation)
    fused, count, doubted, weight = seen_distance(seen_points, views, slants, voxel=grid.voxel)
    hidden: Any = -truncation
    if others is not None and len(others):
        own = seed if low_parts is None else np.concatenate([seed, low_parts])
        hidden = np.broadcast_to(beside_outline(grid, own[:, :2])[..., None], grid.shape).ravel()[above] - 0.5 * cell
        hidden = np.clip(hidden, -truncation, truncation)
    known = count >= 2
    if behind is not None:
        beyond = np.clip(behind(seen_points.astype(float)), -truncation, truncation)
        hidden = np.maximum(hidden, beyond)
        outside, matter = (np.zeros(len(points), bool) for _ in range(2))
        outside[above] = beyond > 0
        matter[above] = (fused < 0) & (hull < 0) & (beyond > 0) & (count >= SURE * len(views))
        odd = odd_parts(matter.reshape(grid.shape), outside.reshape(grid.shape)).ravel()[above]
        known &= ~doubted & ((fused >= 0) | (beyond <= 0) | odd | (weight >= SURELY * len(views)))
    tsdf[above] = np.maximum(np.where(known, fused, hidden), hull)
    if others is not None and len(others):
        tsdf[above] = np.maximum(tsdf[above], _theirs(points[above], seed, others, truncation))
    if top_m is not None:
        tsdf[above] = np.maximum(tsdf[above], np.clip(points[above, 2] - top_m, -truncation, truncation))
    full = tsdf.reshape(grid.shape)
    tsdf = hollowed(full, grid, views, level=level, base_m=skirt_m + 2 * grid.voxel)
    emptied = (full < 0) & (tsdf >= 0)
    floor = None
    if low_parts is not None and len(low_parts):
        nodes = points.reshape(*grid.shape, 3)
        just_above = int(np.argmax(nodes[0, 0, :, 2] > level + 0.5 * grid.voxel))
        outline = np.full(len(points), -truncation, np.float32)
        outline[above] = hull
        floor = low_field(
            nodes[:, :, 0, :2], nodes[0, 0, :, 2], low_parts, outline.reshape(grid.shape)[:, :, just_above], cell=cell, outside=truncation
        )
    hollow = np.where(tsdf > full, tsdf, -truncation)
    solid = closed_body(np.minimum(full, tsdf), grid, level=level, skirt_m=skirt_m, seed=seed, truncation=truncation, floor=floor, hollow=hollow)
    field = undercut(filled(solid.distance, grid, views, masks), grid, views, level=level)
    if field is not solid.distance:
        solid = replace(solid, distance=field)
        solid = replace(solid, mesh=close_on_plane(*solid.surface(), level))
    return replace(solid, emptied=emptied if emptied.any() else None)


def beside_outline(grid: Grid, xy: np.ndarray) -> np.ndarray:
    """(nx, ny) float32 [m] distance of the grid's columns outside (+) or inside (−) the convex outline of points (n, 2)."""
    import cv2

    outline = cv2.convexHull(xy.astype(np.float32))
    base = grid.origin[:2] + grid.voxel * np.indices(grid.shape[:2]).transpose(1, 2, 0)
    flat = [-cv2.pointPolygonTest(outline, (float(x), float(y)), True) for x, y in base.reshape(-1, 2)]
    return np.array(flat, np.float32).reshape(grid.shape[:2])


def _theirs(nodes: np.ndarray, own: np.ndarray, others: np.ndarray, truncation: float) -> np.ndarray:
    """(n,) [m] distance past the middle between two sets of surface points, truncated."""
    from scipy.spatial import cKDTree

    mine, theirs = (cKDTree(p).query(nodes)[0] for p in (own, others))
    return np.clip((mine - theirs) / 2, -truncation, truncation).astype(np.float32)


def closed_body(
    field: np.ndarray, grid: Grid, *, level: float, skirt_m: float, seed: np.ndarray, truncation: float, upright: bool = True,
    floor: np.ndarray | None = None, hollow: np.ndarray | None = None,
) -> Solid:  # fmt: skip
    """The connected body nearest to `seed` (n, 3) in a field (nx, ny, nz) that is known above `skirt_m`, cut at the support.

    `upright`: below the skirt a body whose sides stand upright gets the convex outline of its section. `hollow` is a field to
    cut out of it, also lower than the skirt, `floor` one of parts too low for the skirt.
    """
    from scipy import ndimage

    k0 = int(np.ceil((level + skirt_m - grid.origin[2]) / grid.voxel))
    skirt = k0 - int(np.ceil((level - grid.origin[2]) / grid.voxel))
    field = continue_down(field, k0, grid.voxel, upright=upright, skirt=skirt)
    if hollow is not None:
        field = np.maximum(field, hollow)
    if floor is not None:
        field = np.minimum(field, floor)
    for axis in range(2):
        edge = np.moveaxis(field, axis, 0)
        edge[0] = edge[-1] = truncation
    field[:, :, -1] = truncation
    field = ndimage.gaussian_filter(field, SMOOTH)

    labels, n = ndimage.label(field < 0)
    flat, ok = grid.index(seed)
    near = ndimage.grey_dilation(labels, size=(5, 5, 5)).ravel()[flat[ok]]
    votes = np.bincount(near, minlength=n + 1)
    votes[0] = 0
    if votes.max() == 0:
        raise AssetError("An object's surface could not be closed.", hint="Film it from more sides.")
    field = np.where((labels == np.argmax(votes)) | (field >= 0), field, truncation * 0.25).astype(np.float32)
    # Voids that no camera could have seen are filled.
    filled = ndimage.binary_fill_holes(field < 0)
    field = np.where(filled & (field >= 0), -0.25 * grid.voxel, field)
    solid = Solid(grid=grid, distance=field, mesh=None, level=level)
    return replace(solid, mesh=close_on_plane(*solid.surface(), level))


def build_half_seen(
    points: np.ndarray, symmetry: Symmetry, empty: Callable[[np.ndarray], np.ndarray], odd: list[tuple[np.ndarray, float]], *,
    level: float, voxel: float, skirt_m: float,
) -> Solid:  # fmt: skip
    """The solid of visible points (n, 3) [m] seen from one side and standing on z = `level`: what the picture does not
    show empty, of that what the symmetry leaves, inside the outline of the visible points' images from above.

    `empty` maps world points to metres, positive in space seen empty. `odd` are the visible parts that the symmetry
    leaves out, a handle for instance: points (m, 3) and the thickness [m] each part is given behind them.
    """
    from scipy.spatial import cKDTree

    images = symmetry.images(points[:: max(1, len(points) // 4000)])
    rim = 3 * voxel
    low, high = np.percentile(np.concatenate([images, *(p for p, _ in odd)]), [0.1, 99.9], axis=0)
    low, high = np.array([*(low[:2] - 2 * rim), level - 4 * voxel]), np.array([*(high[:2] + 2 * rim), points[:, 2].max() + 2 * rim])
    grid = Grid.around(low, high, voxel, limit=6_000_000)
    nodes = np.asarray(grid.points(), np.float64)
    truncation = 4 * grid.voxel
    beside = beside_outline(grid, images[:, :2]) - 0.5 * grid.voxel
    free = empty(nodes)
    field = np.maximum(symmetry.field(nodes), np.broadcast_to(beside[..., None], grid.shape).ravel())
    for part, thickness in odd:
        distance, _ = cKDTree(part).query(nodes, distance_upper_bound=thickness + truncation)
        field = np.minimum(field, np.minimum(distance, thickness + truncation) - thickness)
    field = np.clip(np.maximum(field, free), -truncation, truncation).astype(np.float32).reshape(grid.shape)
    return closed_body(
        field, grid, level=level, skirt_m=skirt_m, seed=points, truncation=truncation, upright=symmetry.kind != "axis"
    )


def continue_down(field: np.ndarray, k0: int, voxel: float, *, steps: int = 3, upright: bool = True, skirt: int = 0) -> np.ndarray:
    """The field (nx, ny, nz) below layer `k0`, which is `skirt` layers above the support, replaced by how the body goes on there.

    A box goes straight down. What narrows keeps curving in, from a skirt higher up: under an overhang depth and masks take the
    ground in its shadow for the body.
    """
    from scipy import ndimage

    field = field.copy()
    base = ndimage.gaussian_filter(field[:, :, k0], 1.0)
    area, above = float((base < 0).sum()), float((field[:, :, k0 + 2 * steps] < 0).sum())
    if area < 0.8 * above:
        return rounded_off(field, k0, skirt, voxel)
    if upright:  # wrong depth beside the support leaves no notch that the section above lacks
        outline = convex_fill(base < 0)
        for k in range(k0 + 2 * steps - 1, k0 - 1, -1):
            field[:, :, k] = np.where(outline, np.minimum(field[:, :, k], field[:, :, k + 1]), field[:, :, k])
        base = ndimage.gaussian_filter(field[:, :, k0], 1.0)
    out = field.copy()
    out[:, :, :k0] = base[:, :, None]
    return out


def rounded_off(field: np.ndarray, k0: int, skirt: int, voxel: float) -> np.ndarray:
    """The field (nx, ny, nz) of a body that narrows towards the support, `skirt` layers below `k0`, continued from as many above it.

    The area of its level sections goes on as the parabola through those above, which a ball's, an ellipsoid's, a cylinder's and a
    cone's are exactly; their outline is that of the lowest one seen, moved inwards.
    """
    from scipy import ndimage

    area = (field < 0).sum(axis=(0, 1)).astype(float)
    top = int(np.flatnonzero(area)[-1])
    low = min(k0 + skirt, (k0 + top) // 2)
    fine = ndimage.zoom(ndimage.gaussian_filter(field[:, :, low], 0.7), FINE, order=1, grid_mode=True, mode="nearest") < 0
    inside = np.sort(ndimage.distance_transform_edt(fine)[fine])[::-1] / FINE  # [voxels], deepest first
    z = np.arange(low, min(low + max(3 * skirt, 6), top))
    bend, slope, _ = np.polyfit(z - low, area[z] - area[low], 2) if len(z) > 3 else (0.0, 0.0, 0.0)
    depth = low - np.arange(low)
    share = np.minimum.accumulate(np.clip(1 + (bend * depth**2 - slope * depth) / area[low], LEAST_FOOT, 1)[::-1])[::-1]
    inwards = inside[np.minimum((share * len(inside)).astype(int), len(inside) - 1)]
    flat = ndimage.distance_transform_edt(~fine) - ndimage.distance_transform_edt(fine)
    flat = ndimage.zoom(flat, 1 / FINE, order=1, grid_mode=True, mode="nearest") / FINE
    out = field.copy()
    out[:, :, :low] = voxel * (flat[..., None] + inwards)
    return out


def convex_fill(section: np.ndarray) -> np.ndarray:
    """The convex hull of a section (nx, ny) bool, as the same raster."""
    import cv2

    ij = np.argwhere(section).astype(np.int32)
    out = np.zeros(section.shape, np.uint8)
    if len(ij) >= 3:
        cv2.fillConvexPoly(out, cv2.convexHull(ij[:, ::-1].copy()), 1)
    return out.astype(bool)


def close_on_plane(vertices: np.ndarray, faces: np.ndarray, level: float) -> Any:
    """Cut a closed mesh flat at z = `level` and keep its largest body; a `trimesh.Trimesh`."""
    import manifold3d

    body = manifold3d.Manifold(manifold3d.Mesh(np.asarray(vertices, np.float32), np.asarray(faces, np.uint32)))
    if body.status() != manifold3d.Error.NoError:
        raise AssetError(f"An object's surface is not closed ({body.status()}).")
    body = body.trim_by_plane((0.0, 0.0, 1.0), level)
    parts = [p for p in body.decompose() if p.num_tri() > 0]
    if not parts:
        raise AssetError("An object's surface lies below its support.")
    return as_trimesh(max(parts, key=lambda p: p.volume()))


def simplify(mesh: Any, *, faces: int, tolerance: float) -> Any:
    """Fewer triangles, still watertight: the tolerance [m] grows until there are at most `faces`.

    Rough surfaces get stuck with more triangles at a larger tolerance; then it goes on from the fewest so far.
    """
    import manifold3d

    body = manifold3d.Manifold(manifold3d.Mesh(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.uint32)))
    best = body
    for _ in range(12):
        fewer = body.simplify(tolerance)
        best = fewer if fewer.num_tri() <= best.num_tri() else best.simplify(tolerance)
        if best.num_tri() <= faces:
            break
        tolerance *= 1.35
    return as_trimesh(best)


def separated(mesh: Any) -> Any:
    """The mesh with coincident but distinct vertices moved apart by micrometres, so that welding by position is safe."""
    import trimesh

    v = np.array(mesh.vertices)
    _, inverse, counts = np.unique(np.round(v, 6), axis=0, return_inverse=True, return_counts=True)
    inverse = inverse.ravel()
    order = np.argsort(inverse, kind="stable")
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    rank = np.empty(len(v), int)
    rank[order] = np.arange(len(v)) - np.repeat(first, counts)
    again = np.flatnonzero(rank > 0)
    if not len(again):
        return mesh
    # Towards the middle of a vertex's own faces, sideways only, so that a flat bottom stays flat.
    middle = mesh.triangles.mean(axis=1)
    pull = np.zeros_like(v)
    np.add.at(pull, np.asarray(mesh.faces).ravel(), np.repeat(middle, 3, axis=0))
    pull /= np.maximum(np.bincount(np.asarray(mesh.faces).ravel(), minlength=len(v)), 1)[:, None]
    step = pull[again] - v[again]
    step[:, 2] = 0
    step /= np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1e-9)
    v[again] += 4e-6 * rank[again, None] * step
    return trimesh.Trimesh(v, mesh.faces, process=False)


def as_trimesh(body: Any) -> Any:
    """A `manifold3d.Manifold` as `trimesh.Trimesh` with float64 vertices."""
    import trimesh

    m = body.to_mesh()
    return trimesh.Trimesh(np.asarray(m.vert_properties[:, :3], np.float64), np.asarray(m.tri_verts, np.int64), process=False)
