"""Which frames share a lens and what is known of it; the job of one attempt."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.reconstruct.capture.record import Capture, Frame
from phone2sim.reconstruct.sfm.config import SfmConfig
from phone2sim.reconstruct.sfm.job import Group, Job, Method, Posed


def expected_focal(frame: Frame, config: SfmConfig) -> float:
    """Focal length [px] from the device's calibration, the EXIF, or a guess."""
    if frame.lens is not None:
        return 0.5 * (frame.lens[0] + frame.lens[1])
    return frame.focal_px or config.clip_focal * max(frame.width, frame.height)


def lens_groups(capture: Capture, config: SfmConfig) -> tuple[Group, ...]:
    """Frames by lens. A calibration that varies by less than 1% within a group is one lens, otherwise it is split."""
    split: dict[tuple[Any, ...], list[Frame]] = {}
    for f in capture.frames:
        split.setdefault((f.group, f.lens is None, f.width, f.height), []).append(f)
    groups = []
    for members in split.values():
        parts: dict[Any, list[Frame]] = {None: members}
        if members[0].lens is not None:
            lenses = np.array([(*f.lens, *(f.distortion or (0.0,) * 4)) for f in members if f.lens is not None])
            size = max(members[0].width, members[0].height)
            if np.ptp(lenses[:, :4], axis=0).max() > 0.01 * size or np.ptp(lenses[:, 4:], axis=0).max() > 0.02:
                parts = {}
                for f, lens in zip(members, lenses):
                    parts.setdefault(tuple(np.round(lens, 9)), []).append(f)
        for part in parts.values():
            w, h = part[0].width, part[0].height
            focals = sorted(expected_focal(f, config) for f in part if f.focal_px or f.lens)
            lens = distortion = None
            if part[0].lens is not None:
                lens = tuple(np.median([f.lens for f in part], axis=0).tolist())
                distortion = tuple(np.median([f.distortion or (0.0,) * 4 for f in part], axis=0).tolist())
            groups.append(
                Group(
                    names=tuple(f.file for f in part), width=w, height=h, prior=bool(focals), lens=lens,
                    focal_px=focals[len(focals) // 2] if focals else config.clip_focal * max(w, h),
                    distortion=distortion or (0.0, 0.0, 0.0, 0.0),
                )
            )  # fmt: skip
    return tuple(groups)


def make_job(
    capture: Capture, folder: Path, config: SfmConfig, method: Method, settings: dict[str, Any], *,
    database: Path | None = None, features: Path | None = None,
) -> Job:  # fmt: skip
    """The job of one attempt. `database`: features and matches to use again; `features`: only the features."""
    posed: tuple[Posed, ...] = ()
    if method in ("known", "device"):
        posed = tuple(
            Posed(
                name=f.file, T_world_camera=f.T_world_camera,
                depth=str(capture.folder / "depth" / f.depth) if f.depth and method == "device" else None,
            )
            for f in capture.frames if f.T_world_camera is not None
        )  # fmt: skip
    points = capture.device.points if capture.device is not None and method == "device" else None
    return Job(
        frames=str(capture.pictures), work=str(folder), names=tuple(f.file for f in capture.frames),
        groups=lens_groups(capture, config), ordered=capture.kind == "clip", loops=config.loops,
        threads=config.threads or os.cpu_count() or 1, seed=config.seed, method=method, posed=posed,
        database=str(database or ""), features=str(features or ""),
        points=str(capture.folder / points) if points else "", **settings,
    )  # fmt: skip
