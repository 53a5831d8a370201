"""Parts lower than the clearance: found on the support's raster, labelled, and closed down to the support."""

import numpy as np
import pytest
import synthetic
import trimesh

from phone2sim.assets.labels import apart
from phone2sim.assets.lift import find_objects
from phone2sim.assets.low import low_field, on_low

HANDLE, BLADE = (0.07, 0.03, 0.03), (0.12, 0.03, 0.006)


@pytest.fixture(scope="module")
def knife():
    """A handle and, much lower than the clearance, a blade."""
    handle = trimesh.creation.box(HANDLE)
    handle.apply_translation([-HANDLE[0] / 2, 0, HANDLE[2] / 2])
    blade = trimesh.creation.box(BLADE)
    blade.apply_translation([BLADE[0] / 2, 0, BLADE[2] / 2])
    return trimesh.util.concatenate([handle, blade])


def test_the_blade_belongs_to_its_handle(knife, monkeypatch):
    monkeypatch.setattr(synthetic, "NOISE", 0.0004)
    monkeypatch.setattr(synthetic, "bodies", lambda: {"knife": knife})
    scene = synthetic.raycast()
    found = find_objects(scene.views)
    assert found is not None and len(found.clusters) == 1
    cluster = found.clusters[0]
    assert BLADE[2] < found.clear_m
    assert cluster.points[:, 0].max() < 0.02
    assert len(cluster.low) and cluster.low[:, 0].max() == pytest.approx(BLADE[0], abs=0.01)
    beside = np.abs(cluster.low[:, 1]) > BLADE[1] / 2 + found.cell
    assert beside.mean() < 0.05
    assert np.median(cluster.low[cluster.low[:, 0] > 0.03][:, 2]) == pytest.approx(BLADE[2], abs=0.0015)
    assert cluster.bounds[1, 0] > 0.1


def test_on_low_is_a_slab_over_its_cells():
    low = np.array([[0.0, 0, 0.004], [0.003, 0, 0.004]])
    points = np.array([[0.001, 0, 0.0035], [0.001, 0, 0.001], [0.001, 0, 0.009], [0.02, 0, 0.004]])
    points = np.concatenate([points, [[0.001, 0, -0.002]]])
    assert on_low(points, low, cell=0.003, level=0.0, depth_m=0.0015).tolist() == [True, True, False, False, False]
    assert not on_low(points, np.zeros((0, 3)), cell=0.003, level=0.0, depth_m=0.0015).any()


def test_low_field_reaches_down_and_stays_within_the_outline():
    xy = np.stack(np.meshgrid(np.arange(20) * 0.001, np.arange(20) * 0.001, indexing="ij"), -1)
    z = np.arange(-4, 12) * 0.001
    low = np.column_stack([xy[5:15, 5:15].reshape(-1, 2), np.full(100, 0.003)])
    beside = np.where(xy[..., 0] < 0.010, -0.004, 0.002)
    field = low_field(xy, z, low, beside, cell=0.001, outside=0.004)
    assert field[8, 8, z.searchsorted(0.003)] == pytest.approx(0, abs=1.1e-3)
    assert (field[8, 8, z < 0.002] < 0).all() and (field[8, 8, z > 0.004] > 0).all()
    assert (field[14] > 0).all() and (field[0, 0] == np.float32(0.004)).all()


def test_boxes_that_meet_never_share_a_channel():
    rng = np.random.default_rng(3)
    low = rng.uniform(0, 1, (15, 3))
    boxes = [np.stack([a, a + rng.uniform(0.05, 0.5, 3)]) for a in low]
    channels = apart(boxes)
    for i, a in enumerate(boxes):
        for j, b in enumerate(boxes[:i]):
            if (a[0] <= b[1]).all() and (b[0] <= a[1]).all():
                assert channels[i] != channels[j]
    assert apart([np.array([[k, 0, 0], [k + 0.5, 1, 1]]) for k in range(6)]) == [0, 1, 2, 0, 1, 2]
    assert apart([]) == []
