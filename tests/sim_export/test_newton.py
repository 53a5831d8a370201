"""The second opinion: gates against a stand-in's answers, and against Newton itself where it is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phone2sim.assets.scene import Scene
from phone2sim.cli.app import main
from phone2sim.errors import MissingDependencyError
from phone2sim.sim_export.certificate import CertificateConfig, certify, newton, trials
from phone2sim.stage import read_manifest
from tests.sim_export.test_certificate import built, cube_scene, saved  # noqa: F401

REAL = os.environ.get(newton.VARIABLE)
HERE = importlib.util.find_spec("newton") is not None


@pytest.fixture(autouse=True)
def nobody_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(newton.VARIABLE, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *a: None)


def in_agreement(scene: Scene) -> dict[str, Any]:
    """What a Newton would say that agrees to the last digit."""
    rest = newton.mujoco_rest(scene, seconds=newton.SECONDS)
    return {
        "newton": "0", "steps_per_second": 480,
        "bodies": {
            a.name: {
                "mass_kg": a.mass_kg.value, "com": a.inertia.center_of_mass.tolist(), "inertia": a.inertia.moments.tolist(),
                "position": rest[a.name].translation.tolist(), "quat_wxyz": rest[a.name].quat_wxyz.tolist(),
            }
            for a in scene.assets
        },
        "slides": {a.name: {"slid_m": trials.slide(a, trials.footing(a))["slid_m"], "leaned_rad": 0.0} for a in scene.assets},
    }  # fmt: skip


def stand_in(folder: Path, answer: dict[str, Any] | None, *, code: int = 0) -> Path:
    """A program that takes the worker's place: keeps the job, says `answer`, ends with `code`."""
    said = folder / "answer.json"
    said.write_text(json.dumps(answer) if answer else "")
    program = folder / "python"
    program.write_text(f'#!/bin/sh\ncat > "{folder}/job.json"\ncat "{said}"\necho "cannot do it" >&2\nexit {code}\n')
    program.chmod(0o755)
    return program


def newton_checks(scene_dir: Path, monkeypatch: pytest.MonkeyPatch, program: Path) -> dict[tuple[str, str], Any]:
    monkeypatch.setenv(newton.VARIABLE, str(program))
    notes: list[str] = []
    checks = newton.agreement(Scene.load(scene_dir), scene_dir, CertificateConfig(), notes)
    return {(c.subject, c.name): c for c in checks}


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A scene folder without photos."""
    scene = cube_scene(cans=0, boxes=1)
    scene.save(tmp_path / "scene" / "scene")
    return tmp_path / "scene"


def test_agreement_passes_and_the_job_describes_the_export(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = newton_checks(bare, monkeypatch, stand_in(tmp_path, in_agreement(Scene.load(bare))))
    gates = ("newton: same mass", "newton: same rest", "newton: same slide")
    assert set(checks) == {(n, g) for n in ("cube", "block_0") for g in gates}
    assert all(c.passed and c.measured < 1e-6 for c in checks.values())
    job = json.loads((tmp_path / "job.json").read_text())
    assert Path(job["usd"]).is_file() and all(Path(s["usd"]).is_file() for s in job["slides"])
    for s in job["slides"]:
        assert np.hypot(*s["velocity"]) == pytest.approx(np.sqrt(2 * s["friction"] * trials.GRAVITY * 0.06))


@pytest.mark.parametrize(
    ("gate", "where", "change"),
    [
        ("newton: same mass", "mass_kg", 1.01), ("newton: same mass", "inertia", 1.01), ("newton: same mass", "com", 1.05),
        ("newton: same rest", "position", 0.005), ("newton: same rest", "quat_wxyz", 0.1),
        ("newton: same slide", "slid_m", 1.2),
    ],
)  # fmt: skip
def test_each_difference_fails_its_own_gate_of_that_object_only(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: str, where: str, change: float
) -> None:
    answer = in_agreement(Scene.load(bare))
    if where == "position":
        answer["bodies"]["cube"]["position"][0] += change
    elif where == "quat_wxyz":
        w, x, y, z = answer["bodies"]["cube"]["quat_wxyz"]
        c, s = np.cos(change), np.sin(change)
        answer["bodies"]["cube"]["quat_wxyz"] = [c * w - s * z, c * x - s * y, c * y + s * x, c * z + s * w]
    elif where == "slid_m":
        answer["slides"]["cube"]["slid_m"] *= change
    else:
        answer["bodies"]["cube"][where] = (change * np.array(answer["bodies"]["cube"][where])).tolist()
    checks = newton_checks(bare, monkeypatch, stand_in(tmp_path, answer))
    assert [k for k, c in checks.items() if not c.passed] == [("cube", gate)]


def test_a_usd_that_it_cannot_take_fails_the_scene(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ((subject, gate), check), *more = newton_checks(bare, monkeypatch, stand_in(tmp_path, None, code=1)).items()
    assert (subject, gate, check.passed, more) == ("scene", "newton: takes the USD", False, [])
    assert "cannot do it" in check.why


def test_a_body_it_does_not_find_is_named(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = in_agreement(Scene.load(bare))
    del answer["bodies"]["cube"]
    checks = newton_checks(bare, monkeypatch, stand_in(tmp_path, answer))
    assert [k for k, c in checks.items() if not c.passed] == [("cube", "newton: same mass")]


def test_a_stale_export_is_made_again_with_the_formats_it_had(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from phone2sim.sim_export.pipeline import ExportConfig, export_scene

    export_scene(bare, ExportConfig(to=("usd", "mjcf")))
    scene = Scene.load(bare)
    program = stand_in(tmp_path, in_agreement(scene))
    newton_checks(bare, monkeypatch, program)
    first = read_manifest(bare / "export")
    cube_scene(cans=0, boxes=0).save(bare / "scene")
    newton_checks(bare, monkeypatch, program)
    second = read_manifest(bare / "export")
    assert first and second and first["fingerprint"] != second["fingerprint"]
    assert first["config"]["to"] == second["config"]["to"] == ["usd", "mjcf"]


def test_without_newton_a_note_says_how_to_get_it(built: Path, capfd: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    certificate = certify(built)
    assert certificate.passed and not any(c.name.startswith("newton") for c in certificate.checks)
    assert any(n.startswith("Newton was not asked: ") and "pip install 'newton[sim]" in n for n in certificate.notes)
    assert not any("Newton" in n for n in certify(built, newton=False).notes)
    assert main(["check", str(built), "--newton"]) == 3
    assert "newton[sim]" in capfd.readouterr().err
    with pytest.raises(MissingDependencyError):
        certify(built, newton=True)


@pytest.mark.parametrize("code", [0, 3])
def test_a_python_without_newton_is_a_note_until_newton_is_required(
    built: Path,  # noqa: F811
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int,
) -> None:  # fmt: skip
    program = stand_in(tmp_path, None, code=3) if code else tmp_path / "nowhere"
    monkeypatch.setenv(newton.VARIABLE, str(program))
    assert certify(built).passed
    assert main(["check", str(built), "--newton"]) == 3


@pytest.mark.skipif(HERE, reason="this Python has Newton")
def test_the_worker_takes_no_file_beside_it_for_newton(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingDependencyError, match="No module named 'newton'"):
        newton_checks(bare, monkeypatch, Path(sys.executable))


def test_the_doctor_finds_newton_in_another_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from phone2sim.cli.doctor import _newton

    assert not _newton()
    monkeypatch.setenv(newton.VARIABLE, str(stand_in(tmp_path, None)))
    assert _newton()


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason=f"{newton.VARIABLE} names no Python with Newton")
def test_newton_itself_agrees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene_dir = saved(cube_scene(), tmp_path / "scene")
    checks = newton_checks(scene_dir, monkeypatch, Path(REAL or sys.executable))
    assert len(checks) == 9 and all(c.passed for c in checks.values()), [c.why for c in checks.values()]
