"""One channel of an OpenEXR picture: single-part scan lines, uncompressed, RLE or zip, half or float.

Layout after the OpenEXR file layout document of the Academy Software Foundation.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

from phone2sim.errors import CaptureError

_LINES = {0: 1, 1: 1, 2: 1, 3: 16}
_OTHER = {4: "PIZ", 5: "PXR24", 6: "B44", 7: "B44A", 8: "DWAA", 9: "DWAB"}
_TYPES: dict[int, np.dtype] = {0: np.dtype("<u4"), 1: np.dtype("<f2"), 2: np.dtype("<f4")}


def read_channel(data: bytes, name: str) -> np.ndarray:
    """(h, w) float32 of channel Z, Y, R or the first one. `name` is told in errors."""
    try:
        return _read(data, name)
    except (struct.error, IndexError, ValueError, KeyError, zlib.error) as e:
        raise CaptureError(f"{name} is cut or damaged ({e}).", hint="Export the capture again.") from None


def _read(data: bytes, name: str) -> np.ndarray:
    if data[:4] != b"\x76\x2f\x31\x01":
        raise CaptureError(f"{name} is not an OpenEXR picture.", hint="Export the capture again.")
    if struct.unpack_from("<I", data, 4)[0] & 0x1A00:
        raise CaptureError(f"{name}: tiled, deep and multi-part OpenEXR is not read.", hint=_HINT)
    at, head = 8, {}
    while data[at] != 0:
        key, at = _word(data, at)
        _, at = _word(data, at)
        (size,) = struct.unpack_from("<i", data, at)
        head[key], at = data[at + 4 : at + 4 + size], at + 4 + size
    at += 1
    compression = head["compression"][0]
    if compression not in _LINES:
        said = _OTHER.get(compression, str(compression))
        raise CaptureError(f"{name}: OpenEXR compression {said} is not read.", hint=_HINT)
    x0, y0, x1, y1 = struct.unpack("<4i", head["dataWindow"])
    w, h = x1 - x0 + 1, y1 - y0 + 1
    if not (0 < w <= 20_000 and 0 < h <= 20_000):
        raise ValueError(f"{w}×{h} pixels")
    channels = _channels(head["channels"])
    order = [c for c, _ in channels]
    wanted = next((c for c in ("Z", "Y", "R") if c in order), order[0])
    offsets = {c: sum(t.itemsize for _, t in channels[:i]) for i, (c, _) in enumerate(channels)}
    kind, row = dict(channels)[wanted], sum(t.itemsize for _, t in channels) * w
    lines = _LINES[compression]
    out = np.zeros((h, w), np.float32)
    for offset in struct.unpack_from(f"<{-(-h // lines)}Q", data, at):
        y, size = struct.unpack_from("<ii", data, offset)
        first, count = y - y0, min(lines, y1 - y + 1)
        raw = _unpacked(data[offset + 8 : offset + 8 + size], compression, row * count)
        for i in range(count):
            out[first + i] = np.frombuffer(raw, kind, w, i * row + offsets[wanted] * w)
    return out


_HINT = "Give the .r3d file instead of its EXR export."


def _word(data: bytes, at: int) -> tuple[str, int]:
    end = data.index(b"\0", at)
    return data[at:end].decode("latin-1"), end + 1


def _channels(block: bytes) -> list[tuple[str, np.dtype]]:
    at = 0
    out: list[tuple[str, np.dtype]] = []
    while block[at] != 0:
        name, at = _word(block, at)
        kind, _, sx, sy = struct.unpack_from("<iIii", block, at)
        if (sx, sy) != (1, 1):
            raise ValueError("subsampled channels")
        out.append((name, _TYPES[kind]))
        at += 16
    return out


def _unpacked(block: bytes, compression: int, size: int) -> bytes:
    if compression == 0 or len(block) == size:
        return block
    mixed = np.frombuffer(_runs(block) if compression == 1 else zlib.decompress(block), np.uint8)
    if len(mixed) != size:
        raise ValueError(f"{len(mixed)} of {size} bytes")
    # predictor: differences to the byte before, offset by 128; then two interleaved halves
    plain = (np.cumsum(mixed.astype(np.int64)) - 128 * np.arange(size)).astype(np.uint8)
    half = (size + 1) // 2
    out = np.empty(size, np.uint8)
    out[0::2], out[1::2] = plain[:half], plain[half:]
    return out.tobytes()


def _runs(block: bytes) -> bytes:
    out, at = bytearray(), 0
    while at < len(block):
        n = struct.unpack_from("<b", block, at)[0]
        if n < 0:
            out += block[at + 1 : at + 1 - n]
            at += 1 - n
        else:
            out += block[at + 1 : at + 2] * (n + 1)
            at += 2
    return bytes(out)
