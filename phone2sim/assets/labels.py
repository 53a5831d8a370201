"""Which Gaussians belong to which object, and the masks of the photos that follow from it.

The splat was fitted to the photos, so the share of a pixel's colour that comes from an object's Gaussians is that
object's silhouette, occlusion included, at the photo's own precision.
"""

from __future__ import annotations

import numpy as np

from phone2sim.assets.segment import Cluster
from phone2sim.assets.solid import Solid
from phone2sim.assets.views import View, render_share
from phone2sim.progress import track
from phone2sim.reconstruct.splat.cloud import SplatCloud


def label_by_clusters(cloud: SplatCloud, clusters: list[Cluster], *, reach_m: float, level: float, floor_m: float) -> np.ndarray:
    """(n,) int: 1… for Gaussians within `reach_m` of a cluster's points and `floor_m` above the plane z = `level`."""
    from scipy.spatial import cKDTree

    labels = np.zeros(len(cloud), int)
    if not clusters:
        return labels
    owner = np.repeat(np.arange(1, len(clusters) + 1), [len(c.points) for c in clusters])
    tree = cKDTree(np.concatenate([c.points for c in clusters]))
    above = np.flatnonzero(cloud.means[:, 2] > level + floor_m)
    # What lies lower than the clusters' own clearance is measured from its height there.
    distance, index = tree.query(cloud.means[above], distance_upper_bound=reach_m)
    ok = np.isfinite(distance)
    labels[above[ok]] = owner[index[ok]]
    return labels


def label_by_solids(cloud: SplatCloud, solids: list[Solid], *, reach_m: float, level: float, floor_m: float) -> np.ndarray:
    """(n,) int: 1… for Gaussians inside or within `reach_m` of a solid and `floor_m` above the plane."""
    best = np.full(len(cloud), reach_m)
    labels = np.zeros(len(cloud), int)
    for k, solid in enumerate(solids, start=1):
        d = solid.signed_distance(cloud.means)
        mine = (d < best) & (cloud.means[:, 2] > level + floor_m)
        labels[mine] = k
        best[mine] = d[mine]
    return labels


def render_masks(cloud: SplatCloud, labels: np.ndarray, boxes: list[np.ndarray], views: list[View]) -> np.ndarray:
    """(n views, h, w) uint8 id per pixel: 0 background, k the object that gives most of the colour.

    `boxes` are (2, 3) corners [m] of objects 1…. One pass renders all: objects share three channels in turn, and the
    depth tells which of a channel's objects a pixel is.
    """
    from scipy import ndimage

    channel = np.where(labels > 0, (labels - 1) % 3, -1)
    groups = channel[:, None] == np.arange(3)
    out = []
    for view in track(views, "Rendering masks"):
        share = render_share(cloud, groups, view)
        top = share.argmax(axis=2)
        front = share.max(axis=2) > 0.5
        world = np.full((*view.depth.shape, 3), np.inf)
        world[view.depth > 0] = view.unproject()
        ids = np.zeros(view.depth.shape, np.uint8)
        for c in range(3):
            mine = front & (top == c)
            members = range(c, len(boxes), 3)
            if not mine.any() or len(members) == 0:
                continue
            found = np.zeros(view.depth.shape, np.uint8)
            if len(members) == 1:
                found[mine] = c + 1
            else:
                p = world[mine]
                name = np.zeros(len(p), np.uint8)
                for k in members:
                    name[((p > boxes[k][0]) & (p < boxes[k][1])).all(axis=1)] = k + 1
                found[mine] = name
                if name.any() and not name.all():
                    i, j = ndimage.distance_transform_edt(found == 0, return_distances=False, return_indices=True)
                    found = np.where(mine, found[i, j], 0)
            ids = np.where(mine, found, ids)
        out.append(ids)
    return np.stack(out) if out else np.zeros((0, 0, 0), np.uint8)
