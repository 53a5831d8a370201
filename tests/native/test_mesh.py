"""The mesh rasteriser against a slow NumPy float64 reference, and the laws of its light."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from phone2sim._native.mesh import (
    Backdrop,
    MeshLight,
    MeshPart,
    MeshWorld,
    contact_map,
    draw_over,
    render,
    shadow_map,
    srgb_to_linear,
    to_srgb8,
)
from phone2sim.errors import ShapeError
from phone2sim.poses import Pose, look_at

W, H = 96, 72
K = np.array([[80.0, 0, 46.3], [0, 83.0, 37.1], [0, 0, 1]])
NEAR = 0.05


def light(key=(0.7, 0.6, 0.5), direction=(0.3, -0.2, -1.0)) -> MeshLight:
    sh = np.random.default_rng(5).normal(0, 0.08, (9, 3))
    sh[0] = 2.0
    return MeshLight(direction=np.array(direction) / np.linalg.norm(direction), key_rgb=np.array(key), ambient_sh=sh)


def irradiance(sh, n):
    x, y, z = n
    basis = [0.282095, 0.488603 * y, 0.488603 * z, 0.488603 * x, 1.092548 * x * y, 1.092548 * y * z,
             0.315392 * (3 * z * z - 1), 1.092548 * x * z, 0.546274 * (x * x - y * y)]  # fmt: skip
    return np.maximum(0, np.asarray(basis) @ sh)


def soup(seed=0, n=40):
    """Random triangles around the origin, some through the camera plane, as two parts."""
    rng = np.random.default_rng(seed)
    parts = []
    for p in range(2):
        centre = rng.uniform(-0.5, 0.5, (n, 1, 3)) * [1.2, 1.2, 1.0]
        v = (centre + rng.normal(0, 0.22, (n, 3, 3))).reshape(-1, 3)
        if p == 0:
            v[:3] = [[-0.6, -3.0, -0.5], [0.9, -3.0, -0.4], [0.1, 1.0, -0.45]]  # passes under the camera
        f = np.arange(3 * n).reshape(-1, 3)
        normals = np.cross(v[f[:, 1]] - v[f[:, 0]], v[f[:, 2]] - v[f[:, 0]])
        normals = np.repeat(normals / np.linalg.norm(normals, axis=1, keepdims=True), 3, axis=0)
        parts.append(MeshPart(vertices=v, faces=f, normals=normals, rgb=tuple(rng.uniform(0.1, 0.9, 3))))
    poses = np.stack([np.eye(4), Pose(np.array([0.1, 0.05, 0.1]), np.array([0.9, 0.1, 0.3, -0.2])).matrix])
    return parts, poses


def reference(parts, poses, T_world_camera, lamp):
    """One ray per pixel centre, nearest hit, float64. Also where the answer hangs on rounding."""
    y, x = np.mgrid[0:H, 0:W] + 0.5
    rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(K).T
    depth = np.full((H, W), np.inf)
    part = np.full((H, W), -1)
    rgb = np.zeros((H, W, 3))
    unsure = np.zeros((H, W), bool)
    T_camera_world = np.linalg.inv(T_world_camera)
    for k, (p, T) in enumerate(zip(parts, poses)):
        M = T_camera_world @ T
        v = p.vertices.astype(np.float32).astype(float) @ M[:3, :3].T + M[:3, 3]
        for f in p.faces:
            weights = rays @ np.linalg.inv(v[f].T).T  # barycentric over z
            inverse_z = weights.sum(-1)
            with np.errstate(divide="ignore", invalid="ignore"):
                z = 1 / inverse_z
                b = weights / inverse_z[..., None]
            inside = (weights >= 0).all(-1) & (z >= NEAR)
            close = np.abs(z - depth) < 1e-4
            edge = (np.abs(b).min(-1) < 2e-3) & (b > -2e-3).all(-1) & (z > 0)
            unsure |= (edge & (z < depth + 1e-3)) | (inside & close) | (np.abs(z - NEAR) < 1e-3)
            hit = inside & (z < depth)
            n = p.normals[f[0]] @ T[:3, :3].T
            towards = v[f[0]] @ np.cross(v[f[1]] - v[f[0]], v[f[2]] - v[f[0]])
            n = n if towards < 0 else -n
            shade = irradiance(lamp.ambient_sh, n) + lamp.key_rgb * max(0.0, -n @ lamp.direction)
            depth[hit], part[hit], rgb[hit] = z[hit], k, np.asarray(p.rgb) * shade
    return depth, part, rgb, unsure


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_random_triangles_match_the_reference(seed):
    parts, poses = soup(seed)
    camera = look_at([0.2, -1.6, 0.5], [0, 0, 0]).matrix
    lamp = light()
    depth, part, rgb, unsure = reference(parts, poses, camera, lamp)
    image = render(MeshWorld(parts), poses, K=K, T_world_camera=camera, width=W, height=H, light=lamp, near_m=NEAR)
    sure = ~unsure
    assert sure.mean() > 0.8
    assert (depth < np.inf).mean() > 0.3
    np.testing.assert_array_equal(image.part[sure], part[sure])
    seen = sure & (part >= 0)
    np.testing.assert_allclose(image.depth[seen], depth[seen], rtol=2e-5)
    assert np.abs(image.rgb - rgb)[sure].mean() <= 1e-4
    np.testing.assert_array_equal(image.coverage[sure], (part >= 0)[sure])
    assert (image.depth[sure & (part < 0)] == np.inf).all()


def test_perspective_correct_texture_matches_the_reference():
    rng = np.random.default_rng(3)
    texture = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    v = np.array([[-1.0, -0.4, 0], [1.0, -0.4, 0], [1.0, 2.4, 0], [-1.0, 2.4, 0]])
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]])
    quad = MeshPart(vertices=v, faces=[[0, 1, 2], [0, 2, 3]], normals=np.tile([0, 0, 1.0], (4, 1)), uv=uv, texture=texture)
    camera = look_at([0.1, -0.9, 0.8], [0, 0.2, 0]).matrix
    white = MeshLight(direction=np.array([0, 0, -1.0]), key_rgb=np.ones(3), ambient_sh=np.zeros((9, 3)))
    image = render(MeshWorld([quad]), np.eye(4)[None], K=K, T_world_camera=camera, width=W, height=H, light=white)
    y, x = np.mgrid[0:H, 0:W] + 0.5
    ray = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(K).T @ camera[:3, :3].T
    p = camera[:3, 3] - ray * (camera[2, 3] / ray[..., 2:])
    u, w = (p[..., 0] + 1) / 2, (p[..., 1] + 0.4) / 2.8
    inside = (u > 0.01) & (u < 0.99) & (w > 0.01) & (w < 0.99) & (image.part == 0)
    tx, ty = u * 8 - 0.5, (1 - w) * 8 - 0.5
    x0, y0 = np.floor(tx).astype(int), np.floor(ty).astype(int)
    a, b = (tx - x0)[..., None], (ty - y0)[..., None]
    lin = srgb_to_linear(texture / 255.0)
    at = lambda j, i: lin[np.clip(j, 0, 7), np.clip(i, 0, 7)]  # noqa: E731
    want = (at(y0, x0) * (1 - a) + at(y0, x0 + 1) * a) * (1 - b) + (at(y0 + 1, x0) * (1 - a) + at(y0 + 1, x0 + 1) * a) * b
    assert inside.sum() > 1500
    assert np.abs(image.rgb - want)[inside].mean() < 1e-4


def test_minified_texture_averages_instead_of_aliasing():
    checker = np.indices((512, 512)).sum(0) % 2 * 255
    texture = np.repeat(checker[..., None], 3, 2).astype(np.uint8)
    v = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * 0.5
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]])
    quad = MeshPart(vertices=v, faces=[[0, 1, 2], [0, 2, 3]], normals=np.tile([0, 0, 1.0], (4, 1)), uv=uv, texture=texture)
    white = MeshLight(direction=np.array([0, 0, -1.0]), key_rgb=np.ones(3), ambient_sh=np.zeros((9, 3)))
    camera = look_at([0, -0.9, 0.9], [0, 0, 0]).matrix
    image = render(MeshWorld([quad]), np.eye(4)[None], K=K, T_world_camera=camera, width=W, height=H, light=white)
    values = image.rgb[image.part == 0]
    assert abs(values.mean() - 0.5) < 0.01
    assert values.std() < 0.01


def test_supersampling_measures_covered_area():
    v = np.array([[-0.31, -0.17, 1.0], [0.36, -0.22, 1.0], [0.05, 0.34, 1.0]])
    triangle = MeshPart(vertices=v, faces=[[0, 1, 2]], normals=np.tile([0, 0, -1.0], (3, 1)))
    px = v[:, :2] * [K[0, 0], K[1, 1]]
    area = abs(np.cross(np.append(px[1] - px[0], 0), np.append(px[2] - px[0], 0))[2]) / 2
    options = {"K": K, "T_world_camera": np.eye(4), "width": W, "height": H, "light": light()}
    world = MeshWorld([triangle])
    got = {s: render(world, np.eye(4)[None], supersample=s, **options).coverage for s in (1, 2, 3)}
    assert set(np.unique(got[2])) <= {0, 0.25, 0.5, 0.75, 1}
    assert abs(got[3].sum() - area) < 0.003 * area


def test_shared_edges_leave_no_crack():
    """A fan of thin triangles over the whole picture: every pixel is covered, exactly once in depth."""
    a = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    v = np.concatenate([[[0.011, 0.007, 1.0]], np.stack([3 * np.cos(a), 3 * np.sin(a), np.ones_like(a)], 1)])
    i = np.arange(400)
    f = np.stack([np.zeros(400, int), 1 + i, 1 + (i + 1) % 400], 1)
    fan = MeshPart(vertices=v, faces=f, normals=np.tile([0, 0, -1.0], (401, 1)))
    image = render(MeshWorld([fan]), np.eye(4)[None], K=K, T_world_camera=np.eye(4), width=W, height=H, light=light(), supersample=3)
    assert (image.coverage == 1).all()
    np.testing.assert_allclose(image.depth, 1.0, rtol=1e-5)


def test_depth_at_an_outline_stays_on_the_face():
    """A triangle seen at a slant, with 6 cm of depth a pixel: behind its edges its plane goes on, its depth does not."""
    corners = np.array([[0.05 + 0.25 * a + 0.2 * y, y, 1 + a] for a in (-0.1, 0.1) for y in (-0.2, 0.2)])
    wall = MeshPart(vertices=corners, faces=[[0, 1, 3]], normals=np.tile([1.0, 0, 0], (4, 1)))
    image = render(MeshWorld([wall]), np.eye(4)[None], K=K, T_world_camera=np.eye(4), width=W, height=H, light=light(), supersample=2)
    depth = image.depth[image.part == 0]
    assert ((image.part == 0) & (image.coverage < 1)).sum() > 20
    assert 0.9 - 1e-4 <= depth.min() < 0.91 and 1.05 < depth.max() <= 1.1 + 1e-4


def plate_world():
    def slab(half, z):
        v = np.array([[-half, -half, z], [half, -half, z], [half, half, z], [-half, half, z]])
        return MeshPart(vertices=v, faces=[[0, 1, 2], [0, 2, 3]], normals=np.tile([0, 0, 1.0], (4, 1)))

    return MeshWorld([slab(0.1, 0.2), slab(1.0, 0.0)]), np.tile(np.eye(4), (2, 1, 1))


def test_shadow_under_a_plate_and_light_beside_it():
    world, poses = plate_world()
    straight = shadow_map(world, poses, direction=[0, 0, -1], center=np.zeros(3), radius_m=0.6, softness=0.05)
    np.testing.assert_array_equal(straight.shadow_at([[0, 0, 0.001], [0.05, -0.05, 0.0]]), 0)
    np.testing.assert_array_equal(straight.shadow_at([[0.2, 0, 0.001], [0, 0, 0.3], [5.0, 0, 0]]), 1)
    slanted = shadow_map(world, poses, direction=[1, 0, -1], center=np.zeros(3), radius_m=0.6, softness=0.05)
    np.testing.assert_array_equal(slanted.shadow_at([[0.2, 0, 0.001], [0.0, 0, 0.001]]), [0, 1])


def test_penumbra_widens_with_distance_and_darkens_monotonically():
    widths = []
    for height in (0.1, 0.4):
        world, poses = plate_world()
        poses = poses.copy()
        poses[0, 2, 3] = height - 0.2
        m = shadow_map(world, poses, direction=[0, 0, -1], center=np.zeros(3), radius_m=0.6, softness=0.1, casts=[True, False])
        x = np.linspace(0.0, 0.25, 251)
        s = m.shadow_at(np.stack([x, 0 * x, 0 * x], 1))
        assert (np.diff(s) > -0.06).all()
        assert s[0] == 0 and s[-1] == 1
        widths.append(((s > 0.02) & (s < 0.98)).sum() * 1e-3)
    assert 2 * widths[0] < widths[1]


def test_contact_darkens_only_close_to_what_stands_there():
    world, poses = plate_world()
    poses = poses.copy()
    poses[0, 2, 3] = -0.19  # the plate hovers 10 mm above the support
    m = contact_map(world, poses, low=(-0.5, -0.5), high=(0.5, 0.5), height_m=0.0, casts=[True, False])
    under, beside, away = m.factor_at([[0, 0, 0], [0.11, 0, 0], [0.3, 0.3, 0]])
    assert under < beside < away == 1
    assert under > 0


def test_same_bytes_at_any_number_of_threads():
    parts, poses = soup(4)
    world = MeshWorld(parts)
    camera = look_at([0.2, -1.6, 0.5], [0, 0, 0]).matrix
    seen = set()
    for threads in (1, 2, 3):
        m = shadow_map(world, poses, direction=[0.2, 0.1, -1], center=np.zeros(3), radius_m=1.0, resolution=256, threads=threads)
        image = render(world, poses, K=K, T_world_camera=camera, width=W, height=H, light=light(), shadow_map=m, supersample=2,
                       threads=threads)  # fmt: skip
        seen.add(hashlib.sha256(image.rgb.tobytes() + image.depth.tobytes() + image.part.tobytes()).hexdigest())
    assert len(seen) == 1


@pytest.mark.slow
def test_same_bytes_on_any_processor():
    """The baseline build and the AVX2 build draw the same picture."""
    code = (
        "import sys, hashlib; sys.path.insert(0, sys.argv[1]); import test_mesh as t\n"
        "p, T = t.soup(4)\n"
        "i = t.render(t.MeshWorld(p), T, K=t.K, T_world_camera=t.look_at([.2, -1.6, .5], [0, 0, 0]).matrix, width=96,"
        " height=72, light=t.light(), supersample=2)\n"
        "print(hashlib.sha256(i.rgb.tobytes() + t.to_srgb8(i.rgb, noise_std=.02, blur_px=.7, seed=3).tobytes()).hexdigest())"
    )
    here = os.path.dirname(__file__)
    out = {
        subprocess.run([sys.executable, "-c", code, here], env={**os.environ, "PHONE2SIM_NATIVE": build}, check=True,
                       capture_output=True, text=True).stdout  # fmt: skip
        for build in ("", "base")
    }
    assert len(out) == 1


def test_hidden_parts_and_what_lies_behind():
    world, poses = plate_world()
    camera = look_at([0, -0.8, 0.8], [0, 0, 0]).matrix
    options = {"K": K, "T_world_camera": camera, "width": W, "height": H, "light": light()}
    both = render(world, poses, **options)
    assert set(np.unique(both.part)) >= {0, 1}
    assert 0 not in render(world, poses, visible=[False, True], **options).part
    wall = np.full((H, W), 0.05, np.float32)
    wall[:, W // 2 :] = np.inf
    half = render(world, poses, behind_depth=wall, **options)
    assert (half.part[:, : W // 2] == -1).all()
    np.testing.assert_array_equal(half.part[:, W // 2 :], both.part[:, W // 2 :])


def test_back_faces_of_closed_meshes_may_be_skipped():
    import trimesh

    ball = trimesh.creation.icosphere(3, 0.3)
    options = {"K": K, "T_world_camera": look_at([0, -1, 0.3], [0, 0, 0]).matrix, "width": W, "height": H, "light": light()}
    images = [
        render(
            MeshWorld([MeshPart(vertices=ball.vertices, faces=ball.faces, normals=ball.vertex_normals, double_sided=d)]),
            np.eye(4)[None], **options,
        )  # fmt: skip
        for d in (True, False)
    ]
    np.testing.assert_array_equal(images[0].rgb, images[1].rgb)
    n = images[0].normal[images[0].part == 0]
    assert (n @ options["T_world_camera"][:3, 2] < 0.25).all()


def test_sensor_noise_has_the_deviation_asked_for_and_repeats():
    grey = np.full((120, 120, 3), 0.2140, np.float32)
    clean = to_srgb8(grey).astype(float)
    np.testing.assert_allclose(clean, 127.5, atol=0.6)
    noisy = to_srgb8(grey, noise_std=0.02, seed=7)
    assert abs(noisy.std() / 255 - 0.02) < 0.001
    assert abs(noisy.mean() - 127.5) < 0.3
    np.testing.assert_array_equal(noisy, to_srgb8(grey, noise_std=0.02, seed=7))
    assert (noisy != to_srgb8(grey, noise_std=0.02, seed=8)).mean() > 0.5


def test_srgb_round_trip():
    codes = np.arange(256, dtype=np.uint8)
    picture = np.tile(codes[:, None, None], (1, 4, 3))
    np.testing.assert_array_equal(to_srgb8(srgb_to_linear(picture / 255.0)), picture)


def test_parts_are_drawn_over_a_background_in_their_shadow():
    world, poses = plate_world()
    camera = look_at([0, -0.8, 0.8], [0, 0, 0]).matrix
    options = {"K": K, "T_world_camera": camera, "light": light()}
    floor = render(world, poses, width=W, height=H, visible=[False, True], **options)
    m = shadow_map(world, poses, direction=[0, 0.5, -1], center=np.zeros(3), radius_m=0.6, casts=[True, False])
    options |= {"shadow_map": m, "supersample": 2, "visible": [True, False]}
    plate = render(world, poses, width=W, height=H, behind_depth=floor.depth, **options)
    grey = np.full((H, W, 3), 0.5, np.float32)
    out, seen = draw_over(world, poses, Backdrop.still(grey, floor.depth), shadow=0.6, truth=True, **options)
    np.testing.assert_array_equal(out[plate.coverage == 1], plate.rgb[plate.coverage == 1])
    for name in ("depth", "part", "normal"):
        np.testing.assert_array_equal(getattr(seen, name), getattr(plate, name))
    bare = out[plate.coverage == 0]
    assert bare.max() == 0.5
    np.testing.assert_allclose(bare.min(), 0.2, atol=1e-6)


def test_wrong_shapes_are_named():
    world, poses = plate_world()
    with pytest.raises(ShapeError, match=r"T_world_part: expected \(2, 4, 4\), got \(1, 4, 4\)"):
        render(world, poses[:1], K=K, T_world_camera=np.eye(4), width=8, height=8, light=light())
    with pytest.raises(ShapeError, match="names vertex 9 of 3"):
        MeshWorld([MeshPart(vertices=np.zeros((3, 3)), faces=[[0, 1, 9]], normals=np.zeros((3, 3)))])
