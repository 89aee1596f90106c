"""Robots small enough for a formula: one or two joints, primitives only."""

from __future__ import annotations

from pathlib import Path

from ppo_robot.kinematics import RobotModel
from ppo_robot.spec.robot import robot_from_mapping

BALL_OVER_GROUND = """
<robot name="ball">
  <link name="ground">
    <inertial><mass value="50"/><inertia ixx="1" ixy="0" ixz="0" iyy="1" iyz="0" izz="1"/></inertial>
    <collision><origin xyz="0 0 -0.5"/><geometry><box size="10 10 1"/></geometry></collision>
  </link>
  <joint name="along" type="prismatic">
    <parent link="ground"/><child link="carriage"/><axis xyz="1 0 0"/>
    <limit lower="-4" upper="4" velocity="50" effort="1000"/>
  </joint>
  <link name="carriage">
    <inertial><mass value="0.001"/><inertia ixx="1e-6" ixy="0" ixz="0" iyy="1e-6" iyz="0" izz="1e-6"/></inertial>
  </link>
  <joint name="up" type="prismatic">
    <parent link="carriage"/><child link="block"/><axis xyz="0 0 1"/>
    <limit lower="-0.5" upper="3" velocity="50" effort="1000"/>
  </joint>
  <link name="block">
    <inertial><mass value="2"/><inertia ixx="0.1" ixy="0" ixz="0" iyy="0.1" iyz="0" izz="0.1"/></inertial>
    <collision><origin xyz="0 0 0.1"/><geometry><box size="0.2 0.2 0.2"/></geometry></collision>
  </link>
</robot>
"""
"""A block of 2 kg that slides along x and z and touches the ground where both joints are at 0."""

PENDULUM = """
<robot name="pendulum">
  <link name="stand">
    <inertial><mass value="1"/><inertia ixx="1" ixy="0" ixz="0" iyy="1" iyz="0" izz="1"/></inertial>
  </link>
  <joint name="swing" type="revolute">
    <parent link="stand"/><child link="rod"/><axis xyz="0 1 0"/>
    <limit lower="-3" upper="3" velocity="50" effort="10"/>
    <dynamics damping="0.2" friction="0.5"/>
  </joint>
  <link name="rod">
    <inertial>
      <origin xyz="0 0 -0.5"/><mass value="2"/>
      <inertia ixx="0.06" ixy="0" ixz="0" iyy="0.06" iyz="0" izz="0.01"/>
    </inertial>
    <collision><origin xyz="0 0 -0.3"/><geometry><box size="0.02 0.02 0.1"/></geometry></collision>
  </link>
</robot>
"""
"""2 kg half a metre below the joint, 0.56 kg·m² about it; damping 0.2 N·m·s/rad, dry friction 0.5 N·m."""


def small_robot(folder: Path, urdf: str, joints: tuple[str, ...], tool: str, pairs: tuple[str, ...] = ()) -> RobotModel:
    """Return the model of a URDF; `pairs` are two links that can touch, or none."""
    base = urdf.partition('link name="')[2].partition('"')[0]
    path = folder / "robot.urdf"
    path.write_text(urdf, encoding="utf-8")
    data = {
        "name": "small",
        "urdf": str(path),
        "base_link": base,
        "tool_frame": tool,
        "joints": {name: {"acceleration_limit": 1e3, "jerk_limit": 1e5} for name in joints},
        "workspace": {"centre": [0, 0, 0], "radius": [0.0, 1.0], "azimuth": [-1.0, 1.0], "height": [0.0, 1.0]},
        "self_collision_pairs": [list(pairs)] if pairs else [],
    }
    return RobotModel(robot_from_mapping(data, "small.yaml"))
