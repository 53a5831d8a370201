"""A vessel's wall is as thick as the photos of its inside say, where they say it; a plate is no thicker under its rim than in its middle."""

from functools import cache

import manifold3d
import numpy as np
import pytest
import trimesh

from phone2sim.assets.dish import undercut
from phone2sim.assets.profile import profile_of
from phone2sim.assets.solid import Solid, as_trimesh
from phone2sim.assets.walls import walled
from phone2sim.keys import Key
from phone2sim.libraries import load_open3d
from phone2sim.poses import look_at
from phone2sim.reconstruct.mesh.fusion import Grid
from phone2sim.reconstruct.mesh.view import View

RADIUS, HEIGHT, WALL, BASE, VOXEL = 0.038, 0.08, 0.004, 0.006, 0.0019
SIZE = 220
K = np.array([[620.0, 0, SIZE / 2], [0, 620, SIZE / 2], [0, 0, 1]])
CORNERS = {"round": 64, "square": 4}


def mug(wall: float, sides: int, base: float = BASE) -> trimesh.Trimesh:
    """A beaker with a handle, its triangles no larger than a reconstruction's."""
    body = manifold3d.Manifold.cylinder(HEIGHT, RADIUS, RADIUS, sides) + manifold3d.Manifold.cube((0.025, 0.01, 0.012)).translate((0.9 * RADIUS, -0.005, 0.03))
    inner = RADIUS - wall / np.cos(np.pi / sides)
    return as_trimesh((body - manifold3d.Manifold.cylinder(HEIGHT, inner, inner, sides).translate((0, 0, base))).refine_to_length(0.005))


@cache
def photographed(sides: int, around: float = 2 * np.pi, *, plain: bool = False) -> tuple[list[View], list[np.ndarray]]:
    """Views of the true mug, patterned or plain, from above over an angle around it, and its masks."""
    mesh = mug(WALL, sides)
    o3d = load_open3d()
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.uint32))
    wave = Key(1).child("waves").rng().normal(size=(16, 3)) * 300
    views, masks = [], []
    for e in (0.5, 0.8, 1.2):
        for a in np.linspace(0, around, 10, endpoint=False):
            eye = np.array([0, 0, 0.04]) + 0.5 * np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])
            T = look_at(eye, [0, 0, 0.04]).matrix
            v, u = np.mgrid[:SIZE, :SIZE] + 0.5
            d = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones_like(u)], -1) @ T[:3, :3].T
            hit = scene.cast_rays(o3d.core.Tensor(np.concatenate([np.broadcast_to(eye, d.shape), d], -1).astype(np.float32)))
            z = hit["t_hit"].numpy()
            mask = np.isfinite(z)
            grey = 128 + (0 if plain else 40) * np.sin((eye + np.where(mask, z, 0)[..., None] * d) @ wave.T).sum(-1) / np.sqrt(8)
            photo = np.repeat(np.where(mask, np.clip(grey, 0, 255), 90).astype(np.uint8)[..., None], 3, 2)
            views.append(View(name="", photo=photo, depth=np.where(mask, z, 5).astype(np.float32), K=K, T_camera_world=np.linalg.inv(T)))
            masks.append(mask)
    return views, masks


def standing(emptied: bool) -> Solid:
    """What `walled` asks of a body: where its support is, and whether its hollow was inferred."""
    grid = Grid.around(np.full(3, -0.05), np.array([0.05, 0.05, 0.09]), VOXEL)
    return Solid(grid=grid, distance=np.zeros(grid.shape), mesh=None, level=0.0, emptied=np.ones(grid.shape, bool) if emptied else None)


@pytest.mark.parametrize("shape", list(CORNERS))
@pytest.mark.parametrize("wrong", [0.0025, 0.007])
def test_a_wall_becomes_as_thick_as_its_photos_say(shape: str, wrong: float) -> None:
    true = mug(WALL, CORNERS[shape])
    views, masks = photographed(CORNERS[shape])
    mesh = mug(wrong, CORNERS[shape], 0.012)
    out = walled(mesh, standing(emptied=False), views, masks, voxel=VOXEL)
    profile = profile_of(out)
    thick = (profile.outer - profile.inner) / profile.slant
    assert out.is_volume and np.median(thick) == pytest.approx(WALL, rel=0.1)
    assert profile.floor == pytest.approx(BASE, abs=0.0005)
    assert out.volume == pytest.approx(true.volume, rel=0.1)
    rho = np.hypot(*mesh.vertices[:, :2].T)
    outside = rho > RADIUS - 1e-4
    np.testing.assert_allclose(out.vertices[outside], mesh.vertices[outside], atol=2e-4)
    np.testing.assert_allclose(out.bounds, mesh.bounds, atol=1e-6)


def test_a_floor_that_photos_do_not_show_goes_with_the_wall_only_where_it_was_inferred() -> None:
    views, masks = photographed(64)
    low = [k for k, v in enumerate(views) if v.centre[2] < 0.3]  # over the rim they see the upper half of the inside
    views, masks = [views[k] for k in low], [masks[k] for k in low]
    mesh = mug(0.007, 64, 0.012)
    seen, inferred = (profile_of(walled(mesh, standing(e), views, masks, voxel=VOXEL)) for e in (False, True))
    assert seen.floor == pytest.approx(0.012, abs=1e-4)
    assert inferred.floor == pytest.approx(1.5 * WALL, rel=0.1)


@pytest.mark.parametrize("case", ["plain", "from one side", "right already", "no vessel"])
def test_what_photos_do_not_tell_stays(case: str) -> None:
    views, masks = photographed(64, np.pi / 2 if case == "from one side" else 2 * np.pi, plain=case == "plain")
    mesh = mug(WALL if case == "right already" else 0.007, 64)
    if case == "no vessel":
        mesh = trimesh.creation.cylinder(RADIUS, HEIGHT)
        mesh.apply_translation([0, 0, HEIGHT / 2])
    assert walled(mesh, standing(emptied=True), views, masks, voxel=VOXEL) is mesh


def dish(rim_foot: float) -> tuple[np.ndarray, Grid]:
    """A dish 14 cm wide and 16 mm high, its middle 4 mm thick and solid below its rim from the radius `rim_foot` [m] on, which hangs free."""
    grid = Grid.around(np.array([-0.08, -0.08, -0.008]), np.array([0.08, 0.08, 0.024]), VOXEL)
    p = grid.points()
    r, z = np.hypot(p[:, 0], p[:, 1]), p[:, 2]
    top = 0.004 + 0.012 * np.clip((r - 0.042) / 0.026, 0, 1)
    under = np.where(r > rim_foot, top - 0.004, -1)
    field = np.max([z - top, under - z, r - 0.07], axis=0)
    return np.clip(field, -4 * VOXEL, 4 * VOXEL).reshape(grid.shape).astype(np.float32), grid


def volume(field: np.ndarray, grid: Grid) -> float:
    return float((field < 0)[:, :, grid.origin[2] + grid.voxel * np.arange(grid.shape[2]) > 0].sum() * grid.voxel**3)


def test_under_the_rim_a_plate_is_no_thicker_than_in_its_middle() -> None:
    field, grid = dish(0.064)
    true, _ = dish(0.042)
    out = undercut(field, grid, [], level=0.0)
    assert volume(field, grid) > 1.4 * volume(true, grid)
    assert volume(out, grid) == pytest.approx(volume(true, grid), rel=0.1)
    x, y = (grid.origin[a] + grid.voxel * np.arange(grid.shape[a]) for a in range(2))
    foot = np.hypot(x[:, None], y) < 0.04
    np.testing.assert_array_equal(out[foot], field[foot])


def test_a_dish_whose_sides_go_down_to_the_support_stays() -> None:
    field, grid = dish(1.0)
    assert undercut(field, grid, [], level=0.0) is field
