"""The visible surface of one picture as flat Gaussians: one a pixel, larger ones where colour and surface are plain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim.poses import matrix_to_quat
from phone2sim.reconstruct.photo.plane import rays
from phone2sim.reconstruct.splat.cloud import SH_C0, SplatCloud

BLOCKS = (8, 4, 2, 1)
"""Sides of the squares of pixels [px] that may share a Gaussian, coarse to fine."""
SIGMA = {8: 0.6, 4: 0.6, 2: 0.6, 1: 0.4}
"""Standard deviation of a Gaussian in units of its square; a single pixel is widened by the rasteriser's own blur."""
JUMP = 0.03
"""Relative step of the depth that separates two surfaces."""
RAMP = 0.015
"""Relative step of the depth on both sides of a pixel that lies between two surfaces."""
STEEPEST = 5.0
"""A surface seen at a grazing angle is stretched no more than this along the view."""


@dataclass(frozen=True, kw_only=True)
class Patches:
    """Squares of a picture that a Gaussian each stands for."""

    uv: np.ndarray
    """(n, 2) centre [px]."""
    side: np.ndarray
    """(n,) [px]."""
    inverse: np.ndarray
    """(n,) inverse depth at the centre [1/m]."""
    slope: np.ndarray
    """(n, 2) its change along u and v [1/m/px]."""
    rgb: np.ndarray
    """(n, 3) mean colour, 0–1."""


def resized(depth: np.ndarray, width: int, height: int) -> np.ndarray:
    """A depth map at another size: smooth inside surfaces, never mixed across their borders, 0 stays 0."""
    import cv2

    if depth.shape == (height, width):
        return np.asarray(depth, np.float32)
    near = cv2.resize(np.asarray(depth, np.float32), (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    inverse = np.where(depth > 0, 1 / np.maximum(depth, 1e-6), 0).astype(np.float32)
    how = cv2.INTER_AREA if width < depth.shape[1] else cv2.INTER_LINEAR
    smooth = cv2.resize(inverse, (width, height), interpolation=how)
    known = cv2.resize((depth > 0).astype(np.float32), (width, height), interpolation=how) > 0.999
    smooth = np.where(smooth > 0, 1 / np.maximum(smooth, 1e-9), 0)
    return np.where(known & (np.abs(smooth - near) < 0.5 * JUMP * near), smooth, near).astype(np.float32)


def slopes(inverse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Change of the inverse depth (h, w) along u and v, each the smaller of the two one-sided differences."""
    out = []
    for axis in (1, 0):
        a = np.moveaxis(inverse, axis, 0)
        step = np.diff(a, axis=0)
        ahead, behind = np.concatenate([step, step[-1:]]), np.concatenate([step[:1], step])
        out.append(np.moveaxis(np.where(np.abs(ahead) < np.abs(behind), ahead, behind), 0, axis))
    return out[0], out[1]


def flying(depth: np.ndarray) -> np.ndarray:
    """(h, w) bool: pixels between two surfaces, whose depth is a mixture of both."""
    out = np.zeros(depth.shape, bool)
    for axis in (0, 1):
        d, o = np.moveaxis(depth, axis, 0), np.moveaxis(out, axis, 0)
        before, after = d[1:-1] - d[:-2], d[2:] - d[1:-1]
        limit = RAMP * d[1:-1]
        o[1:-1] |= (np.abs(before) > limit) & (np.abs(after) > limit) & (before * after > 0)
    return out & (depth > 0)


def settled(depth: np.ndarray) -> np.ndarray:
    """The depth with its flying pixels laid onto the nearest surface beside them in the picture."""
    from scipy import ndimage

    loose = flying(depth)
    if not loose.any() or not ((depth > 0) & ~loose).any():
        return depth
    i, j = ndimage.distance_transform_edt(loose | (depth <= 0), return_distances=False, return_indices=True)
    return np.where(loose, depth[i, j], depth)


def patches(rgb: np.ndarray, depth: np.ndarray, *, plain: float = 0.045, flat: float = 0.0025) -> Patches:
    """Squares over all pixels with depth. A square is one patch where its colours span less than `plain` and its
    inverse depth is affine to within the relative `flat`.

    rgb: (h, w, 3) in 0–1; depth: (h, w) [m].
    """
    h, w = depth.shape
    H, W = -(-h // BLOCKS[0]) * BLOCKS[0], -(-w // BLOCKS[0]) * BLOCKS[0]
    pad = ((0, H - h), (0, W - w))
    z = np.pad(settled(depth).astype(np.float64), pad)
    color = np.pad(rgb.astype(np.float64), (*pad, (0, 0)))
    free = z > 0
    q = np.where(z > 0, 1 / np.where(z > 0, z, 1), 0)
    rows = []
    for s in BLOCKS:
        ny, nx = H // s, W // s

        def blocks(a: np.ndarray, s: int = s, ny: int = ny, nx: int = nx) -> np.ndarray:
            return a.reshape(ny, s, nx, s, -1).transpose(0, 2, 1, 3, 4).reshape(ny * nx, s * s, -1)

        ok = blocks(free)[..., 0].all(axis=1)
        if s == 1:
            qu, qv = slopes(np.where(q[:h, :w] > 0, q[:h, :w], np.nan))
            limit = (STEEPEST / 2) * np.abs(q[:h, :w]) * 4 / max(h, w)
            fit = np.stack([np.pad(np.clip(np.nan_to_num(g), -limit, limit), pad).ravel() for g in (qu, qv)], axis=1)
            middle = q.ravel()
        else:
            v, u = np.mgrid[:s, :s] - (s - 1) / 2
            A = np.column_stack([np.ones(s * s), u.ravel(), v.ravel()])
            values = blocks(q)[..., 0]
            coefficients = values @ np.linalg.pinv(A).T
            off = np.abs(values - coefficients @ A.T).max(axis=1)
            c = blocks(color)
            ok &= (np.ptp(c, axis=1).max(axis=1) < plain) & (off < flat * np.abs(coefficients[:, 0]))
            middle, fit = coefficients[:, 0], coefficients[:, 1:]
        k = np.flatnonzero(ok)
        uv = np.stack([(k % nx) * s + s / 2, (k // nx) * s + s / 2], axis=1)
        rows.append((uv, np.full(len(k), float(s)), middle[k], fit[k], blocks(color)[k].mean(axis=1)))
        used = np.repeat(np.repeat(ok.reshape(ny, nx), s, axis=0), s, axis=1)
        free &= ~used
    uv, side, inverse, slope, mean = (np.concatenate(c) for c in zip(*rows))
    return Patches(uv=uv, side=side, inverse=inverse, slope=slope, rgb=mean)


def cloud_of(p: Patches, K: np.ndarray, T_world_camera: np.ndarray, *, opacity: float = 0.93) -> SplatCloud:
    """Flat Gaussians that cover the patches, in the world of the camera."""
    ray = np.column_stack([(p.uv[:, 0] - K[0, 2]) / K[0, 0], (p.uv[:, 1] - K[1, 2]) / K[1, 1], np.ones(len(p.uv))])
    z = 1 / p.inverse
    points = ray * z[:, None]
    tangents = []
    for axis in range(2):
        direction = np.zeros(3)
        direction[axis] = 1 / K[axis, axis]
        t = direction * z[:, None] - ray * (p.slope[:, axis] * z**2)[:, None]
        longest = STEEPEST * z / K[axis, axis]
        length = np.linalg.norm(t, axis=1)
        tangents.append(t * np.minimum(1, longest / np.maximum(length, 1e-12))[:, None])
    sigma = p.side * np.array([SIGMA[int(s)] for s in p.side])
    M = sigma[:, None, None] * np.stack(tangents, axis=2)  # (n, 3, 2)
    U, S, _ = np.linalg.svd(M, full_matrices=False)
    normal = np.cross(U[:, :, 0], U[:, :, 1])
    R = T_world_camera[:3, :3] @ np.concatenate([U, normal[:, :, None]], axis=2)
    thin = np.maximum(0.1 * S[:, 1], 2e-4 * z)
    return SplatCloud(
        means=points @ T_world_camera[:3, :3].T + T_world_camera[:3, 3], quats_wxyz=matrix_to_quat(R),
        scales=np.column_stack([S, thin]), opacities=np.full(len(z), opacity), sh=((p.rgb - 0.5) / SH_C0)[:, None],
    )  # fmt: skip


def sharpened(
    cloud: SplatCloud, p: Patches, rgb: np.ndarray, K: np.ndarray, T_camera_world: np.ndarray, *, rounds: int = 4
) -> tuple[SplatCloud, np.ndarray]:
    """Colours corrected by what the picture (h, w, 3) 0–1 has and the render lacks; the cloud and its last render."""
    from dataclasses import replace

    from phone2sim.reconstruct.splat.rasterize import rasterize

    h, w = rgb.shape[:2]
    sums = _Squares(p, h, w)
    color = p.rgb.copy()
    shown = rasterize(cloud, K=K, T_camera_world=T_camera_world, width=w, height=h).rgb
    for _ in range(rounds):
        color = np.clip(color + 0.8 * sums.mean(rgb - shown), 0, 1)
        cloud = replace(cloud, sh=((color - 0.5) / SH_C0)[:, None])
        shown = rasterize(cloud, K=K, T_camera_world=T_camera_world, width=w, height=h).rgb
    return cloud, np.asarray(shown)


class _Squares:
    """Means of a picture over patches, by a summed-area table."""

    def __init__(self, p: Patches, h: int, w: int) -> None:
        u, v, s = p.uv[:, 0], p.uv[:, 1], p.side
        self.u0, self.u1 = np.clip(u - s / 2, 0, w).astype(int), np.clip(u + s / 2, 0, w).astype(int)
        self.v0, self.v1 = np.clip(v - s / 2, 0, h).astype(int), np.clip(v + s / 2, 0, h).astype(int)

    def mean(self, picture: np.ndarray) -> np.ndarray:
        table = np.pad(picture.astype(np.float64), ((1, 0), (1, 0), (0, 0))).cumsum(axis=0).cumsum(axis=1)
        total = table[self.v1, self.u1] - table[self.v0, self.u1] - table[self.v1, self.u0] + table[self.v0, self.u0]
        return total / np.maximum((self.u1 - self.u0) * (self.v1 - self.v0), 1)[:, None]


def sample_points(
    rgb: np.ndarray, depth: np.ndarray, K: np.ndarray, T_world_camera: np.ndarray, *, limit: int = 20_000
) -> tuple[np.ndarray, np.ndarray]:
    """At most `limit` coloured points (n, 3) [m] and (n, 3) uint8 of the picture, on an even raster."""
    rows = np.flatnonzero((depth > 0) & ~flying(depth))
    rows = rows[:: max(1, -(-len(rows) // limit))]
    p = (rays(K, depth.shape) * depth[..., None]).reshape(-1, 3)[rows]
    return p @ T_world_camera[:3, :3].T + T_world_camera[:3, 3], rgb.reshape(-1, 3)[rows]
