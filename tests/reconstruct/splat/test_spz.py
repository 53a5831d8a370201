"""The compressed file, where gsply is at hand, and what is said where it is not."""

from __future__ import annotations

import gzip
import struct
import sys
from dataclasses import replace

import numpy as np
import pytest

from phone2sim.errors import InputError, MissingDependencyError
from phone2sim.reconstruct.splat.cloud import SplatCloud
from tests.reconstruct.splat.test_cloud import assert_same, cloud


def test_content_tells_the_format(tmp_path):
    a = cloud(20)
    a.save(tmp_path / "a.ply")
    (tmp_path / "a.ply").rename(tmp_path / "a.dat")
    assert_same(a, SplatCloud.load(tmp_path / "a.dat"))
    (tmp_path / "b.ply").write_bytes(b"hello")
    with pytest.raises(InputError, match="neither a 3DGS .ply nor a .spz"):
        SplatCloud.load(tmp_path / "b.ply")
    with pytest.raises(InputError, match=r"none\.ply cannot be read"):
        SplatCloud.load(tmp_path / "none.ply")
    with pytest.raises(InputError, match="a splat is written as .ply or .spz"):
        a.save(tmp_path / "a.ksplat")


def test_without_gsply_it_is_a_missing_dependency(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gsply", None)
    with pytest.raises(MissingDependencyError, match=r"needs gsply. pip install 'phone2sim\[spz\]'"):
        cloud(2).save(tmp_path / "a.spz")


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_round_trip_within_its_steps(tmp_path, degree):
    pytest.importorskip("gsply")
    a = cloud(300, degree=degree)
    a = replace(a, sh=np.clip(a.sh, -0.95, 0.95), means=a.means * 30)
    a.save(tmp_path / "a.spz")
    a.save(tmp_path / "a.ply")
    b = SplatCloud.load(tmp_path / "a.spz")
    assert np.abs(a.means - b.means).max() <= 0.6 / 2**16
    assert np.abs(np.log(a.scales) - np.log(b.scales)).max() <= 0.501 / 16
    assert np.abs(a.opacities - b.opacities).max() <= 0.501 / 255
    turn = 2 * np.arccos(np.clip(np.abs((a.quats_wxyz * b.quats_wxyz).sum(axis=1)), 0, 1))
    assert np.degrees(turn).max() < 0.3
    assert np.abs(a.sh[:, 0] - b.sh[:, 0]).max() <= 0.501 / (0.15 * 255) and np.abs(a.sh[:, 1:] - b.sh[:, 1:]).max(initial=0) < 0.6 / 128
    assert (tmp_path / "a.spz").stat().st_size < 0.35 * (tmp_path / "a.ply").stat().st_size
    b.save(tmp_path / "b.spz")
    again = SplatCloud.load(tmp_path / "b.spz")
    assert np.abs(again.means - b.means).max() <= 1e-6 * 30 and np.abs(again.sh - b.sh).max() < 1e-6


def test_header_and_axes_are_the_reference_format(tmp_path):
    """Read by hand: magic, version, count, degree; 24-bit positions, right-up-back; one byte of opacity."""
    pytest.importorskip("gsply")
    a = cloud(7, degree=1)
    a.save(tmp_path / "a.spz")
    raw = gzip.decompress((tmp_path / "a.spz").read_bytes())
    magic, version, n, degree, bits, _, _ = struct.unpack_from("<IIIBBBB", raw)
    assert (magic, version, n, degree, bits) == (0x5053474E, 3, 7, 1, 16)
    assert len(raw) == 16 + 7 * (9 + 1 + 3 + 3 + 4 + 9)
    digits = np.frombuffer(raw, np.uint8, 63, 16).reshape(7, 3, 3).astype(int)
    fixed = digits @ [1, 256, 65536]
    xyz = np.where(fixed >= 2**23, fixed - 2**24, fixed) / 2**bits
    assert np.allclose(xyz, a.means * [1, -1, -1], atol=1e-5)
    assert np.allclose(np.frombuffer(raw, np.uint8, 7, 79) / 255, a.opacities, atol=0.002)


def test_a_far_sky_costs_precision_not_the_sky(tmp_path):
    pytest.importorskip("gsply")
    a = cloud(10)
    means = a.means.copy()
    means[0] = [900, 0, 0]
    replace(a, means=means).save(tmp_path / "a.spz")
    b = SplatCloud.load(tmp_path / "a.spz")
    assert np.abs(b.means - means).max() < 1e-4


def test_damaged_files_say_so(tmp_path):
    pytest.importorskip("gsply")
    cloud(30).save(tmp_path / "a.spz")
    data = (tmp_path / "a.spz").read_bytes()
    for bad in (data[:-30], data[:20], gzip.compress(b"something else that is long enough")):
        (tmp_path / "b.spz").write_bytes(bad)
        with pytest.raises(InputError, match=r"b\.spz cannot be read as \.spz"):
            SplatCloud.load(tmp_path / "b.spz")
