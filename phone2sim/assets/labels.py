"""Which Gaussians belong to which object, and the masks of the photos that follow from it.

The splat was fitted to the photos, so the share of a pixel's colour that comes from an object's Gaussians is that
object's silhouette, occlusion included, at the photo's own precision.
"""

from __future__ import annotations

import numpy as np

from phone2sim.assets.low import on_low
from phone2sim.assets.segment import Cluster
from phone2sim.assets.solid import Solid
from phone2sim.assets.views import View, render_share
from phone2sim.progress import abreast
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


def label_low(cloud: SplatCloud, labels: np.ndarray, low: list[np.ndarray], *, cell: float, level: float, depth_m: float) -> np.ndarray:
    """The labels (n,) with the Gaussians of every object's low parts (k, 3), see `on_low`, where they are nobody's yet."""
    labels = labels.copy()
    for k, part in enumerate(low, start=1):
        labels[(labels == 0) & on_low(cloud.means, part, cell=cell, level=level, depth_m=depth_m)] = k
    return labels


def render_masks(cloud: SplatCloud, labels: np.ndarray, boxes: list[np.ndarray], views: list[View]) -> np.ndarray:
    """(n views, h, w) uint8 id per pixel: 0 background, k the object that gives most of the colour.

    `boxes` are (2, 3) corners [m] of objects 1…. Three objects, or more that are apart, are rendered in one pass: objects
    whose boxes do not meet share a channel, and the depth tells which of them a pixel is.
    """
    from scipy import ndimage

    channels = apart(boxes)
    n = max(channels, default=0) + 1
    of_gaussian = np.append(-1, channels)[labels]

    def mask(view: View) -> np.ndarray:
        shares = [render_share(cloud, of_gaussian[:, None] == np.arange(c, c + 3), view) for c in range(0, n, 3)]
        share = np.concatenate(shares, axis=2)
        front = np.asarray((share > 0.5).any(axis=2))
        top = np.full(front.shape, -1)
        top[front] = share[front].argmax(axis=1)
        ids = np.zeros(front.shape, np.uint8)
        for c in range(n):
            members = [k for k in range(len(boxes)) if channels[k] == c]
            mine = top == c
            if not mine.any() or not members:
                continue
            rows, columns = (np.flatnonzero(mine.any(axis=axis)) for axis in (1, 0))
            box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            mine = mine[box]
            found = np.zeros(mine.shape, np.uint8)
            if len(members) == 1:
                found[mine] = members[0] + 1
            else:
                p = view.unproject(where=top == c)
                name = np.zeros(len(p), np.uint8)
                for k in members:
                    name[((p > boxes[k][0]) & (p < boxes[k][1])).all(axis=1)] = k + 1
                found[mine & (view.depth[box] > 0)] = name
                if name.any() and not found[mine].all():
                    i, j = ndimage.distance_transform_edt(found == 0, return_distances=False, return_indices=True)
                    found = np.where(mine, found[i, j], 0)
            ids[box] = np.where(mine, found, ids[box])
        return ids

    out = list(abreast(mask, views, "Rendering masks"))
    return np.stack(out) if out else np.zeros((0, 0, 0), np.uint8)


def apart(boxes: list[np.ndarray]) -> list[int]:
    """A channel 0… for each box (2, 3) so that boxes which meet have different ones (greedy colouring, most neighbours first)."""
    low, high = np.array(boxes).reshape(-1, 2, 3).transpose(1, 0, 2)
    meet = np.all(low[:, None] <= high[None], axis=2) & np.all(low[None] <= high[:, None], axis=2)
    channels = [-1] * len(boxes)
    used = [0, 0, 0]
    for k in np.argsort(-meet.sum(axis=1), kind="stable"):
        taken = {channels[j] for j in np.flatnonzero(meet[k])}
        free = [c for c in range(len(used)) if c not in taken]
        if not free:
            used.append(0)
            free = [len(used) - 1]
        channels[k] = min(free, key=lambda c: used[c])  # spread, so that few share one
        used[channels[k]] += 1
    return channels
