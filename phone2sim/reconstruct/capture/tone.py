"""High dynamic range to the 8-bit sRGB that everything after expects.

HLG (Rec. ITU-R BT.2100, as phones film) and PQ (SMPTE ST 2084) signals become display light with their own transfer
functions, HLG through its system gamma of 1.2 on a nominal display of 1000 cd/m². Light is then relative to the
reference white of 203 cd/m² (Report ITU-R BT.2408), goes from BT.2020 to sRGB primaries, and is compressed: nothing
changes below `KNEE`, an exponential shoulder brings the rest below 1. The shoulder acts on the largest channel and the
others keep their ratio to it, so that hues stay.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

PQ, HLG = 16, 18
"""Transfer characteristics (Rec. ITU-T H.273)."""
BT2020 = 9
"""Colour primaries (H.273)."""
WHITE = 203.0
"""Reference white [cd/m²]."""
KNEE = 0.6
"""Share of reference white up to which tones are kept."""
_PEAK = 1000.0
_TO_SRGB = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]], np.float32
)
"""Linear BT.2020 → linear sRGB (Rec. ITU-R BT.2087)."""
_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)


def is_hdr(transfer: int) -> bool:
    """Whether a stream with these transfer characteristics (H.273) needs `to_srgb8`."""
    return transfer in (PQ, HLG)


def to_srgb8(signal: np.ndarray, *, transfer: int, primaries: int = BT2020) -> np.ndarray:
    """(h, w, 3) uint8 sRGB of the (h, w, 3) uint16 non-linear RGB signal (full range)."""
    light = _decoding(transfer)[signal]
    if transfer == HLG:  # the system gamma: display light = scene light × luminance^(γ−1)
        light *= np.maximum(light @ _LUMA, 1e-6)[..., None] ** np.float32(0.2)
        light *= np.float32(_PEAK / WHITE)
    if primaries == BT2020:
        light = np.maximum(light @ _TO_SRGB.T, 0)
    peak = light.max(axis=-1, keepdims=True)
    light *= shoulder(peak) / np.maximum(peak, 1e-6)
    return _encoding()[(np.clip(light, 0, 1) * 4095 + 0.5).astype(np.uint16)]


def shoulder(x: np.ndarray) -> np.ndarray:
    """The tone curve: x up to `KNEE`, above it 1 − (1 − k) exp(−(x − k) / (1 − k))."""
    k = np.float32(KNEE)
    return np.where(x <= k, x, 1 - (1 - k) * np.exp(-np.maximum(x - k, 0) / (1 - k)))


@lru_cache(maxsize=2)
def _decoding(transfer: int) -> np.ndarray:
    """(65536,) float32: HLG to scene light 0–1 (inverse OETF), PQ to display light over reference white (EOTF)."""
    e = np.arange(65536) / 65535
    if transfer == HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        return np.where(e <= 0.5, e * e / 3, (np.exp((e - c) / a) + b) / 12).astype(np.float32)
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    p = e ** (1 / m2)
    return (10_000 / WHITE * (np.maximum(p - c1, 0) / (c2 - c3 * p)) ** (1 / m1)).astype(np.float32)


@lru_cache(maxsize=1)
def _encoding() -> np.ndarray:
    """(4096,) uint8: linear light to sRGB (IEC 61966-2-1)."""
    x = np.arange(4096) / 4095
    return np.round(255 * np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)).astype(np.uint8)
