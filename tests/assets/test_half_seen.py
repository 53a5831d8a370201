"""Objects that one picture shows from one side come out closed, standing, and about as large as they are."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "reconstruct" / "photo"))

import shots

from phone2sim.assets.halfseen import close_half_seen
from phone2sim.assets.hidden import behind, hidden_support
from phone2sim.assets.inpaint import fill_by_pieces
from phone2sim.assets.once import connected, find_objects_once, pixels_of
from phone2sim.assets.symmetry import axis_centre, box_yaw
from phone2sim.assets.texture import plain
from phone2sim.assets.views import View
from phone2sim.libraries import load_open3d
from phone2sim.reconstruct.photo.surface import resized
from phone2sim.reconstruct.splat.cloud import SplatCloud

NOTHING = SplatCloud(
    means=np.zeros((1, 3)), quats_wxyz=np.eye(1, 4), scales=np.full((1, 3), 0.01), opacities=np.ones(1), sh=np.zeros((1, 1, 3))
)  # fmt: skip


def view_of(shot, side=640):
    h, w = shot.depth.shape
    s = side / max(h, w)
    K = shot.K.copy()
    K[:2] *= s
    return View(
        name="0000.jpg", photo=shot.rgb, depth=resized(shot.depth, round(w * s), round(h * s)), K=K,
        T_camera_world=np.linalg.inv(shot.T_world_camera),
    )  # fmt: skip


@pytest.fixture(scope="module", params=[(0, 40.0, -90.0), (5, 30.0, 20.0), (6, 55.0, 120.0)], ids=["40deg", "30deg", "55deg"])
def closed(request):
    seed, elevation, azimuth = request.param
    shot = shots.shoot(("can", "ball", "pear", "tea_box"), seed=seed, elevation=elevation, azimuth=azimuth)
    view = view_of(shot)
    found = find_objects_once(view)
    return shot, view, found, close_half_seen(NOTHING, found, view)


def owner(shot, solid):
    centre = solid.mesh.bounds.mean(axis=0)[:2]
    return int(np.argmin(np.linalg.norm(shot.scene.T_world_object.translation[:, :2] - centre, axis=1)))


def test_every_object_is_found_once(closed):
    shot, _, found, bodies = closed
    assert sorted(owner(shot, s) for s in bodies.solids) == [0, 1, 2, 3], [r.reason for r in found.refused]
    assert abs(found.support.surface.height_m) < 5e-4


def test_bodies_are_closed_stand_and_weigh_about_right(closed):
    shot, _, _, bodies = closed
    for solid in bodies.solids:
        thing = shot.scene.objects[owner(shot, solid)]
        assert solid.mesh.is_watertight, thing.name
        assert solid.mesh.bounds[0, 2] == pytest.approx(0, abs=1e-3)
        assert 0.85 < solid.mesh.volume / thing.volume_m3() < 1.15, (thing.name, solid.mesh.volume)


def test_the_visible_side_is_kept(closed):
    o3d = load_open3d()

    shot, view, _, bodies = closed
    world = pixels_of(view).points
    for k, solid in enumerate(bodies.solids, start=1):
        rays = o3d.t.geometry.RaycastingScene(nthreads=1)
        rays.add_triangles(np.asarray(solid.mesh.vertices, np.float32), np.asarray(solid.mesh.faces, np.uint32))
        points = world[bodies.masks[0] == k]
        off = rays.compute_distance(np.ascontiguousarray(points[np.isfinite(points).all(axis=1)], np.float32)).numpy()
        assert np.percentile(off, 95) < 0.005, shot.scene.objects[owner(shot, solid)].name


def test_round_things_are_revolved_and_boxes_mirrored(closed):
    shot, _, _, bodies = closed
    for solid, note in zip(bodies.solids, bodies.notes):
        name = shot.scene.objects[owner(shot, solid)].name
        assert ("two planes" if name == "tea_box" else "revolution") in note, (name, note)


def test_masks_are_the_objects(closed):
    shot, view, _, bodies = closed
    import cv2

    h, w = view.depth.shape
    truth = cv2.resize(shot.scene.instances(shot.scene.view(shot.K, shot.T_world_camera, *shot.depth.shape[::-1])), (w, h),
                       interpolation=cv2.INTER_NEAREST)  # fmt: skip
    for k, solid in enumerate(bodies.solids, start=1):
        mine, true = bodies.masks[0] == k, truth == owner(shot, solid) + 1
        assert (mine & true).sum() / (mine | true).sum() > 0.85


def test_what_is_hidden_is_marked(closed):
    """The ground that a straight line to the camera meets something else before."""
    shot, view, found, bodies = closed
    hidden = hidden_support(found, view)
    assert not (hidden & ~found.support.inside).any()
    for solid in bodies.solids:
        away = solid.mesh.bounds.mean(axis=0)[:2] - view.centre[:2]
        spot = solid.mesh.bounds.mean(axis=0)[:2] + 0.03 * away / np.linalg.norm(away)
        i, j = np.round((spot - found.origin) / found.cell).astype(int)
        assert hidden[i, j]
    shown = found.support.inside & ~hidden
    assert shown.sum() > hidden.sum()
    assert len(behind(found, view, np.zeros_like(view.depth, bool))) == 0


def test_a_mug_keeps_its_handle():
    shot = shots.shoot(("mug",), seed=3, elevation=40, azimuth=135)
    view = view_of(shot)
    bodies = close_half_seen(NOTHING, find_objects_once(view), view)
    assert len(bodies.solids) == 1
    size, true = np.sort(np.ptp(bodies.solids[0].mesh.bounds, axis=0)), shot.scene.objects[0].shape.vertices
    true = np.sort(np.ptp(true @ shot.scene.T_world_object.rotation[0].T, axis=0))
    assert size == pytest.approx(true, abs=0.012)


def test_axis_and_yaw_come_back_from_normals():
    rng = np.random.default_rng(0)
    a = rng.uniform(0, np.pi, 400)
    n = np.column_stack([np.cos(a), np.sin(a), np.zeros(400)])
    p = n * 0.04 + [0.3, -0.2, 0] + [0, 0, 1] * rng.uniform(0, 0.1, (400, 1))
    assert axis_centre(p, n) == pytest.approx([0.3, -0.2], abs=1e-6)
    yaw = np.radians(25)
    faces = np.repeat([[np.cos(yaw), np.sin(yaw), 0], [-np.sin(yaw), np.cos(yaw), 0]], 100, axis=0)
    found, clear = box_yaw(faces)
    assert found == pytest.approx(yaw) and clear == pytest.approx(1)
    assert box_yaw(n)[1] < 0.5


def test_a_step_of_the_depth_parts_two_things():
    depth = np.full((10, 20), 1.0)
    depth[:, 10:] = 1.2
    assert connected(depth, np.ones_like(depth, bool)).max() == 2
    depth[:, 10:] = 1.01
    assert connected(depth, np.ones_like(depth, bool)).max() == 1


def test_pieces_continue_a_pattern():
    u = np.arange(120)
    stripes = np.repeat(np.where((u // 6) % 2, 60, 190)[None, :, None], 90, axis=0).repeat(3, axis=2).astype(np.uint8)
    hole = np.zeros((90, 120), bool)
    hole[20:70, 40:80] = True
    broken = np.where(hole[..., None], 0, stripes).astype(np.uint8)
    filled = fill_by_pieces(broken, ~hole, hole)
    assert np.array_equal(filled[~hole], stripes[~hole])
    assert (np.abs(filled.astype(int) - stripes) < 30).mean() > 0.97


def test_plain_colours_follow_the_height():
    z = np.linspace(0, 1, 200)
    color = np.where(z[:, None] < 0.5, [200.0, 0, 0], [0, 0, 200.0])
    assert plain(np.array([0.1, 0.9]), z, color) == pytest.approx(np.array([[200, 0, 0], [0, 0, 200]]), abs=1)


def test_soft_and_noisy_depth_still_gives_bodies():
    """Depth of 180×240 pixels, smeared over every border, as phones and networks give it."""
    import cv2

    from phone2sim.reconstruct.photo.surface import settled

    shot = shots.shoot(("can", "ball", "pear", "tea_box"), seed=1, elevation=45)
    h, w = shot.depth.shape
    small = cv2.resize(1 / np.minimum(shot.depth, 2.2), (w // 4, h // 4), interpolation=cv2.INTER_AREA)
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, (h, w)), (0, 0), 6)
    inverse = cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR) * (1 + 0.002 * noise / noise.std())
    view = view_of(shots.Shot(shot.scene, shot.K, shot.T_world_camera, shot.rgb, settled(1 / inverse)))
    bodies = close_half_seen(NOTHING, find_objects_once(view), view)
    assert sorted(owner(shot, s) for s in bodies.solids) == [0, 1, 2, 3]
    for solid in bodies.solids:
        assert 0.7 < solid.mesh.volume / shot.scene.objects[owner(shot, solid)].volume_m3() < 1.5
