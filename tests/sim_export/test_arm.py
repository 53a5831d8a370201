"""The built-in arm: published kinematics, shells that look whole, servos that hold."""

import mujoco
import numpy as np
import pytest

from phone2sim.errors import InputError
from phone2sim.sim_export.robots import get_robot
from phone2sim.sim_export.robots.arm import ARM, DH, FINGER_TRAVEL_M, FLANGE_M, PINCH_M


def forward_kinematics(q: np.ndarray) -> np.ndarray:
    """Pinch pose by multiplying modified DH transforms (Craig)."""
    T = np.eye(4)
    for (a, d, alpha), theta in zip(DH, q, strict=True):
        ca, sa, ct, st = np.cos(alpha), np.sin(alpha), np.cos(theta), np.sin(theta)
        T = T @ np.array(
            [[ct, -st, 0, a], [st * ca, ct * ca, -sa, -d * sa], [st * sa, ct * sa, ca, d * ca], [0, 0, 0, 1]]
        )
    c = np.cos(-np.pi / 4)
    turn = np.eye(4)
    turn[:2, :2] = [[c, c], [-c, c]]
    turn[2, 3] = FLANGE_M
    pinch = np.eye(4)
    pinch[2, 3] = PINCH_M
    return T @ turn @ pinch


def test_forward_kinematics_are_the_published_ones():
    model = ARM.build().compile()
    data = mujoco.MjData(model)
    rng = np.random.default_rng(0)
    low, high = np.array(ARM.limits_rad).T
    for _ in range(20):
        q = rng.uniform(low, high)
        data.qpos[:7] = q
        mujoco.mj_forward(model, data)
        T = forward_kinematics(q)
        np.testing.assert_allclose(data.site("pinch").xpos, T[:3, 3], atol=1e-9)
        np.testing.assert_allclose(data.site("pinch").xmat.reshape(3, 3), T[:3, :3], atol=1e-9)


def test_shells_are_closed_few_and_on_their_bodies():
    parts = ARM.render_parts()
    bodies = {b.name for b in ARM.build().bodies}
    assert sum(len(p.mesh.faces) for p in parts) < 8000
    for p in parts:
        solid = p.mesh.welded()
        assert p.body in bodies
        assert solid.is_watertight and solid.volume > 0, p.name
    assert len({p.name for p in parts}) == len(parts)


def test_visual_model_compiles_and_weighs_the_same():
    plain, visual = ARM.build().compile(), ARM.build(visual=True).compile()
    np.testing.assert_allclose(plain.body_mass, visual.body_mass)
    assert 15 < plain.body_mass.sum() < 22


def test_servos_hold_against_gravity_and_follow_a_step():
    model = ARM.build().compile()
    data = mujoco.MjData(model)
    data.qpos[:7] = ARM.home_rad
    data.ctrl[:7] = ARM.home_rad
    mujoco.mj_step(model, data, 500)
    np.testing.assert_allclose(data.qpos[:7], ARM.home_rad, atol=1e-3)
    data.ctrl[:7] += 0.1
    top = np.zeros(7)
    for _ in range(500):
        mujoco.mj_step(model, data)
        top = np.maximum(top, data.qpos[:7] - ARM.home_rad)
    np.testing.assert_allclose(data.qpos[:7], np.array(ARM.home_rad) + 0.1, atol=2e-3)
    assert top.max() < 0.125


def test_gripper_opens_to_its_stroke_and_stays_symmetric():
    model = ARM.build().compile()
    data = mujoco.MjData(model)
    data.qpos[:7] = data.ctrl[:7] = ARM.home_rad
    data.ctrl[7] = FINGER_TRAVEL_M
    mujoco.mj_step(model, data, 750)
    left, right = data.joint("left_finger").qpos[0], data.joint("right_finger").qpos[0]
    assert left + right == pytest.approx(ARM.opening_m, abs=2e-3)
    assert left == pytest.approx(right, abs=5e-4)


def test_unknown_robot_names_the_known_ones():
    with pytest.raises(InputError, match="No robot 'p2s_arn'; have p2s_arm. Did you mean p2s_arm?"):
        get_robot("p2s_arn")
