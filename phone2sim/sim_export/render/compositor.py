"""`EpisodeRenderer`: splat background, mesh foreground, shadows and one sensor over both; knows no simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from phone2sim._native.layer import Layer, Shot
from phone2sim._native.mesh import Backdrop, ContactMap, MeshLight, ShadowMap, Truth, draw_over, to_srgb8
from phone2sim.augment.spec import CameraSpec, LightSpec, SensorSpec, SurfaceSpec
from phone2sim.errors import ShapeError
from phone2sim.keys import Key
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.sim_export.render.background import (
    BackgroundCache,
    BackgroundView,
    camera_matrices,
    draw_background,
    mean_colour,
)
from phone2sim.sim_export.render.optics import Lens, compressed, exposed, exposes
from phone2sim.sim_export.render.parts import PartSet, RenderPart
from phone2sim.sim_export.render.retexture import dressed
from phone2sim.sim_export.render.still import still_picture
from phone2sim.sim_export.render.tabletop import MovingBackground, MovingView

SHADOW_TEXEL_M = (0.002, 0.004)
"""Finest and coarsest texel of the shadow map; in between, about a picture's pixel at 0.9 m."""
SHADE_STEP = 0.2
"""Shadows are looked up at fewer pixels, a texel of their map apart, where they change by less."""


class EpisodeRenderer:
    """Draws the frames of one episode.

    Poses are an (n, 4, 4) array `T_world_part` in the order of `parts` (`self.names`). Parts named in `still`
    (T_world_part, (4, 4)) are drawn once into each camera's background and stay there, whatever pose they are given later.
    A frame depends on its poses and index alone: frames may be drawn in any order, twice, or on another machine, and are
    the same to the byte. Sensor noise is drawn from `key`, the camera's name and the frame's index. A camera with a
    `mount` goes where `T_world_mount` says, and is drawn anew each time. `threads` defaults to 1: workers scale by
    episode.
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
        surfaces: SurfaceSpec | None = None,
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
        self._cloud, self._lights, self._surfaces, self._supersample = background, lights, surfaces or SurfaceSpec(), supersample
        self._key, self._sensor, self._support = key, sensor, float(support_height_m)
        self._light = MeshLight(
            direction=np.array(lights.direction), key_rgb=np.array(lights.key_rgb), ambient_sh=np.array(lights.ambient_sh)
        )
        focal = max((c.K[0][0] for c in self.cameras), default=300.0)
        self._texel = float(np.clip(0.9 / focal, *SHADOW_TEXEL_M))
        still = still or {}
        fixed = [i for i, n in enumerate(self.names) if n in still]
        self._fixed = np.array(fixed, int)
        self._moving = np.array([i for i, n in enumerate(self.names) if n not in still], int)
        self._parts = PartSet([p for p in parts if p.name not in still])
        self._resting = PartSet([p for p in parts if p.name in still])
        self._T_still = np.array([still[self.names[i]] for i in fixed]).reshape(-1, 4, 4)
        cache = background_cache or BackgroundCache()
        self._behind: MovingBackground | None = None
        if any(c.mount for c in self.cameras):
            self._all = PartSet(parts)
            self._fill = mean_colour(background)
            top = cache.table_top(background, self._support, threads=threads)
            if top is not None:
                self._behind = MovingBackground(top, self._surfaces, lights, fill_rgb=self._fill, threads=threads)
        self._still_maps = self._light_maps(self._resting, self._T_still)
        self._lenses = {c.name: Lens.of(c) for c in self.cameras}
        self._mounted = {c.name: (p, *camera_matrices(p)) for c in self.cameras if c.mount for p in (self._pinhole(c),)}
        self._layers: dict[str, Layer] = {}
        for c in self.cameras:
            if not c.mount:
                drawn = self._pinhole(c)
                view = cache.view(background, drawn, support_height_m=self._support, threads=threads)
                self._layers[c.name] = self._layer(drawn, view)

    def frame(self, T_world_part: np.ndarray, frame_index: int) -> dict[str, np.ndarray]:
        """Camera name → (h, w, 3) uint8 sRGB picture of the parts at `T_world_part` (n, 4, 4)."""
        return {name: shot.rgb for name, shot in self.shots(T_world_part, frame_index).items()}

    def masks_depth(self, T_world_part: np.ndarray) -> dict[str, Truth]:
        """Camera name → part index, metric depth and normal of every pixel."""
        return {name: shot.truth for name, shot in self.shots(T_world_part, 0, truth=True).items() if shot.truth}

    def shots(
        self, T_world_part: np.ndarray, frame_index: int, *, truth: bool = False,
        exposure: Sequence[tuple[np.ndarray, Mapping[str, np.ndarray]]] = (), T_world_mount: Mapping[str, np.ndarray] | None = None,
    ) -> dict[str, Shot]:  # fmt: skip
        """Camera name → picture, with the truth behind it when that is asked for.

        `T_world_mount` has the pose (4, 4) of each mount's body. `exposure` has part and mount poses at the sensor's
        `moments`, where it takes time; left out, nothing moves while it is open. Truth is of `T_world_part` itself.
        """
        mounts = T_world_mount or {}
        linear: dict[str, list[np.ndarray]] = {}
        for T, at in exposure if exposes(self._sensor) else ():
            for name, shot in self._draw(T, at, frame_index, truth=False, linear=True).items():
                linear.setdefault(name, []).append(shot.rgb)
        shots = self._draw(T_world_part, mounts, frame_index, truth=truth, linear=False, only_truth=bool(linear))
        return {c.name: self._developed(c, shots[c.name], linear.get(c.name), frame_index) for c in self.cameras}

    def _developed(self, camera: CameraSpec, shot: Shot, moments: list[np.ndarray] | None, frame_index: int) -> Shot:
        """Lens, exposure, sensor and codec over what was drawn; a picture that needs neither of them is done already."""
        s, lens = self._sensor, self._lenses[camera.name]
        rgb, truth = shot.rgb, shot.truth
        if moments:
            moments = [lens.bend(m) for m in moments] if lens else moments
            rgb = exposed(moments, s)
        elif lens and rgb.dtype == np.float32:
            rgb = lens.bend(rgb)
        if lens and truth is not None:
            truth = Truth(depth=lens.pick(truth.depth), part=lens.pick(truth.part), normal=lens.pick(truth.normal))
        if rgb.dtype == np.float32:
            gain = self._gain()
            rgb = to_srgb8(rgb, gain_rgb=gain, blur_px=s.blur_px, noise_std=s.noise_std, seed=self._seed(camera, frame_index))
        return Shot(rgb=compressed(rgb, s.jpeg_quality), truth=truth)

    def _draw(
        self, T_world_part: np.ndarray, mounts: Mapping[str, np.ndarray], frame_index: int, *, truth: bool, linear: bool,
        only_truth: bool = False,
    ) -> dict[str, Shot]:  # fmt: skip
        """Pinhole pictures: linear where a lens or an exposure still comes on top, else through the sensor."""
        T = np.array(T_world_part, float)
        if T.shape != (len(self.names), 4, 4):
            raise ShapeError(f"EpisodeRenderer: expected poses ({len(self.names)}, 4, 4), got {T.shape}.")
        if only_truth and not truth:
            return {c.name: Shot(rgb=np.zeros(0, np.uint8)) for c in self.cameras}
        T_moving = T[self._moving]
        shadows, contact = self._light_maps(self._parts, T_moving)
        out = {}
        for c in self.cameras:
            raw = linear or self._lenses[c.name] is not None
            if c.mount:
                T[self._fixed] = self._T_still
                out[c.name] = self._carried(c, T, mounts, (shadows, contact), frame_index, truth=truth, linear=raw)
            else:
                out[c.name] = self._layers[c.name].draw(
                    self._parts.world, T_moving, light=self._light, names=self._moving, rgb_gain=self._parts.rgb_gain,
                    still=self._still_maps[0], shadow=shadows, contact=contact, truth=truth, threads=self.threads,
                    linear=raw, seed=self._seed(c, frame_index),
                )  # fmt: skip
        return out

    def _carried(
        self, camera: CameraSpec, T_world_part: np.ndarray, mounts: Mapping[str, np.ndarray],
        maps: tuple[ShadowMap | None, ContactMap | None], frame_index: int, *, truth: bool, linear: bool,
    ) -> Shot:  # fmt: skip
        """A camera that moves: background and all parts drawn anew; `maps` are the moving parts'."""
        if camera.mount not in mounts:
            raise ShapeError(f"EpisodeRenderer: camera {camera.name!r} needs the pose of its mount {camera.mount!r}.")
        drawn, K, T_mount_camera = self._mounted[camera.name]
        T = np.asarray(mounts[camera.mount], float) @ T_mount_camera
        w, h = drawn.width, drawn.height
        if self._behind is not None:
            view = self._behind.look(K=K, T_world_camera=T, width=w, height=h)
        else:
            all_splats = draw_background(
                self._cloud, drawn, support_height_m=self._support, threads=self.threads, T_world_camera=T, fill_rgb=self._fill
            )
            dress = dressed(all_splats, self._surfaces, self._lights, K=K, T_world_camera=T)
            plane = np.where(all_splats.on_support, all_splats.depth, np.float32(np.inf))
            view = MovingView(picture=Backdrop.still(dress, all_splats.depth), plane=plane)
        rgb, known = draw_over(
            self._all.world, T_world_part, view.picture, K=K, T_world_camera=T, light=self._light, shadow=self._lights.shadow,
            shadow_map=self._still_maps[0], contact_map=self._still_maps[1], more=maps, supersample=self._supersample,
            rgb_gain=self._all.rgb_gain, visible=self._all.in_view(T_world_part, K, T, w, h), step=SHADE_STEP, truth=truth,
            threads=self.threads,
        )  # fmt: skip
        if known:
            own = known.part >= 0
            normal = np.where(own[..., None], known.normal, np.where(view.on_support[..., None], (0, 0, 1), 0)).astype(np.float32)
            known = replace(known, depth=np.where(own, known.depth, view.picture.depth), normal=normal)
        if linear:
            return Shot(rgb=rgb, truth=known)
        s = self._sensor
        seed = self._seed(camera, frame_index)
        return Shot(rgb=to_srgb8(rgb, gain_rgb=self._gain(), blur_px=s.blur_px, noise_std=s.noise_std, seed=seed), truth=known)

    def _layer(self, camera: CameraSpec, view: BackgroundView) -> Layer:
        K, T = camera_matrices(camera)
        s = self._sensor
        picture = still_picture(
            view, dressed(view, self._surfaces, self._lights, K=K, T_world_camera=T), self._resting, self._T_still,
            names=self._fixed, K=K, T_world_camera=T, light=self._light, shadow=self._lights.shadow, maps=self._still_maps,
            supersample=self._supersample, threads=self.threads,
        )  # fmt: skip
        return Layer(
            picture, K=K, T_world_camera=T, direction=self._light.direction, supersample=self._supersample,
            gain_rgb=self._gain(), blur_px=s.blur_px, noise_std=s.noise_std, step=SHADE_STEP,
        )  # fmt: skip

    def _pinhole(self, camera: CameraSpec) -> CameraSpec:
        lens = self._lenses[camera.name]
        return lens.pinhole if lens else camera

    def _gain(self) -> tuple[float, float, float]:
        r, g, b = (self._sensor.exposure * w for w in self._sensor.white_balance_rgb)
        return r, g, b

    def _seed(self, camera: CameraSpec, frame_index: int) -> int:
        return self._key.child("sensor", camera.name, frame_index).integer()

    def _light_maps(self, parts: PartSet, T: np.ndarray) -> tuple[ShadowMap | None, ContactMap | None]:
        return parts.light_maps(
            T, direction=self._light.direction, softness=self._lights.softness, texel_m=self._texel, support_height_m=self._support,
            threads=self.threads,
        )
