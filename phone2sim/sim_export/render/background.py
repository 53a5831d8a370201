"""The captured background as one static camera sees it: splats drawn once, kept with their depth."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from phone2sim._native.mesh import srgb_to_linear
from phone2sim.augment.spec import CameraSpec
from phone2sim.poses import Pose
from phone2sim.reconstruct.splat.cloud import SplatCloud

if TYPE_CHECKING:
    from phone2sim.sim_export.render.tabletop import TableTop

SNAP_M = 0.015
"""Splat depth this close to the support's plane is taken to be the plane."""

SPECK_M = 0.06
"""And this close where only specks are: splats of a patterned table lie at uneven depth."""


@dataclass(frozen=True, kw_only=True)
class BackgroundView:
    """What a camera sees with no object and no robot in front."""

    rgb: np.ndarray
    """(h, w, 3) float32 linear."""
    depth: np.ndarray
    """(h, w) float32 camera z [m]; inf where the splat has a hole."""
    on_support: np.ndarray
    """(h, w) bool: the plane of the support."""
    table: np.ndarray
    """(h, w) bool: the same, specks on it included, whatever depth the splats have there."""


def camera_matrices(camera: CameraSpec) -> tuple[np.ndarray, np.ndarray]:
    """K (3, 3) [px] and T_world_camera (4, 4)."""
    pose = Pose(np.array(camera.pose.translation), np.array(camera.pose.quat_wxyz))
    return np.array(camera.K, float), pose.matrix


def draw_background(
    cloud: SplatCloud, camera: CameraSpec, *, support_height_m: float = 0.0, threads: int = 1,
    T_world_camera: np.ndarray | None = None, fill_rgb: tuple[float, float, float] | None = None,
) -> BackgroundView:  # fmt: skip
    """Rasterise `cloud`. Depth within `SNAP_M` of the support's height becomes the plane, so that splat noise neither
    hides the feet of what stands there nor ripples its shadow. `T_world_camera` (4, 4) overrides the camera's pose. Holes
    show `fill_rgb`, or else `mean_colour`."""
    from phone2sim.reconstruct.splat.rasterize import rasterize

    K, T = camera_matrices(camera)
    T = T if T_world_camera is None else T_world_camera
    image = rasterize(
        cloud, K=K, T_camera_world=np.linalg.inv(T), width=camera.width, height=camera.height,
        background=fill_rgb or mean_colour(cloud), mode=False, threads=threads,
    )  # fmt: skip
    depth = np.where(image.depth_median > 0, image.depth_median, np.inf).astype(np.float32)
    x, y = np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5
    a, b, c = np.linalg.inv(K).T @ T[2, :3]
    down = a * x[None] + b * y[:, None] + c  # world z of the ray of unit depth
    plane = (support_height_m - T[2, 3]) / np.where(np.abs(down) > 1e-9, down, 1e-9)
    z = T[2, 3] + np.where(np.isfinite(depth), depth, 0) * down
    off = np.where(np.isfinite(depth) & (plane > 0), np.abs(z - support_height_m), np.inf)
    snapped = on_plane(off)
    depth = np.where(snapped, plane, depth).astype(np.float32)
    return BackgroundView(rgb=srgb_to_linear(np.clip(image.rgb, 0, 1)), depth=depth, on_support=snapped, table=without_specks(snapped))


def mean_colour(cloud: SplatCloud) -> tuple[float, float, float]:
    """What the splats show on average; grey where there are none."""
    if not len(cloud):
        return 0.5, 0.5, 0.5
    r, g, b = np.average(cloud.colors, axis=0, weights=cloud.opacities + 1e-6)
    return float(r), float(g), float(b)


def on_plane(off: np.ndarray) -> np.ndarray:
    """(h, w) bool: the pixels of the support, from their distance (h, w) to its plane [m]. One connected region (walls
    cross the plane's height too), with the specks filled that splat noise left in it."""
    import cv2

    near = (off < SNAP_M).astype(np.uint8)
    n, labels, stats, _ = cv2.connectedComponentsWithStats(near, connectivity=8)
    if n < 2:
        return near.astype(bool)
    largest = labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    filled = cv2.morphologyEx(largest.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8)).astype(bool)
    return largest | (filled & (off < SPECK_M))


def without_specks(mask: np.ndarray) -> np.ndarray:
    """The mask with its holes below 0.2 % of the picture filled."""
    import cv2

    _, labels, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < 0.002 * mask.size
    return mask | small[labels]


class BackgroundCache:
    """Background views by content: the splats, the camera and the support's height. Least recently used go first."""

    def __init__(self, size: int = 64) -> None:
        self.size = size
        self._views: OrderedDict[str, BackgroundView] = OrderedDict()
        self._clouds: OrderedDict[int, tuple[SplatCloud, str]] = OrderedDict()
        self._tops: OrderedDict[tuple[str, float], TableTop | None] = OrderedDict()

    def _cloud_digest(self, cloud: SplatCloud) -> str:
        known = self._clouds.get(id(cloud))
        if known is not None and known[0] is cloud:
            return known[1]
        h = hashlib.sha256()
        for a in (cloud.means, cloud.quats_wxyz, cloud.scales, cloud.opacities, cloud.sh):
            h.update(a.tobytes())
        self._clouds[id(cloud)] = (cloud, h.hexdigest())
        while len(self._clouds) > 4:
            self._clouds.popitem(last=False)
        return h.hexdigest()

    def view(self, cloud: SplatCloud, camera: CameraSpec, *, support_height_m: float, threads: int = 1) -> BackgroundView:
        lens = camera.model_copy(update={"name": ""}).model_dump_json()
        key = f"{self._cloud_digest(cloud)}/{lens}/{support_height_m!r}"
        found = self._views.pop(key, None)
        if found is None:
            found = draw_background(cloud, camera, support_height_m=support_height_m, threads=threads)
        self._views[key] = found
        while len(self._views) > self.size:
            self._views.popitem(last=False)
        return found

    def table_top(self, cloud: SplatCloud, height_m: float, *, threads: int = 1) -> TableTop | None:
        """The table of `cloud` at `height_m`, for cameras that move; None where there is none."""
        from phone2sim.sim_export.render.tabletop import TableTop

        key = self._cloud_digest(cloud), height_m
        if key not in self._tops:
            self._tops[key] = TableTop.of(cloud, height_m, threads=threads)
        self._tops.move_to_end(key)
        while len(self._tops) > 2:
            self._tops.popitem(last=False)
        return self._tops[key]
