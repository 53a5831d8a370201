"""Poses that the device told: refined, checked against the pictures, and what they say of the scale."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filmed import Film, orbit, shaken

from phone2sim.poses import Pose, look_at
from phone2sim.reconstruct.capture import Capture
from phone2sim.reconstruct.sfm import SfmConfig, SfmResult, device_alignment, solve
from phone2sim.reconstruct.sfm.device import align

CONFIG = SfmConfig(threads=2, max_features=2048)
OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


def arc(n: int, *, line: bool = False) -> np.ndarray:
    a = np.linspace(0, 3, n)
    eyes = np.column_stack([a, 0 * a - 2, 0 * a + 0.5] if line else [np.cos(a), np.sin(a), 0.5 + 0.1 * np.sin(5 * a)])
    return np.array([look_at(e, np.zeros(3)).matrix for e in eyes])


def moved(T: np.ndarray, scale: float, pose: Pose) -> np.ndarray:
    out = T.copy()
    out[:, :3, 3] *= scale
    return pose.matrix @ out


OTHER = Pose(np.array([1.0, -2, 3]), np.array([0.3, 0.5, -0.7, 0.2]))


@pytest.mark.parametrize(("n", "line"), [(3, False), (20, False), (20, True)])
def test_a_similarity_comes_back_exactly(n: int, line: bool) -> None:
    T = arc(n, line=line)
    found = align(T, moved(T, 0.37, OTHER))
    assert found is not None and found.scale.value == pytest.approx(0.37) and found.worst_m < 1e-9
    assert np.allclose(found.R_device_model, OTHER.rotation) and np.allclose(found.t, OTHER.translation)
    assert found.rotation_deg < 1e-4 and found.used == found.posed == n


def test_a_third_of_wild_poses_does_not_matter() -> None:
    T = arc(40)
    device = moved(shaken(T, 0.005, 0.3), 2.0, OTHER)
    device[::3, :3, 3] += np.random.default_rng(1).uniform(-2, 2, (14, 3))
    found = align(T, device)
    assert found is not None and found.scale.value == pytest.approx(2.0, rel=0.01) and 2.0 in found.scale
    assert 24 <= found.used <= 28 and found.worst_m > 0.5 > found.median_m


def test_drift_widens_the_interval_and_other_axes_show() -> None:
    T = arc(30)
    drifting = T.copy()
    drifting[:, :3, 3] += np.linspace(0, 0.3, 30)[:, None] * [1, 0.5, 0]
    found = align(T, drifting)
    assert found is not None and found.drift_m > 0.05 and 1.0 in found.scale
    assert found.scale.high / found.scale.value > 1.05
    turned = align(T, shaken(T, 0.01, 0.1) @ OPENGL)
    assert turned is not None and turned.rotation_deg > 170 and turned.scale.value == pytest.approx(1.0, rel=0.02)
    assert align(T, np.tile(T[:1], (30, 1, 1))) is None, "a device that did not move tells no scale"


def solved(capture: Capture, folder: Path) -> SfmResult:
    folder.mkdir()
    return solve(capture, folder, CONFIG)


def off(result: SfmResult, truth: np.ndarray) -> tuple[float, float, float]:
    """Worst distance of a camera from the truth [m] after a similarity, its scale, and the median angle [deg]."""
    found = align(result.model.cameras.T_world_camera, truth[[int(n[:4]) for n in result.model.cameras.names]])
    assert found is not None
    return found.worst_m, found.scale.value, found.rotation_deg


def methods(result: SfmResult) -> list[str]:
    return [a["method"] for a in result.attempts]


def test_true_poses_stay_and_shaken_ones_are_mended(film: Film, tmp_path: Path) -> None:
    truth = orbit()
    exact = solved(film(truth, truth), tmp_path / "exact")
    assert methods(exact) == ["known"] and exact.flags == () and exact.unregistered == ()
    worst, scale, angle = off(exact, truth)
    assert worst < 0.003 and scale == pytest.approx(1.0, abs=1e-6) and angle < 0.15
    same = np.linalg.norm(exact.model.cameras.centres - truth[:, :3, 3], axis=1)
    assert same.max() < 0.005, "the model stays in the device's world"
    assert exact.model.cameras.distortion.shape == (12, 4) and exact.model.cameras.K[0, 0, 0] == pytest.approx(512)

    told = shaken(truth, 0.01, 0.5)
    capture = film(truth, told)
    mended = solved(capture, tmp_path / "shaken")
    worst, scale, angle = off(mended, truth)
    assert methods(mended) == ["known"] and worst < 0.003 and angle < 0.15
    before = align(told, truth)
    assert before is not None and before.worst_m > 3 * worst
    vote = device_alignment(mended.model, capture)
    assert vote is not None and 1 / scale in vote.scale.scaled(1 / vote.scale.value) and vote.median_m > 0.003
    assert mended.device is not None and mended.device["posed"] == 12

    import pycolmap

    written = pycolmap.Reconstruction(mended.sparse)
    centre = next(im for im in written.images.values() if im.name == "0003.jpg").projection_center()
    row = mended.model.cameras.names.index("0003.jpg")
    assert np.allclose(centre, mended.model.cameras.centres[row], atol=1e-9), "COLMAP files are in the same world"


def test_poses_in_other_axes_are_found_out(film: Film, tmp_path: Path) -> None:
    truth = orbit()
    capture = film(truth, truth @ OPENGL)
    result = solved(capture, tmp_path / "gl")
    assert methods(result)[:2] == ["known", "incremental"] and off(result, truth)[0] < 0.005
    assert any("do not fit the pictures" in f for f in result.flags)
    assert any("another convention" in f for f in result.flags)
    shuffled = solved(film(truth, truth[np.random.default_rng(0).permutation(12)]), tmp_path / "shuffled")
    assert methods(shuffled)[-1] == "incremental" and off(shuffled, truth)[0] < 0.005 and shuffled.device is None


def test_frames_without_a_pose_are_placed_by_the_pictures(film: Film, tmp_path: Path) -> None:
    truth = orbit()
    told: list[np.ndarray | None] = list(shaken(truth, 0.005, 0.3))
    told[3] = told[8] = None
    result = solved(film(truth, told), tmp_path / "part")
    assert methods(result) == ["known"] and len(result.model.cameras) == 12 and off(result, truth)[0] < 0.005


def test_textureless_pictures_rest_on_the_device(film: Film, tmp_path: Path) -> None:
    from phone2sim.images import write_rgb

    truth = orbit()
    capture = replace(film(truth, truth), folder=tmp_path / "plain")
    rng = np.random.default_rng(0)
    for f in capture.frames:
        grey = np.clip(rng.normal(128, 1.0, (f.height, f.width, 1)), 0, 255).astype(np.uint8)
        write_rgb(capture.pictures / f.file, np.repeat(grey, 3, 2))
    (tmp_path / "plain" / "depth").mkdir()
    np.save(tmp_path / "plain" / "depth" / "d.npy", np.full((48, 36), 0.8, np.float32))
    capture = replace(capture, frames=tuple(replace(f, depth="d.npy") for f in capture.frames))
    result = solved(capture, tmp_path / "work")
    assert methods(result)[-1] == "device" and any("used as they are" in f for f in result.flags)
    assert np.allclose(result.model.cameras.T_world_camera, truth, atol=1e-9)
    in_camera = result.model.xyz[result.model.obs_point] - result.model.cameras.centres[result.model.obs_camera]
    z = np.einsum("kj,kj->k", in_camera, result.model.cameras.T_world_camera[result.model.obs_camera][:, :3, 2])
    assert len(z) > 1000 and np.allclose(z, 0.8, atol=1e-6)
