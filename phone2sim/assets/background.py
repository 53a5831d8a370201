"""The scene without its objects: their Gaussians and everything hanging over the support taken out, the table filled in."""

from __future__ import annotations

import numpy as np

from phone2sim.assets.mesh import TexturedMesh
from phone2sim.assets.solid import Solid
from phone2sim.assets.support import Support
from phone2sim.assets.views import View
from phone2sim.poses import quat_to_matrix
from phone2sim.reconstruct.splat.cloud import SH_C0, SplatCloud


def footprints(solids: list[Solid], *, spacing: float, margin: float, level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ground under the solids as a raster: origin (2,) [m], shadow of their columns (nx, ny) bool, grown by `margin`.

    Returns origin, the bare columns, and the grown zone, on cells of `spacing` [m].
    """
    from scipy import ndimage

    low = np.min([s.mesh.bounds[0, :2] for s in solids], axis=0) - margin - 0.04
    high = np.max([s.mesh.bounds[1, :2] for s in solids], axis=0) + margin + 0.04
    shape = tuple(int(n) for n in np.ceil((high - low) / spacing) + 1)
    bare = np.zeros(shape, bool)
    for s in solids:
        columns = (s.distance < 0).any(axis=2)
        near = ndimage.binary_dilation(columns)
        i, j = np.nonzero(near)
        n = max(1, int(np.ceil(s.grid.voxel / spacing)))
        sub = (np.arange(n) + 0.5) / n - 0.5
        for a in sub:
            for b in sub:
                x = s.grid.origin[0] + s.grid.voxel * (i + a)
                y = s.grid.origin[1] + s.grid.voxel * (j + b)
                p = np.round((np.stack([x, y], 1) - low) / spacing).astype(int)
                ok = ((p >= 0) & (p < shape)).all(axis=1)
                bare[p[ok, 0], p[ok, 1]] = True
    grown = ndimage.distance_transform_edt(~bare) * spacing <= margin
    return low, bare, grown


def ground_colors(points: np.ndarray, views: list[View], covered: list[np.ndarray], *, tolerance_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Median colour (n, 3) 0–255 of ground points (n, 3) [m] over the photos that see them bare, and how many do.

    `covered` (h, w) bool per view: pixels of objects.
    """
    import cv2

    samples = np.full((len(views), len(points), 3), np.nan, np.float32)
    for k, (view, mask) in enumerate(zip(views, covered, strict=True)):
        wide = cv2.dilate(mask.astype(np.uint8), np.ones((7, 7), np.uint8)).ravel().astype(bool)
        index, z, inside = view.pixels(points)
        d = view.depth.ravel()[index]
        ok = inside & ~wide[index] & (d > 0) & (np.abs(d - z) < tolerance_m + 0.01 * z)
        rows = np.flatnonzero(ok)
        if len(rows):
            samples[k, rows] = view.colors(points[rows])
    count = np.isfinite(samples[..., 0]).sum(axis=0)
    out = np.zeros((len(points), 3), np.float32)
    seen = count > 0
    out[seen] = np.nanmedian(samples[:, seen], axis=0)
    return out, count


def fill_ground(
    solids: list[Solid], views: list[View], covered: list[np.ndarray], *, level: float, spacing: float, margin: float
) -> tuple[SplatCloud, np.ndarray, np.ndarray]:
    """New flat Gaussians for the ground under and right around the solids.

    Returns the cloud, and the zone it covers as (origin (2,), (nx, ny) bool). Cells no photo shows bare are inpainted
    from the ring around them (Telea 2004).
    """
    import cv2
    from scipy import ndimage

    origin, bare, zone = footprints(solids, spacing=spacing, margin=margin, level=level)
    around = ndimage.binary_dilation(zone, iterations=max(2, round(0.03 / spacing)))
    ij = np.stack(np.nonzero(around), axis=1)
    points = np.column_stack([origin + spacing * ij, np.full(len(ij), level)]).astype(np.float32)
    color, count = ground_colors(points, views, covered, tolerance_m=0.012)
    picture = np.zeros((*zone.shape, 3), np.uint8)
    known = np.zeros(zone.shape, bool)
    good = count >= 2
    picture[ij[good, 0], ij[good, 1]] = np.clip(color[good] + 0.5, 0, 255)
    known[ij[good, 0], ij[good, 1]] = True
    # Right beside an object the photos show its contact shadow: that goes with the object.
    dark = ndimage.distance_transform_edt(~bare) * spacing < 0.5 * margin
    hole = around & (~known | dark)
    filled = np.where(around[..., None], cv2.inpaint(picture, hole.astype(np.uint8), 5 * 1.0, cv2.INPAINT_TELEA), 0)
    i, j = np.nonzero(zone)
    means = np.column_stack([origin[0] + spacing * i, origin[1] + spacing * j, np.full(len(i), level)])
    n = len(means)
    flat = SplatCloud(
        means=means, quats_wxyz=np.tile([1.0, 0, 0, 0], (n, 1)),
        scales=np.tile([0.75 * spacing, 0.75 * spacing, 4e-4], (n, 1)), opacities=np.full(n, 0.97),
        sh=((filled[i, j] / 255.0 - 0.5) / SH_C0)[:, None],
    )  # fmt: skip
    return flat, origin, zone


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


def slab(support: Support, *, thickness: float = 0.02) -> TexturedMesh:
    """The support as a closed plate under its outline, world frame."""
    xy = support.surface.outline + support.surface.T_world_surface.translation[:2]
    n = len(xy)
    z = support.surface.height_m
    v = np.concatenate([np.column_stack([xy, np.full(n, z)]), np.column_stack([xy, np.full(n, z - thickness)])])
    faces = [[0, i, i + 1] for i in range(1, n - 1)] + [[n, n + i + 1, n + i] for i in range(1, n - 1)]
    for i in range(n):
        j = (i + 1) % n
        faces += [[i, n + i, n + j], [i, n + j, j]]
    return TexturedMesh(vertices=v, faces=np.array(faces))
