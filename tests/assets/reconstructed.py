"""The sample's objects as a reconstruction leaves them: off by fractions of a millimetre, rounded, hollows partly filled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from phone2sim.assets.solid import close_on_plane
from phone2sim.keys import Key
from phone2sim.libraries import load_open3d
from phone2sim.reconstruct.mesh.fusion import Grid
from phone2sim.reconstruct.mesh.isosurface import isosurface
from phone2sim.sample.catalog import make_object
from phone2sim.sample.objects import SampleObject

OFFSET_M = 5e-4
"""1 sigma of how far the whole surface is off: what `benchmarks/objects.py` and the demo show."""
LOCAL_M = 5e-4
"""1 sigma of bumps about 15 mm wide."""
SCALE = 0.003
"""1 sigma of the metric scale."""


@dataclass(frozen=True, kw_only=True)
class True3D:
    """A sample object and its exact signed distance on a grid."""

    made: SampleObject
    grid: Grid
    distance: np.ndarray
    """(shape) [m], negative inside."""

    @classmethod
    def of(cls, name: str) -> True3D:
        import trimesh

        made = make_object(name, Key(0).child(name))
        voxel = 0.0012 if made.extents_m.min() < 0.02 else 0.0021
        mesh = trimesh.Trimesh(made.shape.vertices, made.shape.faces, process=False)
        mesh.merge_vertices(merge_tex=True, merge_norm=True, digits_vertex=7)
        parts = mesh.split(only_watertight=True)
        mesh = trimesh.boolean.union(parts, engine="manifold") if len(parts) > 1 else mesh
        o3d = load_open3d()
        tensor: Any = o3d.core.Tensor
        scene = o3d.t.geometry.RaycastingScene()
        scene.add_triangles(tensor(mesh.vertices.astype(np.float32)), tensor(mesh.faces.astype(np.uint32)))
        grid = Grid.around(mesh.bounds[0] - 4 * voxel, mesh.bounds[1] + 4 * voxel, voxel)
        d = scene.compute_signed_distance(tensor(np.ascontiguousarray(grid.points(), np.float32))).numpy()
        return cls(made=made, grid=grid, distance=d.reshape(grid.shape))

    def seen_by(self, key: Key, *, filled: float) -> Any:
        """A `trimesh.Trimesh` of it as a capture would give it; `filled` is how much of a hollow comes out as solid, 0–1."""
        from scipy import ndimage

        rng = key.rng()
        field = self.distance.astype(float)
        voxel = self.grid.voxel
        if filled > 0:
            inside = field < 0
            closed = np.stack([ndimage.binary_fill_holes(inside[:, :, k]) for k in range(inside.shape[2])], axis=2)
            hollow = closed & ~inside
            heights = np.flatnonzero(hollow.any(axis=(0, 1)))
            if len(heights):
                top = heights[0] + filled * (heights[-1] - heights[0])
                hollow[:, :, int(np.ceil(top)) + 1 :] = False
                field = np.where(hollow, -np.minimum(np.abs(field), voxel), field)
        bumps = ndimage.gaussian_filter(rng.normal(size=field.shape), 0.0075 / voxel)
        off = rng.normal(0, OFFSET_M) + LOCAL_M * bumps / bumps.std()
        # A thin wall gets thinner, but is not eaten away: what pictures show is there.
        half = ndimage.grey_dilation(np.maximum(-field, 0), size=(5, 5, 5))
        field = ndimage.gaussian_filter(field + np.minimum(off, 0.4 * half), 0.5)
        # What rests on the support ends there, however far off the rest is.
        foot = int(np.ceil((0.5 * voxel - self.grid.origin[2]) / voxel))
        field[:, :, :foot] = field[:, :, foot, None]
        v, f = isosurface(np.pad(field, 1, constant_values=float(field.max())).astype(np.float32))
        mesh = close_on_plane(self.grid.origin + voxel * (v - 1), f, 0.0)
        mesh.apply_scale(1 + rng.normal(0, SCALE))
        return mesh
