"""Look at a capture before hours are spent on it: `look(capture)`, and the gate that `reconstruct` runs first."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from phone2sim.config import write_json
from phone2sim.errors import InputError, ReconstructionError
from phone2sim.progress import message, progress
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.capture.record import Capture, Frame
from phone2sim.reconstruct.coach.coverage import Coverage, from_cameras, from_matches
from phone2sim.reconstruct.coach.finding import CoachReport, FrameFacts
from phone2sim.reconstruct.coach.graph import Graph, connect
from phone2sim.reconstruct.coach.judge import Measured, judge
from phone2sim.reconstruct.coach.matches import Features, find_features
from phone2sim.reconstruct.coach.movers import changing, find_movers
from phone2sim.reconstruct.coach.pictures import Picture, read_picture
from phone2sim.reconstruct.coach.rotation import STILL, Lens, reach, turned_only
from phone2sim.reconstruct.coach.sheet import contact_sheet
from phone2sim.stage import read_manifest

VERSION = 1
MANY = 24
"""More frames than this overlap enough for smaller pictures and fewer features."""
ASSUMED_FOCAL = 0.8
"""Focal length of an unknown phone lens, as a part of the longer side."""


def look(capture: Capture, cameras: Cameras | None = None) -> tuple[CoachReport, list[Picture]]:
    """Everything the coach can tell in a few seconds, and the small pictures for the sheet.

    `cameras` in their final, z-up world give the coverage exactly; else the device's poses do, else it is a guess.
    """
    n = len(capture.frames)
    side, count = (512, 600) if n > MANY else (640, 1000)
    pictures, features = [], []
    with progress("Looking at the frames", total=n, unit="frames") as bar:
        for frame in capture.frames:
            pictures.append(read_picture(capture, frame))
            features.append(find_features(pictures[-1], count, side))
            bar.advance(1)
    finer: dict[int, Features] = {}

    def closer(i: int) -> Features:
        if i not in finer:
            large = read_picture(capture, capture.frames[i], 960)
            found = find_features(large, 2000, 960)
            scale = np.float32(pictures[i].grey.shape[1] / large.grey.shape[1])
            finer[i] = replace(found, xy=found.xy * scale)
        return finer[i]

    with progress("Comparing the frames", total=None, unit="pairs") as bar:
        graph = connect(
            features, [p.diagonal for p in pictures], ordered=capture.kind == "clip", closer=closer,
            advance=lambda: bar.advance(1),
        )  # fmt: skip
    lens = assumed_lens(capture, pictures)
    far = reach(graph)
    still = changing(pictures) if far < STILL and n >= 3 and len({p.grey.shape for p in pictures}) == 1 else None
    measured = Measured(
        capture=capture, names=[frame_name(f, capture.kind) for f in capture.frames], pictures=pictures,
        features=features, graph=graph, reach=far, turned=turned_only(graph, lens), movers=find_movers(graph, pictures),
        still=still, coverage=coverage(capture, cameras, graph, lens),
    )  # fmt: skip
    facts = tuple(
        FrameFacts(
            name=name, detail=None if np.isnan(p.detail) else round(p.detail, 3), burnt=round(p.burnt, 4),
            black=round(p.black, 4), features=len(f.xy), shared=graph.best(i),
        )
        for i, (name, p, f) in enumerate(zip(measured.names, pictures, features))
    )  # fmt: skip
    report = CoachReport(
        source=capture.source, kind=capture.kind, frames=facts, findings=tuple(judge(measured)),
        good=tuple(praise(measured)), coverage=measured.coverage,
    )  # fmt: skip
    return report, pictures


def assumed_lens(capture: Capture, pictures: list[Picture]) -> Lens:
    """Focal length from the device or EXIF, else a phone's usual one; the principal point from the device or the middle."""
    focal, centre = [], []
    for f, p in zip(capture.frames, pictures):
        s = p.grey.shape[1] / f.width
        focal.append(s * (f.lens[0] if f.lens else f.focal_px or ASSUMED_FOCAL * max(f.width, f.height)))
        centre.append((s * f.lens[2], s * f.lens[3]) if f.lens else (p.grey.shape[1] / 2, p.grey.shape[0] / 2))
    known = all(f.lens or f.focal_px for f in capture.frames)
    return Lens(focal=np.array(focal), centre=np.array(centre), known=known)


def coverage(capture: Capture, cameras: Cameras | None, graph: Graph, lens: Lens) -> Coverage | None:
    """From the best there is: finished cameras, the device's poses, or the matches."""
    if cameras is not None:
        number = {f.file: i for i, f in enumerate(capture.frames)}
        known = [k for k, name in enumerate(cameras.names) if name in number]
        T = np.asarray(cameras.T_world_camera)[known]
        return from_cameras(T, [number[cameras.names[k]] for k in known], np.array([0.0, 0.0, 1.0]))
    posed = [i for i, f in enumerate(capture.frames) if f.T_world_camera is not None]
    if len(posed) >= 3 and capture.device is not None:
        T = np.array([capture.frames[i].T_world_camera for i in posed])
        up = capture.device.up_world
        return from_cameras(T, posed, None if up is None else np.array(up))
    return from_matches(graph, lens) if len(graph.holding) >= 3 else None


def praise(m: Measured) -> list[str]:
    """What is fine, for one line."""
    n = len(m.pictures)
    out = [f"{n} frame{'s' if n != 1 else ''}"]
    next_to = [p.shared for p in m.graph.holding if p.j == p.i + 1]
    if next_to:
        out.append(f"neighbours share {int(np.median(next_to))} points")
    if m.coverage is not None:
        c = m.coverage
        out.append(
            f"seen over {'about ' if c.guess else ''}{360 - c.gap_deg:.0f}°" if c.gap_deg > 40 else "seen all round"
        )
    if m.capture.device is not None:
        has = [
            (word, sum(getattr(f, field) is not None for f in m.capture.frames))
            for word, field in (
                ("poses", "T_world_camera"),
                ("depth", "depth"),
                ("gravity", "up_camera"),
                ("masks", "mask"),
            )
        ]
        told = [word if k == n else f"{word} of {k}" for word, k in has if k]
        out.append(f"{m.capture.device.app} gives {', '.join(told) or 'nothing more'}")
    return out


def frame_name(frame: Frame, kind: str) -> str:
    """How a frame is named to its owner: the photo's file, or the frame's number and time in the clip."""
    stem = frame.file.rsplit(".", 1)[0]
    return f"{stem} ({frame.time_s:.1f} s)" if frame.time_s is not None else frame.source or stem


def coach_stage(scene: Path, *, capture_fingerprint: str, force: bool = False) -> CoachReport | None:
    """Look at `scene/capture` and leave `coach.json` and `coach.jpg` there; None when that was done before.

    Raises `ReconstructionError` when the capture cannot work, unless `force`, or the cameras stand already.
    """
    folder = scene / "capture"
    done = (read_manifest(scene / "cameras") or {}).get("inputs", {}).get("capture") == capture_fingerprint
    old = read_coach(folder)
    print_of = f"{VERSION}-{capture_fingerprint}"
    report = None
    if old.get("fingerprint") != print_of:
        report, pictures = look(Capture.load(folder))
        write_coach(report, pictures, folder, fingerprint=print_of)
        old = read_coach(folder)
        tell(report)
    refused = next((f for f in old["findings"] if f["severity"] == "cannot work"), None)
    if refused and not force and not done:
        raise ReconstructionError(
            refused["seen"], hint=f"{refused['do']} `phone2sim inspect` shows the frames; --force tries anyway."
        )
    return report


def tell(report: CoachReport) -> None:
    """One line for each thing that matters, one for all the rest."""
    rest = []
    for f in report.findings:
        if f.severity == "bad":
            message(f"Capture: {f.seen} {f.do}")
        elif f.severity == "advice" and f.id != "reading":  # that one the reader has said already
            rest.append(f.label + (f" ({len(f.frames)} frames)" if len(f.frames) > 1 else ""))
    if rest:
        message(f"Capture coach, for next time: {', '.join(rest)}; see capture/coach.jpg.")


def read_coach(folder: Path) -> dict:
    """`coach.json` of a capture folder; empty where there is none."""
    try:
        return json.loads((folder / "coach.json").read_text())
    except (OSError, ValueError):
        return {}


def write_coach(report: CoachReport, pictures: list[Picture], folder: Path, *, fingerprint: str = "") -> None:
    """`coach.jpg`, then `coach.json`."""
    write_sheet(report, pictures, folder / "coach.jpg")
    write_json(folder / "coach.json", {**report.to_json(), "fingerprint": fingerprint})


def write_sheet(report: CoachReport, pictures: list[Picture], path: Path) -> None:
    """The thumbnail sheet as .jpg or .png."""
    if path.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise InputError(f"{path}: the sheet must end in .jpg or .png.")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = contact_sheet(report, [p.thumb for p in pictures])
    sheet.save(path, quality=88) if path.suffix.lower() != ".png" else sheet.save(path)
