"""Truncated signed distance fusion of rendered depth (Curless & Levoy 1996) on a dense grid evaluated only where seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phone2sim.progress import abreast
from phone2sim.reconstruct.mesh.view import View

DOUBT = 0.12
"""Weight of a view that has a surface before a point, against one that sees through it."""
AT_ONCE = 100_000
"""Points that are asked about in one go."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A box of cubic voxels; values live on its nodes `origin + voxel * (i, j, k)`."""

    origin: np.ndarray
    """(3,) world [m]."""
    voxel: float
    """Edge [m]."""
    shape: tuple[int, int, int]

    @classmethod
    def around(cls, low: np.ndarray, high: np.ndarray, voxel: float, *, limit: int = 40_000_000) -> Grid:
        """Nodes covering low–high [m]; the voxel grows when there would be more than `limit` nodes."""
        size = np.asarray(high, float) - low
        voxel = max(voxel, float(np.cbrt(np.prod(size + voxel) / limit)))
        nx, ny, nz = (int(n) for n in np.ceil(size / voxel) + 1)
        return cls(origin=np.asarray(low, float), voxel=voxel, shape=(nx, ny, nz))

    def points(self, flat: np.ndarray | None = None) -> np.ndarray:
        """(n, 3) float32 node positions of flat indices, or of all nodes in C order; column-major in memory."""
        if flat is None:
            flat = np.arange(np.prod(self.shape))
        ijk = np.stack(np.unravel_index(flat, self.shape)).astype(np.float32)
        ijk *= np.float32(self.voxel)
        ijk += self.origin.astype(np.float32)[:, None]
        return ijk.T

    def index(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Flat index of the nearest node of points (n, 3), and whether each lies in the grid."""
        ijk = np.round((points - self.origin) / self.voxel).astype(np.int64)
        ok = ((ijk >= 0) & (ijk < self.shape)).all(axis=1)
        ijk = np.where(ok[:, None], ijk, 0)
        return np.asarray(np.ravel_multi_index(ijk.T, self.shape)), ok


@dataclass(frozen=True, kw_only=True)
class Field:
    """Fused distances on a grid's band: positive in seen free space, negative behind the surface."""

    grid: Grid
    nodes: np.ndarray
    """(m,) sorted flat indices of evaluated nodes."""
    tsdf: np.ndarray
    """(m,) float32 mean truncated distance [m]."""
    weight: np.ndarray
    """(m,) number of views that saw the node."""

    def dense(self, *, unseen: float, min_weight: int = 1) -> np.ndarray:
        """(shape) float32 with `unseen` where fewer than `min_weight` views looked."""
        out = np.full(int(np.prod(self.grid.shape)), unseen, np.float32)
        ok = self.weight >= min_weight
        out[self.nodes[ok]] = self.tsdf[ok]
        return out.reshape(self.grid.shape)


def integrate(
    points: np.ndarray, views: Sequence[View], *, truncation: float, free_m: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean truncated distance [m] and number of observing views at world points (n, 3).

    `free_m` [m] clips what a view may say for free space: a splat errs by seeing too deep far more often than too near, so
    a low clip keeps a third of wrong views from denting a surface. A point that few views see through while `1 / DOUBT` times as many have a surface before it is not free: single
    wrong depths do not bore holes.
    """
    free = truncation if free_m is None else free_m

    def some(first: int) -> tuple[np.ndarray, np.ndarray]:
        part = points[first : first + AT_ONCE]
        total, count, hidden = (np.zeros(len(part), np.float32) for _ in range(3))
        for view in views:
            index, z, inside = view.pixels(part)
            d = view.depth.ravel()[index]
            s = d - z
            seen = inside & (d > 0) & (s > -truncation)
            total += np.where(seen, np.minimum(s, free), np.float32(0))
            count += seen
            hidden += inside & (d > 0) & (s <= -truncation)
        mean = total / np.maximum(count, 1)
        doubt = np.minimum(DOUBT * hidden / np.maximum(count, 1), 2)
        return mean - doubt * np.maximum(mean, 0), count

    parts = list(abreast(some, range(0, max(len(points), 1), AT_ONCE), "Fusing depth"))
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def fuse(views: list[View], low: np.ndarray, high: np.ndarray, *, voxel: float, band: int = 3) -> Field:
    """Fuse all views' depth over the box low–high [m] within `band` voxels of any seen surface point."""
    grid = Grid.around(low, high, voxel)
    hit = np.zeros(int(np.prod(grid.shape)), bool)

    def nodes_of(view: View) -> np.ndarray:
        flat, ok = grid.index(view.unproject())
        return flat[ok]

    for flat in abreast(nodes_of, views, "Gathering depth"):
        hit[flat] = True
    near = dilate(hit.reshape(grid.shape), band)
    nodes = np.flatnonzero(near)
    tsdf, weight = integrate(grid.points(nodes), views, truncation=(band + 1) * grid.voxel)
    return Field(grid=grid, nodes=nodes, tsdf=tsdf, weight=weight)


@dataclass(frozen=True, kw_only=True)
class SparseField:
    """Fused distances at integer nodes `voxel * ijk` of the whole world, known near seen surfaces only."""

    voxel: float
    """Edge [m]."""
    ijk: np.ndarray
    """(m, 3) int64, sorted by i, then j, then k."""
    tsdf: np.ndarray
    """(m,) float32 mean truncated distance [m]: positive in seen free space, negative behind the surface."""
    weight: np.ndarray
    """(m,) number of views that saw the node."""


def fuse_sparse(views: list[View], *, voxel: float, band: int = 2, free_m: float | None = None) -> SparseField:
    """Fuse all views' depth, wherever it is, within `band` voxels of seen surface points; `free_m` [m] as in `integrate`."""
    span = 1 << 20

    def keys_of(view: View) -> np.ndarray:
        ijk = np.round(view.unproject() / voxel).astype(np.int64) + span // 2
        ijk = ijk[((ijk > band) & (ijk < span - band)).all(axis=1)]
        return np.unique((ijk[:, 0] * span + ijk[:, 1]) * span + ijk[:, 2])

    hits = list(abreast(keys_of, views, "Gathering depth"))
    keys = np.unique(np.concatenate(hits)) if hits else np.zeros(0, np.int64)
    for stride in (1, span, span * span):
        keys = np.unique(np.concatenate([keys + step * stride for step in range(-band, band + 1)]))
    ijk = np.stack([keys // (span * span), keys // span % span, keys % span], axis=1) - span // 2
    points = np.asfortranarray((ijk * voxel).astype(np.float32))
    tsdf, weight = integrate(points, views, truncation=(band + 2) * voxel, free_m=free_m)
    return SparseField(voxel=voxel, ijk=ijk, tsdf=tsdf, weight=weight)


def dilate(mask: np.ndarray, n: int) -> np.ndarray:
    """Binary dilation by a cube (any dimension) of half-width `n`."""
    out = mask.copy()
    for axis in range(mask.ndim):
        for _ in range(n):
            a = out.swapaxes(0, axis)
            b = a.copy()
            b[1:] |= a[:-1]
            b[:-1] |= a[1:]
            out = b.swapaxes(0, axis)
    return out
