"""Hulls of vessels: hollow, with an open handle, closer to the body than a general decomposition's."""

import manifold3d
import numpy as np
import pytest
import trimesh
from scipy.spatial import ConvexHull

from phone2sim.assets import hulls as module
from phone2sim.assets.fewer import PHYSX_FACES
from phone2sim.assets.hulls import decompose
from phone2sim.assets.solid import as_trimesh, simplify
from phone2sim.assets.vessel import hollow_of, vessel_parts

RADIUS, HEIGHT, WALL, BASE = 0.038, 0.09, 0.005, 0.007
CONCAVITY = 0.06


def cylinder(height, radius, above=0.0):
    return manifold3d.Manifold.cylinder(height, radius, radius, 64).translate((0, 0, above))


def mug():
    """A mug with a handle towards +x, whose ring leaves a hole 38 mm high and 22 mm deep."""
    ring = as_trimesh(manifold3d.Manifold.revolve(manifold3d.CrossSection.circle(0.005, 16).translate((0.024, 0)), 48))
    ring.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0], [0, 0, 0]))
    ring.apply_translation([RADIUS + 0.003, 0, 0.048])
    return cylinder(HEIGHT, RADIUS) + (solid(ring) - cylinder(1, RADIUS - 0.002)) - cylinder(HEIGHT, RADIUS - WALL, BASE)


def bowl():
    outer, inner = manifold3d.Manifold.sphere(0.07, 64), manifold3d.Manifold.sphere(0.064, 64)
    return (outer - inner).translate((0, 0, 0.066)).trim_by_plane((0, 0, 1), 0).trim_by_plane((0, 0, -1), -0.05)


def tray():
    return manifold3d.Manifold.cube((0.2, 0.12, 0.05)) - manifold3d.Manifold.cube((0.188, 0.108, 0.05)).translate((0.006, 0.006, 0.006))


def solid(mesh):
    return manifold3d.Manifold(manifold3d.Mesh(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.uint32)))


def rough(body, sigma=0.0004, seed=3):
    """As a capture leaves it: finer, with a little noise, simplified again."""
    m = as_trimesh(body.refine_to_length(0.008))
    v = m.vertices + np.random.default_rng(seed).normal(0, sigma, m.vertices.shape)
    v[:, 2] = np.where(m.vertices[:, 2] < 1e-6, 0, v[:, 2])
    return simplify(trimesh.Trimesh(v, m.faces, process=False), faces=4000, tolerance=2e-4)


def union(parts):
    return manifold3d.Manifold.batch_boolean([manifold3d.Manifold.hull_points(p.vertices) for p in parts], manifold3d.OpType.Add)


@pytest.fixture(scope="module")
def cup():
    mesh = rough(mug())
    return mesh, decompose(mesh, concavity=CONCAVITY)


def outside(part, points):
    """(n,) least distances [m] of points to a convex part, 0 inside: from its faces, edges and corners (Boyle & Dykstra 1986)."""
    planes = ConvexHull(part.vertices.astype(float)).equations
    x, steps = points.copy(), np.zeros((len(planes), *points.shape))
    for _ in range(60):
        for k, plane in enumerate(planes):
            y = x + steps[k]
            x = y - np.maximum(y @ plane[:3] + plane[3], 0)[:, None] * plane[:3]
            steps[k] = y - x
    return np.linalg.norm(x - points, axis=1)


def fly(hulls, radius, start, *, length=0.0, speed=0.0, gravity=9.81):
    """Where a ball, or a rod along y, is after 2 s that starts at `start` with a speed along y among the fixed hulls, in MuJoCo."""
    import mujoco

    spec = mujoco.MjSpec()
    spec.option.gravity = [0, 0, -gravity]
    for k, part in enumerate(hulls.parts):
        spec.add_mesh(name=f"{k}", uservert=part.vertices.astype(float).ravel().tolist(), userface=part.faces.ravel().tolist())
        spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=f"{k}")
    body = spec.worldbody.add_body(pos=start, quat=[np.sqrt(0.5), -np.sqrt(0.5), 0, 0] if length else [1, 0, 0, 0])
    body.add_freejoint()
    kind = mujoco.mjtGeom.mjGEOM_CAPSULE if length else mujoco.mjtGeom.mjGEOM_SPHERE
    body.add_geom(type=kind, size=[radius, length / 2, 0], density=500)
    model = spec.compile()
    data = mujoco.MjData(model)
    data.qvel[1] = speed
    for _ in range(1000):
        mujoco.mj_step(model, data)
    return data.qpos[:3].copy()


def test_a_ball_nearly_as_wide_as_the_mug_falls_in(cup):
    radius = 0.8 * (RADIUS - WALL)
    at = fly(cup[1], radius, [0.002, 0.001, HEIGHT + radius + 0.01])
    assert at[2] + radius < HEIGHT and at[2] - radius < BASE + 0.004 and np.hypot(*at[:2]) < RADIUS - WALL - radius + 0.003


def test_a_rod_passes_through_the_handle_and_not_through_its_bars(cup):
    middle = RADIUS + 0.01
    for x, z, passes in ((middle, 0.048, True), (middle, 0.048 + 0.024, False), (middle + 0.017, 0.048, False)):
        at = fly(cup[1], 0.006, [x, -0.1, z], length=0.06, speed=0.1, gravity=0.0)
        assert (np.linalg.norm(at - [x, 0.1, z]) < 1e-3) == passes


def test_parts_cover_the_mesh_within_the_error_that_was_stated(cup):
    mesh, hulls = cup
    error = 0.5 * CONCAVITY * max(mesh.extents)
    points, _ = trimesh.sample.sample_surface(mesh, 4000, seed=1)
    off = np.min([outside(p, points) for p in hulls.parts], axis=0)
    assert off.max() < error
    assert all(len(p.faces) <= PHYSX_FACES and p.welded().is_convex for p in hulls.parts)
    assert min(p.bounds[0, 2] for p in hulls.parts) == pytest.approx(0, abs=2e-4)


@pytest.mark.parametrize(("body", "less", "fewer"), [(mug, 0.75, -1), (tray, 1.1, 4)])
def test_sectors_are_closer_or_fewer_than_a_general_decomposition_and_leave_more_free(body, less, fewer, monkeypatch):
    mesh = rough(body())
    ours = decompose(mesh, concavity=CONCAVITY)
    monkeypatch.setattr(module, "hollow_of", lambda body: None)
    closest = decompose(mesh, concavity=CONCAVITY)  # CoACD's parts, joined where the bound allows it
    assert ours.excess < closest.excess and len(ours.parts) <= len(closest.parts) and ours.stray_m < closest.stray_m
    monkeypatch.setattr(module, "joined", lambda parts, outside, bound_m, most: parts)
    monkeypatch.setattr(module, "FINER", 1.0)
    monkeypatch.setattr(module, "FINEST", 1)
    general = decompose(mesh, concavity=CONCAVITY)  # CoACD's own
    assert ours.holds is not None and general.holds is None
    assert ours.excess < less * general.excess and len(ours.parts) <= len(general.parts) - fewer
    free = hollow_of(union(general.parts))
    assert ours.holds > 0.8 and ours.holds > (0 if free is None else free.volume_m3 / hollow_of(solid(mesh)).volume_m3)


def test_the_hollow_is_measured():
    for body, want in ((mug(), np.pi * (RADIUS - WALL) ** 2 * (HEIGHT - BASE)), (tray(), 0.188 * 0.108 * 0.044)):
        assert hollow_of(body).volume_m3 == pytest.approx(want, rel=0.06)
    assert hollow_of(bowl()).volume_m3 > 2e-4
    assert hollow_of(cylinder(0.1, 0.03)) is None
    closed = cylinder(0.1, 0.03) - cylinder(0.08, 0.025, 0.01)
    assert hollow_of(closed) is None, "nothing falls into what has a lid"


def test_more_error_takes_fewer_sectors_and_a_box_four():
    def count(body, error):
        return len(vessel_parts(body, hollow_of(body), lambda part, most: [part], error_m=error, most=64))

    counts = [count(mug(), e) for e in (0.0007, 0.0015, 0.003, 0.006)]
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[-1]
    assert count(tray(), 0.002) == 1 + 4


def test_the_same_parts_every_time(cup):
    again = decompose(cup[0], concavity=CONCAVITY)
    assert len(again.parts) == len(cup[1].parts)
    for a, b in zip(again.parts, cup[1].parts):
        np.testing.assert_array_equal(a.vertices, b.vertices)


def test_a_hollow_wider_than_it_is_deep_by_far_is_no_trouble():
    flat = manifold3d.Manifold.cube((0.2, 0.2, 0.02)) - manifold3d.Manifold.cube((0.184, 0.184, 0.02)).translate((0.008, 0.008, 0.006))
    hulls = decompose(as_trimesh(flat))
    assert hulls.holds is not None and hulls.holds > 0.8
    assert (flat - union(hulls.parts)).volume() < 0.02 * flat.volume()
