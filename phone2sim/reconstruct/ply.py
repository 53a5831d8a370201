"""PLY tables: the one place that knows the header. Binary little endian is written; all three encodings are read."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from phone2sim.errors import InputError

_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4", "double": "f8",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4", "float32": "f4", "float64": "f8",
}  # fmt: skip
_NAMES = {"i1": "char", "u1": "uchar", "i2": "short", "u2": "ushort", "i4": "int", "u4": "uint", "f4": "float", "f8": "double"}
_ORDER = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}


class _Element(NamedTuple):
    name: str
    size: int
    fields: list[tuple[str, str]]
    lists: list[str]


def write_ply(path: Path, rows: np.ndarray, *, comments: tuple[str, ...] = ()) -> None:
    """Write a structured array of scalar columns (n,) as the `vertex` element, binary little endian."""
    fields = [(name, np.dtype(rows.dtype[name])) for name in rows.dtype.names or ()]
    head = ["ply", "format binary_little_endian 1.0", *(f"comment {c}" for c in comments), f"element vertex {len(rows)}"]
    head += [f"property {_NAMES[t.str[1:]]} {name}" for name, t in fields] + ["end_header\n"]
    little = rows.astype([(name, t.newbyteorder("<")) for name, t in fields], copy=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\n".join(head).encode() + little.tobytes())


def read_ply(path: Path, *, need: tuple[str, ...] = ()) -> np.ndarray:
    """The `vertex` element of a PLY file as a structured array (n,), columns in the file's order and native bytes.

    Raises InputError for a file that is no PLY, is cut short, or lacks one of the `need`ed columns.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except OSError as e:
        raise InputError(f"{path} cannot be read: {e.strerror}.") from None
    encoding, elements, start = _header(path, data)
    for element in elements:
        if element.name != "vertex":
            start = _skip(path, data, element, encoding, start)
            continue
        names = [name for name, _ in element.fields]
        missing = [name for name in need if name not in names]
        if missing:
            have = ", ".join(names) or "none"
            raise InputError(f"{path} lacks the vertex properties {', '.join(missing)};", hint=f"it has {have}.")
        if element.lists or len(set(names)) < len(names):
            raise InputError(f"{path}: the vertex properties must be single values, each named once.")
        return _rows(path, data, element, encoding, start)
    raise InputError(f"{path} has no vertex element.")


def _header(path: Path, data: bytes) -> tuple[str, list[_Element], int]:
    marker = data.find(b"end_header")
    end = data.find(b"\n", marker) + 1
    if not data.startswith(b"ply") or marker < 0 or end == 0:
        raise InputError(f"{path} is not a PLY file.")
    encoding, elements = "", []
    for words in (line.split() for line in data[:marker].decode("ascii", "replace").splitlines()):
        try:
            if words[:1] == ["format"]:
                encoding = words[1]
            elif words[:1] == ["element"]:
                elements.append(_Element(words[1], int(words[2]), [], []))
            elif words[:2] == ["property", "list"]:
                elements[-1].lists.append(words[4])
            elif words[:1] == ["property"]:
                elements[-1].fields.append((words[2], _TYPES[words[1]]))
        except (IndexError, KeyError, ValueError):
            raise InputError(f"{path}: the PLY header line {' '.join(words)!r} is not understood.") from None
    if encoding not in _ORDER:
        raise InputError(f"{path}: unknown PLY format {encoding!r};", hint=f"have {', '.join(_ORDER)}.")
    return encoding, elements, end


def _dtype(element: _Element, encoding: str) -> np.dtype:
    return np.dtype([(name, _ORDER[encoding] + kind) for name, kind in element.fields])


def _skip(path: Path, data: bytes, element: _Element, encoding: str, start: int) -> int:
    if encoding == "ascii":
        for _ in range(element.size):
            start = data.find(b"\n", start) + 1
            if start == 0:
                raise InputError(f"{path} is cut short within its element {element.name!r}.")
        return start
    if element.lists:
        raise InputError(f"{path}: the element {element.name!r} before the vertices holds lists, which is not supported.")
    return start + element.size * _dtype(element, encoding).itemsize


def _rows(path: Path, data: bytes, element: _Element, encoding: str, start: int) -> np.ndarray:
    dtype = _dtype(element, encoding)
    if encoding == "ascii":
        lines = data[start:].decode("ascii", "replace").splitlines()[: element.size]
        table = [line.split() for line in lines]
        whole = next((i for i, row in enumerate(table) if len(row) != len(element.fields)), len(table))
        _whole(path, element, whole)
        try:
            values = np.array(table, np.float64).reshape(element.size, len(element.fields))
        except ValueError as e:
            raise InputError(f"{path}: a vertex is not made of numbers: {e}.") from None
        rows = np.empty(element.size, dtype)
        for i, (name, _) in enumerate(element.fields):
            rows[name] = values[:, i]
        return rows
    _whole(path, element, (len(data) - start) // max(1, dtype.itemsize))
    rows = np.frombuffer(data, dtype, count=element.size, offset=start)
    return rows.astype(dtype.newbyteorder("="))


def _whole(path: Path, element: _Element, found: int) -> None:
    if found < element.size:
        raise InputError(f"{path} is cut short: its header promises {element.size} vertices, {max(0, found)} are there.")
