"""The background as a clip without the objects shows it: the ground where they and their shadows were, painted from its photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from phone2sim.assets.background import SHADED, columns, over_zone, painted_m, reaching
from phone2sim.assets.deshade import ShadowLift
from phone2sim.assets.everywhere import Everywhere
from phone2sim.assets.lift import Bodies, Found
from phone2sim.assets.solid import Solid
from phone2sim.assets.texture import blend
from phone2sim.assets.views import View, render_drawn, spread
from phone2sim.errors import InputError
from phone2sim.poses import quat_to_matrix
from phone2sim.progress import message
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.splat.cloud import SH_C0, SplatCloud

REACH = 5.0
"""How far around an object the ground is painted anew, in clearances: so far it keeps light off it."""
FEET = 2.2
"""The same around an object that stays: so far from it the ground is as the capture shows it."""
STANDS = 0.35
"""An object still stands where the picture differs from the captured one by less than this share of what it differs from the ground by."""
LOOKS = 12
"""Pictures that are looked at for objects still standing."""
AGAIN = "Film it again with the objects taken away."


def from_empty(
    background: SplatCloud, cloud: SplatCloud, there: Everywhere, bodies: Bodies, grounds: Sequence[Found], names: Mapping[int, str],
    lifts: Mapping[str, ShadowLift], folder: Path, *, view_side: int, photo_side: int,
) -> tuple[SplatCloud, list[str]]:  # fmt: skip
    """The `background` with its ground as the stage `folder` (scene/empty) shows it, and which objects still stand there.

    `names` are those of the bodies that were removed from the `cloud`, by id. Raises `InputError` when none of them was taken away.
    """
    cameras = Cameras.load(folder / "transforms.json")
    both = render_drawn(background, cameras, folder / "frames", max_side=view_side, photo_side=photo_side)
    views, drawn = [v for v, _ in both], [replace(v, photo=shown) for v, shown in both]
    standing = still_standing(cloud, bodies, list(names), views, drawn)
    left = [names[k] for k in standing]
    if left and len(left) == len(names):
        raise InputError(f"The empty clip still shows {', '.join(left)} where {'it was' if len(left) == 1 else 'they were'}.", hint=AGAIN)
    if left:
        message(f"The empty clip still shows {', '.join(left)}: the ground there is filled in instead. {AGAIN}")
    return painted(background, cloud, there, bodies, grounds, list(names), standing, views, drawn, lifts), left


def still_standing(
    cloud: SplatCloud, bodies: Bodies, removed: Sequence[int], views: list[View], drawn: list[View]
) -> list[int]:
    """Those of the `removed` bodies (ids) that the views of the empty place show where they were captured.

    Where a body would be seen, the pictures are compared with the whole `cloud` and with the background without it, as `drawn`.
    """
    import cv2
    from scipy.spatial import cKDTree

    from phone2sim.reconstruct.splat.rasterize import rasterize

    own = np.isin(bodies.labels, list(removed))
    if not own.any():
        return []
    tree, label = cKDTree(cloud.means[own]), bodies.labels[own]
    off = np.zeros((2, max(removed) + 1))
    soft = lambda x: cv2.GaussianBlur(np.asarray(x, np.float32), (0, 0), 1.5)  # noqa: E731
    for i in spread(len(views), LOOKS):
        view, (h, w) = views[i], views[i].depth.shape
        photo = soft(cv2.resize(view.photo, (w, h), interpolation=cv2.INTER_AREA) / np.float32(255))
        full = rasterize(cloud, K=view.K, T_camera_world=view.T_camera_world, width=w, height=h)
        depth = np.where(np.isfinite(full.depth_mode), full.depth_mode, 0).astype(np.float32)
        body = (depth > 0) & (depth < 0.99 * np.where(view.depth > 0, view.depth, np.inf))
        if not body.any():
            continue
        gap, nearest = tree.query(replace(view, depth=depth).unproject(where=body), distance_upper_bound=0.02)
        near = np.isfinite(gap)
        ids = label[nearest[near]]
        for k, other in enumerate((full.rgb, drawn[i].photo / np.float32(255))):
            error = ((photo - soft(other)) ** 2).mean(axis=2)[body][near]
            off[k] += np.bincount(ids, error, minlength=off.shape[1])
    return [k for k in removed if 0 < off[0, k] < STANDS * off[1, k]]


def painted(
    background: SplatCloud, cloud: SplatCloud, there: Everywhere, bodies: Bodies, grounds: Sequence[Found], removed: Sequence[int],
    standing: Sequence[int], views: list[View], drawn: list[View], lifts: Mapping[str, ShadowLift],
) -> SplatCloud:  # fmt: skip
    """The `background` with the ground under and around the bodies `removed` (ids, which stand on `grounds`), and where their shadows
    in `lifts` fell, as the `views` of the empty place show it, in the tone of the background as `drawn` there; around those still `standing`, and at the feet of bodies that stay in the
    background, it stays what it is."""
    free = _free(cloud, bodies, standing, views)
    out = background
    for found in there.founds:
        solids = {k: s for k, s in enumerate(bodies.solids, start=1) if grounds[k - 1] is found}
        gone = [s for k, s in solids.items() if k in removed and k not in standing]
        if gone:
            left = [(s, REACH if k in standing else FEET) for k, s in solids.items() if k in standing or k not in removed]
            out = _paint_ground(out, found, gone, left, views, drawn, free, lifts.get(found.support.surface.name))
    return out


def _free(cloud: SplatCloud, bodies: Bodies, standing: Sequence[int], views: list[View]) -> list[np.ndarray]:
    """(h, w) bool per view: where no body still standing is in the picture."""
    import cv2

    from phone2sim.reconstruct.splat.rasterize import rasterize

    if not standing:
        return [np.ones(v.depth.shape, bool) for v in views]
    left = cloud.take(np.isin(bodies.labels, list(standing)))
    out = []
    for v in views:
        h, w = v.depth.shape
        alpha = rasterize(left, K=v.K, T_camera_world=v.T_camera_world, width=w, height=h, mode=False).alpha
        out.append(cv2.dilate((alpha > 0.05).astype(np.uint8), np.ones((9, 9), np.uint8)) == 0)
    return out


def _paint_ground(
    background: SplatCloud, found: Found, gone: list[Solid], left: list[tuple[Solid, float]], views: list[View], drawn: list[View],
    free: list[np.ndarray], lift: ShadowLift | None,
) -> SplatCloud:  # fmt: skip
    import cv2
    from scipy import ndimage

    support, clear = found.support, found.clear_m
    level, reach = support.surface.height_m, REACH * clear
    spacing = painted_m(views, found.scales.distance)
    outline = support.surface.outline + support.surface.T_world_surface.translation[:2]
    low, high = outline.min(axis=0), outline.max(axis=0)
    nx, ny = (int(n) for n in np.ceil((high - low) / spacing) + 1)
    ij = np.stack(np.unravel_index(np.arange(nx * ny), (nx, ny)), axis=1)
    points = np.column_stack([low + spacing * ij, np.full(len(ij), level)]).astype(np.float32)
    inside = np.zeros((nx, ny), np.uint8)
    cv2.fillPoly(inside, [np.round((outline - low)[:, ::-1] / spacing).astype(np.int32)], 1)
    within = lambda cells, m: np.asarray(ndimage.distance_transform_edt(~cells)) * spacing <= m  # noqa: E731
    zone = columns(gone, low, (nx, ny), spacing)
    if lift is not None:
        zone |= lift.at(points[:, :2]).reshape(nx, ny) > SHADED
    zone = ~within(~within(zone, 2 * reach), reach)
    kept = inside == 0
    for solid, clearances in left:
        kept |= within(columns([solid], low, (nx, ny), spacing), clearances * clear)
    zone &= ~kept
    drop = over_zone(background, low, zone, spacing, low=level - 2 * clear, high=level + 2 * clear)
    core = ~within(~zone, clear)
    drop |= reaching(background, low, core, spacing, low=level - 3 * clear, high=level + 2 * clear)
    bereft = within(_under(background.take(drop), low, (nx, ny), spacing), 0.5 * clear) & ~kept
    laid = [_laid(v, low, high, level, 2 * clear) for v in views]

    def colors(cells: np.ndarray, shown: list[View]) -> tuple[np.ndarray, np.ndarray]:
        """(nx, ny, 3) 0-1, and where they are known."""
        rows = np.flatnonzero(cells)
        up = np.tile(np.array([0, 0, 1], np.float32), (len(rows), 1))
        found = blend(points[rows], up, shown, free, tolerance_m=0.008, best=5)
        picture, known = np.zeros((nx * ny, 3), np.float32), np.zeros(nx * ny, bool)
        picture[rows], known[rows] = found[0] / 255, found[1] > 0
        return picture.reshape(nx, ny, 3), known.reshape(nx, ny)

    painting = zone | bereft
    ring = within(painting, 2 * clear) & ~painting & ~kept
    picture, seen = colors(painting | ring, laid)
    around, known = colors(ring, [replace(v, photo=d.photo) for v, d in zip(laid, drawn)])
    picture = toned(picture, around, known & seen, sigma=2 * clear / spacing)
    seen &= painting
    drop &= ~over_zone(background, low, zone & ~seen, spacing, low=-np.inf, high=np.inf)
    n = int(seen.sum())
    patch = SplatCloud(
        means=points[seen.ravel()], quats_wxyz=np.tile([1.0, 0, 0, 0], (n, 1)),
        scales=np.tile([0.55 * spacing, 0.55 * spacing, 4e-4], (n, 1)), opacities=np.full(n, 0.97),
        sh=((picture[seen] - 0.5) / SH_C0)[:, None],
    )  # fmt: skip
    return SplatCloud.concatenate([background.take(~drop), patch])


def toned(picture: np.ndarray, around: np.ndarray, ring: np.ndarray, *, sigma: float, most: float = 0.15) -> np.ndarray:
    """`picture` (nx, ny, 3) 0-1 with the tone that the same place has in `around` on the `ring` (nx, ny) bool: their median ratio
    everywhere, and within about `sigma` cells of the ring what it differs from that there; logarithms of at most `most`."""
    from scipy import ndimage

    if ring.sum() < 50:
        return picture
    ratio = np.log(np.maximum(around[ring], 0.02) / np.maximum(picture[ring], 0.02))
    base = np.median(ratio, axis=0)
    weight = ndimage.gaussian_filter(ring.astype(np.float32), sigma)
    out = np.empty_like(picture)
    for c in range(3):
        rest = np.zeros(ring.shape, np.float32)
        rest[ring] = np.clip(ratio[:, c] - base[c], -most, most)
        local = ndimage.gaussian_filter(rest, sigma) / (weight + 0.05)
        out[..., c] = picture[..., c] * np.exp(np.clip(base[c], -most, most) + local)
    return np.clip(out, 0, 1)


def _under(cloud: SplatCloud, low: np.ndarray, shape: tuple[int, int], spacing: float) -> np.ndarray:
    """(nx, ny) bool: ground cells below some points of each Gaussian, up to two standard deviations from its middle."""
    R = quat_to_matrix(cloud.quats_wxyz)
    steps = np.stack(np.meshgrid(*[[-2, -1, 0, 1, 2]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    steps = steps[np.linalg.norm(steps, axis=1) <= 2]
    at = cloud.means[:, None, :2] + np.einsum("nij,nj,kj->nki", R, cloud.scales, steps)[..., :2]
    ij = np.round((at.reshape(-1, 2) - low) / spacing).astype(int)
    ij = ij[((ij >= 0) & (ij < shape)).all(axis=1)]
    out = np.zeros(shape, bool)
    out[ij[:, 0], ij[:, 1]] = True
    return out


def _laid(view: View, low: np.ndarray, high: np.ndarray, level: float, clear: float) -> View:
    """The view with all that it sees less than `clear` [m] above the ground, or through it, between `low` and `high` (2,) on it."""
    h, w = view.depth.shape
    v, u = np.mgrid[:h, :w] + 0.5
    ray = np.stack([(u - view.K[0, 2]) / view.K[0, 0], (v - view.K[1, 2]) / view.K[1, 1], np.ones((h, w))], axis=-1)
    ray = ray @ view.T_camera_world[:3, :3]
    ground = (level - view.centre[2]) / np.where(ray[..., 2] < -1e-3, ray[..., 2], -1e-3)
    xy = view.centre[:2] + ray[..., :2] * ground[..., None]
    on = (ray[..., 2] < -1e-3) & ((xy >= low) & (xy <= high)).all(axis=-1)
    height = view.centre[2] + view.depth * ray[..., 2] - level
    return replace(view, depth=np.where(on & ((view.depth == 0) | (height < clear)), ground, view.depth).astype(np.float32))
