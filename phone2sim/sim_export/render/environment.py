"""An episode's light as a picture all around, for renderers that trace rays."""

from __future__ import annotations

import numpy as np

from phone2sim.augment.environment import basis, directions
from phone2sim.augment.lighting import sh_irradiance
from phone2sim.augment.spec import LightSpec

NARROWEST = 0.02
"""Least tangent of the key's half angle: a narrower disk would fall between the picture's pixels."""
_RADIANCE = np.repeat([1.0, 1.5, 4.0], [1, 3, 5])
"""Radiance over irradiance of each SH order, times π (Ramamoorthi & Hanrahan 2001)."""


def environment_picture(lights: LightSpec, height: int = 512) -> np.ndarray:
    """(height, 2 height, 3) float32 radiance by direction of arrival: the top row is +z, columns run from azimuth π down
    to -π. A white surface facing n gets `key_rgb` · cos + SH(n) of it, as pictures count light: full brightness is a
    radiance of 1. Negative lobes of the SH are cut, and the rest scaled so that a level surface gets what it should."""
    d, area = directions((height, 2 * height))
    sh = np.array(lights.ambient_sh)
    sky = np.maximum(basis(d) @ (sh * _RADIANCE[:, None]), 0.0)
    level = (sky * (area * np.maximum(d[..., 2], 0))[..., None]).sum(axis=(0, 1)) / np.pi
    sky *= sh_irradiance(sh, np.array([0.0, 0.0, 1.0])) / np.maximum(level, 1e-9)
    towards = -np.array(lights.direction)
    disk = d @ (towards / np.linalg.norm(towards)) > 1 / np.hypot(1, max(lights.softness, NARROWEST))
    sky[disk] += np.pi * np.array(lights.key_rgb) / (area * disk).sum()
    return sky.astype(np.float32)
