"""What a moving camera sees of the background: the table top as one painted plane, splats for all that is beside, before and above it.

A wrist camera sees little but the table. Its splats drawn once from above cost a look-up per pixel from then on; what is left is
rasterised in each picture, hidden behind the plane.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from phone2sim._native import load
from phone2sim._native.mesh import Backdrop, PlanePicture, srgb_to_linear, to_srgb8
from phone2sim.augment.spec import LightSpec, SurfaceSpec
from phone2sim.poses import quat_to_matrix
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.reconstruct.splat.rasterize import NEAR, rasterize, raw_parameters
from phone2sim.sim_export.render.background import SNAP_M, BackgroundView, on_plane, without_specks
from phone2sim.sim_export.render.retexture import dressed

TEXEL_M = 0.001
"""Finest texel: what a 256² wrist camera resolves at 0.2 m."""
TEXELS = 2048
"""Texels a side at most."""
REACH_M = 1.5
"""Farthest of the middle that the plane is painted."""
EYE_M = 5.0
"""The table is drawn from so high above it."""
RIM_M = 0.006
"""So much of the table's edge is left to splats, which are soft there."""
FEW = 200
"""With fewer Gaussians on the plane there is no table top."""
SIGMAS = 3.33
"""Beyond so many standard deviations a Gaussian contributes less than 1/255."""


@dataclass(frozen=True, kw_only=True)
class TableTop:
    """The splats of a table seen from above, and those that are not the table's."""

    view: BackgroundView
    """From straight above, x to the right and y upwards."""
    K: np.ndarray
    T_world_camera: np.ndarray
    corner_m: tuple[float, float]
    """Its top left corner (x, y)."""
    texel_m: float
    height_m: float
    rest: SplatCloud
    """What is not wholly inside the table top."""

    @cached_property
    def bare(self) -> PlanePicture:
        """As it was captured."""
        return self.painted(self.view.rgb)

    @cached_property
    def splats(self) -> tuple[np.ndarray, ...]:
        """`rest` as the rasteriser takes it."""
        return raw_parameters(self.rest)

    def painted(self, rgb: np.ndarray) -> PlanePicture:
        """The table top with another picture, linear, of the size of `view`."""
        return PlanePicture(to_srgb8(rgb), self.view.table, corner_m=self.corner_m, texel_m=self.texel_m, height_m=self.height_m)

    @classmethod
    def of(cls, cloud: SplatCloud, height_m: float, *, threads: int = 1) -> TableTop | None:
        """None where too few splats lie on the plane z = `height_m`."""
        import cv2

        near = (np.abs(cloud.means[:, 2] - height_m) < SNAP_M) & (cloud.opacities > 0.1)
        if near.sum() < FEW:
            return None
        low, high = np.percentile(cloud.means[near, :2], [1, 99], axis=0)
        middle = np.median(cloud.means[near, :2], axis=0)
        low, high = np.maximum(low - 0.02, middle - REACH_M), np.minimum(high + 0.02, middle + REACH_M)
        texel = max(TEXEL_M, float((high - low).max()) / TEXELS)
        w, h = (int(n) for n in np.ceil((high - low) / texel))
        T = np.diag([1.0, -1.0, -1.0, 1.0])
        T[:3, 3] = low[0] + w * texel / 2, high[1] - h * texel / 2, height_m + EYE_M
        K = np.array([[EYE_M / texel, 0, w / 2], [0, EYE_M / texel, h / 2], [0, 0, 1]])
        under = cloud.take(cloud.means[:, 2] < height_m + SNAP_M)
        image = rasterize(under, K=K, T_camera_world=np.linalg.inv(T), width=w, height=h, mode=False, threads=threads)
        on = on_plane(np.where(image.depth_median > 0, np.abs(image.depth_median - EYE_M), np.inf))
        rim = 2 * round(RIM_M / texel) + 1
        padded = np.pad(without_specks(on).astype(np.uint8), rim)  # the picture's edge is an edge of the table
        table = cv2.erode(padded, np.ones((rim, rim), np.uint8))[rim:-rim, rim:-rim].astype(bool)
        if table.sum() < FEW:
            return None
        depth = np.full(on.shape, EYE_M, np.float32)
        rgb = srgb_to_linear(np.clip(image.rgb / np.maximum(image.alpha, 0.5)[..., None], 0, 1))
        corner = (float(low[0]), float(high[1]))
        inside = _inside(cloud, table, corner, texel, height_m)
        return cls(
            view=BackgroundView(rgb=rgb, depth=depth, on_support=table, table=table), K=K, T_world_camera=T, corner_m=corner,
            texel_m=texel, height_m=height_m, rest=cloud.take(~inside),
        )  # fmt: skip


def _inside(cloud: SplatCloud, table: np.ndarray, corner: tuple[float, float], texel: float, height: float) -> np.ndarray:
    """(n,) bool: flat Gaussians on the plane, no part of which reaches beyond the mask (h, w)."""
    R = quat_to_matrix(cloud.quats_wxyz.astype(float))
    half = SIGMAS * np.sqrt(((R * cloud.scales[:, None, :]) ** 2).sum(axis=2))  # (n, 3)
    flat = (np.abs(cloud.means[:, 2] - height) < SNAP_M) & (half[:, 2] < 2 * SNAP_M)
    h, w = table.shape
    total = np.zeros((h + 1, w + 1), np.int64)
    total[1:, 1:] = table.cumsum(0).cumsum(1)
    x, y = (cloud.means[:, 0] - corner[0]) / texel, (corner[1] - cloud.means[:, 1]) / texel
    rx, ry = half[:, 0] / texel, half[:, 1] / texel
    within = (x - rx >= 0) & (x + rx < w) & (y - ry >= 0) & (y + ry < h)
    x0, x1 = (np.clip(a, 0, w).astype(int) for a in (np.floor(x - rx), np.ceil(x + rx)))
    y0, y1 = (np.clip(a, 0, h).astype(int) for a in (np.floor(y - ry), np.ceil(y + ry)))
    covered = total[y1, x1] - total[y0, x1] - total[y1, x0] + total[y0, x0]
    return np.asarray(flat & within & (covered == (x1 - x0) * (y1 - y0)))


@dataclass(frozen=True, kw_only=True)
class MovingView:
    """What a moving camera sees of the background."""

    picture: Backdrop
    """Relit and repainted."""
    plane: np.ndarray
    """(h, w) float32 camera z of the support [m]; inf where it is not seen."""

    @property
    def on_support(self) -> np.ndarray:
        """(h, w) bool."""
        return np.isfinite(self.plane) & (self.picture.depth == self.plane)


class MovingBackground:
    """A `TableTop`, dressed for one episode, and its other splats, for cameras that move."""

    def __init__(
        self, top: TableTop, surfaces: SurfaceSpec, lights: LightSpec, *, fill_rgb: tuple[float, float, float], threads: int = 1
    ) -> None:
        """Holes show `fill_rgb` (sRGB)."""
        relight = np.array(lights.relight_rgb, np.float32)
        self._plane, gain = top.bare, relight
        if surfaces.table is not None:
            picture = dressed(top.view, surfaces, lights, K=top.K, T_world_camera=top.T_world_camera)
            most = max(1.0, float(picture[top.view.table].max(initial=1.0)))
            self._plane, gain = top.painted(picture / most), np.full(3, most, np.float32)
        self._gain, self._beside = gain, relight * np.array(surfaces.wall_rgb_gain, np.float32)
        self._splats, self._degree = top.splats, top.rest.sh_degree
        self._height = top.height_m
        self._fill, self._threads = np.array(fill_rgb, np.float32), threads
        self._rasterizers: dict[tuple[int, int], Any] = {}

    def look(self, *, K: np.ndarray, T_world_camera: np.ndarray, width: int, height: int) -> MovingView:
        """What the camera sees with nothing in front."""
        camera = {"K": K, "T_world_camera": T_world_camera}
        plane = self._plane.depth(**camera, width=width, height=height, threads=self._threads)
        above = max(SNAP_M, T_world_camera[2, 3] - self._height)
        raster = self._rasterizers.get((width, height))
        if raster is None:
            raster = self._rasterizers[width, height] = load("splat").Rasterizer(width, height, self._threads)
        colour, left, median, *_ = raster.forward(
            *self._splats, K=np.ascontiguousarray(K, np.float32),
            T_camera_world=np.ascontiguousarray(np.linalg.inv(T_world_camera), np.float32), background=np.zeros(3, np.float32),
            degree=self._degree, near=NEAR, limit=plane * np.float32(1 - SNAP_M / above),
        )  # fmt: skip
        picture = self._plane.backdrop(
            plane, np.where(left < 0.5, median, plane), **camera, colour=colour, left=left, rgb_gain=self._gain, fill_rgb=self._fill,
            other_gain=self._beside,
        )  # fmt: skip
        return MovingView(picture=picture, plane=plane)
