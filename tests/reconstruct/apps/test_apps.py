"""Each app's format: a true-to-format capture of the synthetic scene comes back with its poses, depth and scale."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from phone2sim.errors import CaptureError
from phone2sim.images import read_rgb
from phone2sim.reconstruct.capture import Capture, CaptureConfig, capture_stage, find_source
from phone2sim.reconstruct.capture.apps import lenses, record3d
from phone2sim.reconstruct.capture.apps.exr import read_channel
from phone2sim.reconstruct.capture.apps.realitycapture import rotation
from phone2sim.reconstruct.points import read_points_ply
from tests.reconstruct.apps import writers
from tests.reconstruct.apps.truth import Truth, take, world_to_ar

UP = np.array([0.0, 1, 0])


def check(
    capture: Capture, truth: Truth, *, poses: np.ndarray | None = None, order: list[int] | None = None,
    depth_m: float | None = None, turns: int = 0, jpeg: float = 4.0, pose: float = 1e-6,
    lens: tuple[float, ...] | None = None,
) -> None:  # fmt: skip
    """Every frame of the truth is there, upright, with its pose, lens and depth (within `depth_m`)."""
    order = order or list(range(truth.n))
    assert len(capture.frames) == len(order)
    poses = truth.T_world_camera if poses is None else poses
    for f, i in zip(capture.frames, order):
        assert (f.width, f.height) == truth.size_wh
        np.testing.assert_allclose(np.array(f.T_world_camera), poses[i], atol=pose)
        np.testing.assert_allclose(f.lens, lens or truth.lens, atol=1e-3)
        assert np.abs(read_rgb(capture.pictures / f.file).astype(int) - truth.rgb[i]).mean() < jpeg
        depth = capture.depth(f)
        if depth_m is None:
            assert depth is None
        else:
            assert depth is not None and depth.dtype == np.float32 and depth.shape == truth.depth[i].shape
            told = depth > 0
            assert told.mean() > 0.85 and told[10:-10, 10:-10].mean() == (truth.depth[i] > 0)[10:-10, 10:-10].mean()
            assert np.abs(depth - truth.depth[i])[told].max() <= depth_m
    assert Capture.load(capture.folder) == capture


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("npy", [True, False])
def test_nerfstudio(truth: Truth, tmp_path: Path, shared: bool, npy: bool) -> None:
    folder = writers.store(writers.nerfstudio_files(truth, shared=shared, npy=npy), tmp_path / "set")
    for given in (folder, folder / "transforms.json"):
        assert find_source(given) == ("nerfstudio", [given])
    got = take(folder, tmp_path)
    check(got, truth, depth_m=0.0 if npy else 0.000501)
    assert got.kind == "photos" and got.device is not None
    assert (got.device.app, got.device.metric, got.device.up_world) == ("nerfstudio", False, None)
    assert got.frames[3].distortion == (0.01, -0.02, 0.001, -0.002)
    assert [r["file"] for r in got.refused] == ["frame_00009.jpg", "frame_00010.jpg"]
    from PIL import Image

    with Image.open(got.folder / "masks" / got.frames[2].mask) as im:
        assert np.array_equal(np.asarray(im) > 0, truth.mask[2])
    xyz, rgb = read_points_ply(got.folder / got.device.points)
    np.testing.assert_allclose(xyz, truth.points, atol=1e-6)
    assert (rgb == (10, 20, 30)).all()


def test_nerfstudio_of_others(truth: Truth, tmp_path: Path) -> None:
    """No sizes, a field of view for a focal length, no suffixes: as Blender and instant-ngp write it."""
    data = {"camera_angle_x": 2 * np.arctan(0.5 * 240 / 260), "frames": []}
    files = {}
    for i in range(3):
        files[f"train/r_{i}.png"] = writers.png(truth.rgb[i])
        data["frames"].append({"file_path": f"./train/r_{i}", "transform_matrix": truth.T_gl[i].tolist()})
    folder = writers.store(files | {"cameras.json": json.dumps(data).encode()}, tmp_path / "set")
    got = take(folder, tmp_path)
    check(got, truth, order=[0, 1, 2], lens=(260, 260, 120, 160))


def test_a_picture_with_an_orientation_tag_is_turned_with_its_pose(truth: Truth, tmp_path: Path) -> None:
    """The calibration belongs to the stored landscape pixels; the tag asks to turn them for looking at."""
    from PIL import Image

    tag = Image.Exif()
    tag[0x0112] = 6
    frames, files = [], {}
    for i in range(3):
        rgb, _, T, (fx, fy, cx, cy) = writers.sensor(truth, i)
        files[f"{i}.jpg"] = writers.jpeg(rgb, exif=tag)
        lens = {"fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "w": rgb.shape[1], "h": rgb.shape[0]}
        frames.append({"file_path": f"{i}.jpg", "transform_matrix": T.tolist(), **lens, "p1": 0.001, "p2": 0.002})
    files["transforms.json"] = json.dumps({"frames": frames}).encode()
    got = take(writers.store(files, tmp_path / "set"), tmp_path)
    check(got, truth, order=[0, 1, 2])
    # a point seen through the stored lens and through the turned one lands on the same spot
    for f in got.frames:
        k1, k2, p1, p2 = f.distortion
        assert (k1, k2, p1, p2) == pytest.approx((0, 0, 0.002 * 1, -0.001 * 1)) or (p1, p2) == (-0.002, 0.001)
    stored = project((0.3, -0.2), writers.sensor(truth, 0)[3], (0, 0, 0.001, 0.002))
    turned = project((0.2, 0.3), got.frames[0].lens, got.frames[0].distortion)
    assert turned == pytest.approx((240 - stored[1], stored[0]), abs=1e-3)


def project(ray: tuple[float, float], lens: tuple[float, ...], d: tuple[float, ...]) -> tuple[float, float]:
    x, y = ray
    r2 = x * x + y * y
    radial = 1 + d[0] * r2 + d[1] * r2 * r2
    u = x * radial + 2 * d[2] * x * y + d[3] * (r2 + 2 * x * x)
    v = y * radial + d[2] * (r2 + 2 * y * y) + 2 * d[3] * x * y
    return lens[0] * u + lens[2], lens[1] * v + lens[3]


def distorted(truth: Truth, camera) -> np.ndarray:
    """The pictures as a camera of COLMAP with the same focal lengths and centre would take them."""
    import cv2

    w, h = truth.size_wh
    y, x = np.mgrid[:h, :w] + 0.5
    rays = np.asarray(camera.cam_from_img(np.stack([x, y], -1).reshape(-1, 2).astype(float)))
    fx, fy, cx, cy = truth.lens
    u = (rays[:, 0] * fx + cx - 0.5).reshape(h, w).astype(np.float32)
    v = (rays[:, 1] * fy + cy - 0.5).reshape(h, w).astype(np.float32)
    return np.stack([cv2.remap(p, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT) for p in truth.rgb])


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize(
    ("model", "rest", "told"),
    [
        ("PINHOLE", [], (0, 0, 0, 0)),
        ("OPENCV", [0.05, -0.01, 0.002, 0.001], (0.05, -0.01, 0.002, 0.001)),
        ("FULL_OPENCV", [0.05, -0.01, 0.002, 0.001, 0.01, 0.002, 0, 0], None),
        ("OPENCV_FISHEYE", [0.02, -0.01, 0.0, 0.0], None),
    ],
)
def test_colmap(truth: Truth, tmp_path: Path, model: str, rest: list[float], told: tuple | None, text: bool) -> None:
    import pycolmap

    params = [*truth.lens, *rest]
    camera = pycolmap.Camera(model=model, width=240, height=320, params=params)
    pictures = distorted(truth, camera) if told is None else truth.rgb
    folder = writers.write_colmap(truth, tmp_path / "set", model=model, params=params, pictures=pictures, text=text)
    assert find_source(folder)[0] == find_source(folder / "sparse" / "0")[0] == "colmap"
    (folder / "images" / "side" / "p7.jpg").unlink()
    got = take(folder, tmp_path)
    check(got, truth, order=list(range(7)), jpeg=4 if told else 9)
    assert got.frames[0].distortion == (told or (0, 0, 0, 0)) and got.kind == "photos"
    assert [r["file"] for r in got.refused] == ["side/p7.jpg"]
    assert not got.device.metric and got.device.app == "colmap"
    np.testing.assert_allclose(read_points_ply(got.folder / got.device.points)[0], truth.points, atol=1e-5)
    if told is None:  # what the stored picture does not show does not count
        inner = np.abs(read_rgb(got.pictures / "0000.jpg").astype(int) - truth.rgb[0])[60:-60, 40:-40]
        assert inner.mean() < 5


@pytest.mark.parametrize(
    ("model", "params", "lens", "told"),
    [
        ("SIMPLE_PINHOLE", [260, 118, 163], (260, 260, 118, 163), (0, 0, 0, 0)),
        ("SIMPLE_RADIAL", [260, 118, 163, 0.1], (260, 260, 118, 163), (0.1, 0, 0, 0)),
        ("RADIAL", [260, 118, 163, 0.1, -0.2], (260, 260, 118, 163), (0.1, -0.2, 0, 0)),
    ],
)
def test_colmap_with_one_focal_length(
    truth: Truth, tmp_path: Path, model: str, params: list[float], lens: tuple, told: tuple
) -> None:
    folder = writers.write_colmap(truth, tmp_path / "set", model=model, params=params, pictures=truth.rgb, text=False)
    got = take(folder, tmp_path)
    check(got, truth, lens=lens)
    assert got.frames[0].distortion == told


def test_a_cut_colmap_model_is_a_named_error(truth: Truth, tmp_path: Path) -> None:
    folder = writers.write_colmap(
        truth, tmp_path / "set", model="PINHOLE", params=list(truth.lens), pictures=truth.rgb, text=False
    )
    images = folder / "sparse" / "0" / "images.bin"
    images.write_bytes(images.read_bytes()[:-100])
    with pytest.raises(CaptureError, match=r"images\.bin is cut short"):
        take(folder, tmp_path)


@pytest.mark.parametrize("place", ["walk.r3d", "walk", "anything.bin"])
def test_record3d(truth: Truth, tmp_path: Path, place: str) -> None:
    source = writers.store(writers.record3d_files(truth), tmp_path / place)
    assert find_source(source) == ("record3d", [source])
    got = take(source, tmp_path)
    check(got, truth, depth_m=0.0)
    assert got.kind == "clip" and (got.device.metric, got.device.up_world) == (True, (0, 1, 0))
    assert [f.time_s for f in got.frames] == truth.time_s.tolist()
    assert not got.depth(got.frames[0])[:5].any()  # without confidence


def test_record3d_export_with_exr_depth(truth: Truth, tmp_path: Path) -> None:
    source = writers.store(writers.record3d_files(truth, exr=True), tmp_path / "export" / "EXR_RGBD")
    assert find_source(source)[0] == find_source(source.parent)[0] == "record3d"
    check(take(source.parent, tmp_path), truth, depth_m=0.001)  # half floats


def test_record3d_without_a_decoder_keeps_its_poses(
    truth: Truth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    source = writers.store(writers.record3d_files(truth), tmp_path / "walk.r3d")
    for name in ("lzfse", "liblzfse"):
        monkeypatch.setitem(sys.modules, name, None)
    said: list[str] = []
    monkeypatch.setattr("phone2sim.reconstruct.capture.device.message", said.append)
    check(take(source, tmp_path), truth, depth_m=None)
    assert any("no decoder is installed. pip install lzfse" in s for s in said)
    with pytest.raises(ImportError) as e:
        record3d.lzfse()
    assert e.value.exit_code == 3


def test_exr_of_another_writer(tmp_path: Path) -> None:
    """Floats and halves as FFmpeg packs them."""
    import av

    a = np.random.default_rng(0).uniform(0.2, 5, (37, 53)).astype(np.float32)
    for kind, tolerance in (("float", 0.0), ("half", 1e-3)):
        for packing in ("none", "rle", "zip1", "zip16"):
            path = tmp_path / f"{kind}-{packing}.exr"
            with av.open(str(path), "w", format="image2", options={"update": "1"}) as out:
                stream = out.add_stream("exr", rate=1, options={"compression": packing, "format": kind})
                stream.width, stream.height, stream.pix_fmt = 53, 37, "grayf32le"
                frame = av.VideoFrame(53, 37, "grayf32le")
                line = frame.planes[0].line_size // 4
                padded = np.zeros((37, line), np.float32)
                padded[:, :53] = a
                frame.planes[0].update(padded.tobytes())
                out.mux(stream.encode(frame))
                out.mux(stream.encode())
            got = read_channel(path.read_bytes(), path.name)
            np.testing.assert_allclose(got, a, rtol=tolerance)
    with pytest.raises(CaptureError, match="is cut or damaged"):
        read_channel(path.read_bytes()[:-200], "x.exr")


@pytest.mark.parametrize("corrected", [True, False])
@pytest.mark.parametrize("place", ["poly", "poly.zip"])
def test_polycam(truth: Truth, tmp_path: Path, corrected: bool, place: str) -> None:
    top = "Mar4-poly/" if place.endswith(".zip") else ""
    source = writers.store(writers.polycam_files(truth, corrected=corrected, top=top), tmp_path / place)
    assert find_source(source) == ("polycam", [source])
    got = take(source, tmp_path)
    check(got, truth, depth_m=0.000501)  # stored landscape, given upright
    assert got.kind == "clip" and got.device.metric and got.device.up_world == (0, 1, 0)
    assert [f.time_s for f in got.frames] == pytest.approx(truth.time_s.tolist())


@pytest.mark.parametrize("place", ["71de12f9", "71de12f9.zip"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_stray_scanner(truth: Truth, tmp_path: Path, place: str, sign: float) -> None:
    files = writers.stray_files(truth, tmp_path, imu_sign=sign, lens_in_rows=sign > 0)
    source = writers.store(files, tmp_path / place)
    assert find_source(source) == ("stray", [source])
    got = take(source, tmp_path)
    check(got, truth, depth_m=0.000501, pose=1e-5)
    assert got.kind == "clip" and got.device.metric and got.device.up_world == (0, 1, 0)
    for f, T in zip(got.frames, truth.T_world_camera):
        assert np.rad2deg(np.arccos(np.dot(f.up_camera, T[:3, :3].T @ UP))) < 2.5


def test_an_imu_that_contradicts_the_poses_is_not_used(truth: Truth, tmp_path: Path) -> None:
    files = writers.stray_files(truth, tmp_path)
    rows = files["imu.csv"].decode().splitlines()
    turned = [",".join([c[0], c[3], c[1], c[2], *c[4:]]) for c in (r.split(",") for r in rows[1:])]
    files["imu.csv"] = "\n".join([rows[0], *turned]).encode()
    got = take(writers.store(files, tmp_path / "rec"), tmp_path)
    assert all(f.up_camera is None for f in got.frames)


@pytest.mark.parametrize("k3", [0.0, 0.02])
def test_realitycapture(truth: Truth, tmp_path: Path, k3: float) -> None:
    import cv2

    poses = np.linalg.inv(world_to_ar()) @ truth.T_world_camera
    pictures = truth.rgb
    f, w, h = truth.lens[0], *truth.size_wh
    lens = (f, f, *truth.lens[2:])
    if k3:  # the stored picture shows at `rectify(p)` what the pinhole shows at p
        x, y = lenses.brown_map(lens, (w, h), (0.03, -0.01, k3, 0), (0, 0))(w, h)
        py, px = np.mgrid[:h, :w] + 0.5
        u, v = (2 * px - x - 0.5).astype(np.float32), (2 * py - y - 0.5).astype(np.float32)  # first-order inverse
        pictures = [cv2.remap(p, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT) for p in truth.rgb]
    files = writers.realitycapture_files(truth, poses, pictures, k3=k3)
    folder = writers.store(files, tmp_path / "rc")
    for given in (folder, folder / "cameras.csv"):
        assert find_source(given) == ("realitycapture", [given])
    got = take(folder, tmp_path)
    check(got, truth, poses=poses, lens=lens, jpeg=9 if k3 else 4)
    assert got.frames[0].distortion == ((0, 0, 0, 0) if k3 else (0.03, -0.01, 0, 0))
    assert got.kind == "photos" and not got.device.metric and [r["file"] for r in got.refused] == ["DSC_99.JPG"]


def test_realitycapture_angles_as_it_exports_them_itself() -> None:
    """One camera that a user published both as XMP (world-to-camera, OpenCV axes) and as CSV angles."""
    xmp = np.array([[0.982594, 0.185427, -0.011217], [-0.032114, 0.110081, -0.993404], [-0.182969, 0.976473, 0.114120]])
    got = rotation(163.736597, 83.415431, 174.386496) @ np.diag([1, -1, -1])
    np.testing.assert_allclose(got.T, xmp, atol=2e-6)


def test_depth_maps_of_two_views_agree_in_the_world(truth: Truth, tmp_path: Path) -> None:
    """Poses, lenses, depth and turns fit together: a surface seen twice is in one place."""
    got = take(writers.store(writers.polycam_files(truth, corrected=True), tmp_path / "poly"), tmp_path)
    a, b = got.frames[0], got.frames[1]
    world = unproject(got, a).reshape(-1, 3)
    T = np.linalg.inv(np.array(b.T_world_camera))
    cam = world @ T[:3, :3].T + T[:3, 3]
    depth = got.depth(b)
    u = (cam[:, 0] / cam[:, 2] * b.lens[0] + b.lens[2]) / 2
    v = (cam[:, 1] / cam[:, 2] * b.lens[1] + b.lens[3]) / 2
    inside = (cam[:, 2] > 0) & (u > 6) & (u < 114) & (v > 6) & (v < 154)
    seen = depth[v[inside].astype(int), u[inside].astype(int)]
    assert inside.sum() > 3000 and np.median(np.abs(seen - cam[inside, 2])) < 0.004


def unproject(capture: Capture, f) -> np.ndarray:
    depth = capture.depth(f)
    h, w = depth.shape
    y, x = (np.mgrid[:h, :w] + 0.5) * 2
    p = np.stack([(x - f.lens[2]) / f.lens[0], (y - f.lens[3]) / f.lens[1], np.ones_like(x)], -1) * depth[..., None]
    T = np.array(f.T_world_camera)
    return (p @ T[:3, :3].T + T[:3, 3])[depth > 0]


def test_smaller_stored_pictures_keep_lens_and_picture_together(truth: Truth, tmp_path: Path) -> None:
    got = take(writers.store(writers.polycam_files(truth, corrected=True), tmp_path / "poly"), tmp_path, max_side=160)
    f = got.frames[0]
    assert (f.width, f.height) == (120, 160)
    np.testing.assert_allclose(f.lens, np.array(truth.lens) / 2, atol=1e-6)


def test_films_give_their_sharpest_frames_and_key_frames_are_kept(truth: Truth, tmp_path: Path) -> None:
    source = writers.store(writers.record3d_files(truth), tmp_path / "walk.r3d")
    got = take(source, tmp_path, max_frames=4)
    assert len(got.frames) == 4 and [f.source for f in got.frames] != ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    order = [int(f.source[:-4]) for f in got.frames]
    assert order == sorted(order)
    np.testing.assert_allclose(np.array(got.frames[2].T_world_camera), truth.T_world_camera[order[2]], atol=1e-6)


def test_the_stage_skips_and_the_same_bytes_come_back(truth: Truth, tmp_path: Path) -> None:
    folder = writers.store(writers.nerfstudio_files(truth, shared=True), tmp_path / "set")
    first = capture_stage(folder / "transforms.json", tmp_path / "scene", CaptureConfig())
    assert not first.skipped
    assert capture_stage(folder / "transforms.json", tmp_path / "scene", CaptureConfig()).skipped
    (folder / "images" / "frame_00001.jpg").write_bytes(writers.jpeg(truth.rgb[5]))
    assert not capture_stage(folder / "transforms.json", tmp_path / "scene", CaptureConfig()).skipped
