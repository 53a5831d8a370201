"""A texture baked from the photos: per texel the best few views that really see it, by angle and distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from phone2sim.assets.drawn import depth_of, world_of
from phone2sim.assets.mesh import TexturedMesh
from phone2sim.assets.views import View

AT_ONCE = 500_000
"""Pairs of a triangle and a texel that are looked at in one go."""
SAME_WAY_M = 0.03
"""What facing the other way adds to a distance, halved [m]: colours cross an edge, but not a wall."""
FACING = 0.35
"""Least cosine between a surface's normal and the line of sight of a view that colours it: others smear, and err at the outline."""
RIM_PX = 0.75
"""How far beside a triangle a texel is still coloured by it."""
FULL = 0.55
"""Share of an atlas that charts cover, about."""
GUTTER = 4
"""Texels between charts."""
BEHIND_M = 0.004
"""A point this far behind the body's own surface is hidden by it."""
FOOT_PX = 4
"""How many pixels a mask may end before the body's foot does."""
FOOT_SHARE = 0.2
"""Share of the tolerance that the foot has: farther behind it is the ground that shows where the foot is only inferred. Where the ground is
not twice as far behind, depth cannot tell."""
_DOWN = np.concatenate([np.ones((FOOT_PX + 1, 1), np.uint8), np.zeros((FOOT_PX, 1), np.uint8)])


@dataclass(frozen=True, kw_only=True)
class Baked:
    mesh: TexturedMesh
    seen_fraction: float
    """Share of the surface that some camera saw, the bottom face counted as unseen."""


def bake(
    mesh: Any, views: list[View], masks: list[np.ndarray], *, size: int, tolerance_m: float, best: int = 4,
    plain_m: float | None = None, foot_z: float = -np.inf, level: float = -np.inf,
) -> Baked:  # fmt: skip
    """Unwrap a `trimesh.Trimesh` (world frame) and colour it from the photos.

    `masks` are (h, w) bool per view: where the object is seen. A texel takes the robust weighted mean of its `best`
    views; texels no camera saw are inpainted. With `plain_m` they fade, over that distance [m] from what was seen, to
    the plain median colour of what was seen at their height. Masks end early at the support z = `level` [m]: below
    `foot_z` [m] the body's own outline counts as well.
    """
    import xatlas

    atlas = xatlas.Atlas()
    atlas.add_mesh(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.uint32))
    chart = xatlas.ChartOptions()
    chart.max_iterations = 2
    pack = xatlas.PackOptions()
    pack.texels_per_unit = float(size * np.sqrt(FULL / mesh.area))  # else it packs 180 texels, and gutters grow with them
    pack.padding = GUTTER
    pack.create_image = False
    atlas.generate(chart, pack)
    mapping, faces, uv = atlas[0]
    uv = np.clip(uv, 0, 1)
    uv = uv * (np.array([atlas.width, atlas.height]) / max(atlas.width, atlas.height))
    vertices = np.asarray(mesh.vertices)[mapping]
    normals = np.array(mesh.vertex_normals)[mapping]
    foot = vertices[:, 2] < level + 1e-5  # sides do not bend towards a bottom that nobody sees
    normals[foot] = TexturedMesh(vertices=vertices, faces=faces).vertex_normals[foot]

    flat, face, bary = texels(uv, faces, size)
    position = np.einsum("nk,nkc->nc", bary, vertices[faces[face]]).astype(np.float32)
    normal = np.einsum("nk,nkc->nc", bary, normals[faces[face]])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    world = world_of(mesh)
    own = [depth_of(world, view, mask) for view, mask in zip(views, masks, strict=True)]
    color, weight = blend(
        position, normal.astype(np.float32), views, masks, tolerance_m=tolerance_m, best=best, own=own, foot_z=foot_z, level=level
    )

    picture = np.zeros((size * size, 3), np.float32)
    good = weight > 0
    picture[flat[good]] = color[good]
    covered = np.zeros(size * size, bool)
    covered[flat] = True
    texture = _fill(picture.reshape(size, size, 3), covered.reshape(size, size), position, normal, flat, color, good, plain_m)

    areas = np.asarray(mesh.area_faces)
    share = np.bincount(face, weights=good, minlength=len(faces)) / np.maximum(np.bincount(face, minlength=len(faces)), 1)
    out = TexturedMesh(vertices=vertices, faces=faces.astype(int), uv=np.column_stack([uv[:, 0], 1 - uv[:, 1]]),
                       texture=np.ascontiguousarray(texture))  # fmt: skip
    return Baked(mesh=out, seen_fraction=float((share * areas).sum() / areas.sum()))


def texels(uv: np.ndarray, faces: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Texels covered by triangles of an atlas: flat index (row 0 at v = 0), face, barycentric weights (n, 3).

    Triangles are grown by three quarters of a texel so that bilinear lookups at their rims are coloured; a texel is of the triangle
    it lies deepest in, or least beside.
    """
    corners = (uv * size)[faces]
    low = np.maximum(np.floor(corners.min(axis=1) - 1), 0).astype(int)
    wide, high = (np.minimum(np.ceil(corners.max(axis=1) + 1), size - 1).astype(int) - low + 1).T
    a, b, c = corners.transpose(1, 2, 0)
    area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    sides = np.stack([np.hypot(*(p - q)) for p, q in ((c, b), (a, c), (b, a))], axis=1)  # opposite of each corner
    tall = np.abs(area)[:, None] / np.maximum(sides, 1e-9)
    count = np.where(np.abs(area) < 1e-9, 0, wide * high)
    ends = np.cumsum(count)
    flats, owners, weights, outside = [], [], [], []
    for some in np.split(np.arange(len(faces)), np.searchsorted(ends, np.arange(AT_ONCE, ends[-1], AT_ONCE))):
        f = np.repeat(some, count[some])  # the triangle of every texel of its box, row by row
        y, x = np.divmod(np.arange(len(f)) - np.repeat(np.cumsum(count[some]) - count[some], count[some]), wide[f])
        x, y = x + low[f, 0], y + low[f, 1]
        dx, dy = x + 0.5 - a[0, f], y + 0.5 - a[1, f]
        wb = (dx * (c[1] - a[1])[f] - dy * (c[0] - a[0])[f]) / area[f]
        wc = ((b[0] - a[0])[f] * dy - (b[1] - a[1])[f] * dx) / area[f]
        w = np.stack([1 - wb - wc, wb, wc], axis=1)
        beside = -(w * tall[f]).min(axis=1)
        near = np.flatnonzero(beside < RIM_PX)
        f, x, y, w, beside = f[near], x[near], y[near], w[near], beside[near]
        out = np.flatnonzero(beside > 0)
        w[out], beside[out] = _nearest(np.stack([x[out], y[out]], axis=1) + 0.5, corners[f[out]])
        ok = beside < RIM_PX
        outside.append(beside[ok])
        flats.append(y[ok] * size + x[ok])
        owners.append(f[ok])
        weights.append(w[ok])
    flat, owner, bary = np.concatenate(flats), np.concatenate(owners), np.concatenate(weights)
    order = np.lexsort((np.concatenate(outside), flat))
    best = order[np.flatnonzero(np.diff(flat[order], prepend=-1))]
    return flat[best], owner[best], bary[best]


def _nearest(points: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Barycentric weights (n, 3) of the point of each outline (n, 3, 2) that is nearest to `points` (n, 2), and how far it is."""
    best, weights = np.full(len(points), np.inf), np.zeros((len(points), 3))
    for i, j in ((0, 1), (1, 2), (2, 0)):
        a, side = corners[:, i], corners[:, j] - corners[:, i]
        t = np.clip(((points - a) * side).sum(axis=1) / np.maximum((side**2).sum(axis=1), 1e-12), 0, 1)
        far = np.linalg.norm(a + t[:, None] * side - points, axis=1)
        nearer = far < best
        best[nearer] = far[nearer]
        weights[nearer] = 0
        weights[nearer, i], weights[nearer, j] = 1 - t[nearer], t[nearer]
    return weights, best


def blend(
    position: np.ndarray, normal: np.ndarray, views: list[View], masks: list[np.ndarray], *, tolerance_m: float, best: int,
    own: list[np.ndarray] | None = None, foot_z: float = -np.inf, level: float = -np.inf,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Colour (n, 3) 0–255 and total weight (n,) of surface points (n, 3) with unit normals, from the `best` views each.

    `own` are depths (h, w) [m] of the body alone, inf beside it: points behind it do not count, and those below `foot_z` [m] do
    just below a mask where they are clear of the ground z = `level` [m] behind them.
    """
    import cv2

    three = np.ones((3, 3), np.uint8)

    n = len(position)
    weights = np.zeros((best, n), np.float32)
    colors = np.zeros((best, n, 3), np.float32)
    for i, (view, mask) in enumerate(zip(views, masks, strict=True)):
        if not mask.any():
            continue
        core = cv2.erode(mask.astype(np.uint8), three).ravel().astype(bool)
        index, z, inside = view.pixels(position)
        to_camera = view.centre.astype(np.float32) - position
        distance = np.linalg.norm(to_camera, axis=1)
        facing = np.einsum("nc,nc->n", normal, to_camera) / np.maximum(distance, 1e-6)
        d = view.depth.ravel()[index]
        mine = core[index]
        if own is not None:
            drawn = np.isfinite(own[i])
            feet = cv2.erode(drawn.astype(np.uint8), three) & cv2.dilate(mask.astype(np.uint8), _DOWN)
            low = position[:, 2]
            ground = z * (view.centre[2] - level) / np.maximum(view.centre[2] - low, 1e-6)
            foot = FOOT_SHARE * tolerance_m
            mine |= (feet.ravel()[index] > 0) & (low < foot_z) & (d - z < foot) & (ground - z > 2 * foot)
            mine &= z < cv2.dilate(np.where(drawn, own[i], 0), three).ravel()[index] + BEHIND_M
        ok = inside & mine & (facing > FACING) & (np.abs(d - z) < tolerance_m * (1 + 1 / np.maximum(facing, 0.2)) / 2)
        if not ok.any():
            continue
        rows = np.flatnonzero(ok)
        c = view.colors(position[rows])
        w = (facing[rows] ** 2 / distance[rows] ** 2).astype(np.float32)
        for k in range(best):
            higher = w > weights[k, rows]
            at = rows[higher]
            old_w, old_c = weights[k, at].copy(), colors[k, at].copy()
            weights[k, at], colors[k, at] = w[higher], c[higher]
            w[higher], c[higher] = old_w, old_c
    # Views that disagree with the weighted median-like centre (highlights, leaks) count little.
    valid = weights > 0
    luma = np.where(valid, colors.sum(axis=2), np.nan)
    some = valid.any(axis=0)
    middle = np.zeros(n, np.float32)
    middle[some] = np.nanmedian(luma[:, some], axis=0)
    agree = np.where(valid, 1 / (1 + ((luma - middle) / 45.0) ** 2), 0)
    weights = weights * np.nan_to_num(agree)
    total = weights.sum(axis=0)
    color = (weights[..., None] * colors).sum(axis=0) / np.maximum(total, 1e-12)[:, None]
    return color, total


def _fill(
    picture: np.ndarray, covered: np.ndarray, position: np.ndarray, normal: np.ndarray, flat: np.ndarray, color: np.ndarray,
    good: np.ndarray, plain_m: float | None = None,
) -> np.ndarray:  # fmt: skip
    """Colour unseen texels from the nearest seen ones in 3D that face alike (so neither seams nor the other side of a wall matter),
    then grow the charts' rims."""
    import cv2
    from scipy import ndimage
    from scipy.spatial import cKDTree

    out: np.ndarray = picture.reshape(-1, 3).copy()
    if good.any() and not good.all():
        place = np.hstack([position, SAME_WAY_M * normal])
        k = min(12, int(good.sum()))
        tree = cKDTree(place[good], balanced_tree=False, compact_nodes=False)  # normals lie in bunches: the usual tree takes ten times as long
        distance, index = tree.query(place[~good], k=k)
        distance, index = distance.reshape(-1, k), index.reshape(-1, k)
        w = 1 / (distance**2 + 1e-8)
        near = (color[good][index] * w[..., None]).sum(axis=1) / w.sum(axis=1, keepdims=True)
        if plain_m is not None:
            fade = np.exp(-distance[:, :1] / plain_m)
            near = fade * near + (1 - fade) * plain(position[~good, 2], position[good, 2], color[good])
        out[flat[~good]] = near
    elif not good.any():
        out[flat] = 128
    out = out.reshape(picture.shape)
    if not covered.all():
        nearest = ndimage.distance_transform_edt(~covered, return_indices=True)[1]
        out = out[tuple(nearest)]
        soft = cv2.GaussianBlur(out, (0, 0), 2)
        out = np.where(covered[..., None], out, soft)
    return np.clip(out + 0.5, 0, 255).astype(np.uint8)


def plain(height: np.ndarray, seen_height: np.ndarray, color: np.ndarray, *, bands: int = 12) -> np.ndarray:
    """(n, 3) median colour of what was seen (m, 3) at the heights (n,) [m], interpolated between bands."""
    edges = np.linspace(seen_height.min(), seen_height.max() + 1e-9, bands + 1)
    band = np.clip(np.searchsorted(edges, seen_height, side="right") - 1, 0, bands - 1)
    filled = np.array([k for k in range(bands) if (band == k).any()])
    medians = np.array([np.median(color[band == k], axis=0) for k in filled])
    middle = (edges[filled] + edges[filled + 1]) / 2
    return np.stack([np.interp(height, middle, medians[:, c]) for c in range(3)], axis=1)
