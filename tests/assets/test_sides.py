"""Flat sides are found and moved as one; edges go as far as the planes that meet there, and no round one becomes sharp."""

import manifold3d
import numpy as np
import pytest
import trimesh

from phone2sim.assets.odd import odd_parts
from phone2sim.assets.outline import moved_to_photos
from phone2sim.assets.sides import flat_sides
from phone2sim.assets.solid import as_trimesh, simplify
from phone2sim.keys import Key
from phone2sim.libraries import load_open3d
from phone2sim.poses import look_at
from phone2sim.reconstruct.mesh.view import View

VOXEL = 0.002
SIZE = np.array([0.1, 0.07, 0.03])
K = np.array([[560.0, 0, 140], [0, 560, 140], [0, 0, 1]])


def block(size: np.ndarray, radius: float, *, rough: float = 0.0) -> trimesh.Trimesh:
    """A box on z = 0 whose upper and upright edges are round."""
    ball = manifold3d.Manifold.sphere(radius, 32)
    low, high = [radius - size[0] / 2, radius - size[1] / 2, 0], [size[0] / 2 - radius, size[1] / 2 - radius, size[2] - radius]
    corners = np.array(np.meshgrid(*zip(low, high))).reshape(3, -1).T
    body = manifold3d.Manifold.batch_hull([ball.translate(tuple(c)) for c in corners]).trim_by_plane((0, 0, 1), 0.0)
    if not rough:
        return as_trimesh(body)
    mesh = as_trimesh(body.refine_to_length(0.004))
    up = mesh.vertices[:, 2:] > 1e-6
    return simplify(
        trimesh.Trimesh(mesh.vertices + up * np.random.default_rng(0).normal(0, rough, mesh.vertices.shape), mesh.faces, process=False),
        faces=2000, tolerance=0.2 * VOXEL,
    )  # fmt: skip


def photographed(mesh: trimesh.Trimesh) -> tuple[list[View], list[np.ndarray]]:
    """A patterned body on a plain plane, seen from all around and above, as boxes on tables are; and its masks."""
    o3d = load_open3d()
    rays = o3d.t.geometry.RaycastingScene(nthreads=1)
    rays.add_triangles(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.uint32))
    waves = Key(3).child("waves").rng().normal(size=(14, 3)) * 300
    v, u = np.mgrid[:280, :280] + 0.5
    views, masks = [], []
    for i in range(24):
        a, e = 2 * np.pi * i / 24, (0.55, 0.75, 0.95)[i % 3]
        eye = 0.55 * np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])
        T = look_at(eye, np.array([0, 0, 0.015])).matrix
        d = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones_like(u)], -1) @ T[:3, :3].T
        hit = rays.cast_rays(np.concatenate([np.broadcast_to(eye, d.shape), d], -1).astype(np.float32))["t_hit"].numpy()
        mask = np.isfinite(hit)
        z = np.where(mask, hit, -eye[2] / d[..., 2])
        grey = 128 + 45 * np.sin((eye + z[..., None] * d) @ waves.T).sum(-1) / np.sqrt(7)
        photo = np.where(mask, np.clip(grey, 0, 255), 200).astype(np.uint8)
        views.append(View(name="", photo=np.repeat(photo[..., None], 3, 2), depth=z.astype(np.float32), K=K, T_camera_world=np.linalg.inv(T)))
        masks.append(mask)
    return views, masks


def outside(mesh: trimesh.Trimesh, true: trimesh.Trimesh) -> np.ndarray:
    """[m] how far the vertices higher than a foot are outside (+) of the true body."""
    o3d = load_open3d()
    rays = o3d.t.geometry.RaycastingScene(nthreads=1)
    rays.add_triangles(np.asarray(true.vertices, np.float32), np.asarray(true.faces, np.uint32))
    return rays.compute_signed_distance(np.asarray(mesh.vertices[mesh.vertices[:, 2] > 0.005], np.float32)).numpy()


def fitted(mesh: trimesh.Trimesh, true: trimesh.Trimesh) -> trimesh.Trimesh:
    return moved_to_photos(mesh, *photographed(true), level=0.0, foot_m=0.004, voxel=VOXEL)


def test_a_box_that_voxels_rounded_off_and_widened_gets_its_size_back():
    """Fitted by its outline alone it grows by as much again: its round edges reach their outline only from there."""
    true = block(SIZE, 0.0005)
    wide = block(SIZE + [0.002, 0.002, 0.0], 0.004, rough=5e-5)
    out = fitted(wide, true)
    assert out.is_volume
    assert np.abs(np.ptp(wide.vertices, axis=0) - SIZE)[:2].min() > 0.0018
    assert np.abs(np.ptp(out.vertices, axis=0) - SIZE).max() < 0.001
    assert outside(out, true).max() < 0.0006


def test_edges_that_are_round_stay_round():
    """Sharp ones would stand out by 2.5 mm."""
    true = block(SIZE, 0.006)
    wide = block(SIZE + [0.0015, 0.0015, 0.001], 0.006, rough=5e-5)
    out = fitted(wide, true)
    assert out.is_volume and outside(wide, true).max() > 0.0014
    assert outside(out, true).max() < 0.001 and np.abs(np.ptp(out.vertices, axis=0) - SIZE).max() < 0.001


@pytest.mark.parametrize("rough", [1e-6, 1e-4])
def test_a_box_has_four_sides_and_a_top(rough):
    mesh = block(SIZE, 0.004, rough=rough)
    sides = flat_sides(mesh, voxel=VOXEL)
    normals = np.array([s.normal for s in sides])
    assert len(sides) == 5 and (normals[:, 2] > -0.1).all() and np.abs(normals).max(axis=1).min() > 0.99
    assert sides[0].normal[2] > 0.99 and sides[0].offset == pytest.approx(mesh.vertices[:, 2].max(), abs=1e-4 + 3 * rough)  # the largest first
    assert np.sum([s.own for s in sides], axis=0).max() == 1
    for s in sides:
        assert np.abs(s.beyond(mesh.vertices[s.own])).max() < 0.4 * VOXEL and (s.own <= s.around).all()
        near = mesh.vertices[s.around & ~s.own]
        assert (s.beyond(near) < 0.4 * VOXEL).all() and (s.beyond(near) > -3 * VOXEL).all()


@pytest.mark.parametrize(("shape", "flat"), [
    (trimesh.creation.icosphere(subdivisions=4, radius=0.04), 0), (trimesh.creation.capsule(radius=0.02, height=0.08), 0),
    (trimesh.creation.cylinder(0.033, 0.1, sections=64), 1),
])  # fmt: skip
def test_what_is_round_has_no_sides(shape, flat):
    assert len(flat_sides(shape, voxel=VOXEL)) == flat


def test_a_handle_is_an_odd_part_and_a_blurred_rim_is_not():
    outside = np.ones((40, 40, 20), bool)
    outside[:20] = False
    handle, rim = (np.zeros_like(outside) for _ in range(2))
    handle[20:32, 5:8, 8:12] = True
    rim[20:23, 15:40, 16:19] = True
    assert (odd_parts(handle | rim, outside) == handle).all()
    assert not odd_parts(np.zeros_like(rim), outside).any()
