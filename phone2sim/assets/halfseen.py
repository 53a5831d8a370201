"""Bodies of objects that a single picture shows from one side, closed by symmetry and the support plane."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from phone2sim.assets.labels import label_by_solids
from phone2sim.assets.lift import Bodies, Found
from phone2sim.assets.once import STEP, Pixels, pixels_of
from phone2sim.assets.segment import Rejected
from phone2sim.assets.solid import Solid, build_half_seen
from phone2sim.assets.symmetry import Symmetry, find_symmetry
from phone2sim.assets.views import View
from phone2sim.errors import AssetError
from phone2sim.progress import message, track
from phone2sim.reconstruct.splat.cloud import SplatCloud

KINDS = {"axis": "a body of revolution", "box": "two planes of symmetry", "mirror": "a mirror plane across the view"}


def seen_empty(view: View, world: Pixels, *, truncation: float) -> Callable[[np.ndarray], np.ndarray]:
    """World points (n, 3) → (n,) [m]: positive in space that the picture sees through, negative behind its surfaces.

    Distances along the view are shortened by the slant of the surface. Outside of the picture nothing is known empty.
    """
    to_camera = view.centre - world.points
    to_camera = np.nan_to_num(to_camera / np.linalg.norm(to_camera, axis=-1, keepdims=True))
    facing = np.clip((world.normals * to_camera).sum(axis=-1), 0.25, 1).ravel()
    depth = view.depth.ravel()

    def empty(points: np.ndarray) -> np.ndarray:
        index, z, inside = view.pixels(points)
        d = depth[index]
        s = np.clip((d - z) * facing[index], -truncation, truncation)
        return np.where(inside & (d > 0), s, -truncation)

    return empty


def rim_points(view: View, world: Pixels, mask: np.ndarray) -> np.ndarray:
    """(m, 3) points of an object's pixels whose left or right neighbour lies clearly behind: its sideways rim."""
    d = np.where(view.depth > 0, view.depth, np.inf)
    farther = np.zeros(mask.shape, bool)
    farther[:, 1:] |= d[:, :-1] > d[:, 1:] * (1 + STEP)
    farther[:, :-1] |= d[:, 1:] > d[:, :-1] * (1 + STEP)
    return np.asarray(world.points[mask & farther])


def odd_parts(
    view: View, world: Pixels, mask: np.ndarray, symmetry: Symmetry, *, voxel: float
) -> list[tuple[np.ndarray, float]]:
    """Connected visible parts that the symmetry leaves out: points (m, 3), and their width in the picture as thickness [m]."""
    from scipy import ndimage

    left = np.zeros(mask.shape, bool)
    left[mask] = symmetry.field(np.nan_to_num(world.points[mask])) > 0.4 * symmetry.tolerance
    sure = np.zeros(mask.shape, bool)
    sure[mask] = symmetry.field(np.nan_to_num(world.points[mask])) > symmetry.tolerance
    labels, count = ndimage.label(left, np.ones((3, 3)))
    out = []
    for k in range(1, count + 1):
        part = labels == k
        if (part & sure).sum() < 25:
            continue
        half = np.percentile(ndimage.distance_transform_edt(part)[part], 95)
        pixel = float(np.median(view.depth[part])) / view.K[0, 0]
        out.append(
            (world.points[part], float(np.clip(1.6 * half * pixel, 2 * voxel, 0.03 * np.median(view.depth[part]))))
        )
    return out


def close_half_seen(cloud: SplatCloud, found: Found, view: View) -> Bodies:
    """Closed bodies of the clusters of `find_objects_once`, with notes on how each was closed."""
    level, voxel, clear = found.support.surface.height_m, found.scales.voxel, found.clear_m
    world = pixels_of(view)
    empty = seen_empty(view, world, truncation=6 * voxel)
    solids: list[Solid] = []
    notes: list[str] = []
    for k, cluster in enumerate(track(found.clusters, "Closing bodies"), start=1):
        mask = np.asarray(found.once == k)
        known = (np.abs(world.normals[mask]).sum(axis=1) > 0) & np.isfinite(world.points[mask]).all(axis=1)
        points, normals = world.points[mask][known], world.normals[mask][known]
        symmetry = find_symmetry(points, normals, rim_points(view, world, mask), empty, view.centre, voxel=voxel)
        if symmetry.broken > 0.25:
            found.refused.append(
                Rejected(
                    reason="no symmetry tells its hidden side",
                    centre=points.mean(axis=0),
                    extents=np.ptp(points, axis=0),
                )
            )
            continue
        odd = odd_parts(view, world, mask, symmetry, voxel=voxel)
        try:
            solid = build_half_seen(
                points,
                symmetry,
                empty,
                odd,
                level=level,
                voxel=voxel,
                skirt_m=max(2.5 * voxel, 4 * found.support.noise_m),
            )
        except AssetError as e:
            message(f"An object near {cluster.points.mean(0).round(3).tolist()} was left out: {e.message}")
            continue
        solids.append(solid)
        notes.append(
            f"the rest is closed as {KINDS[symmetry.kind]}, which {symmetry.broken:.0%} of what is seen contradicts"
        )
    order = np.argsort([-s.mesh.volume for s in solids], kind="stable")
    solids, notes = [solids[i] for i in order], [notes[i] for i in order]
    labels = label_by_solids(cloud, solids, reach_m=2.5 * voxel, level=level, floor_m=0.35 * clear)
    ids = np.zeros(view.depth.shape, np.uint8)
    points = world.points.reshape(-1, 3)
    rows = np.flatnonzero(np.isfinite(points).all(axis=1) & (points[:, 2] > level + 0.35 * clear))
    best = np.full(len(rows), 2.5 * voxel)
    for k, solid in enumerate(solids, start=1):
        d = solid.signed_distance(points[rows])
        mine = d < best
        ids.ravel()[rows[mine]] = k
        best[mine] = d[mine]
    return Bodies(solids=solids, labels=labels, masks=ids[None], notes=tuple(notes))
