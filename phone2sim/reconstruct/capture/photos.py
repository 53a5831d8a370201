"""Photos: complete decoding, upright pixels, and the focal length that EXIF tells."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from PIL import ExifTags, Image, ImageOps

from phone2sim.errors import CaptureError
from phone2sim.reconstruct.capture.content import content_of
from phone2sim.reconstruct.capture.tone import is_hdr, to_srgb8

_FILM_DIAGONAL_MM = 43.2666
_TURNS: dict[object, int] = {3: 2, 6: 3, 8: 1}
_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}


@dataclass(frozen=True, kw_only=True)
class Photo:
    """An upright picture and what its EXIF says about the lens."""

    rgb: np.ndarray
    """(h, w, 3) uint8."""
    focal_px: float | None
    """[px] of the full picture; None when EXIF holds no usable focal length."""
    camera: str
    """Maker, model, lens and focal length as one text; the same text means the same intrinsics."""
    turns: int = 0
    """Quarter turns, counter-clockwise, still needed to bring the picture upright; not 0 only when asked so."""


def natural_key(path: PurePath) -> tuple:
    """Sorts IMG_2 before IMG_10."""
    parts = re.split(r"(\d+)", path.name.lower())
    return tuple((1, int(p), "") if p.isdigit() else (0, 0, p) for p in parts)


def read_photo(path: Path, *, upright: bool = True) -> Photo:
    """Decode a JPEG, PNG, HEIC or HEIF completely. A cut or damaged file is a `CaptureError` that names it.

    EXIF orientation is baked into JPEG and PNG. HEIF decoders already apply the rotation stored in the container, so
    there the EXIF tag is ignored. Damaged EXIF costs only the focal length. With `upright=False` the pixels stay as
    stored and `Photo.turns` says what the tag asks for (mirrored orientations ask for nothing).
    """
    kind, turns = content_of(path), 0
    if kind not in ("photo", "heif"):
        raise CaptureError(f"{path.name} is not a photo ({_described(kind)}).", hint="Give JPEG, PNG or HEIC files.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if kind == "heif":
                rgb, exif = _decode_heif(path)
            else:
                with Image.open(path, formats=("JPEG", "PNG")) as im:
                    im.load()
                    exif = _exif(im)
                    if not upright:
                        turns = _TURNS.get(exif.get(ExifTags.Base.Orientation), 0)
                    rgb = np.asarray((_upright(im) if upright else im).convert("RGB"))
    except (OSError, SyntaxError, ValueError, EOFError, RuntimeError, Image.DecompressionBombError) as e:
        reason = re.sub(r"\s+", " ", str(e)).strip().rstrip(".") or type(e).__name__
        reason = reason.replace(str(path), path.name)
        raise CaptureError(
            f"{path.name} is cut or damaged ({reason}).", hint="Copy it again from the phone, or leave it out."
        ) from None
    if min(rgb.shape[:2]) < 64:
        raise CaptureError(f"{path.name} is only {rgb.shape[1]}×{rgb.shape[0]} px.", hint="Photos need at least 64 px.")
    return Photo(
        rgb=rgb, focal_px=focal_px(exif, rgb.shape[1], rgb.shape[0]), camera=_camera(exif, rgb.shape), turns=turns
    )


def _described(kind: str) -> str:
    return {"text": "it holds text", "empty": "it is empty", "clip": "it is a clip"}.get(kind, "its content is of no known kind: damaged?")


def _decode_heif(path: Path) -> tuple[np.ndarray, dict[int, object]]:
    import pi_heif

    picture = pi_heif.open_heif(path, convert_hdr_to_8bit=False)
    coded = picture.info.get("nclx_profile") or {}
    transfer, bits = int(coded.get("transfer_characteristics", 2)), int(picture.info.get("bit_depth") or 8)
    if bits > 8 and is_hdr(transfer):
        a = np.asarray(picture)[..., :3]
        primaries = int(coded.get("color_primaries", 9))
        rgb = to_srgb8(a | (a >> bits), transfer=transfer, primaries=primaries)  # the low bits are empty
    else:
        if bits > 8:
            picture = pi_heif.open_heif(path, convert_hdr_to_8bit=True)
        im = Image.frombytes(picture.mode, picture.size, bytes(picture.data), "raw", picture.mode, picture.stride)
        rgb = np.asarray(im.convert("RGB"))
    exif: dict[int, object] = {}
    raw = picture.info.get("exif")
    if raw:
        try:
            block = Image.Exif()
            block.load(raw)
            exif = _flat(block)
        except Exception:  # a damaged EXIF block only costs the focal length
            exif = {}
    return rgb, exif


def _upright(im: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(im) or im
    except Exception:  # damaged EXIF: the pixels as stored
        return im


def _exif(im: Image.Image) -> dict[int, object]:
    try:
        return _flat(im.getexif())
    except Exception:  # damaged EXIF: no focal length
        return {}


def _flat(block: Image.Exif) -> dict[int, object]:
    return {**dict(block), **dict(block.get_ifd(ExifTags.IFD.Exif))}


def _number(exif: dict[int, object], tag: int) -> float | None:
    try:
        value = float(exif[tag])  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return value if np.isfinite(value) and value > 0 else None


def focal_px(exif: dict[int, object], width: int, height: int) -> float | None:
    """Focal length [px] of a picture of this size, from the 35 mm equivalent or from the sensor's pixel pitch.

    The equivalent relates to the 43.27 mm diagonal of 24×36 mm film (CIPA DC-X008). Values outside 0.3–10 times the
    long side are not believed.
    """
    base = ExifTags.Base
    f: float | None = None
    if f35 := _number(exif, base.FocalLengthIn35mmFilm):
        f = f35 * float(np.hypot(width, height)) / _FILM_DIAGONAL_MM
    else:
        focal_mm, pitch = _number(exif, base.FocalLength), _number(exif, base.FocalPlaneXResolution)
        unit = _UNIT_MM.get(int(_number(exif, base.FocalPlaneResolutionUnit) or 2), 25.4)
        stored = max(_number(exif, base.ExifImageWidth) or 0, _number(exif, base.ExifImageHeight) or 0)
        if focal_mm and pitch and stored:
            f = focal_mm * pitch / unit * max(width, height) / stored
    return f if f and 0.3 <= f / max(width, height) <= 10 else None


def _camera(exif: dict[int, object], shape: tuple[int, ...]) -> str:
    base = ExifTags.Base
    tags = (base.Make, base.Model, base.LensModel, base.FocalLength, base.FocalLengthIn35mmFilm)
    said = "|".join(str(exif.get(t, "")).strip("\x00 ") for t in tags)
    return f"{said}|{shape[1]}x{shape[0]}"
