"""Clusters that are several objects come apart; single objects with necks, handles, rims and steps stay whole."""

import numpy as np
import pytest

from phone2sim.assets.split import split

CELL = 0.0027
LEAST = 0.016 / CELL


def surface(*solids):
    """Voxels of the outer surface seen from above and the sides of a union of `inside(x, y, z)` predicates."""
    from scipy import ndimage

    x, y, z = np.meshgrid(*(np.arange(n) * CELL - o for n, o in ((150, 0.2), (110, 0.15), (60, -0.008))), indexing="ij")
    full = np.zeros(x.shape, bool)
    for s in solids:
        full |= s(x, y, z)
    rim = full & ~ndimage.binary_erosion(full, border_value=1)
    return np.argwhere(rim)


def cylinder(at, r, low, high, wall=None):
    def inside(x, y, z):
        d = np.hypot(x - at[0], y - at[1])
        out = (d < r) & (z >= low) & (z < high)
        return out if wall is None else out & ((d > r - wall) | (z < low + wall))

    return inside


def box(at, size, low, high, yaw=0.0):
    def inside(x, y, z):
        c, s = np.cos(yaw), np.sin(yaw)
        u, v = c * (x - at[0]) + s * (y - at[1]), -s * (x - at[0]) + c * (y - at[1])
        return (np.abs(u) < size[0] / 2) & (np.abs(v) < size[1] / 2) & (z >= low) & (z < high)

    return inside


SINGLE = {
    "can": [cylinder((0, 0), 0.034, 0, 0.1)],
    "box": [box((0, 0), (0.09, 0.05), 0, 0.12, 0.4)],
    "knife": [box((0, 0), (0.17, 0.02), 0, 0.011, 0.3)],
    "mug": [cylinder((0, 0), 0.0385, 0, 0.092, 0.005), box((0.047, 0), (0.03, 0.013), 0.02, 0.075)],
    "plate": [cylinder((0, 0), 0.045, 0, 0.004), cylinder((0, 0), 0.07, 0, 0.016, 0.006)],
    "bottle": [cylinder((0, 0), 0.029, 0, 0.1), *(cylinder((0, 0), 0.029 - k * 0.0015, 0.1, 0.1 + 0.0025 * k) for k in range(1, 11)),
               cylinder((0, 0), 0.013, 0.12, 0.15)],
    "jar": [cylinder((0, 0), 0.0335, 0, 0.062), cylinder((0, 0), 0.03, 0.06, 0.088)],
    "brick": [box((0, 0), (0.064, 0.032), 0, 0.038), *(cylinder((0.016 * i - 0.024, s), 0.005, 0.03, 0.043) for i in range(4) for s in (-0.008, 0.008))],
}  # fmt: skip


@pytest.mark.parametrize("name", SINGLE)
def test_one_object_stays_whole(name):
    voxels = surface(*SINGLE[name])
    (piece,) = split(voxels, least=LEAST)
    assert len(piece.ijk) == len(voxels) and piece.base is None and piece.top is None


TOUCHING = {
    "cans": ([cylinder((-0.034, 0), 0.034, 0, 0.1), cylinder((0.0325, 0), 0.034, 0, 0.1)], 0.0),
    "a block at a can": ([cylinder((-0.034, 0), 0.034, 0, 0.1), box((0.03, 0), (0.048, 0.048), 0, 0.048, 0.7)], -0.002),
    "a ball at a box": ([box((-0.05, 0), (0.1, 0.07), 0, 0.12, 0.9), cylinder((0.037, 0), 0.034, 0, 0.06)], 0.003),
}


@pytest.mark.parametrize("name", TOUCHING)
def test_touching_objects_are_parted_at_the_neck(name):
    solids, x = TOUCHING[name]
    voxels = surface(*solids)
    pieces = split(voxels, least=LEAST)
    assert len(pieces) == 2 and sum(len(p.ijk) for p in pieces) == len(voxels)
    middles = sorted(float(p.ijk[:, 0].mean() * CELL - 0.2) for p in pieces)
    assert middles[0] < x < middles[1]
    for p in pieces:
        side = p.ijk[:, 0] * CELL - 0.2 < x
        assert max(side.mean(), 1 - side.mean()) > 0.9


STACKED = {
    "a can on a book": ([box((0, 0), (0.118, 0.086), 0, 0.022)], [cylinder((0.015, 0.0), 0.034, 0.022, 0.12)], 0.022),
    "a block on a box": ([box((0, 0), (0.07, 0.048), 0, 0.06)], [box((0, 0), (0.045, 0.045), 0.06, 0.108)], 0.06),
}


def test_what_stands_on_a_book_is_parted_from_it():
    lower, upper, height = STACKED["a can on a book"]
    pieces = split(surface(*lower, *upper), least=LEAST)
    assert len(pieces) == 2
    base, top = pieces
    assert base.top == top.base and abs((top.base + 0.5) * CELL + 0.008 - height) < CELL
    assert top.base is not None and top.ijk[:, 2].min() > top.base
    assert abs(top.ijk[:, 0].mean() * CELL - 0.2 - 0.015) < 0.004


JAR_AT_BOWL = [cylinder((-0.055, 0), 0.055, 0, 0.05), cylinder((0.024, 0), 0.034, 0, 0.09)]
"""They share a third of the jar's width: too wide a neck for geometry alone."""


@pytest.mark.parametrize("differ", [True, False])
def test_a_wide_neck_parts_only_different_colours(differ):
    voxels = surface(*JAR_AT_BOWL)
    asked = []

    def colours(a, b):
        asked.append((len(a), len(b)))
        return differ

    pieces = split(voxels, least=LEAST, differ=colours)
    assert asked and len(pieces) == (2 if differ else 1)
    assert sum(len(p.ijk) for p in pieces) == len(voxels)
    assert len(split(voxels, least=LEAST)) == 1


def test_beside_a_low_thing_the_tall_one_keeps_its_whole_height():
    voxels = surface(cylinder((-0.06, 0), 0.06, 0, 0.014), cylinder((0.033, 0), 0.034, 0, 0.09))
    pieces = split(voxels, least=LEAST)
    assert len(pieces) == 2
    plate = min(pieces, key=lambda p: p.ijk[:, 0].mean())
    assert np.ptp(plate.ijk[:, 2]) * CELL < 0.02


def test_what_was_hidden_beside_a_neighbour_does_not_lengthen_a_box(monkeypatch):
    """Filmed from one side, with a ball touching the other: what neither shows stays within the box's outline."""
    import synthetic
    import trimesh

    from phone2sim.assets.carving import slant
    from phone2sim.assets.solid import beside_outline, build_solid
    from phone2sim.reconstruct.mesh.fusion import Grid

    side, radius, voxel = 0.048, 0.032, 0.0024
    box = trimesh.creation.box((side, side, side))
    box.apply_translation([-side / 2, 0, side / 2])
    ball = trimesh.creation.icosphere(4, radius)
    ball.apply_translation([radius, 0, radius])
    monkeypatch.setattr(synthetic, "NOISE", 0.0005)
    monkeypatch.setattr(synthetic, "bodies", lambda: {"box": box, "ball": ball})
    scene = synthetic.raycast()
    some = [k for k, v in enumerate(scene.views) if v.centre[0] < -0.2]
    views, masks = [scene.views[k] for k in some], [scene.masks[k] == 1 for k in some]
    own, other = (np.asarray(m.sample(1500, seed=0)) for m in (box, ball))
    solid = build_solid(
        box.bounds[0] - 0.015, box.bounds[1] + 0.015, views, [slant(v) for v in views], masks, level=0.0, voxel=voxel,
        skirt_m=0.0096, seed=own[own[:, 2] > 0.01], others=other[other[:, 2] > 0.01], cell=0.001,
    )  # fmt: skip
    assert solid.mesh.vertices[:, 0].max() < 0.0035
    grid = Grid(origin=np.zeros(3), voxel=0.1, shape=(21, 11, 2))
    distance = beside_outline(grid, np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]]))
    assert distance[15, 5] == pytest.approx(0.5, abs=1e-5) and distance[9, 5] == pytest.approx(-0.1, abs=1e-5)
