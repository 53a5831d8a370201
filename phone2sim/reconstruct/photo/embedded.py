"""Depth that a phone stored inside a photo: the depth image of a portrait HEIC, or GDepth in a JPEG's extended XMP."""

from __future__ import annotations

import base64
import binascii
import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENDED = b"http://ns.adobe.com/xmp/extension/\0"
_METRES = {"m": 1.0, "meters": 1.0, "metres": 1.0, "cm": 0.01, "mm": 0.001}
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


@dataclass(frozen=True, kw_only=True)
class EmbeddedDepth:
    """Depth of an upright photo, along the camera's z axis."""

    depth: np.ndarray
    """(h, w) float32 [m if `metric`, else any unit], 0 where there is none; same field of view as the picture."""
    metric: bool
    """Whether the file vouches for metres."""
    focal: float | None
    """Focal length as calibrated with the depth, in units of the picture's longer side."""
    source: str
    """What it is, for messages."""


def embedded_depth(path: Path) -> EmbeddedDepth | None:
    """The depth inside a photo; None when it holds none (or a damaged one: the picture is still good).

    HEIC: disparity [1/m] between the minimum and the maximum of the file's depth representation (ISO/IEC 14496-15,
    depth representation information). It is metric when Apple's record says `Accuracy` `absolute`. JPEG: Google's
    depth map metadata, `RangeInverse` and `RangeLinear`, metric when `Units` says a length.
    """
    try:
        with path.open("rb") as f:
            head = f.read(12)
        if head[4:8] == b"ftyp":
            return _from_heif(path)
        return _from_jpeg(path) if head[:2] == b"\xff\xd8" else None
    except (OSError, ValueError, KeyError, SyntaxError, RuntimeError, binascii.Error):
        return None


def depth_of_codes(code: np.ndarray, *, near: float, far: float, inverse: bool) -> np.ndarray:
    """Depth from codes in 0–1 (0 near, 1 far) of GDepth's `RangeInverse` or `RangeLinear`."""
    if not (0 < near < far < np.inf):
        raise ValueError("depth range")
    code = np.clip(np.asarray(code, np.float64), 0, 1)
    return np.asarray(near * far / (far - code * (far - near)) if inverse else near + code * (far - near))


def _from_heif(path: Path) -> EmbeddedDepth | None:
    import pi_heif

    picture = pi_heif.open_heif(path, convert_hdr_to_8bit=True)
    images = picture.info.get("depth_images") or []
    if not images:
        return None
    stored = images[0]
    about = stored.info.get("metadata") or {}
    code = _codes(stored.to_pillow())
    record = _apple_record(path.read_bytes())
    low = float(about.get("d_min") or record.get("FloatMinValue") or 0)
    high = float(about.get("d_max") or record.get("FloatMaxValue") or 0)
    if record.get("AuxiliaryImageType") == "depth":
        depth = low + code * (high - low)
    elif high > low:  # disparity: the brightest is the nearest
        disparity = low + code * (high - low)
        depth = np.where(disparity > 1e-3, 1 / np.maximum(disparity, 1e-3), 0)
    else:
        depth = 1 / (0.1 + code)  # nothing said about the range: an order of depth, no more
    depth = _like_picture(depth, picture.size, _orientation(picture.info.get("exif")))
    focal = None
    if "fx" in record and "ReferenceWidth" in record:
        focal = float(record["fx"]) / max(float(record["ReferenceWidth"]), float(record.get("ReferenceHeight", 0)))
    return EmbeddedDepth(
        depth=depth.astype(np.float32), metric=record.get("Accuracy") == "absolute", focal=focal,
        source="depth image of the HEIC file",
    )  # fmt: skip


def _apple_record(data: bytes) -> dict[str, str]:
    """What Apple's XMP record of the depth image says; empty when there is none."""
    for block in re.findall(rb"<x:xmpmeta.*?</x:xmpmeta>", data, re.S):
        text = block.decode("utf-8", "replace")
        kind = re.search(r"apdi:AuxiliaryImageType>(disparity|depth)<", text)
        if not kind:
            continue
        names = ("FloatMinValue", "FloatMaxValue", "Accuracy")
        found = {n: m[1] for n in names if (m := re.search(rf":{n}>([^<]+)<", text))}
        for n in ("ReferenceWidth", "ReferenceHeight"):
            if m := re.search(rf":IntrinsicMatrix{n}>([^<]+)<", text):
                found[n] = m[1]
        if m := re.search(r":IntrinsicMatrix>\s*<rdf:Seq>\s*<rdf:li>([^<]+)<", text):
            found["fx"] = m[1]
        return found | {"AuxiliaryImageType": kind[1]}
    return {}


def _from_jpeg(path: Path) -> EmbeddedDepth | None:
    main, extended = _xmp(path.read_bytes())
    text = main + extended

    def said(name: str) -> str | None:
        m = re.search(rf"GDepth:{name}\s*=\s*\"([^\"]*)\"", text) or re.search(rf"<GDepth:{name}>([^<]*)<", text)
        return m[1] if m else None

    data, form = said("Data"), said("Format")
    if not data or not form:
        return None
    with Image.open(io.BytesIO(base64.b64decode(re.sub(r"\s", "", data)))) as im:
        im.load()
        code = _codes(im)
    near, far = float(said("Near") or 0), float(said("Far") or 0)
    depth = depth_of_codes(code, near=near, far=far, inverse=form.endswith("Inverse"))
    unit = _METRES.get((said("Units") or "").strip().lower())
    with Image.open(path) as im:
        size, orientation = im.size, im.getexif().get(ExifTags.Base.Orientation, 1)
    turned = _like_picture(_turned(depth, int(orientation)), size[::-1] if int(orientation) >= 5 else size, 1)
    if (said("MeasureType") or "OpticalAxis") == "OpticRay":
        turned = _along_axis(turned)
    return EmbeddedDepth(
        depth=(turned * (unit or 1.0)).astype(np.float32), metric=unit is not None, focal=None,
        source="GDepth of the JPEG file",
    )  # fmt: skip


def _along_axis(depth: np.ndarray) -> np.ndarray:
    """Distances along rays → along the optical axis, for a usual phone's field of view."""
    h, w = depth.shape
    u, v = np.meshgrid(np.arange(w) + 0.5 - w / 2, np.arange(h) + 0.5 - h / 2)
    return depth / np.sqrt(1 + (u**2 + v**2) / (0.8 * max(h, w)) ** 2)


def _codes(im: Image.Image) -> np.ndarray:
    """(h, w) float64 in 0–1 of an 8 or 16 bit picture."""
    a = np.asarray(im)
    if a.ndim == 3:
        a = a[..., 0]
    return a.astype(np.float64) / (255.0 if a.dtype == np.uint8 else 65535.0)


def _turned(a: np.ndarray, orientation: int) -> np.ndarray:
    turn = _TURNS.get(orientation)
    return a if turn is None else np.asarray(Image.fromarray(a.astype(np.float32)).transpose(Image.Transpose[turn]))


def _like_picture(depth: np.ndarray, size_wh: tuple[int, int], orientation: int) -> np.ndarray:
    """A depth map that lies on its side is turned as EXIF says (a quarter to the right when it says nothing)."""
    if (depth.shape[1] > depth.shape[0]) == (size_wh[0] > size_wh[1]) or size_wh[0] == size_wh[1]:
        return depth
    return _turned(depth, orientation if orientation >= 5 else 6)


def _orientation(exif: bytes | None) -> int:
    try:
        block = Image.Exif()
        block.load(exif or b"")
        return int(block.get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF
        return 1


def _xmp(data: bytes) -> tuple[str, str]:
    """Main and extended XMP of a JPEG's APP1 segments (XMP specification part 3)."""
    main, parts = "", {}
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:
            break
        body = data[at + 4 : at + 2 + size]
        if marker == 0xE1 and body.startswith(_XMP):
            main = body[len(_XMP) :].decode("utf-8", "replace")
        elif marker == 0xE1 and body.startswith(_EXTENDED):
            head = len(_EXTENDED) + 32
            offset = int.from_bytes(body[head + 4 : head + 8], "big")
            parts[(body[len(_EXTENDED) : head], offset)] = body[head + 8 :]
        at += 2 + size
    wanted = re.search(r"HasExtendedXMP\s*=?\s*[\">]\s*([0-9A-Fa-f]{32})", main)
    name = wanted[1].encode() if wanted else (min(parts)[0] if parts else b"")
    return main, b"".join(parts[k] for k in sorted(parts) if k[0] == name).decode("utf-8", "replace")
