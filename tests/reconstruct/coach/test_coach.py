"""The coach on captures with known faults: each is found, on the right frames; a good capture is left in peace."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from phone2sim.cli import main
from phone2sim.errors import ReconstructionError
from phone2sim.reconstruct.capture import Capture
from phone2sim.reconstruct.coach import CoachReport, coach_stage, look, write_sheet
from phone2sim.reconstruct.coach.coverage import from_cameras
from tests.reconstruct.coach.worlds import H, W, capture, flat, moved_object, orbit, shot, turning

ARC = np.linspace(0, 150, 24)


@pytest.fixture(scope="module")
def good() -> list[np.ndarray]:
    """24 views over 150 degrees, at heights from 33 to 55 degrees."""
    return [shot(T, i) for i, T in enumerate(orbit(ARC, 44 + 11 * np.sin(ARC / 25)))]


def report(made: Capture) -> CoachReport:
    return look(made)[0]


def found(r: CoachReport) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {f.id: (f.severity, f.frames) for f in r.findings}


@pytest.mark.parametrize("kind", ["photos", "clip"])
def test_a_good_capture_is_left_in_peace(tmp_path: Path, good: list[np.ndarray], kind: str) -> None:
    r = report(capture(tmp_path / "good", good, kind=kind))
    assert r.works
    assert set(found(r)) <= {"one-side"}, r.findings
    assert r.coverage is not None and r.coverage.guess
    assert 360 - r.coverage.gap_deg == pytest.approx(150, abs=20)


def test_turning_on_the_spot_is_refused(tmp_path: Path) -> None:
    pictures = [shot(T, i) for i, T in enumerate(turning(np.linspace(70, 190, 24)))]
    r = report(capture(tmp_path / "turn", pictures, kind="clip"))
    assert r.reason is not None and r.reason.id == "rotation-only", r.findings
    assert "turned without moving" in r.reason.seen


def test_a_flat_scene_under_a_moving_camera_is_not_called_turning(tmp_path: Path) -> None:
    r = report(capture(tmp_path / "flat", flat(orbit(np.linspace(0, 80, 12)))))
    assert r.works and "rotation-only" not in found(r), r.findings


def test_a_camera_that_stands_still_is_refused_and_what_moves_is_told(tmp_path: Path) -> None:
    still = orbit(np.array([20.0]))[0]
    pictures = [shot(still, i, moved_object("tea_box", (0.02 * i, 0.0, 0.0))) for i in range(8)]
    r = report(capture(tmp_path / "still", pictures, kind="clip"))
    assert r.reason is not None and r.reason.id == "fixed"
    assert "moving" in found(r)


def test_blurred_frames_are_named_exactly(tmp_path: Path, good: list[np.ndarray]) -> None:
    pictures = list(good)
    for i in (5, 17):
        pictures[i] = cv2.GaussianBlur(pictures[i], (0, 0), 2.6)
    shake = np.zeros((13, 13), np.float32)
    np.fill_diagonal(shake, 1 / 13)
    pictures[11] = cv2.filter2D(pictures[11], -1, shake)
    r = report(capture(tmp_path / "blur", pictures))
    assert found(r)["blur"] == ("advice", (5, 11, 17))
    assert "p05.jpg, p11.jpg, p17.jpg" in next(f.seen for f in r.findings if f.id == "blur")


def test_burnt_frames_and_a_jump_of_the_exposure(tmp_path: Path, good: list[np.ndarray]) -> None:
    pictures = list(good[:12])
    for i in range(6, 9):
        pictures[i] = np.clip(pictures[i].astype(float) * 2.2, 0, 255).astype(np.uint8)
    seen = found(report(capture(tmp_path / "burnt", pictures)))
    assert seen["burnt"] == ("advice", (6, 7, 8))
    assert seen["exposure-jump"][1] == (6, 9)


def test_a_bare_wall_cannot_work(tmp_path: Path) -> None:
    y, x = np.mgrid[:H, :W]
    rng = np.random.default_rng(1)
    pictures = [
        np.clip(150 + 30 * x / W + 10 * y / H + i + rng.normal(0, 2, (H, W)), 0, 255)[..., None].repeat(3, 2).astype(np.uint8)
        for i in range(6)
    ]  # fmt: skip
    r = report(capture(tmp_path / "wall", pictures))
    assert r.reason is not None and r.reason.id == "overlap"
    assert "next to nothing" in r.reason.seen and "newspaper" in r.reason.do
    assert found(r)["texture"][0] == "bad"


def test_a_gap_in_the_middle_is_named(tmp_path: Path, good: list[np.ndarray]) -> None:
    r = report(capture(tmp_path / "gap", [*good[:10], *flat(orbit(np.linspace(0, 40, 10)))]))
    split = next(f for f in r.findings if f.id == "split")
    assert r.works and split.severity == "bad"
    assert "p00.jpg to p09.jpg; p10.jpg to p19.jpg" in split.seen
    assert split.frames == tuple(range(10, 20))


def test_something_that_moves(tmp_path: Path) -> None:
    cameras = orbit(np.linspace(0, 66, 12))
    pictures = [shot(T, i, moved_object("tea_box", (0, 0.0, 0.02 * i))) for i, T in enumerate(cameras)]
    seen = found(report(capture(tmp_path / "moving", pictures, kind="clip")))
    assert "moving" in seen and len(seen["moving"][1]) >= 8


def test_zoom(tmp_path: Path, good: list[np.ndarray]) -> None:
    wide = good[0]
    pictures = []
    for z in (1.0, 1.15, 1.32, 1.5):
        w, h = round(W / z), round(H / z)
        x, y = (W - w) // 2, (H - h) // 2
        pictures.append(cv2.resize(wide[y : y + h, x : x + w], (W, H), interpolation=cv2.INTER_CUBIC))
    assert found(report(capture(tmp_path / "zoom", [*pictures, *good[1:6]])))["zoom"][1] == (1, 2, 3)


def test_single_photo_and_few(tmp_path: Path, good: list[np.ndarray]) -> None:
    one = report(capture(tmp_path / "one", good[:1], kind="photo"))
    assert one.works and set(found(one)) == {"single"}
    assert found(report(capture(tmp_path / "few", good[:4])))["few"][0] == "bad"


def test_coverage_of_known_cameras_is_exact() -> None:
    T = orbit(np.linspace(0, 200, 41), 30.0)
    c = from_cameras(T, list(range(41)), np.array([0.0, 0, 1]))
    assert c is not None and not c.guess
    assert c.gap_deg == pytest.approx(160, abs=0.5)
    assert set(c.gap_frames) == {0, 40}
    assert c.heights_deg == pytest.approx((30, 30), abs=3)
    outward = T.copy()
    outward[:, :3, :3] = T[:, :3, :3] @ np.diag([-1.0, 1.0, -1.0])
    assert from_cameras(outward, list(range(41)), np.array([0.0, 0, 1])) is None


def test_the_same_capture_gives_the_same_report(tmp_path: Path, good: list[np.ndarray]) -> None:
    made = capture(tmp_path / "a", good[:10])
    assert report(made).to_json() == report(made).to_json()


def test_gate_refuses_once_and_for_all_unless_forced(tmp_path: Path, good: list[np.ndarray]) -> None:
    scene = tmp_path / "scene"
    still = [np.roll(good[0], i // 6, axis=1) for i in range(5)]
    capture(scene / "capture", still)
    for _ in range(2):
        with pytest.raises(ReconstructionError, match=r"stands still.*--force tries anyway"):
            coach_stage(scene, capture_fingerprint="f")
    assert json.loads((scene / "capture" / "coach.json").read_text())["works"] is False
    assert (scene / "capture" / "coach.jpg").stat().st_size > 10_000
    assert coach_stage(scene, capture_fingerprint="f", force=True) is None
    (scene / "cameras").mkdir()
    (scene / "cameras" / "manifest.json").write_text(json.dumps({"inputs": {"capture": "f"}}))
    assert coach_stage(scene, capture_fingerprint="f") is None


def test_sheet_marks_frames_in_the_colour_of_the_finding(tmp_path: Path, good: list[np.ndarray]) -> None:
    pictures = list(good[:8])
    pictures[2] = cv2.GaussianBlur(pictures[2], (0, 0), 3)
    r, small = look(capture(tmp_path / "c", pictures))
    write_sheet(r, small, tmp_path / "sheet.png")
    sheet = cv2.cvtColor(cv2.imread(str(tmp_path / "sheet.png")), cv2.COLOR_BGR2RGB)
    assert sheet.shape[1] == 1600
    assert (sheet == (201, 155, 0)).all(axis=2).sum() > 2000


def test_inspect_command(tmp_path: Path, good: list[np.ndarray], capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(6):
        cv2.imwrite(str(folder / f"p{i}.jpg"), cv2.cvtColor(good[2 * i], cv2.COLOR_RGB2BGR))
    assert main(["inspect", str(folder), "--json", "-o", str(tmp_path / "s.jpg")]) == 0
    data = json.loads(capfd.readouterr().out)
    assert data["works"] and len(data["frames"]) == 6 and (tmp_path / "s.jpg").exists()
    for i in range(6):
        cv2.imwrite(str(folder / f"p{i}.jpg"), cv2.cvtColor(np.roll(good[0], i // 4, axis=1), cv2.COLOR_RGB2BGR))
    assert main(["inspect", str(folder)]) == 1
    assert "cannot work" in capfd.readouterr().out
    assert main(["inspect", str(folder), "-o", str(tmp_path / "s.bmp")]) == 2
    assert main(["inspect", str(tmp_path / "nothing")]) == 2
