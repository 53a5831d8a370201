"""A layer redraws only some tiles: its pictures must be those of a full composite, in any order, on any build."""

import os
import subprocess
import sys

import numpy as np
import pytest
import trimesh

from phone2sim._native.layer import Layer, StillPicture
from phone2sim._native.mesh import (
    Backdrop,
    MeshLight,
    MeshPart,
    MeshWorld,
    contact_map,
    draw_over,
    shadow_map,
    to_srgb8,
)
from phone2sim.errors import ShapeError
from phone2sim.poses import look_at

W, H = 92, 70  # neither a whole number of tiles
K = np.array([[80.0, 0, 46.3], [0, 83.0, 37.1], [0, 0, 1]])
CAMERA = look_at([0.2, -0.9, 0.6], [0, 0, 0.05]).matrix
SH = np.zeros((9, 3))
SH[0] = 2.0
LIGHT = MeshLight(direction=np.array([0.5, 0.3, -0.8]) / np.linalg.norm([0.5, 0.3, -0.8]), key_rgb=np.array([0.7, 0.6, 0.5]), ambient_sh=SH)
SHARE = 0.6


def ball(radius=0.06) -> MeshPart:
    m = trimesh.creation.icosphere(subdivisions=2, radius=radius)
    return MeshPart(vertices=m.vertices, faces=m.faces, normals=m.vertex_normals, rgb=(0.7, 0.3, 0.2), double_sided=False)


def table() -> tuple[np.ndarray, np.ndarray]:
    """Background (h, w, 3) of random grain on the plane z = 0, and its depth; sky above."""
    y, x = np.mgrid[0:H, 0:W] + 0.5
    rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(K).T @ CAMERA[:3, :3].T
    with np.errstate(divide="ignore"):
        z = -CAMERA[2, 3] / rays[..., 2]
    depth = np.where((z > 0) & (z < 3), z, np.inf).astype(np.float32)
    return np.random.default_rng(0).uniform(0.2, 0.6, (H, W, 3)).astype(np.float32), depth


def layer(**options) -> Layer:
    rgb, depth = table()
    none = np.full((H, W), -1, np.int32)
    still = StillPicture(rest=rgb * (1 - SHARE), key=rgb * SHARE, depth=depth, part=none, normal=np.zeros((H, W, 3), np.float32))
    return Layer(still, K=K, T_world_camera=CAMERA, direction=LIGHT.direction, **options)


WORLD = MeshWorld([ball(), ball(0.03)])


def posed(x: float) -> np.ndarray:
    T = np.tile(np.eye(4), (2, 1, 1))
    T[0, :3, 3] = x, 0.02, 0.061
    T[1, :3, 3] = 0.15, -0.1, 0.25
    return T


def maps(T) -> dict:
    return {
        "shadow": shadow_map(WORLD, T, direction=LIGHT.direction, center=np.zeros(3), radius_m=0.5, resolution=320),
        "contact": contact_map(WORLD, T, low=(-0.3, -0.3), high=(0.3, 0.3), height_m=0.0),
    }


def draw(to: Layer, x: float, **options):
    given = {"light": LIGHT, "names": np.array([4, 7]), "rgb_gain": np.ones((2, 3)), "still": None, **maps(posed(x)), **options}
    return to.draw(WORLD, posed(x), **given)


@pytest.mark.parametrize("x", [-0.1, 0.05, 0.3])
def test_tiles_leave_nothing_out(x):
    """The linear picture is that of everything drawn over the table, although most tiles were not touched."""
    rgb, depth = table()
    m = maps(posed(x))
    want, _ = draw_over(
        WORLD, posed(x), Backdrop.still(rgb, depth), K=K, T_world_camera=CAMERA, light=LIGHT, shadow_map=m["shadow"],
        contact_map=m["contact"], shadow=SHARE, supersample=2,
    )  # fmt: skip
    got = draw(layer(), x, linear=True).rgb
    np.testing.assert_allclose(got, want, atol=2e-6)
    assert (np.abs(got - rgb) > 0.05).any(-1).mean() > 0.01


def test_the_sensor_is_the_whole_pictures():
    options = {"gain_rgb": (1.1, 0.9, 1.0), "blur_px": 0.8}
    linear, shot = draw(layer(), 0.05, linear=True).rgb, draw(layer(**options), 0.05).rgb
    want = to_srgb8(linear, **options)
    assert np.abs(shot.astype(int) - want).max() <= 1 and (shot != want).mean() < 0.02


def test_frames_do_not_depend_on_each_other():
    to = layer(noise_std=0.01, blur_px=0.6)
    first = [draw(to, x, seed=i).rgb.copy() for i, x in enumerate((-0.1, 0.2, 0.0))]
    again = [draw(to, x, seed=i, threads=t).rgb for i, x, t in ((2, 0.0, 1), (0, -0.1, 2), (1, 0.2, 3))]
    for i, picture in zip((2, 0, 1), again):
        np.testing.assert_array_equal(picture, first[i])


def test_noise_has_the_deviation_asked_for_and_no_pattern():
    rgb = np.full((H, W, 3), 0.2, np.float32)
    none = np.full((H, W), np.inf, np.float32)
    still = StillPicture(rest=rgb, key=0 * rgb, depth=none, part=np.full((H, W), -1, np.int32), normal=0 * rgb)
    to = Layer(still, K=K, T_world_camera=CAMERA, direction=LIGHT.direction, noise_std=0.02)
    empty = {"light": LIGHT, "names": np.zeros(0), "rgb_gain": np.ones((0, 3)), "still": None, "shadow": None, "contact": None}
    a, b = (to.draw(MeshWorld([]), np.zeros((0, 4, 4)), seed=s, **empty).rgb.astype(float) for s in (1, 2))
    assert abs(a.std() / 255 - 0.02) < 0.001 and abs(a.mean() - b.mean()) < 0.3
    x, y = a - a.mean(), b - b.mean()
    pairs = [(x, y), (x[1:], x[:-1]), (x[:, 1:], x[:, :-1]), (x[..., 0], x[..., 1])]
    for p, q in pairs:  # other frame, other row, other column, other channel
        assert abs((p * q).mean() / x.var()) < 0.03


def test_truth_names_the_parts_and_keeps_what_is_still():
    to = layer()
    shot = draw(to, 0.05, truth=True).truth
    assert set(np.unique(shot.part)) == {-1, 4, 7}
    off = shot.part < 0
    np.testing.assert_array_equal(shot.depth[off], to.still.depth[off])
    assert (shot.depth[~off] < to.still.depth[~off]).all()
    np.testing.assert_allclose(np.linalg.norm(shot.normal[~off], axis=-1), 1, atol=1e-5)


def test_wrong_shapes_are_named():
    with pytest.raises(ShapeError, match=r"Layer names: expected \(2,\), got \(3,\)"):
        draw(layer(), 0.0, names=np.zeros(3))


@pytest.mark.slow
def test_same_bytes_on_any_processor():
    """The baseline build and the AVX2 build draw the same picture."""
    code = (
        "import sys, hashlib; sys.path.insert(0, sys.argv[1]); import test_layer as t\n"
        "s = t.draw(t.layer(noise_std=.02, blur_px=.7, gain_rgb=(1.1, 1, .9)), .05, seed=3, truth=True)\n"
        "print(hashlib.sha256(s.rgb.tobytes() + s.truth.depth.tobytes() + s.truth.part.tobytes()).hexdigest())"
    )
    here = os.path.dirname(__file__)
    out = {
        subprocess.run([sys.executable, "-c", code, here], env={**os.environ, "PHONE2SIM_NATIVE": build}, check=True,
                       capture_output=True, text=True).stdout  # fmt: skip
        for build in ("", "base")
    }  # fmt: skip
    assert len(out) == 1
