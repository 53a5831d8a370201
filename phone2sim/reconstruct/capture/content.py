"""What a file is, told by its first bytes and never by its name."""

from __future__ import annotations

from pathlib import Path

from phone2sim.errors import CaptureError

_STILL_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis"}


def content_of(path: Path) -> str:
    """`photo`, `heif`, `clip`, `zip`, `text`, `empty` or `unknown`."""
    try:
        with path.open("rb") as f:
            head = f.read(4096)
    except OSError as e:
        raise CaptureError(f"{path} cannot be read: {e.strerror}.") from None
    if not head:
        return "empty"
    if head.startswith(b"\xff\xd8\xff") or head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "photo"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head[4:8] == b"ftyp":
        return "heif" if head[8:12] in _STILL_BRANDS else "clip"
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "clip"
    if head.startswith(b"\x1aE\xdf\xa3") or (head.startswith(b"RIFF") and head[8:12] == b"AVI "):
        return "clip"
    if head.startswith((b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"G\x40")):
        return "clip"
    try:
        text = head.decode("utf-8", "strict") if len(head) < 4096 else head[:4000].decode("utf-8", "ignore")
    except UnicodeDecodeError:
        return "unknown"
    return "text" if all(c.isprintable() or c in "\r\n\t\f\ufeff" for c in text) else "unknown"
