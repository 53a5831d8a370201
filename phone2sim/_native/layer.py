"""A camera's still picture on which moving parts are drawn: only tiles that they cover, shade or touch are made again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim._native import load
from phone2sim._native.mesh import (
    ContactMap,
    LightLike,
    MeshWorld,
    ShadowMap,
    Truth,
    checked_array,
    light_axes,
    part_poses,
)


@dataclass(frozen=True, kw_only=True)
class StillPicture:
    """What stands still, as one camera sees it, lit by what stands still."""

    rest: np.ndarray
    """(h, w, 3) float32 linear: light that no moving part can block."""
    key: np.ndarray
    """(h, w, 3) float32 linear: the key's light; `rest + key` is the picture."""
    depth: np.ndarray
    """(h, w) float32 camera z [m]; inf where nothing is."""
    part: np.ndarray
    """(h, w) int32, -1 for the background."""
    normal: np.ndarray
    """(h, w, 3) float32 world, 0 where unknown."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One picture and the truth behind it."""

    rgb: np.ndarray
    """(h, w, 3): uint8 sRGB, or float32 linear before the sensor."""
    truth: Truth | None = None
    """None where it was not asked for."""


class Layer:
    """A `StillPicture` of the camera `K` (3, 3) [px] at `T_world_camera` (4, 4), and the sensor that looks at it."""

    def __init__(
        self, still: StillPicture, *, K: np.ndarray, T_world_camera: np.ndarray, direction: np.ndarray, supersample: int = 2,
        gain_rgb: tuple[float, float, float] = (1.0, 1.0, 1.0), blur_px: float = 0.0, noise_std: float = 0.0, step: float = 0.0,
    ) -> None:  # fmt: skip
        """`step` as in `mesh.render`, of parts and of what they shade."""
        h, w = still.depth.shape
        self.still = still
        self._native = load("mesh").make_layer(
            K=checked_array(K, np.float64, (3, 3), "Layer K"),
            T_world_camera=checked_array(T_world_camera, np.float64, (4, 4), "Layer T_world_camera"),
            width=w, height=h, supersample=supersample,
            rest=checked_array(still.rest, np.float32, (h, w, 3), "Layer rest"),
            key=checked_array(still.key, np.float32, (h, w, 3), "Layer key"),
            depth=checked_array(still.depth, np.float32, (h, w), "Layer depth"), axes=light_axes(direction), step=float(step),
            gain=checked_array(gain_rgb, np.float32, (3,), "Layer gain_rgb"), blur_px=blur_px, noise=noise_std,
        )  # fmt: skip

    def draw(
        self, world: MeshWorld, T_world_part: np.ndarray, *, light: LightLike, names: np.ndarray, rgb_gain: np.ndarray,
        still: ShadowMap | None, shadow: ShadowMap | None, contact: ContactMap | None, seed: int = 0, linear: bool = False,
        truth: bool = False, threads: int = 0,
    ) -> Shot:  # fmt: skip
        """The picture with the moving parts at `T_world_part` (n, 4, 4).

        `still` is the shadow map of what stands still, `shadow` and `contact` are the moving parts'; `names` (n,) are
        their indices in `Shot.part`, `rgb_gain` (n, 3) multiplies their albedo. `linear` leaves the sensor out; noise is
        drawn from `seed`.
        """
        h, w = self.still.depth.shape
        rgb = np.empty((h, w, 3), np.float32 if linear else np.uint8)
        known = Truth(**{k: getattr(self.still, k).copy() for k in ("depth", "part", "normal")}) if truth else None
        direction = np.asarray(light.direction, float)
        self._native.draw(
            world=world._world, poses=part_poses(world, T_world_part),
            gain=checked_array(rgb_gain, np.float32, (len(world), 3), "Layer rgb_gain"),
            direction=checked_array(direction / np.linalg.norm(direction), np.float32, (3,), "light direction"),
            key=checked_array(light.key_rgb, np.float32, (3,), "light key_rgb"),
            sh=checked_array(light.ambient_sh, np.float32, (9, 3), "light ambient_sh"),
            still=still.native if still else None, shadow=shadow.native if shadow else None,
            contact=contact.native if contact else None, names=checked_array(names, np.int32, (len(world),), "Layer names"),
            seed=seed & (2**64 - 1), threads=threads, out=None if linear else rgb, linear=rgb if linear else None,
            depth=known and known.depth, part=known and known.part, normal=known and known.normal,
        )  # fmt: skip
        return Shot(rgb=rgb, truth=known)
