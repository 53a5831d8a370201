"""Sources of scale from synthetic truth: sheets, cards and boards photographed, device poses and depth, picked points."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from phone2sim.errors import InputError, ReconstructionError
from phone2sim.images import read_rgb
from phone2sim.poses import Pose
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.capture.record import Capture, Device, Frame
from phone2sim.reconstruct.metric import MetricConfig, decide
from phone2sim.reconstruct.metric.board import (
    board_normal,
    board_vote,
    detector,
    find_corners,
    parse_board,
    triangulate_board,
)
from phone2sim.reconstruct.metric.device import depth_vote, imu_up_vote
from phone2sim.reconstruct.metric.estimate import gather
from phone2sim.reconstruct.metric.length import parse_object_length, parse_picked_length, picked_vote
from phone2sim.reconstruct.metric.plane import Plane
from phone2sim.reconstruct.metric.quads import find_quads
from phone2sim.reconstruct.metric.reference import REFERENCES, Rectangle, find_rectangles, reference_vote
from phone2sim.reconstruct.metric.tags import find_tags
from phone2sim.reconstruct.metric.votes import angle_deg
from phone2sim.reconstruct.sfm import SparseModel, project
from tests.reconstruct.printed import Thing, block, card, orbit, paper, photograph

CAPTURES = Path(__file__).parents[2].parent / "shared" / "captures"
BOARD = parse_board("5x7:0.028:0.02:4x4")
UNITS = 0.37
"""Units of the model a metre."""


def board_at(at: tuple[float, float], yaw: float) -> Thing:
    px = detector(BOARD).getBoard().generateImage((BOARD.columns * 160, BOARD.rows * 160), marginSize=0)
    picture = np.repeat(np.clip(px * 0.85 + 18, 0, 255).astype(np.uint8)[..., None], 3, 2)
    return Thing((BOARD.columns * BOARD.square_m, BOARD.rows * BOARD.square_m), picture, at, yaw)


@pytest.fixture(scope="module")
def shot() -> tuple[Cameras, list[np.ndarray]]:
    """An A4 sheet with a block standing across its edge, a bank card and a board; cameras in units of a model."""
    cameras = orbit(7)
    things = [paper(at=(-0.1, 0.05)), card(at=(0.06, -0.14)), board_at((0.15, 0.05), 0.2)]
    pictures = photograph(cameras, things, blocks=(block((0.05, 0.04, 0.05), (-0.02, 0.12), 0.3),), room=False)
    return cameras.transformed(UNITS, Pose(np.array([3.0, -1, 2]), np.array([0.5, 0.5, -0.3, 0.2])).matrix), pictures


@pytest.fixture(scope="module")
def rectangles(shot: tuple[Cameras, list[np.ndarray]]) -> list[Rectangle]:
    cameras, pictures = shot
    return find_rectangles(cameras, lambda i: pictures[i], REFERENCES)


@pytest.mark.parametrize("name", ["a4", "card"])
def test_a_sheet_and_a_card_give_the_scale(rectangles: list[Rectangle], name: str) -> None:
    vote, note = reference_vote(rectangles, name)
    assert vote is not None and not note and not vote.guess
    assert vote.interval.value * UNITS == pytest.approx(1.0, rel=0.003)
    assert 1 / UNITS in vote.interval


def test_what_is_not_in_view_does_not_vote(rectangles: list[Rectangle]) -> None:
    vote, note = reference_vote(rectangles, "letter")
    assert vote is None and "a Letter sheet was not found" in note


def test_paper_that_nobody_named_only_guesses(rectangles: list[Rectangle]) -> None:
    vote, note = reference_vote(rectangles, "a4", named=False)
    assert vote is not None and vote.guess and "--reference a4" in note
    assert 1 / UNITS / np.sqrt(2) in vote.interval, "it may as well be an A5 page"


def test_two_sheets_of_different_size_do_not_measure(rectangles: list[Rectangle]) -> None:
    half = [replace(r, corners=r.corners.mean(axis=0) + 5 + (r.corners - r.corners.mean(axis=0)) / np.sqrt(2)) for r in rectangles]
    vote, note = reference_vote([*rectangles, *half], "a4")
    assert vote is not None and vote.guess and "different size" in note


def test_outlines_are_exact_in_a_picture(shot: tuple[Cameras, list[np.ndarray]]) -> None:
    cameras, pictures = shot
    thing = card(at=(0.06, -0.14)).corners
    px = project(orbit(7), 2, thing)[0]
    found = find_quads(pictures[2])
    off = [np.abs(np.roll(q, k, axis=0) - px).max() for q in found for k in range(4)]
    assert min(off) < 0.8


def test_a_board_gives_scale_and_up(shot: tuple[Cameras, list[np.ndarray]]) -> None:
    cameras, pictures = shot
    finder = detector(BOARD)
    seen = {i: find_corners(p, finder) for i, p in enumerate(pictures)}
    assert sum(len(ids) for ids, _ in seen.values()) >= 80
    points = triangulate_board(cameras, seen)
    vote, normal = board_vote(points, BOARD, views=7), board_normal(points, BOARD)
    assert vote is not None and vote.interval.value * UNITS == pytest.approx(1.0, rel=0.002) and 1 / UNITS in vote.interval
    up = Pose(np.zeros(3), np.array([0.5, 0.5, -0.3, 0.2])).apply(np.array([[0, 0, 1.0]]))[0]
    assert normal is not None and angle_deg(normal, up) < 0.3


def test_a_corner_that_is_covered_is_not_made_up(shot: tuple[Cameras, list[np.ndarray]]) -> None:
    _, pictures = shot
    true, _ = project(orbit(7), 1, Pose.from_xyz_yaw(np.array([0.15, 0.05, 0.0006]), 0.2).apply(
        (BOARD.corners - [BOARD.columns * 0.014, BOARD.rows * 0.014, 0]) * [1, -1, 1]))  # fmt: skip
    im = pictures[1].copy()
    x, y = true[7].astype(int)
    im[y - 12 : y + 12, x - 12 : x + 12] = 90
    ids, px = find_corners(im, detector(BOARD))
    assert 7 not in ids and len(ids) >= 12
    assert np.median(np.linalg.norm(px - true[ids], axis=1)) < 0.25


@pytest.mark.parametrize("text", ["5x7", "5x7:0.03:0.04:4x4", "2x2:0.04:0.03:4x4", "5x7:0.04:0.03:9x9", "5x7:0,04:0.03"])
def test_boards_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="--charuco"):
        parse_board(text)


# --- a device, and lengths ---------------------------------------------------------------------------------------------


def scene_of(n: int = 10, *, unit: float = UNITS) -> tuple[Cameras, SparseModel, np.ndarray]:
    """Metric cameras, the model of them in another world, and the metric points: a table and a box 0.12 m high."""
    rng = np.random.default_rng(0)
    top = np.column_stack([rng.uniform(-0.3, 0.3, (900, 2)), rng.normal(0, 0.0005, 900)])
    lid = np.column_stack([rng.uniform(-0.05, 0.05, (200, 2)), np.full(200, 0.12)])
    xyz = np.concatenate([top, lid])
    cameras = orbit(n)
    m = len(xyz)
    empty = np.zeros((0, 2))
    model = SparseModel(
        cameras=cameras, xyz=xyz, rgb=np.zeros((m, 3), np.uint8), error_px=np.full(m, 0.5),
        obs_point=np.repeat(np.arange(m), n), obs_camera=np.tile(np.arange(n), m), reprojection_px=0.5,
        pair_ij=np.zeros((0, 2), int), pair_count=np.zeros(0, int), pair_left=empty, pair_right=empty,
    )  # fmt: skip
    T = Pose(np.array([1.0, 2, -3]), np.array([0.4, -0.6, 0.3, 0.6])).matrix
    return cameras, model.transformed(unit, T), xyz


def capture_of(cameras: Cameras, folder: Path, edit: Callable[[int, Frame], Frame], device: Device | None) -> Capture:
    frames = []
    for i, name in enumerate(cameras.names):
        w, h = (int(v) for v in cameras.size_wh[i])
        frame = Frame(file=name, source=f"IMG_{i:04d}.HEIC", time_s=None, width=w, height=h, sharpness=1.0, focal_px=None, group=0)
        frames.append(edit(i, frame))
    return Capture(folder=folder, kind="photos", source="test", frames=tuple(frames), device=device)


def as_tuple(T: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(v) for v in row) for row in T)


def test_device_poses_give_scale_and_up(tmp_path: Path) -> None:
    cameras, model, _ = scene_of()
    turn = Pose(np.array([4.0, 0, 1]), np.array([np.sqrt(0.5), -np.sqrt(0.5), 0, 0])).matrix  # the device's world is y up
    capture = capture_of(
        cameras, tmp_path, lambda i, f: replace(f, T_world_camera=as_tuple(turn @ cameras.T_world_camera[i])),
        Device(app="record3d", metric=True, up_world=(0.0, 1.0, 0.0)),
    )  # fmt: skip
    config = MetricConfig()
    metric = decide(model, {}, config, evidence=gather(model, tmp_path, config, capture=capture))
    assert metric.scale_source == "device poses" and not metric.flagged
    assert metric.scale.value * UNITS == pytest.approx(1.0, rel=0.001)
    rows = {r["source"]: r for r in metric.votes if r["about"] == "up"}
    assert rows["device"]["from_chosen_deg"] < 0.3 and rows["device"]["used"]
    back = model.transformed(metric.scale.value, metric.T_world_model)
    assert np.abs(back.xyz[:900, 2]).max() < 0.004 and np.allclose(back.xyz[900:, 2], 0.12, atol=0.003)
    loose = replace(capture, device=Device(app="nerfstudio", metric=False))
    assert gather(model, tmp_path, config, capture=loose).scale == ()


def test_gravity_of_the_imu(tmp_path: Path) -> None:
    cameras, model, _ = scene_of()
    rng = np.random.default_rng(1)

    def edit(i: int, f: Frame) -> Frame:
        up = cameras.T_world_camera[i, :3, :3].T @ (np.array([0, 0, 1.0]) + rng.normal(0, 0.01, 3))
        up = -up if i == 3 else up / np.linalg.norm(up)  # one reading is nonsense
        return replace(f, up_camera=tuple(float(v) for v in up)) if i != 5 else f

    vote = imu_up_vote(model, capture_of(cameras, tmp_path, edit, None))
    up = Pose(np.zeros(3), np.array([0.4, -0.6, 0.3, 0.6])).apply(np.array([[0, 0, 1.0]]))[0]
    assert vote is not None and angle_deg(vote.up, up) < 1.0 and vote.within_deg >= 1


def table_depth(cameras: Cameras, i: int, wh: tuple[int, int]) -> np.ndarray:
    """Depth of the plane z = 0 as a camera sees it."""
    w, h = wh
    K = cameras.K[i]
    W, H = cameras.size_wh[i]
    x = ((np.arange(w) + 0.5) * W / w - K[0, 2]) / K[0, 0]
    y = ((np.arange(h) + 0.5) * H / h - K[1, 2]) / K[1, 1]
    rays = np.stack(np.broadcast_arrays(x[None], y[:, None], 1.0), -1) @ cameras.T_world_camera[i, :3, :3].T
    with np.errstate(divide="ignore"):
        t = -cameras.centres[i, 2] / rays[..., 2]
    return np.where((t > 0) & (t < 5), t, 0).astype(np.float32)


def test_measured_depth_gives_the_scale_from_whatever_resolution() -> None:
    cameras, model, _ = scene_of()
    depths = {cameras.names[i]: table_depth(cameras, i, (48, 64)) for i in range(6)}
    depths["0003.jpg"] = depths["0003.jpg"] * 1.8  # a frame that is plainly wrong
    vote = depth_vote(model, depths, "device depth")
    assert vote is not None and not vote.guess and vote.interval.value * UNITS == pytest.approx(1.0, rel=0.01)
    assert 1 / UNITS in vote.interval
    predicted = depth_vote(model, depths, "monocular depth")
    assert predicted is not None and predicted.guess and predicted.interval.high / predicted.interval.low > 1.3
    assert depth_vote(model, {"other.jpg": depths["0000.jpg"]}, "device depth") is None


def pick(cameras: Cameras, i: int, point: np.ndarray, name: str | None = None) -> str:
    x, y = project(cameras, i, point[None])[0][0]
    return f"{name or cameras.names[i]}:{x:.2f},{y:.2f}"


def test_a_length_between_picked_points(tmp_path: Path) -> None:
    cameras, model, _ = scene_of()
    capture = capture_of(cameras, tmp_path, lambda i, f: f, None)
    a, b = np.array([0.2, 0.1, 0.0]), np.array([-0.1, 0.15, 0.0])
    metres = float(np.linalg.norm(a - b))
    twice = f"{pick(cameras, 0, a)}+{pick(cameras, 4, a, '0004')} to {pick(cameras, 1, b, 'IMG_0001.HEIC')}+{pick(cameras, 5, b)} = {metres:.6f}"
    vote = picked_vote(parse_picked_length(twice), model, capture)
    assert vote.interval.value * UNITS == pytest.approx(1.0, rel=1e-3) and 1 / UNITS in vote.interval
    once = f"{pick(cameras, 0, a)} to {pick(cameras, 2, b)} = {100 * metres:.4f} cm"
    R = Pose(np.zeros(3), np.array([0.4, -0.6, 0.3, 0.6])).rotation
    normal = R[:, 2]
    plane = Plane(normal=normal, height=float(normal @ [1.0, 2, -3]), inliers=900, part=0.8, residual=0.0005 * UNITS, uncertain_deg=0.5)
    for known in (plane, None):
        vote = picked_vote(parse_picked_length(once), model, capture, plane=known)
        assert vote.interval.value * UNITS == pytest.approx(1.0, rel=0.02) and 1 / UNITS in vote.interval
    lid = np.array([[0.04, 0.04, 0.12], [-0.04, -0.04, 0.12]])
    text = f"{pick(cameras, 0, lid[0])} to {pick(cameras, 0, lid[1])} = {0.08 * np.sqrt(2):.5f}"
    vote = picked_vote(parse_picked_length(text), model, capture, plane=plane)
    assert vote.interval.value * UNITS == pytest.approx(1.0, rel=0.1) and 1 / UNITS in vote.interval


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0000.jpg:1,2 = 0.3", "is not a length between two points"),
        ("0000.jpg:1,2 to 0001.jpg:3 = 0.3", "is not a point in a picture"),
        ("0000.jpg:1,2 to 0001.jpg:3,4 = 30", None),
        ("0000.jpg:1,2 to 0001.jpg:3,4 = 300", "300 m is not a length in a room"),
        ("0000.jpg:1,2 to 0001.jpg:3,4 = abc", "'abc' is not a length"),
        ("0000.jpg:1,2+0000.jpg:2,2 to 0001.jpg:3,4 = 1", "pick a point once, or in two different pictures"),
    ],
)
def test_picked_lengths_are_read_or_refused(text: str, message: str | None) -> None:
    if message is None:
        assert parse_picked_length(text).metres == 30
        return
    with pytest.raises(InputError, match=re.escape(message)):
        parse_picked_length(text)


def test_picks_that_cannot_be_are_refused(tmp_path: Path) -> None:
    cameras, model, _ = scene_of()
    capture = capture_of(cameras, tmp_path, lambda i, f: f, None)
    for text, message in (
        ("0042.jpg:1,2 to 0001.jpg:3,4 = 1", "no picture '0042.jpg'; have 0000.jpg, 0001.jpg, 0002.jpg, …, 0009.jpg"),
        ("0000.jpg:1,2 to 0001.jpg:3,4000 = 1", "3,4000 lies outside 0001.jpg, which is 720x960"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            picked_vote(parse_picked_length(text), model, capture)
    with pytest.raises(ReconstructionError, match="two picks of one point miss each other"):
        picked_vote(parse_picked_length("0000:100,200+0004:600,900 to 0001:3,4+0002:3,4 = 1"), model, capture)
    with pytest.raises(ReconstructionError, match="nothing was reconstructed at"):
        picked_vote(parse_picked_length("0000:1,1 to 0001:3,4 = 1"), model, capture)


def test_lengths_of_objects_are_read_or_refused() -> None:
    length = parse_object_length("mug  height = 9.5 cm")
    assert (length.name, length.dimension, length.text) == ("mug", "height", "mug height = 9.5 cm")
    assert length.metres == pytest.approx(0.095)
    for text, message in (
        ("mug=0.1", "is not a length"),
        ("mug hight=0.1", "no dimension 'hight'; have depth, height, length, width. Did you mean height?"),
        ("mug height=-1", "'-1' is not a length"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            parse_object_length(text)


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="no captures beside the repository")
@pytest.mark.parametrize("path", sorted((CAPTURES / "apriltags-flickr").glob("*.jpg")), ids=lambda p: p.stem)
def test_tags_in_real_photos_agree_with_their_corner_lists(path: Path) -> None:
    listed = []
    for line in path.with_suffix(".txt").read_text().splitlines():
        numbers = [float(v) for v in re.findall(r"[\d.]+", line.split(",", 1)[1])] if "," in line else []
        if len(numbers) == 8:
            listed.append(np.array(numbers).reshape(4, 2))
    found = [c for _, c in find_tags(read_rgb(path))]
    off = []
    for corners in listed:
        if near := [f for f in found if np.linalg.norm(f.mean(axis=0) - corners.mean(axis=0)) < 6]:
            turned = [np.roll(corners[::d], k, axis=0) - near[0] for k in range(4) for d in (1, -1)]
            off.append(min(turned, key=lambda e: float(np.abs(e).max())))
    assert len(off) >= 0.9 * len(listed)
    distance = np.linalg.norm(off, axis=2)
    assert np.median(distance) < 0.8 and np.quantile(distance, 0.8) < 1.2
    assert np.abs(np.mean(off, axis=(0, 1))).max() < 0.3, "corners are not shifted as a whole"
