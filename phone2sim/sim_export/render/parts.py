"""`RenderPart`: a rigid mesh to draw; `PartSet`: several of them packed, with the shadow and contact they cast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from phone2sim._native.mesh import ContactMap, MeshPart, MeshWorld, ShadowMap, contact_map, shadow_map
from phone2sim.assets.mesh import TexturedMesh
from phone2sim.errors import ShapeError

SHADOW_REACH_M = 1.1
"""Shadows and contact are drawn within this distance of the middle of all parts."""
CONTACT_CELL_M = 0.004


@dataclass(frozen=True, kw_only=True)
class RenderPart:
    """One rigid foreground part: an object's visual, or a mesh of a robot link."""

    name: str
    """Unique among the parts of a renderer."""
    mesh: TexturedMesh
    rgb: tuple[float, float, float] = (0.7, 0.7, 0.7)
    """Linear albedo where the mesh has no texture."""
    rgb_gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Factor on the albedo, linear RGB."""
    gloss: float = 0.0
    """Strength of the highlight: 0 matte, about 0.3 satin plastic."""
    double_sided: bool = True
    """False draws a closed mesh faster."""
    anchor: bool = True
    """False leaves the shadow map's grid as it would be without this part: pixels away from it keep their bits."""


class PartSet:
    """Parts packed for drawing together."""

    def __init__(self, parts: Sequence[RenderPart]) -> None:
        self.world = MeshWorld([_mesh_part(p) for p in parts])
        self.rgb_gain = np.array([p.rgb_gain for p in parts], np.float32).reshape(-1, 3)
        self._centres = np.array([p.mesh.bounds.mean(0) for p in parts]).reshape(-1, 3)
        self._radii = np.array([np.linalg.norm(np.ptp(p.mesh.bounds, axis=0)) / 2 for p in parts])

        self._anchor = np.array([p.anchor for p in parts], bool)

    def __len__(self) -> int:
        return len(self._radii)

    def in_view(self, T_world_part: np.ndarray, K: np.ndarray, T_world_camera: np.ndarray, width: int, height: int) -> np.ndarray:
        """(n,) bool: parts at `T_world_part` (n, 4, 4) whose bounding sphere reaches into the picture's pyramid."""
        at = np.einsum("nij,nj->ni", T_world_part[:, :3, :3], self._centres) + T_world_part[:, :3, 3]
        p = (at - T_world_camera[:3, 3]) @ T_world_camera[:3, :3]
        inside = p @ _sides(K.tobytes(), width, height).T
        return np.asarray((inside > -self._radii[:, None] - 1e-4).all(axis=1))

    def light_maps(
        self, T_world_part: np.ndarray, *, direction: np.ndarray, softness: float, texel_m: float, support_height_m: float, threads: int
    ) -> tuple[ShadowMap | None, ContactMap | None]:
        """What the parts at `T_world_part` (n, 4, 4) shade and touch; over bounds on a coarse grid, so that the maps do
        not swim from frame to frame."""
        T = np.asarray(T_world_part, float)
        if T.shape != (len(self), 4, 4):
            raise ShapeError(f"PartSet: expected poses ({len(self)}, 4, 4), got {T.shape}.")
        if not len(self):
            return None, None
        at = np.einsum("nij,nj->ni", T[:, :3, :3], self._centres) + T[:, :3, 3]
        fixed = self._anchor if self._anchor.any() else ~self._anchor
        low, high = (at - self._radii[:, None])[fixed].min(0), (at + self._radii[:, None])[fixed].max(0)
        center = np.round((low + high) / 2 / 0.1) * 0.1
        radius = float((np.linalg.norm(at - center, axis=1) + self._radii)[fixed].max()) + 0.05
        radius = min(SHADOW_REACH_M, np.ceil(radius / 0.1) * 0.1)
        resolution = int(np.clip(np.ceil(2 * radius / texel_m / 64) * 64, 128, 1024))
        shadows = shadow_map(
            self.world, T, direction=direction, softness=softness, center=center, radius_m=radius, resolution=resolution, threads=threads
        )
        near = np.abs(at[:, 2] - support_height_m) < self._radii + 0.06
        if not near.any():
            return shadows, None
        a = np.floor((at - self._radii[:, None])[near, :2].min(0) / 0.1) * 0.1 - 0.1
        b = np.ceil((at + self._radii[:, None])[near, :2].max(0) / 0.1) * 0.1 + 0.1
        a, b = np.maximum(a, center[:2] - SHADOW_REACH_M), np.minimum(b, center[:2] + SHADOW_REACH_M)
        contact = contact_map(
            self.world, T, low=(a[0], a[1]), high=(b[0], b[1]), height_m=support_height_m, cell_m=CONTACT_CELL_M,
            casts=near, threads=threads,
        )  # fmt: skip
        return shadows, contact


@lru_cache(maxsize=16)
def _sides(K: bytes, width: int, height: int) -> np.ndarray:
    """(5, 3) unit normals, inwards, of the pyramid that the camera of float64 `K` (3, 3) sees."""
    x0, y0, _ = np.linalg.solve(np.frombuffer(K).reshape(3, 3), [0.0, 0.0, 1.0])
    x1, y1, _ = np.linalg.solve(np.frombuffer(K).reshape(3, 3), [float(width), float(height), 1.0])
    sides = np.array([[1, 0, -x0], [-1, 0, x1], [0, 1, -y0], [0, -1, y1], [0, 0, 1]])
    return sides / np.linalg.norm(sides, axis=1, keepdims=True)


def _mesh_part(part: RenderPart) -> MeshPart:
    m = part.mesh
    return MeshPart(
        vertices=m.vertices, faces=m.faces, normals=m.vertex_normals, uv=m.uv, texture=m.texture, rgb=part.rgb,
        gloss=part.gloss, double_sided=part.double_sided,
    )  # fmt: skip
