"""Path-traced references: the light is the episode's, and they show what the fast pictures show."""

import sys

import numpy as np
import pytest

from phone2sim._native.mesh import srgb_to_linear
from phone2sim.assets.mesh import TexturedMesh
from phone2sim.augment.environment import directions
from phone2sim.augment.lighting import sh_irradiance
from phone2sim.augment.spec import CameraSpec, LightSpec, PoseSpec, SensorSpec
from phone2sim.errors import MissingDependencyError
from phone2sim.keys import Key
from phone2sim.poses import look_at
from phone2sim.sim_export.render import EpisodeRenderer, RenderPart
from phone2sim.sim_export.render.environment import environment_picture
from phone2sim.sim_export.render.pathtrace import PathTracedRenderer, load_mitsuba
from tests.sim_export.scenes import box_mesh
from tests.sim_export.test_render import cloud

SIZE = 56


def light() -> LightSpec:
    sh = np.zeros((9, 3))
    sh[0] = 1.4
    sh[1], sh[2], sh[3] = (0.1, 0.1, 0.1), (0.25, 0.25, 0.3), (-0.15, -0.1, -0.1)
    d = np.array([0.4, 0.3, -0.85])
    return LightSpec(direction=tuple(d / np.linalg.norm(d)), key_rgb=(0.5, 0.45, 0.4), ambient_sh=tuple(map(tuple, sh.tolist())))


@pytest.mark.parametrize("n", [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0.6, 0, 0.8)])
def test_the_environment_lights_a_surface_as_the_key_and_the_harmonics_do(n):
    picture, lights = environment_picture(light(), 256), light()
    d, area = directions((256, 512))
    weight = np.maximum(d @ np.array(n), 0) * area / np.pi
    got = (picture * weight[..., None]).sum(axis=(0, 1))
    key = np.array(lights.key_rgb) * max(0.0, -float(np.dot(lights.direction, n)))
    np.testing.assert_allclose(got, key + sh_irradiance(np.array(lights.ambient_sh), np.array(n, float)), rtol=0.02)


def given(**options):
    """A box with a picture of its own on each face, off the middle of a camera whose principal point is off it too."""
    p = look_at([0.1, -0.5, 0.4], [0, 0, 0.03])
    f = 1.3 * SIZE
    camera = CameraSpec(
        name="front", pose=PoseSpec(translation=tuple(p.translation), quat_wxyz=tuple(p.quat_wxyz)),
        K=((f, 0, 0.55 * SIZE), (0, f, 0.46 * SIZE), (0, 0, 1)), width=SIZE, height=SIZE,
    )  # fmt: skip
    mesh = box_mesh((0.12, 0.12, 0.1), (200, 90, 60))
    texture = mesh.texture.copy()
    texture[:20, :20], texture[-20:, -20:] = (40, 60, 220), (60, 200, 60)
    mesh = TexturedMesh(vertices=mesh.vertices, faces=mesh.faces, uv=mesh.uv, texture=texture)
    part = RenderPart(name="box", mesh=mesh, rgb=(1, 1, 1), double_sided=False)
    return {"background": cloud(), "parts": [part], "lights": light(), "cameras": [camera], "sensor": SensorSpec(),
            "key": Key(3), **options}  # fmt: skip


@pytest.fixture(scope="module")
def traced():
    pytest.importorskip("mitsuba")
    return PathTracedRenderer(samples=48, **given()).shots(HERE, 0, truth=True)["front"]


HERE = np.eye(4)[None].copy()
HERE[0, :2, 3] = 0.03, 0.02


def test_a_reference_shows_what_the_fast_picture_shows(traced):
    fast = EpisodeRenderer(**given()).shots(HERE, 0, truth=True)["front"]
    box = fast.truth.part == 0
    assert box.mean() > 0.08
    np.testing.assert_array_equal(traced.truth.part, fast.truth.part)

    def error(a):  # of encoded values, noise averaged out a little
        d = traced.rgb[box].astype(float) - a[box]
        return np.abs(d).mean()

    other = EpisodeRenderer(**given(parts=[flipped(given()["parts"][0])])).frame(HERE, 0)["front"]
    assert error(fast.rgb) < 12
    assert error(other) > 1.7 * error(fast.rgb)  # the texture is neither upside down nor mirrored


def flipped(part: RenderPart) -> RenderPart:
    m = part.mesh
    mesh = TexturedMesh(vertices=m.vertices, faces=m.faces, uv=m.uv, texture=np.ascontiguousarray(m.texture[::-1]))
    return RenderPart(name="box", mesh=mesh, rgb=(1, 1, 1), double_sided=False)


def test_the_table_is_the_backdrop_where_nothing_shades_it_and_darker_beside_the_box(traced):
    gone = HERE.copy()
    gone[0, 2, 3] = -9
    bare = srgb_to_linear(EpisodeRenderer(**given()).frame(gone, 0)["front"] / 255.0)
    linear = srgb_to_linear(traced.rgb / 255.0)
    table = traced.truth.part < 0
    ratio = linear.mean(-1) / bare.mean(-1)
    far = np.zeros_like(table)
    far[-8:] = True
    assert np.abs(ratio[table & far].mean() - 1) < 0.03
    assert np.sort(ratio[table])[: table.sum() // 50].mean() < 0.8


def test_a_reference_repeats(traced):
    again = PathTracedRenderer(samples=48, **given()).frame(HERE, 0)["front"]
    np.testing.assert_array_equal(again, traced.rgb)


def test_without_mitsuba_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mitsuba", None)
    with pytest.raises(MissingDependencyError, match="Mitsuba") as e:
        load_mitsuba()
    assert e.value.hint == "pip install 'phone2sim[pbr]'"
