"""Fusion, isosurface, support, segmentation and closed bodies against known shapes."""

import numpy as np
import pytest
import trimesh

from phone2sim.assets.carving import INSET, seen_distance, slant
from phone2sim.assets.lift import stand
from phone2sim.assets.segment import clearance, find_clusters
from phone2sim.assets.solid import Solid, build_solid, close_on_plane, continue_down, simplify
from phone2sim.assets.support import find_support, region
from phone2sim.assets.views import View
from phone2sim.reconstruct.mesh.fusion import Grid, dilate, fuse, integrate
from phone2sim.reconstruct.mesh.isosurface import isosurface


def sphere_field(n: int, radius: float) -> np.ndarray:
    g = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), -1)
    return (np.linalg.norm(g - (n - 1) / 2.03, axis=-1) - radius).astype(np.float32)


def test_isosurface_is_closed_outward_and_of_the_right_volume():
    v, f = isosurface(sphere_field(40, 12.0))
    m = trimesh.Trimesh(v, f, process=False)
    assert m.is_watertight and m.is_winding_consistent
    assert m.volume == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.01)


def test_isosurface_of_noise_is_closed():
    rng = np.random.default_rng(0)
    field = np.pad(rng.normal(size=(9, 8, 7)).astype(np.float32), 1, constant_values=1.0)
    v, f = isosurface(field)
    edges = np.sort(f[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] % 2 == 0).all()


def test_isosurface_leaves_out_invalid_cells_and_empty_fields():
    field = sphere_field(20, 6.0)
    valid = np.ones(field.shape, bool)
    valid[:10] = False
    v, _ = isosurface(field, valid)
    assert v[:, 0].min() >= 9
    assert len(isosurface(np.ones((4, 4, 4), np.float32))[1]) == 0


def test_simplify_stays_watertight_and_close_on_plane_is_flat():
    v, f = isosurface(sphere_field(40, 12.0))
    body = close_on_plane(v, f, 14.0)
    assert body.is_watertight and body.bounds[0, 2] == pytest.approx(14.0, abs=1e-5)
    small = simplify(body, faces=500, tolerance=0.05)
    assert len(small.faces) <= 500 and small.is_watertight
    assert small.volume == pytest.approx(body.volume, rel=0.05)


@pytest.mark.parametrize(("most", "flatter"), [(120, 0.25), (400, 0.12), (4000, 0.02)])
def test_a_body_has_no_more_faces_than_asked(most, flatter):
    centre, radius, voxel = np.array([0, 0, 0.049]), 0.05, 0.0015
    grid = Grid.around(centre - radius - 4 * voxel, centre + radius + 4 * voxel, voxel)
    distance = np.clip(np.linalg.norm(grid.points() - centre, axis=1) - radius, -4 * voxel, 4 * voxel)
    body = stand(Solid(grid=grid, distance=distance.reshape(grid.shape).astype(np.float32), mesh=None, level=0.0), faces=most)
    assert 0.4 * min(most, 2500) < len(body.faces) <= most and body.is_watertight
    assert body.volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=flatter)


def test_grid_index_inverts_points():
    grid = Grid.around(np.zeros(3), np.array([0.1, 0.2, 0.05]), 0.01)
    flat = np.array([0, 7, 100, np.prod(grid.shape) - 1])
    back, ok = grid.index(grid.points(flat))
    assert ok.all() and (back == flat).all()
    assert not grid.index(np.array([[-1.0, 0, 0]]))[1].any()


def test_dilate_grows_a_cube():
    m = np.zeros((9, 9, 9), bool)
    m[4, 4, 4] = True
    assert dilate(m, 2).sum() == 125


def test_views_project_and_unproject(truth):
    view = truth.views[3]
    points = view.unproject(7)
    u, v, z = view.project(points)
    assert np.allclose((u - 0.5) % 7, np.round((u - 0.5) % 7), atol=1e-2)
    assert np.allclose(z, view.depth[::7, ::7][view.depth[::7, ::7] > 0], atol=1e-4)


def test_one_wrong_view_in_ten_bores_no_hole(truth):
    from dataclasses import replace

    inside = np.array([[-0.12, 0.05, 0.035]], np.float32)
    wrong = [replace(v, depth=np.full_like(v.depth, 5.0)) if i < 2 else v for i, v in enumerate(truth.views)]
    assert integrate(inside, truth.views, truncation=0.01)[1][0] == 0
    value, count = integrate(inside, wrong, truncation=0.01)
    assert count[0] == 2 and value[0] <= 0


def test_slant_of_a_plane(truth):
    view = truth.views[0]
    h, w = view.depth.shape
    u, v = np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5)
    ray = np.stack([(u - view.K[0, 2]) / view.K[0, 0], (v - view.K[1, 2]) / view.K[1, 1], np.ones_like(u)], -1)
    normal = np.array([0.3, -0.5, -1.0]) / np.linalg.norm([0.3, -0.5, -1.0])
    plane = View(name="", photo=view.photo, depth=(-0.5 / (ray @ normal)).astype(np.float32), K=view.K, T_camera_world=np.eye(4))
    want = np.abs(ray @ normal) / np.linalg.norm(ray, axis=-1)
    assert np.abs(slant(plane) - want)[4:-4, 4:-4].max() < 0.01


def test_flat_faces_stay_where_they_are(truth):
    mesh, voxel = truth.meshes["box"], 0.0025
    side = mesh.triangles_center[np.abs(mesh.face_normals[:, 2]) < 0.1]
    out = mesh.face_normals[np.abs(mesh.face_normals[:, 2]) < 0.1]
    middle = np.array([side[np.abs(out - n).max(axis=1) < 0.1].mean(axis=0) for n in np.unique(out.round(3), axis=0)])
    normal = np.unique(out.round(3), axis=0)
    steps = np.linspace(-1.5, 1.5, 31) * voxel
    points = (middle[:, None] + steps[:, None] * normal[:, None]).reshape(-1, 3)
    value, count, *_ = seen_distance(points, truth.views, [slant(v) for v in truth.views], voxel=voxel)
    assert (count.reshape(-1, 31)[:, 10:] >= 2).all()
    for v in value.reshape(-1, 31):
        assert np.interp(0, v, steps) == pytest.approx(INSET * voxel, abs=0.4 * voxel)


def test_a_wall_in_front_does_not_fill_what_other_views_see_through():
    """Two cameras see a wall, two look past it along it: 4 voxels behind it is free all the same."""
    voxel = 0.002

    def view(depth: float, T: np.ndarray) -> View:
        K = np.array([[100.0, 0, 32], [0, 100, 32], [0, 0, 1]])
        return View(name="", photo=np.zeros((64, 64, 3), np.uint8), depth=np.full((64, 64), depth, np.float32), K=K, T_camera_world=T)

    ahead, aside = np.eye(4), np.eye(4)
    aside[:3, :3] = [[0, 0, -1], [0, 1, 0], [1, 0, 0]]  # looks along +x
    aside[2, 3] = 0.5
    aside[0, 3] = 0.5 + 4 * voxel
    views = [view(0.5, ahead), view(0.5, ahead), view(0.9, aside)]
    value, *_ = seen_distance(np.array([[0.0, 0, 0.5 + 4 * voxel]]), views, [np.ones((64, 64), np.float32)] * 3, voxel=voxel)
    assert value[0] > 0.5 * voxel
    value, *_ = seen_distance(np.array([[0.0, 0, 0.5 + 0.5 * voxel]]), views[:2], [np.ones((64, 64), np.float32)] * 2, voxel=voxel)
    assert value[0] < -0.5 * voxel


@pytest.fixture(scope="module")
def found(truth):
    middle, distance = region(truth.views)
    low, high = np.array([*(middle - 0.5), -0.06]), np.array([*(middle + 0.5), 0.3])
    field = fuse(truth.views, low, high, voxel=0.004)
    support = find_support(field, middle, search_m=0.02)
    return field, support


def test_support_height_and_outline(found):
    _, support = found
    assert abs(support.surface.height_m) < 5e-4 and support.tilt_rad < 2e-3
    outline = support.surface.outline + support.surface.T_world_surface.translation[:2]
    assert np.allclose(np.abs(outline).max(axis=0), [0.35, 0.3], atol=0.012)


def test_every_object_found_and_none_invented(truth, found):
    field, support = found
    clusters, _ = find_clusters(
        field, support, truth.views, clear_m=clearance(support, field.grid.voxel, 0.007), min_size_m=0.013, max_share=0.35
    )
    assert len(clusters) == 3
    for mesh in truth.meshes.values():
        assert min(np.linalg.norm(c.points.mean(0)[:2] - mesh.centroid[:2]) for c in clusters) < 0.01


def test_nothing_is_found_on_a_bare_table():
    import synthetic

    bare = synthetic.raycast(with_bodies=False)
    field = fuse(bare.views, np.array([-0.5, -0.5, -0.06]), np.array([0.5, 0.5, 0.3]), voxel=0.004)
    support = find_support(field, np.zeros(2), search_m=0.02)
    clusters, _ = find_clusters(field, support, bare.views, clear_m=0.009, min_size_m=0.013, max_share=0.35)
    assert clusters == []


def test_no_support_far_from_the_plane(truth):
    field = fuse(truth.views, np.array([-0.1, -0.1, 0.14]), np.array([0.1, 0.1, 0.3]), voxel=0.006)
    assert find_support(field, np.zeros(2), search_m=0.02) is None


@pytest.mark.parametrize("name", ["box", "can", "ball"])
def test_body_matches_the_truth(truth, name):
    k = list(truth.meshes).index(name) + 1
    mesh = truth.meshes[name]
    solid = build_solid(
        mesh.bounds[0] - 0.012, mesh.bounds[1] + 0.012, truth.views, [slant(v) for v in truth.views], [m == k for m in truth.masks],
        level=0.0, voxel=0.0025, skirt_m=0.006, seed=mesh.vertices,
    )  # fmt: skip
    assert solid.mesh.is_watertight
    assert np.abs(solid.mesh.bounds[0, 2]) < 1e-6
    assert np.linalg.norm(solid.mesh.center_mass - mesh.center_mass) < 0.003
    assert np.abs(solid.mesh.extents - mesh.extents).max() < 0.005
    assert solid.mesh.volume == pytest.approx(mesh.volume, rel=0.15)


def test_bounds_on_meshes_and_hulls_reach_the_stage_from_the_command_line(tmp_path, monkeypatch, capfd):
    from phone2sim.assets import pipeline
    from phone2sim.cli import main
    from phone2sim.errors import InputError
    from phone2sim.reconstruct.metric import rescale

    asked = []

    def record(_, config, force):
        asked.append(config)
        raise InputError("far enough")

    (tmp_path / "splat").mkdir()
    (tmp_path / "splat" / "manifest.json").write_text('{"fingerprint": ""}')
    monkeypatch.setattr(rescale, "settle_splat", lambda _: None)
    monkeypatch.setattr(pipeline, "build_assets", record)
    told = ["--faces", "900", "--hull-concavity", "0.03", "--hulls", "20", "--hull-faces", "40"]
    assert main(["assets", str(tmp_path), *told]) == 2 and main(["assets", str(tmp_path)]) == 2
    assert asked[0] == pipeline.AssetsConfig(faces=900, hull_concavity=0.03, hull_parts=20, hull_faces=40)
    assert asked[1] == pipeline.AssetsConfig()
    assert main(["assets", str(tmp_path), "--hulls", "0"]) == 2
    assert len(asked) == 2
    assert "'--hulls': Input should be greater than or equal to 1" in capfd.readouterr().err


@pytest.mark.parametrize("shape", ["ball", "cone"])
def test_what_narrows_keeps_curving_in_whatever_hangs_on_its_foot(shape):
    """A wisp of ground beside the foot, up to 11 mm high, is gone; the level sections below are as wide as the true ones."""
    voxel = 0.002
    low = np.array([-0.044, -0.044, -0.008])
    grid = Grid.around(low, np.array([0.044, 0.044, 0.076]), voxel)
    p = grid.points()
    r, z = np.hypot(p[:, 0], p[:, 1]), p[:, 2]
    true = np.linalg.norm(p - [0, 0, 0.032], axis=1) - 0.032 if shape == "ball" else 0.85 * (r - 0.01 - 0.5 * z)
    true = np.clip(np.maximum(true, z - 0.06), -4 * voxel, 4 * voxel).astype(np.float32).reshape(grid.shape)
    wisp = (np.linalg.norm((p - [0.02, 0, 0.004]) / [1.3, 0.6, 1], axis=1) - 0.007).astype(np.float32).reshape(grid.shape)
    k0 = int(round((0.008 - low[2]) / voxel))
    assert (wisp[:, :, k0 + 1] < 0).any()
    out = continue_down(np.minimum(true, wisp), k0, voxel, skirt=4)
    level = int(round(-low[2] / voxel))
    radius = [np.sqrt((f[:, :, level + 1 : k0 + 4] < 0).sum(axis=(0, 1)) * voxel**2 / np.pi) for f in (true, out)]
    assert np.abs(radius[1] - radius[0])[1:].max() < 0.6 * voxel and np.abs(radius[1] - radius[0]).max() < 1.2 * voxel
    beyond = (true > voxel) & (grid.points()[:, 2].reshape(grid.shape) > 0.003)
    assert not (out[beyond] < 0).any()
