"""`SurfaceMesh`: the triangles of a whole scene with a colour a vertex, and the PLY they are stored in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phone2sim.errors import InputError, ShapeError
from phone2sim.reconstruct.mesh.view import View

ASTRAY = 16.0
"""A part that reaches to a camera is a floater unless it is so many times as large as the smallest part that stays."""


@dataclass(frozen=True, kw_only=True)
class SurfaceMesh:
    """v vertices and f triangles, world frame, z up. Open where nothing was seen."""

    vertices: np.ndarray
    """(v, 3) float32 [m]."""
    faces: np.ndarray
    """(f, 3) int32, counter-clockwise from the seen side."""
    colors: np.ndarray
    """(v, 3) uint8 sRGB."""

    def __post_init__(self) -> None:
        for field, kind in (("vertices", np.float32), ("faces", np.int32), ("colors", np.uint8)):
            a = np.ascontiguousarray(getattr(self, field), dtype=kind)
            if a.ndim != 2 or a.shape[1] != 3:
                raise ShapeError(f"SurfaceMesh.{field}: expected (n, 3), got {a.shape}.")
            object.__setattr__(self, field, a)
        if len(self.colors) != len(self.vertices):
            raise ShapeError(f"SurfaceMesh.colors: expected {len(self.vertices)} rows, got {len(self.colors)}.")
        if len(self.faces) and (self.faces.min() < 0 or self.faces.max() >= len(self.vertices)):
            raise ShapeError(f"SurfaceMesh: a face names vertex {self.faces.max()} of {len(self.vertices)}.")

    @property
    def areas(self) -> np.ndarray:
        """(f,) area of each triangle [m²]."""
        a, b, c = (self.vertices[self.faces[:, k]].astype(np.float64) for k in range(3))
        return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2

    def take_faces(self, keep: np.ndarray) -> SurfaceMesh:
        """The triangles of a mask, and only the vertices they use."""
        faces = self.faces[keep]
        used, renumbered = np.unique(faces, return_inverse=True)
        return SurfaceMesh(vertices=self.vertices[used], faces=renumbered.reshape(-1, 3), colors=self.colors[used])

    def save_ply(self, path: Path) -> None:
        """Binary PLY with red, green and blue a vertex."""
        vertex = np.zeros(len(self.vertices), [("xyz", "<f4", 3), ("rgb", "u1", 3)])
        vertex["xyz"], vertex["rgb"] = self.vertices, self.colors
        face = np.zeros(len(self.faces), [("n", "u1"), ("ijk", "<i4", 3)])
        face["n"], face["ijk"] = 3, self.faces
        header = [
            "ply", "format binary_little_endian 1.0", f"element vertex {len(vertex)}", *(f"property float {a}" for a in "xyz"),
            *(f"property uchar {c}" for c in ("red", "green", "blue")), f"element face {len(face)}",
            "property list uchar int vertex_indices", "end_header",
        ]  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes("\n".join([*header, ""]).encode() + vertex.tobytes() + face.tobytes())

    @classmethod
    def load_ply(cls, path: Path) -> SurfaceMesh:
        """Read a triangle mesh from any PLY file; grey where it has no colours."""
        import trimesh

        if not path.exists():
            raise InputError(f"{path} does not exist.")
        mesh = trimesh.load(path, process=False)
        if not isinstance(mesh, trimesh.Trimesh):
            raise InputError(f"{path} has no triangles.")
        return cls(vertices=mesh.vertices, faces=mesh.faces, colors=np.asarray(mesh.visual.vertex_colors)[:, :3])


def without_floaters(mesh: SurfaceMesh, *, centres: np.ndarray, clear_m: float, min_area_m2: float) -> SurfaceMesh:
    """The mesh without what is within `clear_m` of a camera centre (n, 3), for cameras were there, and without connected parts
    smaller than `min_area_m2`, `ASTRAY` times that for parts that were that near. A strand from a table to a camera goes, the table
    stays."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    if not len(mesh.faces):
        return mesh
    near = np.isfinite(cKDTree(centres).query(mesh.vertices, distance_upper_bound=clear_m)[0])[mesh.faces].any(axis=1)
    n = len(mesh.vertices)

    def parts(faces: np.ndarray) -> np.ndarray:
        a, b = faces.ravel(), np.roll(faces, 1, axis=1).ravel()
        return connected_components(coo_matrix((np.ones(len(a), bool), (a, b)), shape=(n, n)), directed=False)[1][faces[:, 0]]

    part = parts(mesh.faces)
    astray = np.bincount(part, weights=near) > 0
    least = np.where(astray, ASTRAY, 1.0)[part] * min_area_m2
    mesh, least = mesh.take_faces(~near), least[~near]
    if not len(mesh.faces):
        return mesh
    n = len(mesh.vertices)
    part = parts(mesh.faces)
    return mesh.take_faces(np.bincount(part, weights=mesh.areas)[part] >= least)


def vertex_colors(vertices: np.ndarray, views: list[View], *, tolerance_m: float) -> np.ndarray:
    """(v, 3) uint8: mean colour of the views that see each vertex (v, 3) [m] at its own depth, near ones first."""
    points = np.asfortranarray(vertices.astype(np.float32))
    total, weight = np.zeros((len(points), 3), np.float32), np.full(len(points), 1e-9, np.float32)
    for view in views:
        index, z, inside = view.pixels(points)
        on = np.flatnonzero(inside & (np.abs(view.depth.ravel()[index] - z) < tolerance_m + 0.01 * z))
        w = 1 / np.maximum(z[on], 1e-3) ** 2
        total[on] += w[:, None] * view.photo.reshape(-1, 3)[index[on]]
        weight[on] += w
    return np.where((weight > 1e-8)[:, None], total / weight[:, None] + 0.5, 128).astype(np.uint8)
