"""Pictures for the report: each cut-out object on a neutral ground, and the scene without its objects."""

from __future__ import annotations

import numpy as np

from phone2sim.assets.scene import Asset
from phone2sim.poses import look_at
from phone2sim.reconstruct.splat.cloud import SplatCloud


def asset_picture(asset: Asset, *, size: int = 512, azimuth_rad: float = -0.9, elevation_rad: float = 0.5) -> np.ndarray:
    """(size, size, 3) uint8: the textured mesh on light grey with its contact shadow."""
    from phone2sim._native import mesh as raster

    b = asset.visual.bounds.astype(float)
    middle, radius = b.mean(axis=0), float(np.linalg.norm(b[1] - b[0])) / 2
    direction = np.array(
        [np.cos(azimuth_rad) * np.cos(elevation_rad), np.sin(azimuth_rad) * np.cos(elevation_rad), np.sin(elevation_rad)]
    )
    T = look_at(middle + 3.6 * radius * direction, middle).matrix
    f = 0.5 * size / np.tan(np.deg2rad(18.0))
    K = np.array([[f, 0, size / 2], [0, f, size / 2], [0, 0, 1]])
    ground = 60 * radius
    floor = raster.MeshPart(
        vertices=np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * [ground, ground, 1], faces=np.array([[0, 1, 2], [0, 2, 3]]),
        normals=np.tile([0.0, 0, 1], (4, 1)), rgb=(0.62, 0.63, 0.65),
    )  # fmt: skip
    body = raster.MeshPart(
        vertices=asset.visual.vertices, faces=asset.visual.faces, normals=asset.visual.vertex_normals, uv=asset.visual.uv,
        texture=asset.visual.texture, double_sided=False,
    )  # fmt: skip
    # The texture holds the captured shading already, so the body gets plain white light with only a hint of form.
    sh = np.zeros((9, 3))
    sh[0] = 0.86 / 0.282095
    sh[2] = 0.1 / 0.488603
    light = raster.MeshLight(direction=np.array([0.35, 0.25, -0.9]), key_rgb=np.full(3, 0.22), ambient_sh=sh)
    world = raster.MeshWorld([floor, body])
    poses = np.tile(np.eye(4), (2, 1, 1))
    shadow = raster.shadow_map(world, poses, direction=light.direction, center=middle, radius_m=2.5 * radius, casts=np.array([False, True]))
    contact = raster.contact_map(
        world, poses, low=tuple(b[0, :2] - radius), high=tuple(b[1, :2] + radius), height_m=0.0, casts=np.array([False, True]),
    )  # fmt: skip
    image = raster.render(
        world, poses, K=K, T_world_camera=T, width=size, height=size, light=light, shadow_map=shadow, contact_map=contact, supersample=2
    )
    return raster.to_srgb8(image.rgb + (1 - image.coverage[..., None]) * 0.62)


def splat_picture(cloud: SplatCloud, K: np.ndarray, T_camera_world: np.ndarray, width: int, height: int) -> np.ndarray:
    """(height, width, 3) uint8 render of Gaussians."""
    from phone2sim.reconstruct.splat.rasterize import rasterize

    rgb = np.asarray(rasterize(cloud, K=K, T_camera_world=T_camera_world, width=width, height=height).rgb)
    return (np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8)
