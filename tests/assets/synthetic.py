"""A small synthetic table with known bodies: raycast depth, a splat that renders it, and its truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh

from phone2sim.assets.views import View
from phone2sim.libraries import load_open3d
from phone2sim.poses import look_at
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.splat.cloud import SH_C0, SplatCloud

NOISE = 0.0015


def bodies() -> dict[str, trimesh.Trimesh]:
    """Known shapes standing on z = 0."""
    box = trimesh.creation.box((0.09, 0.06, 0.07))
    box.apply_transform(trimesh.transformations.rotation_matrix(0.4, [0, 0, 1]))
    box.apply_translation([-0.12, 0.05, 0.035])
    can = trimesh.creation.cylinder(0.033, 0.11, sections=48)
    can.apply_translation([0.08, 0.09, 0.055])
    ball = trimesh.creation.icosphere(4, 0.036)
    ball.apply_translation([0.04, -0.11, 0.036])
    return {"box": box, "can": can, "ball": ball}


def cameras(n: int = 20, width: int = 240, height: int = 320) -> Cameras:
    """An orbit at two heights around the middle."""
    T = []
    for i in range(n):
        a = 2 * np.pi * i / n
        e = 0.55 if i % 2 else 0.95
        T.append(look_at(0.62 * np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)]), [0, 0, 0.02]).matrix)
    K = np.array([[260.0, 0, width / 2], [0, 260.0, height / 2], [0, 0, 1]])
    return Cameras(
        T_world_camera=np.array(T), K=np.repeat(K[None], n, 0), size_wh=np.repeat([[width, height]], n, 0),
        distortion=np.zeros((n, 4)), names=tuple(f"{i:03d}.png" for i in range(n)),
    )  # fmt: skip


def albedo(points: np.ndarray, part: int) -> np.ndarray:
    """A smooth procedural colour (n, 3) in 0–1, different for each part (0 is the table)."""
    base = np.array([[0.62, 0.5, 0.4], [0.75, 0.2, 0.2], [0.2, 0.6, 0.3], [0.25, 0.3, 0.8]])[part]
    wave = np.sin(points @ np.array([[90.0, 40, 30], [-50, 80, 20], [20, -30, 110]]) + part)
    return np.clip(base + 0.08 * wave, 0, 1)


@dataclass(frozen=True)
class Truth:
    cameras: Cameras
    static: dict[str, trimesh.Trimesh]
    """Table, shelves, walls."""
    meshes: dict[str, trimesh.Trimesh]
    views: list[View]
    masks: list[np.ndarray]
    """(h, w) uint8 per view: 0 background, 1… in order of `meshes`."""


def raycast(with_bodies: bool = True, seed: int = 3) -> Truth:
    """Noisy depth, photos and masks of the known scene."""
    table = trimesh.creation.box((0.7, 0.6, 0.02))
    table.apply_translation([0, 0, -0.01])
    return looked_at(cameras(), {"table": table}, bodies() if with_bodies else {}, seed=seed)


def looked_at(cams: Cameras, static: dict[str, trimesh.Trimesh], meshes: dict[str, trimesh.Trimesh], *, seed: int = 3) -> Truth:
    """Noisy depth, photos and masks of the movable `meshes` among `static` ones; black where there is nothing."""
    parts = [*static.values(), *meshes.values()]
    owner = np.array([0] * len(static) + list(range(1, len(meshes) + 1)))
    o3d = load_open3d()

    rays = o3d.t.geometry.RaycastingScene(nthreads=1)
    for m in parts:
        rays.add_triangles(np.asarray(m.vertices, np.float32), np.asarray(m.faces, np.uint32))
    rng = np.random.default_rng(seed)
    views, masks = [], []
    for i in range(len(cams)):
        w, h = (int(x) for x in cams.size_wh[i])
        u, v = np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5)
        d = np.stack([(u - cams.K[i, 0, 2]) / cams.K[i, 0, 0], (v - cams.K[i, 1, 2]) / cams.K[i, 1, 1], np.ones_like(u)], -1)
        world = d @ cams.T_world_camera[i, :3, :3].T
        hit = rays.cast_rays(np.concatenate([np.broadcast_to(cams.centres[i], world.shape), world], -1).astype(np.float32))
        depth = hit["t_hit"].numpy()
        part = np.where(np.isfinite(depth), owner[np.minimum(hit["geometry_ids"].numpy(), len(parts) - 1)], 0)
        depth = np.where(np.isfinite(depth), depth, 0).astype(np.float32)
        points = cams.centres[i] + world * depth[..., None]
        rgb = np.zeros((h, w, 3))
        for k in range(len(meshes) + 1):
            rgb[part == k] = albedo(points[part == k], k)
        rgb[depth == 0] = 0.1
        noisy = np.where(depth > 0, depth + rng.normal(0, NOISE, depth.shape), 0).astype(np.float32)
        views.append(
            View(name=cams.names[i], photo=(rgb * 255).astype(np.uint8), depth=noisy, K=cams.K[i], T_camera_world=cams.T_camera_world[i])
        )
        masks.append(part.astype(np.uint8))
    return Truth(cameras=cams, static=static, meshes=meshes, views=views, masks=masks)


def _faces_of(box: trimesh.Trimesh, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 3) on a grid over the large faces of an upright box that can be seen from above, and their normals."""
    low, high = box.bounds
    points, normals = [], []
    for axis, sign in ((2, 1), (0, 1), (0, -1), (1, 1), (1, -1)):
        a, b = (k for k in range(3) if k != axis)
        if min(high[a] - low[a], high[b] - low[b]) < 0.05:
            continue
        u, v = np.meshgrid(*(np.arange(low[k] + step / 2, high[k], step) for k in (a, b)))
        p = np.zeros((u.size, 3))
        p[:, a], p[:, b], p[:, axis] = u.ravel(), v.ravel(), (high if sign > 0 else low)[axis]
        points.append(p)
        normals.append(np.tile(sign * np.eye(3)[axis], (len(p), 1)))
    return np.concatenate(points), np.concatenate(normals)


def splat(truth: Truth, seed: int = 5, step: float = 0.004) -> SplatCloud:
    """Flat Gaussians on every visible surface, every `step` [m] of the static ones: what a perfect training would give."""
    rng = np.random.default_rng(seed)
    seen = [_faces_of(m, step) for m in truth.static.values()]
    points, normals = [p for p, _ in seen], [n for _, n in seen]
    colors = [albedo(p, 0) for p in points]
    coarse = sum(len(p) for p in points)
    for k, m in enumerate(truth.meshes.values(), start=1):
        n = int(m.area / 0.0028**2)
        bary = rng.dirichlet([1, 1, 1], n)
        face = rng.choice(len(m.faces), n, p=m.area_faces / m.area)
        p = np.einsum("nk,nkc->nc", bary, m.triangles[face])
        points.append(p)
        normals.append(m.face_normals[face])
        colors.append(albedo(p, k))
    p, n, c = (np.concatenate(a) for a in (points, normals, colors))
    q = np.column_stack([1 + n[:, 2], -n[:, 1], n[:, 0], np.zeros(len(n))])  # turns z onto the normal
    q[np.linalg.norm(q, axis=1) < 1e-6] = [0, 1, 0, 0]
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    scales = np.tile([0.0019, 0.0019, 0.0005], (len(p), 1))
    scales[:coarse, :2] = 0.75 * step
    return SplatCloud(means=p, quats_wxyz=q, scales=scales, opacities=np.full(len(p), 0.95), sh=((c - 0.5) / SH_C0)[:, None])


def write_scene_dir(truth: Truth, folder: Path, *, support: bool = True, step: float = 0.004) -> Path:
    """The folder of a reconstructed capture, ready for `build_assets`."""
    from phone2sim.config import write_json
    from phone2sim.images import write_rgb

    for v in truth.views:
        write_rgb(folder / "capture" / "frames" / v.name, v.photo)
    truth.cameras.save(folder / "cameras" / "transforms.json")
    scale = {"value": 1.0, "low": 0.997, "high": 1.003, "why": "truth"}
    metric = {"scale": scale, "scale_source": "truth", "support": {"height_m": 0.0} if support else None}
    write_json(folder / "cameras" / "metric.json", metric)
    splat(truth, step=step).save_ply(folder / "splat" / "splat.ply")
    for stage in ("capture", "cameras", "splat"):
        write_json(folder / stage / "manifest.json", {"schema": 1, "fingerprint": f"{stage}-synthetic"})
    return folder
