"""Matches → poses and points with pycolmap: incrementally, all at once, or from the poses that the device told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.libraries import load_pycolmap
from phone2sim.reconstruct.sfm.features import say
from phone2sim.reconstruct.sfm.job import Job

ROUNDS_PX = (24.0, 4.0)
"""Reprojection error beyond which a point is dropped, in each round from device poses."""
CONVERGED_PX = 1.0
"""A larger mean error after the first round takes another one in between."""

FREE_LENS_DEG = 5.0
"""Median parallax above which a lens that was held is refined after all."""


def map_scene(job: Job, database: Path, out: Path) -> Any:
    """The model with the most frames by the method of the job, or None."""
    out.mkdir(exist_ok=True)
    if job.method == "known":
        return known_poses(job, database, out)
    if job.method == "device":
        return told_poses(job, database, out)
    if job.method == "global":
        return _largest(map_globally(job, database, out))
    model = _largest(map_incrementally(job, database, out))
    if job.method == "held" and model is not None and parallax_deg(model) > FREE_LENS_DEG:
        adjust(model, lens=True, tolerance=1e-6)
    return model


def _largest(models: dict[int, Any]) -> Any:
    return max(models.values(), key=lambda m: (m.num_reg_images(), m.num_points3D()), default=None)


def wanted_focal(model: Any) -> float:
    """Focal length that the pictures would choose if it were free, as a factor of the model's (the farthest from 1)."""
    pycolmap = load_pycolmap()

    free = pycolmap.Reconstruction(model)
    adjust(free, lens=True, tolerance=1e-6)
    factors = [free.cameras[i].mean_focal_length() / c.mean_focal_length() for i, c in model.cameras.items()]
    return float(max(factors, key=lambda f: abs(np.log(f)), default=1.0))


def parallax_deg(model: Any) -> float:
    """Median angle at a point between the first and the last camera of its track."""
    centre = {im.image_id: im.projection_center() for im in model.images.values() if im.has_pose}
    a, b, x = [], [], []
    for p in model.points3D.values():
        ends = p.track.elements
        a.append(centre[ends[0].image_id])
        b.append(centre[ends[-1].image_id])
        x.append(p.xyz)
    if not x:
        return 0.0
    u, v = np.array(a) - x, np.array(b) - x
    cosine = (u * v).sum(1) / np.maximum(np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1), 1e-12)
    return float(np.degrees(np.median(np.arccos(np.clip(cosine, -1, 1)))))


def incremental_options(job: Job) -> Any:
    """Options of the incremental mapper and the triangulator for the method of the job."""
    pycolmap = load_pycolmap()

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
    if job.method in ("loose", "held"):
        options.mapper.init_min_tri_angle = 4.0
        options.mapper.init_max_forward_motion = 0.999
        options.mapper.init_min_num_inliers = 50
        options.mapper.abs_pose_min_num_inliers = 15
        options.mapper.abs_pose_min_inlier_ratio = 0.15
        options.mapper.filter_min_tri_angle = 0.5
        options.mapper.ba_local_min_tri_angle = 2.0
        options.triangulation.min_angle = 0.5
        options.triangulation.ignore_two_view_tracks = False
        options.ba_global_function_tolerance = 0.0
        options.ba_global_frames_ratio = options.ba_global_points_ratio = 1.1
    if job.method == "held" or all(g.lens is not None for g in job.groups):
        options.ba_refine_focal_length = False
        options.mapper.abs_pose_refine_focal_length = False
        options.ba_refine_extra_params = False
        options.mapper.abs_pose_refine_extra_params = False
    return options


def map_incrementally(job: Job, database: Path, out: Path, *, start: Path | None = None) -> dict[int, Any]:
    """From scratch, or registering what is missing in the model at `start`."""
    pycolmap = load_pycolmap()

    options = incremental_options(job)
    state = {"n": 2}

    def registered() -> None:
        state["n"] += 1
        say("mapping", min(state["n"], len(job.names)), len(job.names))

    return pycolmap.incremental_mapping(
        database, job.frames, out, options=options, input_path=start or "", next_image_callback=registered
    )


def map_globally(job: Job, database: Path, out: Path) -> dict[int, Any]:
    """All cameras at once (GLOMAP, Pan et al. 2024). It may be wrong without a sign: only a candidate for the checks."""
    pycolmap = load_pycolmap()

    options = pycolmap.GlobalPipelineOptions()
    options.num_threads = 1
    options.random_seed = job.seed
    options.mapper.num_threads = 1
    options.mapper.random_seed = job.seed
    options.mapper.global_positioning.use_gpu = False
    options.mapper.bundle_adjustment.ceres.use_gpu = False
    return pycolmap.global_mapping(database, job.frames, out, options=options)


def posed_model(job: Job, database: Path) -> Any:
    """A model without points that holds the device's poses; the other frames have none."""
    pycolmap = load_pycolmap()

    told = {p.name: np.asarray(p.T_world_camera) for p in job.posed}
    model = pycolmap.Reconstruction()
    with pycolmap.Database.open(database) as db:
        for camera in db.read_all_cameras():
            model.add_camera(camera)
        for rig in db.read_all_rigs():
            model.add_rig(rig)
        images = {im.image_id: im for im in db.read_all_images()}
        for frame in db.read_all_frames():
            for data in frame.data_ids:
                T = told.get(images[data.id].name)
                if T is not None:
                    frame.rig_from_world = rigid(np.linalg.inv(T))
            model.add_frame(frame)
        for im in images.values():
            im.points2D = pycolmap.Point2DList(
                [pycolmap.Point2D(xy) for xy in np.asarray(db.read_keypoints(im.image_id))[:, :2]]
            )
            model.add_image(im)
        for frame_id, frame in model.frames.items():
            if frame.has_pose():
                model.register_frame(frame_id)
    return model


def rigid(T: np.ndarray) -> Any:
    """(4, 4) → pycolmap.Rigid3d, with the rotation made exact."""
    pycolmap = load_pycolmap()

    U, _, Vt = np.linalg.svd(T[:3, :3])
    return pycolmap.Rigid3d(pycolmap.Rotation3d(U @ Vt), T[:3, 3])


def known_poses(job: Job, database: Path, out: Path) -> Any:
    """Triangulate from the device's poses and adjust poses and points together, from coarse to fine.

    Frames without a pose are registered afterwards against the points. The world is the device's, up to the drift of
    the adjustment; the caller aligns it again.
    """
    pycolmap = load_pycolmap()

    model = posed_model(job, database)
    calibrated = all(g.lens is not None for g in job.groups)
    rounds = list(ROUNDS_PX)
    for k, limit in enumerate(rounds):
        options = incremental_options(job)
        options.ba_global_max_refinements = 1
        options.ba_global_max_num_iterations = 5
        options.mapper.filter_max_reproj_error = limit
        options.triangulation.create_max_angle_error = options.triangulation.continue_max_angle_error = max(
            2.0, limit / 6
        )
        options.triangulation.merge_max_reproj_error = options.triangulation.complete_max_reproj_error = limit
        folder = out / f"round{k}"
        folder.mkdir()
        model = pycolmap.triangulate_points(model, database, job.frames, folder, clear_points=True, options=options)
        if model.num_points3D() < 20:
            return model
        last = k == len(rounds) - 1
        adjust(model, lens=not calibrated and k > 0, tolerance=1e-6 if last else 1e-4)
        if k == 0 and model.compute_mean_reprojection_error() > CONVERGED_PX:
            rounds.insert(1, 2 * rounds[-1])
        if last and calibrated and model.compute_mean_reprojection_error() > 1.0:
            adjust(model, lens=True, tolerance=1e-6)
        say("mapping", (k + 1) / len(rounds) * len(job.posed), len(job.names))
    posed = {p.name for p in job.posed}
    if any(n not in posed for n in job.names):
        start, more = out / "known", out / "more"
        start.mkdir()
        more.mkdir()
        model.write(start)
        grown = _largest(map_incrementally(job, database, more, start=start))
        if grown is not None and grown.num_reg_images() > model.num_reg_images():
            model = grown
    return model


def told_poses(job: Job, database: Path, out: Path) -> Any:
    """The device's poses as they are, with what can be triangulated from them."""
    pycolmap = load_pycolmap()

    options = incremental_options(job)
    options.mapper.filter_max_reproj_error = ROUNDS_PX[0]
    folder = out / "told"
    folder.mkdir()
    return pycolmap.triangulate_points(posed_model(job, database), database, job.frames, folder, options=options)


def adjust(model: Any, *, lens: bool, tolerance: float) -> None:
    """Robust bundle adjustment of poses and points, and of the lens if asked; then points that do not fit are dropped."""
    pycolmap = load_pycolmap()

    options = pycolmap.BundleAdjustmentOptions()
    options.print_summary = False
    options.refine_focal_length = options.refine_extra_params = lens
    options.ceres.loss_function_type = pycolmap.LossFunctionType.SOFT_L1
    options.ceres.solver_options.num_threads = 1
    options.ceres.solver_options.function_tolerance = tolerance
    options.ceres.solver_options.max_num_iterations = 50
    pycolmap.bundle_adjustment(model, options)
    pycolmap.ObservationManager(model).filter_all_points3D(4.0, 1.5)
    model.update_point_3d_errors()
