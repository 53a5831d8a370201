"""Moved or not, who is matched with whom, lenses, checks, and a solver that dies."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filmed import Film, orbit, turn

from phone2sim.errors import ReconstructionError
from phone2sim.images import read_rgb, write_rgb
from phone2sim.poses import look_at
from phone2sim.reconstruct.capture import Capture
from phone2sim.reconstruct.capture.record import Frame
from phone2sim.reconstruct.sfm import SfmConfig, child, ladder, solve
from phone2sim.reconstruct.sfm.job import Job
from phone2sim.reconstruct.sfm.lenses import lens_groups
from phone2sim.reconstruct.sfm.motion import PairMatches, measure, only_turns, stands_still, static_share
from phone2sim.reconstruct.sfm.pairs import choose_pairs, posed_pairs

CONFIG = SfmConfig(threads=2, max_features=2048)


def test_a_fixed_camera_is_refused_before_any_feature(film: Film, tmp_path: Path) -> None:
    moving = film(orbit())
    assert static_share(moving) < 0.05
    still = replace(moving, folder=tmp_path)
    picture = read_rgb(moving.pictures / "0000.jpg").astype(np.int16)
    rng = np.random.default_rng(0)
    for i, f in enumerate(still.frames):
        frame = picture + rng.normal(0, 3, picture.shape)
        frame[100 + 20 * i : 300 + 20 * i, 150:330] = rng.uniform(0, 255, 3)  # something moves before the camera
        write_rgb(still.pictures / f.file, np.clip(frame, 0, 255).astype(np.uint8))
    assert static_share(still) > 0.6
    with pytest.raises(ReconstructionError, match=r"The camera stands still: \d+% of .* Walk round the scene"):
        solve(still, tmp_path / "work", CONFIG)
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("calibrated", [True, False])
def test_a_camera_that_only_turns_is_refused(film: Film, tmp_path: Path, calibrated: bool) -> None:
    with pytest.raises(ReconstructionError, match="only turned on the spot.*near things shift"):
        solve(film(turn(), calibrated=calibrated), tmp_path, CONFIG)


def seen_pairs(eyes: np.ndarray, aims: np.ndarray, focal: float, guess: float) -> list[PairMatches]:
    """Matches of exact points between neighbours, with an expected focal length `guess` times too long."""
    rng = np.random.default_rng(0)
    xyz = rng.uniform(-1, 1, (300, 3)) * [0.6, 0.6, 0.3]
    px = []
    for eye, aim in zip(eyes, aims, strict=True):
        p = look_at(eye, aim).inverse().apply(xyz)
        px.append(focal * p[:, :2] / p[:, 2:])
    return [
        PairMatches(left=a, right=b, focal_left=focal * guess, focal_right=focal * guess, diagonal=1000.0, panoramic=False)
        for a, b in zip(px, px[1:])
    ]  # fmt: skip


def test_turning_is_told_from_moving_by_the_matches_alone() -> None:
    a = np.linspace(0, 1, 8)[:, None]
    spot, aims = np.tile([0.0, -2.0, 0.3], (8, 1)), np.concatenate([a - 0.5, 0 * a, 0.2 * a], 1)
    turning = measure(seen_pairs(spot, aims, 800, 1.3))
    assert only_turns(turning) and not stands_still(turning)
    moving = measure(seen_pairs(spot + np.concatenate([a, 0 * a, 0 * a], 1), 0 * aims, 800, 1.0))
    assert not only_turns(moving) and moving["turned_part"] < 0.2
    still = measure(seen_pairs(spot, 0 * aims, 800, 1.0))
    assert stands_still(still) and not only_turns(still)
    assert not only_turns(measure([])) and not stands_still(measure([]))


@pytest.mark.parametrize("ordered", [True, False])
def test_pairs_of_many_frames_are_bounded_and_join_all(ordered: bool) -> None:
    rng = np.random.default_rng(0)
    world = rng.normal(0, 1, (300 * 6, 128)).astype(np.float32)
    described = [world[np.arange(6 * i, 6 * i + 24) % len(world)] for i in range(300)]
    described = [d / np.linalg.norm(d, axis=1, keepdims=True) for d in described]
    pairs = choose_pairs(described, ordered=ordered, all_pairs=False, overlap=6, loops=3, neighbours=14)
    assert 299 <= len(pairs) <= 300 * 14
    assert len({i for p in pairs for i in p}) == 300
    assert choose_pairs(described[:3], ordered=ordered, all_pairs=False, overlap=6, loops=3, neighbours=14) == [
        (0, 1), (0, 2), (1, 2),
    ]  # fmt: skip


def test_pairs_by_place_join_neighbours_and_wider_views() -> None:
    a = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    T = np.array([look_at(np.array([np.cos(x), np.sin(x), 0.5]), np.zeros(3)).matrix for x in a])
    pairs = posed_pairs(T)
    gaps = np.array([min(j - i, 120 - j + i) for i, j in pairs])
    assert {(i, i + 1) for i in range(119)} | {(0, 119)} <= set(pairs) and len(pairs) <= 120 * 8
    assert gaps.max() * 3 <= 45 and (gaps * 3 > 10).sum() > 60
    back = posed_pairs(T @ np.diag([-1.0, 1, -1, 1]))
    assert len(back) > 100, "any set of poses gives pairs"


def frame(
    i: int, w: int, h: int, group: int, focal: float | None, lens: tuple[float, float, float, float] | None = None
) -> Frame:
    return Frame(
        file=f"{i}.jpg", source=f"{i}", time_s=None, width=w, height=h, sharpness=1.0, focal_px=focal, group=group,
        lens=lens, distortion=None if lens is None else (0.1, 0.0, 0.0, 0.0),
    )  # fmt: skip


def test_lenses_follow_exif_groups_sizes_and_calibration() -> None:
    frames = (
        frame(0, 800, 600, 0, 700.0), frame(1, 800, 600, 0, 710.0), frame(2, 800, 600, 0, None),
        frame(3, 600, 800, 1, None), frame(4, 600, 600, 1, None),
        frame(5, 800, 600, 2, None, (500.0, 500.0, 400.0, 300.0)),
        frame(6, 800, 600, 2, None, (502.0, 502.0, 401.0, 300.0)),
        frame(7, 800, 600, 3, None, (500.0, 500.0, 400.0, 300.0)),
        frame(8, 800, 600, 3, None, (600.0, 600.0, 400.0, 300.0)),
    )  # fmt: skip
    groups = lens_groups(Capture(folder=Path(), kind="photos", source="", frames=frames), SfmConfig())
    assert [g.names for g in groups] == [
        ("0.jpg", "1.jpg", "2.jpg"), ("3.jpg",), ("4.jpg",), ("5.jpg", "6.jpg"), ("7.jpg",), ("8.jpg",),
    ]  # fmt: skip
    assert groups[0].prior and groups[0].focal_px == 710.0 and groups[0].lens is None
    assert not groups[1].prior and groups[1].focal_px == pytest.approx(640)
    assert groups[3].lens == (501.0, 501.0, 400.5, 300.0) and groups[3].distortion[0] == 0.1 and groups[3].prior
    assert [g.lens and g.lens[0] for g in groups[4:]] == [500.0, 600.0]


@pytest.mark.parametrize(("sent", "said"), [("ABRT", "ended by SIGABRT"), ("SEGV", "ended by SIGSEGV")])
def test_a_solver_that_dies_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: str, said: str
) -> None:
    solver = tmp_path / "solver"
    solver.write_text(f"#!/bin/sh\necho 'file.cc:1] Check failed: something' >&2\nkill -{sent} $$\n")
    solver.chmod(0o755)
    monkeypatch.setattr(child.sys, "executable", str(solver))
    job = Job(
        frames="", work=str(tmp_path), names=(), groups=(), ordered=True, max_side=1, max_features=1, first_octave=0,
        all_pairs=False, overlap=1, loops=0, neighbours=1, threads=1, seed=0,
    )  # fmt: skip
    with pytest.raises(ReconstructionError, match=f"The camera solver was {said}: .*Check failed: something"):
        child.run_worker(job, tmp_path, time_limit_s=60)


def test_a_crash_on_a_later_rung_does_not_hide_the_reason(
    film: Film, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every rung after the first crashes; the refusal still speaks of the pictures."""

    def dies(job: Job, folder: Path, *, time_limit_s: float) -> dict[str, float]:
        if job.database or job.method != "incremental" or job.first_octave < 0:
            raise ReconstructionError(f"The camera solver was ended by {signal.Signals.SIGABRT.name}.")
        return {"registered": 0, "verified_pairs": 1, "largest_motion": 0.3, "turned_part": 0.0, "median_features": 900}

    monkeypatch.setattr(ladder, "run_worker", dies)
    with pytest.raises(ReconstructionError, match="12 frames do not overlap enough, only 1 pair of them matches"):
        solve(film(orbit()), tmp_path, CONFIG)


def test_three_frames_are_enough(film: Film, tmp_path: Path) -> None:
    capture = film(orbit())
    capture = replace(capture, frames=capture.frames[2:7:2])
    result = solve(capture, tmp_path, CONFIG)
    assert len(result.model.cameras) == 3 and result.unregistered == ()
