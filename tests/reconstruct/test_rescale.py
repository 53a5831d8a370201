"""Lengths of objects: the scene becomes the same scene at another scale, once, and whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from phone2sim.config import read_json, write_json
from phone2sim.errors import InputError
from phone2sim.intervals import Interval
from phone2sim.poses import look_at
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.metric import rescale
from phone2sim.reconstruct.metric.estimate import scale_fields, scale_flags, scale_rows
from phone2sim.reconstruct.metric.length import ObjectLength, parse_object_length
from phone2sim.reconstruct.metric.rescale import apply_lengths, settle_splat
from phone2sim.reconstruct.metric.votes import ScaleVote, combine_scale
from phone2sim.reconstruct.points import read_points_ply, write_points_ply
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.stage import StageResult, identity, read_manifest, run_stage

PRIOR = ScaleVote(source="handheld prior", interval=Interval(value=0.2, low=0.1, high=0.5, why="arms"), guess=True)
SHEET = ScaleVote(source="sheet", interval=Interval(value=0.2, low=0.199, high=0.201, why="the scale sheet"), floor=0.003)


def cameras_stage(scene: Path, votes: tuple[ScaleVote, ...]) -> StageResult:
    """A finished cameras stage, as the pipeline would find it again."""

    def compute(folder: Path) -> dict:
        rng = np.random.default_rng(0)
        T = np.array([look_at(np.array([np.cos(a), np.sin(a), 0.7]), np.zeros(3)).matrix for a in range(3)])
        K = np.tile([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]], (3, 1, 1))
        names = tuple(f"{i}.jpg" for i in range(3))
        Cameras(T_world_camera=T, K=K, size_wh=np.tile([640, 480], (3, 1)), distortion=np.zeros((3, 4)), names=names).save(
            folder / "transforms.json"
        )
        write_points_ply(folder / "points.ply", rng.normal(size=(20, 3)).astype(np.float32), np.zeros((20, 3), np.uint8))
        decision = combine_scale(votes)
        fields = scale_fields(votes, decision)
        metric = {
            "scale": fields["scale"].to_json(), "scale_source": fields["scale_source"], "scale_interval": [0.5, 2.5],
            "decided": fields["decided"], "up_source": "support plane", "up_interval_deg": 0.5, "distance_m": 0.8,
            "support": {"found": True, "residual_m": 0.001}, "votes": scale_rows(votes, decision),
            "flagged": [*scale_flags(votes, decision), "something else"],
        }  # fmt: skip
        write_json(folder / "metric.json", metric)
        (folder / "masks").mkdir()
        (folder / "masks" / "0.png").write_bytes(b"mask")
        return {"metric": {k: metric[k] for k in ("scale_source", "scale_interval", "flagged")}}

    return run_stage(scene / "cameras", version=1, config={"a": 1}, inputs={"capture": "c"}, compute=compute)


def splat_stage(scene: Path, cameras: StageResult, *, trained: list[int] | None = None) -> StageResult:
    def compute(folder: Path) -> None:
        if trained is not None:
            trained.append(1)
        n = 5
        rng = np.random.default_rng(1)
        SplatCloud(
            means=rng.normal(size=(n, 3)).astype(np.float32), quats_wxyz=np.tile([1, 0, 0, 0], (n, 1)).astype(np.float32),
            scales=np.full((n, 3), 0.01, np.float32), opacities=np.full(n, 0.9, np.float32), sh=np.zeros((n, 1, 3), np.float32),
        ).save_ply(folder / "splat.ply")  # fmt: skip

    return run_stage(scene / "splat", version=1, config={"b": 2}, inputs={"cameras": identity(cameras.manifest)}, compute=compute)


def made(scene: Path, votes: tuple[ScaleVote, ...] = (PRIOR,)) -> tuple[StageResult, StageResult]:
    cameras = cameras_stage(scene, votes)
    return cameras, splat_stage(scene, cameras)


def mug(metres: str) -> ObjectLength:
    return parse_object_length(f"mug height={metres}")


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_length_multiplies_everything_and_is_skipped_the_next_time(tmp_path: Path) -> None:
    made(tmp_path)
    before = Cameras.load(tmp_path / "cameras" / "transforms.json"), SplatCloud.load_ply(tmp_path / "splat" / "splat.ply")
    points = read_points_ply(tmp_path / "cameras" / "points.ply")[0]
    factor = apply_lengths(tmp_path, [mug("0.1")], lambda _: 0.08)
    assert factor == pytest.approx(1.25)
    cameras, cloud = Cameras.load(tmp_path / "cameras" / "transforms.json"), SplatCloud.load_ply(tmp_path / "splat" / "splat.ply")
    assert np.allclose(cameras.centres, 1.25 * before[0].centres, rtol=1e-12)
    assert np.array_equal(cameras.T_world_camera[:, :3, :3], before[0].T_world_camera[:, :3, :3])
    assert np.allclose(read_points_ply(tmp_path / "cameras" / "points.ply")[0], 1.25 * points, rtol=1e-6)
    assert np.allclose(cloud.means, 1.25 * before[1].means, rtol=1e-6) and np.allclose(cloud.scales, 0.0125, rtol=1e-5)
    assert np.array_equal(cloud.quats_wxyz, before[1].quats_wxyz)
    metric = read_json(tmp_path / "cameras" / "metric.json")
    assert metric["scale_source"] == "length" and metric["flagged"] == ["something else"]
    assert metric["scale"]["value"] == pytest.approx(0.25) and metric["scale"]["low"] < 0.25 < metric["scale"]["high"]
    assert metric["distance_m"] == pytest.approx(1.0) and metric["support"]["residual_m"] == pytest.approx(0.00125)
    assert (tmp_path / "cameras" / "masks" / "0.png").read_bytes() == b"mask"
    # the same command again: no stage runs, and the objects, made anew, are not measured again
    held = content(tmp_path)
    trained: list[int] = []
    again = cameras_stage(tmp_path, (PRIOR,))
    settle_splat(tmp_path)
    assert again.skipped and splat_stage(tmp_path, again, trained=trained).skipped and not trained
    assert apply_lengths(tmp_path, [mug("0.1")], lambda _: pytest.fail("measured twice")) == 1.0
    assert content(tmp_path) == held


def test_without_the_length_the_scene_goes_back(tmp_path: Path) -> None:
    cameras, splat = made(tmp_path)
    metric = read_json(tmp_path / "cameras" / "metric.json")
    apply_lengths(tmp_path, [mug("0.1")], lambda _: 0.08)
    assert identity(read_manifest(tmp_path / "cameras") or {}) != cameras.fingerprint
    assert apply_lengths(tmp_path, [], lambda _: 1.0) == pytest.approx(0.8)
    assert identity(read_manifest(tmp_path / "cameras") or {}) == cameras.fingerprint
    assert (read_manifest(tmp_path / "splat") or {})["fingerprint"] == splat.fingerprint
    back = read_json(tmp_path / "cameras" / "metric.json")
    assert {k: back[k] for k in ("scale", "scale_source", "votes", "flagged")} == {
        k: metric[k] for k in ("scale", "scale_source", "votes", "flagged")
    }


def test_another_length_replaces_the_first(tmp_path: Path) -> None:
    made(tmp_path)
    apply_lengths(tmp_path, [mug("0.1")], lambda _: 0.08)
    assert apply_lengths(tmp_path, [mug("0.12")], lambda _: 0.1) == pytest.approx(1.2)
    assert read_json(tmp_path / "cameras" / "metric.json")["scale"]["value"] == pytest.approx(0.3)


def test_a_length_against_the_sheet_is_reported_and_changes_nothing(tmp_path: Path) -> None:
    made(tmp_path, (SHEET, PRIOR))
    assert apply_lengths(tmp_path, [mug("0.2")], lambda _: 0.1) == pytest.approx(1.0)
    metric = read_json(tmp_path / "cameras" / "metric.json")
    assert metric["scale_source"] == "sheet" and "the length says 2 times the sheet's scale" in metric["flagged"]


@pytest.mark.parametrize("when", ["before any", "between the two"])
def test_a_killed_run_leaves_a_whole_scene_that_the_next_one_settles(
    tmp_path: Path, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path)
    held = content(tmp_path)
    real: Callable = rescale._replace

    def dying(folder: Path, manifest: dict, change: Callable) -> None:
        if when == "before any" or folder.name == "splat":
            raise KeyboardInterrupt
        real(folder, manifest, change)

    monkeypatch.setattr(rescale, "_replace", dying)
    with pytest.raises(KeyboardInterrupt):
        apply_lengths(tmp_path, [mug("0.1")], lambda _: 0.08)
    monkeypatch.undo()
    if when == "before any":
        assert content(tmp_path) == held
    trained: list[int] = []
    cameras = cameras_stage(tmp_path, (PRIOR,))
    settle_splat(tmp_path)
    assert cameras.skipped and splat_stage(tmp_path, cameras, trained=trained).skipped and not trained
    apply_lengths(tmp_path, [mug("0.1")], lambda _: 0.08)
    ratio = SplatCloud.load_ply(tmp_path / "splat" / "splat.ply").scales[0, 0] / 0.01
    assert ratio == pytest.approx(1.25, rel=1e-5)
    assert json.loads((tmp_path / "cameras" / "metric.json").read_text())["scale"]["value"] == pytest.approx(0.25)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_a_splat_of_other_cameras_is_left_alone(tmp_path: Path) -> None:
    made(tmp_path)
    other = content(tmp_path / "splat")
    shutil.rmtree(tmp_path / "cameras")
    run_stage(tmp_path / "cameras", version=1, config={"a": 2}, inputs={}, compute=lambda f: None)
    settle_splat(tmp_path)
    assert content(tmp_path / "splat") == other


def test_a_scene_without_cameras_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no cameras yet"):
        apply_lengths(tmp_path, [mug("0.1")], lambda _: 1.0)
