"""The line protocol with an engine's process: versions, errors carried, deaths, silence, cancellation."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from phone2sim.errors import InputError, MissingDependencyError
from phone2sim.sim_export.engines import ENGINES, EngineError, EngineProcess, find_engine, find_python
from phone2sim.sim_export.engines import process as process_module
from tests.sim_export.engine_stand_in import stand_in

PHYSX = ENGINES["physx"]
NOTHING = {"stage": "/nowhere.usda", "bodies": {}, "robot": None, "links": [], "rate": 100}


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`running(how)` is a stand-in that misbehaves in that way."""
    started: list[EngineProcess] = []

    def start(how: str = "") -> EngineProcess:
        stand_in(tmp_path, monkeypatch, "physx", how)
        started.append(EngineProcess(PHYSX))
        return started[-1]

    yield start
    for p in started:
        p.kill()


def ended(process: EngineProcess) -> bool:
    return process._child.poll() is not None


def test_it_says_who_it_is_and_ends_when_it_is_let_go(running) -> None:
    process = running("chatter")
    assert process.version == "1"
    process.close()
    assert process._child.returncode == 0


def test_an_error_is_carried_and_the_process_goes_on(running) -> None:
    process = running()
    for _ in range(2):
        with pytest.raises(EngineError, match="PhysX could not do 'load': .*nowhere.usda"):
            process.ask("load", **NOTHING)
    with pytest.raises(EngineError, match="could not do 'dance': ValueError: stand-in does not know 'dance'"):
        process.ask("dance")
    assert not ended(process)


def test_a_death_is_told_with_its_last_words(running) -> None:
    process = running("die:load")
    with pytest.raises(EngineError, match="PhysX died: out of memory"):
        process.ask("load", **NOTHING)
    with pytest.raises(EngineError, match="process has ended: out of memory"):
        process.ask("state")


def test_a_kill_from_outside_is_told_as_a_signal(running) -> None:
    process = running()
    os.killpg(process._child.pid, signal.SIGKILL)
    process._child.wait()
    with pytest.raises(EngineError, match="signal 9"):
        process.ask("state")


def test_silence_ends_the_process(running) -> None:
    process = running("hang:step")
    with pytest.raises(EngineError, match="PhysX did not do 'step' in time; its process was ended"):
        process.ask("step", steps=1, timeout_s=0.3)
    assert ended(process)


def test_cancelling_ends_the_process(running) -> None:
    process = running("hang:step")
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        process.ask("step", steps=1)
    assert ended(process)


def test_another_protocol_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "physx", "protocol")
    with pytest.raises(EngineError, match="speaks protocol 99, this version speaks 1"):
        EngineProcess(PHYSX)


def test_a_python_without_the_engine_is_a_missing_dependency(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = stand_in(tmp_path, monkeypatch, "physx", "absent")
    with pytest.raises(MissingDependencyError, match="has no PhysX: no engine here.*pip install 'ovphysx"):
        EngineProcess(PHYSX)
    monkeypatch.setenv(PHYSX.variable, str(program) + "-gone")
    with pytest.raises(MissingDependencyError, match=f"{PHYSX.variable} names .*-gone, which is not there"):
        find_python(PHYSX)


def test_a_program_that_is_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "START_TIMEOUT_S", 0.5)
    with pytest.raises(EngineError, match="PhysX died: exit code 0"):
        EngineProcess(PHYSX, command=["true"])
    with pytest.raises(EngineError, match="did not come up in time"):
        EngineProcess(PHYSX, command=["sleep", "60"])
    with pytest.raises(MissingDependencyError, match="cannot be started: No such file"):
        EngineProcess(PHYSX, command=["/nowhere/python"])


def test_a_worker_ends_with_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = stand_in(tmp_path, monkeypatch, "physx")
    code = (
        "import os\nfrom phone2sim.sim_export.engines import *\n"
        "p = EngineProcess(ENGINES['physx'])\nprint(p._child.pid, flush=True)\nos._exit(1)"
    )
    env = {**os.environ, PHYSX.variable: str(program)}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False).stdout
    pid = int(out)
    for _ in range(100):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            break
        time.sleep(0.05)
    else:
        pytest.fail("the worker is still there")


def test_an_installation_folder_names_its_own_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isaac = find_engine("isaac")
    monkeypatch.delenv(isaac.variable, raising=False)
    monkeypatch.setenv("ISAACSIM_PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match="Isaac Sim is not installed"):
        find_python(isaac)
    (tmp_path / "python.sh").write_text("#!/bin/sh\n")
    assert find_python(isaac) == str(tmp_path / "python.sh")
    with pytest.raises(InputError, match="No engine 'bullet'; have isaac, mujoco-usd, newton, physx"):
        find_engine("bullet")


def test_workers_import_nothing_of_this_package() -> None:
    for file in process_module.START.parent.glob("*.py"):
        assert "phone2sim" not in file.read_text().replace("docs/engines.md", ""), file.name


def test_the_doctor_says_what_each_engine_can_and_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    from phone2sim.cli.doctor import _engines

    for engine in ENGINES.values():
        for name in (engine.variable, *engine.homes):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(ENGINES["newton"].variable, "/nowhere/python")
    found = {e["name"]: e for e in _engines()}
    assert set(found) == set(ENGINES) and all(e["can"] and e["cannot"] for e in found.values())
    assert found["newton"]["why"].endswith("names /nowhere/python, which is not there.")
    assert "pip install 'ovphysx" in found["physx"]["install"] and found["isaac"]["ok"] is False
