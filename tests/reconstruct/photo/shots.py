"""True-to-format single photos of the sample's world: pictures with the depth that the mesh rasteriser saw, as GDepth."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from phone2sim._native.mesh import to_srgb8
from phone2sim.poses import look_at
from phone2sim.sample.scene import SampleConfig, SampleScene, make_scene

MAIN = b"http://ns.adobe.com/xap/1.0/\0"
EXTENDED = b"http://ns.adobe.com/xmp/extension/\0"
HEAD = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
DEPTH = 'xmlns:GDepth="http://ns.google.com/photos/1.0/depthmap/"'


@dataclass(frozen=True)
class Shot:
    scene: SampleScene
    K: np.ndarray
    T_world_camera: np.ndarray
    rgb: np.ndarray
    depth: np.ndarray


def shoot(
    objects: tuple[str, ...], *, seed: int = 0, azimuth: float = -90, elevation: float = 40, distance: float = 0.75,
    width: int = 720, height: int = 960, sheet: bool = False,
) -> Shot:  # fmt: skip
    """One camera's view of the sample's table, angles in degrees."""
    scene = make_scene(SampleConfig(objects=objects, seed=seed, sheet=sheet))
    a, e = np.radians(azimuth), np.radians(elevation)
    T = look_at(distance * np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)]), [0, 0, 0.03]).matrix
    f = 0.8 * max(width, height)
    K = np.array([[f, 0, width / 2], [0, f, height / 2], [0, 0, 1.0]])
    view = scene.view(K, T, width, height)
    return Shot(scene, K, T, to_srgb8(view.rgb), np.where(np.isfinite(view.depth), view.depth, 0))


def write_gdepth(
    path: Path, rgb: np.ndarray, depth: np.ndarray, *, units: str = "m", f35: int | None = None, inverse: bool = True,
    orientation: int = 1, bits: int = 16,
) -> None:  # fmt: skip
    """A JPEG with a depth map in its extended XMP, spread over as many APP1 segments as it takes."""
    near, far = float(depth[depth > 0].min()), float(depth.max())
    d = np.where(depth > 0, depth, far)
    code = (1 / d - 1 / near) / (1 / far - 1 / near) if inverse else (d - near) / (far - near)
    levels = 2**bits - 1
    stored = np.round(code * levels).astype(np.uint16 if bits == 16 else np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(stored).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    extended = f'{HEAD}<rdf:Description {DEPTH} GDepth:Data="{data}"/></rdf:RDF></x:xmpmeta>'.encode()
    name = hashlib.md5(extended).hexdigest().upper()
    said = f' GDepth:Units="{units}"' if units else ""
    form = "RangeInverse" if inverse else "RangeLinear"
    main = (
        f'{HEAD}<rdf:Description {DEPTH} xmlns:xmpNote="http://ns.adobe.com/xmp/note/" GDepth:Format="{form}" '
        f'GDepth:Near="{near!r}" GDepth:Far="{far!r}"{said} GDepth:Mime="image/png" xmpNote:HasExtendedXMP="{name}"/>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()
    segments = [MAIN + main]
    for at in range(0, len(extended), 60_000):
        head = EXTENDED + name.encode() + len(extended).to_bytes(4, "big") + at.to_bytes(4, "big")
        segments.append(head + extended[at : at + 60_000])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    if f35 is not None:
        exif[ExifTags.IFD.Exif] = {ExifTags.Base.FocalLengthIn35mmFilm: f35}
    picture = io.BytesIO()
    Image.fromarray(rgb).save(picture, "JPEG", quality=95, exif=exif.tobytes())
    plain = picture.getvalue()
    blocks = b"".join(b"\xff\xe1" + (len(s) + 2).to_bytes(2, "big") + s for s in segments)
    path.write_bytes(plain[:2] + blocks + plain[2:])


def focal_35(shot: Shot) -> int:
    """The 35 mm equivalent as EXIF stores it, in whole millimetres."""
    h, w = shot.depth.shape
    return round(float(shot.K[0, 0]) * 43.2666 / np.hypot(w, h))
