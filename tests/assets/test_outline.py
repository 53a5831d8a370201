"""A surface that lies beside the real one goes back to it; what hides behind a body's own wall is not coloured from its front."""

import numpy as np
import pytest
import trimesh

from phone2sim.assets.outline import moved_to_photos
from phone2sim.assets.parallax import slide
from phone2sim.assets.texture import bake, blend
from phone2sim.keys import Key
from phone2sim.libraries import load_open3d
from phone2sim.poses import look_at
from phone2sim.reconstruct.mesh.view import View

RADIUS, VOXEL = 0.04, 0.002
MIDDLE = np.array([0.0, 0, 0.06])
SIZE = 200
K = np.array([[620.0, 0, SIZE / 2], [0, 620, SIZE / 2], [0, 0, 1]])


def rays(eye: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    T = look_at(eye, MIDDLE).matrix
    v, u = np.mgrid[:SIZE, :SIZE] + 0.5
    return T, np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones_like(u)], -1) @ T[:3, :3].T


def eyes() -> list[np.ndarray]:
    a = np.arange(12) * np.pi / 6
    return [MIDDLE + 0.5 * np.array([np.cos(t) * np.cos(e), np.sin(t) * np.cos(e), np.sin(e)]) for e in (0.5, 0.9) for t in a]


def ball_views() -> tuple[list[View], list[np.ndarray]]:
    """A patterned ball of `RADIUS` photographed all around, and its masks."""
    wave = Key(1).child("waves").rng().normal(size=(12, 3)) * 250
    views, masks = [], []
    for eye in eyes():
        T, d = rays(eye)
        b, a, c = (d * (eye - MIDDLE)).sum(-1), (d * d).sum(-1), ((eye - MIDDLE) ** 2).sum() - RADIUS**2
        root = b * b - a * c
        mask = root > 0
        z = np.where(mask, (-b - np.sqrt(np.maximum(root, 0))) / a, 5.0)
        grey = 128 + 40 * np.sin((eye + z[..., None] * d) @ wave.T).sum(-1) / np.sqrt(6)
        photo = np.where(mask, np.clip(grey, 0, 255), 90).astype(np.uint8)
        views.append(View(name="", photo=np.repeat(photo[..., None], 3, 2), depth=z.astype(np.float32), K=K, T_camera_world=np.linalg.inv(T)))
        masks.append(mask)
    return views, masks


def ball(radius: float) -> trimesh.Trimesh:
    mesh = trimesh.creation.icosphere(3, radius)
    mesh.apply_translation(MIDDLE)
    return mesh


@pytest.mark.parametrize("off", [-0.0015, 0.0012])
def test_a_ball_of_the_wrong_size_goes_back_to_its_own(off: float) -> None:
    views, masks = ball_views()
    mesh = ball(RADIUS + off)
    out = moved_to_photos(mesh, views, masks, level=0.0, foot_m=0.008, voxel=VOXEL)
    seen = mesh.vertices[:, 2] > MIDDLE[2]
    error = np.linalg.norm(out.vertices - MIDDLE, axis=1)[seen] - RADIUS
    assert out.is_volume and np.abs(np.median(error)) < 0.3 * abs(off) and np.percentile(np.abs(error), 90) < 0.5 * abs(off)


def test_the_pattern_alone_tells_how_deep_a_surface_lies() -> None:
    views, masks = ball_views()
    found = slide(ball(RADIUS - 0.0012), views, masks, voxel=VOXEL, tolerance_m=0.01)
    sure = found.weight > np.median(found.weight)
    assert abs(np.median(found.move[sure]) - 0.0012) < 0.0003
    blank = [View(name="", photo=np.full_like(v.photo, 120), depth=v.depth, K=v.K, T_camera_world=v.T_camera_world) for v in views]
    assert not slide(ball(RADIUS - 0.0012), blank, masks, voxel=VOXEL, tolerance_m=0.01).weight.any()


def test_without_masks_nothing_moves() -> None:
    views, masks = ball_views()
    mesh = ball(RADIUS)
    assert moved_to_photos(mesh, views, [np.zeros_like(m) for m in masks], level=0.0, foot_m=0.0, voxel=VOXEL) is mesh


def test_a_hidden_floor_takes_the_colour_of_the_walls_inside_not_of_those_outside() -> None:
    """A cup, red outside and blue inside, so deep that no camera sees its floor."""
    o3d = load_open3d()
    outer, inner, high, floor = 0.03, 0.026, 0.09, 0.012
    cup = trimesh.creation.annulus(inner, outer, high, sections=64)
    cup.apply_translation([0, 0, high / 2])
    plug = trimesh.creation.cylinder(0.5 * (inner + outer), floor, sections=64)
    plug.apply_translation([0, 0, floor / 2])
    body = trimesh.boolean.union([cup, plug], engine="manifold")
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(o3d.core.Tensor(body.vertices.astype(np.float32)), o3d.core.Tensor(body.faces.astype(np.uint32)))
    views, masks = [], []
    for eye in eyes()[:12]:
        T, d = rays(eye)
        lines = np.concatenate([np.broadcast_to(eye, d.shape), d], axis=-1).astype(np.float32)
        z = np.minimum(scene.cast_rays(o3d.core.Tensor(lines))["t_hit"].numpy(), 5)
        at = eye + z[..., None] * d
        photo = np.where(np.hypot(at[..., 0], at[..., 1])[..., None] < (inner + outer) / 2, (30, 30, 200), (200, 30, 30))
        photo = np.where(z[..., None] < 5, photo, 128).astype(np.uint8)
        views.append(View(name="", photo=photo, depth=z, K=K, T_camera_world=np.linalg.inv(T)))
        masks.append(z < 5)
    out = bake(body, views, masks, size=256, tolerance_m=0.01).mesh
    low = (np.abs(out.vertices[:, 2] - floor) < 1e-4) & (np.hypot(out.vertices[:, 0], out.vertices[:, 1]) < inner + 1e-4)
    faces = out.faces[low[out.faces].all(axis=1)]
    uv = out.uv[faces].mean(axis=1)
    color = out.texture[((1 - uv[:, 1]) * 256).astype(int), (uv[:, 0] * 256).astype(int)].astype(int)
    assert len(color) > 20 and (color[:, 2] > color[:, 0] + 60).mean() > 0.95


def test_a_foot_just_below_its_mask_is_coloured_unless_the_ground_shows_there() -> None:
    """A wall y = 0, 0.5 m away, whose mask ends four pixels early; the body reaches down to the foot."""
    T = look_at(np.array([0.0, -0.5, 0.03]), np.array([0.0, 0, 0.03])).matrix
    depth = np.full((SIZE, SIZE), 0.5, np.float32)
    rows = np.indices((SIZE, SIZE))[0]
    view = View(name="", photo=np.full((SIZE, SIZE, 3), 70, np.uint8), depth=depth, K=K, T_camera_world=np.linalg.inv(T))
    foot = view.project(np.zeros((1, 3)))[1][0]
    mask, own = rows < foot - 4, np.where(rows < foot, depth, np.inf)
    points = np.array([[0, 0, 0.002]], np.float32)
    normal = np.array([[0, -1, 0]], np.float32)

    def weight(seen: View, **more: float) -> float:
        return float(blend(points, normal, [seen], [mask], tolerance_m=0.01, best=2, own=[own], **more)[1][0])

    behind = View(name="", photo=view.photo, depth=depth + 0.006, K=K, T_camera_world=view.T_camera_world)
    assert weight(view) == 0 and weight(view, foot_z=0.008) > 0 and weight(behind, foot_z=0.008) == 0
    # The line of sight meets the ground 36 mm behind the point, and 1.8 mm: then depth cannot tell them apart.
    assert weight(view, foot_z=0.008, level=0.0) > 0 and weight(view, foot_z=0.008, level=0.0019) == 0
