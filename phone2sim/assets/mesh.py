"""`TexturedMesh`: triangles with an optional UV texture, and its GLB round trip. Metres, the asset's own frame."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.assets.primitives import Primitive
from phone2sim.errors import InputError, ShapeError


@dataclass(frozen=True, kw_only=True)
class TexturedMesh:
    """v vertices, f triangles. With a texture, `uv` has one row a vertex (seams split vertices)."""

    vertices: np.ndarray
    """(v, 3) float [m]."""
    faces: np.ndarray
    """(f, 3) int, counter-clockwise from outside."""
    uv: np.ndarray | None = None
    """(v, 2) in 0–1, origin at the bottom left of the picture (OpenGL, glTF's v flipped)."""
    texture: np.ndarray | None = None
    """(h, w, 3) uint8 albedo, sRGB."""
    primitive: Primitive | None = None
    """The same solid as a primitive in the mesh's own frame, where a collision part is one; the mesh is what others read."""

    def __post_init__(self) -> None:
        v = np.ascontiguousarray(self.vertices, dtype=np.float32)
        f = np.ascontiguousarray(self.faces, dtype=np.int32)
        if v.ndim != 2 or v.shape[1] != 3 or f.ndim != 2 or f.shape[1] != 3:
            raise ShapeError(f"TexturedMesh: expected vertices (v, 3) and faces (f, 3), got {v.shape} and {f.shape}.")
        if len(f) and (f.min() < 0 or f.max() >= len(v)):
            raise ShapeError(f"TexturedMesh: a face names vertex {f.max()} of {len(v)}.")
        object.__setattr__(self, "vertices", v)
        object.__setattr__(self, "faces", f)
        if self.uv is not None:
            uv = np.ascontiguousarray(self.uv, dtype=np.float32)
            if uv.shape != (len(v), 2):
                raise ShapeError(f"TexturedMesh.uv: expected {(len(v), 2)}, got {uv.shape}.")
            object.__setattr__(self, "uv", uv)
        if self.texture is not None and (self.texture.ndim != 3 or self.texture.shape[2] != 3):
            raise ShapeError(f"TexturedMesh.texture: expected (h, w, 3), got {self.texture.shape}.")

    @cached_property
    def bounds(self) -> np.ndarray:
        """(2, 3) low and high corner [m]."""
        return np.stack([self.vertices.min(axis=0), self.vertices.max(axis=0)])

    def welded(self) -> Any:
        """A `trimesh.Trimesh` with seam vertices merged by position: for volume, watertightness, hulls."""
        import trimesh

        m = trimesh.Trimesh(self.vertices.astype(np.float64), self.faces, process=False)
        m.merge_vertices(merge_tex=True, merge_norm=True, digits_vertex=7)
        return m

    @cached_property
    def vertex_normals(self) -> np.ndarray:
        """(v, 3) float32 unit normals, smooth across UV seams except over creases sharper than 40 degrees."""
        import trimesh

        v, f = self.vertices.astype(np.float64), self.faces
        fn = np.cross(v[f[:, 1]] - v[f[:, 0]], v[f[:, 2]] - v[f[:, 0]])
        ids = trimesh.grouping.unique_rows(np.round(v, 7))[1]
        n = np.zeros((ids.max() + 1 if len(ids) else 0, 3))
        np.add.at(n, ids[f].ravel(), np.repeat(fn, 3, axis=0))
        smooth = n[ids]
        own = np.zeros_like(v)
        np.add.at(own, f.ravel(), np.repeat(fn, 3, axis=0))
        smooth /= np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-20)
        own /= np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-20)
        sharp = (smooth * own).sum(1) < np.cos(np.deg2rad(20))
        return np.where(sharp[:, None], own, smooth).astype(np.float32)

    def to_trimesh(self) -> Any:
        """As `trimesh.Trimesh` for writing: the same vertices, its texture as a PBR material; its own axes."""
        import trimesh
        from PIL import Image

        m = trimesh.Trimesh(self.vertices, self.faces, process=False, vertex_normals=self.vertex_normals)
        if self.uv is not None and self.texture is not None:
            picture = Image.fromarray(self.texture)
            # Three times as fast as what trimesh asks for.
            picture.save = partial(picture.save, compress_level=3)  # type: ignore[method-assign]
            material = trimesh.visual.material.PBRMaterial(
                baseColorTexture=picture, roughnessFactor=0.7, metallicFactor=0.0
            )
            m.visual = trimesh.visual.TextureVisuals(uv=self.uv, material=material)
        return m

    def save_glb(self, path: Path) -> None:
        import trimesh

        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(trimesh.Scene(self.to_trimesh()).export(file_type="glb"))

    @classmethod
    def load_glb(cls, path: Path) -> TexturedMesh:
        import trimesh

        try:
            m = trimesh.load(path, force="mesh", process=False)
        except (OSError, ValueError) as e:
            raise InputError(f"{path} cannot be read as a mesh: {e}.") from None
        uv, texture = None, None
        if isinstance(m.visual, trimesh.visual.TextureVisuals) and m.visual.uv is not None:
            material = m.visual.material
            image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
            if image is not None:
                uv, texture = np.asarray(m.visual.uv), np.asarray(image.convert("RGB"))
        return cls(vertices=m.vertices, faces=m.faces, uv=uv, texture=texture)
