"""How high low things lie above the support, told by the photos: laid onto the right height they agree (plane sweep, Collins 1996).

A pixel of parallax between the photos is about a pixel of height, so this tells a blade 2 mm high from the table, which the
depth of a splat does not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim.assets.support import Support
from phone2sim.assets.views import View, spread
from phone2sim.progress import abreast

MOST_VIEWS = 24
"""Photos compared; more add cost, not certainty."""
MOST_CELLS = 1_000_000
STEPS = np.array([1.2, 1.7, 2.4, 3.3, 4.6, 6.3, 8.7, 12.0, 16.0])
"""Heights tried above the ground [pixels on it]."""
WINDOWS = 5, 9
"""Sides [cells] of the squares in which photos are compared; the smallest that tells decides."""
LEAST_WINDOW = 3
"""The same where only two heights are compared."""
NOISE = 16.0
"""Variance between photos (of 0–255) that says nothing."""
TELLS = 0.5
"""Log of how much less photos must vary at one height than at the other."""


@dataclass(frozen=True, kw_only=True)
class Relief:
    """Heights on a raster of the support."""

    origin: np.ndarray
    """(2,) world position of the first cell's middle [m]."""
    cell: float
    """[m]."""
    height_m: np.ndarray
    """(nx, ny) float32 above the ground, of what `raised` shows."""
    sure: np.ndarray
    """(nx, ny) float32: how surely the photos show it raised (+) or flat (−); 0 where they do not tell."""
    picture: np.ndarray
    """(nx, ny, 3) uint8 mean of the photos, laid onto the height of what is raised nearby."""
    nearby: np.ndarray
    """(nx, ny) float32: the same comparison as `sure` with the height of what is raised nearby alone, in the smallest squares.
    Noisier, but it does not bleed over edges."""

    @property
    def raised(self) -> np.ndarray:
        """(nx, ny) bool."""
        return self.sure > TELLS

    @property
    def flat(self) -> np.ndarray:
        """(nx, ny) bool: surely ground."""
        return self.sure < -TELLS

    def points(self, mask: np.ndarray, z: np.ndarray) -> np.ndarray:
        """(k, 3) world [m]: the middles of the cells `mask` (nx, ny), as high as `z` (nx, ny) [m] says."""
        ij = np.argwhere(mask)
        return np.column_stack([self.origin + self.cell * ij, z[ij[:, 0], ij[:, 1]]])


def photo_relief(views: list[View], support: Support, *, origin: np.ndarray, cell: float, distance: float, most_m: float) -> Relief:
    """The relief inside the outline of `support`, whose rasters begin at `origin` (2,) [m] and have cells of `cell` [m].

    Only heights up to `most_m` are told, which depth does not tell from the ground; pixels that show anything higher are left
    out. Where the ground has no texture that says
    how it lies, the photos tell nothing. `distance` is the filming distance [m].
    """
    import cv2

    some = [views[i] for i in spread(len(views), MOST_VIEWS)]
    ij = np.argwhere(support.inside)
    low, high = origin + cell * ij.min(axis=0), origin + cell * ij.max(axis=0)
    pixel = distance / float(np.median([v.K[0, 0] * v.photo.shape[1] / v.depth.shape[1] for v in some]))
    fine = max(1.2 * pixel, float(np.sqrt(np.prod(high - low) / MOST_CELLS)))
    shape = (int((high[0] - low[0]) / fine) + 1, int((high[1] - low[1]) / fine) + 1)
    level = support.surface.height_m
    masks = [_low_pixels(v, level + most_m) for v in some]
    ground = _ground(some, masks, low, fine, shape, level=level, pixel=pixel)
    if ground is None:
        nothing = np.zeros(shape, np.float32)
        return Relief(origin=low, cell=fine, height_m=nothing, sure=nothing, nearby=nothing, picture=np.zeros((*shape, 3), np.uint8))
    flat, count, _ = variance(some, masks, low, fine, shape, ground)
    steps = pixel * STEPS[: max(4, int((pixel * STEPS < most_m).sum()) + 2)]
    laid = list(abreast(lambda h: variance(some, masks, low, fine, shape, ground + [0, 0, h]), steps.tolist(), "Looking for low parts"))
    height, sure = _compare(flat, [a[0] for a in laid], steps)
    sure[count < 3] = 0
    k = _step_nearby(steps, height, sure > TELLS)
    picture = np.take_along_axis(np.stack([a[2] for a in laid]), k[None, ..., None], axis=0)[0]
    least = [cv2.blur(a, (LEAST_WINDOW, LEAST_WINDOW)) + NOISE for a in (flat, np.take_along_axis(np.stack([a[0] for a in laid]), k[None], axis=0)[0])]
    nearby = np.where(count < 3, 0, np.log(least[0] / least[1]))
    return Relief(
        origin=low, cell=fine, height_m=height.T.copy(), sure=sure.T.copy(), nearby=nearby.T.copy(), picture=picture.swapaxes(0, 1).copy()
    )  # fmt: skip


def _step_nearby(steps: np.ndarray, height: np.ndarray, raised: np.ndarray) -> np.ndarray:
    """(ny, nx) int: of the `steps` the nearest to the height of the nearest raised cell."""
    from scipy import ndimage

    if not raised.any():
        return np.zeros(height.shape, int)
    i, j = ndimage.distance_transform_edt(~raised, return_distances=False, return_indices=True)
    return np.asarray(np.abs(height[i, j][..., None] - steps).argmin(axis=2))


def _compare(flat: np.ndarray, above: list[np.ndarray], steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Height [m] of least variance, and the log of how much more the photos vary on the ground, in the smallest window that tells."""
    import cv2

    height, sure = np.zeros(flat.shape, np.float32), np.zeros(flat.shape, np.float32)
    for side in WINDOWS:
        levels = np.stack([cv2.blur(a, (side, side)) for a in above])
        ratio = np.log((cv2.blur(flat, (side, side)) + NOISE) / (levels.min(axis=0) + NOISE))
        new = (np.abs(sure) <= TELLS) & (np.abs(ratio) > TELLS)
        sure[new], height[new] = ratio[new], _least(levels[:, new], steps)
    return height, sure


def _least(costs: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """(n,) where the parabola through the least of costs (k, n) at `steps` (k,) and its neighbours is lowest."""
    k = np.clip(costs.argmin(axis=0), 1, len(steps) - 2)
    x0, x1, x2 = steps[k - 1], steps[k], steps[k + 1]
    y0, y1, y2 = (np.take_along_axis(costs, k[None] + d, axis=0)[0] for d in (-1, 0, 1))
    left, right = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
    bend = (right - left) / (x2 - x0)
    at = (x0 + x1) / 2 - left / np.where(bend > 1e-12, 2 * bend, np.inf)
    return np.where(bend > 1e-12, np.clip(at, x0, x2), steps[costs.argmin(axis=0)])


def _low_pixels(view: View, top: float) -> np.ndarray:
    """(h, w) uint8: 1 where a picture does not show anything higher than `top` [m]."""
    import cv2

    tall = np.zeros(view.depth.shape, np.uint8)
    tall[view.depth > 0] = view.unproject()[:, 2] > top
    return 1 - cv2.dilate(tall, np.ones((3, 3), np.uint8))


def variance(
    views: list[View], masks: list[np.ndarray], origin: np.ndarray, cell: float, shape: tuple[int, int], plane: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(ny, nx) float32 variance of the photos laid onto z = plane · (x, y, 1), mean of the channels, how many show each cell,
    and their mean (ny, nx, 3) uint8.

    `shape` is (nx, ny), `masks` (h, w) uint8 are 1 where a picture may be used.
    """
    import cv2

    nx, ny = shape
    total, square, count = (np.zeros((ny, nx, c), np.float32) for c in (3, 3, 1))
    corner = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    onto = np.array([[cell, 0, origin[0]], [0, cell, origin[1]], [cell * plane[0], cell * plane[1], plane @ [*origin, 1]], [0, 0, 1]])
    for view, mask in zip(views, masks, strict=True):
        to_depth = view.K @ view.T_camera_world[:3] @ onto
        scale = np.diag([view.photo.shape[1] / view.depth.shape[1], view.photo.shape[0] / view.depth.shape[0], 1])
        photo = cv2.warpPerspective(view.photo, corner @ scale @ to_depth, (nx, ny), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        seen = cv2.warpPerspective(mask, corner @ to_depth, (nx, ny), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
        cv2.accumulate(photo, total, seen)
        cv2.accumulateSquare(photo, square, seen)
        count[..., 0] += seen
    mean = total / np.maximum(count, 1)
    return np.maximum(square / np.maximum(count, 1) - mean * mean, 0).mean(axis=2), count[..., 0], mean.astype(np.uint8)


def _ground(
    views: list[View], masks: list[np.ndarray], origin: np.ndarray, cell: float, shape: tuple[int, int], *, level: float, pixel: float
) -> np.ndarray | None:
    """(3,) the plane z = p · (x, y, 1) on which the photos agree best, near z = `level`; None without texture that tells.

    Every block of the ground votes for its height; the plane through the votes is fitted with Huber's weights.
    """
    import cv2

    coarse, block = 1.5 * cell, 24
    nx, ny = (max(block, int(n / 1.5)) for n in shape)
    steps = pixel * np.arange(-4.0, 4.5, 1.0)

    def cost_at(h: float) -> np.ndarray:
        v, count, _ = variance(views, masks, origin, coarse, (nx, ny), np.array([0, 0, level + h]))
        v[count < 3] = 0
        return cv2.resize(v, (nx // block, ny // block), interpolation=cv2.INTER_AREA)

    cost = np.stack(list(abreast(cost_at, steps.tolist(), "Looking for the ground")))
    k = cost[1:-1].argmin(axis=0) + 1
    a, b, c = (np.take_along_axis(cost, k[None] + d, axis=0)[0] for d in (-1, 0, 1))
    tells = (a + c - 2 * b > 4) & (a > b) & (c > b) & (cost.max(axis=0) > 1.5 * b + 4)
    if tells.sum() < 12:
        return None
    at = steps[k] + 0.5 * pixel * (a - c) / np.where(tells, a + c - 2 * b, 1)
    rows, columns = np.nonzero(tells)
    scale = coarse * np.array([nx / (nx // block), ny / (ny // block)])
    xy = origin + scale * (np.column_stack([columns, rows]) + 0.5)
    A, z = np.column_stack([xy, np.ones(len(xy))]), level + at[tells]
    weight = np.ones(len(z))
    for _ in range(10):
        plane = np.linalg.lstsq(A * weight[:, None], z * weight, rcond=None)[0]
        off = np.abs(A @ plane - z)
        weight = 1 / np.sqrt(np.maximum(1, off / (0.3 * pixel)) * np.maximum(1, off / (1.5 * pixel)))
    return plane if np.median(off) < 0.7 * pixel else None
