"""The scene's mesh: depth that cannot be trusted is left out, fusion recovers a known surface, floaters go, files come back."""

from __future__ import annotations

import numpy as np
import pytest

from phone2sim.errors import InputError, ShapeError
from phone2sim.poses import look_at
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.mesh.depth import agreeing, upright
from phone2sim.reconstruct.mesh.fusion import fuse_sparse
from phone2sim.reconstruct.mesh.isosurface import isosurface, sparse_isosurface
from phone2sim.reconstruct.mesh.stage import MeshConfig, fuse_surface
from phone2sim.reconstruct.mesh.surface import SurfaceMesh, without_floaters
from phone2sim.reconstruct.mesh.view import View
from phone2sim.reconstruct.splat.cloud import SplatCloud

K = np.array([[160.0, 0, 80], [0, 160.0, 60], [0, 0, 1]])
EYES = [0.9 * np.array([np.cos(a), np.sin(a), 0.9]) for a in np.linspace(0, 2 * np.pi, 10, endpoint=False)]


def cameras() -> Cameras:
    n = len(EYES)
    return Cameras(
        T_world_camera=np.array([look_at(e, np.zeros(3)).matrix for e in EYES]), K=np.tile(K, (n, 1, 1)), size_wh=np.tile([160, 120], (n, 1)),
        distortion=np.zeros((n, 4)), names=tuple(str(i) for i in range(n)),
    )  # fmt: skip


def ball_views(radius: float = 0.25) -> list[View]:
    """Exact depth of a ball at the origin."""
    h, w = 120, 160
    v, u = np.mgrid[:h, :w] + 0.5
    ray = np.stack([(u - 80) / 160, (v - 60) / 160, np.ones_like(u)], -1)
    out = []
    for eye in EYES:
        pose = look_at(eye, np.zeros(3))
        d = ray @ pose.rotation.T
        a, b, c = (d * d).sum(-1), d @ eye, eye @ eye - radius**2
        root = b * b - a * c
        depth = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, 0).astype(np.float32)
        out.append(View(name="", photo=np.zeros((h, w, 3), np.uint8), depth=depth, K=K, T_camera_world=pose.inverse().matrix))
    return out


def test_sparse_fusion_recovers_a_ball():
    field = fuse_sparse(ball_views(), voxel=0.01)
    v, f = sparse_isosurface(field.ijk, field.tsdf)
    radius = np.linalg.norm(0.01 * v[np.unique(f)], axis=1)
    upper = 0.01 * v[:, 2] > 0.05
    assert abs(np.median(radius[upper[np.unique(f)]]) - 0.25) < 2e-3
    key = field.ijk @ np.array([1 << 40, 1 << 20, 1])
    assert (np.diff(key) > 0).all()


def test_sparse_and_dense_surfaces_agree():
    ijk = np.stack(np.meshgrid(*[np.arange(14)] * 3, indexing="ij"), -1).reshape(-1, 3)
    values = (np.linalg.norm(ijk - [6.2, 6.4, 6.1], axis=1) - 4.3).astype(np.float32)
    v, f = isosurface(values.reshape(14, 14, 14))
    sv, sf = sparse_isosurface(ijk - [3, 40, 7], values)
    assert np.allclose(np.sort(v[f].sum(axis=1), axis=0), np.sort(sv[sf].sum(axis=1) + 3 * np.array([3, 40, 7]), axis=0))
    # Leaving out nodes opens the surface there, and never wraps around to the other side.
    keep = ijk[:, 2] < 7
    ov, of = sparse_isosurface(ijk[keep], values[keep])
    assert 0 < len(of) < len(f) and ov[:, 2].max() <= 6 + 1e-9


def test_edges_and_grazing_surfaces_are_left_out():
    depth = np.full((40, 60), 1.0, np.float32)
    depth[:, 30:] = 1.3
    ok = upright(depth, K)
    assert not ok[:, 29:31].any() and ok[:, :28].all() and ok[:, 33:].all()
    long = np.array([[1600.0, 0, 80], [0, 1600, 60], [0, 0, 1]])
    x = (np.arange(60) + 0.5 - 80) / 1600
    wall = np.tile((1 / (1 + 40 * (x - x[0]))).astype(np.float32), (40, 1))  # along the line of sight
    assert not upright(wall, long)[:, 1:-1].any()
    assert upright(np.tile((1 / (1 + 2 * (x - x[0]))).astype(np.float32), (40, 1)), long)[:, 1:-1].all()


def test_what_others_look_through_is_dropped():
    views = ball_views()
    broken = views[0].depth.copy()
    hit = broken > 0
    patch = np.zeros_like(hit)
    patch[50:70, 70:90] = True
    broken[patch & hit] *= 0.6  # hangs far before the ball
    views[0] = View(name="", photo=views[0].photo, depth=broken, K=K, T_camera_world=views[0].T_camera_world)
    out = list(agreeing(views))
    assert not out[0].depth[patch].any()
    assert (out[0].depth[hit & ~patch] > 0).mean() > 0.8 and (out[3].depth > 0).sum() > 0.8 * (views[3].depth > 0).sum()


def plate_cloud(extra: np.ndarray | None = None) -> SplatCloud:
    xy = np.stack(np.meshgrid(*[np.linspace(-0.5, 0.5, 81)] * 2), -1).reshape(-1, 2)
    means = np.c_[xy, np.zeros(len(xy))] if extra is None else np.r_[np.c_[xy, np.zeros(len(xy))], extra]
    n = len(means)
    return SplatCloud(
        means=means, quats_wxyz=np.tile([1.0, 0, 0, 0], (n, 1)), scales=np.tile([0.012, 0.012, 5e-4], (n, 1)), opacities=np.full(n, 0.95),
        sh=np.full((n, 1, 3), 0.9),
    )  # fmt: skip


def test_a_splat_of_a_plate_becomes_the_plate_without_what_hangs_before_a_camera():
    floater = 0.93 * EYES[0] + 0.004 * np.random.default_rng(0).normal(size=(40, 3))
    mesh = fuse_surface(plate_cloud(floater), cameras(), MeshConfig(max_side=160))
    middle = np.abs(mesh.vertices[:, :2]).max(axis=1) < 0.4
    assert middle.sum() > 2000 and np.abs(mesh.vertices[middle, 2]).max() < 5e-3  # a pixel is 8 mm
    assert np.abs(mesh.vertices[:, 2]).max() < 0.05
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).mean() > 0.98  # faces look up, where it was seen from
    assert mesh.colors[middle].min() > 150
    again = fuse_surface(plate_cloud(floater), cameras(), MeshConfig(max_side=160))
    assert np.array_equal(mesh.vertices, again.vertices) and np.array_equal(mesh.faces, again.faces)


def test_small_parts_and_parts_at_cameras_are_floaters():
    def square(at, side):
        v = np.array(at) + side * np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
        return v, np.array([[0, 1, 2], [0, 2, 3]])

    parts = [square([0, 0, 0], 1.0), square([0, 0, 1], 0.01), square([3, 3, 3], 0.5)]
    v = np.concatenate([p[0] for p in parts])
    f = np.concatenate([p[1] + 4 * i for i, p in enumerate(parts)])
    mesh = SurfaceMesh(vertices=v, faces=f, colors=np.zeros((12, 3)))
    left = without_floaters(mesh, centres=np.array([[3.0, 3, 3.05]]), clear_m=0.1, min_area_m2=0.01)
    assert len(left.faces) == 2 and left.areas.sum() == pytest.approx(1.0)


def test_a_strand_from_a_table_to_a_camera_goes_and_the_table_stays():
    x, y = np.meshgrid(np.linspace(0, 1, 21), np.linspace(0, 1, 21), indexing="ij")
    v = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)
    i = (np.arange(20)[:, None] * 21 + np.arange(20)).ravel()
    f = np.concatenate([np.stack([i, i + 21, i + 22], 1), np.stack([i, i + 22, i + 1], 1)])
    steps = np.linspace(0, 1, 11)[1:]  # a ribbon from the corner at 0, up to the camera
    ribbon = np.stack([[[0.0, 0, h], [0.02, 0, h]] for h in steps]).reshape(-1, 3)
    k = len(v) + 2 * np.arange(9)
    up = np.concatenate([np.stack([k, k + 1, k + 3], 1), np.stack([k, k + 3, k + 2], 1), [[0, len(v), len(v) + 1]]])
    mesh = SurfaceMesh(vertices=np.concatenate([v, ribbon]), faces=np.concatenate([f, up]), colors=np.zeros((len(v) + len(ribbon), 3)))
    left = without_floaters(mesh, centres=np.array([[0, 0, 1.0]]), clear_m=0.25, min_area_m2=0.01)
    flat = left.vertices[left.faces][:, :, 2].max(axis=1) == 0
    assert left.areas[flat].sum() == pytest.approx(1.0)
    assert 0.5 < left.vertices[:, 2].max() < 0.76


def test_mesh_files_come_back(tmp_path):
    rng = np.random.default_rng(1)
    mesh = SurfaceMesh(vertices=rng.normal(size=(9, 3)), faces=rng.integers(0, 9, (5, 3)), colors=rng.integers(0, 256, (9, 3)))
    mesh.save_ply(tmp_path / "m.ply")
    again = SurfaceMesh.load_ply(tmp_path / "m.ply")
    for k in ("vertices", "faces", "colors"):
        assert np.array_equal(getattr(mesh, k), getattr(again, k))
    with pytest.raises(InputError, match="does not exist"):
        SurfaceMesh.load_ply(tmp_path / "no.ply")
    with pytest.raises(ShapeError, match="a face names vertex 9 of 9"):
        SurfaceMesh(vertices=np.zeros((9, 3)), faces=np.array([[0, 1, 9]]), colors=np.zeros((9, 3)))


def test_nothing_opaque_gives_no_triangles():
    cloud = plate_cloud()
    faint = SplatCloud(means=cloud.means, quats_wxyz=cloud.quats_wxyz, scales=cloud.scales, opacities=np.full(len(cloud), 0.01), sh=cloud.sh)
    assert len(fuse_surface(faint, cameras(), MeshConfig(max_side=160)).faces) == 0
