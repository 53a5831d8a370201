"""Stand-ins with the interface of the package's predictor and generator, that know the true masks of their pictures."""

from __future__ import annotations

import numpy as np


class PerfectPredictor:
    """Returns the true mask of what its prompt means: the object under the first positive point, else that fills the box.

    `truth` maps a picture's bytes to its id map. Of the three masks the true one is neither the first nor the best scored.
    """

    def __init__(self, pictures: list[np.ndarray], ids: list[np.ndarray]) -> None:
        self._truth = {p.tobytes(): i for p, i in zip(pictures, ids)}
        self.asked: list[dict] = []
        self.looked = 0

    def set_image(self, image: np.ndarray) -> None:
        self.looked += 1
        self.features = image.tobytes()

    def predict(self, point_coords=None, point_labels=None, box=None, multimask_output=True):
        ids = self._truth[self.features]
        self.asked.append({"points": point_coords, "labels": point_labels, "box": box})
        h, w = ids.shape
        if point_coords is not None:
            assert len(point_coords) == len(point_labels) and point_labels[0] == 1
            x, y = np.clip(point_coords[0], 0, [w - 1, h - 1]).astype(int)
            k = ids[y, x]
        else:
            x0, y0, x1, y1 = np.round(box).astype(int)
            inside = ids[max(0, y0) : y1, max(0, x0) : x1]
            k = np.argmax(np.bincount(inside[inside > 0], minlength=1)) if (inside > 0).any() else 0
        whole = ids == k
        part = whole.copy()
        part[: h // 2] = False
        return np.stack([part, whole, np.ones_like(whole)]), np.array([0.7, 0.9, 0.5]), np.zeros((3, 4, 4))


class PerfectGenerator:
    """Masks of a whole picture: every object in two halves, the ground, and the whole picture."""

    def __init__(self, pictures: list[np.ndarray], ids: list[np.ndarray]) -> None:
        self._truth = {p.tobytes(): i for p, i in zip(pictures, ids)}

    def generate(self, image: np.ndarray) -> list[dict]:
        ids = self._truth[image.tobytes()]
        masks = [ids == 0, np.ones(ids.shape, bool)]
        for k in np.unique(ids[ids > 0]):
            v = np.nonzero(ids == k)[0]
            upper = (ids == k) & (np.arange(ids.shape[0])[:, None] < np.median(v))
            masks += [upper, (ids == k) & ~upper]
        return [{"segmentation": m, "predicted_iou": 0.9} for m in masks]


class Babbler(PerfectPredictor):
    """A predictor that is always wrong: a strip at the picture's left border."""

    def predict(self, **prompt):
        ids = self._truth[self.features]
        strip = np.zeros(ids.shape, bool)
        strip[:, :4] = True
        return np.stack([strip] * 3), np.array([0.99, 0.9, 0.8]), np.zeros((3, 4, 4))


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))
