"""Other textures on captured things: a mesh painted anew, the table top and the walls of a background."""

from __future__ import annotations

import numpy as np

from phone2sim._native.mesh import srgb_to_linear
from phone2sim.assets.mesh import TexturedMesh
from phone2sim.augment.lighting import sh_irradiance
from phone2sim.augment.spec import LightSpec, SurfaceSpec, TextureSpec
from phone2sim.augment.textures import draw_texture
from phone2sim.sim_export.render.background import BackgroundView
from phone2sim.sim_export.render.still import world_points

_LUMA = np.array([0.2126, 0.7152, 0.0722])


def painted(mesh: TexturedMesh, texture: TextureSpec) -> TexturedMesh:
    """The mesh with a drawn texture, projected onto each face along the axis it faces most."""
    v, f = mesh.vertices[mesh.faces], np.arange(3 * len(mesh.faces)).reshape(-1, 3)
    normal = np.abs(np.cross(v[:, 1] - v[:, 0], v[:, 2] - v[:, 0]))
    low, high = mesh.bounds
    p = (v - low) / max(float((high - low).max()), 1e-9)
    across = np.array([[1, 2], [0, 2], [0, 1]])[normal.argmax(axis=1)]
    uv = np.take_along_axis(p, across[:, None, :].repeat(3, axis=1), axis=2)
    return TexturedMesh(vertices=v.reshape(-1, 3), faces=f, uv=uv.reshape(-1, 2), texture=draw_texture(texture))


def dressed(
    view: BackgroundView, surfaces: SurfaceSpec, lights: LightSpec, *, K: np.ndarray, T_world_camera: np.ndarray
) -> np.ndarray:
    """(h, w, 3) linear: the background relit, its walls painted and its table top drawn anew, lit by `lights` with the
    captured picture's own soft shading."""
    rgb = view.rgb * np.array(lights.relight_rgb, np.float32)
    on = view.table
    if surfaces.wall_rgb_gain != (1.0, 1.0, 1.0):
        rgb = np.where(on[..., None], rgb, rgb * np.array(surfaces.wall_rgb_gain, np.float32)).astype(np.float32)
    if surfaces.table is None or not on.any():
        return rgb
    import cv2

    size = 512
    albedo = srgb_to_linear(draw_texture(surfaces.table, size) / 255.0)
    total = np.zeros_like(rgb)
    for dx, dy in ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25)):  # a little antialiasing
        shifted = K.copy()
        shifted[:2, 2] -= dx, dy
        at = world_points(_plane_depth(view, shifted, T_world_camera), shifted, T_world_camera)[..., :2] / surfaces.table_tile_m * size
        at = (at % size).astype(np.float32)
        total += cv2.remap(albedo, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP) / 4
    up = np.array([0.0, 0.0, 1.0])
    key = np.array(lights.key_rgb) * max(0.0, -lights.direction[2])
    light = key + sh_irradiance(np.array(lights.ambient_sh), up)
    luma = np.where(on, rgb @ _LUMA, 0.0).astype(np.float32)
    wide = 0.08 * max(on.shape)
    soft = cv2.GaussianBlur(luma, (0, 0), wide) / np.maximum(cv2.GaussianBlur(on.astype(np.float32), (0, 0), wide), 1e-3)
    shade = np.clip(soft / max(float(np.median(soft[on])), 1e-4), 0.5, 1.5)[..., None]
    return np.where(on[..., None], total * light * shade, rgb).astype(np.float32)


def _plane_depth(view: BackgroundView, K: np.ndarray, T_world_camera: np.ndarray) -> np.ndarray:
    """(h, w) depth of the table's plane, at the height that the splats have there."""
    rays = world_points(np.ones_like(view.depth), K, T_world_camera) - T_world_camera[:3, 3]
    on = view.on_support
    height = float(np.median(rays[on][:, 2] * view.depth[on])) if on.any() else -1.0
    down = np.where(np.abs(rays[..., 2]) > 1e-9, rays[..., 2], 1e-9)
    return np.clip(height / down, 0, 50)
