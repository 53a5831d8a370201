"""Capture → cameras → splat → mesh, each a stage of the scene folder, chained by fingerprints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.config import Config, parse_config, write_json
from phone2sim.libraries import load_pycolmap
from phone2sim.progress import message
from phone2sim.reconstruct.capture import Capture, CaptureConfig, capture_stage
from phone2sim.reconstruct.capture.layers import write_layers
from phone2sim.reconstruct.coach import coach_stage
from phone2sim.reconstruct.mesh.stage import MeshConfig, mesh_stage
from phone2sim.reconstruct.metric import Metric, MetricConfig, estimate_metric
from phone2sim.reconstruct.metric.length import check_picks, parse_picked_length
from phone2sim.reconstruct.metric.rescale import settle_splat
from phone2sim.reconstruct.photo.models import need_packages, predicted_depths
from phone2sim.reconstruct.photo.stage import PhotoConfig, photo_cameras_stage, photo_splat_stage
from phone2sim.reconstruct.points import write_points_ply
from phone2sim.reconstruct.sfm import SfmConfig, SfmResult, solve
from phone2sim.reconstruct.sfm.solve import clear, scratch
from phone2sim.reconstruct.splat.config import SplatConfig
from phone2sim.stage import StageResult, identity, run_stage

VERSION = 1


class ReconstructConfig(Config):
    """Settings of every stage up to the splat."""

    capture: CaptureConfig = CaptureConfig()
    """Frames."""
    sfm: SfmConfig = SfmConfig()
    """Cameras."""
    metric: MetricConfig = MetricConfig()
    """Scale and up."""
    splat: SplatConfig = SplatConfig()
    """Training."""
    mesh: MeshConfig = MeshConfig()
    """The surface of everything seen."""
    photo: PhotoConfig = PhotoConfig()
    """A single photo, in place of the three before."""
    depth_model: str | None = None
    """Depth model that votes on a clip's scale; None: none does."""

    @classmethod
    def of(
        cls, *, seed: int = 0, tag_size_m: float | None = None, max_side: int | None = None, steps: int | None = None,
        charuco: str | None = None, references: tuple[str, ...] = (), length_points: tuple[str, ...] = (),
        depth_model: str | None = None, checkpoint: str | None = None, backend: str | None = None, nerfstudio_env: str | None = None,
    ) -> ReconstructConfig:  # fmt: skip
        """The defaults with the few things a user usually sets: one seed, tag edge [m], splat side [px] and steps, and
        what tells the scale (see `MetricConfig`)."""
        sizes = {"tag_size_m": tag_size_m, "charuco": charuco, "references": references, "length_points": length_points}
        chosen: dict[str, Any] = {"max_side": max_side, "iterations": steps, "backend": backend, "nerfstudio_env": nerfstudio_env}
        return cls(
            sfm=SfmConfig(seed=seed),
            metric=parse_config(MetricConfig, {"seed": seed, **sizes}, where="scale options"),
            splat=SplatConfig(seed=seed, **{k: v for k, v in chosen.items() if v is not None}),
            photo=PhotoConfig(
                seed=seed, tag_size_m=tag_size_m, charuco=charuco, references=references, depth_model=depth_model or "auto",
                checkpoint=checkpoint,
            ),
            depth_model=depth_model,
        )


@dataclass(frozen=True, kw_only=True)
class ReconstructResult:
    """The finished stages of a scene."""

    scene: Path
    capture: StageResult
    cameras: StageResult
    splat: StageResult
    mesh: StageResult

    def to_json(self) -> dict[str, Any]:
        """`{scene, cameras, metric, splat, mesh}` as printed by `--json`."""
        solved = self.cameras.manifest["result"]
        trained = self.splat.manifest["result"]
        return {
            "scene": str(self.scene),
            "cameras": {k: solved["cameras"][k] for k in ("total", "registered", "reprojection_px")},
            "metric": {k: solved["metric"][k] for k in ("scale_source", "scale_interval", "up_source")},
            "splat": {k: trained[k] for k in ("psnr", "ssim", "gaussians", "seconds") if k in trained},
            "mesh": self.mesh.manifest["result"] | {"file": str(self.mesh.folder / "mesh.ply")},
        }


def reconstruct(
    source: Path, scene_dir: Path, config: ReconstructConfig | None = None, *, force: bool = False
) -> ReconstructResult:
    """Reconstruct a clip or photo folder into `scene_dir/{capture,cameras,splat,mesh}`.

    Stages whose settings and inputs did not change are skipped. Raises `CaptureError` for input that cannot be used
    and `ReconstructionError` when the capture cannot work (`force` tries anyway) or cameras cannot be trusted; a scene
    folder made for a failed capture is removed.
    """
    from phone2sim.reconstruct.splat.stage import train_splat_stage

    config = config or ReconstructConfig()
    source, scene = Path(source), Path(scene_dir)
    fresh = not scene.exists()
    try:
        captured = capture_stage(source, scene, config.capture, force=force)
    except BaseException:
        if fresh and scene.is_dir() and not any(scene.iterdir()):
            scene.rmdir()
        raise
    capture = Capture.load(captured.folder)
    for text in capture.advice:
        message(text)
    if capture.kind == "photo":
        measured = photo_cameras_stage(scene, config.photo, capture_fingerprint=captured.fingerprint, force=force)
        settle_splat(scene)
        shown = photo_splat_stage(
            scene, config.photo, cameras_fingerprint=identity(measured.manifest), force=force
        )
        mesh = mesh_stage(scene, config.mesh, cameras=measured, splat=shown, force=force)
        return ReconstructResult(scene=scene, capture=captured, cameras=measured, splat=shown, mesh=mesh)
    coach_stage(scene, capture_fingerprint=captured.fingerprint, force=force)
    solved = cameras_stage(scene, config, capture_fingerprint=captured.fingerprint, force=force)
    settle_splat(scene)
    splat = train_splat_stage(scene, config.splat, cameras_fingerprint=identity(solved.manifest), force=force)
    mesh = mesh_stage(scene, config.mesh, cameras=solved, splat=splat, force=force)
    return ReconstructResult(scene=scene, capture=captured, cameras=solved, splat=splat, mesh=mesh)


def cameras_stage(
    scene: Path, config: ReconstructConfig, *, capture_fingerprint: str, force: bool = False
) -> StageResult:
    """`scene/capture` → `scene/cameras`: transforms.json, sparse/0, points.ply, metric.json, all metric and z up."""
    chosen = {"sfm": config.sfm.model_dump(mode="json"), "metric": config.metric.model_dump(mode="json")}
    chosen["sfm"].pop("threads")  # speed only
    chosen["sfm"].pop("time_limit_s")
    model = None if config.depth_model == "none" else config.depth_model
    if model is not None:
        chosen["depth"] = {"model": model, "checkpoint": config.photo.checkpoint}

    def compute(folder: Path) -> dict[str, Any]:
        capture = Capture.load(scene / "capture")
        if model is not None:
            need_packages()
        for text in config.metric.length_points:
            check_picks(parse_picked_length(text), capture)
        work = scratch()
        try:
            solved = solve(capture, work, config.sfm)
            depths = None
            if model is not None:
                weights = None if config.photo.checkpoint is None else Path(config.photo.checkpoint)
                depths = predicted_depths(solved.model.cameras, capture.pictures, model, checkpoint=weights)
            metric = estimate_metric(solved.model, capture.pictures, config.metric, capture=capture, depths=depths)
            write_cameras(folder, solved, metric, capture)
        finally:
            clear(work)
        for text in metric.flagged:
            message(f"Scale and up: {text}.")
        return _figures(capture, solved, metric)

    return run_stage(
        scene / "cameras", version=VERSION, config=chosen, inputs={"capture": capture_fingerprint}, compute=compute,
        force=force,
    )  # fmt: skip


def write_cameras(folder: Path, solved: SfmResult, metric: Metric, capture: Capture | None = None) -> None:
    """Write an SfM result in its metric world into the empty `folder`, with the masks and depth of its capture."""
    pycolmap = load_pycolmap()

    scale, T = metric.scale.value, metric.T_world_model
    world = solved.model.transformed(scale, T)
    masks, depths = write_layers(folder, capture, world.cameras) if capture else ({}, {})
    world.cameras.save(folder / "transforms.json", masks=masks, depths=depths)
    write_points_ply(folder / "points.ply", world.xyz.astype(np.float32), world.rgb)
    write_json(folder / "metric.json", metric.to_json())
    model = pycolmap.Reconstruction(solved.sparse)
    model.transform(pycolmap.Sim3d(scale, pycolmap.Rotation3d(T[:3, :3]), T[:3, 3]))
    (folder / "sparse" / "0").mkdir(parents=True)
    model.write_binary(folder / "sparse" / "0")


def _figures(capture: Capture, solved: SfmResult, metric: Metric) -> dict[str, Any]:
    return {
        "cameras": {
            "total": len(capture.frames),
            "registered": len(solved.model.cameras),
            "reprojection_px": round(solved.model.reprojection_px, 4),
            "points": len(solved.model.xyz),
            "unregistered": list(solved.unregistered),
            "flags": list(solved.flags),
            "attempts": list(solved.attempts),
        },
        "metric": {
            "scale_source": metric.scale_source,
            "scale_interval": [round(v, 5) for v in metric.scale_interval],
            "up_source": metric.up_source,
            "support": metric.support is not None,
            "flagged": list(metric.flagged),
        },
    }
