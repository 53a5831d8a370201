"""Captured light taken out of what was captured: shading out of textures, cast shadows off the ground."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from phone2sim._native.mesh import srgb_to_linear
from phone2sim.assets.light import CapturedLight, Raster
from phone2sim.assets.mesh import TexturedMesh
from phone2sim.assets.penumbra import FINE_M, shade
from phone2sim.assets.scene import Asset, Light
from phone2sim.assets.texture import texels
from phone2sim.libraries import load_open3d
from phone2sim.reconstruct.splat.cloud import SH_C0, SplatCloud

DARKEST = 0.3
"""Shading below this part of the level ground's is not divided out further: photos hold only noise there."""


def linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear 0–1 → sRGB 0–1 (IEC 61966-2-1)."""
    x = np.clip(linear, 0, 1)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.power(np.maximum(x, 1e-9), 1 / 2.4) - 0.055)


def basis(normals: np.ndarray) -> np.ndarray:
    """(n, 9) real SH up to the second order at unit vectors (n, 3), in the order of `Light.ambient_sh`."""
    x, y, z = normals.T
    return np.stack(
        [
            np.full_like(x, 0.282095), 0.488603 * y, 0.488603 * z, 0.488603 * x, 1.092548 * x * y, 1.092548 * y * z,
            0.315392 * (3 * z * z - 1), 1.092548 * x * z, 0.546274 * (x * x - y * y),
        ],
        axis=1,
    )  # fmt: skip


def irradiance(light: Light, normals: np.ndarray, lit: np.ndarray) -> np.ndarray:
    """(n, 3) linear irradiance on surfaces with unit normals (n, 3); `lit` (n,) is how much of the key arrives, 0–1.

    Ambient part: second-order SH (Ramamoorthi & Hanrahan 2001).
    """
    key = np.clip(-(normals @ light.direction), 0, None) * lit
    return np.clip(basis(normals) @ light.ambient_sh, 0, None) + key[:, None] * light.key_rgb


def albedo(assets: list[Asset], light: Light, *, ground_m: float) -> list[Asset]:
    """The assets with the captured light's shading divided out of their textures.

    Shadows that objects cast on themselves and each other are traced against all their meshes. Brightness is relative
    to the level ground in full light, so that an albedo keeps the range of the photos.
    """
    blockers = blockers_of(assets)
    full = irradiance(light, np.array([[0.0, 0, 1]]), np.ones(1))[0]
    return [replace(a, visual=_divided(a, light, full, blockers, ground_m)) for a in assets]


def blockers_of(assets: list[Asset]) -> Any:
    """An `open3d.t.geometry.RaycastingScene` of the placed assets."""
    o3d = load_open3d()

    tensor: Any = o3d.core.Tensor
    blockers = o3d.t.geometry.RaycastingScene()
    for a in assets:
        v = a.T_world_asset.apply(a.visual.vertices.astype(float)).astype(np.float32)
        blockers.add_triangles(tensor(v), tensor(a.visual.faces.astype(np.uint32)))
    return blockers


def surface_texels(asset: Asset) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Flat index into the texture, position (n, 3) [m] and unit normal (n, 3) in the world of every texel; None untextured."""
    m = asset.visual
    if m.texture is None or m.uv is None:
        return None
    flat, face, bary = texels(np.column_stack([m.uv[:, 0], 1 - m.uv[:, 1]]), m.faces, m.texture.shape[0])
    v, n = m.vertices.astype(float), m.vertex_normals.astype(float)
    normal = np.einsum("nk,nkc->nc", bary, n[m.faces[face]]) @ asset.T_world_asset.rotation.T
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    return flat, asset.T_world_asset.apply(np.einsum("nk,nkc->nc", bary, v[m.faces[face]])), normal


def lit_by(blockers: Any, position: np.ndarray, normal: np.ndarray, light: Light) -> np.ndarray:
    """(n,) bool: points (n, 3) [m] with unit normals (n, 3) that the key light reaches past the blockers."""
    tensor: Any = load_open3d().core.Tensor
    start = position + 0.0015 * normal - 0.002 * light.direction
    rays = np.concatenate([start, np.broadcast_to(-light.direction, start.shape)], axis=1).astype(np.float32)
    return np.asarray(blockers.cast_rays(tensor(rays))["t_hit"].numpy() == np.inf)


def _divided(asset: Asset, light: Light, full: np.ndarray, blockers: Any, ground_m: float) -> TexturedMesh:
    m = asset.visual
    found = surface_texels(asset)
    if found is None or m.texture is None:
        return m
    size = m.texture.shape[0]
    flat, position, normal = found
    lit = lit_by(blockers, position, normal, light)
    share = irradiance(light, normal, _smooth(lit, flat, size)) / full
    near = np.clip((position[:, 2] - ground_m) / 0.01, 0, 1)  # what touches the ground is half dark in any light
    share *= (0.75 + 0.25 * near)[:, None]
    picture = srgb_to_linear(m.texture.reshape(-1, 3) / np.float32(255)).astype(np.float64)
    gain = np.ones_like(picture)
    gain[flat] = 1 / np.clip(share, DARKEST, None)
    gain = _spread(gain, flat, size)
    out = linear_to_srgb(np.clip(picture * gain, 0, 1).astype(np.float32))
    texture = np.clip(out.reshape(m.texture.shape) * 255 + 0.5, 0, 255).astype(np.uint8)
    return replace(m, texture=texture)


def _smooth(lit: np.ndarray, flat: np.ndarray, size: int) -> np.ndarray:
    """Shadow edges softened over a few texels of the atlas, charts kept apart."""
    import cv2

    a, w = np.zeros(size * size, np.float32), np.zeros(size * size, np.float32)
    a[flat], w[flat] = lit, 1
    a, w = (cv2.GaussianBlur(x.reshape(size, size), (0, 0), 2.0).ravel() for x in (a, w))
    return a[flat] / np.maximum(w[flat], 1e-6)


def _spread(gain: np.ndarray, flat: np.ndarray, size: int) -> np.ndarray:
    """The gain of each texel outside all charts is that of the nearest one inside."""
    from scipy import ndimage

    covered = np.zeros(size * size, bool)
    covered[flat] = True
    if covered.all():
        return gain
    near = ndimage.distance_transform_edt(~covered.reshape(size, size), return_distances=False, return_indices=True)
    return gain.reshape(size, size, 3)[tuple(near)].reshape(-1, 3)


@dataclass(frozen=True, kw_only=True)
class ShadowLift:
    """How much brighter the ground would be without the captured objects' shadows."""

    depth: np.ndarray
    """(nx, ny) float32 share of a shadow over each cell, 0–1."""
    low: np.ndarray
    """(2,) centre of cell (0, 0) [m]."""
    cell: float
    """[m]."""
    shadow: np.ndarray
    """(3,) share of the light that a full shadow takes away, linear RGB."""

    def at(self, xy: np.ndarray) -> np.ndarray:
        """(n,) depth over ground points (n, 2) [m]; 0 outside the raster."""
        from scipy import ndimage

        return np.asarray(ndimage.map_coordinates(self.depth, (xy - self.low).T / self.cell, order=1, cval=0.0))

    def gain(self, xy: np.ndarray) -> np.ndarray:
        """(n, 3) linear factor at ground points (n, 2) [m]; 1 outside the raster."""
        return 1 / (1 - self.shadow[None] * self.at(xy)[:, None])

    def brightened(self, srgb: np.ndarray, xy: np.ndarray) -> np.ndarray:
        """Colours (n, 3) sRGB 0–1 of ground points without their shadow."""
        linear = srgb_to_linear(np.clip(srgb, 0, 1)) * self.gain(xy)
        return linear_to_srgb(linear)


def shadow_lift(found: CapturedLight, parts: list[np.ndarray], raster: Raster, level: float) -> ShadowLift:
    """The shadows of convex `parts` (k, 3) [m] on the ground at height `level` [m] under the captured light, where `raster` lies."""
    fine = raster.finer(FINE_M)
    depth = shade(parts, found.light.direction, found.light.softness, fine, level)
    return ShadowLift(depth=depth, low=fine.low, cell=fine.cell, shadow=found.shadow)


def without_shadows(cloud: SplatCloud, lift: ShadowLift, level: float) -> SplatCloud:
    """The cloud with the shadows taken off what lies on the ground at height `level` [m]."""
    on = np.abs(cloud.means[:, 2] - level) < 0.012
    sh = cloud.sh.copy()
    before = np.clip(0.5 + SH_C0 * sh[on, 0], 0, 1)
    after = lift.brightened(before, cloud.means[on, :2])
    sh[on, 0] = (after - 0.5) / SH_C0
    sh[on, 1:] *= (after / np.maximum(before, 0.05))[:, None]
    return replace(cloud, sh=sh)
