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

from phone2sim.reconstruct.sfm.job import Job, stands_still
from phone2sim.reconstruct.sfm.pairs import choose_pairs

CHUNK = 8
"""Frames per call of the feature extractor, for progress."""


def _say(step: str, done: float, total: float, note: str = "") -> None:
    print(json.dumps({"step": step, "done": done, "total": total, "note": note}), flush=True)


def extract(job: Job, database: Path) -> None:
    """SIFT of every frame into a fresh database; image ids follow the capture order."""
    import pycolmap

    pycolmap.Database.open(database).close()
    for g in job.groups:
        reader = pycolmap.ImageReaderOptions()
        reader.camera_model = "SIMPLE_RADIAL"
        reader.camera_params = f"{g.focal_px},{g.width / 2},{g.height / 2},0"
        pycolmap.import_images(
            database, job.frames, pycolmap.CameraMode.SINGLE, image_names=list(g.names), options=reader
        )
    with pycolmap.Database.open(database) as db:
        for camera in db.read_all_cameras():
            first = next(im for im in db.read_all_images() if im.camera_id == camera.camera_id)
            camera.has_prior_focal_length = next(g.prior for g in job.groups if first.name in g.names)
            db.update_camera(camera)
    options = pycolmap.FeatureExtractionOptions()
    options.max_image_size = job.max_side
    options.num_threads = job.threads
    options.sift.max_num_features = job.max_features
    options.sift.first_octave = job.first_octave
    for start in range(0, len(job.names), CHUNK):
        chunk = list(job.names[start : start + CHUNK])
        pycolmap.extract_features(database, job.frames, image_names=chunk, extraction_options=options)
        _say("features", start + len(chunk), len(job.names))


def match(job: Job, database: Path) -> int:
    """Match and verify the chosen pairs; returns how many were tried."""
    import pycolmap

    with pycolmap.Database.open(database) as db:
        ids = {im.name: im.image_id for im in db.read_all_images()}
        described = [_strongest(db, ids[name]) for name in job.names]
    pairs = choose_pairs(
        described, ordered=job.ordered, all_pairs=job.all_pairs, overlap=job.overlap, loops=job.loops,
        neighbours=job.neighbours,
    )  # fmt: skip
    matching = pycolmap.FeatureMatchingOptions()
    matching.num_threads = job.threads
    verify = pycolmap.TwoViewGeometryOptions()
    verify.ransac.random_seed = job.seed
    verify.detect_watermark = False
    pairing = pycolmap.ImportedPairingOptions()
    listed = Path(job.work) / "pairs.txt"
    pairing.match_list_path = listed
    step = 60
    for start in range(0, len(pairs), step):
        part = pairs[start : start + step]
        listed.write_text("".join(f"{job.names[i]} {job.names[j]}\n" for i, j in part))
        pycolmap.match_image_pairs(
            database, matching_options=matching, pairing_options=pairing, verification_options=verify
        )
        _say("matching", start + len(part), len(pairs))
    return len(pairs)


def _strongest(db: Any, image_id: int, count: int = 256) -> np.ndarray:
    """(≤count, 128) unit descriptors of the largest features, which are the most repeatable ones."""
    keypoints = db.read_keypoints(image_id)
    descriptors = db.read_descriptors(image_id)
    descriptors = np.asarray(getattr(descriptors, "data", descriptors), dtype=np.float32)
    if len(descriptors) == 0:
        return np.zeros((0, 128), np.float32)
    k = np.asarray(keypoints, dtype=np.float64)
    size = k[:, 2] ** 2 + k[:, 3] ** 2 if k.shape[1] > 4 else k[:, 2]
    best = np.argsort(-size, kind="stable")[:count]
    d = descriptors[best]
    return d / np.maximum(np.linalg.norm(d, axis=1, keepdims=True), 1e-6)


def map_scene(job: Job, database: Path, out: Path) -> Any:
    """Incremental mapping; the model with the most frames, or None."""
    import pycolmap

    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads = 1  # more threads add up in another order each time, and gain next to nothing here
    options.random_seed = job.seed
    options.min_model_size = 3
    options.max_num_models = 5
    options.mapper.num_threads = 1
    options.mapper.random_seed = job.seed
    options.triangulation.random_seed = job.seed
    options.ba_global_function_tolerance = 1e-6
    options.ba_global_frames_ratio = 1.25  # fewer global adjustments on the way; the last one is complete
    options.ba_global_points_ratio = 1.25
    out.mkdir(exist_ok=True)
    state = {"n": 2}

    def registered() -> None:
        state["n"] += 1
        _say("mapping", min(state["n"], len(job.names)), len(job.names))

    models = pycolmap.incremental_mapping(database, job.frames, out, options=options, next_image_callback=registered)
    if not models:
        return None
    return max(models.values(), key=lambda m: (m.num_reg_images(), m.num_points3D()))


def write_model(model: Any, database: Path, names: tuple[str, ...], path: Path) -> None:
    """Arrays of a model as `.npz`: poses, intrinsics, points, observations and the verified matches behind them."""
    import pycolmap

    by_name = {im.name: im for im in model.images.values() if im.has_pose}
    kept = [n for n in names if n in by_name]
    index = {by_name[n].image_id: i for i, n in enumerate(kept)}
    T = np.tile(np.eye(4), (len(kept), 1, 1))
    lens = np.zeros((len(kept), 4))
    size = np.zeros((len(kept), 2), np.int64)
    for i, n in enumerate(kept):
        im = by_name[n]
        T[i, :3] = im.cam_from_world().inverse().matrix()
        c = model.cameras[im.camera_id]
        lens[i] = c.params
        size[i] = c.width, c.height
    ids = sorted(model.points3D)
    points = [model.points3D[i] for i in ids]
    obs_point, obs_image = [], []
    for row, p in enumerate(points):
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
        error_px=np.array([p.error for p in points]),
        obs_point=np.array(obs_point, np.int64), obs_image=np.array(obs_image, np.int64),
        pair_ij=np.array(pair_ij, np.int64).reshape(-1, 2), pair_count=np.array(pair_count, np.int64),
        pair_left=np.concatenate(left) if left else none, pair_right=np.concatenate(right) if right else none,
        reprojection_px=model.compute_mean_reprojection_error(),
    )  # fmt: skip


def pair_motion(database: Path) -> dict[str, float]:
    """How far matched features move between well-matched frames, as a part of the diagonal; tells a fixed camera."""
    import pycolmap

    moved, flat, pairs = [], 0, 0
    with pycolmap.Database.open(database) as db:
        cameras = {c.camera_id: c for c in db.read_all_cameras()}
        images = {im.image_id: im for im in db.read_all_images()}
        keypoints = {i: np.asarray(db.read_keypoints(i), dtype=np.float32) for i in images}
        for pair_id, g in zip(*db.read_two_view_geometries(), strict=True):
            m = np.asarray(g.inlier_matches)
            if len(m) < 30:
                continue
            a, b = pycolmap.pair_id_to_image_pair(pair_id)
            c = cameras[images[a].camera_id]
            step = np.linalg.norm(keypoints[a][m[:, 0], :2] - keypoints[b][m[:, 1], :2], axis=1)
            moved.append(float(np.median(step)) / np.hypot(c.width, c.height))
            pairs += 1
            flat += "PANORAMIC" in str(g.config)
        features = [len(k) for k in keypoints.values()]
    return {
        "verified_pairs": pairs,
        "median_motion": float(np.median(moved)) if moved else 0.0,
        "largest_motion": float(np.quantile(moved, 0.95)) if moved else 0.0,
        "flat_part": flat / pairs if pairs else 0.0,
        "median_features": float(np.median(features)) if features else 0.0,
    }


def main(argv: list[str]) -> int:
    import pycolmap

    pycolmap.logging.minloglevel = 2  # errors only
    job = Job.model_validate_json(Path(argv[0]).read_text())
    pycolmap.set_random_seed(job.seed)
    work = Path(job.work)
    database = work / "database.db"
    report: dict[str, Any] = {}

    def timed(name: str, call: Any) -> Any:
        wall, cpu = time.monotonic(), time.process_time()
        value = call()
        report[f"{name}_s"] = round(time.monotonic() - wall, 2)
        report[f"{name}_cpu_s"] = round(time.process_time() - cpu, 2)
        return value

    timed("features", lambda: extract(job, database))
    report["pairs"] = timed("matching", lambda: match(job, database))
    report |= pair_motion(database)
    still = stands_still(report)
    model = None if still else timed("mapping", lambda: map_scene(job, database, work / "models"))
    report["registered"] = 0 if model is None else model.num_reg_images()
    if model is not None:
        (work / "sparse").mkdir()
        model.write(work / "sparse")
        timed("export", lambda: write_model(model, database, job.names, work / "model.npz"))
    (work / "report.json").write_text(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
