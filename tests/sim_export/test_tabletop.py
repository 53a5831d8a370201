"""The table as one painted plane: the same pictures as its splats give, occlusion both ways, dressed like a still background."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from phone2sim._native import load
from phone2sim._native.mesh import Backdrop, MeshWorld, PlanePicture, draw_over, shadow_map
from phone2sim.augment.spec import SurfaceSpec, TextureSpec
from phone2sim.poses import look_at
from phone2sim.reconstruct.splat.cloud import SH_C0, SplatCloud
from phone2sim.reconstruct.splat.rasterize import rasterize, raw_parameters
from phone2sim.sim_export.render.background import draw_background, mean_colour
from phone2sim.sim_export.render.retexture import dressed
from phone2sim.sim_export.render.still import world_points
from phone2sim.sim_export.render.tabletop import MovingBackground, TableTop
from tests.native.test_layer import CAMERA, LIGHT, SHARE, WORLD, posed, table
from tests.native.test_layer import K as K_layer
from tests.sim_export.test_render import SIZE, camera, cloud, lights

K = np.array(camera().K)
EYES = ((0.0, -0.3, 0.35), (0.15, 0.05, 0.2), (-0.3, 0.4, 0.5))


def patterned(post: bool = False) -> SplatCloud:
    """A table of small splats with a smooth pattern; with `post`, an opaque red slab on it."""
    g = np.stack(np.meshgrid(np.arange(-0.6, 0.6, 0.005), np.arange(-0.6, 0.6, 0.005)), -1).reshape(-1, 2)
    wave = np.stack([np.sin(16 * g[:, 0]), np.cos(13 * g[:, 1]), np.sin(10 * g.sum(1))], axis=1) * 0.3
    table = SplatCloud(
        means=np.concatenate([g, np.zeros((len(g), 1))], 1), quats_wxyz=np.tile([1.0, 0, 0, 0], (len(g), 1)),
        scales=np.tile([0.003, 0.003, 0.0005], (len(g), 1)), opacities=np.full(len(g), 0.95), sh=wave[:, None] / SH_C0,
    )  # fmt: skip
    red = cloud(post)
    return SplatCloud.concatenate([table, red.take(red.means[:, 2] > 0)]) if post else table


def moving(c: SplatCloud, surfaces: SurfaceSpec | None = None, light=None) -> MovingBackground:
    top = TableTop.of(c, 0.0)
    assert top is not None
    return MovingBackground(top, surfaces or SurfaceSpec(), light or lights(), fill_rgb=mean_colour(c))


def seen(behind: MovingBackground, T: np.ndarray):
    view = behind.look(K=K, T_world_camera=T, width=SIZE, height=SIZE)
    return view, shown(view.picture, T)


def shown(picture: Backdrop, T: np.ndarray) -> np.ndarray:
    """The picture with nothing in front."""
    rgb, _ = draw_over(MeshWorld([]), np.zeros((0, 4, 4)), picture, K=K, T_world_camera=T, light=LIGHT)
    return rgb


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(1 / np.mean((np.clip(a, 0, 1) - np.clip(b, 0, 1)) ** 2)))


@pytest.mark.parametrize("eye", EYES)
def test_the_plane_shows_what_its_splats_show(eye):
    c, T = patterned(), look_at(np.array(eye), np.zeros(3)).matrix
    view, rgb = seen(moving(c), T)
    want = draw_background(c, camera(), T_world_camera=T, fill_rgb=mean_colour(c))
    assert psnr(rgb, want.rgb) > 36
    on = view.on_support & want.on_support
    assert on.mean() > 0.95 * want.on_support.mean() > 0.4
    np.testing.assert_allclose(view.picture.depth[on], want.depth[on], rtol=1e-5)


def test_what_stands_before_the_table_hides_it():
    c, T = patterned(post=True), look_at(np.array([0.0, -0.7, 0.25]), np.zeros(3)).matrix
    view, rgb = seen(moving(c), T)
    want = draw_background(c, camera(), T_world_camera=T, fill_rgb=mean_colour(c))
    high = world_points(want.depth, K, T)[..., 2] > 0.03  # what is lower than `SNAP_M` counts as the table's
    red = cv2.erode((high & (want.rgb[..., 0] > 10 * want.rgb[..., 1])).astype(np.uint8), np.ones((5, 5))) > 0
    assert red.mean() > 0.05 and psnr(rgb[red], want.rgb[red]) > 40
    assert np.median(np.abs(view.picture.depth[red] - want.depth[red])) < 1e-3


def test_what_lies_under_the_table_is_hidden():
    c = patterned()
    below = replace(c, means=c.means - np.float32([0, 0, 0.4]), sh=c.sh * 0 + 1.5)
    T = look_at(np.array([0.0, -0.3, 0.35]), np.zeros(3)).matrix
    _, rgb = seen(moving(c), T)
    _, both = seen(moving(SplatCloud.concatenate([c, below])), T)
    view, _ = seen(moving(c), T)
    inner = np.isfinite(view.picture.depth) & view.on_support
    np.testing.assert_allclose(both[inner], rgb[inner], atol=0.02)


def test_it_is_painted_and_lit_as_a_still_background():
    surfaces = SurfaceSpec(
        table=TextureSpec(kind="checker", rgb=(0.8, 0.7, 0.6), rgb_2=(0.2, 0.3, 0.4)), wall_rgb_gain=(0.5, 1.0, 1.0)
    )
    c, light, T = patterned(), lights(relight_rgb=(0.9, 0.6, 0.5)), look_at(np.array(EYES[0]), np.zeros(3)).matrix
    for s, near in (
        (SurfaceSpec(), 0.01),
        (surfaces, 0.2),
    ):  # a painted table keeps the soft shading of the picture it is seen in
        view, rgb = seen(moving(c, s, light), T)
        still = draw_background(c, camera(), T_world_camera=T, fill_rgb=mean_colour(c))
        want = dressed(still, s, light, K=K, T_world_camera=T)
        on = view.on_support & still.on_support
        np.testing.assert_allclose(rgb[on].mean(0), want[on].mean(0), rtol=near)
        assert np.corrcoef(rgb[on].ravel(), want[on].ravel())[0, 1] > 0.9


def test_no_table_where_no_splats_lie_on_the_plane():
    assert TableTop.of(cloud(), 0.3) is None


def test_a_limit_takes_away_what_is_farther_and_nothing_else():
    near = patterned()
    far = replace(near, means=near.means - np.float32([0, 0, 0.5]))
    T = look_at(np.array([0.0, -0.1, 0.6]), np.zeros(3)).matrix
    given = {"K": K.astype(np.float32), "T_camera_world": np.linalg.inv(T).astype(np.float32)}
    alone = rasterize(near, K=K, T_camera_world=np.linalg.inv(T), width=SIZE, height=SIZE)
    raster = load("splat").Rasterizer(SIZE, SIZE, 1)
    limit = np.where(alone.depth_median > 0, alone.depth_median + 0.2, 0).astype(np.float32)
    both = SplatCloud.concatenate([near, far])
    rgb, left, *_ = raster.forward(
        *raw_parameters(both), background=np.zeros(3, np.float32), degree=0, limit=limit, **given
    )
    np.testing.assert_allclose(left, np.where(limit > 0, 1 - alone.alpha, 1), atol=1e-5)
    np.testing.assert_allclose(rgb.transpose(1, 2, 0)[limit > 0], alone.rgb[limit > 0], atol=1e-5)
    none = raster.forward(
        *raw_parameters(both), background=np.zeros(3, np.float32), degree=0, limit=np.zeros_like(limit), **given
    )
    assert (none[1] == 1).all()


def test_a_gradient_painted_on_a_plane_is_where_it_was_painted():
    """A ramp of brightness along x: every camera reads the x of the point that it sees."""
    from phone2sim._native.mesh import srgb_to_linear

    ramp = np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (256, 1, 3))
    plane = PlanePicture(ramp, np.ones((256, 256), bool), corner_m=(-0.5, 0.5), texel_m=1 / 256, height_m=0.1)
    T = look_at(np.array([0.2, -0.4, 0.6]), np.array([0.05, 0.02, 0.1])).matrix
    camera_ = {"K": K, "T_world_camera": T}
    depth = plane.depth(**camera_, width=SIZE, height=SIZE)
    picture = plane.backdrop(
        depth, depth, **camera_, colour=np.zeros((3, SIZE, SIZE), np.float32), left=np.ones((SIZE, SIZE), np.float32),
        rgb_gain=np.ones(3), fill_rgb=np.zeros(3), other_gain=np.ones(3),
    )  # fmt: skip
    rgb = shown(picture, T)
    y, x = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    ray = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(K).T @ T[:3, :3].T
    on = np.isfinite(depth)
    point = T[:3, 3] + ray * np.where(on, depth, 0)[..., None]
    np.testing.assert_allclose(point[on][:, 2], 0.1, atol=1e-5)
    inner = on & (np.abs(point[..., :2]) < 0.48).all(-1)
    np.testing.assert_allclose(rgb[inner][:, 0], srgb_to_linear((point[inner][:, 0] + 0.5) * 256 / 255), atol=0.006)
    assert inner.mean() > 0.5


def test_shadows_between_pixels_are_near_those_looked_up_at_each():
    rgb, depth = table()
    T = posed(0.05)
    shadow = shadow_map(WORLD, T, direction=LIGHT.direction, center=np.zeros(3), radius_m=0.5, resolution=320)
    exact, quick = (
        draw_over(
            WORLD, T, Backdrop.still(rgb, depth), K=K_layer, T_world_camera=CAMERA, light=LIGHT, shadow_map=shadow, shadow=SHARE,
            visible=np.zeros(len(WORLD)), step=step,
        )[0]
        for step in (0.0, 0.05)
    )  # fmt: skip
    off = np.abs(exact - quick).max(axis=-1)
    assert off.any() and (off > 0.01).mean() < 1e-3 and off.mean() < 1e-4
