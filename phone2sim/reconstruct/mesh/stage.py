"""The mesh stage: `cameras/` and `splat/` of a scene folder → `mesh/mesh.ply`, the surface of everything seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from phone2sim.config import Config
from phone2sim.progress import message
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.mesh.depth import agreeing, depth_views
from phone2sim.reconstruct.mesh.fusion import fuse_sparse
from phone2sim.reconstruct.mesh.isosurface import sparse_isosurface
from phone2sim.reconstruct.mesh.surface import SurfaceMesh, vertex_colors, without_floaters
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.stage import StageResult, run_stage

VERSION = 2


class MeshConfig(Config):
    """How the surface is fused."""

    max_side: int = Field(default=480, ge=32)
    """Longer side of the depth pictures [px]."""
    max_views: int = Field(default=48, ge=2)
    """Cameras that depth is rendered at, spread evenly over the capture."""
    voxel: float = Field(default=1 / 200, gt=0)
    """Edge of a voxel relative to the filming distance."""
    reach: float = Field(default=2.5, gt=0)
    """Surfaces farther from the cameras than this many filming distances are left out."""
    floater: float = Field(default=0.08, ge=0)
    """Connected parts of less area than a square of this side, relative to the filming distance, are dropped."""


def filming_distance(depths: list[np.ndarray]) -> float:
    """Median depth [m] of the middle third of pictures (h, w), zeros left out; 0 when nothing is seen."""
    middles = []
    for d in depths:
        h, w = d.shape
        middle = d[h // 3 : h - h // 3, w // 3 : w - w // 3]
        middles.append(middle[middle > 0])
    z = np.concatenate(middles) if middles else np.zeros(0)
    return float(np.median(z)) if len(z) else 0.0


def fuse_surface(cloud: SplatCloud, cameras: Cameras, config: MeshConfig = MeshConfig()) -> SurfaceMesh:  # noqa: B008
    """The surface that `cloud` shows to pinhole `cameras`, without floaters; no triangles when nothing opaque is seen."""
    chosen = np.unique(np.round(np.linspace(0, len(cameras) - 1, min(len(cameras), config.max_views))).astype(int))
    views = depth_views(cloud, cameras.take(chosen), max_side=config.max_side)
    distance = filming_distance([v.depth for v in views])
    empty = SurfaceMesh(vertices=np.zeros((0, 3)), faces=np.zeros((0, 3)), colors=np.zeros((0, 3)))
    if distance == 0:
        return empty
    for view in views:
        view.depth[view.depth > config.reach * distance] = 0
    if len(views) > 1:
        views = list(agreeing(views))
    voxel = config.voxel * distance
    field = fuse_sparse(views, voxel=voxel)
    known = field.weight >= min(2, len(views))
    vertices, faces = sparse_isosurface(field.ijk[known], field.tsdf[known])
    if not len(faces):
        return empty
    vertices = vertices * voxel
    mesh = SurfaceMesh(vertices=vertices, faces=faces, colors=vertex_colors(vertices, views, tolerance_m=2 * voxel))
    centres = cameras.centres
    return without_floaters(mesh, centres=centres, clear_m=0.2 * distance, min_area_m2=(config.floater * distance) ** 2)


def mesh_stage(
    scene_dir: Path, config: MeshConfig | None = None, *, cameras: StageResult, splat: StageResult, force: bool = False
) -> StageResult:
    """Write `scene_dir/mesh/mesh.ply`: vertex colours, metres, z up. The manifest's result has vertices, faces, area_m2."""
    config = config or MeshConfig()

    def compute(folder: Path) -> dict[str, Any]:
        posed = Cameras.load(scene_dir / "cameras" / "transforms.json")
        pinhole = replace(posed, distortion=np.zeros_like(posed.distortion))
        mesh = fuse_surface(SplatCloud.load_ply(scene_dir / "splat" / "splat.ply"), pinhole, config)
        if not len(mesh.faces):
            message("The splat shows no surface that two pictures agree on: mesh.ply is empty.")
        mesh.save_ply(folder / "mesh.ply")
        return {"vertices": len(mesh.vertices), "faces": len(mesh.faces), "area_m2": round(float(mesh.areas.sum()), 4)}

    inputs = {"cameras": cameras.fingerprint, "splat": splat.fingerprint}
    return run_stage(scene_dir / "mesh", version=VERSION, config=config, inputs=inputs, compute=compute, force=force)
