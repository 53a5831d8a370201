"""HDR films come back as the sRGB picture they were made from."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from phone2sim.reconstruct.capture.clip import decode
from phone2sim.reconstruct.capture.photos import read_photo
from phone2sim.reconstruct.capture.tone import HLG, KNEE, PQ, shoulder

SIZE = 64
PATCHES = np.array(
    [
        [0.0, 0.0, 0.0], [0.02, 0.02, 0.02], [0.18, 0.18, 0.18], [0.5, 0.5, 0.5], [0.4, 0.1, 0.05], [0.05, 0.3, 0.1],
        [0.06, 0.1, 0.45], [0.5, 0.45, 0.1], [1.0, 1.0, 1.0], [2.0, 2.0, 2.0], [1.5, 0.75, 0.3], [4.0, 4.0, 4.0],
    ]
)  # fmt: skip
"""Linear sRGB light relative to reference white: tones, colours, and highlights above it."""


def srgb(x: np.ndarray) -> np.ndarray:
    return 255 * np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 1e-9) ** (1 / 2.4) - 0.055)


def expected() -> np.ndarray:
    """The documented curve: kept below the knee, a shoulder above it, hue kept."""
    peak = PATCHES.max(axis=1, keepdims=True)
    curve = np.where(peak <= KNEE, peak, 1 - (1 - KNEE) * np.exp(-(peak - KNEE) / (1 - KNEE)))
    return srgb(PATCHES * np.where(peak > 0, curve / np.maximum(peak, 1e-9), 1))


def encode_light(light: np.ndarray, transfer: int) -> np.ndarray:
    """The HLG or PQ signal (BT.2100) of linear sRGB light, 1 being 203 cd/m²."""
    to_2020 = np.array([[0.627404, 0.329283, 0.043313], [0.069097, 0.919540, 0.011362], [0.016391, 0.088013, 0.895595]])
    nits = 203 * light @ to_2020.T
    if transfer == PQ:
        y = (nits / 10_000) ** (2610 / 16384)
        return ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)
    display = nits / 1000
    luma = display @ [0.2627, 0.6780, 0.0593]
    scene = display * np.maximum(luma, 1e-9)[:, None] ** (1 / 1.2 - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


def film(path: Path, signal: np.ndarray, *, transfer: int, primaries: int, matrix: int, codec: str) -> None:
    """Patches side by side as 10-bit 4:2:0, limited range."""
    import av

    r, g, b = signal.T
    kr, kb = (0.2627, 0.0593) if matrix == 9 else (0.2126, 0.0722)
    y = kr * r + (1 - kr - kb) * g + kb * b
    planes = [64 + 876 * y, 512 + 896 * (b - y) / (2 - 2 * kb), 512 + 896 * (r - y) / (2 - 2 * kr)]
    with av.open(str(path), "w") as out:
        options = {"crf": "1", "x265-params": "log-level=none:bframes=0:pools=none:frame-threads=1", "preset": "ultrafast"}
        stream = out.add_stream(codec, rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = SIZE * len(signal), SIZE, "yuv420p10le"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 30)
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace, context.color_range = transfer, primaries, matrix, 1
        for i in range(2):
            frame = av.VideoFrame(stream.width, SIZE, "yuv420p10le")
            for values, plane, s in zip(planes, frame.planes, (SIZE, SIZE // 2, SIZE // 2)):
                row = np.repeat(np.round(values).astype("<u2"), s)
                rows = np.zeros((s, plane.line_size // 2), "<u2")
                rows[:, : len(row)] = row
                plane.update(rows.tobytes())
            frame.pts, frame.time_base = i, Fraction(1, 30)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def heic(path: Path, clip: Path, *, transfer: int, size_wh: tuple[int, int]) -> None:
    """The first frame of an H.265 clip as a still: the boxes of ISO/IEC 23008-12 that a reader needs."""
    import av

    def box(kind: str, *parts: bytes) -> bytes:
        data = b"".join(parts)
        return struct.pack(">I4s", 8 + len(data), kind.encode()) + data

    def full(kind: str, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
        return box(kind, struct.pack(">I", version << 24 | flags), *parts)

    with av.open(str(clip)) as src:
        stream = src.streams.video[0]
        picture, config = bytes(next(src.demux(stream))), bytes(stream.codec_context.extradata)
    properties = box(
        "ipco", box("hvcC", config), full("ispe", struct.pack(">II", *size_wh)),
        box("colr", b"nclx", struct.pack(">HHHB", 9, transfer, 9, 0)),
    )  # fmt: skip
    used = full("ipma", struct.pack(">IHB", 1, 1, 3), bytes([0x81, 0x02, 0x03]))
    entry = full("infe", struct.pack(">HH4sB", 1, 0, b"hvc1", 0), version=2)

    def meta(at: int) -> bytes:
        return full(
            "meta", full("hdlr", struct.pack(">I4s", 0, b"pict"), bytes(13)), full("pitm", struct.pack(">H", 1)),
            full("iloc", struct.pack(">BBHHHHII", 0x44, 0, 1, 1, 0, 1, at, len(picture))),
            full("iinf", struct.pack(">H", 1), entry), box("iprp", properties, used),
        )  # fmt: skip

    head = box("ftyp", b"heic", struct.pack(">I", 0), b"mif1heic")
    at = len(head) + len(meta(0)) + 8
    path.write_bytes(head + meta(at) + box("mdat", picture))


def patches(rgb: np.ndarray) -> np.ndarray:
    return np.stack([rgb[12:-12, SIZE * i + 12 : SIZE * (i + 1) - 12].mean((0, 1)) for i in range(rgb.shape[1] // SIZE)])


@pytest.mark.parametrize("codec", ["libx265", "libx264"])
@pytest.mark.parametrize("transfer", [HLG, PQ])
def test_hdr_films_come_back_as_srgb(tmp_path: Path, transfer: int, codec: str) -> None:
    signal = encode_light(PATCHES, transfer)
    film(tmp_path / "hdr.mp4", signal, transfer=transfer, primaries=9, matrix=9, codec=codec)
    for _, _, rgb in decode(tmp_path / "hdr.mp4"):
        assert rgb.dtype == np.uint8
        np.testing.assert_allclose(patches(rgb), expected(), atol=4)


@pytest.mark.parametrize("transfer", [HLG, PQ])
def test_hdr_photos_come_back_as_srgb(tmp_path: Path, transfer: int) -> None:
    signal = encode_light(PATCHES, transfer)
    film(tmp_path / "a.mp4", signal, transfer=transfer, primaries=9, matrix=9, codec="libx265")
    heic(tmp_path / "a.hif", tmp_path / "a.mp4", transfer=transfer, size_wh=(SIZE * len(PATCHES), SIZE))
    np.testing.assert_allclose(patches(read_photo(tmp_path / "a.hif").rgb), expected(), atol=4)


@pytest.mark.parametrize("codec", ["libx265", "libx264"])
def test_ten_bit_sdr_only_converts(tmp_path: Path, codec: str) -> None:
    signal = np.clip(srgb(np.minimum(PATCHES, 1)) / 255, 0, 1)
    film(tmp_path / "sdr.mp4", signal, transfer=1, primaries=1, matrix=1, codec=codec)
    for _, _, rgb in decode(tmp_path / "sdr.mp4"):
        np.testing.assert_allclose(patches(rgb), 255 * signal, atol=4)


def test_the_tone_curve_is_smooth_rising_and_bounded() -> None:
    x = np.linspace(0, 50, 20001)
    y = shoulder(x)
    assert np.array_equal(y[x <= KNEE], x[x <= KNEE]) and (np.diff(y[x < 4]) > 0).all() and y.max() <= 1
    slope = np.diff(y) / np.diff(x)
    assert np.abs(np.diff(slope)).max() < 0.01


def test_only_wanted_frames_are_converted(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", encode_light(PATCHES, HLG), transfer=HLG, primaries=9, matrix=9, codec="libx264")
    every = list(decode(tmp_path / "a.mp4"))
    one = list(decode(tmp_path / "a.mp4", wanted={1}))
    assert [(i, t) for i, t, _ in one] == [(1, every[1][1])] and np.array_equal(one[0][2], every[1][2])
    fast = list(decode(tmp_path / "a.mp4", tones=False))
    assert len(fast) == len(every) and not np.array_equal(fast[0][2], every[0][2])
