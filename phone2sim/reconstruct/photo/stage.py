"""The stages of a single photo: `capture/` → `cameras/` (with its depth in metres) → `splat/`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.config import Config, read_json, write_json
from phone2sim.errors import ReconstructionError
from phone2sim.images import read_rgb, write_rgb
from phone2sim.keys import Key
from phone2sim.progress import message
from phone2sim.reconstruct.cameras import Cameras, load_views
from phone2sim.reconstruct.capture.record import Capture, Frame
from phone2sim.reconstruct.photo.align import Aligned, PhotoDepth, align
from phone2sim.reconstruct.photo.plane import world_of, world_without_plane
from phone2sim.reconstruct.photo.ruler import find_ruler
from phone2sim.reconstruct.photo.surface import cloud_of, patches, resized, sample_points, settled, sharpened
from phone2sim.reconstruct.points import write_points_ply
from phone2sim.stage import StageResult, run_stage

VERSION = 1
USUAL_FOCAL = 0.78
"""Focal length of phones' main cameras, in units of the longer side, where a photo names none."""


class PhotoConfig(Config):
    """How a single photo is measured."""

    tag_size_m: float | None = None
    """Edge [m] of AprilTags (tag36h11) that are not the phone2sim sheet's."""
    charuco: str | None = None
    """A ChArUco board in view, as in `MetricConfig`."""
    references: tuple[str, ...] = ()
    """Things of known size in view: `a4`, `letter`, `card`."""
    depth_model: str = "auto"
    """Which depth model to ask where the file holds no depth: a name from `models.MODELS`, `auto`, or `none`."""
    checkpoint: str | None = None
    """Folder of that model's weights; None fetches them."""
    depth_side: int = 1024
    """Longer side of the depth map [px]."""
    splat_side: int = 720
    """Longer side of the picture the Gaussians stand for [px]."""
    seed: int = 0
    """Seed of the plane search."""


def photo_cameras_stage(
    scene: Path, config: PhotoConfig, *, capture_fingerprint: str, force: bool = False
) -> StageResult:
    """`scene/capture` of kind `photo` → `scene/cameras`: transforms.json, depth.npy, points.ply, metric.json.

    `depth.npy` is (h, w) float32 [m] along the camera's z axis, 0 where nothing is known. Raises
    `MissingDependencyError` when the photo holds no depth and the extra `depth` is not installed.
    """
    settings = config.model_dump(mode="json", exclude={"splat_side"})

    def compute(folder: Path) -> dict[str, Any]:
        capture = Capture.load(scene / "capture")
        frame = capture.frames[0]
        rgb = read_rgb(capture.pictures / frame.file)
        given, focal = find_depth(capture, rgb, config)
        K, focal_known = intrinsics(frame, focal)
        aligned, K = measure(rgb, given, K, config, focal_known=focal_known, up_camera=frame.up_camera)
        cameras = write_photo_cameras(folder, frame, rgb, aligned, K)
        for text in aligned.flagged:
            message(f"Scale and up: {text}.")
        return _figures(aligned, given, cameras)

    return run_stage(
        scene / "cameras", version=VERSION, config={"photo": settings}, inputs={"capture": capture_fingerprint},
        compute=compute, force=force,
    )  # fmt: skip


def find_depth(capture: Capture, rgb: np.ndarray, config: PhotoConfig) -> tuple[PhotoDepth, float | None]:
    """Depth of the only frame: the file's own, else a model's; and the focal length [px] when the model estimates it."""
    frame = capture.frames[0]
    stored = capture.depth(frame)
    if stored is not None and (stored > 0).mean() > 0.2:
        if capture.device is not None and capture.device.metric:
            kind = "device"
        else:
            kind = "rough" if 0.1 < float(np.median(stored[stored > 0])) < 8 and frame.lens is not None else "relative"
        return PhotoDepth(depth=stored, kind=kind, source="depth inside the photo"), None
    from phone2sim.reconstruct.photo.models import open_model

    model = open_model(config.depth_model, checkpoint=None if config.checkpoint is None else Path(config.checkpoint))
    lens = frame.lens[0] if frame.lens is not None else frame.focal_px
    depth, focal = model.predict_with_focal(rgb, lens)
    return PhotoDepth(depth=depth, kind="model", source=f"depth model {model.name}"), focal


def intrinsics(frame: Frame, focal_px: float | None) -> tuple[np.ndarray, bool]:
    """K (3, 3) [px] of the stored picture, and whether its focal length is known."""
    if frame.lens is not None:
        fx, fy, cx, cy = frame.lens
        return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]), True
    f = frame.focal_px or focal_px or USUAL_FOCAL * max(frame.width, frame.height)
    K = np.array([[f, 0, frame.width / 2], [0, f, frame.height / 2], [0, 0, 1.0]])
    return K, frame.focal_px is not None or focal_px is not None


def measure(
    rgb: np.ndarray, given: PhotoDepth, K: np.ndarray, config: PhotoConfig, *, focal_known: bool,
    up_camera: tuple[float, float, float] | None = None,
) -> tuple[Aligned, np.ndarray]:  # fmt: skip
    """The depth in metres at `depth_side`, and K of the full picture (its focal length solved for where it can be)."""
    from dataclasses import replace

    ruler = find_ruler(
        rgb,
        K,
        tag_size_m=config.tag_size_m,
        charuco=config.charuco,
        references=config.references,
        focal_known=focal_known,
    )
    if ruler is not None and ruler.focal_share is not None:
        K = K.copy()
        K[0, 0] = K[1, 1] = ruler.focal_px
        focal_known = True
    h, w = rgb.shape[:2]
    s = min(1.0, config.depth_side / max(h, w))
    sw, sh = max(1, round(w * s)), max(1, round(h * s))
    small = K.copy()
    small[0] *= sw / w
    small[1] *= sh / h
    if ruler is not None:
        ruler = replace(ruler, outline_px=ruler.outline_px * [sw / w, sh / h])
    given = replace(given, depth=settled(resized(settled(given.depth), sw, sh)))
    aligned = align(
        given, small, ruler, key=Key(config.seed).child("photo"), focal_known=focal_known,
        up_camera=None if up_camera is None else np.asarray(up_camera),
    )  # fmt: skip
    if not (aligned.depth > 0).any():
        raise ReconstructionError("The photo's depth is empty.", hint="Take it again, or film a clip.")
    return aligned, K


def write_photo_cameras(folder: Path, frame: Frame, rgb: np.ndarray, aligned: Aligned, K: np.ndarray) -> Cameras:
    """Write the measured photo into the empty `folder`."""
    h, w = aligned.depth.shape
    small = K.copy()
    small[0] *= w / frame.width
    small[1] *= h / frame.height
    if aligned.plane is not None:
        T = world_of(aligned.plane, aligned.depth, small)
    else:
        T = world_without_plane(aligned.depth, small, None if frame.up_camera is None else np.asarray(frame.up_camera))
    cameras = Cameras(
        T_world_camera=T[None], K=K[None], size_wh=np.array([[frame.width, frame.height]]), distortion=np.zeros((1, 4)),
        names=(frame.file,), sources=(frame.source,),
    )  # fmt: skip
    cameras.save(folder / "transforms.json")
    np.save(folder / "depth.npy", aligned.depth)
    import cv2

    picture = cv2.resize(rgb, (w, h), interpolation=cv2.INTER_AREA)
    xyz, color = sample_points(picture, aligned.depth, small, T)
    write_points_ply(folder / "points.ply", xyz.astype(np.float32), color)
    write_json(folder / "metric.json", metric_json(aligned))
    return cameras


def metric_json(aligned: Aligned) -> dict[str, Any]:
    """The same fields as for a capture of many pictures."""
    s, plane = aligned.scale, aligned.plane
    support = None
    if plane is not None:
        support = {
            "found": True, "inliers": int(plane.on.sum()), "part": round(float(plane.on.mean()), 3), "height": 0.0,
            "residual_m": round(plane.residual, 6),
        }  # fmt: skip
    return {
        "scale": s.to_json(),
        "scale_source": aligned.scale_source,
        "scale_interval": [round(s.low / s.value, 5), round(s.high / s.value, 5)],
        "up_source": "support plane" if plane is not None else "cameras",
        "up_interval_deg": 2.0 if plane is not None else 20.0,
        "support": support,
        "votes": list(aligned.votes),
        "flagged": [*aligned.flagged, "one photo: what it does not show is guessed"],
    }


def _figures(aligned: Aligned, given: PhotoDepth, cameras: Cameras) -> dict[str, Any]:
    metric = metric_json(aligned)
    keys = ("scale_source", "scale_interval", "up_source", "flagged")
    return {
        "cameras": {
            "total": 1, "registered": 1, "reprojection_px": None, "points": int((aligned.depth > 0).sum()),
            "unregistered": [], "flags": [], "attempts": [f"{given.source} ({given.kind})"],
            "focal_px": round(float(cameras.K[0, 0, 0]), 2),
        },
        "metric": {k: metric[k] for k in keys} | {"support": metric["support"] is not None},
    }  # fmt: skip


def photo_splat_stage(
    scene: Path, config: PhotoConfig, *, cameras_fingerprint: str, force: bool = False
) -> StageResult:
    """`scene/cameras` of a photo → `scene/splat`: one flat Gaussian a patch of visible surface, nothing where it hides."""

    def compute(folder: Path) -> dict[str, Any]:
        import time

        from phone2sim.reconstruct.splat.judge import psnr, ssim

        start = time.monotonic()
        cameras = Cameras.load(scene / "cameras" / "transforms.json")
        depth = np.load(scene / "cameras" / "depth.npy")
        images, small = load_views(cameras, scene / "capture" / "frames", max_side=config.splat_side)
        rgb = images[0].astype(np.float32) / 255
        h, w = rgb.shape[:2]
        squares = patches(rgb, resized(depth, w, h))
        cloud = cloud_of(squares, small.K[0], small.T_world_camera[0])
        cloud, shown = sharpened(cloud, squares, rgb, small.K[0], small.T_camera_world[0])
        cloud.save_ply(folder / "splat.ply")
        write_rgb(folder / "view" / "photo.png", images[0])
        write_rgb(folder / "view" / "render.png", np.clip(shown, 0, 1))
        train = round(psnr(shown, rgb), 4)
        structure = round(ssim(shown.transpose(2, 0, 1), np.ascontiguousarray(rgb.transpose(2, 0, 1))), 4)
        metrics: dict[str, Any] = {
            "psnr": None, "ssim": None, "train_psnr": train, "train_ssim": structure, "gaussians": len(cloud),
            "seconds": round(time.monotonic() - start, 2), "backend": "photo", "heldout": [], "held_out": "none: one photo",
        }  # fmt: skip
        write_json(folder / "metrics.json", metrics)
        return {k: metrics[k] for k in ("psnr", "ssim", "train_psnr", "gaussians", "seconds", "held_out")}

    return run_stage(
        scene / "splat", version=VERSION, config={"photo": {"splat_side": config.splat_side}},
        inputs={"cameras": cameras_fingerprint}, compute=compute, force=force,
    )  # fmt: skip


def is_photo(scene: Path) -> bool:
    """Whether the scene's capture is a single photo."""
    path = scene / "capture" / "capture.json"
    return path.exists() and read_json(path).get("kind") == "photo"
