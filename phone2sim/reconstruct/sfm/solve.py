"""Frames → checked sparse model."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phone2sim.errors import ReconstructionError
from phone2sim.progress import message
from phone2sim.reconstruct.capture.record import Capture
from phone2sim.reconstruct.sfm.config import SfmConfig
from phone2sim.reconstruct.sfm.device import DeviceAlignment, device_alignment, device_poses
from phone2sim.reconstruct.sfm.ladder import Ladder
from phone2sim.reconstruct.sfm.model import SparseModel
from phone2sim.reconstruct.sfm.motion import STILL_SHARE, static_share


@dataclass(frozen=True, kw_only=True)
class SfmResult:
    """An accepted model, where its COLMAP files are, and how it came about."""

    model: SparseModel
    sparse: Path
    unregistered: tuple[str, ...]
    """Origins of the frames without a pose."""
    flags: tuple[str, ...]
    attempts: tuple[dict[str, Any], ...]
    device: dict[str, Any] | None = None
    """How the device's own poses agree with the model (`DeviceAlignment.to_json`); None without credible ones."""


def solve(capture: Capture, work: Path, config: SfmConfig) -> SfmResult:
    """Recover the cameras of a capture. `work` is an empty scratch folder.

    Poses that the device told are refined and checked against the pictures first; when they do not hold, or there are
    none, the cameras come from the pictures alone. Raises `ReconstructionError` with the counts and what to do when
    no attempt passes the checks.
    """
    if (share := static_share(capture)) > STILL_SHARE:
        raise ReconstructionError(
            f"The camera stands still: {share:.0%} of the picture's corners stay on their pixel all the time.",
            hint="Walk round the scene while filming.",
        )
    ladder = Ladder(capture, work, config)
    posed = device_poses(capture)
    flags: list[str] = []
    if config.device_poses and len(posed) >= max(3, 0.5 * len(capture.frames)):
        ladder.known()
        if ladder.best is None:
            why = "; ".join(ladder.attempts[-1]["refused"])
            flags.append(f"the device's camera poses do not fit the pictures ({why})")
    if not ladder.enough():
        ladder.climb()
    best = ladder.best
    if best is None or len(best.model.cameras) < max(3, config.min_registered * ladder.total):
        best = ladder.device_alone() if posed and capture.device is not None and capture.device.metric else None
        if best is None:
            raise ReconstructionError(ladder.refusal(), hint=ladder.advice())
    flags += best.verdict.flag
    if (alignment := device_alignment(best.model, capture)) is not None:
        flags += _disagreement(alignment, capture.device is not None and capture.device.metric)
    names = set(best.model.cameras.names)
    unregistered = tuple(f.source for f in capture.frames if f.file not in names)
    if unregistered:
        message(f"{len(unregistered)} of {ladder.total} frames have no camera: {', '.join(unregistered)}.")
    for text in flags:
        message(f"Cameras: {text}.")
    return SfmResult(
        model=best.model, sparse=best.sparse, unregistered=unregistered, flags=tuple(flags),
        attempts=tuple(ladder.attempts), device=None if alignment is None else alignment.to_json(),
    )  # fmt: skip


def _disagreement(told: DeviceAlignment, metric: bool) -> list[str]:
    """What to say of device poses that the final cameras do not share."""
    unit = " m" if metric else " of its units"
    if told.rotation_deg > 20:
        return [f"the device's camera axes are turned by {told.rotation_deg:.0f}°: another convention than it claims"]
    if told.worst_m <= 0.1 * told.spread_m and told.drift_m <= 0.05 * told.spread_m:
        return []
    return [
        f"the device's camera poses were off by {told.median_m:.3g}{unit} in the median, {told.worst_m:.3g}{unit} at worst"
    ]


def scratch() -> Path:
    """A fresh folder for databases, outside the scene."""
    return Path(tempfile.mkdtemp(prefix="phone2sim-sfm-"))


def clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
