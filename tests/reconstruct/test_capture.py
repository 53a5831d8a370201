"""Laws of ingest: upright pixels, true times, every bad file a named error."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from phone2sim.errors import CaptureError
from phone2sim.images import read_rgb
from phone2sim.reconstruct.capture import Capture, CaptureConfig, capture_stage, find_source, ingest
from phone2sim.reconstruct.capture.blur import local_part, motion, sharpness
from phone2sim.reconstruct.capture.clip import ClipSurvey, choose_frames, decode
from phone2sim.reconstruct.capture.photos import natural_key, read_photo

CAPTURES = Path(__file__).parents[2].parent / "shared" / "captures"
needs_captures = pytest.mark.skipif(not CAPTURES.is_dir(), reason="no captures beside the repository")

STORED = {
    1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a, 1), 7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}  # fmt: skip
"""How an upright picture lies in the file for each EXIF orientation."""


def scene(h: int = 120, w: int = 160) -> np.ndarray:
    """A smooth picture without any symmetry."""
    y, x = np.mgrid[:h, :w]
    return np.stack([255 * x / w, 255 * y / h, 128 + 100 * np.sin(x / 17 + y / 29)], axis=2).astype(np.uint8)


def jpeg(path: Path, rgb: np.ndarray, **exif: float) -> None:
    block = Image.Exif()
    inner = block.get_ifd(0x8769)
    for tag, value in exif.items():
        if tag == "orientation":
            block[0x0112] = value
        else:
            inner[{"f35": 0xA405, "focal": 0x920A}[tag]] = value
    Image.fromarray(np.ascontiguousarray(rgb)).save(path, quality=97, subsampling=0, exif=block)


@pytest.mark.parametrize("orientation", sorted(STORED))
def test_all_orientations_come_out_upright(tmp_path: Path, orientation: int) -> None:
    upright = scene()
    jpeg(tmp_path / "a.jpg", STORED[orientation](upright), orientation=orientation)
    got = read_photo(tmp_path / "a.jpg").rgb
    assert got.shape == upright.shape
    assert np.abs(got.astype(int) - upright).mean() < 2


def test_focal_length_from_exif_uses_the_film_diagonal(tmp_path: Path) -> None:
    jpeg(tmp_path / "a.jpg", scene(), f35=26)
    assert read_photo(tmp_path / "a.jpg").focal_px == pytest.approx(26 * 200 / 43.2666, rel=1e-3)
    jpeg(tmp_path / "b.jpg", scene())
    assert read_photo(tmp_path / "b.jpg").focal_px is None


def test_natural_order() -> None:
    names = ["IMG_10.jpg", "IMG_2.jpg", "a.jpg", "IMG_1.jpg"]
    assert [p.name for p in sorted(map(Path, names), key=natural_key)] == [
        "a.jpg",
        "IMG_1.jpg",
        "IMG_2.jpg",
        "IMG_10.jpg",
    ]


def test_photos_keep_their_sources_and_group_by_lens(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, f35 in enumerate((26, 26, 13)):
        jpeg(folder / f"p{i}.jpg", scene(), f35=f35)
    (folder / "notes.txt").write_text("hello")
    out = ingest(folder, tmp_path / "capture", CaptureConfig())
    assert [f.source for f in out.frames] == ["p0.jpg", "p1.jpg", "p2.jpg"]
    assert [f.group for f in out.frames] == [0, 0, 1]
    assert Capture.load(tmp_path / "capture") == out
    assert read_rgb(out.pictures / out.frames[0].file).shape == (120, 160, 3)


def test_a_cut_photo_is_left_out_by_name_and_too_few_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        jpeg(folder / f"p{i}.jpg", scene())
    buffer = io.BytesIO()
    Image.fromarray(scene()).save(buffer, "JPEG", quality=97)
    (folder / "cut.jpg").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    assert [r["file"] for r in ingest(folder, tmp_path / "c", CaptureConfig()).refused] == ["cut.jpg"]
    (folder / "p0.jpg").unlink()
    with pytest.raises(CaptureError, match=r"two photos can be used; at least 3 are needed\. cut\.jpg is cut"):
        ingest(folder, tmp_path / "d", CaptureConfig())


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("notes.mp4", b"dear diary", "notes.mp4 holds text, not video"),
        ("zero.mov", bytes(100), "zero.mov is neither a clip nor a photo"),
        ("none.mp4", b"", "none.mp4 is empty"),
        ("fake.mp4", b"\x00\x00\x00\x18ftypisom" + bytes(200), "fake.mp4 cannot be opened as a clip"),
    ],
)
def test_files_that_are_no_clip(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CaptureError, match=said):
        capture_stage(tmp_path / name, tmp_path / "scene", CaptureConfig())
    assert not (tmp_path / "scene" / "capture").exists()


def test_missing_and_empty(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="does not exist"):
        find_source(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CaptureError, match="is empty"):
        find_source(tmp_path / "empty")


def test_one_photo_alone_or_in_a_folder_is_a_single_photo(tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    jpeg(tmp_path / "album" / "one.jpg", scene(), f35=26)
    for given in (tmp_path / "album", tmp_path / "album" / "one.jpg"):
        assert find_source(given) == ("photo", [tmp_path / "album" / "one.jpg"])
    made = ingest(tmp_path / "album", tmp_path / "capture", CaptureConfig())
    assert made.kind == "photo" and made.source == "one.jpg" and [f.file for f in made.frames] == ["0000.jpg"]
    assert made.frames[0].focal_px == pytest.approx(26 * 200 / 43.2666, rel=1e-3)


def clip(path: Path, times_ms: list[int], *, rotation: int = 0) -> list[np.ndarray]:
    """An H.264 clip of a panning texture with these presentation times; returns its upright frames."""
    import av

    rng = np.random.default_rng(3)
    import cv2

    wide = cv2.resize(rng.integers(0, 255, (40, 90, 3), dtype=np.uint8), (900, 400), interpolation=cv2.INTER_CUBIC)
    frames = [np.ascontiguousarray(wide[60:316, 8 * i : 8 * i + 192]) for i in range(len(times_ms))]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = 192, 256, "yuv420p"
        from fractions import Fraction

        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for rgb, t in zip(frames, times_ms):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = t, Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return frames


def test_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    times = [0, 33, 66, 180, 210, 500, 533, 900, 933, 1000]
    frames = clip(tmp_path / "a.mp4", times)
    got = list(decode(tmp_path / "a.mp4"))
    assert np.abs(np.array([t for _, t, _ in got]) - np.array(times) / 1000).max() < 1e-3
    for (_, _, rgb), true in zip(got, frames, strict=True):
        assert np.abs(rgb.astype(int) - true).mean() < 8


def test_cut_clip_says_how_many_frames_decode(tmp_path: Path) -> None:
    clip(tmp_path / "a.mp4", [33 * i for i in range(80)])
    moved = tmp_path / "b.mp4"  # remuxed with its index in front, so that cutting it leaves the header whole
    import av

    with av.open(str(tmp_path / "a.mp4")) as src, av.open(str(moved), "w", options={"movflags": "faststart"}) as dst:
        out = dst.add_stream_from_template(src.streams.video[0])
        for packet in src.demux(video=0):
            if packet.dts is not None:
                packet.stream = out
                dst.mux(packet)
    data = moved.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(CaptureError, match=r"cut\.mp4 is cut: only \d+ of 80 frames can be decoded"):
        list(decode(tmp_path / "cut.mp4"))


def test_clip_to_frames_with_sources_and_skip(tmp_path: Path) -> None:
    clip(tmp_path / "walk.mp4", [33 * i for i in range(60)])
    first = capture_stage(tmp_path / "walk.mp4", tmp_path / "scene", CaptureConfig(max_frames=12))
    capture = Capture.load(first.folder)
    assert capture.kind == "clip" and 8 <= len(capture.frames) <= 12
    assert all(f.source == f"walk.mp4@{f.time_s:.3f}s" for f in capture.frames)
    assert capture_stage(tmp_path / "walk.mp4", tmp_path / "scene", CaptureConfig(max_frames=12)).skipped


def test_still_clip_gives_nothing_to_reconstruct(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "still.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 160, 128, "yuv420p"
        for _ in range(30):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(scene(128, 160), format="rgb24")))
        out.mux(stream.encode())
    with pytest.raises(CaptureError, match="hardly changes"):
        ingest(tmp_path / "still.mp4", tmp_path / "c", CaptureConfig())


def test_sharpest_frame_of_each_window_wins() -> None:
    rng = np.random.default_rng(0)
    sharp = rng.uniform(80, 120, 100)
    blurred = np.arange(0, 100, 3)
    sharp[blurred] = 20
    seen = ClipSurvey(time_s=np.arange(100) / 30, sharpness=sharp, motion=np.full(100, 0.01))
    chosen = choose_frames(seen, count=25, blur_below=0.5, min_step=0.002)
    assert len(chosen) == 25 and not set(chosen) & set(blurred.tolist())
    assert (np.diff(chosen) > 0).all()


def test_blur_lowers_sharpness_and_motion_is_measured() -> None:
    import cv2

    rng = np.random.default_rng(1)
    grey = cv2.resize(rng.integers(0, 255, (60, 80), dtype=np.uint8), (320, 240), interpolation=cv2.INTER_CUBIC)
    assert sharpness(cv2.GaussianBlur(grey, (0, 0), 2)) < 0.5 * sharpness(grey)
    assert motion(grey[:, :300], grey[:, 5:305]) == pytest.approx(5 / np.hypot(240, 300), rel=0.05)
    assert local_part(np.array([1.0, 1, 1, 0.1, 1, 1]))[3] == pytest.approx(0.1)


CUT, SMALL = r"is cut or damaged \(", r"px\. Photos need at least 64 px"
BROKEN: dict[str, str | tuple[int, int]] = {
    "bad-box-size.heif": CUT, "broken.png": CUT, "broken_data_stream.png": CUT, "corrupted.heic": CUT,
    "corrupted.hif": CUT, "cut-photo.jpg": CUT, "truncated_image.png": CUT, "truncated_jpeg.jpg": CUT,
    "corrupt_exif.jpg": "is only 16×16 " + SMALL, "empty_exif.jpg": "is only 16×16 " + SMALL,
    "corrupt_exif_wrong_type.jpg": "is only 32×32 " + SMALL, "empty.heic": r"is empty\.",
    "zeros.mov": "is neither a clip nor a photo", "cut-clip.mp4": "is cut: only 111 of 292 frames can be decoded",
    "corrupted-exif.jpg": (3648, 2736), "hopper_bad_exif.jpg": (500, 500),
}  # fmt: skip
"""What becomes of each broken file: the error after its name, or the size of a picture that is read without its EXIF."""
BROKEN_FILES = sorted(p.name for p in (CAPTURES / "broken").iterdir()) if CAPTURES.is_dir() else sorted(BROKEN)


@needs_captures
@pytest.mark.parametrize("name", BROKEN_FILES)
def test_every_broken_file_is_a_named_error_or_a_documented_read(tmp_path: Path, name: str) -> None:
    outcome = BROKEN[name]
    if isinstance(outcome, str):
        with pytest.raises(CaptureError, match=f"^{re.escape(name)} {outcome}"):
            capture_stage(CAPTURES / "broken" / name, tmp_path / "scene", CaptureConfig())
        assert not (tmp_path / "scene" / "capture").exists()
    else:
        folder = capture_stage(CAPTURES / "broken" / name, tmp_path / "scene", CaptureConfig()).folder
        (frame,) = Capture.load(folder).frames
        assert (frame.width, frame.height) == outcome and frame.focal_px is None


@needs_captures
def test_broken_photos_among_good_ones_are_left_out_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    pictures = [n for n in BROKEN_FILES if not n.endswith((".mov", ".mp4"))]
    for n in pictures:
        (folder / n).symlink_to(CAPTURES / "broken" / n)
    for i in range(3):
        jpeg(folder / f"good{i}.jpg", scene())
    got = ingest(folder, tmp_path / "capture", CaptureConfig(max_side=640))
    assert {f.source for f in got.frames} == {"good0.jpg", "good1.jpg", "good2.jpg", "corrupted-exif.jpg", "hopper_bad_exif.jpg"}
    assert {r["file"] for r in got.refused} == {n for n in pictures if isinstance(BROKEN[n], str)}
    assert all(r["file"] in r["why"] for r in got.refused)


@needs_captures
def test_the_nine_orientations_of_one_landscape_are_one_upright_picture() -> None:
    pictures = [read_photo(p).rgb.astype(int) for p in sorted((CAPTURES / "exif-orientation").iterdir())]
    assert len(pictures) == 9 and {p.shape for p in pictures} == {(1200, 1800, 3)}
    for p in pictures:
        assert np.abs(p - pictures[1]).mean() < 5
        for other in (p[::-1], p[:, ::-1], p[::-1, ::-1]):
            assert np.abs(other - pictures[1]).mean() > 30


def test_portrait_and_landscape_photos_of_one_phone_keep_one_focal_length(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, orientation in enumerate((1, 6, 1, 8)):
        jpeg(folder / f"p{i}.jpg", scene(), f35=26, orientation=orientation)
    frames = ingest(folder, tmp_path / "capture", CaptureConfig()).frames
    assert [(f.width, f.height) for f in frames] == [(160, 120), (120, 160), (160, 120), (120, 160)]
    assert [f.group for f in frames] == [0, 1, 0, 1] and len({f.focal_px for f in frames}) == 1


@needs_captures
def test_ten_bit_hif_is_read(tmp_path: Path) -> None:
    photo = read_photo(CAPTURES / "heic-and-depth" / "sony-10bit.hif")
    assert photo.rgb.shape == (2832, 4240, 3) and photo.rgb.dtype == np.uint8
    assert photo.focal_px == pytest.approx(48 * np.hypot(4240, 2832) / 43.2666, rel=1e-3)
    assert photo.rgb.max() > 250 and photo.rgb.min() < 10 and 60 < photo.rgb.mean() < 200


@needs_captures
def test_heic_is_not_rotated_twice() -> None:
    photo = read_photo(CAPTURES / "heic-and-depth" / "iphone13promax-orient6.HEIC")
    assert photo.rgb.shape == (4032, 3024, 3) and photo.focal_px == pytest.approx(3028.7, abs=1)


@needs_captures
@pytest.mark.parametrize(
    ("name", "size", "count"),
    [
        ("rotated-android.mp4", (1280, 720), 39), ("rotated-iphone.mov", (568, 320), 120), ("variable-rate.mp4", (1440, 1080), 84),
        ("apple.mp4", (720, 1296), 50),
    ],
)  # fmt: skip
def test_clips_are_upright_with_the_times_of_their_packets(name: str, size: tuple[int, int], count: int) -> None:
    import av
    import cv2

    path = CAPTURES / "clips" / name
    frames = [(t, rgb.shape[:2], rgb if i == 0 else None) for i, t, rgb in decode(path)]
    with av.open(str(path)) as clip:
        stream = clip.streams.video[0]
        times = sorted(float(p.pts * stream.time_base) for p in clip.demux(stream) if p.pts is not None)
    assert len(frames) == count == len(times) and {s for _, s, _ in frames} == {size}
    assert np.abs(np.array([t for t, _, _ in frames]) - times).max() < 1e-3
    ok, bgr = cv2.VideoCapture(str(path)).read()
    assert ok and np.abs(frames[0][2].astype(int) - bgr[..., ::-1]).mean() < 3
