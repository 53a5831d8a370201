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


def fill_by_pieces(
    picture: np.ndarray, known: np.ndarray, hole: np.ndarray, *, half: int = 9, candidates: int = 500, tone: float = 14.0
) -> np.ndarray:
    """`picture` (h, w, 3) uint8 with `hole` (h, w) bool filled from its rim inwards, square by square (Efros & Leung 1999).

    Each square of side 2·`half` + 1 continues what is known in it by the best of `candidates` squares spread evenly over
    `known`, shifted by at most `tone` grey levels. For holes too large or too long for `fill_by_copy`.
    """
    from scipy import ndimage

    side = 2 * half + 1
    sure = known & ~hole
    whole = ndimage.uniform_filter(sure.astype(np.float32), side, mode="constant") > 1 - 0.5 / side**2
    centres = np.argwhere(whole)
    if not len(centres):
        return fill_by_copy(picture, known, hole)
    centres = centres[np.linspace(0, len(centres) - 1, min(len(centres), 40 * candidates)).astype(int)]
    out = np.pad(picture.astype(np.float32), ((half, half), (half, half), (0, 0)))
    done, left = np.pad(sure, half), np.pad(hole, half)
    steps = np.arange(side)
    turn = 0
    while left.any():
        rim = left & ndimage.binary_dilation(done)
        if not rim.any():
            break
        count = ndimage.uniform_filter(done.astype(np.float32), side, mode="constant")
        at = np.unravel_index(np.argmax(np.where(rim, count, -1)), rim.shape)
        i, j = (int(np.clip(a, half, m - half - 1)) for a, m in zip(at, rim.shape))
        box = np.s_[i - half : i + half + 1, j - half : j + half + 1]
        there, wanted = done[box], left[box]
        some = centres[turn % 40 :: max(1, len(centres) // candidates)]
        turn += 7
        rows, cols = some[:, 0, None, None] + steps[None, :, None], some[:, 1, None, None] + steps[None, None, :]
        pieces = out[rows, cols]
        shift = np.clip((out[box][there] - pieces[:, there]).mean(axis=1), -tone, tone)
        cost = ((out[box][there] - pieces[:, there] - shift[:, None]) ** 2).mean(axis=(1, 2)) + (shift**2).mean(axis=1)
        best = int(np.argmin(cost))
        out[box][wanted] = (pieces[best] + shift[best])[wanted]
        done[box] |= wanted
        left[box] &= ~wanted
    inner = out[half:-half, half:-half]
    return np.clip(inner + 0.5, 0, 255).astype(np.uint8)
