"""The truth that the writers of app formats store, in the world of an AR framework: y up, metres."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phone2sim._native.mesh import to_srgb8
from phone2sim.keys import Key
from phone2sim.reconstruct.capture import Capture, CaptureConfig, ingest
from phone2sim.sample import SampleConfig, make_scene
from phone2sim.sample.clip import trajectory

W, H, N = 240, 320, 8
FOCAL = (260.0, 262.0)
CENTRE = (118.0, 163.0)


@dataclass(frozen=True, kw_only=True)
class Truth:
    """n upright portrait views."""

    rgb: np.ndarray
    """(n, 320, 240, 3) uint8."""
    depth: np.ndarray
    """(n, 160, 120) float32 [m], 0 where nothing is seen."""
    mask: np.ndarray
    """(n, 320, 240) bool: everything but one object."""
    T_world_camera: np.ndarray
    """(n, 4, 4), OpenCV camera axes, world y up."""
    time_s: np.ndarray
    points: np.ndarray
    """(m, 3) of the visible surfaces."""
    lens: tuple[float, float, float, float] = (*FOCAL, *CENTRE)
    size_wh: tuple[int, int] = (W, H)

    @property
    def n(self) -> int:
        return len(self.rgb)

    @property
    def T_gl(self) -> np.ndarray:
        """Poses with OpenGL's and ARKit's camera axes: x right, y up, z backward."""
        T = self.T_world_camera.copy()
        T[:, :3, 1:3] *= -1
        return T


def world_to_ar() -> np.ndarray:
    """(4, 4): a z-up world seen from an AR session that began somewhere, turned somehow, with y up."""
    yaw = 0.7
    T = np.eye(4)
    T[:3, :3] = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0.0]]) @ np.array(
        [[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]]
    )
    T[:3, 3] = 0.4, -0.9, 1.3
    return T


def render_truth() -> Truth:
    scene = make_scene(SampleConfig(width=W, height=H, objects=("tea_box", "can", "block"), sheet=True), threads=2)
    K = np.array([[FOCAL[0], 0, CENTRE[0]], [0, FOCAL[1], CENTRE[1]], [0, 0, 1.0]])
    half = np.diag([0.5, 0.5, 1]) @ K
    times = np.arange(N) * 0.5
    poses = trajectory(times, 3 * N * 0.5, Key(5).child("apps"))
    rgb, depth, mask = [], [], []
    for T in poses:
        view = scene.view(K, T, W, H, supersample=2, threads=2)
        rgb.append(to_srgb8(view.rgb))
        mask.append(scene.instances(view) != 2)
        far = scene.view(half, T, W // 2, H // 2, supersample=1, threads=2).depth
        depth.append(np.where(np.isfinite(far), far, 0).astype(np.float32))
    A = world_to_ar()
    y, x = np.mgrid[8 : H // 2 : 16, 8 : W // 2 : 16]
    z = depth[0][y, x].reshape(-1)
    rays = np.stack([(x.ravel() + 0.5 - half[0, 2]) / half[0, 0], (y.ravel() + 0.5 - half[1, 2]) / half[1, 1], 0 * z + 1], 1)
    seen = (rays * z[:, None])[z > 0]
    T0 = A @ poses[0]
    return Truth(
        rgb=np.stack(rgb), depth=np.stack(depth), mask=np.stack(mask), T_world_camera=A @ poses, time_s=times,
        points=seen @ T0[:3, :3].T + T0[:3, 3],
    )  # fmt: skip


def take(source: Path, tmp_path: Path, **config: int) -> Capture:
    (tmp_path / "out").mkdir()
    return ingest(source, tmp_path / "out", CaptureConfig(**config))
