"""`rasterize`: a picture of a `SplatCloud` through a pinhole camera, with opacity and two depths (C++ kernels)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim._native import load
from phone2sim.errors import ShapeError
from phone2sim.reconstruct.splat.cloud import SplatCloud

NEAR = 0.01
"""Gaussians with a centre nearer than this [m] to the camera plane are not drawn."""


@dataclass(frozen=True, kw_only=True)
class SplatImage:
    """A rendered view. Depth is along the camera's z axis [m], on the surface of highest density of each Gaussian."""

    rgb: np.ndarray
    """(h, w, 3) float32, over the background; may exceed 1."""
    alpha: np.ndarray
    """(h, w) float32, 0–1."""
    depth_median: np.ndarray
    """(h, w) float32 where half of the light is absorbed; 0 where less than half is."""
    depth_expected: np.ndarray
    """(h, w) float32 mean over what is absorbed; 0 where nothing is."""
    depth_mode: np.ndarray
    """(h, w) float32 mean over the layer that absorbs most, within 0.6 % of depth: the surface where faint Gaussians hang
    before or behind it, which shift the median; 0 where less than half is absorbed, and everywhere when it was left out."""
    normals: np.ndarray | None = None
    """(h, w, 3) float32, when asked for: unit normals in the world, towards the camera; 0 where nothing is. Blended from
    the shortest axis of each Gaussian."""


def raw_parameters(cloud: SplatCloud) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Means, quaternions, log scales, logit opacities and SH, as the kernels and the optimiser hold them (float32)."""
    o = np.clip(cloud.opacities.astype(np.float64), 1e-6, 1 - 1e-6)
    log_scales = np.log(np.maximum(cloud.scales, 1e-12))
    return cloud.means, cloud.quats_wxyz, log_scales, np.log(o / (1 - o)).astype(np.float32), cloud.sh


def rasterize(
    cloud: SplatCloud,
    *,
    K: np.ndarray,
    T_camera_world: np.ndarray,
    width: int,
    height: int,
    background: tuple[float, float, float] = (0.0, 0.0, 0.0),
    antialiased: bool = False,
    normals: bool = False,
    mode: bool = True,
    threads: int = 0,
) -> SplatImage:
    """Render `cloud` seen by a pinhole camera.

    K: (3, 3) intrinsics [px], pixel centres at +0.5. T_camera_world: (4, 4) world-to-camera, OpenCV axes.
    `antialiased` dims Gaussians smaller than a pixel instead of widening them (Mip-Splatting). `normals` fills
    `SplatImage.normals`; without `mode` `depth_mode` is left out. `threads` 0 takes what OpenMP offers; the result is the same at any number. EWA splatting with the constants of 3DGS: 0.3 px²
    screen blur, contributions below 1/255 dropped.
    """
    K, T = np.asarray(K), np.asarray(T_camera_world)
    if K.shape != (3, 3) or T.shape != (4, 4):
        raise ShapeError(f"rasterize: expected K (3, 3) and T_camera_world (4, 4), got {K.shape} and {T.shape}.")
    raster = load("splat").Rasterizer(int(width), int(height), threads)
    rgb, transmittance, median, expected, normal, *densest = raster.forward(
        *raw_parameters(cloud),
        K=np.ascontiguousarray(K, np.float32),
        T_camera_world=np.ascontiguousarray(T, np.float32),
        background=np.asarray(background, np.float32),
        degree=cloud.sh_degree,
        antialiased=antialiased,
        near=NEAR,
        depth=True,
        normals=normals,
        mode=mode,
    )
    if normals:
        normal = normal.transpose(1, 2, 0)
        length = np.linalg.norm(normal, axis=-1, keepdims=True)
        normal = np.where(length > 1 / 255, normal / np.maximum(length, 1e-9), 0).astype(np.float32)
    return SplatImage(
        rgb=np.ascontiguousarray(rgb.transpose(1, 2, 0)), alpha=1 - transmittance,
        depth_median=median, depth_expected=expected, depth_mode=densest[0] if mode else np.zeros_like(median), normals=normal,
    )  # fmt: skip
