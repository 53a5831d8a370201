"""The nerfstudio dataset of a scene: complete in one folder, and the same cameras."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from phone2sim.config import read_json
from phone2sim.errors import InputError
from phone2sim.images import write_rgb
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.points import read_points_ply, write_points_ply
from phone2sim.sim_export.nerfstudio import write_nerfstudio


@pytest.fixture
def scene(tmp_path):
    n, folder = 3, tmp_path / "scene"
    cameras = Cameras(
        T_world_camera=np.tile(np.eye(4), (n, 1, 1)), K=np.tile(np.diag([50.0, 50, 1]), (n, 1, 1)), size_wh=np.tile([8, 6], (n, 1)),
        distortion=np.tile([0.1, 0, 0, 0.01], (n, 1)), names=("a.jpg", "b.jpg", "c.jpg"),
    )  # fmt: skip
    masks = {}
    for i, name in enumerate(cameras.names):
        write_rgb(folder / "capture" / "frames" / name, np.full((6, 8, 3), 40 * i, np.uint8))
        write_rgb(folder / "cameras" / "masks" / f"{name[0]}.png", np.full((6, 8, 3), 255, np.uint8))
        masks[name] = f"masks/{name[0]}.png"
    cameras.save(folder / "cameras" / "transforms.json", masks=masks)
    write_points_ply(folder / "cameras" / "points.ply", np.eye(3), np.eye(3, dtype=np.uint8))
    return folder, cameras


def test_folder_stands_alone(scene, tmp_path):
    folder, cameras = scene
    out = tmp_path / "elsewhere"
    path = write_nerfstudio(folder, out)
    shutil.rmtree(folder)
    again, rows = Cameras.load(path), read_json(path)["frames"]
    assert np.array_equal(again.K, cameras.K) and np.array_equal(again.distortion, cameras.distortion)
    assert [r["file_path"] for r in rows] == ["images/a.jpg", "images/b.jpg", "images/c.jpg"]
    assert all((out / r[key]).exists() for r in rows for key in ("file_path", "mask_path"))
    assert np.array_equal(read_points_ply(out / read_json(path)["ply_file_path"])[0], np.eye(3))


def test_what_is_missing_is_named(scene, tmp_path):
    folder, _ = scene
    (folder / "capture" / "frames" / "b.jpg").unlink()
    with pytest.raises(InputError, match=r"b\.jpg is missing; the cameras name it"):
        write_nerfstudio(folder, tmp_path / "out")
    with pytest.raises(InputError, match="has no cameras to export"):
        write_nerfstudio(tmp_path / "nothing", tmp_path / "out")
