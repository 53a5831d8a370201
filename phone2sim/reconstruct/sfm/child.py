"""One attempt in a child process with a time limit, its progress, and what is said when it dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from phone2sim.config import read_json
from phone2sim.errors import ReconstructionError
from phone2sim.progress import progress
from phone2sim.reconstruct.sfm.job import Job

_LABELS = {"features": "Finding features", "matching": "Matching frames", "mapping": "Placing cameras"}


def run_worker(job: Job, folder: Path, *, time_limit_s: float) -> dict[str, Any]:
    """Run one attempt in a child process and return its report; an abort or a time-out is a `ReconstructionError`."""
    (folder / "job.json").write_text(job.model_dump_json())
    command = [sys.executable, "-m", "phone2sim.reconstruct.sfm.worker", str(folder / "job.json")]
    late = threading.Event()
    with (folder / "log.txt").open("w") as log:
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, "PYTHONSAFEPATH": "1"}
        )

        def stop() -> None:
            late.set()
            child.kill()

        clock = threading.Timer(time_limit_s, stop)
        clock.daemon = True
        clock.start()
        try:
            _show(child)
            code = child.wait()
        finally:
            clock.cancel()
            if child.poll() is None:
                child.kill()
                child.wait()
    if late.is_set():
        raise ReconstructionError(
            f"Finding the cameras took longer than {time_limit_s:.0f} s and was stopped.", hint="Use fewer frames."
        )
    if code != 0 or not (folder / "report.json").exists():
        raise ReconstructionError(_death(code, (folder / "log.txt").read_text(errors="replace")), hint=_remedy(code))
    return read_json(folder / "report.json")


def _death(code: int, log: str) -> str:
    lines = [s.strip() for s in log.splitlines() if s.strip()]
    said = next((s for s in lines if "Check failed" in s), lines[-1] if lines else "")
    ending = f": {said[:200]}" if said else "."
    if code < 0:
        return f"The camera solver was ended by {signal.Signals(-code).name}{ending}"
    return f"The camera solver stopped with code {code}{ending}"


def _remedy(code: int) -> str:
    return "The memory may be full: use fewer or smaller frames." if code == -signal.SIGKILL else "Report this capture."


def _show(child: subprocess.Popen[str]) -> None:
    """Turn the child's lines into one bar per step."""
    assert child.stdout is not None
    step, bar_of, bar, done = "", None, None, 0.0
    try:
        for line in child.stdout:
            try:
                said = json.loads(line)
            except json.JSONDecodeError:
                continue
            if said["step"] != step:
                if bar_of is not None:
                    bar_of.__exit__(None, None, None)
                step, done = said["step"], 0.0
                bar_of = progress(
                    _LABELS.get(step, step), total=said["total"], unit="pairs" if step == "matching" else "frames"
                )
                bar = bar_of.__enter__()
            if bar is not None:
                bar.advance(said["done"] - done, note=said.get("note", ""))
            done = said["done"]
    finally:
        if bar_of is not None:
            bar_of.__exit__(None, None, None)
