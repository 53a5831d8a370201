"""SfM in its child process, its checks, and the cameras stage on synthetic and real captures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from phone2sim.errors import ReconstructionError
from phone2sim.poses import look_at
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.capture import capture_stage
from phone2sim.reconstruct.metric.tags import similarity
from phone2sim.reconstruct.pipeline import ReconstructConfig, cameras_stage
from phone2sim.reconstruct.points import read_points_ply
from phone2sim.reconstruct.sfm import SparseModel, project
from phone2sim.reconstruct.sfm.checks import judge, pair_agreement, triangulation_angles
from phone2sim.reconstruct.sfm.child import run_worker
from phone2sim.reconstruct.sfm.job import Job
from phone2sim.reconstruct.sfm.motion import stands_still
from phone2sim.reconstruct.sfm.pairs import choose_pairs
from phone2sim.stage import StageResult

CAPTURES = Path(__file__).parents[2].parent / "shared" / "captures"
needs_captures = pytest.mark.skipif(not CAPTURES.is_dir(), reason="no captures beside the repository")


def model(n: int = 6, m: int = 400, *, spread: float = 1.0, seed: int = 0) -> SparseModel:
    """Cameras on an arc of radius 1 (shrunk by `spread`) that see m points exactly, with all verified pairs."""
    rng = np.random.default_rng(seed)
    xyz = rng.uniform(-0.3, 0.3, (m, 3))
    eyes = [[np.sin(a) * spread, -1.0, 0.3 * spread + 0.2] for a in np.linspace(-0.6, 0.6, n)]
    cameras = Cameras(
        T_world_camera=np.array([look_at(np.array(e), np.zeros(3)).matrix for e in eyes]),
        K=np.tile([[800.0, 0, 320], [0, 800, 240], [0, 0, 1]], (n, 1, 1)), size_wh=np.tile([640, 480], (n, 1)),
        distortion=np.tile([0.02, 0, 0, 0], (n, 1)), names=tuple(f"{i}.jpg" for i in range(n)),
    )  # fmt: skip
    px = [project(cameras, i, xyz)[0] for i in range(n)]
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    return SparseModel(
        cameras=cameras, xyz=xyz, rgb=np.zeros((m, 3), np.uint8), error_px=np.full(m, 0.4),
        obs_point=np.repeat(np.arange(m), n), obs_camera=np.tile(np.arange(n), m), reprojection_px=0.4,
        pair_ij=np.array(pairs), pair_count=np.full(len(pairs), m),
        pair_left=np.concatenate([px[i] for i, _ in pairs]), pair_right=np.concatenate([px[j] for _, j in pairs]),
    )  # fmt: skip


def prior(m: SparseModel, f: float = 800.0) -> dict[str, float]:
    return dict.fromkeys(m.cameras.names, f)


def test_a_true_model_passes_every_check() -> None:
    m = model()
    assert pair_agreement(m).min() == 1.0
    verdict = judge(m, prior(m), trusted=True)
    assert verdict.refuse == () and verdict.flag == ()


def test_a_misplaced_camera_contradicts_its_pairs() -> None:
    m = model()
    T = m.cameras.T_world_camera.copy()
    T[2] = look_at(np.array([0.0, -0.4, -0.9]), np.array([0.3, 0, 0])).matrix
    bad = replace(m, cameras=replace(m.cameras, T_world_camera=T))
    assert any("contradict" in r for r in judge(bad, prior(m), trusted=True).refuse)


def test_turning_without_moving_is_refused() -> None:
    m = model(spread=0.01)
    assert np.degrees(np.median(triangulation_angles(m))) < 2
    assert any("turned without moving" in r for r in judge(m, prior(m), trusted=True).refuse)


@pytest.mark.parametrize(("focal", "refused", "flagged"), [(800, False, False), (620, False, True), (300, True, False)])
def test_focal_length_against_exif(focal: float, refused: bool, flagged: bool) -> None:
    m = model()
    verdict = judge(m, prior(m, focal), trusted=True)
    assert bool(verdict.refuse) == refused and bool(verdict.flag) == flagged


def test_thin_and_inexact_models_are_refused() -> None:
    m = model(m=20)
    assert any("fewer than 30 points" in r for r in judge(m, prior(m), trusted=True).refuse)
    assert any("reprojection" in r for r in judge(replace(model(), reprojection_px=2.5), prior(m), trusted=True).refuse)


def test_a_fixed_camera_is_recognised() -> None:
    assert stands_still({"verified_pairs": 40, "largest_motion": 0.002})
    assert not stands_still({"verified_pairs": 40, "largest_motion": 0.2})
    assert not stands_still({"verified_pairs": 0, "largest_motion": 0.0})


def test_pairs_join_neighbours_and_find_the_closed_loop() -> None:
    rng = np.random.default_rng(0)
    n, per = 60, 40
    world = rng.normal(0, 1, (n * 8, 128)).astype(np.float32)
    described = []
    for i in range(n):
        d = world[np.arange(i * 8, i * 8 + per) % len(world)] + rng.normal(0, 0.02, (per, 128)).astype(np.float32)
        described.append(d / np.linalg.norm(d, axis=1, keepdims=True))
    pairs = choose_pairs(described, ordered=True, all_pairs=False, overlap=4, loops=2, neighbours=5)
    assert {(i, i + 1) for i in range(n - 1)} <= set(pairs) and (0, n - 1) in pairs
    assert len(pairs) == len(set(pairs)) < n * 12 and all(i < j for i, j in pairs)
    photos = choose_pairs(described, ordered=False, all_pairs=False, overlap=4, loops=2, neighbours=6)
    assert (0, n - 1) in photos and (0, n // 2) not in photos
    assert (
        len(choose_pairs(described, ordered=False, all_pairs=True, overlap=4, loops=2, neighbours=6))
        == n * (n - 1) // 2
    )


def test_a_failing_child_is_one_clear_line(tmp_path: Path) -> None:
    job = Job(
        frames=str(tmp_path / "none"), work=str(tmp_path), names=("a.jpg",), groups=(), ordered=True, max_side=640,
        max_features=100, first_octave=0, all_pairs=False, overlap=1, loops=0, neighbours=1, threads=1, seed=0,
    )  # fmt: skip
    with pytest.raises(ReconstructionError, match="The camera solver stopped with code 1"):
        run_worker(job, tmp_path, time_limit_s=60)
    with pytest.raises(ReconstructionError, match="took longer than 0 s"):
        run_worker(job, tmp_path, time_limit_s=0.05)


def test_config_of_the_usual_settings() -> None:
    config = ReconstructConfig.of(seed=3, tag_size_m=0.05, max_side=320, steps=100)
    assert (config.sfm.seed, config.metric.tag_size_m, config.splat.max_side, config.splat.iterations) == (
        3,
        0.05,
        320,
        100,
    )


def cameras_of(source: Path, scene: Path, config: ReconstructConfig | None = None) -> StageResult:
    config = config or ReconstructConfig()
    captured = capture_stage(source, scene, config.capture)
    return cameras_stage(scene, config, capture_fingerprint=captured.fingerprint)


def textured_table(folder: Path, n: int = 14) -> Cameras:
    """Photos of a printed table top with the scale sheet on it and a raised printed block, by homographies."""
    import cv2

    from phone2sim import sheet
    from phone2sim.images import write_rgb

    rng = np.random.default_rng(0)
    px = 2000
    size = 0.8

    def print_of(w: float, h: float) -> np.ndarray:
        im = np.zeros((round(h * px), round(w * px), 3), np.float32)
        for cell in (8, 24, 70):
            im += cv2.resize(
                rng.uniform(0, 85, (im.shape[0] // cell, im.shape[1] // cell, 3)).astype(np.float32),
                im.shape[1::-1],
                interpolation=cv2.INTER_NEAREST,
            )
        return im.astype(np.uint8)

    top = print_of(size, size)
    page = np.repeat(sheet.picture(px)[..., None], 3, 2)
    y, x = round(0.47 * px), round(0.35 * px)
    top[y : y + page.shape[0], x : x + page.shape[1]] = page
    layers = [
        (top, -size / 2, -size / 2, 0.0),
        (print_of(0.12, 0.12), -0.2, -0.15, 0.08),
        (print_of(0.1, 0.16), 0.12, -0.2, 0.05),
    ]
    K = np.array([[760.0, 0, 360], [0, 760, 480], [0, 0, 1]])
    poses = [
        look_at(np.array([0.55 * np.cos(a), 0.55 * np.sin(a), 0.5]), np.array([0, 0, 0.02]))
        for a in np.linspace(0, 4.2, n)
    ]
    cameras = Cameras(
        T_world_camera=np.array([p.matrix for p in poses]), K=np.tile(K, (n, 1, 1)),
        size_wh=np.tile([720, 960], (n, 1)),
        distortion=np.zeros((n, 4)), names=tuple(f"{i:02d}.jpg" for i in range(n)),
    )  # fmt: skip
    for i in range(n):
        im = np.full((960, 720, 3), 120, np.uint8)
        for picture, x0, y0, z in layers:
            h, w = picture.shape[:2]
            rim = np.array([[x0, y0 + h / px, z], [x0 + w / px, y0 + h / px, z], [x0 + w / px, y0, z], [x0, y0, z]])
            to = project(cameras, i, rim)[0] - 0.5
            of = np.array([[0, 0], [w, 0], [w, h], [0, h]]) - 0.5
            M = cv2.getPerspectiveTransform(of.astype(np.float32), to.astype(np.float32))
            drawn = cv2.warpPerspective(cv2.GaussianBlur(picture, (0, 0), 1.2), M, (720, 960), flags=cv2.INTER_LINEAR)
            inside = cv2.warpPerspective(np.full((h, w), 255, np.uint8), M, (720, 960)) > 250
            im[inside] = drawn[inside]
        noisy = im + rng.normal(0, 2, im.shape)
        write_rgb(folder / cameras.names[i], np.clip(noisy, 0, 255).astype(np.uint8))
    return cameras


@pytest.mark.slow
def test_synthetic_table_comes_back_metric_level_and_repeatable(tmp_path: Path) -> None:
    truth = textured_table(tmp_path / "photos")
    result = cameras_of(tmp_path / "photos", tmp_path / "scene").manifest["result"]
    assert result["cameras"]["registered"] == len(truth)
    assert result["metric"]["scale_source"] == "sheet" and result["metric"]["up_source"] == "support plane"
    folder = tmp_path / "scene" / "cameras"
    got = Cameras.load(folder / "transforms.json")
    assert got.sources == truth.names
    s, R, t = similarity(got.centres, truth.centres)
    error = np.linalg.norm(s * got.centres @ R.T + t - truth.centres, axis=1)
    assert error.max() < 0.005 * 0.75 and s == pytest.approx(1.0, abs=0.01)
    assert R[2, 2] > np.cos(np.radians(0.5)) and abs(t[2]) < 0.003
    import pycolmap

    model = pycolmap.Reconstruction(folder / "sparse" / "0")
    centre = next(im for im in model.images.values() if im.name == got.names[0]).projection_center()
    assert np.allclose(centre, got.centres[0], atol=1e-6), "COLMAP files are in the same world"
    xyz, _ = read_points_ply(folder / "points.ply")
    assert np.mean(np.abs(xyz[:, 2]) < 0.005) > 0.5
    again = cameras_of(tmp_path / "photos", tmp_path / "again").folder
    for name in ("transforms.json", "points.ply", "metric.json"):
        assert (again / name).read_bytes() == (folder / name).read_bytes(), name


@pytest.mark.slow
@needs_captures
def test_bananas_stand_on_a_carpet(tmp_path: Path) -> None:
    result = cameras_of(CAPTURES / "bananas-carpet", tmp_path).manifest["result"]
    assert result["cameras"]["registered"] >= 15 and result["metric"]["support"]
    assert set(result["cameras"]["unregistered"]) <= {"DSC_0434.JPG"}
    assert result["metric"]["scale_source"] == "handheld prior" and result["metric"]["flagged"]


@pytest.mark.slow
@needs_captures
def test_fox_cameras_agree_with_its_own_and_no_plane_is_claimed(tmp_path: Path) -> None:
    result = cameras_of(CAPTURES / "fox", tmp_path).manifest["result"]
    assert result["cameras"]["registered"] == 50 and not result["metric"]["support"]
    assert any("no support plane" in f for f in result["metric"]["flagged"])
    got = Cameras.load(tmp_path / "cameras" / "transforms.json")
    listed = json.loads((CAPTURES / "fox" / "transforms.json").read_text())["frames"]
    known = {Path(f["file_path"]).name: np.array(f["transform_matrix"])[:3, 3] for f in listed}
    true = np.array([known[s] for s in got.sources])
    s, R, t = similarity(got.centres, true)
    error = np.linalg.norm(s * got.centres @ R.T + t - true, axis=1) / np.median(
        np.linalg.norm(true - true.mean(axis=0), axis=1)
    )
    assert np.median(error) <= 0.005 and error.max() <= 0.01
