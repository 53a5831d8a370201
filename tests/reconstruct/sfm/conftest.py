"""A small synthetic capture with true poses, told by a device as the test wants."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from filmed import FOCAL, SIZE, Film, Told

from phone2sim.images import write_rgb
from phone2sim.reconstruct.capture import Capture
from phone2sim.reconstruct.capture.record import Device, Frame


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Film:
    """`film(poses, told, ...) -> Capture`; pictures of the same poses are drawn once."""
    from phone2sim._native.mesh import to_srgb8
    from phone2sim.sample import SampleConfig, make_scene

    scene = make_scene(SampleConfig(), threads=2)
    drawn: dict[bytes, Path] = {}
    K = np.array([[FOCAL, 0, SIZE[0] / 2], [0, FOCAL, SIZE[1] / 2], [0, 0, 1.0]])

    def make(poses: np.ndarray, told: Told | None = None, *, calibrated: bool = True, metric: bool = True) -> Capture:
        folder = drawn.setdefault(poses.tobytes(), tmp_path_factory.mktemp("film"))
        if not (folder / "frames").exists():
            for i, T in enumerate(poses):
                rgb = np.asarray(scene.view(K, T, *SIZE, threads=2).rgb, np.float32)
                picture = to_srgb8(rgb, gain_rgb=(1.0, 1.0, 1.0), blur_px=0.4, noise_std=0.008, seed=i)
                write_rgb(folder / "frames" / f"{i:04d}.jpg", picture)
        lens = (FOCAL, FOCAL, SIZE[0] / 2, SIZE[1] / 2) if calibrated else None
        frames = []
        for i in range(len(poses)):
            T = None if told is None else told[i]
            frames.append(
                Frame(
                    file=f"{i:04d}.jpg", source=f"clip.mp4@{i / 5:.3f}s", time_s=i / 5, width=SIZE[0], height=SIZE[1],
                    sharpness=100.0, focal_px=None, group=0, lens=lens, distortion=lens and (0.0, 0.0, 0.0, 0.0),
                    T_world_camera=None if T is None else tuple(tuple(float(v) for v in row) for row in T),
                )
            )  # fmt: skip
        device = None if told is None else Device(app="stray", metric=metric)
        return Capture(folder=folder, kind="clip", source="clip.mp4", frames=tuple(frames), device=device)

    return make
