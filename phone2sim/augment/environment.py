"""Light from a picture all around: irradiance as spherical harmonics, and the lamp in it. Equirectangular, z up."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from phone2sim.assets.scene import Light
from phone2sim.errors import InputError, MissingDependencyError
from phone2sim.keys import Key

SIZE = (64, 128)
KEY_SHARE = 0.02
"""Of the sphere, the brightest part that becomes the key light."""
SOFTNESS = (0.005, 0.25)
"""Least and most tangent of a key light's half angle: the sun, and a window near by."""
_BAND = np.array([np.pi, *[2 * np.pi / 3] * 3, *[np.pi / 4] * 5]) / np.pi
"""Clamped-cosine factors of the bands over pi (Ramamoorthi & Hanrahan 2001): irradiance on albedo 1 = white."""


def directions(shape: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """(h, w, 3) unit directions into the picture, row 0 straight up, and the solid angle (h, w) [sr] of each pixel."""
    h, w = shape
    theta = (np.arange(h) + 0.5) * np.pi / h
    phi = np.pi - (np.arange(w) + 0.5) * 2 * np.pi / w
    t, p = np.meshgrid(theta, phi, indexing="ij")
    d = np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)], axis=-1)
    return d, np.sin(t) * (np.pi / h) * (2 * np.pi / w)


def basis(d: np.ndarray) -> np.ndarray:
    """(…, 9) real spherical harmonics of unit directions (…, 3), in the order of `Light.ambient_sh`."""
    x, y, z = np.moveaxis(d, -1, 0)
    one = np.full_like(x, 0.282095)
    return np.stack([
        one, 0.488603 * y, 0.488603 * z, 0.488603 * x, 1.092548 * x * y, 1.092548 * y * z, 0.315392 * (3 * z * z - 1),
        1.092548 * x * z, 0.546274 * (x * x - y * y),
    ], axis=-1)  # fmt: skip


def generated(key: Key) -> np.ndarray:
    """(h, w, 3) linear radiance of a made-up room: a ceiling, walls, a floor, and one or two windows or lamps."""
    rng = key.rng()
    d, _ = directions()
    up = d[..., 2:3]
    ceiling, wall, floor = (rng.uniform(a, b) * (1 + rng.normal(0, 0.06, 3)) for a, b in ((0.5, 0.9), (0.3, 0.6), (0.1, 0.3)))
    blend = 1 / (1 + np.exp(-8 * (up - 0.35)))
    low = 1 / (1 + np.exp(8 * (up + 0.25)))
    out = wall * (1 - blend - low).clip(0) + ceiling * blend + floor * low
    for i in range(int(rng.integers(1, 3))):
        azimuth, elevation = rng.uniform(-np.pi, np.pi), np.deg2rad(rng.uniform(30, 80))
        to = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
        width = np.deg2rad(rng.uniform(6, 18))
        tint = np.array([1.0, rng.uniform(0.85, 1.0), rng.uniform(0.7, 1.1)])
        out = out + rng.uniform(15, 60) / (1 + 3 * i) * tint * np.exp(-((np.arccos(np.clip(d @ to, -1, 1)) / width) ** 2))[..., None]
    return out


@lru_cache(maxsize=16)
def load_environment(path: str) -> np.ndarray:
    """(h, w, 3) linear radiance of a .hdr, .exr, .jpg or .png, area-averaged to `SIZE`. Raises `InputError`, and
    `MissingDependencyError` for a .exr without the extra `exr`."""
    import cv2

    from phone2sim._native.mesh import srgb_to_linear

    exr = Path(path).suffix.lower() == ".exr" and Path(path).is_file()
    picture = _read_exr(path) if exr else cv2.imread(path, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH) if Path(path).is_file() else None
    if picture is None:
        raise InputError(f"Environment {path} does not exist or cannot be read.", hint="Give an equirectangular .hdr, .exr, .jpg or .png.")
    h, w = picture.shape[:2]
    if abs(w - 2 * h) > 2:
        raise InputError(f"Environment {path} is {w}×{h}; an equirectangular picture is twice as wide as high.")
    rgb = picture[..., ::-1].astype(np.float32)
    linear = rgb if picture.dtype == np.float32 else srgb_to_linear(rgb / np.iinfo(picture.dtype).max)
    return cv2.resize(linear, SIZE[::-1], interpolation=cv2.INTER_AREA)


def _read_exr(path: str) -> np.ndarray | None:
    """(h, w, 3) float32, blue first as OpenCV has it; None for what is no picture in RGB."""
    try:
        import OpenEXR
    except ImportError as e:
        raise MissingDependencyError(f"{path} needs OpenEXR.", hint="pip install 'phone2sim[exr]', or save it as .hdr") from e
    try:
        with OpenEXR.File(path) as file:
            channels = file.channels()
            pixels = channels.get("RGB", channels.get("RGBA"))
            return None if pixels is None else pixels.pixels[..., 2::-1].astype(np.float32)
    except (RuntimeError, ValueError):
        return None


def light_of(radiance: np.ndarray, *, turn_rad: float = 0.0) -> Light:
    """The brightest part above the horizon as key light, the rest as second-order irradiance. `turn_rad` about z."""
    d, area = directions(radiance.shape[:2])
    c, s = np.cos(turn_rad), np.sin(turn_rad)
    d = d @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1.0]])
    luma = np.where(d[..., 2] > 0.2, radiance @ np.array([0.2126, 0.7152, 0.0722]), 0.0)
    order = np.argsort(-luma, axis=None, kind="stable")
    chosen = np.zeros(luma.size, bool)
    chosen[order[np.cumsum(area.ravel()[order]) <= KEY_SHARE * 4 * np.pi]] = True
    bright: np.ndarray = chosen.reshape(luma.shape)
    excess = np.where(bright[..., None], np.maximum(radiance - np.median(radiance, axis=(0, 1)), 0), 0)
    power = (excess * area[..., None]).sum(axis=(0, 1))
    towards = ((excess.sum(-1) * area)[..., None] * d).sum(axis=(0, 1))
    length = float(np.linalg.norm(towards))
    towards = towards / length if length > 0 else np.array([0, 0, 1.0])
    angle = np.arccos(np.clip(d @ towards, -1, 1))
    weight = excess.sum(-1) * area
    softness = np.tan(1.5 * (weight * angle).sum() / max(weight.sum(), 1e-12))  # of a disk the mean is 2/3 of the half angle
    rest = radiance - excess
    sh = np.einsum("hwk,hwc,hw->kc", basis(d), rest, area) * _BAND[:, None]
    return Light(direction=-towards, key_rgb=power / np.pi, ambient_sh=sh, softness=float(np.clip(softness, *SOFTNESS)))
