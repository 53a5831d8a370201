"""The fox capture as splat training data: pinhole views at 270×480 and points triangulated from its known poses.

Only training frames (all but every eighth) are triangulated, so nothing of the held-out frames leaks in.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from phone2sim.errors import InputError
from phone2sim.reconstruct.cameras import Cameras, load_views
from phone2sim.reconstruct.points import read_points_ply, write_points_ply

HELD_OUT_EVERY = 8


def fox_views(
    capture: Path, cache: Path, *, max_side: int = 480, threads: int = 2
) -> tuple[list[np.ndarray], Cameras, np.ndarray, np.ndarray]:
    """Pictures, pinhole cameras, points (p, 3) and their colours (p, 3) uint8. Slow parts are kept in `cache`."""
    if not (capture / "transforms.json").is_file():
        raise InputError(f"{capture} holds no transforms.json.", hint="Give the folder of the fox capture.")
    cameras = Cameras.load(capture / "transforms.json")
    there = [i for i, name in enumerate(cameras.names) if (capture / "images" / name).is_file()]
    cameras = cameras.take(sorted(there, key=lambda i: cameras.names[i]))
    points = cache / "fox_points.ply"
    if not points.is_file():
        write_points_ply(points, *_triangulate(cameras, capture / "images", cache, threads))
    views = cache / f"fox_{max_side}.npz"
    if not views.is_file():
        images, _ = load_views(cameras, capture / "images", max_side=max_side)
        np.savez(views, images=np.stack(images))
    pinhole = cameras.resized(max_side)
    pinhole = Cameras(
        T_world_camera=pinhole.T_world_camera, K=pinhole.K, size_wh=pinhole.size_wh,
        distortion=np.zeros_like(pinhole.distortion), names=pinhole.names,
    )  # fmt: skip
    return list(np.load(views)["images"]), pinhole, *read_points_ply(points)


def _triangulate(cameras: Cameras, images: Path, cache: Path, threads: int) -> tuple[np.ndarray, np.ndarray]:
    import pycolmap

    cache.mkdir(parents=True, exist_ok=True)
    database_path = cache / "fox.db"
    database_path.unlink(missing_ok=True)
    train = [n for i, n in enumerate(cameras.names) if i % HELD_OUT_EVERY]
    K, distortion = cameras.K[0], cameras.distortion[0]
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = "OPENCV"
    reader.camera_params = ",".join(map(str, [K[0, 0], K[1, 1], K[0, 2], K[1, 2], *distortion]))
    extraction = pycolmap.FeatureExtractionOptions()
    extraction.use_gpu, extraction.max_image_size, extraction.num_threads = False, 1200, threads
    extraction.sift.max_num_features = 5000
    pycolmap.extract_features(
        database_path, images, image_names=train, camera_mode=pycolmap.CameraMode.SINGLE, reader_options=reader,
        extraction_options=extraction,
    )  # fmt: skip
    matching = pycolmap.FeatureMatchingOptions()
    matching.use_gpu, matching.num_threads = False, threads
    pairing = pycolmap.SequentialPairingOptions()
    pairing.overlap, pairing.quadratic_overlap = 10, True
    pycolmap.match_sequential(database_path, matching_options=matching, pairing_options=pairing)
    database = pycolmap.Database.open(database_path)
    model = pycolmap.Reconstruction()
    camera = database.read_all_cameras()[0]
    model.add_camera_with_trivial_rig(camera)
    for row in database.read_all_images():
        image = pycolmap.Image(name=row.name, camera_id=camera.camera_id, image_id=row.image_id)
        T = cameras.T_camera_world[cameras.names.index(row.name)]
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(T[:3]))
    sparse = cache / "fox_sparse"
    sparse.mkdir(exist_ok=True)
    model = pycolmap.triangulate_points(model, database_path, images, sparse)
    points = list(model.points3D.values())
    return np.array([p.xyz for p in points]), np.array([p.color for p in points], np.uint8)
