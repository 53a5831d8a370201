"""Scale and up from synthetic truth: whatever similarity SfM chose, the world comes out metric and level."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from phone2sim import sheet
from phone2sim.keys import Key
from phone2sim.poses import Pose, look_at
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.metric import MetricConfig, decide
from phone2sim.reconstruct.metric.plane import camera_up
from phone2sim.reconstruct.metric.tags import (
    Sighting,
    find_tags,
    refine_corners,
    sheet_vote,
    similarity,
    tag_vote,
    triangulate_tags,
)  # fmt: skip
from phone2sim.reconstruct.metric.votes import angle_deg
from phone2sim.reconstruct.sfm import SparseModel, normalised, project

SHEET_AT = Pose.from_xyz_yaw(np.array([0.08, -0.05, 0.0]), 0.7)


def orbit(n: int = 16, radius: float = 0.6, height: float = 0.45, seed: int = 0) -> Cameras:
    """Handheld cameras round the origin, in metres, z up."""
    rng = np.random.default_rng(seed)
    poses = []
    for a in np.linspace(0, 1.5 * np.pi, n):
        eye = np.array([radius * np.cos(a), radius * np.sin(a), height]) + rng.normal(0, 0.02, 3)
        poses.append(look_at(eye, rng.normal(0, 0.02, 3)).matrix)
    K = np.tile([[1000.0, 0, 360], [0, 1000, 640], [0, 0, 1]], (n, 1, 1))
    distortion = np.tile([-0.03, 0, 0, 0], (n, 1))
    names = tuple(f"{i}.jpg" for i in range(n))
    return Cameras(
        T_world_camera=np.array(poses), K=K, size_wh=np.tile([720, 1280], (n, 1)), distortion=distortion, names=names
    )


def table(rng: np.random.Generator, n: int = 1500) -> np.ndarray:
    """A table of 1 m at z = 0, two boxes on it, and a floor 0.7 m below beyond its edge."""
    top = np.column_stack([rng.uniform(-0.5, 0.5, (n, 2)), rng.normal(0, 0.001, n)])
    boxes = [rng.uniform([x, y, 0], [x + 0.08, y + 0.08, 0.12], (n // 8, 3)) for x, y in ((0.1, 0.1), (-0.2, 0.0))]
    a, r = rng.uniform(0, 2 * np.pi, n // 3), rng.uniform(0.75, 1.6, n // 3)
    floor = np.column_stack([r * np.cos(a), r * np.sin(a), np.full(n // 3, -0.7)])
    return np.concatenate([top, *boxes, floor])


def sfm_of(cameras: Cameras, xyz: np.ndarray, scale: float, T: np.ndarray) -> SparseModel:
    """The world as an SfM would leave it: p_model = T · (scale · p_world), every camera seeing every point."""
    m, n = len(xyz), len(cameras)
    empty = np.zeros((0, 2))
    return SparseModel(
        cameras=cameras, xyz=xyz, rgb=np.zeros((m, 3), np.uint8), error_px=np.full(m, 0.5),
        obs_point=np.repeat(np.arange(m), n), obs_camera=np.tile(np.arange(n), m), reprojection_px=0.5,
        pair_ij=np.zeros((0, 2), int), pair_count=np.zeros(0, int), pair_left=empty, pair_right=empty,
    ).transformed(scale, T)  # fmt: skip


def anyhow(seed: int) -> tuple[float, np.ndarray]:
    rng = np.random.default_rng(seed)
    return float(np.exp(rng.uniform(-2, 2))), Pose(rng.normal(0, 5, 3), rng.normal(0, 1, 4)).matrix


def sightings(cameras: Cameras, rng: np.random.Generator, noise_px: float, edge: float = 1.0) -> list[Sighting]:
    """The sheet's corners as the metric cameras see them."""
    out = []
    for i in range(len(cameras)):
        for tag, corners in sheet.corners().items():
            px, _ = project(cameras, i, SHEET_AT.apply(corners * edge))
            out.append(Sighting(tag=tag, camera=i, corners_px=px + rng.normal(0, noise_px, (4, 2))))
    return out


def test_project_and_normalised_are_inverse() -> None:
    cameras = orbit(3)
    xyz = np.random.default_rng(0).uniform(-0.2, 0.2, (50, 3))
    for i in range(3):
        px, z = project(cameras, i, xyz)
        rays = np.column_stack([normalised(cameras, i, px), np.ones(50)]) * z[:, None]
        assert np.allclose(Pose.from_matrix(cameras.T_world_camera[i]).apply(rays), xyz, atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_metric_and_level_under_any_similarity(seed: int) -> None:
    rng = np.random.default_rng(seed)
    world = orbit(seed=seed)
    scale, T = anyhow(seed)
    model = sfm_of(world, table(rng), scale, T)
    tags = triangulate_tags(model.cameras, sightings(world, rng, 0.3))
    metric = decide(model, tags, MetricConfig())
    back = model.transformed(metric.scale.value, metric.T_world_model).cameras
    assert metric.scale_source == "sheet" and metric.up_source == "support plane" and not metric.flagged
    assert metric.scale.value * scale == pytest.approx(1.0, rel=0.003)
    assert 1 / scale in metric.scale
    s, R, t = similarity(back.centres, world.centres)
    assert s == pytest.approx(1.0, rel=0.003)
    assert angle_deg(R[:, 2], np.array([0, 0, 1.0])) < 0.3
    assert abs(t[2]) < 0.002
    assert np.linalg.norm(t[:2]) < 0.05, "the origin is in the middle of what the cameras look at"


def test_one_gross_corner_error_does_not_move_the_scale() -> None:
    world, rng = orbit(), np.random.default_rng(5)
    seen = sightings(world, rng, 0.2)
    seen[7] = replace(seen[7], corners_px=seen[7].corners_px + 40.0)
    vote = sheet_vote(triangulate_tags(world, seen))
    assert vote is not None and vote.value == pytest.approx(1.0, rel=0.003)


def test_other_tags_count_only_with_their_size() -> None:
    world, rng = orbit(), np.random.default_rng(6)
    seen = [replace(s, tag=7) for s in sightings(world, rng, 0.2) if s.tag == sheet.TAG_IDS[0]]
    tags = triangulate_tags(world, seen)
    assert sheet_vote(tags) is None
    vote = tag_vote(tags, 2 * sheet.TAG_EDGE_M)
    assert vote is not None and vote.value == pytest.approx(2.0, rel=0.01)
    model = sfm_of(world, table(rng), 1.0, np.eye(4))
    assert decide(model, tags, MetricConfig()).scale_source == "handheld prior"
    assert decide(model, tags, MetricConfig(tag_size_m=sheet.TAG_EDGE_M)).scale_source == "tag"


def test_tags_with_one_id_in_two_places_are_not_believed() -> None:
    world, rng = orbit(), np.random.default_rng(7)
    seen = sightings(world, rng, 0.2)
    odd = [replace(s, corners_px=s.corners_px + (60 if s.camera % 2 else 0)) for s in seen]
    assert triangulate_tags(world, odd) == {}


def test_without_a_tag_the_scale_is_a_wide_flagged_guess() -> None:
    model = sfm_of(orbit(), table(np.random.default_rng(1)), 3.0, np.eye(4))
    metric = decide(model, {}, MetricConfig())
    assert metric.scale_source == "handheld prior" and 1 / 3 in metric.scale
    assert metric.scale_interval[0] <= 0.5 and metric.scale_interval[1] >= 2
    assert any("guess" in f for f in metric.flagged)


def test_a_disagreeing_sheet_is_flagged() -> None:
    world, rng = orbit(), np.random.default_rng(2)
    model = sfm_of(world, table(rng), 1.0, np.eye(4))
    metric = decide(model, triangulate_tags(world, sightings(world, rng, 0.2, edge=4.0)), MetricConfig())
    assert any("handheld prior says" in f for f in metric.flagged)


@pytest.mark.parametrize("seed", range(3))
def test_a_wall_and_a_cloud_are_no_support(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 12
    poses = [
        look_at(np.array([x, -1.0, 0.1 * np.sin(i)]), np.zeros(3)).matrix
        for i, x in enumerate(np.linspace(-0.4, 0.4, n))
    ]
    world = replace(orbit(n), T_world_camera=np.array(poses))
    wall = np.column_stack([rng.uniform(-0.8, 0.8, 800), rng.normal(0, 0.001, 800), rng.uniform(-0.8, 0.8, 800)])
    cloud = rng.normal(0, 0.2, (800, 3))
    scale, T = anyhow(seed)
    for points in (wall, cloud):
        metric = decide(sfm_of(world, points, scale, T), {}, MetricConfig())
        assert metric.support is None and metric.up_source == "cameras"
        assert any("no support plane" in f for f in metric.flagged)
        back = sfm_of(world, points, scale, T).transformed(metric.scale.value, metric.T_world_model)
        R = similarity(back.cameras.centres, world.centres)[1]
        assert angle_deg(R[:, 2], np.array([0, 0, 1.0])) < 6


def test_up_from_level_phones_even_when_they_look_down() -> None:
    up = camera_up(orbit(n=9, height=0.9))
    assert up.uncertain_deg == 5 and angle_deg(up.up, np.array([0, 0, 1.0])) < 1.5


def test_the_same_seed_gives_the_same_plane() -> None:
    model = sfm_of(orbit(), table(np.random.default_rng(3)), 1.7, anyhow(3)[1])
    a, b = (decide(model, {}, MetricConfig()) for _ in range(2))
    assert np.array_equal(a.T_world_model, b.T_world_model) and a.to_json() == b.to_json()
    assert Key(0).child("support") != Key(1).child("support")


def photographed_sheet(blur_px: float) -> tuple[np.ndarray, np.ndarray]:
    """The sheet seen obliquely, blurred in linear light and gamma-encoded; with the 16 true corners [px]."""
    import cv2

    pose = look_at(np.array([0.1, -0.3, 0.35]), np.zeros(3))
    cameras = Cameras(
        T_world_camera=pose.matrix[None], K=np.array([[[1000.0, 0, 400], [0, 1000, 400], [0, 0, 1]]]),
        size_wh=np.array([[800, 800]]), distortion=np.zeros((1, 4)), names=("a",),
    )  # fmt: skip
    page = sheet.picture(6000)
    h, w = page.shape
    W, H = sheet.PAGE_M
    rim = np.array([[-W / 2, H / 2, 0], [W / 2, H / 2, 0], [W / 2, -H / 2, 0], [-W / 2, -H / 2, 0]])
    big = 4
    to = project(cameras, 0, rim)[0] * big - 0.5
    of = np.array([[0, 0], [w, 0], [w, h], [0, h]]) - 0.5
    M = cv2.getPerspectiveTransform(of.astype(np.float32), to.astype(np.float32))
    light = cv2.warpPerspective(
        (page / 255.0).astype(np.float32) * 0.8 + 0.03, M, (800 * big, 800 * big), borderValue=0.4
    )
    light = cv2.resize(cv2.GaussianBlur(light, (0, 0), blur_px * big), (800, 800), interpolation=cv2.INTER_AREA)
    rgb = np.repeat((np.clip(light, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)[..., None], 3, 2)
    return rgb, np.concatenate([project(cameras, 0, c)[0] for c in sheet.corners().values()])


@pytest.mark.parametrize("blur_px", [0.5, 1.2])
def test_corners_are_found_without_shrinking_the_tag(blur_px: float) -> None:
    rgb, true = photographed_sheet(blur_px)
    found = dict(find_tags(rgb))
    assert set(found) == set(sheet.TAG_IDS)
    off = np.concatenate([found[i] for i in sheet.TAG_IDS]) - true
    assert np.abs(off).max() < 0.35
    assert (
        abs(similarity(np.column_stack([true + off, np.zeros(16)]), np.column_stack([true, np.zeros(16)]))[0] - 1)
        < 1e-3
    )


def test_refinement_gives_up_where_there_is_no_edge() -> None:
    quad = np.array([[20.0, 20], [60, 20], [60, 60], [20, 60]])
    assert np.array_equal(refine_corners(np.full((100, 100), 0.5, np.float32), quad), quad)
