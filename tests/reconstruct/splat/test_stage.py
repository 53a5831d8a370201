"""Masks and depth on their way to the trainer, and what the stage leaves."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from phone2sim.errors import InputError
from phone2sim.images import read_rgb, write_rgb
from phone2sim.poses import look_at
from phone2sim.reconstruct.cameras import Cameras, load_views, undistort
from phone2sim.reconstruct.capture.record import Capture, Device, Frame
from phone2sim.reconstruct.points import write_points_ply
from phone2sim.reconstruct.splat import stage
from phone2sim.reconstruct.splat.config import SplatConfig
from phone2sim.reconstruct.splat.layers import load_depths, load_masks

N, W, H = 6, 64, 48
K = np.array([[60.0, 0, 32], [0, 60.0, 24], [0, 0, 1]])


def make_cameras(k1: float = 0.0) -> Cameras:
    poses = [look_at(np.array([np.cos(a), np.sin(a), 0.8]), np.zeros(3)).matrix for a in range(N)]
    return Cameras(
        T_world_camera=np.array(poses), K=np.tile(K, (N, 1, 1)), size_wh=np.tile([W, H], (N, 1)),
        distortion=np.tile([k1, 0, 0, 0], (N, 1)), names=tuple(f"{i}.png" for i in range(N)),
    )  # fmt: skip


def make_capture(folder, *, masked=(), deep=()) -> Capture:
    frames = []
    for i in range(N):
        mask, depth = (f"{i}.png" if i in masked else None), (f"{i}.npy" if i in deep else None)
        if mask:
            (folder / "masks").mkdir(parents=True, exist_ok=True)
            grey = np.full((H, W), 255, np.uint8)
            grey[:, :16] = 0
            Image.fromarray(grey).save(folder / "masks" / mask)
        if depth:
            (folder / "depth").mkdir(parents=True, exist_ok=True)
            np.save(folder / "depth" / depth, np.full((12, 16), 1 + i, np.float32))
        frames.append(
            Frame(
                file=f"{i}.png", source=f"{i}.png", time_s=None, width=W, height=H, sharpness=1.0, focal_px=None, group=0,
                mask=mask, depth=depth,
            )
        )  # fmt: skip
    return Capture(
        folder=folder, kind="photos", source="x", frames=tuple(frames), device=Device(app="record3d", metric=True)
    )


def test_masks_follow_their_pictures(tmp_path):
    capture = make_capture(tmp_path, masked=(1, 3))
    masks = load_masks(make_cameras(), capture, max_side=32)
    assert masks is not None and masks[0] is None and masks[1].shape == (24, 32)
    assert not masks[1][:, :8].any() and masks[1][:, 8:].all()
    assert load_masks(make_cameras(), make_capture(tmp_path), max_side=32) is None
    assert load_masks(make_cameras(), None, max_side=32) is None


def test_what_undistortion_makes_up_does_not_count(tmp_path):
    cameras = make_cameras(k1=0.3)  # a pinhole picture of the same K then reaches beyond the original
    masks = load_masks(cameras, None, max_side=W)
    assert masks is not None and masks[0] is not None and masks[0][H // 2, W // 2] and not masks[0][0, 0]
    frames = tmp_path / "frames"
    image = np.full((H, W, 3), 200, np.uint8)
    image[5:-5, 5:-5] = 90
    for name in cameras.names:
        write_rgb(frames / name, image)
    pictures, _ = load_views(cameras, frames, max_side=W)
    outside = undistort(np.zeros((H, W), np.uint8), K, cameras.distortion[0], outside=7)
    assert np.array_equal(outside == 0, masks[0]) and pictures[0].shape == (H, W, 3)
    assert load_masks(make_cameras(k1=-0.05), None, max_side=W) is None


def test_depth_is_in_metres_of_the_world(tmp_path):
    depths = load_depths(make_cameras(), make_capture(tmp_path, deep=(0, 2)))
    assert depths is not None and depths[1] is None and depths[2].shape == (12, 16) and (depths[2] == 3).all()
    assert load_depths(make_cameras(), make_capture(tmp_path)) is None
    bent = load_depths(make_cameras(k1=0.3), make_capture(tmp_path, deep=(0,)))
    assert bent[0][0, 0] == 0 and bent[0][6, 8] == 1


def test_a_mask_of_another_size_is_refused(tmp_path):
    capture = make_capture(tmp_path, masked=(1,))
    Image.new("L", (10, 10)).save(tmp_path / "masks" / "1.png")
    with pytest.raises(InputError, match=r"1\.png is 10x10, its picture 64x48"):
        load_masks(make_cameras(), capture, max_side=32)


@pytest.fixture
def scene(tmp_path):
    cameras, rng = make_cameras(), np.random.default_rng(0)
    capture = make_capture(tmp_path / "capture", masked=(0,), deep=range(N))
    capture.save()
    for name in cameras.names:
        write_rgb(tmp_path / "capture" / "frames" / name, rng.integers(0, 256, (H, W, 3), dtype=np.uint8))
    cameras.save(tmp_path / "cameras" / "transforms.json")
    points = rng.uniform(-0.3, 0.3, (50, 3)).astype(np.float32)
    write_points_ply(tmp_path / "cameras" / "points.ply", points, rng.integers(0, 256, (50, 3), dtype=np.uint8))
    return tmp_path


def test_stage_passes_masks_and_depth_and_shows_every_held_out_view(scene, monkeypatch):
    given = {}

    def spy(choice, images, cameras, points, colors, **options):
        given.update(options)
        return train_with(choice, images, cameras, points, colors, **options)

    train_with = stage.train_with
    monkeypatch.setattr(stage, "train_with", spy)
    config = SplatConfig(backend="cpu", iterations=3, held_out_every=3, depth_weight=0.1, threads=1)
    done = stage.train_splat_stage(scene, config, cameras_fingerprint="a")
    assert given["masks"][0] is not None and given["masks"][1] is None and len(given["depths"]) == N
    metrics = json.loads((scene / "splat" / "metrics.json").read_text())
    assert metrics["backend"] == {"name": "cpu", "why": "asked for"} == {**metrics["backend"], "name": done.manifest["result"]["backend"]}
    assert [r["name"] for r in metrics["heldout"]] == ["0.png", "3.png"]
    assert all({"psnr", "ssim", "psnr_raw", "psnr_corrected"} <= set(r) for r in metrics["heldout"])
    assert ("lpips" in metrics) != ("lpips_missing" in metrics)
    pictures = {p.name for p in (scene / "splat" / "heldout").iterdir()}
    assert pictures == {f"{i}_{kind}.png" for i in (0, 3) for kind in ("photo", "render", "error")}
    error = read_rgb(scene / "splat" / "heldout" / "0_error.png")
    assert (error[:, :16] == 128).all() and error[:, 16:].std() > 5


def test_heat_rises():
    colors = stage.heat(np.linspace(-0.2, 1.2, 50)[None])[0]
    assert (np.diff(colors.sum(axis=1)) >= 0).all() and (colors[0] == 0).all() and (colors[-1] == 1).all()
