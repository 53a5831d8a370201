"""Surfaces and novel views of a built demo against the sample's own meshes and renderer. Plain functions, no test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phone2sim.config import read_json
from phone2sim.keys import Key
from phone2sim.libraries import load_open3d
from phone2sim.poses import look_at
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.sample import make_scene
from phone2sim.sample.room import make_room
from tests.e2e.truth import frame_indices, similarity

REGION_M = 0.36
"""Radius of the part of the table that every camera looks at."""


@dataclass(frozen=True)
class Aligned:
    """The map from the scene's world to the truth's, without scale: p_truth = R p + t."""

    R: np.ndarray
    t: np.ndarray

    @classmethod
    def of(cls, cameras: Cameras, truth_json: Path) -> Aligned:
        truth = read_json(truth_json)
        index = frame_indices(cameras.sources, np.array([f["time_s"] for f in truth["frames"]]))
        centres = np.array([truth["frames"][i]["T_world_camera"] for i in index])[:, :3, 3]
        _, R, _ = similarity(cameras.centres, centres)
        return cls(R, centres.mean(axis=0) - R @ cameras.centres.mean(axis=0))

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return np.asarray(points, float) @ self.R.T + self.t


def truth_triangles(*, room: bool) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of the sample's objects, with the table and the room around them if wanted."""
    scene = make_scene()
    parts = [(p.vertices, p.faces, np.eye(4)) for p in make_room(Key(0).child("sample").child("room"))] if room else []
    parts += [(o.shape.vertices, o.shape.faces, T) for o, T in zip(scene.objects, scene.T_world_object.matrix)]
    vertices = [np.asarray(v, float) @ T[:3, :3].T + T[:3, 3] for v, _, T in parts]
    offsets = np.cumsum([0, *(len(v) for v in vertices[:-1])])
    return np.concatenate(vertices), np.concatenate([np.asarray(f) + k for (_, f, _), k in zip(parts, offsets)])


def surface_error(vertices: np.ndarray, faces: np.ndarray, *, room: bool, lowest_m: float, n: int = 60_000) -> np.ndarray:
    """(k,) distances [m] from points drawn evenly on a mesh in the truth's world to the true surface, on and over the table."""
    o3d = load_open3d()

    a, b, c = (vertices[faces[:, k]] for k in range(3))
    middle = (a + b + c) / 3
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    area[(np.hypot(middle[:, 0], middle[:, 1]) > REGION_M) | (middle[:, 2] < lowest_m) | (middle[:, 2] > 0.3)] = 0
    rng = np.random.default_rng(0)
    k = rng.choice(len(faces), n, p=area / area.sum())
    u = rng.random((n, 2))
    u[u.sum(axis=1) > 1] = 1 - u[u.sum(axis=1) > 1]
    points = a[k] + u[:, :1] * (b - a)[k] + u[:, 1:] * (c - a)[k]
    true_v, true_f = truth_triangles(room=room)
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(o3d.core.Tensor(true_v.astype(np.float32)), o3d.core.Tensor(true_f.astype(np.uint32)))
    return np.asarray(scene.compute_distance(o3d.core.Tensor(points.astype(np.float32))).numpy())


def novel_views(scene_dir: Path, truth_json: Path, *, n: int = 60) -> np.ndarray:
    """(n, 3) support, expected PSNR and true PSNR [dB] (colours fitted) of views drawn all over the upper hemisphere."""
    from phone2sim._native.mesh import to_srgb8
    from phone2sim.assets.scene import Scene
    from phone2sim.assets.validity import validity_of
    from phone2sim.reconstruct.splat.cloud import SplatCloud
    from phone2sim.reconstruct.splat.judge import color_corrected, psnr
    from phone2sim.reconstruct.splat.rasterize import rasterize

    scene = Scene.load(scene_dir)
    found = validity_of(scene.validity)
    assert found is not None
    cloud, truth = SplatCloud.load_ply(scene_dir / "splat" / "splat.ply"), make_scene()
    aligned = Aligned.of(scene.cameras, truth_json)
    K = np.array([[384.0, 0, 135], [0, 384, 240], [0, 0, 1]])
    rng, rows = np.random.default_rng(0), []
    for _ in range(n):
        azimuth, elevation, r = rng.uniform(0, 2 * np.pi), np.arcsin(rng.uniform(0.1, 0.99)), rng.uniform(0.4, 1.4)
        d = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
        T = look_at(found.center + r * d, found.center).matrix
        shown = rasterize(cloud, K=K, T_camera_world=np.linalg.inv(T), width=270, height=480).rgb
        true = T.copy()
        true[:3, :3], true[:3, 3] = aligned.R @ T[:3, :3], aligned(T[:3, 3])
        want = to_srgb8(truth.view(K, true, 270, 480).rgb).transpose(2, 0, 1) / 255.0
        got = np.clip(shown, 0, 1).transpose(2, 0, 1).astype(float)
        rows.append((float(found.support_at(T)), float(found.psnr_at(T)), psnr(color_corrected(got, want), want)))
    return np.array(rows)
