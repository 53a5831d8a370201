"""`cameras/transforms.json` with the masks and depth of a capture is a data set that reads back the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from phone2sim.poses import Pose
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.capture import Capture, CaptureConfig, ingest
from phone2sim.reconstruct.capture.layers import depth_scale, write_layers
from tests.reconstruct.apps import writers
from tests.reconstruct.apps.truth import Truth


def solved(capture: Capture, scale: float, T: np.ndarray, names: list[int]) -> Cameras:
    """The device's own poses in another world: p_new = T (scale p)."""
    frames = [capture.frames[i] for i in names]
    K = np.array([[[f.lens[0], 0, f.lens[2]], [0, f.lens[1], f.lens[3]], [0, 0, 1]] for f in frames])
    return Cameras(
        T_world_camera=np.array([f.T_world_camera for f in frames]), K=K, names=tuple(f.file for f in frames),
        size_wh=np.array([[f.width, f.height] for f in frames]), distortion=np.array([f.distortion for f in frames]),
    ).transformed(scale, T)  # fmt: skip


@pytest.mark.parametrize(("kind", "scale"), [("polycam", 1.0), ("nerfstudio", 2.5)])
def test_round_trip(truth: Truth, tmp_path: Path, kind: str, scale: float) -> None:
    if kind == "polycam":
        files = writers.polycam_files(truth, corrected=True)
    else:
        files = writers.nerfstudio_files(truth, shared=True, listed=0)
        data = json.loads(files["transforms.json"])
        del data["frames"][2]["mask_path"], data["frames"][3]["depth_file_path"]
        files["transforms.json"] = json.dumps(data).encode()
    source = writers.store(files, tmp_path / "source")
    (tmp_path / "capture").mkdir()
    capture = ingest(source, tmp_path / "capture", CaptureConfig())
    T = Pose.from_xyz_yaw(np.array([0.3, 0.1, -0.2]), 0.4).matrix
    world = solved(capture, scale, T, [0, 2, 3, 5, 6])
    assert depth_scale(capture, world) == pytest.approx(scale)
    (tmp_path / "cameras").mkdir()
    masks, depths = write_layers(tmp_path / "cameras", capture, world)
    assert set(depths) == set(world.names) and set(masks) == (set(world.names) if kind == "nerfstudio" else set())
    world.save(tmp_path / "cameras" / "transforms.json", masks=masks, depths=depths)
    rows = json.loads((tmp_path / "cameras" / "transforms.json").read_text())["frames"]
    for row in rows:  # a data set of nerfstudio has a layer for all frames or for none
        assert ("mask_path" in row) == bool(masks) and "depth_file_path" in row
        for key in ("file_path", "depth_file_path", *(["mask_path"] if masks else [])):
            assert (tmp_path / "cameras" / row[key]).is_file()
    (tmp_path / "again").mkdir()
    again = ingest(tmp_path / "cameras", tmp_path / "again", CaptureConfig())
    assert len(again.frames) == 5 and not again.refused
    for f, i, pose in zip(again.frames, [0, 2, 3, 5, 6], world.T_world_camera):
        np.testing.assert_allclose(np.array(f.T_world_camera), pose, atol=1e-9)
        before, after = capture.depth(capture.frames[i]), again.depth(f)
        if before is None:
            assert not after.any()
        else:
            np.testing.assert_allclose(after, before * scale, atol=0.000502)
        if masks:
            assert (again.folder / "masks" / f.mask).is_file()
