"""The validity map: what the capture saw is supported, what it did not is not, and a single picture supports a narrow cone."""

from __future__ import annotations

import numpy as np
import pytest

from phone2sim.errors import ShapeError
from phone2sim.poses import look_at
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.reconstruct.validity import ValidityMap, build_validity, shell_of


def orbit(azimuths, *, elevation=0.7, radius=0.8) -> Cameras:
    eye = [radius * np.array([np.cos(a) * np.cos(elevation), np.sin(a) * np.cos(elevation), np.sin(elevation)]) for a in azimuths]
    n = len(eye)
    return Cameras(
        T_world_camera=np.array([look_at(e, np.zeros(3)).matrix for e in eye]), K=np.tile([[300.0, 0, 160], [0, 300, 120], [0, 0, 1]], (n, 1, 1)),
        size_wh=np.tile([320, 240], (n, 1)), distortion=np.zeros((n, 4)), names=tuple(f"{i:04d}.jpg" for i in range(n)),
    )  # fmt: skip


def test_what_is_open_from_the_cameras_themselves_is_no_hole():
    cameras = orbit(np.linspace(0, 2 * np.pi, 40, endpoint=False))
    cloud, points = table()
    small = np.abs(points).max(axis=1) < 0.55
    found = build_validity(cloud.take(small), cameras, points[small], {"train_psnr": 30.0}, center=np.zeros(3), picture_px=24)
    assert found.valid(cameras.T_world_camera).all()


def table() -> tuple[SplatCloud, np.ndarray]:
    """An opaque plate of 8 m at z = 0, and points on it."""
    xy = np.stack(np.meshgrid(*[np.linspace(-4, 4, 101)] * 2), -1).reshape(-1, 2)
    points = np.c_[xy, np.zeros(len(xy))]
    n = len(points)
    return SplatCloud(
        means=points, quats_wxyz=np.tile([1.0, 0, 0, 0], (n, 1)), scales=np.tile([0.06, 0.06, 1e-3], (n, 1)),
        opacities=np.full(n, 0.98), sh=np.zeros((n, 1, 3)),
    ), points  # fmt: skip


def build(cameras: Cameras, heldout=()) -> ValidityMap:
    cloud, points = table()
    rows = [{"name": cameras.names[i], "psnr": v} for i, v in heldout]
    return build_validity(cloud, cameras, points, {"heldout": rows, "train_psnr": 30.0}, center=np.zeros(3), picture_px=24)


def eye(azimuth, elevation=0.7, radius=0.8) -> np.ndarray:
    return radius * np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])


def test_a_full_orbit_supports_its_ring_and_nothing_below_the_table():
    found = build(orbit(np.linspace(0, 2 * np.pi, 40, endpoint=False)))
    ring = np.array([eye(a) for a in np.linspace(0, 2 * np.pi, 17)])
    assert (found.support_at(ring) > 0.6).all() and found.valid(ring).all()
    assert not found.valid(np.array([eye(a, -0.7) for a in (0, 2, 4)])).any()
    assert not found.valid(np.array([eye(1.0, 0.7, 0.1), eye(1.0, 0.7, 4.0)])).any()
    assert shell_of(found)["azimuth_rad"] == [-np.pi, np.pi]


def test_half_an_orbit_supports_its_half():
    found = build(orbit(np.linspace(0, np.pi, 24)))
    assert found.valid(np.array([eye(a) for a in (0.4, 1.5, 2.7)])).all()
    assert not found.valid(np.array([eye(a) for a in (4.0, 4.7, 5.4)])).any()
    low, high = shell_of(found)["azimuth_rad"]
    assert np.pi <= high - low < 1.4 * np.pi


def test_a_single_picture_supports_a_narrow_cone():
    found = build(orbit([0.9]))
    assert found.valid(eye(0.9))
    assert not found.valid(np.array([eye(0.9 + np.deg2rad(s)) for s in (-45, 45, 90, 180)])).any()
    share = (found.support >= 0.5).any(axis=2).mean()
    assert 0 < share < 0.05
    shell = shell_of(found)
    assert shell["azimuth_rad"][1] - shell["azimuth_rad"][0] < np.deg2rad(60)


def test_expectation_follows_held_out_pictures_and_falls_with_the_way():
    cameras = orbit(np.linspace(0, np.pi, 25))
    # Held-out pictures look good at the one end and bad at the other.
    found = build(cameras, heldout=[(2, 32.0), (4, 32.0), (20, 22.0), (22, 22.0)])
    assert found.heldout_psnr == pytest.approx(27)
    assert found.psnr_at(eye(0.3)) > found.psnr_at(eye(2.8)) + 5
    away = [float(found.psnr_at(eye(0.3, e))) for e in (0.7, 1.0, 1.3)]
    assert away[0] > away[1] > away[2]
    assert float(found.psnr_at(eye(0.3, 0.7, 0.8))) > float(found.psnr_at(eye(0.3, 0.7, 1.4)))


def test_round_trip_poses_and_nearest():
    cameras = orbit(np.linspace(0, np.pi, 24))
    found = build(cameras)
    again = ValidityMap.from_json(found.to_json())
    assert np.allclose(again.support, found.support, atol=5e-3)
    T = cameras.T_world_camera
    assert np.allclose(found.support_at(T), found.support_at(T[:, :3, 3]))
    good = found.nearest(eye(4.7))
    assert found.valid(good) and np.linalg.norm(good - eye(4.7)) < np.linalg.norm(eye(1.5) - eye(4.7))
    # At a bin's centre the map gives the bin's own value.
    assert np.allclose(found.at(found.support, found.eyes()), found.support, atol=1e-6)
    with pytest.raises(ShapeError, match="ValidityMap: expected three maps"):
        ValidityMap(center=np.zeros(3), distance_m=np.ones(2), coverage=np.ones((2, 3, 2)), holes=np.ones((2, 3)), psnr=np.ones((2, 3, 2)), heldout_psnr=1)
