"""What photos say of surface points, on the synthetic table."""

import numpy as np
import pytest
import synthetic

from phone2sim.assets.appearance import coloured_apart, coloured_as_ground, is_ground, overlap_of_colors, stands_out


def test_overlap_of_colours_is_a_coefficient():
    rng = np.random.default_rng(0)
    a, b = rng.normal([180, 60, 60], 15, (400, 3)), rng.normal([60, 60, 180], 15, (400, 3))
    assert overlap_of_colors(a, a) == pytest.approx(1)
    assert overlap_of_colors(a, b) == pytest.approx(overlap_of_colors(b, a))
    assert overlap_of_colors(a, b) < 0.1
    assert overlap_of_colors(a, np.concatenate([a, b])) == pytest.approx(np.sqrt(0.5), abs=0.05)


def top_of(truth, name):
    mesh = truth.meshes[name]
    up = mesh.face_normals[:, 2] > 0.9
    a, b, c = (mesh.triangles[up][:, k] for k in range(3))
    u = np.random.default_rng(0).random((3, 40, 1, 1))
    u /= u.sum(axis=0)
    return (u[0] * a + u[1] * b + u[2] * c).reshape(-1, 3)


def test_a_top_stands_out_and_a_bump_of_the_ground_does_not(truth):
    box = top_of(truth, "box")
    assert stands_out(box, truth.views, 0.0) and not is_ground(box, truth.views, 0.0)
    xy = np.random.default_rng(1).uniform(-0.02, 0.02, (300, 2)) + [0.2, -0.2]
    bump = np.column_stack([xy, np.full(len(xy), 0.004)])
    assert coloured_as_ground(bump, truth.views, 0.0)
    assert is_ground(bump, truth.views, 0.0) and not stands_out(bump, truth.views, 0.0)


def test_things_of_other_colours_are_told_apart(truth):
    box, can = top_of(truth, "box"), top_of(truth, "can")
    assert coloured_apart(box, can, truth.views)
    assert not coloured_apart(box[::2], box[1::2], truth.views)
    assert len(synthetic.bodies()) == 3
