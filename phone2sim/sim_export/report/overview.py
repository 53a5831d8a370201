"""The first row of the report: the whole way in four pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from phone2sim.sim_export.report.facts import DatasetFacts, SceneFacts
from phone2sim.sim_export.report.pictures import embed, video_frames

Picture = Path | np.ndarray


def overview(scene: SceneFacts | None, dataset: DatasetFacts | None) -> str:
    """Photo, splat, what is left without the objects, robot: as many as there are; "" for fewer than two."""
    found = []
    for picture, text in (*_scene_pictures(scene), *_dataset_pictures(dataset)):
        if uri := embed(picture, max_side=640):
            found.append(f'<figure><img src="{uri}" alt="{text}"><figcaption>{text}</figcaption></figure>')
    return f'<div class="hero">{"".join(found)}</div>' if len(found) > 1 else ""


def _scene_pictures(scene: SceneFacts | None) -> list[tuple[Picture, str]]:
    if scene is None:
        return []
    held = scene.folder / "splat" / "heldout"
    photos = sorted(held.glob("*_photo.*")) if held.is_dir() else []
    found: list[tuple[Picture, str]] = []
    if photos:
        photo = photos[len(photos) // 2]
        found.append((photo, "a photo, kept out of training"))
        found += [(p, "the splat from there") for p in held.glob(f"{photo.stem.removesuffix('_photo')}_render.*")]
    background = scene.folder / "scene" / "preview" / "background.png"
    if scene.assets and background.exists():
        found.append((background, "the objects taken out"))
    return found


def _dataset_pictures(dataset: DatasetFacts | None) -> list[tuple[Picture, str]]:
    for episode in dataset.episodes if dataset else ():
        for video in episode.videos:
            if frames := video_frames(video, 5):
                return [(frames[len(frames) // 2], "a robot episode in it")]
    return []
