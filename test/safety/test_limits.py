"""Tests for ppo_robot.safety.limits: a deployment may tighten what the bundle says, never loosen it."""

from __future__ import annotations

import math

import pytest

from ppo_robot.errors import SpecError
from ppo_robot.safety.limits import make_limits
from ppo_robot.spec.robot import RobotSpec, load_robot
from ppo_robot.spec.safety import JointTightening, SafetySpec


@pytest.fixture(scope="session")
def robot() -> RobotSpec:
    return load_robot("arm6")


def test_by_default_they_are_the_robots_with_the_margin(robot: RobotSpec) -> None:
    limits = make_limits(robot, SafetySpec(position_margin=0.05))
    assert limits.joint_names == robot.joint_names
    for joint, row in zip(robot.joints, range(limits.joints), strict=True):
        assert limits.lower[row] == joint.position_lower + 0.05
        assert limits.upper[row] == joint.position_upper - 0.05
        assert limits.velocity[row] == joint.velocity_limit
        assert limits.acceleration[row] == joint.acceleration_limit
        assert limits.jerk[row] == joint.jerk_limit
        assert limits.effort[row] == joint.effort_limit


def test_scales_and_joints_tighten(robot: RobotSpec) -> None:
    tighter = {"elbow_joint": JointTightening(position_upper=1.0, velocity_limit=0.5, effort_limit=10.0)}
    limits = make_limits(robot, SafetySpec(position_margin=0.0, velocity_scale=0.5, jerk_scale=0.1, joints=tighter))
    elbow, pan = robot.joint_names.index("elbow_joint"), 0
    assert limits.upper[elbow] == 1.0
    assert limits.velocity[elbow] == 0.25
    assert limits.effort[elbow] == 10.0
    assert limits.velocity[pan] == robot.joints[pan].velocity_limit * 0.5
    assert limits.jerk[pan] == robot.joints[pan].jerk_limit * 0.1


def test_every_scale_and_every_limit_of_a_joint_tightens(robot: RobotSpec) -> None:
    elbow = robot.joint_names.index("elbow_joint")
    tighter = {"elbow_joint": JointTightening(-1.5, 1.0, 0.5, 8.0, 100.0, 10.0)}
    spec = SafetySpec(
        position_margin=0.25, velocity_scale=0.5, acceleration_scale=0.25, jerk_scale=0.125, joints=tighter
    )
    limits = make_limits(robot, spec)
    names = ("lower", "upper", "velocity", "acceleration", "jerk", "effort")
    assert [getattr(limits, name)[elbow] for name in names] == [-1.25, 0.75, 0.25, 2.0, 12.5, 10.0]


def test_the_bundles_own_limits_may_be_repeated(robot: RobotSpec) -> None:
    joint = robot.joints[2]
    same = JointTightening(joint.position_lower, joint.position_upper, joint.velocity_limit, effort_limit=80.0)
    assert make_limits(robot, SafetySpec(joints={joint.name: same})) == make_limits(robot, SafetySpec())


def test_a_limit_that_would_be_looser_is_named_with_the_way_out(robot: RobotSpec) -> None:
    with pytest.raises(SpecError) as raised:
        make_limits(robot, SafetySpec(joints={"elbow_joint": JointTightening(effort_limit=81.0)}))
    assert str(raised.value) == (
        "safety.joints.elbow_joint.effort_limit: given 81.0; expected at most the bundle's 80.0:"
        " a deployment may tighten a limit, never loosen it"
    )


@pytest.mark.parametrize(("margin", "room"), [(0.125, False), (0.124, True), (0.126, False)])
def test_a_joint_needs_room_between_its_limits(robot: RobotSpec, margin: float, room: bool) -> None:
    tighter = {"elbow_joint": JointTightening(position_lower=0.5, position_upper=0.75)}
    spec = SafetySpec(position_margin=margin, joints=tighter)
    if room:
        assert make_limits(robot, spec).lower[2] == 0.624
        return
    with pytest.raises(SpecError) as raised:
        make_limits(robot, spec)
    assert str(raised.value) == (
        f"safety.joints.elbow_joint: no room between {0.5 + margin} and {0.75 - margin};"
        f" expected a smaller position_margin (given {margin}) or wider limits"
    )


@pytest.mark.parametrize(
    ("joint", "tighter", "message"),
    [
        ("elbow", {}, "safety.joints.elbow: no such joint; did you mean 'elbow_joint'"),
        ("elbow_joint", {"position_lower": -4.0}, "position_lower: given -4.0; expected at least the bundle's"),
        ("elbow_joint", {"position_upper": 4.0}, "position_upper: given 4.0; expected at most the bundle's"),
        ("elbow_joint", {"velocity_limit": 100.0}, "velocity_limit: given 100.0; expected at most"),
        ("elbow_joint", {"acceleration_limit": 15.1}, "never loosen it"),
        ("elbow_joint", {"jerk_limit": 301.0}, "never loosen it"),
        ("elbow_joint", {"effort_limit": 80.5}, "never loosen it"),
        ("elbow_joint", {"position_upper": math.nan}, "position_upper: given nan"),
        ("elbow_joint", {"position_lower": 0.5, "position_upper": 0.51}, "no room between"),
    ],
)
def test_what_would_loosen_a_limit_is_refused(
    robot: RobotSpec, joint: str, tighter: dict[str, float], message: str
) -> None:
    with pytest.raises(SpecError, match=message.replace(".", r"\.")):
        make_limits(robot, SafetySpec(joints={joint: JointTightening(**tighter)}))
