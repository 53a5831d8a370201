"""Coloured points as a plain PLY: `x y z` float32 and `red green blue` uint8, binary little endian."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from phone2sim.errors import InputError, ShapeError

_TYPES = {
    "char": "i1", "uchar": "u1", "short": "<i2", "ushort": "<u2", "int": "<i4", "uint": "<u4", "float": "<f4", "double": "<f8",
    "int8": "i1", "uint8": "u1", "int16": "<i2", "uint16": "<u2", "int32": "<i4", "uint32": "<u4", "float32": "<f4", "float64": "<f8",
}  # fmt: skip
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
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {n}\n"
    header += "".join(f"property {'float' if i < 3 else 'uchar'} {name}\n" for i, name in enumerate(_ROW.names or ()))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header.encode() + b"end_header\n" + rows.tobytes())


def read_points_ply(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 3) float32 and colours (n, 3) uint8 (grey when the file has none) of a binary little-endian PLY."""
    try:
        data = path.read_bytes()
    except OSError:
        raise InputError(f"{path} does not exist.") from None
    end = data.find(b"end_header\n")
    if not data.startswith(b"ply") or end < 0 or b"binary_little_endian" not in data[:end]:
        raise InputError(f"{path} is not a binary little-endian PLY file.")
    n, fields, element = 0, [], ""
    for words in (line.split() for line in data[:end].decode("ascii", "replace").splitlines()):
        if words[:1] == ["element"]:
            if element == "":
                element, n = words[1], int(words[2])
            else:
                element = "other"
        elif words[:1] == ["property"] and element == "vertex" and words[1] in _TYPES:
            fields.append((words[2], _TYPES[words[1]]))
    dtype = np.dtype(fields)
    if not {"x", "y", "z"} <= set(dtype.names or ()) or len(data) < end + 11 + n * dtype.itemsize:
        raise InputError(f"{path} holds no whole list of points (properties x y z).")
    rows = np.frombuffer(data, dtype, count=n, offset=end + 11)
    xyz = np.stack([rows[a] for a in "xyz"], axis=1).astype(np.float32)
    if {"red", "green", "blue"} <= set(dtype.names or ()):
        return xyz, np.stack([rows[a] for a in ("red", "green", "blue")], axis=1).astype(np.uint8)
    return xyz, np.full((n, 3), 128, np.uint8)
