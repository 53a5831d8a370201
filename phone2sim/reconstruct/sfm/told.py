"""Points that the device told, for captures in which the pictures alone give too few: from its depth, or its own cloud."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.images import read_rgb
from phone2sim.reconstruct.points import read_points_ply
from phone2sim.reconstruct.sfm.job import Job

MOST_POINTS = 40_000


def told_points(job: Job, model: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (m, 3) in the device's world, colours (m, 3) uint8, and the name index (m,) in `job.posed` that saw each.

    Depth counts first; a point of the device's cloud belongs to the nearest camera that has it in view.
    """
    from_depth = _from_depth(job, model)
    if len(from_depth[0]) or not job.points:
        return from_depth
    xyz, rgb = read_points_ply(Path(job.points))
    pick = np.unique(np.linspace(0, max(len(xyz) - 1, 0), min(len(xyz), MOST_POINTS)).astype(int))
    xyz, rgb = np.asarray(xyz, float)[pick], np.asarray(rgb, np.uint8)[pick]
    nearest, seen_by = np.full(len(xyz), np.inf), np.full(len(xyz), -1)
    by_name = {im.name: im for im in model.images.values()}
    for k, told in enumerate(job.posed):
        camera = model.cameras[by_name[told.name].camera_id]
        T = np.linalg.inv(np.asarray(told.T_world_camera))
        p = xyz @ T[:3, :3].T + T[:3, 3]
        z = np.maximum(p[:, 2], 1e-9)
        u = p[:, 0] / z * camera.focal_length_x + camera.principal_point_x
        v = p[:, 1] / z * camera.focal_length_y + camera.principal_point_y
        seen = (p[:, 2] > 1e-6) & (u > 0) & (v > 0) & (u < camera.width) & (v < camera.height) & (p[:, 2] < nearest)
        nearest[seen], seen_by[seen] = p[seen, 2], k
    kept = seen_by >= 0
    return xyz[kept], rgb[kept], seen_by[kept]


def _from_depth(job: Job, model: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    told = [(k, p) for k, p in enumerate(job.posed) if p.depth]
    xyz, rgb, seen_by = [np.zeros((0, 3))], [np.zeros((0, 3), np.uint8)], [np.zeros(0, int)]
    by_name = {im.name: im for im in model.images.values()}
    for k, p in told:
        depth = np.load(str(p.depth)).astype(float)
        h, w = depth.shape
        step = max(1, int(np.ceil(np.sqrt(h * w * len(told) / MOST_POINTS))))
        v, u = np.mgrid[step // 2 : h : step, step // 2 : w : step]
        z = depth[v, u]
        valid = np.isfinite(z) & (z > 0)
        camera = model.cameras[by_name[p.name].camera_id]
        px = (np.stack([u[valid], v[valid]], 1) + 0.5) * [camera.width / w, camera.height / h]
        ray = np.asarray(camera.cam_from_img(px)).reshape(-1, 2)
        local = np.column_stack([ray * z[valid, None], z[valid]])
        T = np.asarray(p.T_world_camera)
        picture = read_rgb(Path(job.frames) / p.name)
        x, y = np.minimum(px.astype(int), [camera.width - 1, camera.height - 1]).T
        xyz.append(local @ T[:3, :3].T + T[:3, 3])
        rgb.append(picture[y, x])
        seen_by.append(np.full(int(valid.sum()), k))
    return np.concatenate(xyz), np.concatenate(rgb), np.concatenate(seen_by)
