"""Depth inside a photo comes back, whatever form it is stored in."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import shots

from phone2sim.reconstruct.capture import CaptureConfig, ingest
from phone2sim.reconstruct.photo.embedded import depth_of_codes, embedded_depth

CAPTURES = Path(__file__).parents[4] / "shared" / "captures"


def ramp(h=96, w=128):
    v, u = np.mgrid[:h, :w]
    return 0.4 + 0.01 * u + 0.02 * v


@pytest.mark.parametrize("inverse", [True, False])
@pytest.mark.parametrize(("units", "factor", "metric"), [("m", 1.0, True), ("mm", 0.001, True), ("", 1.0, False)])
def test_gdepth_comes_back(tmp_path, inverse, units, factor, metric):
    depth = ramp() / factor
    shots.write_gdepth(tmp_path / "a.jpg", np.zeros((96, 128, 3), np.uint8), depth, units=units, inverse=inverse)
    found = embedded_depth(tmp_path / "a.jpg")
    assert found is not None and found.metric is metric
    assert np.allclose(found.depth, depth * factor, rtol=2e-4)


def test_gdepth_larger_than_a_segment_comes_back(tmp_path):
    depth = np.random.default_rng(0).uniform(0.5, 2, (300, 400))
    shots.write_gdepth(tmp_path / "a.jpg", np.zeros((300, 400, 3), np.uint8), depth)
    assert (tmp_path / "a.jpg").read_bytes().count(shots.EXTENDED) >= 4
    assert np.allclose(embedded_depth(tmp_path / "a.jpg").depth, depth, rtol=2e-4)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_depth_turns_with_its_picture(tmp_path, orientation):
    """The brightness of the picture is its depth: after turning, both still agree."""
    depth = ramp()
    rgb = np.repeat(np.clip(255 * (depth - depth.min()) / np.ptp(depth), 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    shots.write_gdepth(tmp_path / "a.jpg", rgb, depth, orientation=orientation)
    capture = ingest(tmp_path / "a.jpg", tmp_path / "c", CaptureConfig())
    from phone2sim.images import read_rgb

    upright, found = read_rgb(capture.pictures / capture.frames[0].file), capture.depth(capture.frames[0])
    assert found.shape == upright.shape[:2]
    assert np.corrcoef(found.ravel(), upright[..., 0].ravel())[0, 1] > 0.999


def test_codes_of_both_forms_meet_near_and_far():
    for inverse in (True, False):
        d = depth_of_codes(np.array([0.0, 0.5, 1.0]), near=0.5, far=4.0, inverse=inverse)
        assert np.allclose(d[[0, 2]], [0.5, 4.0]) and 0.5 < d[1] < 4.0
    assert depth_of_codes(np.array([0.5]), near=0.5, far=4.0, inverse=True) == pytest.approx(1 / (0.5 * (2 + 0.25)))


def test_damaged_depth_costs_only_the_depth(tmp_path):
    shots.write_gdepth(tmp_path / "a.jpg", np.zeros((96, 128, 3), np.uint8), ramp())
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data.replace(b"iVBORw0KGgo", b"iVBORw0KAAA"))
    assert embedded_depth(tmp_path / "a.jpg") is None
    assert ingest(tmp_path / "a.jpg", tmp_path / "c", CaptureConfig()).device is None


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="the shared captures are not here")
def test_real_phones():
    apple = embedded_depth(CAPTURES / "heic-and-depth" / "iphone13pro-portrait-depth.heic")
    assert apple.depth.shape == (576, 768) and not apple.metric
    assert apple.focal == pytest.approx(3032.594 / 4032)
    assert 1 / 4.39 < apple.depth.min() < 0.24 and 0.6 < apple.depth.max() < 1 / 1.49
    android = embedded_depth(CAPTURES / "heic-and-depth" / "android-depth-map.jpg")
    assert android.depth.shape == (1024, 768) and not android.metric
    assert embedded_depth(CAPTURES / "single-photos" / "groceries.jpg") is None
