"""The scene without its objects: their Gaussians and everything hanging over the support taken out, the table filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from phone2sim.assets.deshade import ShadowLift, without_shadows
from phone2sim.assets.everywhere import Everywhere
from phone2sim.assets.hidden import behind
from phone2sim.assets.inpaint import fill_by_pieces
from phone2sim.assets.lift import Bodies, Found
from phone2sim.assets.mesh import TexturedMesh
from phone2sim.assets.scene import PlanarSurface
from phone2sim.assets.solid import Solid
from phone2sim.assets.statics import on_others
from phone2sim.assets.support import Support
from phone2sim.assets.texture import blend
from phone2sim.assets.views import View
from phone2sim.poses import quat_to_matrix
from phone2sim.reconstruct.splat.cloud import SH_C0, SplatCloud

SHADED = 0.02
"""Depth of a shadow from which the ground is painted anew."""
SPACING = 2.0
"""Spacing of the painted ground, in pixels of the photos on it: finer Gaussians overlap so much that they blur it (-1.5 dB at 1.0)."""
FINEST_M = 0.0008
"""The same, at least [m]."""
PIECE_M = 0.009
"""Half the side of the squares that ground which no photo shows is put together from."""
RING = 1.4
"""Ground beside an object that is more than this factor darker, brighter or otherwise coloured than farther out is not the ground's."""


def clear_background(
    cloud: SplatCloud, there: Everywhere, bodies: Bodies, grounds: list[Found], removed: list[int], views: list[View],
    masks: np.ndarray, lifts: Mapping[str, ShadowLift],
) -> SplatCloud:  # fmt: skip
    """The cloud without the objects `removed` (ids of `bodies`, which stand on `grounds`) and their shadows, without what hangs
    over the main support, ground filled in. `lifts` are the shadows on each support, by name."""
    main = there.founds[0]
    stays = (bodies.labels > 0) & ~np.isin(bodies.labels, removed)
    drop = np.isin(bodies.labels, removed)
    patches: list[SplatCloud] = []
    for found in there.founds:
        level, clear = found.support.surface.height_m, found.clear_m
        mine = [k for k in removed if grounds[k - 1] is found]
        solids = [bodies.solids[k - 1] for k in mine]
        loose = hanging(cloud, found.support, origin=found.origin, cell=found.cell, clear_m=0.6 * clear, top_m=0.7 * found.scales.distance)
        if found is not main:  # furniture stands on others: only what is left of their objects goes
            loose &= _around(cloud.means, [s.mesh.bounds for s in solids], 2.2 * clear)
        elif found.others:
            loose &= ~np.logical_or(*on_others(cloud.means, found.others, near_m=clear))
        loose &= ~_around(cloud.means, [np.stack([r.centre - r.extents / 2, r.centre + r.extents / 2]) for r in found.refused], clear)
        drop |= loose & ~stays
        if not mine:
            continue
        spacing = painted_m(views, found.scales.distance)
        patch, origin, zone, core = fill_ground(
            solids, found.support, views, [np.isin(m, removed) for m in masks], spacing=spacing, margin=2.2 * clear,
            lift=lifts.get(found.support.surface.name), hidden=found.once is not None,
        )  # fmt: skip
        under = over_zone(cloud, origin, zone, spacing, low=level - 2 * clear, high=level + 2 * clear)
        under |= reaching(cloud, origin, core, spacing, low=level - 3 * clear, high=level + 2 * clear)
        drop |= under & ~stays
        patches.append(patch)
    rest = cloud.take(~drop)
    if not patches:
        return rest
    for s in there.supports:
        rest = without_shadows(rest, lifts[s.name], s.height_m) if s.name in lifts else rest
    kept = [rest, *patches]
    if main.once is not None:
        kept.append(behind(main, views[0], np.isin(masks[0], removed)))
    return SplatCloud.concatenate(kept)


def _around(points: np.ndarray, boxes: list[np.ndarray], pad: float) -> np.ndarray:
    """(n,) bool: points (n, 3) in one of the boxes (2, 3) grown by `pad` [m]."""
    out = np.zeros(len(points), bool)
    for low, high in boxes:
        out |= ((points > low - pad) & (points < high + pad)).all(axis=1)
    return out


def columns(solids: list[Solid], low: np.ndarray, shape: tuple[int, int], spacing: float, *, top_m: float | None = None) -> np.ndarray:
    """(nx, ny) bool: ground cells of `spacing` [m] from `low` (2,) that lie under the solids, up to a height [m]."""
    out = np.zeros(shape, bool)
    for s in solids:
        inside = s.distance < 0
        if top_m is not None:
            inside = inside[:, :, : max(1, int(top_m / s.grid.voxel) + 4)]
        x, y = (low[a] + spacing * np.arange(shape[a]) for a in range(2))
        p = np.round((x - s.grid.origin[0]) / s.grid.voxel).astype(int)
        q = np.round((y - s.grid.origin[1]) / s.grid.voxel).astype(int)
        nx, ny = s.grid.shape[:2]
        a, b = np.flatnonzero((p >= 0) & (p < nx)), np.flatnonzero((q >= 0) & (q < ny))
        ground: Any = inside.any(axis=2)
        out[np.ix_(a, b)] |= ground[np.ix_(p[a], q[b])]
    return out


def painted_m(views: list[View], distance_m: float) -> float:
    """Spacing [m] of the Gaussians that ground seen by the views from `distance_m` is painted with."""
    return max(SPACING * distance_m / float(np.median([v.K[0, 0] * v.photo.shape[1] / v.depth.shape[1] for v in views])), FINEST_M)


def fill_ground(
    solids: list[Solid], support: Support, views: list[View], covered: list[np.ndarray], *, spacing: float, margin: float,
    lift: ShadowLift | None = None, hidden: bool = False,
) -> tuple[SplatCloud, np.ndarray, np.ndarray, np.ndarray]:
    """New flat Gaussians for the ground under and right around the solids.

    Returns the cloud, the origin (2,) of its raster, and the zone it covers and its core as (nx, ny) bool. Ground that photos show bare, also
    where objects cast shadows, takes their colour, without the shadows in `lift` and around the feet; what none shows is filled from elsewhere on the support. With `hidden` the zone also
    has all ground of the support that something nearer hides in every view.
    """
    import cv2
    from scipy import ndimage

    level = support.surface.height_m
    outline = support.surface.outline + support.surface.T_world_surface.translation[:2]
    low = np.maximum(outline.min(axis=0), np.min([s.mesh.bounds[0, :2] for s in solids], axis=0) - 0.25)
    high = np.minimum(outline.max(axis=0), np.max([s.mesh.bounds[1, :2] for s in solids], axis=0) + 0.25)
    nx, ny = (int(n) for n in np.ceil((high - low) / spacing) + 1)
    under = columns(solids, low, (nx, ny), spacing)
    zone = np.asarray(ndimage.distance_transform_edt(~under)) * spacing <= margin
    ij = np.stack(np.unravel_index(np.arange(nx * ny), (nx, ny)), axis=1)
    points = np.column_stack([low + spacing * ij, np.full(len(ij), level)]).astype(np.float32)
    up = np.tile(np.array([0, 0, 1], np.float32), (len(points), 1))
    bare = [~cv2.dilate(c.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool) for c in covered]
    if hidden:
        zone |= np.asarray(ndimage.binary_dilation(_hidden(points, views, outline).reshape(nx, ny), iterations=3))
    if lift is not None:
        zone |= lift.at(points[:, :2]).reshape(nx, ny) > SHADED
    color, weight = blend(points, up, views, bare, tolerance_m=0.008, best=5)
    if lift is not None:
        color = 255 * lift.brightened(color / 255, points[:, :2])
    picture = np.clip(color + 0.5, 0, 255).astype(np.uint8).reshape(nx, ny, 3)
    known = (weight > 0).reshape(nx, ny)
    feet = [columns([x], low, (nx, ny), spacing, top_m=0.02) for x in solids]
    picture, sure = evened(picture, known, feet, spacing=spacing, reach_m=margin)
    half = 9 if hidden else max(3, round(PIECE_M / spacing))
    filled = fill_by_pieces(picture, known & sure, zone & ~(known & sure), half=half)
    i, j = np.nonzero(zone)
    n = len(i)
    flat = SplatCloud(
        means=np.column_stack([low[0] + spacing * i, low[1] + spacing * j, np.full(n, level)]),
        quats_wxyz=np.tile([1.0, 0, 0, 0], (n, 1)), scales=np.tile([0.55 * spacing, 0.55 * spacing, 4e-4], (n, 1)),
        opacities=np.full(n, 0.97), sh=((filled[i, j] / 255.0 - 0.5) / SH_C0)[:, None],
    )  # fmt: skip
    core = np.asarray(ndimage.distance_transform_edt(~under)) * spacing <= 0.4 * margin
    return flat, low, zone, core


def evened(
    picture: np.ndarray, known: np.ndarray, feet: list[np.ndarray], *, spacing: float, reach_m: float, least: int = 40
) -> tuple[np.ndarray, np.ndarray]:
    """`picture` (nx, ny, 3) uint8 without the rings that objects leave on the ground: light kept off it around their `feet`
    (nx, ny) bool each, a cast shadow's edge, colours of the object itself. And (nx, ny) bool: where that is to be trusted.

    Such rings go with the distance to the feet, whatever the ground's own pattern: their profile, the median colour at a
    distance over that beyond `reach_m`, is divided out. Nearer than where a channel is off by more than `RING`, and where only
    specks or the rim of what is hidden were seen, nothing is trusted.
    """
    from scipy import ndimage

    from phone2sim._native.mesh import srgb_to_linear
    from phone2sim.assets.deshade import linear_to_srgb

    linear = srgb_to_linear(picture.astype(np.float32) / 255)
    away = np.stack([spacing * (ndimage.distance_transform_edt(~f) - ndimage.distance_transform_edt(f)) for f in feet])
    whose, nearest = away.argmin(axis=0), away.min(axis=0)
    factor = np.ones(linear.shape)
    core = np.asarray(ndimage.binary_dilation(ndimage.binary_erosion(known, iterations=2)))
    sure = (nearest > reach_m) | (core & known)
    step = 1.5 * spacing
    bins = np.floor(nearest / step).astype(int)
    for k in range(len(feet)):
        beyond = known & (whose == k) & (nearest > reach_m) & (nearest < 2.5 * reach_m)
        if beyond.sum() < 4 * least:
            continue
        normal = np.median(linear[beyond], axis=0)
        mine = known & (whose == k) & (nearest <= reach_m)
        levels = [b for b in np.unique(bins[mine]) if (mine & (bins == b)).sum() >= least]
        if not levels:
            continue
        gain = np.array([normal / np.maximum(np.median(linear[mine & (bins == b)], axis=0), 1e-4) for b in levels])
        off = [b for b, g in zip(levels, gain) if max(g.max(), 1 / g.min()) > RING]
        if off:
            sure &= ~(mine & (bins <= max(off) + 1))
        at, end = step * (np.array(levels) + 0.5), max(reach_m, step * (levels[-1] + 0.5)) + step
        for c in range(3):
            soft = ndimage.gaussian_filter1d(np.clip(gain[:, c], 1 / RING, RING), 1.0, mode="nearest")
            factor[mine, c] = np.interp(nearest[mine], [*at, end], [*soft, 1.0])
    evener = linear_to_srgb(np.clip(linear * factor, 0, 1))
    return np.clip(evener * 255 + 0.5, 0, 255).astype(np.uint8), sure


def _hidden(points: np.ndarray, views: list[View], outline: np.ndarray) -> np.ndarray:
    """(n,) bool: ground points (n, 3) inside the outline (k, 2) and some picture that something nearer hides in all of these."""
    import cv2

    rim = outline.astype(np.float32)[:, None]
    out = np.zeros(len(points), bool)
    shown = np.zeros(len(points), bool)
    for view in views:
        index, z, inside = view.pixels(points)
        d = view.depth.ravel()[index]
        behind = inside & (d > 0) & (d < z - 0.006)
        out |= behind
        shown |= inside & ~behind
    rows = np.flatnonzero(out & ~shown)
    out[:] = False
    out[rows] = [cv2.pointPolygonTest(rim, (float(x), float(y)), False) >= 0 for x, y in points[rows, :2]]
    return out


def hanging(cloud: SplatCloud, support: Support, *, origin: np.ndarray, cell: float, clear_m: float, top_m: float) -> np.ndarray:
    """(n,) bool: Gaussians that hang over the support without belonging to anything, or stick out of it.

    `origin` (2,) and `cell` [m] place the support's `inside` raster.
    """
    level = support.surface.height_m
    ij = np.round((cloud.means[:, :2] - origin) / cell).astype(int)
    ok = ((ij >= 0) & (ij < support.inside.shape)).all(axis=1)
    inside = ok.copy()
    inside[ok] = support.inside[ij[ok, 0], ij[ok, 1]]
    z = cloud.means[:, 2] - level
    R = quat_to_matrix(cloud.quats_wxyz)
    sigma_z = np.sqrt(((R[:, 2] * cloud.scales) ** 2).sum(axis=1))
    return inside & (((z > clear_m) & (z < top_m)) | ((z > -clear_m) & (z <= clear_m) & (z + 2 * sigma_z > 3 * clear_m)))


def over_zone(cloud: SplatCloud, origin: np.ndarray, zone: np.ndarray, spacing: float, *, low: float, high: float) -> np.ndarray:
    """(n,) bool: Gaussians whose centre lies in the column of the zone between heights low and high [m]."""
    ij = np.round((cloud.means[:, :2] - origin) / spacing).astype(int)
    ok = ((ij >= 0) & (ij < zone.shape)).all(axis=1)
    ok[ok] = zone[ij[ok, 0], ij[ok, 1]]
    return ok & (cloud.means[:, 2] > low) & (cloud.means[:, 2] < high)


def reaching(cloud: SplatCloud, origin: np.ndarray, zone: np.ndarray, spacing: float, *, low: float, high: float) -> np.ndarray:
    """(n,) bool: Gaussians near the ground whose long axis (2 sigma) ends in the zone: they grew where nobody looked."""
    R = quat_to_matrix(cloud.quats_wxyz)
    k = np.argmax(cloud.scales, axis=1)
    rows = np.arange(len(cloud))
    axis = R[rows, :, k] * (2 * cloud.scales[rows, k])[:, None]
    near = (cloud.means[:, 2] > low) & (cloud.means[:, 2] < high)
    out = np.zeros(len(cloud), bool)
    for tip in (cloud.means + axis, cloud.means - axis):
        ij = np.round((tip[:, :2] - origin) / spacing).astype(int)
        ok = ((ij >= 0) & (ij < zone.shape)).all(axis=1)
        ok[ok] = zone[ij[ok, 0], ij[ok, 1]]
        out |= ok & near
    return out


def slabs(surfaces: Sequence[PlanarSurface]) -> TexturedMesh:
    """Every surface as a closed plate behind its outline, one mesh, world frame."""
    plates = [_slab(s) for s in surfaces]
    first = np.cumsum([0, *(len(p.vertices) for p in plates)])
    return TexturedMesh(
        vertices=np.concatenate([p.vertices for p in plates]), faces=np.concatenate([p.faces + n for p, n in zip(plates, first)])
    )


def _slab(surface: PlanarSurface, *, thickness: float = 0.02) -> TexturedMesh:
    xy, thickness = surface.outline, surface.thickness_m or thickness
    n = len(xy)
    v = surface.T_world_surface.apply(np.concatenate([np.column_stack([xy, np.zeros(n)]), np.column_stack([xy, np.full(n, -thickness)])]))
    faces = [[0, i, i + 1] for i in range(1, n - 1)] + [[n, n + i + 1, n + i] for i in range(1, n - 1)]
    for i in range(n):
        j = (i + 1) % n
        faces += [[i, n + i, n + j], [i, n + j, j]]
    return TexturedMesh(vertices=v, faces=np.array(faces))
