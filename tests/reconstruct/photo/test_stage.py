"""A single photo with depth becomes a metric scene that stands on its support plane."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import shots

from phone2sim.errors import MissingDependencyError
from phone2sim.keys import Key
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.photo import models
from phone2sim.reconstruct.photo.align import PhotoDepth, align
from phone2sim.reconstruct.photo.plane import find_plane, rays, world_of
from phone2sim.reconstruct.photo.ruler import find_ruler, solve
from phone2sim.reconstruct.photo.surface import flying, resized, settled
from phone2sim.reconstruct.pipeline import ReconstructConfig, reconstruct
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.reconstruct.splat.rasterize import rasterize


@pytest.fixture(scope="module")
def shot():
    return shots.shoot(("can", "ball", "pear", "tea_box"), sheet=True, seed=1, elevation=45)


@pytest.fixture(scope="module")
def scene(shot, tmp_path_factory):
    folder = tmp_path_factory.mktemp("photo")
    shots.write_gdepth(folder / "table.jpg", shot.rgb, shot.depth, f35=shots.focal_35(shot))
    return folder / "scene", reconstruct(folder / "table.jpg", folder / "scene")


def test_the_camera_stands_where_it_stood(shot, scene):
    """Up to a turn about z and a shift along the table, which no picture can tell."""
    T = Cameras.load(scene[0] / "cameras" / "transforms.json").T_world_camera[0]
    truth = shot.T_world_camera
    assert T[2, 3] == pytest.approx(truth[2, 3], rel=0.02)
    assert np.degrees(np.arccos(T[2, :3] @ truth[2, :3])) < 1.0
    assert T[0, 1:3] == pytest.approx([0, 0], abs=0.02)


def test_the_table_is_flat_at_zero(shot, scene):
    cameras = Cameras.load(scene[0] / "cameras" / "transforms.json")
    depth = np.load(scene[0] / "cameras" / "depth.npy")
    K = cameras.K[0] * [[depth.shape[1] / cameras.size_wh[0, 0]], [depth.shape[0] / cameras.size_wh[0, 1]], [1]]
    points = (rays(K, depth.shape) * depth[..., None]) @ cameras.T_world_camera[0, :3, :3].T + cameras.centres[0]
    true = (rays(shot.K, shot.depth.shape) * shot.depth[..., None]) @ shot.T_world_camera[:3, :3].T
    on = np.abs(true[..., 2] + shot.T_world_camera[2, 3]) < 1e-4
    near = on & (shot.depth < 1.0)
    assert near.mean() > 0.3
    assert np.abs(points[near][:, 2]).max() < 0.003


def test_the_sheet_scales_and_the_files_say_so(scene):
    metric = json.loads((scene[0] / "cameras" / "metric.json").read_text())
    assert metric["scale_source"] == "sheet" and metric["support"]["found"]
    assert metric["scale"]["value"] == pytest.approx(1.0, abs=0.02)
    assert any("what it does not show" in f for f in metric["flagged"])
    splat = json.loads((scene[0] / "splat" / "metrics.json").read_text())
    assert splat["psnr"] is None and splat["held_out"] == "none: one photo" and splat["train_psnr"] > 27


def test_the_splat_lies_on_the_visible_surface(scene):
    cameras = Cameras.load(scene[0] / "cameras" / "transforms.json").resized(480)
    depth = resized(np.load(scene[0] / "cameras" / "depth.npy"), *(int(x) for x in cameras.size_wh[0]))
    cloud = SplatCloud.load_ply(scene[0] / "splat" / "splat.ply")
    w, h = (int(x) for x in cameras.size_wh[0])
    out = rasterize(cloud, K=cameras.K[0], T_camera_world=cameras.T_camera_world[0], width=w, height=h)
    assert (out.alpha > 0.5).mean() > 0.99
    off = np.abs(out.depth_median - depth)[out.alpha > 0.5]
    assert np.median(off) < 0.001 and np.percentile(off, 90) < 0.006


def test_it_is_the_same_twice(shot, scene, tmp_path):
    again = reconstruct(scene[0].parent / "table.jpg", tmp_path / "scene")
    for name in ("cameras/depth.npy", "splat/splat.ply", "cameras/transforms.json"):
        assert (tmp_path / "scene" / name).read_bytes() == (scene[0] / name).read_bytes()
    assert not again.splat.skipped
    assert reconstruct(scene[0].parent / "table.jpg", tmp_path / "scene").splat.skipped


def test_a_relative_depth_gets_scale_and_shift_from_the_sheet(shot):
    """Affine in inverse depth, as portrait photos and relative networks give it."""
    depth = np.where(shot.depth > 0, 1 / (0.7 / np.maximum(shot.depth, 1e-6) + 0.3), 0)
    ruler = find_ruler(shot.rgb, shot.K, focal_known=True)
    given = PhotoDepth(depth=depth.astype(np.float32), kind="relative", source="test")
    found = align(given, shot.K, ruler, key=Key(0))
    near = (shot.depth > 0) & (shot.depth < 1.2)
    error = found.depth[near] / shot.depth[near] - 1
    assert np.abs(np.median(error)) < 0.006 and np.percentile(np.abs(error), 95) < 0.02
    assert found.scale_source == "sheet" and found.plane is not None


def test_without_a_ruler_a_relative_depth_is_a_flagged_guess(shot):
    given = PhotoDepth(depth=(17 * shot.depth).astype(np.float32), kind="relative", source="test")
    found = align(given, shot.K, None, key=Key(0))
    assert found.scale_source == "handheld prior" and found.scale.high / found.scale.low >= 4
    assert any("guess" in f for f in found.flagged)
    assert np.median(found.depth[found.depth > 0]) == pytest.approx(0.6, rel=0.01)


def test_an_unknown_focal_length_is_solved_for_with_the_sheet(shot):
    K = shot.K.copy()
    K[0, 0] = K[1, 1] = 1.3 * shot.K[0, 0]
    ruler = find_ruler(shot.rgb, K, focal_known=False)
    assert ruler.focal_share is None or ruler.focal_px == pytest.approx(shot.K[0, 0], rel=0.12)
    assert find_ruler(shot.rgb, shot.K, focal_known=True).focal_px == shot.K[0, 0]


def test_a_wall_is_no_support():
    K = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
    r = rays(K, (480, 640))
    for tilt, found in ((0, False), (15, False), (40, True), (80, True)):
        n = np.array([0, -np.sin(np.radians(tilt)), -np.cos(np.radians(tilt))])
        depth = -0.6 / (r @ n)
        depth = np.where((depth > 0) & (depth < 5), depth, 0)
        plane = find_plane(depth, K, Key(0))
        assert (plane is not None) == found, tilt
        if plane is not None:
            assert plane.normal == pytest.approx(n, abs=1e-3) and plane.height == pytest.approx(0.6, rel=1e-3)
            T = world_of(plane, depth, K)
            assert (T[:3, :3] @ (r * depth[..., None])[plane.on][0] + T[:3, 3])[2] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(("name", "size"), [("a4", (0.297, 0.210)), ("card", (0.0856, 0.05398))])
def test_paper_and_cards_scale_when_the_user_names_them(name, size):
    import cv2

    K = np.array([[900.0, 0, 480], [0, 900, 360], [0, 0, 1]])
    tilt = np.radians(-40)
    R = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]) @ np.diag([1.0, -1, -1])
    w, h = size
    t = np.array([0.0, 0.01, 2.2 * w])
    square = np.array([[-w, h, 0], [w, h, 0], [w, -h, 0], [-w, -h, 0]]) / 2
    p = square @ R.T + t
    px = p[:, :2] / p[:, 2:] * 900 + [480, 360]
    picture = np.full((720, 960), 90, np.uint8)
    cv2.fillConvexPoly(picture, np.round((px - 0.5) * 64).astype(np.int32), 235, cv2.LINE_AA, 6)
    rgb = cv2.GaussianBlur(np.repeat(picture[..., None], 3, axis=2), (0, 0), 0.7)
    ruler = find_ruler(rgb, K, references=(name,), focal_known=True)
    assert ruler is not None and ruler.source == name
    n = R[:, 2]
    assert ruler.height == pytest.approx(-float(n @ t), rel=0.01)
    assert np.degrees(np.arccos(np.clip(ruler.normal @ n, -1, 1))) < 1.5
    assert find_ruler(rgb, K, references=("auto",), focal_known=True) is None
    exact = solve(name, square, px, K, "", True)
    assert exact.error_px < 1e-3 and exact.height == pytest.approx(-float(n @ t), rel=1e-6)


def test_flying_pixels_are_laid_onto_a_surface():
    depth = np.full((20, 30), 1.0)
    depth[:, 15:] = 2.0
    depth[:, 15] = 1.5
    assert flying(depth)[:, 15].all() and flying(depth).sum() == 20
    assert set(np.unique(settled(depth))) == {1.0, 2.0}
    assert set(np.unique(resized(settled(depth), 61, 41))) == {1.0, 2.0}


def test_a_photo_without_depth_asks_for_the_extra(shot, tmp_path, monkeypatch):
    from phone2sim.images import write_rgb

    write_rgb(tmp_path / "plain.jpg", shot.rgb)
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *a: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'phone2sim\[depth\]'") as e:
        reconstruct(tmp_path / "plain.jpg", tmp_path / "scene")
    assert e.value.exit_code == 3


def test_a_model_stands_in_for_the_missing_depth(shot, tmp_path, monkeypatch):
    """The network is replaced by the truth with an error of scale; the sheet puts it right."""
    from phone2sim.images import write_rgb

    class Model:
        name = "truth"

        def predict_with_focal(self, rgb, focal_px):
            return (1.2 * shot.depth).astype(np.float32), float(shot.K[0, 0])

    monkeypatch.setattr(models, "open_model", lambda name, **kw: Model())
    write_rgb(tmp_path / "plain.jpg", shot.rgb)
    config = ReconstructConfig.of(depth_model="depth-anything")
    made = reconstruct(tmp_path / "plain.jpg", tmp_path / "scene", replace_steps(config))
    metric = json.loads((tmp_path / "scene" / "cameras" / "metric.json").read_text())
    assert metric["scale"]["value"] == pytest.approx(1 / 1.2, rel=0.01) and metric["scale_source"] == "sheet"
    assert made.cameras.manifest["result"]["cameras"]["attempts"] == ["depth model truth (model)"]


def replace_steps(config):
    return config.model_copy(update={"photo": config.photo.model_copy(update={"splat_side": 240})})


