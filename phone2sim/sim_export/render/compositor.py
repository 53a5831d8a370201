"""`EpisodeRenderer`: splat background, mesh foreground, shadows and one sensor over both; knows no simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from phone2sim._native.layer import Layer, Shot, Truth
from phone2sim._native.mesh import MeshLight
from phone2sim.augment.spec import CameraSpec, LightSpec, SensorSpec
from phone2sim.errors import ShapeError
from phone2sim.keys import Key
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.sim_export.render.background import BackgroundCache, camera_matrices
from phone2sim.sim_export.render.parts import PartSet, RenderPart
from phone2sim.sim_export.render.still import still_picture

SHADOW_TEXEL_M = (0.002, 0.004)
"""Finest and coarsest texel of the shadow map; in between, about a picture's pixel at 0.9 m."""


class EpisodeRenderer:
    """Draws the frames of one episode.

    Poses are an (n, 4, 4) array `T_world_part` in the order of `parts` (`self.names`). Parts named in `still`
    (T_world_part, (4, 4)) are drawn once into each camera's background and stay there, whatever pose they are given later.
    A frame depends on its poses and index alone: frames may be drawn in any order, twice, or on another machine, and are
    the same to the byte. Sensor noise is drawn from `key`, the camera's name and the frame's index. `threads` defaults to
    1: workers scale by episode.
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
        still: Mapping[str, np.ndarray] | None = None,
        support_height_m: float = 0.0,
        background_cache: BackgroundCache | None = None,
        supersample: int = 2,
        threads: int = 1,
    ) -> None:
        self.names = tuple(p.name for p in parts)
        if len(set(self.names)) != len(self.names):
            raise ShapeError(f"EpisodeRenderer: part names must be unique, got {', '.join(self.names)}.")
        self.cameras = tuple(cameras)
        self.threads = threads
        self._key, self._sensor, self._support = key, sensor, float(support_height_m)
        self._light = MeshLight(
            direction=np.array(lights.direction), key_rgb=np.array(lights.key_rgb), ambient_sh=np.array(lights.ambient_sh)
        )
        focal = max((c.K[0][0] for c in self.cameras), default=300.0)
        self._texel = float(np.clip(0.9 / focal, *SHADOW_TEXEL_M))
        still = still or {}
        fixed = [i for i, n in enumerate(self.names) if n in still]
        self._moving = np.array([i for i, n in enumerate(self.names) if n not in still], int)
        self._parts = PartSet([p for p in parts if p.name not in still])
        resting = PartSet([p for p in parts if p.name in still])
        T_still = np.array([still[self.names[i]] for i in fixed]).reshape(-1, 4, 4)
        maps = resting.light_maps(T_still, **self._maps())
        self._still_shadows = maps[0]
        cache = background_cache or BackgroundCache()
        r, g, b = (sensor.exposure * w for w in sensor.white_balance_rgb)
        relight = np.array(lights.relight_rgb, np.float32)
        self._layers: list[Layer] = []
        for c in self.cameras:
            K, T = camera_matrices(c)
            view = cache.view(background, c, support_height_m=self._support, threads=threads)
            picture = still_picture(
                view, view.rgb * relight, resting, T_still, names=np.array(fixed, int), K=K, T_world_camera=T,
                light=self._light, shadow=lights.shadow, maps=maps, supersample=supersample, threads=threads,
            )  # fmt: skip
            self._layers.append(
                Layer(
                    picture, K=K, T_world_camera=T, direction=self._light.direction, supersample=supersample,
                    gain_rgb=(r, g, b), blur_px=sensor.blur_px, noise_std=sensor.noise_std,
                )  # fmt: skip
            )

    def frame(self, T_world_part: np.ndarray, frame_index: int) -> dict[str, np.ndarray]:
        """Camera name → (h, w, 3) uint8 sRGB picture of the parts at `T_world_part` (n, 4, 4)."""
        return {name: shot.rgb for name, shot in self.shots(T_world_part, frame_index).items()}

    def masks_depth(self, T_world_part: np.ndarray) -> dict[str, Truth]:
        """Camera name → part index, metric depth and normal of every pixel."""
        return {name: shot.truth for name, shot in self.shots(T_world_part, 0, truth=True).items() if shot.truth}

    def shots(self, T_world_part: np.ndarray, frame_index: int, *, truth: bool = False) -> dict[str, Shot]:
        """Camera name → picture, with the truth behind it when that is asked for."""
        T = np.asarray(T_world_part, float)
        if T.shape != (len(self.names), 4, 4):
            raise ShapeError(f"EpisodeRenderer: expected poses ({len(self.names)}, 4, 4), got {T.shape}.")
        T = T[self._moving]
        shadows, contact = self._parts.light_maps(T, **self._maps())
        out = {}
        for camera, layer in zip(self.cameras, self._layers):
            out[camera.name] = layer.draw(
                self._parts.world, T, light=self._light, names=self._moving, rgb_gain=self._parts.rgb_gain,
                still=self._still_shadows, shadow=shadows, contact=contact, truth=truth, threads=self.threads,
                seed=self._key.child("sensor", camera.name, frame_index).integer(),
            )  # fmt: skip
        return out

    def _maps(self) -> dict:
        return {
            "direction": self._light.direction, "texel_m": self._texel, "support_height_m": self._support,
            "threads": self.threads,
        }  # fmt: skip
