"""One SfM attempt in a process of its own: `python -m phone2sim.reconstruct.sfm.worker job.json`.

pycolmap may abort the process on unusual input; here that cannot take the caller with it. Progress goes to stdout as
one JSON object per line. The job and the result are files; see `job.Job` and `write_model`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.libraries import load_pycolmap
from phone2sim.reconstruct.sfm.device import align
from phone2sim.reconstruct.sfm.features import extract, match
from phone2sim.reconstruct.sfm.job import Job
from phone2sim.reconstruct.sfm.mapping import map_scene, wanted_focal
from phone2sim.reconstruct.sfm.motion import measure, only_turns, read_matches, stands_still
from phone2sim.reconstruct.sfm.placing import place_frames
from phone2sim.reconstruct.sfm.told import told_points

LEAST_POINTS = 15
"""A refined frame that sees fewer points is not held by the pictures."""


def lens_of(camera: Any) -> list[float]:
    """fx fy cx cy k1 k2 p1 p2 of a SIMPLE_RADIAL or OPENCV camera."""
    p = [float(v) for v in camera.params]
    return [p[0], p[0], p[1], p[2], p[3], 0.0, 0.0, 0.0] if camera.model.name == "SIMPLE_RADIAL" else p


def to_device_world(job: Job, model: Any) -> None:
    """Undo the drift of an adjustment from the device's poses: frames that rest on next to nothing lose their pose,
    and the others' world becomes the device's again by a robust similarity."""
    pycolmap = load_pycolmap()

    for im in [im for im in model.images.values() if im.has_pose and im.num_points3D < LEAST_POINTS]:
        model.deregister_frame(im.frame_id)
    told = {p.name: np.asarray(p.T_world_camera) for p in job.posed}
    images = [
        im for name in job.names for im in model.images.values() if im.has_pose and im.name == name and name in told
    ]
    if len(images) < 3:
        return
    T_model = np.tile(np.eye(4), (len(images), 1, 1))
    T_model[:, :3] = [im.cam_from_world().inverse().matrix() for im in images]
    found = align(T_model, np.array([told[im.name] for im in images]))
    if found is not None:
        model.transform(pycolmap.Sim3d(found.scale.value, pycolmap.Rotation3d(found.R_device_model), found.t))


def add_told_points(job: Job, model: Any) -> dict[int, str]:
    """Add the device's own points to a model; the frame that saw each of them."""
    pycolmap = load_pycolmap()

    xyz, rgb, seen_by = told_points(job, model)
    return {
        model.add_point3D(p, pycolmap.Track(), c): job.posed[k].name for p, c, k in zip(xyz, rgb, seen_by, strict=True)
    }


def write_model(
    model: Any, database: Path, names: tuple[str, ...], path: Path, seen_by: dict[int, str] | None = None
) -> None:
    """Arrays of a model as `.npz`: poses, lenses, points, observations and the verified matches behind them.

    `seen_by` names the frame of points without a track.
    """
    pycolmap = load_pycolmap()

    by_name = {im.name: im for im in model.images.values() if im.has_pose}
    kept = [n for n in names if n in by_name]
    index = {by_name[n].image_id: i for i, n in enumerate(kept)}
    T = np.tile(np.eye(4), (len(kept), 1, 1))
    lens = np.zeros((len(kept), 8))
    size = np.zeros((len(kept), 2), np.int64)
    for i, n in enumerate(kept):
        im = by_name[n]
        T[i, :3] = im.cam_from_world().inverse().matrix()
        c = model.cameras[im.camera_id]
        lens[i] = lens_of(c)
        size[i] = c.width, c.height
    ids = sorted(model.points3D)
    points = [model.points3D[i] for i in ids]
    obs_point, obs_image = [], []
    row_of = {n: i for i, n in enumerate(kept)}
    for row, p in enumerate(points):
        if seen_by and ids[row] in seen_by:
            obs_point.append(row)
            obs_image.append(row_of[seen_by[ids[row]]])
        for e in p.track.elements:
            if e.image_id in index:
                obs_point.append(row)
                obs_image.append(index[e.image_id])
    pair_ij, pair_count, left, right = [], [], [], []
    with pycolmap.Database.open(database) as db:
        keypoints = {i: np.asarray(db.read_keypoints(i), dtype=np.float32)[:, :2] for i in index}
        for pair_id, geometry in zip(*db.read_two_view_geometries(), strict=True):
            a, b = pycolmap.pair_id_to_image_pair(pair_id)
            m = np.asarray(geometry.inlier_matches)
            if a in index and b in index and len(m) >= 30:
                pair_ij.append((index[a], index[b]))
                pair_count.append(len(m))
                left.append(keypoints[a][m[:, 0]])
                right.append(keypoints[b][m[:, 1]])
    none = np.zeros((0, 2), np.float32)
    np.savez(
        path,
        names=np.array(kept), T_world_camera=T, lens=lens, size_wh=size,
        xyz=np.array([p.xyz for p in points]).reshape(-1, 3),
        rgb=np.array([p.color for p in points], dtype=np.uint8).reshape(-1, 3),
        error_px=np.array([max(p.error, 0.0) for p in points]),
        obs_point=np.array(obs_point, np.int64), obs_image=np.array(obs_image, np.int64),
        pair_ij=np.array(pair_ij, np.int64).reshape(-1, 2), pair_count=np.array(pair_count, np.int64),
        pair_left=np.concatenate(left) if left else none, pair_right=np.concatenate(right) if right else none,
        reprojection_px=np.nan_to_num(model.compute_mean_reprojection_error()),
    )  # fmt: skip


def main(argv: list[str]) -> int:
    pycolmap = load_pycolmap()

    pycolmap.logging.minloglevel = 2  # errors only
    job = Job.model_validate_json(Path(argv[0]).read_text())
    pycolmap.set_random_seed(job.seed)
    work = Path(job.work)
    database = Path(job.database) if job.database else work / "database.db"
    report: dict[str, Any] = {}

    def timed(name: str, call: Any) -> Any:
        wall, cpu = time.monotonic(), time.process_time()
        value = call()
        report[f"{name}_s"] = round(time.monotonic() - wall, 2)
        report[f"{name}_cpu_s"] = round(time.process_time() - cpu, 2)
        return value

    if not job.database:
        timed("features", lambda: extract(job, database))
        report["pairs"] = timed("matching", lambda: match(job, database))
    pairs, report["median_features"] = read_matches(database)
    report |= measure(pairs)
    hopeless = job.method not in ("known", "device", "placed") and (stands_still(report) or only_turns(report))
    solve = place_frames if job.method == "placed" else map_scene
    model = None if hopeless else timed("mapping", lambda: solve(job, database, work / "models"))
    if model is not None and job.method == "known":
        to_device_world(job, model)
    if model is not None and job.method == "held":
        report["wanted_focal"] = wanted_focal(model)
    report["registered"] = 0 if model is None else model.num_reg_images()
    if model is not None:
        seen_by = add_told_points(job, model) if job.method == "device" else {}
        (work / "sparse").mkdir()
        model.write(work / "sparse")
        timed("export", lambda: write_model(model, database, job.names, work / "model.npz", seen_by))
    (work / "report.json").write_text(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
