"""Frames of the same place filmed later: posed against the points of frames whose cameras are known and stay as they are."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.libraries import load_pycolmap
from phone2sim.reconstruct.sfm.features import say
from phone2sim.reconstruct.sfm.job import Job, Posed
from phone2sim.reconstruct.sfm.mapping import incremental_options, posed_model

LEAST_INLIERS = 40
"""A frame that fits fewer points is not of the same place."""
LEAST_SHARE = 0.15
"""The same, of the points that its features seem to show: where objects were taken away many of them no longer are."""
MORE = 1.1
"""How many times more points must fit with another focal length."""
ERROR_PX = 4.0
"""Reprojection error of a point that fits."""


def place_frames(job: Job, database: Path, out: Path) -> Any:
    """A model of cameras alone: the told poses as they are, and every other frame that fits the points triangulated from them.

    Lenses are those of the job, unless clearly more points fit with the focal length that the frames of one want in the median.
    """
    pycolmap = load_pycolmap()

    folder = out / "told"
    folder.mkdir(parents=True)
    model = pycolmap.triangulate_points(posed_model(job, database), database, job.frames, folder, options=incremental_options(job))
    told = {p.name for p in job.posed}
    with pycolmap.Database.open(database) as db:
        new = {im.image_id: im for im in db.read_all_images() if im.name not in told}
        cameras = {c.camera_id: c for c in db.read_all_cameras()}
    seen = _seen_points(model, database, set(new))
    found = list(job.posed)
    for camera_id in sorted({im.camera_id for im in new.values()}):
        camera = cameras[camera_id]
        mine = [i for i in sorted(new) if new[i].camera_id == camera_id]
        solved = _solve_all([seen[i] for i in mine], camera, job.seed)
        other = _refocused([seen[i] for i in mine], camera, job.seed)
        if other is not None:
            again = _solve_all([seen[i] for i in mine], other, job.seed)
            if _inliers(again) > MORE * _inliers(solved):
                cameras[camera_id], solved = other, again
        found += [_posed(new[i].name, f["cam_from_world"]) for i, f in zip(mine, solved) if f is not None]
    say("mapping", len(job.names), len(job.names))
    placed = posed_model(job.model_copy(update={"posed": tuple(found)}), database)
    for camera_id, camera in placed.cameras.items():
        camera.params = cameras[camera_id].params
    return placed


def _posed(name: str, pose: Any) -> Posed:
    T = np.eye(4)
    T[:3] = pose.inverse().matrix()
    return Posed(name=name, T_world_camera=tuple(map(tuple, T.tolist())))


def _seen_points(model: Any, database: Path, images: set[int]) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Pixels (k, 2) and world points (k, 3) that the matches of each of the `images` pair."""
    pycolmap = load_pycolmap()

    point_of = {
        im.image_id: [p.point3D_id if p.has_point3D() else None for p in im.points2D] for im in model.images.values() if im.has_pose
    }
    pairs: dict[int, set[tuple[int, int]]] = {i: set() for i in images}
    with pycolmap.Database.open(database) as db:
        for pair_id, geometry in zip(*db.read_two_view_geometries(), strict=True):
            a, b = pycolmap.pair_id_to_image_pair(pair_id)
            m = np.asarray(geometry.inlier_matches)
            if a in images:
                a, b, m = b, a, m[:, ::-1]
            if b in images and a in point_of:
                pairs[b] |= {(j, point) for i, j in m.tolist() if (point := point_of[a][i]) is not None}
        keypoints = {i: np.asarray(db.read_keypoints(i), dtype=np.float64)[:, :2] for i in images}
    out = {}
    for i, found in pairs.items():
        rows = sorted(found)
        xyz = [model.points3D[point].xyz for _, point in rows]
        out[i] = keypoints[i][[j for j, _ in rows]].reshape(-1, 2), np.array(xyz, dtype=np.float64).reshape(-1, 3)
    return out


def _solve(xy: np.ndarray, xyz: np.ndarray, camera: Any, seed: int, *, focal: bool = False) -> dict[str, Any] | None:
    """Pose of a frame that shows points (k, 3) at pixels (k, 2), as pycolmap gives it; None when too few fit. With `focal`, the camera's
    focal length is estimated with it, and changes."""
    pycolmap = load_pycolmap()

    if len(xy) < LEAST_INLIERS:
        return None
    estimation, refinement = pycolmap.AbsolutePoseEstimationOptions(), pycolmap.AbsolutePoseRefinementOptions()
    estimation.ransac.max_error = ERROR_PX
    estimation.ransac.random_seed = seed
    estimation.estimate_focal_length = refinement.refine_focal_length = focal
    found = pycolmap.estimate_and_refine_absolute_pose(xy, xyz, camera, estimation, refinement)
    fits = found is not None and found["num_inliers"] >= max(LEAST_INLIERS, LEAST_SHARE * len(xy))
    return found if fits else None


def _solve_all(seen: list[tuple[np.ndarray, np.ndarray]], camera: Any, seed: int) -> list[dict[str, Any] | None]:
    return [_solve(xy, xyz, camera, seed) for xy, xyz in seen]


def _inliers(solved: list[dict[str, Any] | None]) -> int:
    return sum(f["num_inliers"] for f in solved if f is not None)


def _refocused(seen: list[tuple[np.ndarray, np.ndarray]], camera: Any, seed: int) -> Any:
    """The camera with the focal length that frames of it want in the median; None when none of them fits with any."""
    wanted = []
    for xy, xyz in seen:
        free = deepcopy(camera)
        if _solve(xy, xyz, free, seed, focal=True) is not None:
            wanted.append(free.mean_focal_length())
    if not wanted:
        return None
    out = deepcopy(camera)
    out.focal_length_x = out.focal_length_y = float(np.median(wanted))
    return out
