"""The front door: fast, light, and one line for every mistake."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from phone2sim.cli import app, main

ROOT = Path(__file__).parents[2]
HEAVY = (
    "torch",
    "open3d",
    "pxr",
    "mujoco",
    "cv2",
    "scipy",
    "trimesh",
    "av",
    "pycolmap",
    "pyarrow",
    "coacd",
    "viser",
    "gymnasium",
    "mink",
)
COMMANDS = [
    "demo",
    "inspect",
    "build",
    "reconstruct",
    "assets",
    "check",
    "export",
    "preview",
    "recipe",
    "generate",
    "replay",
    "branch",
    "exam",
    "report",
    "view",
    "doctor",
    "sample",
    "sheet",
]


def phone2sim(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import sys; from phone2sim.cli import main; sys.exit(main())", *args]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "100", **env}, check=False
    )


def test_import_is_light() -> None:
    code = f"import sys, phone2sim.cli; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_help_is_fast() -> None:
    """In processor seconds, which a busy machine does not stretch; more than that it does not wait."""
    seconds = []
    for _ in range(3):
        before = os.times()
        assert phone2sim("--help").returncode == 0
        after = os.times()
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(seconds) < 0.5


def test_every_command_is_listed_and_has_help() -> None:
    import typer

    group = typer.main.get_command(app)
    assert list(group.commands) == COMMANDS  # type: ignore[attr-defined]
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        assert command.help and len(command.help.split("\n")[0]) <= 58, name
        options = {o for p in command.params for o in p.opts}
        assert {"--json", "--quiet"} <= options, name
        for p in command.params:
            assert getattr(p, "help", None), f"{name} {p.name}"


def test_cli_reference_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("make_cli", ROOT / "docs" / "make_cli.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "cli.md").read_text() == module.render(), "run: make docs"


def test_version() -> None:
    from phone2sim import __version__

    assert phone2sim("--version").stdout == f"phone2sim {__version__}\n"


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["bild"], "error: No such command 'bild'. Did you mean 'build'? See: phone2sim --help"),
        (["preview", "s", "--split", "test"], "error: Invalid value for '--split': 'test' is not one of 'train', 'ood'. See: phone2sim"),
        (["build"], "error: Missing argument 'CAPTURE'. See: phone2sim build --help"),
        (["build", "--zap", "x"], "error: No such option: --zap"),
        (["generate", "s", "-o", "d", "--episodes", "none"], "error: Invalid value for '--episodes'"),
        (["generate", "s", "-o", "d"], "error: Scene s does not exist."),
        (["report", "nowhere"], "error: Folder nowhere does not exist."),
        (["replay", "nowhere", "0"], "error: Dataset nowhere does not exist."),
        (["sample", "clip.avi"], "error: clip.avi: the clip must end in .mp4."),
        (["sheet", "sheet.doc"], "error: sheet.doc: the sheet must end in .pdf or .png."),
    ],
)
def test_usage_errors(
    args: list[str], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(args) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.startswith(text) and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_a_scene(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path)]) == 2
    assert "is not a finished scene: it holds no stage at all." in capfd.readouterr().err
    assert main(["assets", str(tmp_path)]) == 2
    assert main(["replay", str(tmp_path), "0"]) == 2
    assert main(["report", str(tmp_path)]) == 2


def test_near_miss_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kitchen.mp4").touch()
    assert main(["build", str(tmp_path / "kitchn.mp4"), "-o", str(tmp_path / "x")]) == 2
    assert f"Did you mean {tmp_path / 'kitchen.mp4'}?" in capfd.readouterr().err


def test_interrupt(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("phone2sim.cli.doctor.examine", _raiser(KeyboardInterrupt()))
    assert main(["doctor"]) == 130
    out, err = capfd.readouterr()
    assert out == "" and "everything committed so far is kept" in err


def test_our_own_bug(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("phone2sim.cli.doctor.examine", _raiser(ZeroDivisionError("oh")))
    assert main(["doctor"]) == 70
    err = capfd.readouterr().err
    assert err == "error: ZeroDivisionError: oh This is a bug in phone2sim; PHONE2SIM_DEBUG=1 shows where.\n"
    monkeypatch.setenv("PHONE2SIM_DEBUG", "1")
    assert main(["doctor"]) == 70
    assert "Traceback" in capfd.readouterr().err


def _raiser(error: BaseException):
    def fail() -> None:
        raise error

    return fail


def test_doctor_json(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    out, err = capfd.readouterr()
    found = json.loads(out)
    assert err == "" and set(found) == {"machine", "kernels", "core", "backends", "engines"}
    assert found["kernels"]["ok"] and all(p["ok"] for p in found["core"])
    assert all(b["install"].startswith(("pip", "pipx")) for b in found["backends"])


def test_doctor_covers_every_declared_dependency() -> None:
    import importlib.metadata
    import re

    from phone2sim.cli.doctor import CORE

    declared = {
        re.split(r"[<>=! ;\[]", r)[0].lower()
        for r in importlib.metadata.requires("phone2sim") or ()
        if "extra ==" not in r
    }
    assert declared - {"typer", "rich", "pydantic", "pyyaml", "tomli", "libusb-package"} == set(CORE)


def test_doctor_fails_when_a_core_part_is_missing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("phone2sim.cli.doctor").cli.doctor.CORE, "left-pad", "left_pad")
    assert main(["doctor"]) == 1
    out, err = capfd.readouterr()
    assert "left-pad" in out and err.startswith("error: Core parts missing or broken: left-pad.")


def test_stdout_stays_clean_of_library_noise(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def noisy() -> dict:
        os.write(1, b"C++ says hello\n")
        print("print says hello")
        return {"machine": {}}

    monkeypatch.setattr("phone2sim.cli.doctor.examine", noisy)
    main(["doctor", "--json"])
    out, err = capfd.readouterr()
    assert json.loads(out) == {"machine": {}}
    assert "C++ says hello" in err and "print says hello" in err
