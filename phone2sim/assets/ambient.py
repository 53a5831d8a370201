"""The ambient light around the objects, second-order SH, from how the brightness of their surfaces goes with the direction
these face.

What is painted on an object does not know where the light comes from, so that over many objects the part of brightness that
goes with the normal is the light's (Ramamoorthi & Hanrahan 2001 for the basis). One object says little: the estimate is held
by a prior, a room with a light ceiling, and by what the level ground gets, which the shadows have measured.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from phone2sim._native.mesh import srgb_to_linear
from phone2sim.assets.deshade import basis, blockers_of, lit_by, surface_texels
from phone2sim.assets.scene import Asset, Light

FIRST, SECOND = 0.06, 0.02
"""1 sigma of the first- and second-order parts of the ambient irradiance, of the level ground's 1."""
UP = 0.01
"""1 sigma of the ambient irradiance of the level ground, as measured in shadows."""
PAINT = 0.5
"""1 sigma of the logarithm of an object's own brightness from place to place."""
PLACES = 25
"""Places of an object that are painted independently of each other."""
ROUNDS = 15
_PEAKS = np.array([0.282095, 0.488603, 0.488603, 0.488603, 1.092548, 1.092548, 0.630784, 1.092548, 0.546274])
"""Largest value of each basis function."""


def ambient_from_surfaces(assets: list[Asset], light: Light, *, ground_m: float, samples: int = 8000) -> Light:
    """`light` with the ambient part that fits the textures of the placed assets best, as these were photographed.

    Level (constant term) and colour stay what they are; unchanged with fewer than two textured objects.
    """
    blockers = blockers_of(assets)
    normals: list[np.ndarray] = []
    luma: list[np.ndarray] = []
    lit: list[np.ndarray] = []
    owner: list[np.ndarray] = []
    for a in assets:
        found = surface_texels(a)
        if found is None:
            continue
        flat, position, normal = found
        some = np.linspace(0, len(flat) - 1, min(len(flat), samples)).astype(int)
        flat, position, normal = flat[some], position[some], normal[some]
        texture: Any = a.visual.texture
        color = srgb_to_linear(texture.reshape(-1, 3)[flat] / np.float32(255)).astype(np.float64)
        ok = (position[:, 2] > ground_m + 0.015) & (normal[:, 2] > -0.5) & (color.min(axis=1) > 0.01) & (color.max(axis=1) < 0.98)
        if ok.sum() < 200:
            continue
        owner.append(np.full(int(ok.sum()), len(owner)))
        normals.append(normal[ok])
        luma.append(np.log(color[ok].mean(axis=1)))
        lit.append(lit_by(blockers, position[ok], normal[ok], light) * np.clip(-(normal[ok] @ light.direction), 0, None))
    if len(owner) < 2:
        return light
    sh = _fit(np.concatenate(normals), np.concatenate(luma), np.concatenate(lit), np.concatenate(owner), light)
    tint = light.ambient_sh[0] / light.ambient_sh[0].mean()
    return replace(light, ambient_sh=sh[:, None] * tint)


def _fit(normals: np.ndarray, luma: np.ndarray, lit: np.ndarray, owner: np.ndarray, light: Light) -> np.ndarray:
    """(9,) grey ambient SH: robust Gauss-Newton on log brightness = log albedo of the object + log irradiance, with the prior."""
    B, key = basis(normals), light.key_rgb.mean()
    up = basis(np.array([[0.0, 0, 1]]))[0]
    first = light.ambient_sh.mean(axis=1)
    sh = first.copy()
    size = np.bincount(owner)
    sigma = np.array([UP, *[FIRST] * 3, *[SECOND] * 5]) / _PEAKS
    for _ in range(ROUNDS):
        E = np.clip(B @ sh, 0.05, None) + lit * key
        rest = luma - np.log(E)
        rest = rest - np.array([np.median(rest[owner == k]) for k in range(len(size))])[owner]
        w = PLACES / size[owner] / PAINT**2 / (1 + (rest / PAINT) ** 2)
        J = B / E[:, None]
        total = np.bincount(owner, w)
        J = J - np.stack([np.bincount(owner, w * j) / total for j in J.T], axis=1)[owner]  # whatever the object's albedo
        A = (J * w[:, None]).T @ J + np.diag(1 / sigma**2) + np.outer(up, up) / UP**2
        b = (J * w[:, None]).T @ rest + (first - sh) / sigma**2 + up * (up @ (first - sh)) / UP**2
        sh = sh + 0.7 * np.linalg.solve(A, b)
    return sh
