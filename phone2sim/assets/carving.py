"""What the views say of a point in space: seen through, just behind a surface, hidden, or beside the object's silhouette."""

from __future__ import annotations

import numpy as np

from phone2sim.assets.views import View
from phone2sim.reconstruct.mesh.fusion import DOUBT

INSET = 0.7
"""How far [voxels] a splat's surface lies inside the real one: its Gaussians are as wide as a pixel, and end at the outline."""
BEHIND = 1.5, 3.0
"""Depth [voxels] behind a surface up to which a view vouches for matter, and from which it knows nothing."""


def slant(view: View) -> np.ndarray:
    """(h, w) float32 in 0.2–1: cosine between the line of sight and the normal of the rendered surface."""
    import cv2

    h, w = view.depth.shape
    u, v = np.meshgrid(np.arange(w, dtype=np.float32) + 0.5, np.arange(h, dtype=np.float32) + 0.5)
    K = view.K.astype(np.float32)
    ray = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones_like(u)], axis=-1)
    surface = ray * cv2.GaussianBlur(cv2.medianBlur(view.depth, 5), (5, 5), 1.0)[..., None]
    normal = np.cross(cv2.Sobel(surface, -1, 1, 0), cv2.Sobel(surface, -1, 0, 1))
    length = np.linalg.norm(normal, axis=-1) * np.linalg.norm(ray, axis=-1)
    return np.clip(np.abs((normal * ray).sum(axis=-1)) / np.maximum(length, 1e-20), 0.2, 1).astype(np.float32)


def seen_distance(
    points: np.ndarray, views: list[View], slants: list[np.ndarray], *, voxel: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Distance [m] to the surface, positive in seen free space, the number of views that vouch for it, whether that was
    doubted out of being free, and the sum of these views weighted by how squarely they see it, at points (n, 3).

    Distances along the ray are shortened by the surface's slant and cut at one voxel to either side, so that a view has a
    vote rather than an amount: cut on one side only, the scatter of slanted views moves flat faces outwards. What lies
    deeper than `BEHIND` is hidden, not solid, so the outside of a cup does not fill its inside. A point that few views see
    through while `1 / DOUBT` times as many have a surface before it is not free.
    """
    total, weight, count, hidden = (np.zeros(len(points), np.float32) for _ in range(4))
    near, far = (np.float32(b) for b in BEHIND)
    for view, cosine in zip(views, slants, strict=True):
        index, z, inside = view.pixels(points)
        d, c = view.depth.ravel()[index], cosine.ravel()[index]
        s = (d - z) * c / np.float32(voxel) - np.float32(INSET)
        known = inside & (d > 0)
        w = np.clip((s + far) / (far - near), 0, 1) * known * c
        total += w * np.clip(s, -1, 1)
        weight += w
        count += known & (s > -near)
        hidden += known & (s <= -far)
    mean = total / np.maximum(weight, 1e-3)
    doubt = np.minimum(DOUBT * hidden / np.maximum(count, 1), 2)
    doubted = (mean > 0) & (doubt >= 1)
    return (mean - doubt * np.maximum(mean, 0)) * np.float32(voxel), np.where(weight > 0.3, count, 0), doubted, weight


def silhouette_distance(points: np.ndarray, views: list[View], masks: list[np.ndarray], *, truncation: float, votes: int = 3) -> np.ndarray:
    """Distance [m] outside (+) or inside (−) the visual hull at world points (n, 3).

    A view says "outside" where the point projects beside the object's mask and the depth there lies behind the point,
    so a hole in a mask on the object's own surface cuts nothing; `votes` views must agree.
    """
    from scipy import ndimage

    top = np.full((votes, len(points)), -truncation, np.float32)
    for view, mask in zip(views, masks, strict=True):
        if not mask.any():
            continue
        index, z, inside = view.pixels(points)
        h, w = mask.shape
        rows, cols = index[inside] // w, index[inside] % w
        if not len(rows):
            continue
        box = np.s_[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1]
        part = mask[box]
        signed = np.full(mask.shape, -1e3 if part.all() else 1e3, np.float32)
        if part.any() and not part.all():
            out, within = ndimage.distance_transform_edt(~part), ndimage.distance_transform_edt(part)
            signed[box] = np.where(part, 0.5 - within, out - 0.5)
        d = view.depth.ravel()[index]
        metres = signed.ravel()[index] * z / view.K[0, 0]
        hidden = (d > 0) & (d < z + 0.5 * truncation) & (metres > 0)
        value = np.where(inside & ~hidden, np.clip(metres, -truncation, truncation), -truncation)
        for k in range(votes):
            higher = value > top[k]
            top[k], value = np.where(higher, value, top[k]), np.where(higher, top[k], value)
    return top[votes - 1]


def seen_at(points: np.ndarray, views: list[View], voxel: float) -> np.ndarray:
    """(n,) int: how many views have their visible surface at points (n, 3)."""
    count = np.zeros(len(points), int)
    for view in views:
        index, depth, inside = view.pixels(points)
        d = view.depth.ravel()[index]
        count += inside & (d > 0) & (np.abs(d - depth) < BEHIND[0] * voxel)
    return count
