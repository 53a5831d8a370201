"""Needles become better triangles of the same surface."""

import numpy as np
import trimesh

from phone2sim.assets.flips import flipped
from phone2sim.keys import Key


def least_angles(mesh: trimesh.Trimesh) -> np.ndarray:
    return np.asarray(mesh.face_angles.min(axis=1))


def needles() -> trimesh.Trimesh:
    """A brick whose faces are fans over points strewn along their edges."""
    rng = Key(2).child("needles").rng()
    brick = trimesh.creation.box((0.06, 0.05, 0.04))
    v, f = np.array(brick.vertices), brick.faces.tolist()
    for _ in range(150):  # split a face's longest side at a random place, in both faces that have it
        mesh = trimesh.Trimesh(v, f, process=False)
        k = rng.integers(len(mesh.edges_unique))
        a, b = mesh.edges_unique[k]
        v = np.vstack([v, v[a] + rng.uniform(0.1, 0.9) * (v[b] - v[a])])
        split = []
        for t in f:
            if a in t and b in t:
                split += [[len(v) - 1 if x == a else x for x in t], [len(v) - 1 if x == b else x for x in t]]
            else:
                split.append(t)
        f = split
    return trimesh.Trimesh(v, f, process=False)


def test_needles_go_and_the_brick_stays() -> None:
    mesh = needles()
    out = flipped(mesh, off_m=1e-9)
    assert out.is_volume and np.array_equal(out.vertices, mesh.vertices) and len(out.faces) == len(mesh.faces)
    assert abs(out.volume / mesh.volume - 1) < 1e-9 and abs(out.area / mesh.area - 1) < 1e-9
    assert np.mean(least_angles(out) < np.radians(5)) < 0.6 * np.mean(least_angles(mesh) < np.radians(5))


def test_no_edge_is_turned_that_would_move_the_surface_farther() -> None:
    """Two triangles over a saddle 2 mm deep with a better diagonal: turned within 3 mm, not within 1 mm."""
    saddle = trimesh.convex.convex_hull([[-0.03, 0, 0], [0.03, 0, 0], [0, -0.01, -0.002], [0, 0.01, -0.002], [0, 0, -0.05]])
    assert np.array_equal(flipped(saddle, off_m=0.001).faces, saddle.faces)
    turned = flipped(saddle, off_m=0.003)
    assert turned.is_volume and 0 < saddle.volume - turned.volume < 2e-6
