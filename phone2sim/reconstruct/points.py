"""Coloured points as a plain PLY: `x y z` float32 and `red green blue` uint8."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from phone2sim.errors import ShapeError
from phone2sim.reconstruct.ply import read_ply, write_ply

_ROW = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")])


def write_points_ply(path: Path, xyz: np.ndarray, rgb: np.ndarray) -> None:
    """Write points `xyz` (n, 3) [m] with colours `rgb` (n, 3) uint8."""
    xyz, rgb = np.asarray(xyz), np.asarray(rgb)
    n = len(xyz)
    if xyz.shape != (n, 3) or rgb.shape != (n, 3) or rgb.dtype != np.uint8:
        raise ShapeError(f"write_points_ply: expected (n, 3) and (n, 3) uint8, got {xyz.shape}, {rgb.shape} {rgb.dtype}.")
    rows = np.empty(n, _ROW)
    for i, name in enumerate(_ROW.names or ()):
        rows[name] = xyz[:, i] if i < 3 else rgb[:, i - 3]
    write_ply(path, rows)


def read_points_ply(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 3) float32 and colours (n, 3) uint8 of a PLY; grey when the file has none. Raises InputError."""
    rows = read_ply(path, need=("x", "y", "z"))
    xyz = np.stack([rows[a] for a in "xyz"], axis=1).astype(np.float32)
    if not {"red", "green", "blue"} <= set(rows.dtype.names or ()):
        return xyz, np.full((len(rows), 3), 128, np.uint8)
    rgb = np.stack([rows[a] for a in ("red", "green", "blue")], axis=1)
    if rgb.dtype.kind == "f":
        rgb = np.clip(rgb * 255, 0, 255).round()
    return xyz, rgb.astype(np.uint8)
