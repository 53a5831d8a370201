"""The still picture of a camera: the splat background, relit, with the parts that do not move drawn into it."""

from __future__ import annotations

import numpy as np

from phone2sim._native.layer import StillPicture
from phone2sim._native.mesh import ContactMap, MeshLight, ShadowMap, render
from phone2sim.sim_export.render.background import BackgroundView
from phone2sim.sim_export.render.parts import PartSet

BIAS_M = 0.004
"""Points are this much nearer to the light in shadow look-ups: above the depth noise of splats."""


def still_picture(
    view: BackgroundView, rgb: np.ndarray, parts: PartSet, T_world_part: np.ndarray, *, names: np.ndarray, K: np.ndarray,
    T_world_camera: np.ndarray, light: MeshLight, shadow: float, maps: tuple[ShadowMap | None, ContactMap | None],
    supersample: int, threads: int,
) -> StillPicture:  # fmt: skip
    """`rgb` (h, w, 3) linear is the relit background, `shadow` the key's share of its light; `maps` are the still parts'."""
    h, w = view.depth.shape
    shadows, contact = maps
    seen = np.isfinite(view.depth)
    points = world_points(view.depth, K, T_world_camera)
    lit, touch = np.ones((h, w), np.float32), np.ones((h, w), np.float32)
    if shadows:
        lit[seen] = shadows.shadow_at(points[seen], bias_m=BIAS_M)
    if contact:
        touch[seen] = contact.factor_at(points[seen])
    key = rgb * (shadow * lit * touch)[..., None]
    rest = rgb * ((1 - shadow) * touch)[..., None]
    normal = np.zeros((h, w, 3), np.float32)
    normal[view.on_support] = (0, 0, 1)
    part, depth = np.full((h, w), -1, np.int32), view.depth.copy()
    if len(parts):
        options = {
            "K": K, "T_world_camera": T_world_camera, "width": w, "height": h, "rgb_gain": parts.rgb_gain,
            "supersample": supersample, "behind_depth": view.depth, "contact_map": contact, "threads": threads,
        }  # fmt: skip
        dark = MeshLight(direction=light.direction, key_rgb=np.zeros(3), ambient_sh=light.ambient_sh)
        ambient = render(parts.world, T_world_part, light=dark, **options)
        full = render(parts.world, T_world_part, light=light, shadow_map=shadows, **options)
        behind = (1 - full.coverage)[..., None]
        rest = rest * behind + ambient.rgb
        key = key * behind + (full.rgb - ambient.rgb)
        own = full.part >= 0
        part[own], depth[own], normal[own] = names[full.part[own]], full.depth[own], full.normal[own]
    return StillPicture(
        rest=rest.astype(np.float32), key=key.astype(np.float32), depth=depth.astype(np.float32), part=part, normal=normal
    )


def world_points(depth: np.ndarray, K: np.ndarray, T_world_camera: np.ndarray) -> np.ndarray:
    """(h, w, 3) world points [m] of camera z `depth` (h, w); those of infinite depth mean nothing."""
    y, x = np.mgrid[0 : depth.shape[0], 0 : depth.shape[1]] + 0.5
    rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(K).T @ T_world_camera[:3, :3].T
    return rays * np.where(np.isfinite(depth), depth, 0)[..., None] + T_world_camera[:3, 3]
