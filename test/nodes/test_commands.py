"""Output adapters: by name, inside limits, and refused where joints do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppo_robot.errors import BadInputError, SpecError
from ppo_robot.nodes.commands import CommandAdapter
from ppo_robot.paths import share_directory
from ppo_robot.safety.setpoint import Setpoint
from ppo_robot.spec.deployment import ControllerSpec, DeploymentSpec, JointGains, load_deployment
from ppo_robot.spec.robot import JointSpec, load_robot
from ppo_robot.spec.strict import build
from ppo_robot.state import RobotState

JOINTS = tuple(
    JointSpec(name, -3.0, 3.0, velocity_limit=limit, effort_limit=10.0 * limit, acceleration_limit=1.0, jerk_limit=1.0)
    for name, limit in (("a", 1.0), ("b", 2.0), ("c", 3.0))
)
PERIOD = 0.02
CONTROLLER = ControllerSpec("arm", joints=("c", "a", "b"))


def adapter(**changes: object) -> CommandAdapter:
    return CommandAdapter(replace(CONTROLLER, **changes), JOINTS, PERIOD)  # type: ignore[arg-type]


def setpoint(position: Sequence[float], velocity: Sequence[float] = (0.0, 0.0, 0.0)) -> Setpoint:
    return Setpoint(tuple(position), tuple(velocity), (0.0, 0.0, 0.0))


def measured(position: Sequence[float], velocity: Sequence[float] = (0.0, 0.0, 0.0)) -> RobotState:
    state = RobotState.zeros(1, 3)
    state.joint_position[0], state.joint_velocity[0] = position, velocity
    return state


@given(st.permutations(["a", "b", "c"]))
def test_values_follow_their_names_whatever_the_order(configured: list[str]) -> None:
    value = {"a": 0.1, "b": 0.2, "c": 0.3}
    command = adapter(joints=tuple(configured)).command(setpoint(tuple(value.values())), None)
    assert command.names == tuple(configured)
    assert command.values == tuple(value[name] for name in configured)
    assert command.duration == PERIOD


def test_without_a_configured_order_it_is_that_of_the_policy() -> None:
    assert adapter(joints=()).names == ("a", "b", "c")


@pytest.mark.parametrize(
    ("joints", "message"), [(("a", "b"), "c: missing"), (("a", "b", "c", "finger"), "finger: unknown")]
)
def test_a_controller_of_other_joints_is_refused(joints: tuple[str, ...], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        adapter(joints=joints)


def test_velocity_is_the_setpoints_own() -> None:
    made = adapter(interface="velocity")
    assert not made.needs_state
    assert made.command(setpoint((9.0, 9.0, 9.0), (0.1, 0.2, 0.3)), None).values == (0.3, 0.1, 0.2)


def test_velocity_with_a_gain_pulls_to_the_setpoint_inside_the_limits() -> None:
    made = adapter(interface="velocity", gains={"a": JointGains(proportional=5.0)})
    assert made.needs_state
    wanted = setpoint((0.1, 0.2, 0.3), (0.2, 0.0, 0.0))
    np.testing.assert_allclose(made.command(wanted, measured((0.0, 0.0, 0.0))).values, (0.0, 0.7, 0.0))
    np.testing.assert_allclose(made.command(wanted, measured((-3.0, -3.0, -3.0))).values, (0.0, 1.0, 0.0))  # limit
    np.testing.assert_allclose(made.command(wanted, None).values, (0.0, 0.2, 0.0))


def test_effort_is_proportional_and_derivative_inside_the_limits() -> None:
    gains = {name: JointGains(proportional=20.0, derivative=2.0) for name in "abc"}
    made = adapter(interface="effort", gains=gains)
    wanted = setpoint((0.1, 0.2, 0.3), (0.0, 0.0, 0.5))
    state = measured((0.1, 0.0, 0.2), (1.0, 0.5, 0.0))
    np.testing.assert_allclose(made.command(wanted, state).values, (3.0, -2.0, 3.0))  # c, a, b
    np.testing.assert_allclose(made.command(wanted, measured((-9.0, -9.0, -9.0))).values, (30.0, 10.0, 20.0))
    assert made.command(wanted, None).values == (0.0, 0.0, 0.0)  # nothing to close the loop with


@pytest.mark.parametrize("interface", ["position", "velocity", "effort"])
def test_a_trajectory_controller_gets_positions_on_every_interface(interface: str) -> None:
    """It closes the loop itself; a velocity at the last point is refused from Iron on."""
    made = adapter(type="joint_trajectory_controller", interface=interface)
    assert made.command(setpoint((0.1, 0.2, 0.3), (1.0, 1.0, 1.0)), None).values == (0.3, 0.1, 0.2)
    assert not made.needs_state
    assert not made.must_end_motion


def test_the_end_stops_all_that_would_go_on() -> None:
    assert adapter().end() is None
    for interface, gains in (("velocity", {}), ("effort", {name: JointGains(1.0) for name in "abc"})):
        assert adapter(interface=interface, gains=gains).end().values == (0.0, 0.0, 0.0)


def test_effort_needs_a_gain_for_each_joint() -> None:
    with pytest.raises(BadInputError, match="gains: c, b: missing"):
        adapter(interface="effort", gains={"a": JointGains(1.0)})
    with pytest.raises(BadInputError, match="gains: unknown joint d"):
        adapter(interface="velocity", gains={"d": JointGains(1.0)})


BASE = {"name": "arm", "joints": ["a"]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"controller": {**BASE, "gains": {"a": {"proportional": 1.0}}}}, "the loop is closed by the controller"),
        (
            {"controller": {**BASE, "interface": "velocity", "gains": {"a": {"derivative": 1.0}}}},
            "derivative has no meaning",
        ),
        ({"controller": {**BASE, "interface": "effort", "gains": {"a": {"proportional": -1.0}}}}, ">= 0"),
        ({"controller": {**BASE, "name": "/arm/commands"}}, "without slashes"),
        ({"controller": {**BASE, "joints": ["a", "a"]}}, "named twice"),
        ({"controller": {"name": "arm"}}, "controller.joints: missing"),
        ({"controller": {**BASE, "interfce": "effort"}}, "did you mean 'interface'"),
        ({"controller": {**BASE, "type": "forward"}}, "expected one of"),
        ({}, "controller: missing"),
    ],
)
def test_a_wrong_deployment_is_refused_in_one_line(data: dict, message: str) -> None:
    with pytest.raises(SpecError, match=message) as raised:
        build(DeploymentSpec, data, "deploy.yaml")
    assert "\n" not in str(raised.value)


DEPLOYMENTS = sorted((share_directory() / "config" / "deploy").glob("*.yaml"))


@pytest.mark.parametrize("path", DEPLOYMENTS, ids=lambda path: path.stem)
def test_the_shipped_deployments_fit_the_shipped_arm(path: Path) -> None:
    deployment = load_deployment(path.stem)
    assert deployment == load_deployment(str(path))
    made = CommandAdapter(deployment.controller, load_robot("arm6").joints, PERIOD)
    assert set(made.names) == set(load_robot("arm6").joint_names)
    assert deployment.hardware == (path.stem != "sim")
