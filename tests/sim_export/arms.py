"""Robot files that tests write: a 6-joint arm with a parallel gripper as MJCF, driven by torque; the same bare, as URDF."""

from __future__ import annotations

from pathlib import Path

# (joint, height of its frame above the last [m], axis)
CHAIN = (("yaw", 0.12, "0 0 1"), ("shoulder", 0.2, "0 1 0"), ("elbow", 0.34, "0 1 0"), ("twist", 0.16, "0 0 1"),
         ("bend", 0.16, "0 1 0"), ("turn", 0.08, "0 0 1"))  # fmt: skip

FINGERS = """
<body name="left" pos="0 0 0.06">
  <joint name="left" type="slide" axis="0 1 0" range="0 0.04" damping="20" armature="0.2"/>
  <geom type="box" size="0.009 0.005 0.035" pos="0 0.005 0.035" mass="0.04" friction="1 0.02 0.001" condim="4"/>
</body>
<body name="right" pos="0 0 0.06">
  <joint name="right" type="slide" axis="0 -1 0" range="0 0.04" damping="20" armature="0.2"/>
  <geom type="box" size="0.009 0.005 0.035" pos="0 -0.005 0.035" mass="0.04" friction="1 0.02 0.001" condim="4"/>
</body>
"""
HAND = '<geom type="box" size="0.03 0.07 0.025" pos="0 0 0.03" mass="0.4" rgba="0.8 0.2 0.2 1"/>'
DRIVES = """
<position name="grip_left" joint="left" kp="1500" kv="60" ctrlrange="0 0.04" forcerange="-40 40"/>
<position name="grip_right" joint="right" kp="1500" kv="60" ctrlrange="0 0.04" forcerange="-40 40"/>
"""


def write_arm(folder: Path, *, gripper: bool = True, name: str = "arm") -> Path:
    """The arm as MJCF, with the gripper or bare; it stands on a floor of its own, which an episode does not want."""
    inner = f'<body name="hand" pos="0 0 0.05">{HAND}{FINGERS if gripper else ""}</body>'
    for i, (joint, height, axis) in reversed(list(enumerate(CHAIN))):
        above = CHAIN[i + 1][1] if i + 1 < len(CHAIN) else 0.05
        link = f'<geom type="capsule" fromto="0 0 0.02 0 0 {above - 0.02}" size="0.04" mass="1.5"/>'
        limit = 2.9 if axis == "0 0 1" else 2.3
        hinge = f'<joint name="{joint}" axis="{axis}" range="-{limit} {limit}" damping="0.5"/>'
        inner = f'<body name="{joint}_link" pos="0 0 {height}">{hinge}{link}{inner}</body>'
    motors = "".join(f'<motor name="m_{j}" joint="{j}" ctrlrange="-60 60"/>' for j, _, _ in CHAIN)
    text = f"""<mujoco model="test arm"><compiler angle="radian"/>
<worldbody><light pos="0 0 3"/><geom name="floor" type="plane" size="2 2 0.1"/>
<body name="base"><geom type="cylinder" size="0.08 0.05" pos="0 0 0.05" mass="4"/>{inner}</body></worldbody>
<actuator>{motors}{DRIVES if gripper else ""}</actuator></mujoco>"""
    path = folder / f"{name}.xml"
    path.write_text(text)
    return path


def write_gripper(folder: Path) -> Path:
    """The gripper alone."""
    path = folder / "gripper.xml"
    path.write_text(
        f'<mujoco><compiler angle="radian"/><worldbody><body name="palm">{HAND}{FINGERS}</body></worldbody>'
        f"<actuator>{DRIVES}</actuator></mujoco>"
    )
    return path


def write_urdf(folder: Path) -> Path:
    """The bare arm as URDF."""
    links = ['<link name="base_link"/>']
    joints = []
    parent = "base_link"
    for i, (joint, height, axis) in enumerate(CHAIN):
        above = CHAIN[i + 1][1] if i + 1 < len(CHAIN) else 0.1
        solid = f'<origin xyz="0 0 {above / 2}"/><geometry><cylinder radius="0.03" length="{0.8 * above}"/></geometry>'
        links.append(
            f'<link name="{joint}_link"><inertial><origin xyz="0 0 {above / 2}"/><mass value="1.5"/>'
            '<inertia ixx="0.01" iyy="0.01" izz="0.005" ixy="0" ixz="0" iyz="0"/></inertial>'
            f"<visual>{solid}</visual><collision>{solid}</collision></link>"
        )
        limit = 2.9 if axis == "0 0 1" else 2.3
        joints.append(
            f'<joint name="{joint}" type="revolute"><parent link="{parent}"/><child link="{joint}_link"/>'
            f'<origin xyz="0 0 {height}"/><axis xyz="{axis}"/>'
            f'<limit lower="-{limit}" upper="{limit}" effort="60" velocity="3"/></joint>'
        )
        parent = f"{joint}_link"
    path = folder / "arm.urdf"
    path.write_text(f'<robot name="bare">{"".join(links + joints)}</robot>')
    return path
