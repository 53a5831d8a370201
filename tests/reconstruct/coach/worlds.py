"""Captures with known faults: views of the sample's room, written as the capture stage would."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from phone2sim._native.mesh import to_srgb8
from phone2sim.images import write_rgb
from phone2sim.poses import look_at
from phone2sim.reconstruct.capture import Capture, Frame
from phone2sim.sample import SampleConfig, SampleScene, make_scene

W, H = 384, 512
FOCAL = 0.8 * H


@cache
def room() -> SampleScene:
    return make_scene(SampleConfig(sheet=False), threads=2)


def shot(T_world_camera: np.ndarray, seed: int = 0, scene: SampleScene | None = None) -> np.ndarray:
    """(H, W, 3) uint8 view with a little noise."""
    K = np.array([[FOCAL, 0, W / 2], [0, FOCAL, H / 2], [0, 0, 1.0]])
    view = (scene or room()).view(K, T_world_camera, W, H, threads=2)
    return to_srgb8(view.rgb, noise_std=0.006, seed=seed)


def orbit(azimuth_deg: np.ndarray, elevation_deg: float | np.ndarray = 40.0, radius_m: float = 0.8) -> np.ndarray:
    """(n, 4, 4) cameras round the table's middle."""
    a, e = np.radians(azimuth_deg), np.radians(np.broadcast_to(elevation_deg, np.shape(azimuth_deg)))
    eye = radius_m * np.column_stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    return np.stack([look_at(p, np.array([0, 0, 0.03])).matrix for p in eye])


def turning(degrees: np.ndarray) -> np.ndarray:
    """(n, 4, 4) cameras that only turn, about a vertical axis and a little up and down."""
    eye = np.array([0.55, -0.5, 0.45])
    out = []
    for k, a in enumerate(np.radians(degrees)):
        ahead = np.array([np.cos(a), np.sin(a), -0.45 + 0.05 * np.sin(k)])
        out.append(look_at(eye, eye + ahead).matrix)
    return np.stack(out)


def flat(T_world_camera: np.ndarray) -> list[np.ndarray]:
    """Views of nothing but a printed plane at z = 0, 2.4 m wide."""
    import cv2

    rng = np.random.default_rng(4)
    page = cv2.GaussianBlur(rng.integers(0, 255, (1400, 1400, 3), dtype=np.uint8), (0, 0), 2)
    low, high = int(page.min()), int(page.max())
    page = ((page.astype(np.float32) - low) * (255 / (high - low))).astype(np.uint8)
    K = np.array([[FOCAL, 0, W / 2], [0, FOCAL, H / 2], [0, 0, 1.0]])
    on_page = np.array([[2.4 / 1400, 0, -1.2], [0, -2.4 / 1400, 1.2], [0, 0, 1.0]])  # page pixels to metres
    return [
        cv2.warpPerspective(page, K @ np.linalg.inv(T)[:3, [0, 1, 3]] @ on_page, (W, H), borderValue=(90, 90, 90))
        for T in T_world_camera
    ]


def moved_object(name: str, offset_m: tuple[float, float, float]) -> SampleScene:
    """The room with one object elsewhere."""
    scene = room()
    k = [o.name for o in scene.objects].index(name)
    T = scene.T_world_part.copy()
    T[len(T) - len(scene.objects) + k, :3, 3] += offset_m
    return replace(scene, T_world_part=T)


def capture(folder: Path, pictures: list[np.ndarray], *, kind: str = "photos", **frame: object) -> Capture:
    """`folder/frames` and `capture.json`; `frame` sets further fields of every frame."""
    frames = []
    for i, rgb in enumerate(pictures):
        write_rgb(folder / "frames" / f"{i:04d}.jpg", rgb, quality=92)
        fields = {
            "file": f"{i:04d}.jpg", "source": f"p{i:02d}.jpg", "time_s": i / 5 if kind == "clip" else None,
            "width": rgb.shape[1], "height": rgb.shape[0], "sharpness": 100.0, "focal_px": None, "group": 0, **frame,
        }  # fmt: skip
        frames.append(Frame(**fields))  # type: ignore[arg-type]
    made = Capture(folder=folder, kind=kind, source=folder.name, frames=tuple(frames))
    made.save()
    return made
