"""Real spherical harmonics up to degree 3, in the order and signs of 3DGS, and how they turn with the world."""

from __future__ import annotations

import numpy as np


def sh_basis(directions: np.ndarray, degree: int) -> np.ndarray:
    """Values (n, (degree+1)²) of the basis at unit `directions` (n, 3) (Sloan 2008, with the signs of 3DGS)."""
    x, y, z = np.asarray(directions, np.float64).T
    one = np.ones_like(x)
    bands = [[0.28209479177387814 * one]]
    if degree >= 1:
        bands.append([0.4886025119029199 * v for v in (-y, z, -x)])
    if degree >= 2:
        a, b = 1.0925484305920792, 0.5462742152960396
        bands.append([a * x * y, -a * y * z, 0.31539156525252005 * (3 * z * z - 1), -a * x * z, b * (x * x - y * y)])
    if degree >= 3:
        a, b, c = 0.5900435899266435, 2.890611442640554, 0.4570457994644658
        bands.append(
            [
                -a * y * (3 * x * x - y * y), b * x * y * z, -c * y * (5 * z * z - 1), 0.3731763325901154 * z * (5 * z * z - 3),
                -c * x * (5 * z * z - 1), b / 2 * z * (x * x - y * y), -a * x * (x * x - 3 * y * y),
            ]
        )  # fmt: skip
    return np.stack([v for band in bands for v in band], axis=1)


def rotate_sh(sh: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Coefficients (n, (degree+1)², c) of the same colours in a world turned by `rotation` (3, 3), float64.

    f'(d) = f(Rᵀ d). A rotation mixes the functions of one band among themselves only, so each band's matrix follows
    exactly from the values at enough directions.
    """
    sh = np.asarray(sh, np.float64)
    degree = int(np.sqrt(sh.shape[1])) - 1
    directions = _directions(32)
    here, there = sh_basis(directions, degree), sh_basis(directions @ np.asarray(rotation, np.float64), degree)
    out = sh.copy()
    for l in range(1, degree + 1):
        band = slice(l * l, (l + 1) ** 2)
        M = np.linalg.lstsq(here[:, band], there[:, band], rcond=None)[0]
        out[:, band] = np.einsum("ij,njc->nic", M, sh[:, band])
    return out


def _directions(n: int) -> np.ndarray:
    """n unit vectors spread over the sphere (Fibonacci spiral)."""
    i = np.arange(n) + 0.5
    z, a = 1 - 2 * i / n, i * np.pi * (1 + np.sqrt(5))
    r = np.sqrt(1 - z * z)
    return np.stack([r * np.cos(a), r * np.sin(a), z], axis=1)
