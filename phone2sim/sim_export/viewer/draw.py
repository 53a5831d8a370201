"""What the viewer draws: splats, textured meshes, hulls and cameras as viser nodes."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np

from phone2sim.assets.mesh import TexturedMesh
from phone2sim.poses import Pose, quat_to_matrix
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.splat.cloud import SplatCloud

FAINT = 0.004
"""Gaussians with less opacity are not sent: nobody sees them."""


def covariances(cloud: SplatCloud) -> np.ndarray:
    """(n, 3, 3) float32 [m²]: R S² Rᵀ (Kerbl et al. 2023)."""
    axes = quat_to_matrix(cloud.quats_wxyz) * cloud.scales[:, None, :]
    return (axes @ axes.transpose(0, 2, 1)).astype(np.float32)


def add_splat(server: Any, name: str, cloud: SplatCloud, pose: Pose | None = None) -> Any:
    """The Gaussians with the colour they have from all sides; `pose` is where their frame stands."""
    seen = cloud.take(cloud.opacities > FAINT)
    at = {} if pose is None else {"wxyz": pose.quat_wxyz, "position": pose.translation}
    return server.scene.add_gaussian_splats(
        name, centers=seen.means, covariances=covariances(seen), rgbs=seen.colors, opacities=seen.opacities[:, None], **at
    )


def add_mesh(server: Any, name: str, mesh: TexturedMesh, pose: Pose, *, rgb: np.ndarray | None = None) -> Any:
    """A mesh with its texture, or in one linear colour `rgb` (3,) 0–1."""
    if mesh.texture is not None:
        return server.scene.add_mesh_trimesh(name, mesh.to_trimesh(), wxyz=pose.quat_wxyz, position=pose.translation)
    srgb = np.clip((np.full(3, 0.6) if rgb is None else np.asarray(rgb)) ** (1 / 2.2) * 255, 0, 255).astype(int)
    return server.scene.add_mesh_simple(
        name, mesh.vertices, mesh.faces, color=tuple(srgb.tolist()), wxyz=pose.quat_wxyz, position=pose.translation,
        flat_shading=True, side="double",
    )  # fmt: skip


def add_hulls(server: Any, name: str, hulls: tuple[TexturedMesh, ...], pose: Pose) -> Any:
    """Convex parts below one node, each in a colour of its own."""
    frame = server.scene.add_frame(name, show_axes=False, wxyz=pose.quat_wxyz, position=pose.translation)
    for k, hull in enumerate(hulls):
        color = tuple(round(255 * c) for c in colorsys.hsv_to_rgb((0.61 * k) % 1, 0.55, 0.95))
        server.scene.add_mesh_simple(
            f"{name}/hull_{k}", hull.vertices, hull.faces, color=color, opacity=0.75, flat_shading=True, side="double"
        )
    return frame


def add_camera(server: Any, name: str, T_world_camera: np.ndarray, K: np.ndarray, width: int, height: int, **options: Any) -> Any:
    """A frustum at an OpenCV camera (4, 4) with intrinsics K (3, 3) [px]."""
    pose = Pose.from_matrix(np.asarray(T_world_camera))
    return server.scene.add_camera_frustum(
        name, fov=float(2 * np.arctan(0.5 * height / K[1][1])), aspect=width / height, wxyz=pose.quat_wxyz,
        position=pose.translation, **options,
    )  # fmt: skip


def add_cameras(server: Any, name: str, cameras: Cameras, *, most: int = 40) -> Any:
    """The captured cameras, evenly thinned; a click flies there."""
    frame = server.scene.add_frame(name, show_axes=False)
    for i in np.unique(np.linspace(0, len(cameras) - 1, min(most, len(cameras))).round().astype(int)):
        w, h = (int(x) for x in cameras.size_wh[i])
        pose = Pose.from_matrix(cameras.T_world_camera[i])
        handle = add_camera(server, f"{name}/{i:05d}", cameras.T_world_camera[i], cameras.K[i], w, h, scale=0.03)

        @handle.on_click
        def _fly(event: Any, pose: Pose = pose) -> None:
            event.client.camera.wxyz, event.client.camera.position = pose.quat_wxyz, pose.translation

    return frame


def look_at(server: Any, centre: np.ndarray, distance_m: float) -> None:
    """Where a browser that connects starts: `distance_m` from `centre` (3,), from the front and above, z up."""
    server.scene.set_up_direction("+z")
    eye = np.asarray(centre) + distance_m * np.array([0.25, -0.75, 0.6])
    server.initial_camera.position, server.initial_camera.look_at = tuple(eye.tolist()), tuple(np.asarray(centre).tolist())
