"""Filling a hole in a picture of the ground: a well-fitting piece of the same ground is copied and its tone adapted."""

from __future__ import annotations

import numpy as np


def fill_by_copy(picture: np.ndarray, known: np.ndarray, hole: np.ndarray, *, ring: int = 6, candidates: int = 600) -> np.ndarray:
    """`picture` (h, w, 3) uint8 with `hole` (h, w) bool filled, one connected hole at a time.

    The piece is the translation whose surroundings match the hole's ring best among `candidates` on a spiral; the
    remaining difference on the ring is spread smoothly over it (as in Pérez et al. 2003). Where no translation lies
    inside `known`, colours are diffused from the rim (Telea 2004).
    """
    import cv2
    from scipy import ndimage

    sure = known & ~hole
    # Specks nobody saw take their neighbour's colour, so that they do not spoil every source.
    far, nearest = ndimage.distance_transform_edt(~sure, return_indices=True)
    out = picture[tuple(nearest)]
    out[far > 3] = picture[far > 3]
    sure = np.asarray(far <= 3) & ~hole
    picture = out.copy()
    labels, count = ndimage.label(ndimage.binary_dilation(hole, iterations=2))
    for k in range(1, count + 1):
        own = hole & (labels == k)
        around = ndimage.binary_dilation(own, iterations=ring) & sure
        i, j = np.nonzero(own | around)
        is_ring = around[i, j]
        if not own.any() or is_ring.sum() < 8:
            continue
        best, offset = np.inf, None
        radius = max(np.ptp(i), np.ptp(j)) + ring
        for n in range(candidates):
            r = radius * (0.6 + 2.6 * np.sqrt(n / candidates))
            a = 2.399963 * n  # golden angle
            di, dj = round(r * np.cos(a)), round(r * np.sin(a))
            si, sj = i + di, j + dj
            if si.min() < 0 or sj.min() < 0 or si.max() >= hole.shape[0] or sj.max() >= hole.shape[1]:
                continue
            if not sure[si, sj].all():
                continue
            diff = picture[si[is_ring], sj[is_ring]].astype(np.float32) - out[i[is_ring], j[is_ring]]
            cost = float((diff**2).mean())
            if cost < best:
                best, offset = cost, (di, dj)
        if offset is None:
            grown = own.astype(np.uint8)
            out[own] = cv2.inpaint(np.where(sure[..., None], out, 0), (~sure).astype(np.uint8) | grown, 5.0, cv2.INPAINT_TELEA)[own]
            continue
        source = np.zeros_like(out, dtype=np.float32)
        source[i, j] = picture[i + offset[0], j + offset[1]]
        # The difference on the ring, diffused over the hole by normalised convolution.
        weight = around.astype(np.float32)
        sigma = max(2.0, radius / 4)
        spread = cv2.GaussianBlur(weight, (0, 0), sigma)
        tone = cv2.GaussianBlur((out - source) * weight[..., None], (0, 0), sigma) / np.maximum(spread, 1e-4)[..., None]
        out[own] = np.clip(source[own] + tone[own] + 0.5, 0, 255)
    return out
