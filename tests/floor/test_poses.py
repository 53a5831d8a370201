"""SE(3) is a group, and quaternions and matrices say the same thing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from phone2sim.errors import ShapeError
from phone2sim.poses import Pose, look_at, matrix_to_quat, quat_multiply, quat_to_matrix

batches = hnp.array_shapes(min_dims=0, max_dims=2, max_side=4)
small = st.floats(-10, 10, allow_nan=False)


@st.composite
def poses(draw: st.DrawFn, batch: tuple[int, ...] | None = None) -> Pose:
    shape = draw(batches) if batch is None else batch
    q = draw(
        hnp.arrays(np.float64, (*shape, 4), elements=st.floats(-1, 1)).filter(
            lambda a: (np.linalg.norm(a, axis=-1) > 0.1).all()
        )
    )
    return Pose(draw(hnp.arrays(np.float64, (*shape, 3), elements=small)), q)


def same(a: Pose, b: Pose) -> None:
    np.testing.assert_allclose(a.matrix, b.matrix, atol=1e-9)


@given(st.data(), batches)
def test_group(data: st.DataObject, batch: tuple[int, ...]) -> None:
    a, b, c = (data.draw(poses(batch)) for _ in range(3))
    same((a @ b) @ c, a @ (b @ c))
    same(a @ Pose.identity(*batch), a)
    same(Pose.identity(*batch) @ a, a)
    same(a @ a.inverse(), Pose.identity(*batch))
    same(a.inverse().inverse(), a)
    same((a @ b).inverse(), b.inverse() @ a.inverse())


@given(poses())
def test_matrix_round_trip(pose: Pose) -> None:
    again = Pose.from_matrix(pose.matrix)
    same(again, pose)
    np.testing.assert_allclose(
        pose.rotation @ np.swapaxes(pose.rotation, -1, -2), np.broadcast_to(np.eye(3), pose.rotation.shape), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(pose.rotation), 1, atol=1e-12)
    assert (pose.quat_wxyz[..., 0] >= 0).all()


@given(poses())
def test_json_round_trip(pose: Pose) -> None:
    same(Pose.from_json(pose.to_json()), pose)


@given(poses(()), poses(()), hnp.arrays(np.float64, (5, 3), elements=small))
def test_apply_is_composition(a: Pose, b: Pose, points: np.ndarray) -> None:
    np.testing.assert_allclose((a @ b).apply(points), a.apply(b.apply(points)), atol=1e-9)
    np.testing.assert_allclose(a.inverse().apply(a.apply(points)), points, atol=1e-9)


@given(poses(()), poses(()))
def test_quaternion_product_is_matrix_product(a: Pose, b: Pose) -> None:
    product = quat_to_matrix(quat_multiply(a.quat_wxyz, b.quat_wxyz))
    np.testing.assert_allclose(product, a.rotation @ b.rotation, atol=1e-12)


@pytest.mark.parametrize("axis", range(3))
def test_half_turns(axis: int) -> None:
    """The angle at which naive conversions divide by zero."""
    m = -np.eye(3)
    m[axis, axis] = 1
    np.testing.assert_allclose(quat_to_matrix(matrix_to_quat(m)), m, atol=1e-12)


@given(hnp.arrays(np.float64, 3, elements=st.floats(-3, 3)), hnp.arrays(np.float64, 3, elements=st.floats(-3, 3)))
def test_look_at_sees_its_target_ahead(eye: np.ndarray, target: np.ndarray) -> None:
    distance = np.linalg.norm(target - eye)
    if distance < 1e-3:
        return
    T_world_camera = look_at(eye, target)
    np.testing.assert_allclose(T_world_camera.inverse().apply(target[None])[0], [0, 0, distance], atol=1e-6)


def test_values_are_frozen() -> None:
    pose = Pose.identity()
    with pytest.raises(ValueError, match="read-only"):
        pose.translation[0] = 1


@pytest.mark.parametrize(
    ("t", "q", "text"),
    [
        (np.zeros(2), np.ones(4), "Pose: expected translation (..., 3) and quat_wxyz (..., 4), got (2,) and (4,)."),
        (
            np.zeros((2, 3)),
            np.ones((3, 4)),
            "Pose: expected translation (..., 3) and quat_wxyz (..., 4), got (2, 3) and (3, 4).",
        ),
        (np.zeros(3), np.zeros(4), "Pose: translation must be finite and the quaternion non-zero."),
        (np.full(3, np.nan), np.ones(4), "Pose: translation must be finite and the quaternion non-zero."),
    ],
)
def test_bad_values_are_named(t: np.ndarray, q: np.ndarray, text: str) -> None:
    with pytest.raises(ShapeError) as e:
        Pose(t, q)
    assert e.value.message == text
