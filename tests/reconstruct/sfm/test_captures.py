"""Real captures that are hard: solved, or refused for the right reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from phone2sim.errors import CaptureError, ReconstructionError
from phone2sim.reconstruct.capture import Capture, CaptureConfig, capture_stage
from phone2sim.reconstruct.sfm import SfmConfig, SfmResult, solve

CAPTURES = Path(__file__).parents[3].parent / "shared" / "captures"
pytestmark = pytest.mark.skipif(not CAPTURES.is_dir(), reason="no captures beside the repository")


def cameras(name: str, folder: Path, *, every: int = 1) -> tuple[Capture, SfmResult]:
    capture_stage(CAPTURES / name, folder, CaptureConfig())
    capture = Capture.load(folder / "capture")
    capture = replace(capture, frames=capture.frames[::every])
    (folder / "work").mkdir()
    return capture, solve(capture, folder / "work", SfmConfig())


def test_et_toy_comes_back_whole(tmp_path: Path) -> None:
    capture, result = cameras("et-toy", tmp_path)
    assert len(result.model.cameras) == len(capture.frames) == 9 and result.unregistered == ()
    assert result.model.cameras.K[0, 0, 0] == pytest.approx(capture.frames[0].focal_px, rel=0.1)


def test_a_clip_from_a_fixed_camera_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ReconstructionError, match=r"camera stands still.*Walk round"):
        cameras("clips/02_cups.mp4", tmp_path)
    assert not any((tmp_path / "work").iterdir()), "no feature was sought"
    with pytest.raises((CaptureError, ReconstructionError), match=r"(hardly changes|stands still).*Walk round"):
        cameras("clips/03_blocks.mp4", tmp_path / "blocks")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("espresso-machine", r"7 frames do not overlap enough, only \d+ pairs of them match"),
        ("twist-toy", "4 frames do not overlap enough, no two of them match"),
    ],
)
def test_views_too_far_apart_are_refused(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(ReconstructionError, match=f"No cameras found: the {why}.*closer together"):
        cameras(name, tmp_path)


@pytest.mark.slow
def test_a_walk_along_the_view_cannot_settle_the_focal_length(tmp_path: Path) -> None:
    """Held at the EXIF's focal length the walk folds or jumps; left free, the focal length comes out at 0.75 of it."""
    with pytest.raises(ReconstructionError, match=r"of 29 frames fit together, but .*the pictures want .*times"):
        cameras("lund-street", tmp_path)


@pytest.mark.slow
def test_an_apple_seen_by_a_camera_that_moves_a_little(tmp_path: Path) -> None:
    capture, result = cameras("clips/apple.mp4", tmp_path, every=2)
    assert len(result.model.cameras) >= 0.95 * len(capture.frames) and result.model.reprojection_px < 1.0
    steps = np.linalg.norm(np.diff(result.model.cameras.centres, axis=0), axis=1)
    assert steps.max() < 12 * np.median(steps), "no camera jumps"
