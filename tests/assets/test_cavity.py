"""The inside of vessels, as far as cameras looked in and below."""

import numpy as np
import pytest
import synthetic
import trimesh

from phone2sim.assets.carving import slant
from phone2sim.assets.cavity import hollowed
from phone2sim.assets.hulls import decompose
from phone2sim.assets.solid import build_solid, simplify
from phone2sim.reconstruct.mesh.fusion import Grid

RADIUS, HEIGHT, WALL = 0.038, 0.09, 0.005
SKIRT, VOXEL = 0.0088, 0.0022


def vessel(base):
    """A beaker whose inside begins `base` [m] above its foot."""
    import manifold3d

    outer = manifold3d.Manifold.cylinder(HEIGHT, RADIUS, RADIUS, 48)
    m = (outer - manifold3d.Manifold.cylinder(HEIGHT, RADIUS - WALL, RADIUS - WALL, 48).translate((0, 0, base))).to_mesh()
    return trimesh.Trimesh(m.vert_properties[:, :3], m.tri_verts, process=False)


@pytest.fixture(scope="module")
def closed():
    """The bodies closed from views of vessels with their floors at 8 and 50 mm, and of one without an opening."""
    out = {}
    with pytest.MonkeyPatch.context() as m:
        m.setattr(synthetic, "NOISE", 0.0005)
        for base in (0.008, 0.05, HEIGHT):
            true = vessel(base)
            m.setattr(synthetic, "bodies", lambda true=true: {"vessel": true})
            scene = synthetic.raycast()
            masks, slants = [k == 1 for k in scene.masks], [slant(v) for v in scene.views]
            low, high = np.array([-0.06, -0.06, 0]), np.array([0.06, 0.06, 0.11])
            out[base] = build_solid(low, high, scene.views, slants, masks, level=0.0, voxel=VOXEL, skirt_m=SKIRT, seed=true.vertices)
    return out


def tops(solid):
    """Highest matter [m] at places in the middle third of the vessel."""
    g, inside = solid.grid, solid.distance < 0
    z = g.origin[2] + g.voxel * np.arange(g.shape[2])
    x, y = (g.origin[a] + g.voxel * np.arange(g.shape[a]) for a in range(2))
    middle = np.argwhere(np.hypot(x[:, None], y) < RADIUS / 3)
    return np.array([z[inside[i, j]].max() for i, j in middle])


def test_a_mug_is_empty_down_to_a_floor_that_no_camera_saw(closed):
    assert tops(closed[0.008]).max() < SKIRT + 5 * VOXEL
    assert closed[0.008].mesh.volume < 1.4 * vessel(0.008).volume
    assert closed[0.008].mesh.is_watertight


def test_what_a_splat_has_in_an_inferred_hollow_is_the_mugs(closed):
    inside = np.array([[0, 0, SKIRT + 4 * VOXEL]])
    assert closed[0.008].distance.ravel()[closed[0.008].grid.index(inside)[0]] > 0
    assert closed[0.008].signed_distance(inside) < 0 < closed[0.008].signed_distance(np.array([[0, 0, HEIGHT - 0.01]]))


def test_a_floor_that_was_seen_stays(closed):
    assert np.median(tops(closed[0.05])) == pytest.approx(0.05, abs=VOXEL)
    assert closed[0.05].mesh.volume == pytest.approx(vessel(0.05).volume, rel=0.2)


def test_what_has_no_opening_stays_full(closed):
    assert tops(closed[HEIGHT]).min() == pytest.approx(HEIGHT, abs=VOXEL)


def test_a_ball_falls_into_the_hulls_of_a_mug(closed):
    import mujoco

    mesh = simplify(closed[0.008].mesh, faces=2000, tolerance=3e-4)
    spec = mujoco.MjSpec()
    for k, part in enumerate(decompose(mesh).parts):
        spec.add_mesh(name=f"{k}", uservert=part.vertices.astype(float).ravel().tolist(), userface=part.faces.ravel().tolist())
        spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=f"{k}")
    radius = (RADIUS - WALL) / 3
    ball = spec.worldbody.add_body(pos=[0, 0, HEIGHT + 0.03])
    ball.add_freejoint()
    ball.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[radius, 0, 0], density=500)
    model = spec.compile()
    data = mujoco.MjData(model)
    for _ in range(1000):
        mujoco.mj_step(model, data)
    assert data.qpos[2] - radius < HEIGHT / 2 and np.hypot(*data.qpos[:2]) < RADIUS


def test_a_clump_that_hangs_in_the_opening_is_no_lid():
    """Seen empty down to 45 mm, and emptied further below, with or without a stray lump of matter in the mouth, which is gone."""
    grid = Grid.around(np.array([-0.045, -0.045, -0.002]), np.array([0.045, 0.045, 0.1]), VOXEL)
    p = grid.points()
    r = np.hypot(p[:, 0], p[:, 1])
    outer = np.maximum(r - RADIUS, np.maximum(-p[:, 2], p[:, 2] - HEIGHT))
    seen = np.maximum(r - (RADIUS - WALL), 0.045 - p[:, 2])
    lump = np.linalg.norm(p - [0, 0, HEIGHT + 0.002], axis=1) - 0.008
    plain = np.maximum(outer, -seen).reshape(grid.shape)
    fields = [np.clip(f, -4 * VOXEL, 4 * VOXEL) for f in (plain, np.minimum(plain, lump.reshape(grid.shape)))]
    bare, with_lump = (hollowed(f, grid, [], level=0.0, base_m=0.004) for f in fields)
    low = grid.index(np.array([[0, 0, 0.02]]))[0]
    assert fields[0].ravel()[low] < 0 < bare.ravel()[low]
    np.testing.assert_array_equal(with_lump < 0, bare < 0)


def test_a_pit_in_the_wall_of_a_mug_is_no_hole_and_a_wide_dent_stays():
    """Emptied below 45 mm; there the wall has a pit 5 mm wide that reaches almost through it, and on the other side a dent 26 mm wide."""
    grid = Grid.around(np.array([-0.045, -0.045, -0.002]), np.array([0.045, 0.045, 0.1]), VOXEL)
    p = grid.points()
    r = np.hypot(p[:, 0], p[:, 1])
    wall = 0.008
    outer = np.maximum(r - RADIUS, np.maximum(-p[:, 2], p[:, 2] - HEIGHT))
    seen = np.maximum(r - (RADIUS - wall), 0.045 - p[:, 2])
    pit = np.maximum(np.hypot(p[:, 1], p[:, 2] - 0.025) - 0.0025, RADIUS - 0.006 - p[:, 0])
    dent = np.maximum(np.hypot(p[:, 1], p[:, 2] - 0.025) - 0.013, RADIUS - 0.0035 + p[:, 0])
    field = np.max([outer, -seen, -pit, -dent], axis=0)
    out = hollowed(np.clip(field, -4 * VOXEL, 4 * VOXEL).reshape(grid.shape), grid, [], level=0.0, base_m=0.004).ravel()

    def at(x):
        return out[grid.index(np.array([[x, 0, 0.025]]))[0][0]]

    assert at(0) > 0 and at(RADIUS - 0.004) < 0
    assert at(-RADIUS + 0.0015) > 0 > at(-RADIUS + 0.006)
    clear = (r > RADIUS + 2 * VOXEL) & (p[:, 2] < HEIGHT)
    np.testing.assert_array_equal(out[clear], np.clip(field, -4 * VOXEL, 4 * VOXEL)[clear])


def test_a_ragged_rim_is_no_lid_and_a_lid_is():
    """A wall with a step of one node into the mouth, above the last closed ring, and half of the mouth covered there."""
    grid = Grid(origin=np.zeros(3), voxel=0.0025, shape=(40, 40, 36))
    i, j, k = np.indices(grid.shape)
    r = np.hypot(i - 19.5, j - 19.5)
    ring = (r < 15) & (r > 11.5)
    cup = (k >= 2) & (k < 30) & (ring | ((r < 15) & ((k < 6) | ((k < 20) & (i > 20)))))

    def emptied(rim):
        field = np.where(cup | rim, -0.01, 0.01).astype(np.float32)
        return hollowed(field, grid, [], level=0.0, base_m=0.005) is not field

    above = (k == 30) & (i < 20)
    assert emptied(above & (r > 10.5) & (r < 15) & (j > 20))
    assert not emptied(above & (r < 15))
