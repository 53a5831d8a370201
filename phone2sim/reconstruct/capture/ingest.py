"""The capture stage: any source → `frames/*.jpg` (upright, sharp), `depth/`, `masks/` and `capture.json`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from phone2sim.errors import CaptureError
from phone2sim.images import write_rgb
from phone2sim.progress import message, progress
from phone2sim.reconstruct.capture.apps import APPS
from phone2sim.reconstruct.capture.blur import grey, local_part, sharpness
from phone2sim.reconstruct.capture.clip import choose_frames, decode, survey
from phone2sim.reconstruct.capture.config import MORE_PHOTOS, CaptureConfig, fit, too_few
from phone2sim.reconstruct.capture.content import content_of
from phone2sim.reconstruct.capture.device import from_app
from phone2sim.reconstruct.capture.photos import read_photo
from phone2sim.reconstruct.capture.record import Capture, Device, Frame
from phone2sim.reconstruct.capture.source import find_source
from phone2sim.stage import StageResult, fingerprint_files, run_stage

VERSION = 2


def capture_stage(source: Path, scene: Path, config: CaptureConfig, *, force: bool = False) -> StageResult:
    """Run `ingest` as the stage `scene/capture`, skipped when neither the source nor the config changed."""
    return run_stage(
        scene / "capture",
        version=VERSION,
        config=config,
        inputs=source_inputs(source, config),
        compute=lambda folder: _figures(ingest(source, folder, config)),
        force=force,
    )


def source_inputs(source: Path, config: CaptureConfig) -> dict[str, str]:
    """What a stage that reads a source hashes of it. Bad input raises `CaptureError`, as do fewer photos than `config` wants."""
    kind, files = find_source(source)
    if kind == "photos" and len(files) < config.min_photos:
        raise CaptureError(too_few(len(files), config.min_photos, source.name), hint=MORE_PHOTOS)
    print_of = fingerprint_files(files[0].parent if kind == "photos" or _is_listing(kind, files[0]) else files[0])
    return {"name": "" if kind == "photos" else files[0].name, "source": print_of}


def ingest(source: Path, folder: Path, config: CaptureConfig) -> Capture:
    """Write the upright frames of a clip, a photo folder, a single photo or an app's capture into `folder`.

    Bad input raises `CaptureError`.
    """
    kind, files = find_source(source)
    if kind == "clip":
        capture = _from_clip(files[0], folder, config)
    elif kind == "photo":
        capture = _from_photo(files[0], folder, config)
    elif kind == "photos":
        capture = _from_photos(files, folder, config)
    else:
        capture = from_app(files[0], folder, config)
    capture.save()
    return capture


def _is_listing(kind: str, file: Path) -> bool:
    """Whether the source is a JSON or CSV file that names pictures beside it."""
    return kind in APPS and file.is_file() and content_of(file) == "text"


def _figures(capture: Capture) -> dict[str, object]:
    return {"kind": capture.kind, "frames": len(capture.frames), "refused": list(capture.refused)}


def _from_photo(path: Path, folder: Path, config: CaptureConfig) -> Capture:
    from phone2sim.reconstruct.photo.embedded import embedded_depth

    frame = _store(path, folder, 0, {}, config)
    inside = embedded_depth(path)
    if inside is None:
        return Capture(folder=folder, kind="photo", source=path.name, frames=(frame,))
    (folder / "depth").mkdir()
    name = f"{Path(frame.file).stem}.npy"
    np.save(folder / "depth" / name, inside.depth)
    lens = None
    if inside.focal is not None:
        f = round(inside.focal * max(frame.width, frame.height), 3)
        lens = (f, f, frame.width / 2, frame.height / 2)
    return Capture(
        folder=folder, kind="photo", source=path.name, frames=(replace(frame, depth=name, lens=lens),),
        device=Device(app="file", metric=inside.metric),
    )  # fmt: skip


def _store(path: Path, folder: Path, index: int, groups: dict[str, int], config: CaptureConfig) -> Frame:
    """Write the upright photo as frame number `index`; `groups` numbers the cameras seen so far."""
    photo = read_photo(path)
    rgb, s = fit(photo.rgb, config.max_side)
    name = f"{index:04d}.jpg"
    write_rgb(folder / "frames" / name, rgb, quality=config.jpeg_quality)
    return Frame(
        file=name, source=path.name, time_s=None, width=rgb.shape[1], height=rgb.shape[0],
        sharpness=round(sharpness(grey(rgb, 640)), 3),
        focal_px=None if photo.focal_px is None else round(photo.focal_px * s, 3),
        group=groups.setdefault(photo.camera, len(groups)),
    )  # fmt: skip


def _from_photos(files: list[Path], folder: Path, config: CaptureConfig) -> Capture:
    frames: list[Frame] = []
    refused: list[dict[str, str]] = []
    groups: dict[str, int] = {}
    with progress("Reading photos", total=len(files), unit="photos") as bar:
        for path in files:
            try:
                frames.append(_store(path, folder, len(frames), groups, config))
            except CaptureError as e:
                message(f"Left out: {e.message}")
                refused.append({"file": path.name, "why": e.message})
            bar.advance(1)
    if len(frames) < config.min_photos:
        first = f" {refused[0]['why']}" if refused else ""
        raise CaptureError(too_few(len(frames), config.min_photos, files[0].parent.name) + first, hint=MORE_PHOTOS)
    parts = local_part(np.array([f.sharpness for f in frames]), half=len(frames))
    advice = []
    blurred = int((parts < 0.3).sum())
    if blurred:
        advice.append(f"{blurred} of {len(frames)} photos look blurred: hold still while the shutter opens.")
    return Capture(
        folder=folder, kind="photos", source=files[0].parent.name, frames=tuple(frames), refused=tuple(refused),
        advice=tuple(advice),
    )  # fmt: skip


def _from_clip(path: Path, folder: Path, config: CaptureConfig) -> Capture:
    seen = survey(path)
    chosen = choose_frames(seen, count=config.max_frames, blur_below=config.blur_below, min_step=config.min_step)
    if len(chosen) < config.min_photos:
        raise CaptureError(
            f"{path.name}: the picture hardly changes over {len(seen.time_s)} frames; {len(chosen)} differ, at least "
            f"{config.min_photos} are needed.",
            hint="Walk round the scene while filming.",
        )
    keep = set(chosen.tolist())
    frames: list[Frame] = []
    with progress("Writing frames", total=len(keep), unit="frames") as bar:
        for index, t, rgb in decode(path, wanted=keep):
            rgb, _ = fit(rgb, config.max_side)
            name = f"{len(frames):04d}.jpg"
            write_rgb(folder / "frames" / name, rgb, quality=config.jpeg_quality)
            frames.append(
                Frame(
                    file=name, source=f"{path.name}@{t:.3f}s", time_s=round(t, 6), width=rgb.shape[1],
                    height=rgb.shape[0], sharpness=round(float(seen.sharpness[index]), 3), focal_px=None, group=0,
                )
            )  # fmt: skip
            bar.advance(1)
            if len(frames) == len(keep):
                break
    blurred = float((local_part(seen.sharpness) < config.blur_below).mean())
    advice = []
    if blurred > 0.2:
        advice.append(f"{blurred:.0%} of the clip is blurred: move more slowly, or add light.")
    return Capture(folder=folder, kind="clip", source=path.name, frames=tuple(frames), advice=tuple(advice))
