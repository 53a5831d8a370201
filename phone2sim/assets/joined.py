"""Convex parts joined to fewer ones, as long as none reaches farther out of the body than a bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

LATTICE = 6
"""A triangle of a part is looked at in the points that divide its edges in so many."""


@dataclass(frozen=True)
class Outside:
    """How far things reach out of a closed body."""

    scene: Any
    """Open3D's `RaycastingScene` of it."""

    @classmethod
    def of(cls, mesh: Any) -> Outside:
        """Of a closed `trimesh.Trimesh`."""
        from phone2sim.libraries import load_open3d

        o3d = load_open3d()
        scene = o3d.t.geometry.RaycastingScene()
        scene.add_triangles(o3d.core.Tensor(np.asarray(mesh.vertices, np.float32)), o3d.core.Tensor(np.asarray(mesh.faces, np.uint32)))
        return cls(scene)

    def most(self, parts: Sequence[Any]) -> float:
        """How far the farthest point of the surfaces of `parts` (each with vertices and faces) is from the body [m], 0 where none is
        outside."""
        from phone2sim.libraries import load_open3d

        i, j = np.array([(i, j) for i in range(LATTICE + 1) for j in range(LATTICE + 1 - i)]).T
        weights = np.stack([i, j, LATTICE - i - j], axis=1) / LATTICE
        triangles = np.concatenate([np.asarray(p.vertices, float)[np.asarray(p.faces)] for p in parts])
        points = np.unique((weights @ triangles).reshape(-1, 3).astype(np.float32), axis=0)
        distance = self.scene.compute_signed_distance(load_open3d().core.Tensor(points)).numpy()
        return max(0.0, float(distance.max()))


def joined(parts: Sequence[Any], outside: Outside, *, bound_m: float, most: int) -> list[Any]:
    """Convex `trimesh.Trimesh` that replace the convex `parts`: always the two are joined whose hull reaches out of the body least, as long
    as that is no more than `bound_m` [m], or there are more than `most`."""
    import trimesh

    if len(parts) < 2:
        return list(parts)
    left = dict(enumerate(parts))
    price: dict[tuple[int, int], tuple[float, Any]] = {}
    bodies = np.array([p.bounds for p in parts])
    near = 1e-3 * float(np.ptp(bodies.reshape(-1, 3), axis=0).max())
    while len(left) > 1:
        for a, b in combinations(sorted(left), 2):
            if (a, b) in price:
                continue
            (low_a, high_a), (low_b, high_b) = left[a].bounds, left[b].bounds
            if (low_a > high_b + near).any() or (low_b > high_a + near).any():
                price[a, b] = np.inf, None
                continue
            both = trimesh.convex.convex_hull(np.concatenate([left[a].vertices, left[b].vertices]))
            price[a, b] = outside.most([both]), both
        a, b = min((k for k in price if k[0] in left and k[1] in left), key=lambda k: price[k][0])
        cost, both = price[a, b]
        if both is None or (cost > bound_m and len(left) <= most):
            break
        del left[a], left[b]
        left[max(price, key=lambda k: k[1])[1] + 1] = both
    return list(left.values())
