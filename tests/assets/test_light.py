"""The captured light comes back from shadows, and what it did to textures and ground can be undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from phone2sim.assets import deshade, light, penumbra
from phone2sim.assets.ambient import ambient_from_surfaces
from phone2sim.assets.mesh import TexturedMesh
from phone2sim.assets.scene import Asset, Inertia, Light
from phone2sim.intervals import Interval
from phone2sim.keys import Key
from phone2sim.poses import Pose

CELL = 0.004


def box(xy: tuple[float, float], size: float, height: float) -> np.ndarray:
    """(8, 3) corners of an upright box on z = 0."""
    s = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * size / 2
    return np.concatenate([s, s + [0, 0, height]]) + [*xy, 0]


PARTS = [box((0.05, 0.1), 0.06, 0.1), box((-0.12, 0.0), 0.05, 0.07), box((0.1, -0.12), 0.07, 0.05)]


def ground(direction: np.ndarray | None, share: float, seed: int = 0) -> light.Ground:
    """A patterned table, darkened where boxes cast shadows, the boxes' own places unseen."""
    import cv2

    n = 150
    rng = Key(seed).child("table").rng()
    grain = cv2.resize(rng.normal(0, 1, (n // 5, n // 5)).astype(np.float32), (n, n), interpolation=cv2.INTER_NEAREST)
    albedo = 0.4 * np.exp(0.35 * grain)[..., None] * np.array([1.0, 0.9, 0.8])
    raster = light.Raster(low=np.array([-n * CELL / 2] * 2), cell=CELL, shape=(n, n))
    straight = light.shadow_mask(PARTS, np.array([0, 0, -1.0]), raster, 0.0)
    feet = cv2.dilate(straight.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    linear = albedo.copy()
    if direction is not None:
        linear *= 1 - share * shaded(raster, direction, Light.softness)[..., None]
    return light.Ground(raster=raster, linear=linear.astype(np.float32), known=~straight, feet=feet)


def shaded(raster: light.Raster, direction: np.ndarray, softness: float, lamps: int = 400) -> np.ndarray:
    """(nx, ny) share of the lamp that boxes hide from the ground: of points spread at random over its disk."""
    rng = Key(3).child("lamp").rng()
    r, a = softness * np.sqrt(rng.uniform(0, 1, lamps)), rng.uniform(0, 2 * np.pi, lamps)
    u = np.cross(direction, [0, 0, 1.0]) / np.linalg.norm(np.cross(direction, [0, 0, 1.0]))
    points = direction + np.outer(r * np.cos(a), u) + np.outer(r * np.sin(a), np.cross(direction, u))
    return np.mean([light.shadow_mask(PARTS, d / np.linalg.norm(d), raster, 0.0) for d in points], axis=0)


def unit(azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    a, e = np.radians([azimuth_deg, elevation_deg])
    return -np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])


@pytest.mark.parametrize(("azimuth", "elevation"), [(20, 55), (130, 40), (250, 65)])
def test_shadows_tell_where_the_light_comes_from_and_how_strong_it_is(azimuth: float, elevation: float) -> None:
    true = unit(azimuth, elevation)
    found = light.estimate_light(ground(true, 0.5), PARTS, 0.0)
    assert np.degrees(np.arccos(np.clip(found.light.direction @ true, -1, 1))) < 5
    assert found.shadow == pytest.approx(np.full(3, 0.5), abs=0.1)
    assert "shadows on the support" in found.why


@pytest.mark.parametrize(("softness", "off_deg"), [(0.02, 2.0), (0.06, -2.5), (0.1, 2.0)])
def test_edges_of_shadows_tell_the_direction_to_a_degree_and_how_wide_the_lamp_is(softness: float, off_deg: float) -> None:
    """A light a little off, brought back by the edges on a finely seen patterned table."""
    import cv2

    true, start = unit(130, 45), unit(130 + off_deg, 45 - off_deg)
    coarse = ground(true, 0.5)

    def see(where: Callable[[light.Raster], np.ndarray]) -> light.Ground:
        fine = coarse.raster.finer(penumbra.FINE_M)
        grain = Key(1).child("grain").rng().normal(0, 1, (fine.shape[0] // 8, fine.shape[1] // 8)).astype(np.float32)
        albedo = 0.4 * np.exp(0.3 * cv2.resize(grain, fine.shape[::-1], interpolation=cv2.INTER_NEAREST))
        linear = np.repeat((albedo * (1 - 0.5 * shaded(fine, true, softness)))[..., None], 3, axis=2)
        feet = light.shadow_mask(PARTS, np.array([0, 0, -1.0]), fine, 0.0)
        return light.Ground(raster=fine, linear=linear, known=where(fine), feet=feet)

    found = light.CapturedLight(light=light.light_of(start, np.full(3, 0.5)), score=9.0, shadow=np.full(3, 0.5), why="test")
    got = penumbra.sharpened(found, PARTS, coarse, 0.0, see).light
    assert np.degrees(np.arccos(start @ true)) > 2
    assert np.degrees(np.arccos(got.direction @ true)) < 1
    assert softness / 1.5 < got.softness < 1.5 * softness


def test_too_little_ground_seen_beside_shadows_leaves_the_light_as_it_is() -> None:
    coarse = ground(unit(130, 45), 0.5)
    found = light.estimate_light(coarse, PARTS, 0.0)
    dark = replace(coarse, known=np.zeros_like(coarse.known))
    assert penumbra.sharpened(found, PARTS, coarse, 0.0, lambda where: dark) is found


@pytest.mark.parametrize("seed", range(4))
def test_a_pattern_without_shadows_is_no_evidence(seed: int) -> None:
    found = light.estimate_light(ground(None, 0.0, seed), PARTS, 0.0)
    assert not found.shadow.any()
    assert np.array_equal(found.light.direction, Light.default().direction)


def test_the_light_gives_the_ground_one_unit_and_its_shadow_the_rest() -> None:
    share = np.array([0.6, 0.5, 0.4])
    made = light.light_of(unit(70, 50), share)
    up = np.array([[0.0, 0, 1]])
    assert deshade.irradiance(made, up, np.ones(1))[0] == pytest.approx(np.full(3, light.UP_IRRADIANCE))
    assert deshade.irradiance(made, up, np.zeros(1))[0] == pytest.approx(light.UP_IRRADIANCE * (1 - share))


def test_lifting_a_shadow_gives_back_the_ground() -> None:
    direction = unit(200, 45)
    dark, bright = ground(direction, 0.5), ground(None, 0.0)
    found = light.CapturedLight(
        light=light.light_of(direction, np.full(3, 0.5)), score=9.0, shadow=np.full(3, 0.5), why="test"
    )
    lift = deshade.shadow_lift(found, PARTS, dark.raster, 0.0)
    got = dark.linear.reshape(-1, 3) * lift.gain(dark.raster.centres())
    off = np.abs(np.log(got / bright.linear.reshape(-1, 3))).max(axis=1)[dark.known.ravel()]
    assert np.mean(off) < 0.02 and np.quantile(off, 0.99) < 0.25
    assert lift.gain(np.array([[9.0, 9.0]])) == pytest.approx(np.ones((1, 3)))


def sphere_asset(texture: np.ndarray) -> Asset:
    k = 24
    v, u = (x.ravel() / k for x in np.mgrid[0 : k + 1, 0 : k + 1])
    azimuth, polar = (u - 0.5) * 2 * np.pi, v * np.pi
    n = np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=1)
    at = np.arange((k + 1) ** 2).reshape(k + 1, k + 1)
    a, b, c, d = (x.ravel() for x in (at[:-1, :-1], at[1:, :-1], at[1:, 1:], at[:-1, 1:]))
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    visual = TexturedMesh(vertices=0.04 * n + [0, 0, 0.04], faces=faces, uv=np.column_stack([u, v]), texture=texture)
    return Asset(
        name="ball", T_world_asset=Pose.from_xyz_yaw(np.zeros(3), 0.0), visual=visual, hulls=(visual,), splat=None, volume_m3=2.7e-4,
        mass_kg=Interval.exact(0.1), inertia=Inertia(center_of_mass=np.array([0, 0, 0.04]), moments=np.eye(3) * 1e-4),
        friction=Interval.exact(0.5), restitution=Interval.exact(0.1),
    )  # fmt: skip


def test_shading_is_divided_out_of_a_texture() -> None:
    """A white ball photographed in light from one side comes out evenly white where light reached it."""
    size = 64
    made = light.light_of(unit(0, 45), np.full(3, 0.5))
    v, u = np.mgrid[0:size, 0:size] + 0.5
    azimuth, polar = (u / size - 0.5) * 2 * np.pi, (1 - v / size) * np.pi
    n = np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=-1).reshape(-1, 3)
    shaded = 0.6 * deshade.irradiance(made, n, (n @ -made.direction > 0).astype(float))
    picture = np.clip(deshade.linear_to_srgb(shaded) * 255 + 0.5, 0, 255).astype(np.uint8).reshape(size, size, 3)
    before = sphere_asset(picture)
    after = deshade.albedo([before], made, ground_m=0.0)[0].visual.texture
    assert after is not None
    upper = ((n[:, 2] > -0.3) & (n[:, 2] < 0.98)).reshape(size, size)

    def unevenness(texture: np.ndarray) -> float:
        values = texture[upper].astype(float)
        return float(values.std() / values.mean())

    assert unevenness(after) < 0.4 * unevenness(picture)
    assert np.median(after[upper]) == pytest.approx(255 * float(deshade.linear_to_srgb(np.array(0.6))), abs=12)


def lit_ball(light_: Light, seed: int, at: tuple[float, float]) -> Asset:
    """A painted ball photographed in this light."""
    import cv2

    size = 64
    v, u = np.mgrid[0:size, 0:size] + 0.5
    azimuth, polar = (u / size - 0.5) * 2 * np.pi, (1 - v / size) * np.pi
    n = np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=-1).reshape(-1, 3)
    paint = cv2.resize(Key(seed).child("paint").rng().uniform(0.15, 0.6, (16, 16, 3)), (size, size), interpolation=cv2.INTER_NEAREST)
    shaded = paint.reshape(-1, 3) * deshade.irradiance(light_, n, (n @ -light_.direction > 0).astype(float))
    picture = np.clip(deshade.linear_to_srgb(shaded) * 255 + 0.5, 0, 255).astype(np.uint8).reshape(size, size, 3)
    return replace(sphere_asset(picture), T_world_asset=Pose.from_xyz_yaw(np.array([*at, 0.0]), 0.7 * seed))


@pytest.mark.parametrize("window", [0.0, 2.0, 4.0])
def test_painted_objects_tell_on_which_side_the_room_is_brighter(window: float) -> None:
    held = light.light_of(unit(40, 60), np.full(3, 0.5))
    true = replace(held, ambient_sh=held.ambient_sh.copy())
    true.ambient_sh[3] += 0.12 * np.cos(window) / 0.488603
    true.ambient_sh[1] += 0.12 * np.sin(window) / 0.488603
    # each ball turned and lit in the world: shade it with the light as its own frame sees it
    balls = [lit_ball(turned(true, 0.7 * k), k, (0.3 * k, 0.0)) for k in range(5)]
    found = ambient_from_surfaces(balls, held, ground_m=0.0)
    upper = np.array([unit(a, e) for a in range(0, 360, 30) for e in (-5, -40)]) * 1.0
    want, got, before = (deshade.irradiance(x, upper, np.zeros(len(upper))).mean(axis=1) for x in (true, found, held))
    assert np.abs(got - want).mean() < 0.5 * np.abs(before - want).mean()
    up = np.array([[0.0, 0, 1]])
    assert deshade.irradiance(found, up, np.zeros(1)) == pytest.approx(deshade.irradiance(held, up, np.zeros(1)), abs=0.03)


def turned(x: Light, yaw_rad: float) -> Light:
    """The light as a frame turned by `yaw_rad` about z sees it; first-order ambient."""
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    R = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1.0]])
    sh = x.ambient_sh.copy()
    sh[3], sh[1] = c * x.ambient_sh[3] + s * x.ambient_sh[1], -s * x.ambient_sh[3] + c * x.ambient_sh[1]
    return Light(direction=R @ x.direction, key_rgb=x.key_rgb, ambient_sh=sh)


def test_one_object_says_nothing_of_the_ambient_light() -> None:
    held = light.light_of(unit(40, 60), np.full(3, 0.5))
    assert ambient_from_surfaces([lit_ball(held, 0, (0.0, 0.0))], held, ground_m=0.0) is held
