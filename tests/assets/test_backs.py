"""Bodies filmed from the front only: closed by the symmetry they show, by a smooth cap where they show none, else left alone."""

from types import SimpleNamespace

import numpy as np
import pytest
import synthetic
import trimesh
from furnished import box
from scipy.spatial import cKDTree

from phone2sim.assets.backs import close_back, seen_sides
from phone2sim.assets.carving import slant
from phone2sim.assets.mirrors import find_evident
from phone2sim.assets.solid import build_solid
from phone2sim.poses import look_at
from phone2sim.reconstruct.cameras import Cameras

VOXEL = 0.003
ARC = 70.0
"""Degrees that the cameras go around the front."""
TABLE = {"table": box((0.9, 0.9, 0.02), (0, 0, -0.02))}


def lump() -> trimesh.Trimesh:
    """No plane mirrors it: the hull of a dozen points strewn about, on the table."""
    p = np.random.default_rng(11).uniform([-0.05, -0.05, 0], [0.05, 0.05, 0.09], (14, 3))
    p[:4, 2] = 0
    return trimesh.convex.convex_hull(p)


def can() -> trimesh.Trimesh:
    return trimesh.creation.cylinder(0.035, 0.1, sections=64, transform=trimesh.transformations.translation_matrix([0, 0, 0.05]))


BODIES = {"can": can(), "box": box((0.09, 0.06, 0.08), (0, 0, 0), 0.3), "lump": lump()}
CLOSED = {"can": "a body of revolution", "box": "two planes of symmetry", "lump": "a smooth cap: no symmetry shows it"}


def cameras(arc_deg: float, n: int = 20) -> Cameras:
    """Around the middle of the front, -y, at two heights."""
    T = []
    for i in range(n):
        a = np.deg2rad(-90 + arc_deg * ((i + 0.5) / n - 0.5))
        e = (0.45, 0.85)[i % 2]
        T.append(look_at(0.6 * np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)]), [0, 0, 0.03]).matrix)
    K = np.array([[300.0, 0, 120], [0, 300.0, 120], [0, 0, 1]])
    return Cameras(
        T_world_camera=np.array(T), K=np.repeat(K[None], n, 0), size_wh=np.repeat([[240, 240]], n, 0), distortion=np.zeros((n, 4)),
        names=tuple(f"{i:03d}.png" for i in range(n)),
    )  # fmt: skip


def closed(mesh: trimesh.Trimesh, arc_deg: float) -> SimpleNamespace:
    """The body that the views alone leave, how its back is to be closed, and the body closed so."""
    truth = synthetic.looked_at(cameras(arc_deg), TABLE, {"it": mesh})
    views, slants, masks = truth.views, [slant(v) for v in truth.views], [m == 1 for m in truth.masks]
    seed = mesh.sample(3000, seed=0)
    seed = seed[seed[:, 2] > 0.01]

    def body(low, high, behind=None):
        return build_solid(
            low - 0.02, high + 0.02, views, slants, masks, level=0.0, voxel=VOXEL, skirt_m=0.009, seed=seed, behind=behind
        )

    low, high = mesh.bounds[0] - [0, 0.04, 0], mesh.bounds[1] + [0, 0.04, 0]
    first = body(low, high)
    closing = close_back(first, views, slants, masks, voxel=VOXEL, low_m=0.01)
    last = first if closing is None else body(np.minimum(low, closing.bounds[0]), np.maximum(high, closing.bounds[1]), closing.field)
    return SimpleNamespace(first=first.mesh, closing=closing, last=last.mesh, views=views)


def off(mesh: trimesh.Trimesh, true: trimesh.Trimesh) -> float:
    """Volume that only one of them has, of the true one's."""
    step = 0.003
    low, high = np.min([mesh.bounds[0], true.bounds[0]], axis=0), np.max([mesh.bounds[1], true.bounds[1]], axis=0)
    p = np.stack(np.meshgrid(*(np.arange(a + step / 2, b, step) for a, b in zip(low, high)), indexing="ij"), axis=-1).reshape(-1, 3)
    return float((contains(mesh, p) != contains(true, p)).sum() * step**3 / true.volume)


def contains(mesh: trimesh.Trimesh, points: np.ndarray) -> np.ndarray:
    from phone2sim.libraries import load_open3d

    o3d = load_open3d()
    rays = o3d.t.geometry.RaycastingScene(nthreads=1)
    rays.add_triangles(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.uint32))
    return rays.compute_occupancy(np.ascontiguousarray(points, np.float32)).numpy() > 0.5


@pytest.fixture(scope="module", params=list(BODIES))
def front(request):
    return request.param, closed(BODIES[request.param], ARC)


def test_a_front_shows_what_symmetry_there_is(front):
    name, it = front
    assert it.closing is not None and CLOSED[name] in it.closing.why


def test_the_closed_body_is_nearer_to_the_true_one(front):
    name, it = front
    true = BODIES[name]
    assert it.last.is_watertight
    assert off(it.last, true) < 0.7 * off(it.first, true)
    if name != "lump":
        assert off(it.last, true) < 0.12
        assert np.abs(it.last.bounds.mean(axis=0) - true.bounds.mean(axis=0)).max() < 0.004


def test_what_was_seen_stays(front):
    """Symmetry and cap only say what nobody saw."""
    name, it = front
    sides = seen_sides(it.first, it.views, low_m=0.01, tolerance_m=0.004)
    gap, _ = cKDTree(it.last.vertices).query(sides.points[::20])
    assert np.percentile(gap, 90) < VOXEL


@pytest.mark.parametrize("name", ["can", "lump"])
def test_what_was_seen_from_all_around_is_left_alone(name):
    assert closed(BODIES[name], 360).closing is None


def test_nothing_is_believed_where_images_only_fall_on_the_unknown():
    """A flat front alone shows no symmetry that could tell its back, except the one in the front itself."""
    y, z = np.meshgrid(np.linspace(-0.04, 0.04, 40), np.linspace(0, 0.08, 40))
    keep = z.ravel() < 0.03 + 0.6 * (y.ravel() + 0.04)  # a slanted top: the front mirrors nothing either
    p = np.column_stack([np.zeros(y.size), y.ravel(), z.ravel()])[keep]
    normals = np.tile([-1.0, 0, 0], (len(p), 1))

    def empty(q):
        return np.where((q[:, 0] < 0) | (np.abs(q[:, 1]) > 0.04) | (q[:, 2] > 0.03 + 0.6 * (q[:, 1] + 0.04)), 0.01, -0.01)

    assert find_evident(p, normals, empty, voxel=0.003) is None
