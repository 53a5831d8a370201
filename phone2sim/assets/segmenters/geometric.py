"""The default segmenter: geometry has the only word, no weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from phone2sim.assets.labels import render_masks
from phone2sim.assets.segment import Cluster, Rejected
from phone2sim.assets.segmenters.base import Proposals, Segmentation, Surroundings
from phone2sim.assets.segmenters.prompts import LEAST_BOX, NEAR, Placed, box_overlap
from phone2sim.assets.views import View
from phone2sim.progress import message

FINAL = ("reaches the border of the region", "not on the support", "floats above the support")
"""Doubts that a user's finger does not remove: nothing could be closed on the support."""


class GeometricSegmenter:
    """Labels stay as proposed; the masks are the splat's own silhouettes."""

    name = "geometric"

    def segment(self, proposals: Proposals, views: list[View]) -> Segmentation:
        p = proposals
        return Segmentation(labels=p.labels, masks=render_masks(p.cloud, p.labels, p.boxes, views))

    def pointed(
        self, prompts: Sequence[Placed], clusters: list[Cluster], refused: list[Rejected], views: list[View], place: Surroundings
    ) -> tuple[list[Cluster], list[Rejected]]:
        """A refused cluster that the user points at is an object after all."""
        clusters, refused = list(clusters), list(refused)
        for p in prompts:
            r = meant(p, clusters, refused, views[p.view])
            if r is None:
                continue
            if r.reason in FINAL or r.points is None:
                message(f"{p.prompt} points at something that is no object: {r.reason}.")
                continue
            message(f"{p.prompt} points at something that was refused ({r.reason}); it is an object now.")
            refused = [x for x in refused if x is not r]
            clusters.append(Cluster(points=r.points, views=1))
        return clusters, refused


def meant(p: Placed, clusters: list[Cluster], refused: list[Rejected], view: View) -> Rejected | None:
    """The refused cluster that a prompt means rather than any of the accepted ones; None when there is none."""
    candidates: list[tuple[np.ndarray, Rejected | None]] = [(c.points, None) for c in clusters]
    candidates += [(r.points, r) for r in refused if r.points is not None]
    best: tuple[float, Rejected | None] = (0.0, None)
    for points, r in candidates:
        score = _hit(p, points, view)
        if score > best[0]:
            best = score, r
    return best[1]


def nearness(p: Placed, clusters: list[Cluster], refused: list[Rejected], view: View) -> float:
    """How well a prompt means any of these, 0–1."""
    points = [c.points for c in clusters] + [r.points for r in refused if r.points is not None]
    return max((_hit(p, q, view) for q in points), default=0.0)


def _hit(p: Placed, points: np.ndarray, view: View) -> float:
    """How well a cluster's visible points answer to a prompt; 0 for not at all."""
    index, z, inside = view.pixels(points)
    d = view.depth.ravel()[index]
    front = inside & (d > 0) & (np.abs(d - z) < 0.01 * z + 0.004)
    if front.sum() < 4:
        return 0.0
    u, v, _ = view.project(points[front])
    if p.is_box:
        own = np.array([u.min(), v.min(), u.max(), v.max()], float) + [-0.5, -0.5, 0.5, 0.5]
        score = box_overlap(own, p.xy)
        return score if score > LEAST_BOX else 0.0
    far = float(np.hypot(u - p.xy[0], v - p.xy[1]).min())
    limit = NEAR * max(view.depth.shape)
    return 1 - far / limit if far < limit else 0.0
