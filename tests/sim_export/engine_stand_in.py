"""Puts `stand_in_worker.py` where an engine's Python is looked for."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from phone2sim.sim_export.engines import ENGINES

WORKER = Path(__file__).with_name("stand_in_worker.py")


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, engine: str, how: str = "") -> Path:
    """A program that runs the stand-in, whatever it is asked to run, and is named by the engine's variable."""
    program = folder / f"{engine}-{abs(hash(how))}"
    root = Path(__file__).parents[2]
    program.write_text(f'#!/bin/sh\nSTAND_IN="{how}" PYTHONPATH="{root}{os.pathsep}$PYTHONPATH" exec "{sys.executable}" "{WORKER}"\n')
    program.chmod(0o755)
    monkeypatch.setenv(ENGINES[engine].variable, str(program))
    return program
