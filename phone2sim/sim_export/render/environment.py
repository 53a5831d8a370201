"""An episode's light as a picture all around, for renderers that trace rays."""

from __future__ import annotations

import numpy as np

from phone2sim.augment.lighting import sh_irradiance
from phone2sim.augment.spec import LightSpec

SOFTNESS = 0.06
"""Tangent of the key light's half angle, as the shadow maps have it."""
_RADIANCE = np.repeat([1.0, 1.5, 4.0], [1, 3, 5])
"""Radiance over irradiance of each SH order, times π (Ramamoorthi & Hanrahan 2001)."""


def environment_picture(lights: LightSpec, height: int = 512) -> np.ndarray:
    """(height, 2 height, 3) float32 radiance by direction of arrival: the top row is +z, columns run from azimuth π down
    to -π. A white surface facing n gets `key_rgb` · cos + SH(n) of it, as pictures count light: full brightness is a
    radiance of 1. Negative lobes of the SH are cut, and the rest scaled so that a level surface gets what it should."""
    rows, columns = np.arange(height) + 0.5, np.arange(2 * height) + 0.5
    theta, phi = np.pi * rows / height, np.pi * (1 - columns / height)
    area = (np.pi / height) ** 2 * np.sin(theta)[:, None]
    z = np.broadcast_to(np.cos(theta)[:, None], (height, 2 * height))
    x, y = np.sin(theta)[:, None] * np.cos(phi), np.sin(theta)[:, None] * np.sin(phi)
    basis = [
        np.full_like(z, 0.282095), 0.488603 * y, 0.488603 * z, 0.488603 * x, 1.092548 * x * y, 1.092548 * y * z,
        0.315392 * (3 * z * z - 1), 1.092548 * x * z, 0.546274 * (x * x - y * y),
    ]  # fmt: skip
    sh = np.array(lights.ambient_sh)
    sky = np.maximum(np.tensordot(np.stack(basis, -1), sh * _RADIANCE[:, None], 1), 0.0)
    level = (sky * (area * np.maximum(z, 0))[..., None]).sum(axis=(0, 1)) / np.pi
    sky *= sh_irradiance(sh, np.array([0.0, 0.0, 1.0])) / np.maximum(level, 1e-9)
    towards = -np.array(lights.direction)
    disk = np.stack([x, y, z], -1) @ (towards / np.linalg.norm(towards)) > 1 / np.hypot(1, SOFTNESS)
    sky[disk] += np.pi * np.array(lights.key_rgb) / (area * disk).sum()
    return sky.astype(np.float32)
