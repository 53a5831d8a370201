"""Which points each picture saw comes back from the COLMAP model beside the cameras."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from phone2sim.poses import Pose, look_at
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.splat.layers import load_tracks

N = 3


def cameras() -> Cameras:
    eyes = [np.array([np.cos(a), np.sin(a), 0.6]) for a in (0.0, 0.7, 1.4)]
    K = np.array([[300.0, 0, 160], [0, 300, 120], [0, 0, 1]])
    return Cameras(
        T_world_camera=np.stack([look_at(e, np.zeros(3)).matrix for e in eyes]), K=np.tile(K, (N, 1, 1)), size_wh=np.tile([320, 240], (N, 1)),
        distortion=np.zeros((N, 4)), names=tuple(f"{i:04d}.jpg" for i in range(N)),
    )  # fmt: skip


def write_sparse(folder: Path, posed: Cameras, points: np.ndarray, seen: np.ndarray) -> None:
    """A COLMAP text model; `seen` (n, p) bool. Point ids are not consecutive, as after filtering."""
    folder.mkdir(parents=True)
    ids = 3 * np.arange(len(points)) + 5
    lines: list[str] = []
    where: dict[tuple[int, int], int] = {}
    for i in range(len(posed)):
        T = posed.T_camera_world[i]
        q = Pose.from_matrix(T).quat_wxyz
        lines.append(f"{i + 1} {' '.join(map(str, q))} {' '.join(map(str, T[:3, 3]))} 1 {posed.names[i]}")
        row = ["12.0 14.0 -1"]
        for k in np.flatnonzero(seen[i]):
            p = posed.K[i] @ (T[:3, :3] @ points[k] + T[:3, 3])
            where[i, int(k)] = len(row)
            row.append(f"{p[0] / p[2]} {p[1] / p[2]} {ids[k]}")
        lines.append(" ".join(row))
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    (folder / "cameras.txt").write_text("1 PINHOLE 320 240 300 300 160 120\n")
    rows = []
    for k, xyz in enumerate(points):
        track = " ".join(f"{i + 1} {where[i, k]}" for i in range(len(posed)) if seen[i, k])
        rows.append(f"{ids[k]} {xyz[0]} {xyz[1]} {xyz[2]} 128 128 128 0.5 {track}")
    (folder / "points3D.txt").write_text("\n".join(rows) + "\n")
    import pycolmap

    pycolmap.Reconstruction(folder).write_binary(folder)


@pytest.fixture
def model(tmp_path: Path) -> tuple[Path, Cameras, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.2, 0.2, (20, 3))
    seen = rng.random((N, 20)) < 0.7
    seen[:2] = True
    seen[1, 4] = False
    seen[2, 4] = True
    posed = cameras()
    write_sparse(tmp_path / "0", posed, points, seen)
    return tmp_path / "0", posed, points, seen


def test_each_picture_gets_the_points_it_saw(model: tuple[Path, Cameras, np.ndarray, np.ndarray]) -> None:
    folder, posed, points, seen = model
    tracks = load_tracks(folder, posed, points.astype(np.float32))
    assert tracks is not None
    for i in range(N):
        assert np.array_equal(tracks[i], np.flatnonzero(seen[i]))


def test_other_points_or_no_model_give_no_tracks(model: tuple[Path, Cameras, np.ndarray, np.ndarray]) -> None:
    folder, posed, points, _ = model
    assert load_tracks(folder, posed, points[:-1]) is None
    assert load_tracks(folder, posed, points + 1.0) is None
    assert load_tracks(folder / "none", posed, points) is None
