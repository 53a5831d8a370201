"""SIFT features and verified matches of one attempt, in a COLMAP database."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.libraries import load_pycolmap
from phone2sim.reconstruct.sfm.job import Group, Job
from phone2sim.reconstruct.sfm.pairs import choose_pairs, likest_pairs, posed_pairs

CHUNK = 8
"""Frames per call of the feature extractor, for progress."""


def say(step: str, done: float, total: float, note: str = "") -> None:
    """Progress for the parent process, a JSON line on stdout."""
    print(json.dumps({"step": step, "done": done, "total": total, "note": note}), flush=True)


def lens_model(group: Group) -> tuple[str, str]:
    """COLMAP's camera model and parameters of a lens: OPENCV as calibrated, else SIMPLE_RADIAL without distortion."""
    if group.lens is not None:
        return "OPENCV", ",".join(repr(float(v)) for v in (*group.lens, *group.distortion))
    return "SIMPLE_RADIAL", f"{group.focal_px},{group.width / 2},{group.height / 2},0"


def extract(job: Job, database: Path) -> None:
    """SIFT of every frame into a fresh database; image ids follow the capture order.

    With `job.features` they come from an earlier attempt, without its matches.
    """
    pycolmap = load_pycolmap()

    if job.features:
        shutil.copyfile(job.features, database)
        with pycolmap.Database.open(database) as db:
            db.clear_matches()
            db.clear_two_view_geometries()
        return
    pycolmap.Database.open(database).close()
    for g in job.groups:
        reader = pycolmap.ImageReaderOptions()
        reader.camera_model, reader.camera_params = lens_model(g)
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
        say("features", start + len(chunk), len(job.names))


def match(job: Job, database: Path) -> int:
    """Match and verify the chosen pairs; returns how many were tried."""
    pycolmap = load_pycolmap()

    pairs = _pairs(job, database)
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
        say("matching", start + len(part), len(pairs))
    return len(pairs)


def _pairs(job: Job, database: Path) -> list[tuple[int, int]]:
    """By looks; for device poses by place, and by looks for the frames without one. Frames to be placed only go with posed ones."""
    pycolmap = load_pycolmap()

    place = {p.name: np.asarray(p.T_world_camera) for p in job.posed}
    known = [i for i, name in enumerate(job.names) if name in place]
    pairs: set[tuple[int, int]] = set()
    if known:
        near = posed_pairs(np.array([place[job.names[i]] for i in known]))
        pairs = {(known[a], known[b]) for a, b in near}
        if len(known) == len(job.names):
            return sorted(pairs)
    with pycolmap.Database.open(database) as db:
        ids = {im.name: im.image_id for im in db.read_all_images()}
        described = [_strongest(db, ids[name]) for name in job.names]
    if job.method == "placed":
        return sorted(pairs | set(likest_pairs(described, known, neighbours=job.neighbours)))
    looks = choose_pairs(
        described, ordered=job.ordered, all_pairs=job.all_pairs, overlap=job.overlap, loops=job.loops,
        neighbours=job.neighbours,
    )  # fmt: skip
    return sorted(pairs | {(a, b) for a, b in looks if not known or a not in known or b not in known})


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
