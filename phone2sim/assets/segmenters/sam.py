"""Segment Anything as a segmenter: prompted by the geometric silhouettes, by the user, or automatically.

Kirillov et al., Segment Anything, 2023; Ravi et al., SAM 2, 2024. Works through the packages' own predictors and automatic
mask generators.
Where its mask and the geometric silhouette disagree altogether, geometry keeps the word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from phone2sim.assets.segment import Cluster, Rejected
from phone2sim.assets.segmenters.base import Proposals, Segmentation, Surroundings
from phone2sim.assets.segmenters.geometric import GeometricSegmenter
from phone2sim.assets.segmenters.grow import cluster_silhouettes, grow, overlap, without
from phone2sim.assets.segmenters.prompts import Placed
from phone2sim.assets.segmenters.votes import ABSTAIN, fuse
from phone2sim.assets.views import View, spread
from phone2sim.progress import message, track

LEAST_AGREEMENT = 0.5
"""Least intersection over union of a mask with the silhouette that it was prompted by."""
LEAST_FUSED = 0.7
"""The same with the silhouette of the splat's Gaussians that all pictures voted for, from which a picture keeps its own mask."""
SAME = 0.6
"""Intersection over union from which what the user points at is the object geometry had found."""
LEAST_PIXELS = 30
"""Silhouettes smaller than this are no prompt [px]."""
_KEPT = ("features", "original_size", "input_size", "is_image_set", "_features", "_orig_hw", "_is_image_set")
"""What a predictor holds of a picture: `SamPredictor`, and SAM 2's `SAM2ImagePredictor`."""


class SamSegmenter:
    """Refines every object's masks in some of the pictures, then lets these vote on the splat's labels.

    `predictor` is a `SamPredictor`, or any with its `set_image` and `predict`, such as SAM 2's `SAM2ImagePredictor`; with `generator`,
    a `SamAutomaticMaskGenerator` or SAM 2's, its masks are chosen from instead.
    Pictures that were looked at are remembered, as embedding them is nearly all of the work.
    """

    def __init__(self, predictor: Any, *, generator: Any = None, max_views: int = 24) -> None:
        self._predictor = predictor
        self._generator = generator
        self._max_views = max_views
        self._looked: dict[str, Any] = {}

    @classmethod
    def of(cls, sam: Any, *, automatic: bool = False, max_views: int = 24) -> SamSegmenter:
        """From a loaded `segment_anything.modeling.Sam`, or SAM 2's `SAM2Base`."""
        kinds: tuple[Any, Any]
        if type(sam).__module__.partition(".")[0] == "sam2":
            from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator
            from sam2.sam2_image_predictor import SAM2ImagePredictor

            kinds = SAM2ImagePredictor, SAM2AutomaticMaskGenerator
        else:
            from segment_anything import SamAutomaticMaskGenerator, SamPredictor

            kinds = SamPredictor, SamAutomaticMaskGenerator
        predictor, generator = kinds
        return cls(predictor(sam), generator=generator(sam, points_per_side=24) if automatic else None, max_views=max_views)

    @property
    def name(self) -> str:
        return "sam" if self._generator is None else "sam-automatic"

    def segment(self, proposals: Proposals, views: list[View]) -> Segmentation:
        silhouettes = GeometricSegmenter().segment(proposals, views).masks
        if not proposals.boxes:
            return Segmentation(labels=proposals.labels, masks=silhouettes)
        known = [i for i, v in enumerate(views) if v.name in self._looked]
        some = known[: self._max_views] or [int(i) for i in spread(len(views), self._max_views)]
        ids = [self.refine(views[i].photo, silhouettes[i], name=views[i].name) for i in track(some, f"Masks by {self.name}")]
        labels = fuse(proposals, [views[i] for i in some], ids)
        rest = Proposals(cloud=proposals.cloud, labels=labels, boxes=proposals.boxes, floor_z=proposals.floor_z)
        fused = GeometricSegmenter().segment(rest, views).masks.copy()
        for i, picture in zip(some, ids):
            fused[i] = settle(fused[i], resize_ids(picture, fused.shape[2], fused.shape[1]))
        return Segmentation(labels=labels, masks=fused)

    def refine(self, photo: np.ndarray, ids: np.ndarray, *, name: str) -> np.ndarray:
        """Id map (h, w) uint8 at the photo's size from silhouettes `ids` of any size; `ABSTAIN` around objects whose mask
        disagrees with their silhouette. `name` tells pictures apart."""
        h, w = photo.shape[:2]
        near = resize_ids(ids, w, h)
        objects = [int(k) for k in np.unique(near[near > 0])]
        if not objects:
            return near
        offered = self._automatic(photo, name) if self._generator is not None else None
        if offered is None:
            self._look(photo, name)
        found: dict[int, tuple[float, np.ndarray]] = {}
        for k in objects:
            silhouette = near == k
            if silhouette.sum() < LEAST_PIXELS:
                continue
            masks = self._ask(*prompt_for(near, k))[0] if offered is None else assemble(offered, silhouette)
            mask, agreement = best_mask(masks, silhouette)
            if agreement >= LEAST_AGREEMENT:
                found[k] = agreement, mask
        return compose(near, found)

    def pointed(
        self, prompts: Sequence[Placed], clusters: list[Cluster], refused: list[Rejected], views: list[View], place: Surroundings
    ) -> tuple[list[Cluster], list[Rejected]]:
        """What the user points at is cut out by its own masks where geometry sees something else there, or nothing."""
        clusters, refused = list(clusters), list(refused)
        for p in prompts:
            view = views[p.view]
            silhouettes = cluster_silhouettes(view, clusters, place)
            mask = self._mask_at(p, view, silhouettes)
            if mask is not None and max((overlap(mask, silhouettes == k + 1) for k in range(len(clusters))), default=0) >= SAME:
                continue  # geometry found the same
            others = [int(i) for i in spread(len(views), self._max_views)]
            grown = None if mask is None else grow(p.view, mask, views, others, place, self._continued)
            if grown is None:
                clusters, refused = GeometricSegmenter().pointed([p], clusters, refused, views, place)
                continue
            message(f"{p.prompt}: cut out of {grown.views} pictures by {self.name}.")
            low, high = grown.bounds
            clusters = [*without(clusters, grown, place), grown]
            refused = [r for r in refused if not ((r.centre > low) & (r.centre < high)).all()]
        return clusters, refused

    def _mask_at(self, p: Placed, view: View, silhouettes: np.ndarray) -> np.ndarray | None:
        """(h, w) bool at the depth's size: what the user's own prompt cuts out; None when it is nothing."""
        h, w = view.depth.shape
        s = np.array([view.photo.shape[1] / w, view.photo.shape[0] / h])
        self._look(view.photo, view.name)
        if p.is_box:
            masks, scores = self._ask(p.xy * np.tile(s, 2), np.zeros((0, 2)), np.zeros(0, int))
            middle = (p.xy[:2] + p.xy[2:]) / 2
        else:
            masks, scores = self._ask(None, (p.xy * s)[None], np.ones(1, int))
            middle = p.xy
        small = np.stack([resize_ids(m.astype(np.uint8), w, h) > 0 for m in masks])
        x, y = np.clip(middle, 0, [w - 1, h - 1]).astype(int)
        under = silhouettes == silhouettes[y, x] if silhouettes[y, x] else np.zeros((h, w), bool)
        agree = [overlap(m, under) for m in small]
        if max(agree) >= SAME:
            return np.asarray(small[int(np.argmax(agree))])
        good = [i for i, m in enumerate(small) if m.sum() >= LEAST_PIXELS and (p.is_box or m[y, x])]
        return np.asarray(small[max(good, key=lambda i: float(scores[i]))]) if good else None

    def _continued(self, view: View, visible: np.ndarray) -> list[tuple[float, np.ndarray]]:
        """Masks (h, w) bool at the depth's size of the thing whose known part is `visible` (h, w) bool, with their scores."""
        h, w = visible.shape
        s = np.array([view.photo.shape[1] / w, view.photo.shape[0] / h])
        self._look(view.photo, view.name)
        points = deep_points(visible, 3) * s
        masks, scores = self._ask(None, points, np.ones(len(points), int))
        return [(float(q), resize_ids(m.astype(np.uint8), w, h) > 0) for m, q in zip(masks, scores)]

    def _look(self, photo: np.ndarray, name: str) -> None:
        kept = self._looked.get(name)
        if kept:
            for key, value in kept.items():
                setattr(self._predictor, key, value)
            return
        self._predictor.set_image(photo)
        self._looked[name] = {k: getattr(self._predictor, k) for k in _KEPT if hasattr(self._predictor, k)}

    def _ask(self, box: np.ndarray | None, points: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        masks, scores, _ = self._predictor.predict(
            point_coords=points if len(points) else None, point_labels=labels if len(points) else None, box=box,
            multimask_output=True,
        )  # fmt: skip
        return np.asarray(masks, bool), np.asarray(scores)

    def _automatic(self, photo: np.ndarray, name: str) -> list[np.ndarray]:
        key = f"{name} automatic"
        if key not in self._looked:
            rows = self._generator.generate(photo)
            self._looked[name] = {}
            self._looked[key] = [np.packbits(np.asarray(r["segmentation"], bool)) for r in rows]
        shape = photo.shape[:2]
        return [np.unpackbits(m, count=shape[0] * shape[1]).reshape(shape).astype(bool) for m in self._looked[key]]


def prompt_for(ids: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Box (4,), points (m, 2) [px] and their labels (1 on object `k`, 0 on its neighbours) for its silhouette in `ids`."""
    mask = ids == k
    v, u = np.nonzero(mask)
    pad = 0.02 * max(np.ptp(u), np.ptp(v))
    h, w = ids.shape
    box = np.array([max(0, u.min() - pad), max(0, v.min() - pad), min(w, u.max() + 1 + pad), min(h, v.max() + 1 + pad)])
    inside = deep_points(mask, 2)
    outside = []
    for other in np.unique(ids[(ids > 0) & (ids != k) & (ids != ABSTAIN)]):
        point = deep_points(ids == other, 1)[0]
        if (point > box[:2]).all() and (point < box[2:]).all():
            outside.append(point)
    points = np.concatenate([inside, np.reshape(outside, (-1, 2))])
    return box, points, np.repeat([1, 0], [len(inside), len(outside)])


def deep_points(mask: np.ndarray, count: int) -> np.ndarray:
    """(m ≤ count, 2) pixel centres well inside a mask and far from each other, the deepest first."""
    import cv2

    padded = np.pad(mask.astype(np.uint8), 1)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    out: list[np.ndarray] = []
    least = 0.4 * float(depth.max())
    v, u = np.mgrid[: mask.shape[0], : mask.shape[1]]
    for _ in range(count):
        j = int(np.argmax(depth))
        if out and depth.ravel()[j] < least:
            break
        y, x = divmod(j, mask.shape[1])
        out.append(np.array([x + 0.5, y + 0.5]))
        depth = np.minimum(depth, np.hypot(u - x, v - y).astype(np.float32) / 2)
    return np.array(out)


def best_mask(masks: Sequence[np.ndarray] | np.ndarray, silhouette: np.ndarray) -> tuple[np.ndarray, float]:
    """The mask that agrees best with a silhouette, and its intersection over union with it."""
    scores = [overlap(m, silhouette) for m in masks]
    if not scores:
        return np.zeros_like(silhouette), 0.0
    best = int(np.argmax(scores))
    return np.asarray(masks[best]), scores[best]


def assemble(masks: list[np.ndarray], silhouette: np.ndarray) -> list[np.ndarray]:
    """Candidates for a silhouette among masks of a whole picture: the best one, and the union of parts mostly inside it
    that agrees best, surest parts first."""
    inside = [(m & silhouette).sum() / max(1, m.sum()) for m in masks]
    union, score = np.zeros_like(silhouette), 0.0
    for j in sorted((j for j, share in enumerate(inside) if share > 0.5), key=lambda j: -inside[j]):
        more = union | masks[j]
        if (s := overlap(more, silhouette)) > score:
            union, score = more, s
    best, own = best_mask(masks, silhouette)
    return [m for m, s in ((best, own), (union, score)) if s]


def compose(ids: np.ndarray, found: dict[int, tuple[float, np.ndarray]]) -> np.ndarray:
    """One id map of the masks `{id: (agreement, mask)}`: where masks overlap, the silhouette's own object has it, else the
    surer one; silhouettes without a mask become `ABSTAIN`, with a rim."""
    import cv2

    out = np.zeros(ids.shape, np.uint8)
    claims = np.zeros(ids.shape, np.uint8)
    for k in sorted(found, key=lambda k: found[k][0]):
        out[found[k][1]] = k
        claims += found[k][1]
    for k, (_, mask) in found.items():
        out[(claims > 1) & mask & (ids == k)] = k
    lost = np.isin(ids, [k for k in np.unique(ids) if k and k not in found])
    if lost.any():
        width = max(3, round(0.01 * max(ids.shape)))
        rim = cv2.dilate(lost.astype(np.uint8), np.ones((2 * width + 1, 2 * width + 1), np.uint8)) > 0
        out[lost | (rim & (out == 0))] = ABSTAIN
    return out


def settle(fused: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The ids of one picture: what it says itself, `own`, of every object where that is also what all pictures together
    say, `fused`; else what they say. Its own borders are the finer ones."""
    found = {}
    for k in (int(k) for k in np.unique(fused[fused > 0])):
        agreement = overlap(own == k, fused == k)
        found[k] = (agreement, own == k) if agreement >= LEAST_FUSED else (0.0, fused == k)
    return compose(fused, found)


def resize_ids(ids: np.ndarray, w: int, h: int) -> np.ndarray:
    """An id map at another size, by the nearest pixel."""
    import cv2

    if ids.shape == (h, w):
        return ids
    return np.asarray(cv2.resize(ids, (w, h), interpolation=cv2.INTER_NEAREST_EXACT))
