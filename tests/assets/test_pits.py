"""A pit that the splat made up is filled; one that the photos show stays, and so does a gap."""

from dataclasses import replace

import manifold3d
import numpy as np
import pytest

from phone2sim.assets.pits import filled
from phone2sim.assets.solid import as_trimesh
from phone2sim.assets.views import View
from phone2sim.keys import Key
from phone2sim.libraries import load_open3d
from phone2sim.poses import look_at
from phone2sim.reconstruct.mesh.fusion import Grid

VOXEL, SIDE, DEEP, BORE = 0.002, 0.05, 0.009, 0.0045
SIZE = 180
K = np.array([[420.0, 0, SIZE / 2], [0, 420, SIZE / 2], [0, 0, 1]])
MIDDLE = np.array([0.0, 0, SIDE / 2])
FACE = np.array([SIDE / 2, 0.004, 0.028])
"""Where the pit is."""


def box():
    return manifold3d.Manifold.cube((SIDE, SIDE, SIDE), True).translate(tuple(MIDDLE))


def bored():
    tool = manifold3d.Manifold.cylinder(2 * DEEP, BORE, circular_segments=48, center=True).rotate((0, 90, 0))
    return box() - tool.translate(tuple(FACE))


def slit():
    return box() - manifold3d.Manifold.cube((2 * SIDE, 0.006, SIDE), True).translate((0.0, 0, 0.03 + SIDE / 2))


def grid() -> Grid:
    return Grid.around(np.array([-0.045, -0.045, -0.008]), np.array([0.045, 0.045, 0.07]), VOXEL)


def rays_at(body):
    tensor, rays = load_open3d().core.Tensor, load_open3d().t.geometry.RaycastingScene(nthreads=1)
    mesh = as_trimesh(body)
    rays.add_triangles(tensor(mesh.vertices.astype(np.float32)), tensor(mesh.faces.astype(np.uint32)))
    return rays


def field_of(body) -> np.ndarray:
    """Distances with the body continued below the plane, as bodies are closed."""
    g = grid()
    p = g.points() * [1, 1, 1]
    p[:, 2] = np.maximum(p[:, 2], 0.002)
    return np.clip(rays_at(body).compute_signed_distance(p.astype(np.float32)).numpy(), -4 * VOXEL, 4 * VOXEL).reshape(g.shape)


def seen(body, waves: float = 350.0) -> tuple[list[View], list[np.ndarray]]:
    """A body with a pattern on a table, photographed from one side."""
    wave = Key(1).child("waves").rng().normal(size=(12, 3)) * waves
    rays, views, masks = rays_at(body), [], []
    for elevation in (0.3, 0.7):
        for azimuth in np.linspace(-0.9, 0.9, 7):
            eye = MIDDLE + 0.3 * np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
            T = look_at(eye, MIDDLE).matrix
            v, u = np.mgrid[:SIZE, :SIZE] + 0.5
            d = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones_like(u)], -1) @ T[:3, :3].T
            hit = rays.cast_rays(np.concatenate([np.broadcast_to(eye, d.shape), d], -1).astype(np.float32))["t_hit"].numpy()
            mask = np.isfinite(hit)
            z = np.where(mask, hit, np.where(d[..., 2] < -1e-3, -eye[2] / np.minimum(d[..., 2], -1e-3), 3.0))
            grey = 128 + 40 * np.sin((eye + z[..., None] * d) @ wave.T).sum(-1) / np.sqrt(6)
            photo = np.where(mask, np.clip(grey, 0, 255), 90).astype(np.uint8)
            views.append(View(name="", photo=np.repeat(photo[..., None], 3, 2), depth=z.astype(np.float32), K=K, T_camera_world=np.linalg.inv(T)))
            masks.append(mask)
    return views, masks


def test_a_pit_that_two_views_in_three_see_but_no_photo_is_filled() -> None:
    views, masks = seen(box())
    deep, _ = seen(bored())
    wrong = [view if i % 3 == 0 else replace(view, depth=d.depth) for i, (view, d) in enumerate(zip(views, deep, strict=True))]
    holes = [m & (np.abs(w.depth - v.depth) < 1e-4) if i % 4 == 1 else m for i, (m, v, w) in enumerate(zip(masks, views, wrong, strict=True))]
    assert sum((h != m).any() for h, m in zip(holes, masks, strict=True)) >= 3
    field, whole = field_of(bored()), field_of(box())
    out = filled(field, grid(), wrong, holes)
    inside = whole < -VOXEL
    assert (field[inside] > 0).sum() > 20 and (out[inside] < 0).all()
    assert np.abs(out - whole)[np.abs(whole) < VOXEL].max() < 0.75 * VOXEL
    assert (out[whole > 0.6 * VOXEL] > 0).all()


@pytest.mark.parametrize(("body", "waves"), [(bored, 350.0), (slit, 350.0), (slit, 0.0)])
def test_a_pit_in_the_photos_stays_and_so_does_a_gap_that_the_table_shows_through(body, waves: float) -> None:
    field = field_of(body())
    assert filled(field, grid(), *seen(body(), waves)) is field
