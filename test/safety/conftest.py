"""A robot so simple that its distances, places and speeds can be worked out by hand."""

from __future__ import annotations

import pytest

from ppo_robot.spec.robot import JointSpec, RobotSpec, WorkspaceSpec

RAIL_ROBOT = """
<robot name="rail">
  <link name="floor"/>
  <link name="plinth"/>
  <link name="base"><collision><geometry><sphere radius="0.0625"/></geometry></collision></link>
  <link name="carriage"><collision><geometry><sphere radius="0.0625"/></geometry></collision></link>
  <link name="boom"/>
  <link name="hand"><collision><origin xyz="0.25 0 0"/><geometry><sphere radius="0.03125"/></geometry></collision>
  </link>
  <link name="tool"/>
  <joint name="base" type="fixed"><parent link="floor"/><child link="plinth"/><origin xyz="0.5 0 0.25"/></joint>
  <joint name="tool" type="fixed"><parent link="plinth"/><child link="base"/><origin xyz="-0.25 0 0.25"/></joint>
  <joint name="rail" type="prismatic"><parent link="base"/><child link="carriage"/><axis xyz="1 0 0"/>
    <limit lower="-1" upper="1" velocity="1" effort="50"/></joint>
  <joint name="boom" type="prismatic"><parent link="carriage"/><child link="boom"/><axis xyz="1 0 0"/>
    <limit lower="-1" upper="1" velocity="1" effort="50"/></joint>
  <joint name="swing" type="revolute"><parent link="boom"/><child link="hand"/><axis xyz="0 0 1"/>
    <limit lower="-3" upper="3" velocity="2" effort="20"/></joint>
  <joint name="fix_tool" type="fixed"><parent link="hand"/><child link="tool"/><origin xyz="0.25 0 0"/></joint>
</robot>
"""


@pytest.fixture(scope="session")
def rail_robot() -> RobotSpec:
    """Return a robot of two rails along x, one upon the other, and a hand of 0.25 m that swings about z.

    Joints in the order swing, rail, boom, which is not the order of the chain. Between base and carriage are |rail| -
    1/8 m; the tool is at rail + boom + cos(swing) / 4, sin(swing) / 4, 0 m in the base frame. Some
    joints have the names of other links, as URDF allows.
    """
    limits = {"acceleration_limit": 10.0, "jerk_limit": 100.0}
    return RobotSpec(
        name="rail",
        base_link="base",
        tool_frame="tool",
        joints=(
            JointSpec("swing", -3.0, 3.0, 2.0, 20.0, **limits),
            JointSpec("rail", -1.0, 1.0, 1.0, 50.0, **limits),
            JointSpec("boom", -1.0, 1.0, 1.0, 50.0, **limits),
        ),
        workspace=WorkspaceSpec((0.0, 0.0, 0.0), (0.1, 1.0), (-1.0, 1.0), (-1.0, 1.0)),
        description=RAIL_ROBOT,
        urdf="rail.urdf",
        self_collision_pairs=(("base", "hand"), ("base", "carriage")),
    )
