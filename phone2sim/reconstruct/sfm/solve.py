"""Frames → checked sparse model: a ladder of attempts, each in a child process with a time limit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phone2sim.config import Config, read_json
from phone2sim.errors import ReconstructionError
from phone2sim.progress import message, progress
from phone2sim.reconstruct.capture.record import Capture
from phone2sim.reconstruct.sfm.checks import judge
from phone2sim.reconstruct.sfm.job import Group, Job, stands_still
from phone2sim.reconstruct.sfm.model import SparseModel, read_model


class SfmConfig(Config):
    """How cameras are recovered."""

    max_side: int = 960
    """Pictures are resized to this for feature detection [px]."""
    max_features: int = 4096
    """SIFT keypoints per frame in the first attempt; the retry takes twice as many of up to 30 frames."""
    overlap: int = 6
    """A clip frame is matched with this many following ones, then at doubling gaps."""
    loops: int = 3
    """Similar but distant frames of a clip matched with each frame."""
    neighbours: int = 14
    """Similar photos matched with each photo; small sets are matched completely."""
    clip_focal: float = 0.8
    """Assumed focal length of a lens without EXIF, as a part of the longer side."""
    min_registered: float = 0.5
    """A model with a smaller part of the frames is refused."""
    retry_below: float = 0.9
    """A smaller registered part causes the retry with more features and all pairs."""
    threads: int = 0
    """Worker threads for features and matching; 0 takes every core. The result does not depend on it."""
    seed: int = 0
    """Seed of every random choice."""
    time_limit_s: float = 3600.0
    """An attempt is stopped after this long."""


@dataclass(frozen=True, kw_only=True)
class SfmResult:
    """An accepted model, where its COLMAP files are, and how it came about."""

    model: SparseModel
    sparse: Path
    unregistered: tuple[str, ...]
    """Origins of the frames without a pose."""
    flags: tuple[str, ...]
    attempts: tuple[dict[str, Any], ...]


def solve(capture: Capture, work: Path, config: SfmConfig) -> SfmResult:
    """Recover the cameras of a capture. `work` is an empty scratch folder.

    Raises `ReconstructionError` with the counts and what to do when no attempt passes the checks.
    """
    total = len(capture.frames)
    more = 2 if total <= 30 else 1  # all pairs of many frames are dear enough without more features
    rungs = [
        {"max_side": config.max_side, "max_features": config.max_features, "first_octave": 0, "all_pairs": False},
        {
            "max_side": max(config.max_side, 1280), "max_features": more * config.max_features, "first_octave": -1,
            "all_pairs": True,
        },
    ]  # fmt: skip
    focal = {f.file: f.focal_px or config.clip_focal * max(f.width, f.height) for f in capture.frames}
    trusted = all(f.focal_px for f in capture.frames)
    best: SfmResult | None = None
    attempts: list[dict[str, Any]] = []
    for number, rung in enumerate(rungs):
        folder = work / f"attempt{number + 1}"
        folder.mkdir(parents=True)
        report = run_worker(_job(capture, folder, config, rung), folder, time_limit_s=config.time_limit_s)
        attempt: dict[str, Any] = {**rung, **report, "refused": []}
        attempts.append(attempt)
        if number == 0 and stands_still(report):
            raise ReconstructionError(
                f"The camera stands still: matched points move {report['largest_motion']:.1%} of the picture at most.",
                hint="Walk round the scene while filming.",
            )
        if report["registered"] < 3:
            attempt["refused"] = ["fewer than 3 frames fit together"]
        else:
            model = read_model(folder / "model.npz", {f.file: f.source for f in capture.frames})
            verdict = judge(model, focal, trusted=trusted)
            attempt["refused"] = list(verdict.refuse)
            if not verdict.refuse and (best is None or len(model.cameras) > len(best.model.cameras)):
                posed = set(model.cameras.names)
                best = SfmResult(
                    model=model, sparse=folder / "sparse", flags=verdict.flag, attempts=(),
                    unregistered=tuple(f.source for f in capture.frames if f.file not in posed),
                )  # fmt: skip
        if best is not None and len(best.model.cameras) >= config.retry_below * total:
            break
        if number + 1 < len(rungs):
            message(
                f"{report['registered']} of {total} frames fit together; trying again with finer features, all pairs."
            )
    if best is None or len(best.model.cameras) < max(3, config.min_registered * total):
        raise ReconstructionError(_refusal(attempts, best, total), hint=_advice(attempts[-1]))
    if best.unregistered:
        message(f"{len(best.unregistered)} of {total} frames have no camera: {', '.join(best.unregistered)}.")
    for text in best.flags:
        message(f"Cameras: {text}.")
    return SfmResult(
        model=best.model, sparse=best.sparse, unregistered=best.unregistered, flags=best.flags, attempts=tuple(attempts)
    )


def _refusal(attempts: list[dict[str, Any]], best: SfmResult | None, total: int) -> str:
    counts = max(a["registered"] for a in attempts)
    if best is not None and len(best.model.cameras) >= counts:
        return f"Only {counts} of {total} frames fit together; the cameras are not reliable."
    if counts < 3:
        return f"No cameras found: the {total} frames do not overlap enough to be matched."
    why = next(a["refused"][0] for a in attempts if a["registered"] == counts)
    return f"No reliable cameras: {counts} of {total} frames fit together, but {why}."


def _advice(report: dict[str, Any]) -> str:
    if report["median_features"] < 300:
        return "The pictures show too little texture: add light, and objects or print around the scene."
    return "Take neighbouring pictures closer together (a hand's width), walking round the scene, all in focus."


def _job(capture: Capture, folder: Path, config: SfmConfig, rung: dict[str, Any]) -> Job:
    groups: dict[int, list[Any]] = {}
    for f in capture.frames:
        groups.setdefault(f.group, []).append(f)
    lenses = []
    for members in groups.values():
        known = sorted(f.focal_px for f in members if f.focal_px)
        w, h = members[0].width, members[0].height
        lenses.append(
            Group(
                names=tuple(f.file for f in members), width=w, height=h, prior=bool(known),
                focal_px=known[len(known) // 2] if known else config.clip_focal * max(w, h),
            )
        )  # fmt: skip
    return Job(
        frames=str(capture.pictures), work=str(folder), names=tuple(f.file for f in capture.frames),
        groups=tuple(lenses),
        ordered=capture.kind == "clip", overlap=config.overlap, loops=config.loops, neighbours=config.neighbours,
        threads=config.threads or os.cpu_count() or 1, seed=config.seed, **rung,
    )  # fmt: skip


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
        lines = [s for s in (folder / "log.txt").read_text(errors="replace").splitlines() if s.strip()]
        said = f": {lines[-1].strip()[:200]}" if lines else ""
        raise ReconstructionError(f"The camera solver stopped with code {code}{said}.", hint="Report this capture.")
    return read_json(folder / "report.json")


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


def scratch() -> Path:
    """A fresh folder for databases, outside the scene."""
    return Path(tempfile.mkdtemp(prefix="phone2sim-sfm-"))


def clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
