"""A stage is skipped when nothing changed, and a failure never costs the last good result."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phone2sim.config import Config
from phone2sim.stage import fingerprint, fingerprint_files, publish, read_manifest, run_stage


class Settings(Config):
    size: int = 1


class Counter:
    """A computation that says how often it ran."""

    def __init__(self, text: str = "one", *, fail: bool = False) -> None:
        self.text, self.fail, self.runs = text, fail, 0

    def __call__(self, folder: Path) -> Mapping[str, Any]:
        self.runs += 1
        assert not any(folder.iterdir())
        (folder / "result.txt").write_text(self.text)
        if self.fail:
            raise RuntimeError("boom")
        return {"words": 1}


def run(folder: Path, compute: Counter, **options: Any) -> Any:
    options = {"version": 1, "config": Settings(), "inputs": {"a": "x"}} | options
    return run_stage(folder, compute=compute, **options)


def test_runs_once_then_skips(tmp_path: Path) -> None:
    compute = Counter()
    first = run(tmp_path / "s", compute)
    again = run(tmp_path / "s", compute)
    assert (first.skipped, again.skipped, compute.runs) == (False, True, 1)
    assert again.fingerprint == first.fingerprint
    assert again.manifest["result"] == {"words": 1}
    assert (tmp_path / "s" / "result.txt").read_text() == "one"


@pytest.mark.parametrize(
    "change",
    [{"version": 2}, {"config": Settings(size=2)}, {"inputs": {"a": "y"}}, {"inputs": {"b": "x"}}, {"force": True}],
)
def test_any_change_runs_again(tmp_path: Path, change: dict[str, Any]) -> None:
    run(tmp_path / "s", Counter("old"))
    compute = Counter("new")
    assert not run(tmp_path / "s", compute, **change).skipped
    assert (tmp_path / "s" / "result.txt").read_text() == "new"


def test_failure_keeps_the_old_result(tmp_path: Path) -> None:
    run(tmp_path / "s", Counter("old"))
    with pytest.raises(RuntimeError, match="boom"):
        run(tmp_path / "s", Counter("new", fail=True), version=2)
    assert (tmp_path / "s" / "result.txt").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["s"]
    assert run(tmp_path / "s", Counter()).skipped


def test_failure_of_a_first_run_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        run(tmp_path / "s", Counter(fail=True))
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_leaves_the_old_result_and_is_swept_up(tmp_path: Path) -> None:
    run(tmp_path / "s", Counter("old"))
    code = f"""
import os, pathlib
from phone2sim.stage import run_stage
def compute(folder):
    (folder / "half.txt").write_text("half")
    os.kill(os.getpid(), 9)
run_stage(pathlib.Path({str(tmp_path / "s")!r}), version=2, config={{}}, inputs={{}}, compute=compute)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert (tmp_path / "s" / "result.txt").read_text() == "old"
    assert len(list(tmp_path.glob(".s.partial-*"))) == 1
    run(tmp_path / "s", Counter("new"), version=2)
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_a_running_neighbour_is_not_swept_up(tmp_path: Path) -> None:
    mine = tmp_path / f".s.partial-{os.getppid()}"
    mine.mkdir()
    run(tmp_path / "s", Counter())
    assert mine.exists()


def test_a_damaged_manifest_runs_again(tmp_path: Path) -> None:
    run(tmp_path / "s", Counter())
    (tmp_path / "s" / "manifest.json").write_text("{")
    assert read_manifest(tmp_path / "s") is None
    assert not run(tmp_path / "s", Counter()).skipped


def test_publish_puts_the_old_folder_back_when_renaming_fails(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "old").touch()
    with pytest.raises(OSError):
        publish(tmp_path / "absent", folder)
    assert (folder / "old").exists()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), json_values, max_size=4))
def test_fingerprint_ignores_the_order_of_keys(data: dict[str, Any]) -> None:
    assert fingerprint(data) == fingerprint(dict(reversed(data.items())))


@given(st.lists(st.text(max_size=3), max_size=4), st.lists(st.text(max_size=3), max_size=4))
def test_fingerprint_tells_parts_apart(a: list[str], b: list[str]) -> None:
    assert (fingerprint(*a) == fingerprint(*b)) == (a == b)


def test_fingerprint_of_files_follows_content_and_names(tmp_path: Path) -> None:
    d = tmp_path / "d"
    d.mkdir()
    (d / "a").write_text("1")
    one = fingerprint_files(d)
    (d / ".hidden").write_text("x")
    assert fingerprint_files(d) == one
    (d / "a").write_text("2")
    two = fingerprint_files(d)
    (d / "a").rename(d / "b")
    assert len({one, two, fingerprint_files(d)}) == 3


def test_a_run_killed_between_its_two_renames_loses_nothing(tmp_path: Path) -> None:
    run(tmp_path / "s", Counter("good"))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / "s").rename(tmp_path / f".s.old-{dead.pid}")
    compute = Counter("new")
    assert run(tmp_path / "s", compute).skipped and compute.runs == 0
    assert (tmp_path / "s" / "result.txt").read_text() == "good"
    (tmp_path / f".s.old-{dead.pid}").mkdir()  # killed while the old one was removed
    run(tmp_path / "s", compute)
    assert [p.name for p in tmp_path.iterdir()] == ["s"]
