"""Tests for ppo_robot.spec.robot: what a robot file may say of its URDF, and what it is refused for."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppo_robot.errors import SpecError
from ppo_robot.kinematics import RobotModel
from ppo_robot.spec.robot import JointSpec, find_config, hash_description, load_robot, resolve_urdf, robot_from_mapping
from ppo_robot.spec.strict import build, plain, read_yaml

URDF = """<?xml version="1.0"?>
<robot name="two">
  <link name="base"/> <link name="upper"/> <link name="lower"/> <link name="tool"/> <link name="wheel"/>
  <joint name="a" type="revolute"><parent link="base"/><child link="upper"/><axis xyz="0 1 0"/>
    <limit lower="-1" upper="2" velocity="3" effort="4"/></joint>
  <joint name="b" type="prismatic"><parent link="upper"/><child link="lower"/><origin xyz="0 0 1"/>
    <axis xyz="0 0 1"/><limit lower="0" upper="0.5" velocity="1" effort="10"/></joint>
  <joint name="turn" type="continuous"><parent link="lower"/><child link="wheel"/><axis xyz="0 0 1"/></joint>
  <joint name="end" type="fixed"><parent link="wheel"/><child link="tool"/><origin xyz="0.2 0 0"/></joint>
</robot>
"""

JOINT = {"acceleration_limit": 10.0, "jerk_limit": 100.0}


def write(folder: Path, description: str = URDF, **changes: Any) -> dict[str, Any]:
    (folder / "two.urdf").write_text(description)
    return {
        "name": "two",
        "urdf": "two.urdf",
        "base_link": "base",
        "tool_frame": "tool",
        "joints": {"a": dict(JOINT), "b": dict(JOINT)},
        "workspace": {"centre": [0, 0, 0], "radius": [0.1, 1.5], "azimuth": [-1, 1], "height": [0, 1]},
        **changes,
    }


def test_limits_are_the_urdfs_or_tighter(tmp_path: Path) -> None:
    joints = {"b": {**JOINT, "position_lower": 0.1, "velocity_limit": 0.5, "default_position": 0.2}, "a": dict(JOINT)}
    robot = robot_from_mapping(write(tmp_path, joints=joints), str(tmp_path / "two.yaml"))
    assert robot.joint_names == ("b", "a")
    assert robot.joints[0] == JointSpec("b", 0.1, 0.5, 0.5, 10.0, 10.0, 100.0, 0.2)
    assert robot.joints[1] == JointSpec("a", -1.0, 2.0, 3.0, 4.0, 10.0, 100.0, 0.0)
    assert robot.description == URDF
    assert robot.urdf_path == tmp_path / "two.urdf"


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("no such joint", {"joints": {"aa": JOINT}}, "joints.aa: no such joint in two.urdf; did you mean 'a'?"),
    ("fixed joint", {"joints": {"end": JOINT}}, "joints.end: is 'fixed' in two.urdf; expected revolute or prismatic"),
    ("continuous joint", {"joints": {"turn": JOINT}}, "joints.turn: is 'continuous' in two.urdf; expected revolute or"),
    ("no joint at all", {"joints": {}}, "joints: given none; expected at least one controlled joint"),
    ("upper loosened", {"joints": {"a": {**JOINT, "position_upper": 2.1}}}, "a.position_upper: given 2.1; two.urdf al"),
    ("lower loosened", {"joints": {"a": {**JOINT, "position_lower": -1.1}}}, "a.position_lower: given -1.1; two.urdf"),
    ("velocity loosened", {"joints": {"a": {**JOINT, "velocity_limit": 3.1}}}, "a.velocity_limit: given 3.1; two.urdf"),
    ("effort loosened", {"joints": {"a": {**JOINT, "effort_limit": 5}}}, "a.effort_limit: given 5.0; two.urdf allows"),
    ("default outside", {"joints": {"a": {**JOINT, "default_position": 3}}}, "joint a: default_position 3.0 is outsid"),
    ("empty range", {"joints": {"a": {**JOINT, "position_lower": 2}}}, "joint a: position_lower 2.0 is not below posi"),
    ("acceleration missing", {"joints": {"a": {"jerk_limit": 1}}}, "joints.a.acceleration_limit: missing"),
    ("tool frame", {"tool_frame": "tol"}, "tool_frame: no link 'tol' in two.urdf; did you mean 'tool'?"),
    ("base link", {"base_link": "bas"}, "base_link: no link 'bas' in two.urdf; did you mean 'base'?"),
    ("pair", {"self_collision_pairs": [["base", "tol"]]}, "self_collision_pairs[0][1]: no link 'tol' in two.urdf; did"),
    ("pair with itself", {"self_collision_pairs": [["base", "base"]]}, "self_collision_pairs[0]: given 'base' twice"),
    ("locked unknown", {"locked_joints": {"trun": 0}}, "locked_joints.trun: no such joint in two.urdf; did you mean '"),
    ("locked and controlled", {"locked_joints": {"a": 0}}, "locked_joints.a: is a controlled joint too"),
    ("missing file", {"urdf": "three.urdf"}, "urdf: no such file"),
    ("folder", {"urdf": "."}, "cannot be read as a URDF"),
    ("scheme", {"urdf": "http://x/y.urdf"}, "urdf: given 'http://x/y.urdf'; expected package://ppo_robot/"),
    ("package", {"urdf": "package://other/y.urdf"}, "urdf: given 'package://other/y.urdf'; expected package://ppo_rob"),
    ("interface", {"control_interface": "psition"}, "control_interface: given 'psition' (text); expected one of posit"),
    ("workspace", {"workspace": {"centre": [0, 0, 0], "radius": [1, 1], "azimuth": [-1, 1], "height": [0, 1]}}, "radi"),
    ("workspace key", {"workspace": {"center": [0, 0, 0]}}, "workspace.center: unknown key; did you mean 'centre'?"),
]


@pytest.mark.parametrize(("changes", "message"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_wrong_robot_file_is_one_line(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        robot_from_mapping(write(tmp_path, **changes), str(tmp_path / "two.yaml"))
    assert message in str(caught.value)
    assert str(tmp_path / "two.yaml") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("</robot>", "", "cannot be read as a URDF"),
        ('<?xml version="1.0"?>', "not XML", "cannot be read as a URDF"),
        ('lower="-1"', 'lower="${pi}"', "joints.a: limit lower='${pi}' in two.urdf is not a number"),
        ('lower="-1"', "", "joints.a.position_lower: two.urdf has no limit 'lower' for it; give position_lower here"),
        ('lower="-1"', 'lower="nan"', "joints.a: position_lower: given nan (number); expected a finite number"),
        ('velocity="3"', 'velocity="0"', "joints.a: velocity_limit: given 0.0; expected a value > 0"),
        ('name="base"', 'name="root"', "base_link: no link 'base' in two.urdf"),
    ],
)
def test_a_wrong_urdf_is_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        robot_from_mapping(write(tmp_path, URDF.replace(old, new)), str(tmp_path / "two.yaml"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_frame_that_a_controlled_joint_moves_wrongly_is_refused(tmp_path: Path) -> None:
    source = str(tmp_path / "two.yaml")
    with pytest.raises(SpecError, match="base_link 'upper' is moved by a controlled joint"):
        RobotModel(robot_from_mapping(write(tmp_path, base_link="upper"), source))
    with pytest.raises(SpecError, match="tool_frame 'base' is moved by no controlled joint"):
        RobotModel(robot_from_mapping(write(tmp_path, tool_frame="base"), source))


def test_a_locked_continuous_joint_is_where_it_is_locked(tmp_path: Path) -> None:
    model = RobotModel(robot_from_mapping(write(tmp_path, locked_joints={"turn": 0.5}), str(tmp_path / "two.yaml")))
    expected = [[0.2 * np.cos(0.5), 0.2 * np.sin(0.5), 1.25]]
    assert model.tool_position(np.array([[0.0, 0.25]])) == pytest.approx(np.array(expected), abs=1e-12)


def test_a_joint_may_have_the_name_of_another_link(tmp_path: Path) -> None:
    urdf = URDF.replace('joint name="a"', 'joint name="tool"')
    data = write(tmp_path, urdf, joints={"tool": dict(JOINT), "b": dict(JOINT)})
    model = RobotModel(robot_from_mapping(data, str(tmp_path / "two.yaml")))
    assert model.tool_position(np.array([[0.0, 0.0]])) == pytest.approx(np.array([[0.2, 0.0, 1.0]]), abs=1e-12)


def test_the_hash_sees_what_the_robot_is_and_not_how_it_is_written() -> None:
    written = URDF.replace("<limit", "<!-- hard stops -->\n   <limit").replace(
        'lower="-1" upper="2"', 'upper="2"   lower="-1"'
    )
    assert written != URDF
    assert hash_description(written) == hash_description(URDF)
    assert hash_description(URDF.replace('upper="2"', 'upper="2.0001"')) != hash_description(URDF)
    with pytest.raises(SpecError, match="not valid XML"):
        hash_description("<robot>")


def test_where_the_urdf_was_found_is_no_part_of_what_a_robot_is() -> None:
    robot = load_robot("arm6")
    moved = dataclasses.replace(robot, urdf_directory="/elsewhere")
    assert moved == robot
    assert dataclasses.replace(robot, description=robot.description + " ") != robot
    assert build(type(robot), plain(robot), "x") == robot


def test_pybullet_data_is_only_needed_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pybullet_data", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    load_robot("arm6")
    with pytest.raises(SpecError, match=r"install ppo_robot\[train\]"):
        resolve_urdf("pybullet_data://franka_panda/panda.urdf", "x.yaml")


def test_a_path_is_relative_to_the_file_that_names_it(tmp_path: Path) -> None:
    assert resolve_urdf("a/b.urdf", str(tmp_path / "r.yaml")) == tmp_path / "a" / "b.urdf"
    assert resolve_urdf("/a/b.urdf", "r.yaml") == Path("/a/b.urdf")
    assert find_config("robots", "some/robot") == Path("some/robot")
    assert read_yaml(find_config("robots", "arm6"))["name"] == "arm6"
