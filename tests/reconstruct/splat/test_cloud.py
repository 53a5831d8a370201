"""`SplatCloud`: how it turns, and the files it is kept in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phone2sim.errors import InputError
from phone2sim.libraries import load_open3d
from phone2sim.poses import Pose, look_at
from phone2sim.reconstruct.ply import read_ply, write_ply
from phone2sim.reconstruct.points import read_points_ply
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.reconstruct.splat.harmonics import rotate_sh, sh_basis
from phone2sim.reconstruct.splat.rasterize import rasterize

K = np.array([[70.0, 0, 32], [0, 70.0, 24], [0, 0, 1]])


def cloud(n: int = 200, degree: int = 3, seed: int = 0) -> SplatCloud:
    rng = np.random.default_rng(seed)
    sh = 0.15 * rng.normal(size=(n, (degree + 1) ** 2, 3))
    sh[:, 0] = rng.uniform(-0.8, 1.2, (n, 3))
    q = rng.normal(size=(n, 4))
    return SplatCloud(
        means=rng.uniform(-0.5, 0.5, (n, 3)), quats_wxyz=q / np.linalg.norm(q, axis=1, keepdims=True),
        scales=rng.uniform(0.02, 0.09, (n, 3)), opacities=rng.uniform(0.2, 0.98, n), sh=sh,
    )  # fmt: skip


def pose(seed: int) -> Pose:
    rng = np.random.default_rng(seed)
    return Pose(rng.normal(size=3), rng.normal(size=4))


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_moving_cloud_and_camera_leaves_the_picture(degree):
    a, move = cloud(degree=degree), pose(3)
    T = look_at(np.array([0.3, 1.0, 1.4]), np.zeros(3)).inverse().matrix
    here = rasterize(a, K=K, T_camera_world=T, width=64, height=48)
    there = rasterize(a.moved(move), K=K, T_camera_world=T @ move.inverse().matrix, width=64, height=48)
    assert np.abs(here.rgb - there.rgb).max() < 5e-3 and np.abs(here.alpha - there.alpha).max() < 5e-3
    unturned = SplatCloud(**{**vars(a.moved(move)), "sh": a.sh})
    if degree:
        wrong = rasterize(unturned, K=K, T_camera_world=T @ move.inverse().matrix, width=64, height=48)
        assert np.abs(here.rgb - wrong.rgb).max() > 0.05


def test_scaled_cloud_seen_from_further_away_is_the_same_picture():
    a, move = cloud(), pose(5)
    T = look_at(np.array([0.3, 1.0, 1.4]), np.zeros(3)).matrix
    far = T.copy()
    far[:3, 3] *= 2.5
    here = rasterize(a, K=K, T_camera_world=np.linalg.inv(T), width=64, height=48)
    there = rasterize(a.transformed(2.5, move), K=K, T_camera_world=np.linalg.inv(move.matrix @ far), width=64, height=48)
    assert np.abs(here.rgb - there.rgb).max() < 5e-3
    assert np.abs(2.5 * here.depth_median - there.depth_median).mean() < 5e-3


@given(st.integers(0, 10_000), st.integers(0, 3))
def test_rotation_of_harmonics_is_exact(seed, degree):
    rng = np.random.default_rng(seed)
    sh, R = rng.normal(size=(5, (degree + 1) ** 2, 3)), pose(seed).rotation
    d = rng.normal(size=(40, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    turned = np.einsum("dk,nkc->ndc", sh_basis(d, degree), rotate_sh(sh, R))
    assert np.allclose(turned, np.einsum("dk,nkc->ndc", sh_basis(d @ R, degree), sh), atol=1e-12)


@given(st.integers(0, 10_000))
def test_rotations_of_harmonics_compose(seed):
    sh = np.random.default_rng(seed).normal(size=(4, 16, 3))
    a, b = pose(seed), pose(seed + 1)
    assert np.allclose(rotate_sh(rotate_sh(sh, b.rotation), a.rotation), rotate_sh(sh, (a @ b).rotation), atol=1e-11)
    assert np.allclose(rotate_sh(rotate_sh(sh, a.rotation), a.inverse().rotation), sh, atol=1e-11)
    assert np.allclose((rotate_sh(sh, a.rotation)[:, 1:] ** 2).sum(), (sh[:, 1:] ** 2).sum())


@given(st.integers(0, 10_000), st.integers(0, 3))
def test_basis_is_orthonormal_over_the_sphere(seed, degree):
    z, w = np.polynomial.legendre.leggauss(8)
    a = np.arange(16) * np.pi / 8 + seed
    zz, aa = np.repeat(z, 16), np.tile(a, 8)
    r = np.sqrt(1 - zz**2)
    B = sh_basis(np.stack([r * np.cos(aa), r * np.sin(aa), zz], axis=1), degree)
    assert np.allclose((B * (np.repeat(w, 16) * np.pi / 8)[:, None]).T @ B, np.eye(B.shape[1]), atol=1e-12)


def assert_same(a: SplatCloud, b: SplatCloud, tolerance: float = 1e-5) -> None:
    for field in ("means", "quats_wxyz", "scales", "opacities", "sh"):
        assert np.allclose(getattr(a, field), getattr(b, field), rtol=1e-4, atol=tolerance), field


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_ply_round_trip(tmp_path, degree):
    a = cloud(degree=degree)
    a.save_ply(tmp_path / "a.ply")
    b = SplatCloud.load_ply(tmp_path / "a.ply")
    assert_same(a, b)
    b.save_ply(tmp_path / "b.ply")
    assert np.array_equal(b.means, SplatCloud.load_ply(tmp_path / "b.ply").means)


def test_empty_cloud_round_trip(tmp_path):
    cloud(1).take(np.zeros(1, bool)).save_ply(tmp_path / "a.ply")
    assert len(SplatCloud.load_ply(tmp_path / "a.ply")) == 0


def test_columns_of_other_software(tmp_path):
    """Another order, no normals, extra columns, double precision, big endian and text: the same cloud."""
    a = cloud(50)
    a.save_ply(tmp_path / "a.ply")
    rows = read_ply(tmp_path / "a.ply")
    names = [n for n in reversed(rows.dtype.names) if n not in ("nx", "ny", "nz")]
    other = np.empty(len(rows), [("id", "i4"), *((n, "f8") for n in names), ("red", "u1")])
    other["id"], other["red"] = np.arange(50), 7
    for n in names:
        other[n] = rows[n]
    write_ply(tmp_path / "b.ply", other, comments=("made elsewhere",))
    assert_same(a, SplatCloud.load_ply(tmp_path / "b.ply"))

    data = (tmp_path / "b.ply").read_bytes()
    header, _, body = data.partition(b"end_header\n")
    (tmp_path / "big.ply").write_bytes(
        header.replace(b"little", b"big") + b"end_header\n" + np.frombuffer(body, other.dtype).astype(other.dtype.newbyteorder(">")).tobytes()
    )
    assert_same(a, SplatCloud.load_ply(tmp_path / "big.ply"))
    text = "\n".join(" ".join(repr(v) for v in row.tolist()) for row in other)
    (tmp_path / "text.ply").write_bytes(header.replace(b"binary_little_endian", b"ascii") + b"end_header\n" + text.encode())
    assert_same(a, SplatCloud.load_ply(tmp_path / "text.ply"))


def test_scaled_quaternions_are_normalised(tmp_path):
    a = cloud(20)
    a.save_ply(tmp_path / "a.ply")
    rows = read_ply(tmp_path / "a.ply")
    for i in range(4):
        rows[f"rot_{i}"] *= 3
        rows[f"rot_{i}"][0] = 0
    write_ply(tmp_path / "b.ply", rows)
    b = SplatCloud.load_ply(tmp_path / "b.ply")
    assert np.allclose(b.quats_wxyz[1:], a.quats_wxyz[1:], atol=1e-6) and np.array_equal(b.quats_wxyz[0], [1, 0, 0, 0])


def test_damaged_files_say_what_is_wrong(tmp_path):
    path = tmp_path / "a.ply"
    cloud(30, degree=1).save_ply(path)
    data, rows = path.read_bytes(), read_ply(path)

    def fails(content: bytes, match: str, read=SplatCloud.load_ply) -> None:
        (tmp_path / "b.ply").write_bytes(content)
        with pytest.raises(InputError, match=match):
            read(tmp_path / "b.ply")

    fails(data[:-5], "cut short: its header promises 30 vertices, 29 are there")
    fails(data[:60], "is not a PLY file")
    fails(b"hello", "is not a PLY file")
    fails(data.replace(b"binary_little_endian", b"binary_odd_endian"), "unknown PLY format")
    fails(data.replace(b"element vertex", b"element points"), "no vertex element")
    fails(data.replace(b"property float x", b"property quad x"), "'property quad x' is not understood")
    fails(data.replace(b"element vertex 30", b"element vertex many"), "is not understood")
    fails(data.replace(b"float opacity", b"float opaquity"), "lacks the vertex properties opacity; it has x, y")
    fails(data.replace(b"f_rest_8", b"f_more_8"), "has 8 f_rest columns")
    fails(b"ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\nend_header\n1 2 3\n", "1 are there", read_points_ply)
    fails(b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\nend_header\n1 2 a\n", "not made of numbers", read_points_ply)
    rows["scale_1"][4] = np.nan
    write_ply(path, rows)
    with pytest.raises(InputError, match="the scales of 1 Gaussians are not finite"):
        SplatCloud.load_ply(path)
    with pytest.raises(InputError, match=r"none\.ply does not exist"):
        SplatCloud.load_ply(tmp_path / "none.ply")


def test_third_parties_open_our_file(tmp_path):
    open3d = load_open3d()
    a = cloud(40)
    a.save_ply(tmp_path / "a.ply")
    vertex = open3d.t.io.read_point_cloud(str(tmp_path / "a.ply")).point
    assert np.allclose(vertex.positions.numpy(), a.means)
    import trimesh

    raw = trimesh.load(tmp_path / "a.ply").metadata["_ply_raw"]["vertex"]["data"]
    assert np.allclose(raw["scale_2"].ravel(), np.log(a.scales[:, 2]), atol=1e-6)
    assert np.allclose(raw["f_rest_14"].ravel(), a.sh[:, 15, 0]) and np.allclose(raw["f_rest_15"].ravel(), a.sh[:, 1, 1])
    assert np.allclose(raw["rot_0"].ravel(), a.quats_wxyz[:, 0])
