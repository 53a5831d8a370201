"""`EpisodeRenderer`: splat background, mesh foreground, shadows and one sensor over both; knows no simulator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phone2sim._native.mesh import (
    ContactMap,
    MeshImage,
    MeshLight,
    MeshPart,
    MeshWorld,
    ShadowMap,
    composite,
    contact_map,
    render,
    shadow_map,
    to_srgb8,
)
from phone2sim.assets.mesh import TexturedMesh
from phone2sim.augment.spec import CameraSpec, LightSpec, SensorSpec
from phone2sim.errors import ShapeError
from phone2sim.keys import Key
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.sim_export.render.background import BackgroundCache, BackgroundView, camera_matrices

SHADOW_TEXEL_M = (0.002, 0.004)
"""Finest and coarsest texel of the shadow map; in between, about a picture's pixel at 0.9 m."""
SHADOW_REACH_M = 1.1
"""Shadows and contact are drawn within this distance of the middle of all parts."""
CONTACT_CELL_M = 0.004


@dataclass(frozen=True, kw_only=True)
class RenderPart:
    """One rigid foreground part: an object's visual, or a mesh of a robot link."""

    name: str
    """Unique among the parts of a renderer."""
    mesh: TexturedMesh
    rgb: tuple[float, float, float] = (0.7, 0.7, 0.7)
    """Linear albedo where the mesh has no texture."""
    rgb_gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Factor on the albedo, linear RGB."""
    gloss: float = 0.0
    """Strength of the highlight: 0 matte, about 0.3 satin plastic."""
    double_sided: bool = True
    """False draws a closed mesh faster."""
    anchor: bool = True
    """False leaves the shadow map's grid as it would be without this part: pixels away from it keep their bits."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What each pixel shows."""

    part: np.ndarray
    """(h, w) int32 index into the renderer's `names`, -1 for the background."""
    depth: np.ndarray
    """(h, w) float32 camera z [m], foreground and background; inf where nothing is known."""


class EpisodeRenderer:
    """Pictures of one episode. Construct once (packs meshes, draws each camera's background), then call `frame`.

    Poses are an (n, 4, 4) array `T_world_part` in the order of `parts` (`self.names`). A frame depends on its poses and
    index alone: frames may be drawn in any order, twice, or on another machine, and are the same to the byte. Sensor
    noise is drawn from `key`, the camera's name and the frame's index. `threads` defaults to 1: workers scale by episode.
    """

    def __init__(
        self,
        *,
        background: SplatCloud,
        parts: Sequence[RenderPart],
        lights: LightSpec,
        cameras: Sequence[CameraSpec],
        sensor: SensorSpec,
        key: Key,
        support_height_m: float = 0.0,
        background_cache: BackgroundCache | None = None,
        supersample: int = 2,
        threads: int = 1,
    ) -> None:
        self.names = tuple(p.name for p in parts)
        if len(set(self.names)) != len(self.names):
            raise ShapeError(f"EpisodeRenderer: part names must be unique, got {', '.join(self.names)}.")
        self.cameras = tuple(cameras)
        self.supersample, self.threads = supersample, threads
        self._key, self._sensor, self._lights = key, sensor, lights
        self._support = float(support_height_m)
        self._world = MeshWorld([_mesh_part(p) for p in parts])
        self._gain = np.array([p.rgb_gain for p in parts], np.float32).reshape(-1, 3)
        self._centres = np.array([p.mesh.bounds.mean(0) for p in parts]).reshape(-1, 3)
        self._radii = np.array([np.linalg.norm(np.ptp(p.mesh.bounds, axis=0)) / 2 for p in parts])
        self._light = MeshLight(
            direction=np.array(lights.direction), key_rgb=np.array(lights.key_rgb), ambient_sh=np.array(lights.ambient_sh)
        )
        self._anchor = np.array([p.anchor for p in parts], bool)
        focal = max((c.K[0][0] for c in self.cameras), default=300.0)
        self._texel = float(np.clip(0.9 / focal, *SHADOW_TEXEL_M))
        cache = background_cache or BackgroundCache()
        relight = np.array(lights.relight_rgb, np.float32)
        self._views: list[tuple[CameraSpec, np.ndarray, np.ndarray, BackgroundView, np.ndarray]] = []
        for c in self.cameras:
            view = cache.view(background, c, support_height_m=self._support, threads=threads)
            self._views.append((c, *camera_matrices(c), view, view.rgb * relight))

    def frame(self, T_world_part: np.ndarray, frame_index: int) -> dict[str, np.ndarray]:
        """Camera name → (h, w, 3) uint8 sRGB picture of the parts at `T_world_part` (n, 4, 4)."""
        shadows, contact = self._light_maps(T_world_part)
        s, out = self._sensor, {}
        r, g, b = (s.exposure * w for w in s.white_balance_rgb)
        for camera, K, T, view, background in self._views:
            image = self._draw(camera, K, T, view, T_world_part, shadows, contact)
            linear = composite(
                image, background, view.depth, K=K, T_world_camera=T, shadow_map=shadows, contact_map=contact,
                shadow=self._lights.shadow, threads=self.threads,
            )  # fmt: skip
            seed = self._key.child("sensor", camera.name, frame_index).integer()
            out[camera.name] = to_srgb8(linear, gain_rgb=(r, g, b), blur_px=s.blur_px, noise_std=s.noise_std, seed=seed)
        return out

    def masks_depth(self, T_world_part: np.ndarray) -> dict[str, Truth]:
        """Camera name → part index and metric depth of every pixel; no light, no sensor."""
        out = {}
        for camera, K, T, view, _ in self._views:
            image = self._draw(camera, K, T, view, T_world_part, None, None)
            depth = np.where(image.part >= 0, image.depth, view.depth)
            out[camera.name] = Truth(part=image.part, depth=depth.astype(np.float32))
        return out

    def _draw(
        self, camera: CameraSpec, K: np.ndarray, T: np.ndarray, view: BackgroundView, T_world_part: np.ndarray,
        shadows: ShadowMap | None, contact: ContactMap | None,
    ) -> MeshImage:  # fmt: skip
        return render(
            self._world, T_world_part, K=K, T_world_camera=T, width=camera.width, height=camera.height, light=self._light,
            shadow_map=shadows, contact_map=contact, supersample=self.supersample, rgb_gain=self._gain,
            behind_depth=view.depth, threads=self.threads,
        )  # fmt: skip

    def _light_maps(self, T_world_part: np.ndarray) -> tuple[ShadowMap | None, ContactMap | None]:
        """The frame's shadow and contact map, over bounds on a coarse grid so that they do not swim between frames."""
        T = np.asarray(T_world_part, float)
        if T.shape != (len(self.names), 4, 4):
            raise ShapeError(f"EpisodeRenderer: expected poses ({len(self.names)}, 4, 4), got {T.shape}.")
        if not self.names:
            return None, None
        at = np.einsum("nij,nj->ni", T[:, :3, :3], self._centres) + T[:, :3, 3]
        fixed = self._anchor if self._anchor.any() else ~self._anchor
        low, high = (at - self._radii[:, None])[fixed].min(0), (at + self._radii[:, None])[fixed].max(0)
        center = np.round((low + high) / 2 / 0.1) * 0.1
        radius = float((np.linalg.norm(at - center, axis=1) + self._radii)[fixed].max()) + 0.05
        radius = min(SHADOW_REACH_M, np.ceil(radius / 0.1) * 0.1)
        resolution = int(np.clip(np.ceil(2 * radius / self._texel / 64) * 64, 128, 1024))
        shadows = shadow_map(
            self._world, T, direction=self._light.direction, center=center, radius_m=radius, resolution=resolution,
            threads=self.threads,
        )  # fmt: skip
        near = np.abs(at[:, 2] - self._support) < self._radii + 0.06
        if not near.any():
            return shadows, None
        a = np.floor((at - self._radii[:, None])[near, :2].min(0) / 0.1) * 0.1 - 0.1
        b = np.ceil((at + self._radii[:, None])[near, :2].max(0) / 0.1) * 0.1 + 0.1
        a, b = np.maximum(a, center[:2] - SHADOW_REACH_M), np.minimum(b, center[:2] + SHADOW_REACH_M)
        contact = contact_map(
            self._world, T, low=(a[0], a[1]), high=(b[0], b[1]), height_m=self._support, cell_m=CONTACT_CELL_M,
            casts=near, threads=self.threads,
        )  # fmt: skip
        return shadows, contact


def _mesh_part(part: RenderPart) -> MeshPart:
    m = part.mesh
    return MeshPart(
        vertices=m.vertices, faces=m.faces, normals=m.vertex_normals(), uv=m.uv, texture=m.texture, rgb=part.rgb,
        gloss=part.gloss, double_sided=part.double_sided,
    )  # fmt: skip
