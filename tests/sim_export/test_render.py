"""Episode pictures: metric depth, occlusion both ways, shadows, and frames that repeat to the byte."""

import numpy as np
import pytest
import trimesh

from phone2sim._native.mesh import MeshLight, render
from phone2sim.assets.mesh import TexturedMesh
from phone2sim.augment.spec import CameraSpec, LightSpec, PoseSpec, SensorSpec
from phone2sim.errors import ShapeError
from phone2sim.keys import Key
from phone2sim.poses import look_at
from phone2sim.reconstruct.splat.cloud import SH_C0, SplatCloud
from phone2sim.sim_export.render import BackgroundCache, EpisodeRenderer, RenderPart
from phone2sim.sim_export.render.background import camera_matrices
from phone2sim.sim_export.render.parts import PartSet

SIZE = 128
EYE = np.array([0.0, -0.7, 0.55])


def cloud(post=False) -> SplatCloud:
    """A table of flat grey splats at z = 0; with `post`, an opaque red slab between the camera and the origin."""
    g = np.stack(np.meshgrid(np.arange(-0.8, 0.8, 0.01), np.arange(-0.8, 0.8, 0.01)), -1).reshape(-1, 2)
    means = [np.concatenate([g, np.zeros((len(g), 1))], 1)]
    colors = [np.full((len(g), 3), 0.6)]
    scales = [np.tile([0.008, 0.008, 0.0005], (len(g), 1))]
    if post:
        h = np.stack(np.meshgrid(np.arange(-0.2, -0.0, 0.005), np.arange(0, 0.3, 0.005)), -1).reshape(-1, 2)
        means.append(np.stack([h[:, 0], np.full(len(h), -0.2), h[:, 1]], 1))
        colors.append(np.tile([0.8, 0.1, 0.1], (len(h), 1)))
        scales.append(np.tile([0.004, 0.0005, 0.004], (len(h), 1)))
    m, c, s = (np.concatenate(v) for v in (means, colors, scales))
    return SplatCloud(
        means=m, quats_wxyz=np.tile([1.0, 0, 0, 0], (len(m), 1)), scales=s, opacities=np.full(len(m), 0.95),
        sh=((c - 0.5) / SH_C0)[:, None],
    )  # fmt: skip


def camera(name="front", eye=EYE) -> CameraSpec:
    p = look_at(eye, [0, 0, 0.03])
    f = 1.1 * SIZE
    return CameraSpec(
        name=name, pose=PoseSpec(translation=tuple(p.translation), quat_wxyz=tuple(p.quat_wxyz)),
        K=((f, 0, SIZE / 2), (0, f, SIZE / 2), (0, 0, 1)), width=SIZE, height=SIZE,
    )  # fmt: skip


def lights(direction=(0.4, 0.3, -0.85), **options) -> LightSpec:
    sh = np.zeros((9, 3))
    sh[0] = 1.5
    d = np.array(direction) / np.linalg.norm(direction)
    return LightSpec(direction=tuple(d), key_rgb=(0.6, 0.6, 0.6), ambient_sh=tuple(map(tuple, sh.tolist())), **options)


def box_part(name="box", size=(0.08, 0.08, 0.1)) -> RenderPart:
    b = trimesh.creation.box(size)
    b.apply_translation([0, 0, size[2] / 2])
    b.unmerge_vertices()
    return RenderPart(name=name, mesh=TexturedMesh(vertices=b.vertices, faces=b.faces), rgb=(0.2, 0.5, 0.8))


def renderer(**options) -> EpisodeRenderer:
    given = {"background": cloud(), "parts": [box_part()], "lights": lights(), "cameras": [camera()], "sensor": SensorSpec(),
             "key": Key(3)}  # fmt: skip
    return EpisodeRenderer(**{**given, **options})


@pytest.fixture(scope="module")
def plain():
    return renderer(sensor=SensorSpec(noise_std=0.02))


HERE = np.eye(4)[None]


def rays(c: CameraSpec):
    y, x = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    return np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(np.array(c.K)).T


def test_depth_agrees_with_the_mesh_and_the_table(plain):
    truth = plain.masks_depth(HERE)["front"]
    c = camera()
    T = look_at(EYE, [0, 0, 0.03]).matrix
    mask = truth.part == 0
    core = mask[1:-1, 1:-1] & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    with np.errstate(divide="ignore"):
        slope = 1 / (rays(c) @ T[:3, :3].T)[1:-1, 1:-1][core]
    low, high = (np.array([-0.04, -0.04, 0]) - EYE) * slope, (np.array([0.04, 0.04, 0.1]) - EYE) * slope
    z = np.minimum(low, high).max(1)  # slab method: where the ray enters the box
    assert len(z) > 150
    assert np.median(np.abs(truth.depth[1:-1, 1:-1][core] - z)) < 1e-4
    table = (truth.part < 0) & np.isfinite(truth.depth)
    height = EYE[2] + (rays(c) @ T[:3, :3].T)[..., 2] * truth.depth
    assert table.mean() > 0.6
    assert np.abs(height[table]).max() < 1e-3


def test_foreground_hides_background_and_is_hidden_by_what_is_nearer():
    bare, post = renderer(), renderer(background=cloud(post=True))
    open_view, behind = bare.masks_depth(HERE)["front"], post.masks_depth(HERE)["front"]
    assert 0.3 < (behind.part == 0).sum() / (open_view.part == 0).sum() < 0.7
    half = SIZE // 2 + 2
    np.testing.assert_array_equal(behind.part[:, half:], open_view.part[:, half:])
    in_front = np.eye(4)[None].copy()
    in_front[0, 1, 3] = -0.3
    assert (post.masks_depth(in_front)["front"].part == 0).sum() == (bare.masks_depth(in_front)["front"].part == 0).sum()


def test_a_frame_repeats_alone_and_in_any_order(plain):
    moved = HERE.copy()
    moved[0, 0, 3] = 0.05
    first = [plain.frame(HERE, 0)["front"], plain.frame(moved, 1)["front"]]
    other = renderer(sensor=SensorSpec(noise_std=0.02), threads=2)
    np.testing.assert_array_equal(other.frame(moved, 1)["front"], first[1])
    np.testing.assert_array_equal(other.frame(HERE, 0)["front"], first[0])
    assert first[0].dtype == np.uint8 and first[0].shape == (SIZE, SIZE, 3)
    assert (plain.frame(HERE, 1)["front"] != first[0]).mean() > 0.5  # noise differs from frame to frame


@pytest.mark.parametrize("stands", [False, True])
def test_a_moved_object_leaves_no_ghost_where_it_was(stands):
    away, gone = HERE.copy(), HERE.copy()
    away[0, 0, 3], gone[0, 2, 3] = 0.28, -9.0
    there, bare = (
        renderer(still={"box": T[0]}).frame(HERE, 0)["front"] if stands else renderer().frame(T, 0)["front"] for T in (away, gone)
    )
    here = renderer().frame(HERE, 0)["front"]
    old, new = (np.abs(p.astype(int) - bare).max(-1) > 0 for p in (here, there))  # shadow and contact included
    assert new.sum() > 300 and old.sum() > 300
    assert not (old & new).any()  # the old place is that of the bare table, to the byte


def test_parts_out_of_view_are_left_out_and_no_part_that_shows_is():
    parts = PartSet([box_part(f"box{i}") for i in range(60)])
    rng = np.random.default_rng(1)
    T = np.tile(np.eye(4), (60, 1, 1))
    T[:, :3, 3] = rng.uniform(-1, 1, (60, 3)) * [1.2, 1.2, 0.4]
    K, T_camera = camera_matrices(camera())
    view = {"K": K, "T_world_camera": T_camera, "width": SIZE, "height": SIZE}
    light = MeshLight(direction=np.array([0, 0, -1.0]), key_rgb=np.ones(3), ambient_sh=np.zeros((9, 3)))
    near = parts.in_view(T, K, T_camera, SIZE, SIZE)
    assert 10 < near.sum() < 50
    everything, left = (render(parts.world, T, light=light, threads=1, visible=v, **view) for v in (None, near))
    np.testing.assert_array_equal(left.rgb, everything.rgb)
    assert len(np.unique(everything.part)) > 5


def test_light_changes_pixels_but_no_mask():
    a, b = renderer(), renderer(lights=lights((-0.6, 0.1, -0.7), relight_rgb=(1.0, 0.9, 0.7)))
    ta, tb = a.masks_depth(HERE)["front"], b.masks_depth(HERE)["front"]
    np.testing.assert_array_equal(ta.part, tb.part)
    np.testing.assert_array_equal(ta.depth, tb.depth)
    assert (a.frame(HERE, 0)["front"] != b.frame(HERE, 0)["front"]).mean() > 0.3


def test_the_shadow_falls_along_the_light_and_nowhere_else():
    lit = renderer(lights=lights((0.9, 0.0, -0.6)))
    away = HERE.copy()
    away[0, 2, 3] = -5.0
    with_box = lit.frame(HERE, 0)["front"].astype(int)
    without = lit.frame(away, 0)["front"].astype(int)
    background = lit.masks_depth(HERE)["front"].part < 0
    darker = background & (without - with_box > 20).any(-1)
    right = np.zeros_like(darker)
    right[:, SIZE // 2 :] = True
    assert darker.sum() > 100
    assert (darker & right).sum() > 0.9 * darker.sum()
    assert not (background & (with_box - without > 3).any(-1)).any()
    np.testing.assert_array_equal(with_box[:10], without[:10])


def test_a_wider_lamp_has_wider_penumbrae_and_as_dark_a_shadow():
    away = HERE.copy()
    away[0, 2, 3] = -5.0
    soft, darkest = [], []
    for softness in (0.01, 0.15):
        lit = renderer(lights=lights((0.9, 0.0, -0.6), softness=softness))
        ground = lit.masks_depth(HERE)["front"].part < 0
        drop = (lit.frame(away, 0)["front"].astype(int) - lit.frame(HERE, 0)["front"]).max(-1)[ground]
        darkest.append(np.quantile(drop[drop > 20], 0.9))
        soft.append(int(((drop > 0.2 * darkest[-1]) & (drop < 0.8 * darkest[-1])).sum()))
    assert soft[1] > 1.5 * soft[0]
    assert darkest[1] == pytest.approx(darkest[0], rel=0.15)


def test_shadow_strength_is_the_keys_share():
    none = renderer(lights=lights((0.9, 0.0, -0.6), shadow=0.0))
    full = renderer(lights=lights((0.9, 0.0, -0.6), shadow=1.0))
    away = HERE.copy()
    away[0, 2, 3] = -5.0
    bare = none.frame(away, 0)["front"].astype(int)
    background = none.masks_depth(HERE)["front"].part < 0
    assert full.frame(HERE, 0)["front"][background].min() < 20
    # only the contact darkening is left
    assert (bare - none.frame(HERE, 0)["front"].astype(int))[background].max() < 110


def test_gain_exposure_and_balance():
    bright = renderer(sensor=SensorSpec(exposure=2.0)).frame(HERE, 0)["front"]
    base = renderer().frame(HERE, 0)["front"]
    assert bright.mean() > base.mean() + 15
    warm = renderer(sensor=SensorSpec(white_balance_rgb=(1.2, 1.0, 0.8))).frame(HERE, 0)["front"].astype(float)
    assert warm[..., 0].mean() > base[..., 0].mean() and warm[..., 2].mean() < base[..., 2].mean()
    red = renderer(parts=[RenderPart(name="b", mesh=box_part().mesh, rgb=(0.2, 0.5, 0.8), rgb_gain=(3, 0.1, 0.1))])
    on = red.masks_depth(HERE)["front"].part == 0
    pixel = red.frame(HERE, 0)["front"][on].mean(0)
    assert pixel[0] > 2 * pixel[2]


def test_background_is_drawn_once_per_camera(monkeypatch):
    from phone2sim.sim_export.render import background

    drawn = []
    original = background.draw_background
    monkeypatch.setattr(background, "draw_background", lambda *a, **k: drawn.append(1) or original(*a, **k))
    cache, splats = BackgroundCache(size=2), cloud()
    shared = {"background": splats, "background_cache": cache}
    renderer(**shared)
    renderer(**shared, lights=lights((0, 0, -1.0)))
    assert len(drawn) == 1
    renderer(**shared, cameras=[camera(), camera("side", np.array([0.6, -0.2, 0.4]))])
    assert len(drawn) == 2
    renderer(**shared, cameras=[camera("third", np.array([-0.6, -0.2, 0.4]))])
    renderer(**shared)  # the first was the least recently used
    assert len(drawn) == 4


def test_poses_and_names_are_checked(plain):
    with pytest.raises(ShapeError, match=r"expected poses \(1, 4, 4\), got \(4, 4\)"):
        plain.frame(np.eye(4), 0)
    with pytest.raises(ShapeError, match="must be unique, got box, box"):
        renderer(parts=[box_part(), box_part()])


def test_no_foreground_is_the_background_alone():
    empty = renderer(parts=[])
    picture = empty.frame(np.zeros((0, 4, 4)), 0)["front"]
    np.testing.assert_allclose(picture[SIZE // 2 :].mean(), 0.6 * 255, atol=6)


def test_a_part_declared_still_gives_the_same_picture():
    """Drawn once into the background or anew in each frame: the same but for rounding, and shadows fall on it."""
    parts = [box_part(), box_part("block", (0.06, 0.05, 0.05))]
    poses = np.tile(np.eye(4), (2, 1, 1))
    poses[0, 0, 3], poses[1, :2, 3] = -0.08, (0.03, -0.02)  # the box's shadow falls on the block
    options = {"parts": parts, "lights": lights((0.8, 0.05, -0.6), shadow=0.6)}
    anew, once = renderer(**options), renderer(still={"block": poses[1]}, **options)
    a, b = (r.shots(poses, 0, truth=True)["front"] for r in (anew, once))
    difference = np.abs(a.rgb.astype(int) - b.rgb)
    assert difference.mean() < 0.5 and np.percentile(difference, 99.5) < 12
    assert (a.truth.part != b.truth.part).mean() < 1e-3
    same = a.truth.part == b.truth.part
    np.testing.assert_allclose(a.truth.depth[same], b.truth.depth[same], atol=1e-5)
    away = poses.copy()
    away[0, 2, 3] = -5
    on = (b.truth.part == 1) & (once.masks_depth(away)["front"].part == 1)
    darker = once.frame(away, 0)["front"].astype(int) - b.rgb
    assert (darker[on].max(-1) > 20).sum() > 10


def test_a_still_part_stays_where_it_was_declared():
    poses = HERE.copy()
    fixed = renderer(still={"box": HERE[0]})
    poses[0, 0, 3] = 0.2
    np.testing.assert_array_equal(fixed.frame(poses, 0)["front"], fixed.frame(HERE, 0)["front"])
